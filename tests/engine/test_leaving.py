"""No worker is left behind by a harness that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bnconform.conformance.engine.loading import Target

HARNESS = """
import sys
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.process import Question, SubjectProcess

cases = plan_cases(PROFILES["quick"], cases=10, seed=0)
marked = next(case for case in cases if int(case.id, 16) % 5 == 0)
with SubjectProcess(Target.parse(sys.argv[1]), {}) as process:
    list(process.ask([Question(case=marked, repeat=False)], 3600.0))
"""
"""Asks a subject of faulty_process.py something over which it hangs."""


def _wait_for(happened: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.05)
    return False


def _ended(pid: int) -> bool:
    """Whether it runs no more; whoever inherits an orphan may not look at it at once."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("SometimesHangs", id="in Python, SIGTERM ignored"),
        pytest.param(
            "HangsInC", id="in C",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="no kernel kills it there"),
        ),
        pytest.param(
            "HangsWatched", id="watched by a thread",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="the first is so elsewhere"),
        ),
    ],
)  # fmt: skip
def test_a_worker_that_hangs_ends_when_its_harness_is_killed(
    tmp_path: Path, faulty: Callable[[str], Target], name: str
) -> None:
    """Only the harness is killed, and with a signal that it cannot see."""
    command = [sys.executable, "-c", HARNESS, str(faulty(name))]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}) as harness:
        said = [""]

        def hangs() -> bool:
            said[:] = [log.read_text() for log in tmp_path.glob("bnconform-*/*.log")] or [""]
            return "about to hang" in said[0]

        assert _wait_for(hangs, 60.0), said
        (pid,) = (int(path.stem) for path in tmp_path.glob("bnconform-*/*.log"))
        assert not _ended(pid)
        harness.send_signal(signal.SIGKILL)
    ended = _wait_for(lambda: _ended(pid), 20.0)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    assert ended
