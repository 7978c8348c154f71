"""What rows come to: the status of every cell, the counts, and where was looked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.conformance.case import FillKind, Mode
from bnconform.conformance.cases.corners import (
    CONVERSION,
    EXPERIMENTS,
    FORWARD_OVER_REVERSE,
    INPUTS_KEPT,
    MALFORMED_CALLS,
    REVERSE_OVER_FORWARD,
    SECOND_ORDER,
    VECTORIZED_REVERSE,
)
from bnconform.conformance.clauses import CLAUSES
from bnconform.reports import clause_summary, load_runs, looks, matrix, subject_summary
from bnconform.reports.reach import reach


def only(frame: pd.DataFrame, **having: str) -> Any:
    """The one row that has these values, as a named tuple."""
    for column, value in having.items():
        frame = frame[frame[column] == value]
    (row,) = frame.itertuples(index=False)
    return row


def counts(frame: pd.DataFrame, columns: list[str], **having: str) -> list[int]:
    """Some columns of the one row that has these values."""
    row = only(frame, **having)
    return [getattr(row, column) for column in columns]


def test_every_kind_of_cell_gets_its_status(
    written: Path, clauses: Any, statuses: dict[tuple[str, str], str]
) -> None:
    """Conforms, known, diverges, crashed, and the four kinds of absence, each as itself."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    found = dict(
        zip(zip(cells["clause"], cells["entry"], strict=True), cells["status"], strict=True)
    )
    assert {cell: found[cell] for cell in statuses} == statuses


def test_the_matrix_has_a_cell_for_every_clause_and_subject(written: Path, clauses: Any) -> None:
    """Cells without rows are there, in the order of the clauses."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    assert len(cells) == len(clauses) * 4
    assert list(cells["clause"].drop_duplicates()) == [clause.id for clause in clauses]


def test_a_cell_counts_its_rows_by_standing(written: Path, clauses: Any) -> None:
    """Its worst ratio is that of its judged rows, and missing where there is none."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    cell = only(cells, clause="BN-CALL-1", entry="bad.three@gpu")
    assert (cell.unexpected, cell.conforming, cell.cases) == (2, 0, 2)
    assert cell.worst_error_ratio == 2.0
    assert pd.isna(only(cells, clause="BN-VAR-1", entry="good.one").worst_error_ratio)


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        pytest.param("hung", "hung", id="no answer outweighs a wrong one"),
        pytest.param("wrong_contract", "wrong contract", id="raising outweighs a wrong answer"),
        pytest.param("unrepeatable", "diverges", id="a wrong answer outweighs an unsteady one"),
    ],
)
def test_the_most_serious_verdict_decides(
    run: Any, clauses: Any, tmp_path: Path, verdict: str, status: str
) -> None:
    """A cell with several kinds of unexpected rows shows the worst."""
    case = run.case(kind=FillKind.OFFSET)
    run.records.append(run.row("bad.three@gpu", case, "BN-Y-1", verdict=verdict, quantity="call"))
    runs = load_runs([run.write(tmp_path / "run")])
    cells = matrix(runs.records, clauses, runs.subjects)
    assert only(cells, clause="BN-Y-1", entry="bad.three@gpu").status == status


def test_one_known_divergence_keeps_a_cell_from_conforming(
    run: Any, clauses: Any, tmp_path: Path
) -> None:
    """However many of the other rows conform."""
    run.records.append(run.row("known.two", run.case(kind=FillKind.OFFSET), "BN-VAR-1"))
    runs = load_runs([run.write(tmp_path / "run")])
    cell = only(matrix(runs.records, clauses, runs.subjects), clause="BN-VAR-1", entry="known.two")
    assert (cell.status, cell.known, cell.conforming) == ("known divergence", 1, 1)


def test_a_crash_has_no_error_ratio(run: Any, clauses: Any, tmp_path: Path) -> None:
    """A cell with nothing but a crash has no worst ratio, rather than one of 0."""
    run.records = [row for row in run.records if row.verdict == "crashed"]
    runs = load_runs([run.write(tmp_path / "run")])
    cells = matrix(runs.records, clauses, runs.subjects)
    assert pd.isna(only(cells, clause="BN-CALL-1", entry="bad.three@gpu").worst_error_ratio)


def test_one_vacuous_row_does_not_undo_a_pass(run: Any, clauses: Any, tmp_path: Path) -> None:
    """A cell with judged and vacuous rows conforms, and says how many were not judged."""
    case = run.case(dtype="float16")
    run.records.append(run.row("good.one", case, "BN-Y-1", vacuous=True, step=-1))
    runs = load_runs([run.write(tmp_path / "run")])
    cells = matrix(runs.records, clauses, runs.subjects)
    cell = only(cells, clause="BN-Y-1", entry="good.one")
    assert (cell.status, cell.vacuous) == ("conforms", 1)


