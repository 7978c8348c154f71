"""The script that tries the bounds of second derivatives runs, and says what it found."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "second_order.py"


@pytest.fixture(scope="module")
def printed() -> str:
    """What the script prints after a quick look."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("heading", "rows"),
    [
        pytest.param("## Correct makes", 6 * 4, id="six makes, two modes, two formats"),
        pytest.param("## Faults", 14 * 2, id="fourteen faults, two formats"),
    ],
)
def test_every_table_is_there_and_whole(heading: str, rows: int, printed: str) -> None:
    """An empty table would be an absence that reads like a pass."""
    part = printed.partition(heading)[2].partition("\n## ")[0]
    assert part.count("\n| ") == rows + 2  # the headings and the line under them


def test_one_false_alarm_fails_the_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A faulty make that is passed off as a correct one."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    script = importlib.import_module("second_order")
    faulty = importlib.import_module("second_order_makes").NoGamma()
    monkeypatch.setattr(script, "NUMPY_MAKES", {"faulty": faulty})
    monkeypatch.setattr(sys, "argv", ["second_order.py", "--quick"])
    assert script.main() == 1
    assert "| faulty | training | float32 |" in capsys.readouterr().out
