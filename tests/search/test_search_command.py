"""``bnconform search``, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnconform.conformance.corpus import read_entries

FILE = Path(__file__).parent / "planted.py"


def search(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, piped."""
    command = [sys.executable, "-m", "bnconform", "search", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False
    )


def test_a_divergence_is_shown_shrunk_and_exits_1(tmp_path: Path) -> None:
    """Its simplest case in words, that it is not known, and a corpus file that holds it."""
    out = tmp_path / "found.jsonl"
    arguments = (f"{FILE}:SmallEpsilon", "--calls", 60, "--shrink-calls", 80)
    done = search(*arguments, "--out", out, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "planted.small_epsilon: 60 calls" in done.stdout
    assert "NOT KNOWN" in done.stdout
    assert "input of shape (1, 1)" in done.stdout
    assert "planted.small_epsilon, shrinking done" in done.stderr
    entries = read_entries(out)
    assert {entry.subject for entry in entries} == {"planted.small_epsilon"}
    assert all(entry.case.epsilon < 1e-6 for entry in entries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.jsonl"]


def test_finding_nothing_exits_0_and_is_json(tmp_path: Path) -> None:
    """Nothing to shrink; the file that was there keeps its entries."""
    done = search(f"{FILE}:Sound", "--calls", 25, "--seconds", 60, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert (found["subject"], found["calls"]) == ("planted.sound", 25)
    assert (found["unexpected"], found["distinct"]) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["torch.functionl"], "no subject 'torch.functionl'", id="unknown"),
        pytest.param([f"{FILE}:Gone"], "has no 'Gone'; its classes", id="no such class"),
        pytest.param(["numpy.reference", "--calls", "0"], "--calls must be", id="no calls"),
        pytest.param(["numpy.reference", "--seconds", "0"], "--seconds must be", id="no time"),
        pytest.param(["numpy.reference", "--out", "bad.jsonl"], "bad.jsonl, line 1", id="bad file"),
    ],
)
def test_a_call_that_cannot_be_carried_out_exits_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    """One sentence on stderr, and nothing is written."""
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    done = search(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