def test_rows_of_a_clause_that_the_registry_lacks_are_shown(written: Path, clauses: Any) -> None:
    """A finding must not vanish because the spec was renumbered."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses[1:], runs.subjects)
    cell = only(cells, clause="BN-Y-1", entry="bad.three@gpu")
    assert cell.status == "diverges"
    assert "not in this version's registry" in cell.section


@pytest.mark.parametrize(
    ("rows", "quantities", "status"),
    [
        pytest.param("answered", ["y"], "unsupported", id="it answers, without this quantity"),
        pytest.param("refused", ["dx"], "unsupported", id="it supports none of the cases"),
        pytest.param("crashed", ["dx"], "not judged", id="it offers it, but nothing came of it"),
        pytest.param("none", ["dx"], "not run", id="it was given no such case"),
    ],
)
def test_an_empty_cell_says_why(
    blank: Callable[[], Any], tmp_path: Path, rows: str, quantities: list[str], status: str
) -> None:
    """BN-GRAD-1 has no row in any of these runs, for four different reasons."""
    run = blank()
    run.subjects = [run.subject("a.b", capabilities={"quantities": quantities})]
    case = run.add_case(run.case())
    made = {
        "answered": run.row("a.b", case, "BN-TRAIN-1"),
        "refused": run.row("a.b", case, "BN-CALL-5", verdict="unsupported", quantity="call"),
        "crashed": run.row("a.b", case, "BN-CALL-1", verdict="crashed", quantity="call"),
    }
    run.records = [made[rows]] if rows in made else []
    runs = load_runs([run.write(tmp_path / "run")])
    cells = matrix(runs.records, CLAUSES, runs.subjects, reach(runs.cases))
    assert only(cells, clause="BN-GRAD-1").status == status


def test_a_cell_with_rows_is_told_by_its_rows(blank: Callable[[], Any], tmp_path: Path) -> None:
    """What a case could have shown does not matter once there is a result."""
    run = blank()
    run.subjects = [run.subject("a.b", capabilities={"quantities": ["y"]})]
    run.records = [run.row("a.b", run.add_case(run.case()), "BN-TRAIN-1")]
    runs = load_runs([run.write(tmp_path / "run")])
    cells = matrix(runs.records, CLAUSES, runs.subjects, reach(runs.cases))
    assert only(cells, clause="BN-TRAIN-1").status == "conforms"


def test_a_case_reaches_the_clauses_that_its_rows_would_name(
    blank: Callable[[], Any], tmp_path: Path
) -> None:
    """A training case reaches gradients and running averages, an inference case does not."""
    run = blank()
    train, infer = run.add_case(run.case()), run.add_case(run.case(mode=Mode.INFERENCE))
    reached = reach(load_runs([run.write(tmp_path / "run")]).cases)
    trained, inferred = (set(reached[reached["case_id"] == case.id]["clause"])
                         for case in (train, infer))  # fmt: skip
    assert "BN-GRAD-1" in trained - inferred
    assert "BN-INFER-1" in inferred - trained


def test_a_case_of_a_foreign_format_reaches_nothing() -> None:
    """An old run can still be shown; its empty cells are then plainly 'not run'."""
    cases = pd.DataFrame([{"case_id": "x", "json": '{"format": "bn-case/0"}'}])
    assert len(reach(cases)) == 0


def test_a_subjects_time_counts_each_call_once(written: Path, clauses: Any) -> None:
    """Every row of a case repeats the time of the one call that it comes from."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    summary = subject_summary(runs.records, cells, runs.subjects)
    assert only(summary, entry="good.one").seconds == pytest.approx(0.03, abs=1e-12)


def test_a_subjects_clauses_add_up(written: Path, clauses: Any) -> None:
    """Conforming, known, unexpected and absent clauses together are all of them."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    summary = subject_summary(runs.records, cells, runs.subjects)
    kinds = [f"clauses_{kind}" for kind in ("conforming", "known", "unexpected", "absent")]
    assert counts(summary, kinds, entry="good.one") == [2, 0, 0, 3]
    assert counts(summary, kinds, entry="absent.four") == [0, 0, 0, 5]
    assert (summary[kinds].sum(axis=1) == len(clauses)).all()


def test_a_clauses_subjects_add_up(written: Path, clauses: Any) -> None:
    """The same the other way round; an unavailable subject is absent, never conforming."""
    runs = load_runs([written])
    cells = matrix(runs.records, clauses, runs.subjects)
    summary = clause_summary(runs.records, cells, clauses)
    kinds = [f"subjects_{kind}" for kind in ("conforming", "known", "unexpected", "absent")]
    assert counts(summary, kinds, clause="BN-Y-1") == [2, 0, 1, 1]
    assert counts(summary, kinds, clause="BN-NEVER-1") == [0, 0, 0, 4]


def test_looks_count_what_was_judged_in_each_group(written: Path) -> None:
    """A corner's rows are those of all its cases; vacuous and unsupported rows were no look."""
    runs = load_runs([written])
    found = looks(runs.records, runs.cases, runs.topics)
    plain, half = (only(found, dimension="corner", value=value) for value in ("plain", "half"))
    assert (plain.cases, plain.judged, plain.unexpected, plain.known) == (2, 9, 3, 1)
    assert (half.cases, half.judged, half.unsupported) == (1, 0, 1)


