"""The command line as a user meets it: real processes, exit status, messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

FAULTY = Path(__file__).parents[1] / "engine" / "faulty.py"


def bnconform(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, piped."""
    command = [sys.executable, "-m", "bnconform", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run of the NumPy reference."""
    out = tmp_path_factory.mktemp("runs") / "a"
    done = bnconform("run", "--subjects", "numpy.reference", "--cases", 60, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_a_clean_run_exits_0_and_says_what_it_did(finished_run: Path) -> None:
    """Manifest, parts and footer are there and agree."""
    footer = json.loads((finished_run / "footer.json").read_text())
    rows = pd.read_parquet(finished_run / "records")
    assert footer["records"] == {"numpy.reference": len(rows)}
    assert footer["exit_status"] == 0


def test_unexpected_divergences_exit_1(tmp_path: Path) -> None:
    """A planted defect without a known entry."""
    done = bnconform(
        "run",
        "--adapter",
        f"{FAULTY}:UnbiasedRunningVariance",
        "--cases",
        40,
        "--out",
        tmp_path / "r",
    )
    assert done.returncode == 1
    assert "unexpected; run directory" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--subjects", "tf.layer"], "no subject tf.layer; there are", id="unknown"),
        pytest.param(["--adapter", f"{FAULTY}:BadAxes"], "axes must be one of", id="bad axis"),
        pytest.param(["--adapter", "gone.py:A"], "no adapter file gone.py", id="no file"),
        pytest.param(["--adapter", f"{FAULTY}:CannotStart"], "nothing to run", id="unavailable"),
        pytest.param(["--subjects", "numpy.reference", "--cases", "0"], "at least 1", id="zero"),
        pytest.param(["--subjects", "numpy.reference", "--shard", "3/2"], "I/N", id="bad shard"),
        pytest.param(["--profile", "huge"], "quick, nightly, deep", id="no such profile"),
        pytest.param(["--known", "nowhere"], "--known must be a folder", id="no known folder"),
        pytest.param(["--workers", "0"], "--workers must be at least 1", id="no workers"),
    ],
)
def test_a_call_that_cannot_be_carried_out_exits_2_with_one_sentence(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    """What arrived and what to do, no traceback, and nothing is left behind."""
    done = bnconform("run", "--out", tmp_path / "r", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


def test_an_out_that_cannot_be_written_exits_2(tmp_path: Path) -> None:
    """The path is a file's child."""
    (tmp_path / "file").write_text("")
    done = bnconform(
        "run", "--subjects", "numpy.reference", "--cases", 5, "--out", tmp_path / "file" / "r"
    )
    assert done.returncode == 2
    assert "choose another --out" in done.stderr


def test_an_out_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    """A folder with files in it is never written into."""
    (tmp_path / "letter.txt").write_text("dear")
    done = bnconform("run", "--subjects", "numpy.reference", "--cases", 5, "--out", tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_report_of_a_run_without_footer_exits_2(finished_run: Path, tmp_path: Path) -> None:
    """An unfinished run is never read as complete, and stays as it is."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished_run), str(copy)], check=True)
    (copy / "footer.json").unlink()
    done = bnconform("report", copy, "--out", tmp_path / "site")
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert (copy / "records").exists()
    assert not (tmp_path / "site").exists()


def test_a_report_is_a_site_with_an_index(finished_run: Path, tmp_path: Path) -> None:
    """The command prints what to open."""
    done = bnconform("report", finished_run, "--out", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").exists()
    assert "index.html" in done.stdout


def test_list_says_available_or_why_not() -> None:
    """JSON has the documented fields, for an available subject."""
    done = bnconform("list", "--subjects", "numpy.reference", "--json")
    (subject,) = json.loads(done.stdout)
    assert set(subject) >= {"name", "available", "reason", "framework", "version", "device",
                            "dialect"}  # fmt: skip
    assert subject["available"] is True


def test_spec_gives_one_clause_or_all() -> None:
    """JSON has the documented fields."""
    done = bnconform("spec", "--json")
    clauses = json.loads(done.stdout)
    assert set(clauses[0]) == {"id", "section", "level", "statement", "equation", "source", "cases"}
    one = bnconform("spec", "BN-TRAIN-1")
    assert "epsilon inside the root" in one.stdout


def test_an_unknown_clause_exits_2() -> None:
    """With a hint where the clauses are listed."""
    done = bnconform("spec", "BN-NOPE-1")
    assert done.returncode == 2
    assert "bnconform spec" in done.stderr


@pytest.mark.parametrize(
    ("attribute", "status", "message"),
    [
        pytest.param("Sound", 0, "ok     starts", id="a sound adapter"),
        pytest.param("Overwrites", 1, "copy the inputs", id="advice for a fault"),
        pytest.param("CannotStart", 1, "install its framework", id="an absent framework"),
        pytest.param("BadAxes", 2, "axes must be one of", id="a bad declaration"),
    ],
)
def test_smoke_tells_an_adapter_writer_what_to_mend(
    attribute: str, status: int, message: str
) -> None:
    """Exit status and advice by kind of fault."""
    done = bnconform("smoke", f"{FAULTY}:{attribute}")
    assert done.returncode == status
    assert message in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("page", "option"), [("spec.md", "--markdown"), ("parameters.md", "--parameters")]
)
def test_a_committed_page_is_the_generated_one(page: str, option: str) -> None:
    """docs/ holds what `bnconform spec` prints."""
    committed = Path(__file__).parents[2] / "docs" / page
    assert committed.read_text(encoding="utf-8") == bnconform("spec", option).stdout
