"""The script that tries the bounds runs, and says what it found."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.formats import DType

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bounds_validation.py"


@pytest.fixture(scope="module")
def printed() -> str:
    """What the script prints after a quick look, with one subject."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--subjects", "numpy.reference"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_quick_look_accuses_no_correct_implementation(printed: str) -> None:
    """Its exit status is 0 only then; the sentence says how many checks there were."""
    assert "- 0 false alarms in " in printed


@pytest.mark.parametrize(
    "heading",
    [
        "## Implementations that follow their declared class",
        "## Registered subjects",
        "## Seeded faults",
        "## Systematic errors",
        "## Accuracy grades",
    ],
)
def test_every_table_is_there_and_has_a_row(printed: str, heading: str) -> None:
    """An empty table would be an absence that reads like a pass."""
    part = printed.partition(heading)[2].partition("\n## ")[0]
    assert part.count("\n| ") >= 3


def test_every_format_is_looked_at(printed: str) -> None:
    """The promise is about four formats."""
    makes = printed.partition("## Implementations")[2].partition("By what is asked")[0]
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert f"| {name} |" in makes


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script's modules by name; they import one another as scripts do."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    names = ("bounds_validation", "subjects", "seeded_faults", "implementations", "fault_finding")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def offset_cases(number: int) -> list[Case]:
    """Float32 batches whose mean is 10,000 deviations away from zero."""
    return [
        Case(
            shape=(16, 8),
            last_batch=16,
            feature_axes=(1,),
            dtype=DType.FLOAT32,
            layout=Layout.CONTIGUOUS,
            upstream_layout=Layout.CONTIGUOUS,
            center=True,
            scale=True,
            mode=Mode.TRAIN,
            steps=1,
            epsilon=1e-5,
            decay=0.9,
            fill=Fill(kind=FillKind.OFFSET, seed=seed, offset=1e4),
        )
        for seed in range(number)
    ]


def test_an_implementation_that_does_not_follow_its_class_is_an_alarm(scripts: Any) -> None:
    """E[x^2] - E[x]^2 declared as two passes; declared as what it is, it is none."""
    cases = offset_cases(3)
    wrong = scripts.subjects.check_makes({"x": scripts.seeded_faults.UndeclaredOnePass}, cases)
    right = scripts.subjects.check_makes({"x": scripts.implementations.OnePass}, cases)
    assert len(wrong.alarms) >= 3
    assert wrong.alarms[0].startswith("x: BN-")
    assert right.alarms == []


def test_one_alarm_fails_the_script(scripts: Any) -> None:
    """The verdict that decides the exit status does not hold."""
    module = scripts.bounds_validation
    found = module.Results(
        full=False,
        makes=scripts.subjects.Findings(alarms=["one"]),
        subjects=scripts.subjects.Findings(),
        lanes=scripts.subjects.Findings(),
        faults={},
        correct=scripts.fault_finding.Caught(),
    )
    assert [verdict.holds for verdict in module.verdicts(found)] == [False, True]


def test_a_seeded_error_that_is_not_reported_fails_a_full_run(scripts: Any) -> None:
    """Of four formats and modes none was looked at."""
    module = scripts.bounds_validation
    found = module.Results(
        full=True,
        makes=scripts.subjects.Findings(),
        subjects=scripts.subjects.Findings(),
        lanes=scripts.subjects.Findings(),
        faults={},
        correct=scripts.fault_finding.Caught(),
    )
    assert [verdict.holds for verdict in module.verdicts(found)] == [True, True, False, True]


def test_a_fault_counts_where_it_changes_a_bit(scripts: Any) -> None:
    """The correct make is a fault that never shows; a mean of g forgotten always does."""
    faults = [scripts.implementations.Pairwise, scripts.seeded_faults.MeanOfGForgotten]
    found, correct = scripts.fault_finding.check_faults(faults, offset_cases(4))
    assert correct.cases == 4
    assert correct.flagged["our bounds"] == 0
    assert found["Pairwise"].cases == 0
    assert found["MeanOfGForgotten"].cases == 4
    assert found["MeanOfGForgotten"].flagged["our bounds"] == 4