def test_malformed_calls_and_what_every_call_shows_are_counted(run: Any, tmp_path: Path) -> None:
    """Rows by their topic, experiments by their kind, and rows of BN-CALL-3 as comparisons."""
    case = run.case()
    run.records = [
        run.row("good.one", case, "BN-CALL-3", quantity="call"),
        run.row("good.one", case, "BN-Y-1"),
        run.row("bad.three@gpu", case, "BN-CALL-3", quantity="call", verdict="diverges"),
        run.row("good.one", case, "BN-REJECT-1", case_id="probe", verdict="wrong_contract"),
        run.row("good.one", case, "BN-AXIS-3", case_id="experiment"),
        run.row("good.one", case, "BN-SECOND-1", case_id="second"),
        run.row("bad.three@gpu", case, "BN-SECOND-1", case_id="second", verdict="diverges"),
        run.row("good.one", case, "BN-SECOND-3", case_id="forward"),
        run.row("good.one", case, "BN-SECOND-6", case_id="reverse"),
        run.row("good.one", case, "BN-SECOND-7", case_id="vectorized"),
        run.row("good.one", case, "BN-PORT-1", case_id="export"),
    ]
    run.divergences = []
    written = run.write(tmp_path / "run")
    topics = [
        {"id": "probe", "told": {"malformation": "rank", "base": {}}},
        {"id": "experiment", "told": {"experiment": "momentum"}},
        {"id": "export", "told": {"experiment": "export.torch.state_dict"}},
        {"id": "second", "told": {"experiment": "second.training.float64.matrix"}},
        {"id": "forward", "told": {"experiment": "forward_over_reverse.training.float64.matrix"}},
        {"id": "reverse", "told": {"experiment": "reverse_over_forward.training.float32.matrix"}},
        {"id": "vectorized", "told": {"experiment": "vectorized_reverse.training.float32.matrix"}},
    ]
    lines = "".join(f"{json.dumps(topic)}\n" for topic in topics)
    (written / "topics.jsonl").write_text(lines)
    runs = load_runs([written])
    found = looks(runs.records, runs.cases, runs.topics)
    seen = {
        row.value: (row.cases, row.judged, row.unexpected)
        for row in found[(found["dimension"] == "besides") & (found["cases"] > 0)].itertuples()
    }
    assert seen == {
        INPUTS_KEPT: (1, 2, 1),
        MALFORMED_CALLS: (1, 1, 1),
        EXPERIMENTS: (1, 1, 0),
        SECOND_ORDER: (1, 2, 1),
        FORWARD_OVER_REVERSE: (1, 1, 0),
        REVERSE_OVER_FORWARD: (1, 1, 0),
        VECTORIZED_REVERSE: (1, 1, 0),
        CONVERSION: (1, 1, 0),
    }


@pytest.mark.parametrize(
    "group",
    [
        pytest.param(("fill", "nan"), id="a family of values"),
        pytest.param(("dtype", "float64"), id="a format"),
        pytest.param(("mode", "frozen"), id="a mode"),
        pytest.param(("corner", "empty batch"), id="a corner of the case space"),
        pytest.param(("besides", "malformed calls"), id="calls that are no cases"),
        pytest.param(("besides", "gradients of gradients"), id="experiments of one kind"),
    ],
)
def test_a_group_without_a_case_is_listed(written: Path, group: tuple[str, str]) -> None:
    """Where nobody looked must be visible."""
    runs = load_runs([written])
    found = only(looks(runs.records, runs.cases, runs.topics), dimension=group[0], value=group[1])
    assert (found.cases, found.judged) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({}, "in use", id="it covers a row"),
        pytest.param({"review_by": "2026-11-20"}, "past its review date", id="reviewed too late"),
        pytest.param({"review_by": "2026-11-21"}, "in use", id="the last day is in time"),
        pytest.param({"stale": True}, "stale: it covers nothing", id="the run says it is stale"),
        pytest.param({"unused": True}, "not reached by these runs", id="the run did not look"),
    ],
)
def test_a_known_divergence_has_a_state(
    run: Any, tmp_path: Path, changes: dict[str, Any], state: str
) -> None:
    """Its date is compared with the run's, never with a clock."""
    name = "two-biased"
    if changes.pop("stale", False):
        run.stale_known = [name]
        changes["unused"] = True
    if changes.pop("unused", False):
        run.records = [row for row in run.records if not row.known]
    run.known[name] |= changes
    known = load_runs([run.write(tmp_path / "run")]).known
    assert only(known, id=name).state == state
