"""From rows to what the pages say: pure functions on frames, documented in ``FRAMES``.

Absence is never a pass: a cell without a judged row gets a status that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import pandas as pd

from bnconform.conformance.case import FillKind, Mode
from bnconform.conformance.cases.corners import BESIDES, CORNERS
from bnconform.conformance.clauses import Clause, Level
from bnconform.conformance.formats import DType
from bnconform.conformance.record import VerdictKind
from bnconform.reports.columns import documented, rows
from bnconform.reports.frames import JUDGED, Standing
from bnconform.reports.reach import besides, empty_cells


class Status(StrEnum):
    """What one subject's rows say about one clause, most serious first."""

    CRASHED = "crashed"
    HUNG = "hung"
    WRONG_CONTRACT = "wrong contract"
    DIVERGES = "diverges"
    UNREPEATABLE = "unrepeatable"
    KNOWN = "known divergence"
    CONFORMS = "conforms"
    NOT_JUDGED = "not judged"
    UNSUPPORTED = "unsupported"
    NOT_RUN = "not run"
    UNAVAILABLE = "unavailable"


UNEXPECTED_STATUSES = tuple(Status)[:5]
ABSENT_STATUSES = tuple(Status)[7:]
"""Statuses of cells in which nothing was judged."""

MEANINGS: dict[Status, str] = {
    Status.CRASHED: "the process died in at least one case, which nobody expected",
    Status.HUNG: "there was no answer in time in at least one case, which nobody expected",
    Status.WRONG_CONTRACT: "it raised where it must answer, or answered where it must reject",
    Status.DIVERGES: "at least one result is outside its bound, which nobody expected",
    Status.UNREPEATABLE: "the same case, run again, gave other bits, which nobody expected",
    Status.KNOWN: "it breaks the clause, but only in ways that are recorded and explained",
    Status.CONFORMS: "every judged result is within its bound",
    Status.NOT_JUDGED: "it ran, but no result could be judged: no pass",
    Status.UNSUPPORTED: "the subject does not offer what the clause is about: no pass",
    Status.NOT_RUN: "no case that reaches the clause was given to the subject: no pass",
    Status.UNAVAILABLE: "the subject could not be loaded on this machine: no pass",
}

_BY_VERDICT = {
    VerdictKind.CRASHED: Status.CRASHED,
    VerdictKind.HUNG: Status.HUNG,
    VerdictKind.WRONG_CONTRACT: Status.WRONG_CONTRACT,
    VerdictKind.DIVERGES: Status.DIVERGES,
    VerdictKind.UNREPEATABLE: Status.UNREPEATABLE,
}

COUNTS = [standing.value for standing in Standing]
DIMENSIONS = ("corner", "fill", "dtype", "mode", "rank")
_EXPECTED_VALUES: dict[str, Iterable[str]] = {
    "corner": CORNERS,
    "besides": BESIDES,
    "fill": [kind.value for kind in FillKind],
    "dtype": [dtype.value for dtype in DType],
    "mode": [mode.value for mode in Mode],
}


def all_clauses(clauses: Sequence[Clause], records: pd.DataFrame) -> tuple[Clause, ...]:
    """The registry's clauses, then one stand-in for each id that only the records know.

    Rows of an unknown clause (another version's, say) must not disappear from the report.
    """
    strangers = sorted(set(records["clause"]) - {clause.id for clause in clauses})
    return (*clauses, *map(_stranger, strangers))


