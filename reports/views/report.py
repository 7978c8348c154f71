"""What every view needs: the frames, looked up by clause and entry, and where pages lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from bnconform.conformance.clauses import Clause, Level
from bnconform.reports.accuracy import grades
from bnconform.reports.columns import rows
from bnconform.reports.frames import Runs
from bnconform.reports.pages import Cell, Fold, Link, Mono
from bnconform.reports.reach import reach
from bnconform.reports.summaries import (
    Status,
    all_clauses,
    clause_summary,
    looks,
    matrix,
    subject_summary,
)
from bnconform.reports.words import short, slug

OVERVIEW = Link("Overview", "index.html")
CLAUSES = Link("Clauses", "spec.html")

LEVELS: dict[Level, str] = {
    Level.MUST: "an implementation that does otherwise is wrong",
    Level.SHOULD: "doing otherwise needs a good reason",
    Level.MAY: "implementations are free here, and say what they do",
    Level.INFO: "recorded, not judged",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The runs and the clauses that a site is made of, with the summaries of both."""

    runs: Runs
    registry: tuple[Clause, ...]

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The registry and what only the records know."""
        return all_clauses(self.registry, self.runs.records)

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every frame of ``FRAMES``, by name."""
        records, clauses = self.runs.records, self.registry
        cells = matrix(records, clauses, self.runs.subjects, reach(self.runs.cases))
        return {
            "matrix": cells,
            "subject_summary": subject_summary(records, cells, self.runs.subjects),
            "clause_summary": clause_summary(records, cells, clauses),
            "looks": looks(records, self.runs.cases, self.runs.topics),
            "grades": grades(records, self.runs.subjects),
            "divergences": self.runs.divergences,
            "causes": self.runs.causes,
            "known": self.runs.known,
            "subjects": self.runs.subjects,
            "cases": self.runs.cases,
            "topics": self.runs.topics,
            "runs": self.runs.runs,
            "records": records,
        }

    @cached_property
    def cells(self) -> dict[tuple[str, str], Any]:
        """(clause, entry) -> row of the matrix frame."""
        return {(row.clause, row.entry): row for row in rows(self.frames["matrix"])}

    @cached_property
    def cases(self) -> dict[str, str]:
        """Id of a case, an experiment or a malformed call -> its JSON."""
        return {
            str(row.case_id): str(row.json)
            for frame in (self.runs.cases, self.runs.topics)
            for row in rows(frame)
        }

    @cached_property
    def _records_by_cell(self) -> dict[tuple[str, str], pd.DataFrame]:
        groups = self.runs.records.groupby(["clause", "entry"])
        return {(str(clause), str(entry)): group for (clause, entry), group in groups}

    def records(self, clause: str, entry: str) -> pd.DataFrame:
        """The rows of one cell."""
        return self._records_by_cell.get((clause, entry), self.runs.records.iloc[:0])

    def status(self, clause: str, entry: str) -> Status:
        """The status of one cell."""
        return Status(self.cells[clause, entry].status)

    def divergences(self, **having: str) -> Sequence[Any]:
        """Rows of the divergences frame that have the given values."""
        frame = self.runs.divergences
        for column, value in having.items():
            frame = frame[frame[column] == value]
        return list(rows(frame))

    def causes(self, run: int, divergence: str) -> Sequence[Any]:
        """Rows of the causes frame that account for a divergence."""
        found = rows(self.runs.causes[self.runs.causes["run"] == run])
        return [row for row in found if divergence in row.divergences.split(";")]


def clause_link(name: str) -> Link:
    """To the page of a clause; an empty id, which a row without a clause has, is named."""
    return Link(name or "(no clause)", f"clauses/{clause_slug(name)}.html")


def clause_slug(name: str) -> str:
    """File name of a clause's page, without its suffix."""
    return slug(name or "(no clause)")


def entry_link(entry: str) -> Link:
    """To the page of a subject."""
    return Link(entry, f"subjects/{slug(entry)}.html")


def cell_link(clause: str, entry: str, text: str) -> Link:
    """To the part of a clause's page that is about one subject."""
    return Link(text, f"{clause_link(clause).href}#{slug(entry)}")


def known_link(name: str) -> Link:
    """To the entry of a known divergence."""
    return Link(name, f"known.html#{slug(name)}")


def cause_link(row: Any) -> Link:
    """To the subject's part of the page of causes, by what the cause is called."""
    return Link(row.name, f"causes.html#{slug(row.entry)}")


def where_words(where: str) -> str:
    """Where something shows, from its JSON: ``rank at least 4, layout channels_last``."""
    facts = json.loads(where)
    return ", ".join(_fact_words(name, facts[name]) for name in facts) or "wherever it can show"


def _fact_words(name: str, wanted: Any) -> str:
    told = name.replace("_", " ")
    if isinstance(wanted, dict):
        words = {"min": "at least", "max": "at most"}
        limits = " and ".join(f"{words[key]} {wanted[key]}" for key in wanted)
        return f"{told} {limits}"
    if isinstance(wanted, list):
        return f"{told} {' or '.join(str(value) for value in wanted)}"
    return f"{told} {str(wanted).lower() if isinstance(wanted, bool) else wanted}"


def case_words(case: Mapping[str, Any]) -> str:
    """A case in one line: ``float32 8x3x4x4, axis 1, train, 3 steps, offset 1e+04``.

    Experiments and malformed calls say what they are.
    """
    if "experiment" in case:
        return f"experiment {case['experiment']}: {case['purpose']}"
    if "malformation" in case:
        return f"malformed call: {case['what']}; otherwise {case_words(case['base'])}"
    axes = ", ".join(str(axis) for axis in case["feature_axes"])
    fill = case["fill"]
    offset = f" {short(fill['offset'])}" if fill["offset"] else ""
    steps = f", {case['steps']} steps" if case["steps"] != 1 else ""
    shape = "x".join(str(size) for size in case["shape"])
    return f"{case['dtype']} {shape}, axis {axes}, {case['mode']}{steps}, {fill['kind']}{offset}"


def case_cell(case_id: str, text: str | None) -> Cell:
    """A case as id, line, and JSON to copy; the id alone where the case is not in the run."""
    if text is None:
        return Mono(case_id or "–")  # noqa: RUF001 - an en dash is what tables use for "none"
    return (Mono(case_id), " ", Fold(case_words(json.loads(text)), text))
