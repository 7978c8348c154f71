"""The page of accuracy grades: how close to exact each subject is in each format."""

from __future__ import annotations

from typing import Any

from bnconform.conformance.formats import DType
from bnconform.conformance.judging.grades import LAMBDA, MEANINGS, SHARE
from bnconform.reports.columns import rows
from bnconform.reports.pages import Cell, Facts, Page, Paragraph, Section, Table
from bnconform.reports.views.report import OVERVIEW, Report, entry_link

_HOW = (
    f"A grade is the best that {SHARE:.0%} of a subject's judged results in a format reach, known "
    "divergences included. It compares the largest error / bound of each result with what sums of "
    "its length promise: a tree of additions (A), additions whose roundings are independent (B, "
    f"{LAMBDA:g} deviations), additions whose roundings conspire (C). A lower grade accuses "
    "nobody: of two subjects that conform it says which is closer."
)
_NOTHING = "no result"


def grades_page(report: Report) -> Page:
    """Subjects by formats, then the counts behind each grade."""
    found = list(rows(report.frames["grades"]))
    graded = tuple(row for row in found if row.results)
    return Page(
        title="Accuracy grades",
        slug="accuracy",
        lead="How close to the exact result each subject comes, among answers that may all be "
        "correct.",
        trail=(OVERVIEW,),
        sections=(
            Section(title="Grades", blocks=(Paragraph(_HOW), _by_format(found), _legend())),
            Section(title="Results behind the grades", blocks=(_counts(graded),)),
        ),
    )


def _by_format(found: list[Any]) -> Table:
    grades = {(row.entry, row.dtype): row.grade for row in found}
    entries = list(dict.fromkeys(row.entry for row in found))
    lines: list[tuple[Cell, ...]] = [
        (
            entry_link(entry),
            *(grades[entry, dtype.value] or _NOTHING for dtype in DType),
        )
        for entry in entries
    ]
    return Table(("Subject", *(dtype.value for dtype in DType)), tuple(lines))


def _legend() -> Facts:
    meanings = tuple((grade.value, text) for grade, text in MEANINGS.items())
    return Facts((*meanings, (_NOTHING, "nothing could be judged: no grade")))


def _counts(graded: tuple[Any, ...]) -> Table | Paragraph:
    if not graded:
        return Paragraph("No result of these runs could be graded.")
    lines: tuple[tuple[Cell, ...], ...] = tuple(
        (
            entry_link(row.entry), row.dtype, row.grade, row.results, row.grade_a, row.grade_b,
            row.grade_c, row.grade_d,
        )
        for row in graded
    )  # fmt: skip
    return Table(("Subject", "Format", "Grade", "Results", "A", "B", "C", "D"), lines)
