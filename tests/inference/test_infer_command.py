"""``bnconform infer``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bnconform.cli.app import app

_WRONG_CLAIM = """
from dataclasses import replace

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.dialect import Claim, RunningVariance


class Wrong(NumpyReference):
    name = "numpy.wrong"
    dialect = replace(
        NumpyReference.dialect, running_variance=Claim(RunningVariance.UNBIASED, "hearsay")
    )
"""


def test_a_subject_that_does_as_it_declares_is_shown_in_eighty_columns() -> None:
    """Every convention has a line with the declared and the inferred value; exit status 0."""
    result = CliRunner().invoke(app, ["infer", "numpy.reference"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = next(line for line in lines if line.lstrip().startswith("running_variance"))
    assert shown.split()[1:3] == ["biased", "biased"]
    assert " cases in " in lines[0]
    assert "Not observable" in result.stdout


def test_a_wrong_claim_is_marked_and_fails(tmp_path: Path) -> None:
    """What is declared beside what was inferred, with the case that told; exit status 1."""
    file = tmp_path / "wrong.py"
    file.write_text(_WRONG_CLAIM)
    result = CliRunner().invoke(app, ["infer", "--adapter", f"{file}:Wrong", "--json"])
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    differing = [each for each in data["findings"] if each["agreement"] == "differs"]
    assert [each["convention"] for each in differing] == ["running_variance"]
    assert (differing[0]["declared"], differing[0]["inferred"]) == ("unbiased", ["biased"])
    assert differing[0]["cases"][0] in [case["id"] for case in data["cases"]]


def test_an_unknown_subject_is_misuse() -> None:
    """The sentence names the subjects that there are; exit status 2."""
    result = CliRunner().invoke(app, ["infer", "numpy.refrence"])
    assert result.exit_code == 2
    assert "numpy.reference" in result.stderr


def test_no_subject_is_misuse() -> None:
    """The sentence says what to give; exit status 2."""
    result = CliRunner().invoke(app, ["infer"])
    assert result.exit_code == 2
    assert "--adapter" in result.stderr