def matrix(
    records: pd.DataFrame,
    clauses: Sequence[Clause],
    subjects: pd.DataFrame,
    reached: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row for every clause and every entry, in the order of ``clauses``, then by entry.

    ``subjects`` is the subjects frame. Cells without rows are there too; with ``reached``, what
    :func:`bnconform.reports.reach.reach` gave, it is told why they have none.
    """
    listed = all_clauses(clauses, records)
    cells = _counted(records, ["clause", "entry"])
    special = _most_serious(records)
    if reached is not None:
        outside = empty_cells(records, subjects, reached)
        reasons = {True: Status.UNSUPPORTED, False: Status.NOT_JUDGED}
        special |= {cell: reasons[value] for cell, value in outside.items()}
    available = _available(subjects)
    grid = [(clause.id, entry) for clause in listed for entry in available.index]
    index = pd.MultiIndex.from_tuples(grid, names=["clause", "entry"])
    frame = _fill(cells.reindex(index)).reset_index()
    about = {clause.id: clause for clause in listed}
    status = [
        _status(row, special.get((row.clause, row.entry)), available=bool(available[row.entry]))
        for row in rows(frame)
    ]
    return documented(
        "matrix",
        frame.assign(
            status=status,
            section=[about[name].section for name in frame["clause"]],
            level=[about[name].level.value for name in frame["clause"]],
        ),
    )


def subject_summary(
    records: pd.DataFrame, cells: pd.DataFrame, subjects: pd.DataFrame
) -> pd.DataFrame:
    """One row for each entry; ``cells`` is what :func:`matrix` gave."""
    available = _available(subjects)
    frame = _fill(_counted(records, ["entry"]).reindex(available.index))
    seconds = _call_seconds(records).reindex(available.index)
    frame = frame.assign(available=available, seconds=seconds.fillna(0.0))
    frame = _with_statuses(frame, cells, "entry", "clauses").drop(columns=["rows", "cases"])
    return documented("subject_summary", frame)


def clause_summary(
    records: pd.DataFrame, cells: pd.DataFrame, clauses: Sequence[Clause]
) -> pd.DataFrame:
    """One row for each clause, in order; ``cells`` is what :func:`matrix` gave."""
    listed = all_clauses(clauses, records)
    frame = _fill(_counted(records, ["clause"]).reindex([clause.id for clause in listed]))
    frame = frame.assign(
        section=[clause.section for clause in listed],
        level=[clause.level.value for clause in listed],
    )
    frame = _with_statuses(frame, cells, "clause", "subjects").drop(columns=["rows", "cases"])
    return documented("clause_summary", frame)


def looks(records: pd.DataFrame, cases: pd.DataFrame, topics: pd.DataFrame) -> pd.DataFrame:
    """Where was looked, and what was found: one row for each group of each dimension.

    Every corner, fill, format and mode that there is is listed, those without a case too, and what
    is looked at besides cases.
    """
    seen = besides(records, topics)
    held = seen.groupby("value")["case_id"].nunique()
    corners, *others = (_looks(records, cases, dimension) for dimension in DIMENSIONS)
    return pd.concat([corners, _tally(seen, held, "besides"), *others], ignore_index=True)


def _looks(records: pd.DataFrame, cases: pd.DataFrame, dimension: str) -> pd.DataFrame:
    pairs = [
        (case.case_id, value) for case in rows(cases) for value in _values(case, dimension) if value
    ]
    groups = pd.DataFrame(pairs, columns=["case_id", "value"], dtype="str")
    held = groups.groupby("value").size()
    return _tally(records.merge(groups, on="case_id"), held, dimension)


def _tally(seen: pd.DataFrame, held: pd.Series[int], dimension: str) -> pd.DataFrame:
    """The rows of a dimension: ``seen`` are records with their value, ``held`` cases by value."""
    values = _order([*_EXPECTED_VALUES.get(dimension, ()), *sorted(map(str, held.index))])
    index = pd.Index(values, name="value", dtype="str")
    frame = _fill(_counted(seen, ["value"]).reindex(index)).drop(columns="rows")
    numbers = held.reindex(index).fillna(0).astype("int64")
    judged = frame[[standing.value for standing in JUDGED]].sum(axis=1)
    frame = frame.assign(cases=numbers, judged=judged, dimension=dimension)
    return documented("looks", frame.reset_index())


def _values(case: Any, dimension: str) -> list[str]:
    """The groups of ``dimension`` that a row of the cases frame belongs to."""
    match dimension:
        case "corner":
            return str(case.corners).split(";")
        case "rank":
            return [str(len(case.shape.split("x")))]
        case _:
            return [str(getattr(case, dimension))]


def _order(values: Iterable[str]) -> list[str]:
    """Without repeats, in the order of first appearance."""
    return list(dict.fromkeys(values))


def _counted(records: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows by standing, their sum, different cases, and the worst ratio, for each group."""
    groups = records.groupby(keys)
    standings = [records[key] for key in keys]
    counts = pd.crosstab(standings, records["standing"]).rename_axis(columns=None)
    # A crash has no error ratio of its own, so it must not show as one of 0.
    compared = records["verdict"].isin([VerdictKind.CONFORMS, VerdictKind.DIVERGES])
    judged = records[compared & records["standing"].isin([kind.value for kind in JUDGED])]
    frame = counts.reindex(columns=COUNTS, fill_value=0)
    return frame.assign(
        rows=groups.size(),
        cases=groups["case_id"].nunique(),
        worst_error_ratio=judged.groupby(keys)["error_ratio"].max(),
    )


def _fill(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts of groups without rows are 0; their worst ratio stays missing."""
    counts = [*COUNTS, "rows", "cases"]
    return frame.assign(**{name: frame[name].fillna(0).astype("int64") for name in counts})


def _most_serious(records: pd.DataFrame) -> dict[tuple[str, str], Status]:
    """The most serious unexpected status of each cell that has one."""
    order = list(Status)
    wrong = records[records["standing"] == Standing.UNEXPECTED]
    found: dict[tuple[str, str], Status] = {}
    for row in rows(wrong[["clause", "entry", "verdict"]].drop_duplicates()):
        cell, status = (row.clause, row.entry), _BY_VERDICT[VerdictKind(row.verdict)]
        found[cell] = min(status, found.get(cell, status), key=order.index)
    return found


def _status(counts: object, special: Status | None, *, available: bool) -> str:
    """A cell's status: ``special`` where its counts do not tell it, else by its counts."""
    if special is not None:
        return special.value
    ladder = (
        ("known", Status.KNOWN),
        ("conforming", Status.CONFORMS),
        ("vacuous", Status.NOT_JUDGED),
        ("unsupported", Status.UNSUPPORTED),
    )
    for name, status in ladder:
        if getattr(counts, name):
            return status.value
    return (Status.NOT_RUN if available else Status.UNAVAILABLE).value


def _available(subjects: pd.DataFrame) -> pd.Series[bool]:
    """Entry -> whether it could be run in any of the runs; sorted by entry."""
    return subjects.groupby("entry")["available"].any()


def _call_seconds(records: pd.DataFrame) -> pd.Series[float]:
    """Time by entry; every row of a case repeats the time of the one call."""
    calls = records.drop_duplicates(["run", "entry", "case_id"])
    return calls.groupby("entry")["seconds"].sum()


def _with_statuses(frame: pd.DataFrame, cells: pd.DataFrame, key: str, noun: str) -> pd.DataFrame:
    """Add how many of the cells along ``key`` conform, are known, unexpected or absent."""
    kinds = {
        "conforming": (Status.CONFORMS,),
        "known": (Status.KNOWN,),
        "unexpected": UNEXPECTED_STATUSES,
        "absent": ABSENT_STATUSES,
    }
    columns = {}
    for kind, statuses in kinds.items():
        chosen = cells[cells["status"].isin([status.value for status in statuses])]
        tally = chosen.groupby(key).size().reindex(frame.index)
        columns[f"{noun}_{kind}"] = tally.fillna(0).astype("int64")
    return frame.assign(**columns).reset_index()


def _stranger(name: str) -> Clause:
    return Clause(
        id=name,
        section="Clauses that are not in this version's registry",
        level=Level.INFO,
        statement="Rows of these runs name this clause, but the registry does not have it.",
        equation="",
        source="the runs themselves",
    )
