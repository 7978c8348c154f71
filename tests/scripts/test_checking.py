"""What counts as reproducing: that the script itself says so, at its end, in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnconform.conformance.scripts import check_script

SHOWN = "print('expected 1, got 2')\n"


def script(folder: Path, source: str) -> Path:
    """A file with ``source``."""
    path = folder / "script.py"
    path.write_text(source, encoding="utf-8")
    return path


def test_a_script_that_shows_the_divergence_reproduces(tmp_path: Path) -> None:
    """Exit status 1, and what was expected in its output."""
    checked = check_script(script(tmp_path, f"{SHOWN}raise SystemExit(1)"))
    assert checked.reproduces
    assert checked.output == "expected 1, got 2\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param(f"{SHOWN}", "does not show the divergence", id="status 0: it is gone"),
        pytest.param("raise SystemExit(2)", "cannot run here", id="status 2: no framework"),
        pytest.param("1 / 0", "failed with status 1: ZeroDivisionError", id="a bug of ours"),
        pytest.param(
            f"{SHOWN}1 / 0", "failed with status 1", id="a bug after the words were printed"
        ),
        pytest.param("raise SystemExit(1)", "failed with status 1: no output", id="shows nothing"),
        pytest.param("import os; os.abort()", "failed with status -6", id="a crash"),
    ],
)
def test_anything_else_does_not(source: str, sentence: str, tmp_path: Path) -> None:
    """Python itself exits with 1 where a script fails, which proves nothing."""
    checked = check_script(script(tmp_path, source))
    assert not checked.reproduces
    assert sentence in checked.sentence


def test_a_script_that_hangs_is_ended(tmp_path: Path) -> None:
    """It has no status; what it said before is kept."""
    source = f"{SHOWN}import sys, time\nsys.stdout.flush()\ntime.sleep(60)"
    checked = check_script(script(tmp_path, source), limit=2)
    assert checked.status is None
    assert not checked.reproduces
    assert "did not end within 2 s" in checked.sentence
    assert checked.output == "expected 1, got 2\n"


def test_a_script_gets_nothing_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's machine has neither our variables nor our files beside it."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbour.py").touch()
    source = "import os\nprint(sorted(os.environ), os.listdir())\nimport neighbour"
    checked = check_script(script(tmp_path, source), {"GIVEN": "1"})
    assert "KERAS_BACKEND" not in checked.output
    assert "'GIVEN'" in checked.output
    assert "[]" in checked.output.splitlines()[0]
    assert "No module named 'neighbour'" in checked.output
