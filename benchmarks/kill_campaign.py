"""Kills campaigns with SIGKILL at random moments, resumes them, and compares what they recorded.

A small campaign (the NumPy reference, PyTorch's function, and a subject that dies in some cases)
runs once undisturbed. Then it runs again and again; each time it is killed at a seeded random
moment, resumed, perhaps killed again, and in the end left alone. About half of the kills take the
harness alone, so that its workers must notice; the others take the whole process group.

Compared with the undisturbed run: every record without its `seconds`, the footer without its
`seconds`, the causes, and the bundles of arrays. No worker may be left 15 s after a kill. Exit
status 1 if anything differs or was left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

FAULTY = Path(__file__).resolve().parents[1] / "tests" / "engine" / "faulty_process.py"
SUBJECTS = ("--subjects", "numpy.reference,torch.functional")
ADAPTER = ("--adapter", f"{FAULTY}:SeldomSegfaults")
CHAIN = 10
"""Kills of one run at most, before it is left alone."""

LEFT_AFTER = 15.0
"""Seconds after which a worker of a harness that was killed has been left behind."""


@dataclass(kw_only=True)
class Seen:
    """What became of the kills."""

    kills: int = 0
    compared: int = 0
    """Of those, the kills of runs that were resumed to their end and compared."""

    groups: int = 0
    runs: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    left_behind: list[int] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


class Campaign:
    """Starts, kills and resumes one campaign; everything is in ``folder``."""

    def __init__(self, folder: Path, cases: int) -> None:
        """Nothing runs yet."""
        self.folder, self.cases = folder, cases
        # What a killed harness leaves of its temporary files is removed with the rest.
        (folder / "tmp").mkdir()
        self.environment = {**os.environ, "TMPDIR": str(folder / "tmp")}

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        """A harness of its own process group that begins or resumes the run in ``out``."""
        command = [
            sys.executable, "-m", "bnconform", "run", *SUBJECTS, *ADAPTER, "--cases",
            str(self.cases), "--workers", "2", "--scripts", "0", "--out", str(out),
        ]  # fmt: skip
        if (out / "manifest.json").exists():
            command.append("--resume")
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 -- this project's own command
                command,
                env=self.environment,
                start_new_session=True,
                stdout=output,
                stderr=output,
            )

    def finish(self, out: Path) -> float:
        """Run to the end; the seconds it took."""
        began = time.monotonic()
        harness = self.start(out)
        try:
            status = harness.wait()
        except BaseException:
            kill(harness, group=True)
            raise
        # 1: the subject that dies is an unexpected divergence.
        if status != 1:
            msg = f"the run failed: {(self.folder / 'output.txt').read_text()[-2000:]}"
            raise SystemExit(msg)
        return time.monotonic() - began


def kill(harness: subprocess.Popen[bytes], *, group: bool) -> list[psutil.Process]:
    """SIGKILL the harness, or its group; the processes that it had."""
    try:
        had = psutil.Process(harness.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        had = []
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(harness.pid, signal.SIGKILL)
        else:
            harness.kill()
    harness.wait()
    return had


def left_of(had: list[psutil.Process]) -> list[int]:
    """Those that still run a while later."""
    end = time.monotonic() + LEFT_AFTER
    while (left := [each.pid for each in had if _runs(each)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        # Whoever inherits an orphan may not look at it at once.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stage_of(out: Path) -> str:
    """How far a run had come when it was killed."""
    if (out / "footer.json").exists():
        return "closed"
    if not (out / "manifest.json").exists():
        return "before the manifest"
    parts = len(list(out.glob("records/*.parquet")))
    if parts == 0:
        return "before the first part"
    half = list(out.glob("**/*.tmp"))
    return "inside a write" if half else "between parts"


def disturb(campaign: Campaign, out: Path, longest: float, left: int, chance: random.Random,
            seen: Seen) -> None:  # fmt: skip
    """Kill the run in ``out`` up to ``left`` times, and then let it end."""
    for _ in range(min(left, chance.randint(1, CHAIN))):
        harness = campaign.start(out)
        moment, group = chance.uniform(0.0, longest), bool(chance.getrandbits(1))
        with contextlib.suppress(subprocess.TimeoutExpired):
            harness.wait(moment)
        if harness.poll() is not None:
            # It was sooner than the moment: resuming a whole run must change nothing either.
            seen.stages["ended before its kill"] += 1
            continue
        had = kill(harness, group=group)
        seen.kills, seen.groups = seen.kills + 1, seen.groups + group
        seen.stages[stage_of(out)] += 1
        seen.left_behind += left_of(had)
    campaign.finish(out)


def holdings(out: Path) -> Iterator[tuple[str, Any]]:
    """All that a run has to say, by name, without the times."""
    yield "records", pd.read_parquet(out / "records").drop(columns="seconds")
    footer = json.loads((out / "footer.json").read_text())
    yield "footer", {key: value for key, value in footer.items() if key != "seconds"}
    yield "explanations", json.loads((out / "explanations.json").read_text())
    for name in ("cases.jsonl", "topics.jsonl"):
        yield name, (out / name).read_bytes()
    for path in sorted(out.glob("divergences/*/*")):
        name = str(path.relative_to(out))
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                yield name, {key: arrays[key].tobytes() for key in arrays.files}
        else:
            yield name, path.read_bytes()


def differences(out: Path, whole: Path) -> list[str]:
    """Names of what is not the same in two runs."""
    mine, theirs = dict(holdings(out)), dict(holdings(whole))
    found = sorted(mine.keys() ^ theirs.keys())
    for name in sorted(mine.keys() & theirs.keys()):
        one, other = mine[name], theirs[name]
        same = one.equals(other) if isinstance(one, pd.DataFrame) else one == other
        if not same:
            found.append(name)
    return found


def main() -> int:
    """Print what was done and what was compared; 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, seen = random.Random(given.seed), Seen()  # noqa: S311 -- repeatable, not secret
    with tempfile.TemporaryDirectory(prefix="bnconform-kills-") as name:
        campaign, whole = Campaign(Path(name), given.cases), Path(name) / "whole"
        longest = campaign.finish(whole)
        print(f"undisturbed run: {longest:.1f} s", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # what was seen until then is still worth it
            while seen.kills < given.kills:
                out = Path(name) / f"run{seen.runs}"
                disturb(campaign, out, longest, given.kills - seen.kills, chance, seen)
                found = differences(out, whole)
                seen.runs += 1
                seen.compared = seen.kills
                seen.differences += [f"run {seen.runs}: {each}" for each in found]
                print(
                    f"run {seen.runs}: {seen.kills} kills so far; different: {found or 'nothing'}; "
                    f"left behind: {seen.left_behind or 'nothing'}",
                    flush=True,
                )
                shutil.rmtree(out)
        return report(seen, whole)


def report(seen: Seen, whole: Path) -> int:
    """Print the result; its exit status."""
    compared = dict(holdings(whole))
    arrays = sum(name.endswith(".npz") for name in compared)
    print(f"\n{seen.compared} kills in {seen.runs} runs that were then resumed to their end")
    print(f"{seen.kills} kills in all, {seen.groups} of them of the whole process group:")
    for stage, count in sorted(seen.stages.items()):
        print(f"  {count:3d} {stage}")
    print(
        f"compared after each run: {len(compared['records'])} records, the footer, "
        f"{len(compared['explanations'])} causes, {arrays} bundles with their arrays"
    )
    print(f"differences: {', '.join(seen.differences) or 'none'}")
    print(f"processes left behind: {', '.join(map(str, seen.left_behind)) or 'none'}")
    return int(bool(seen.differences or seen.left_behind))


if __name__ == "__main__":
    sys.exit(main())
