"""One page for each clause, and the page that lists them all."""

from __future__ import annotations

import inspect
from itertools import groupby
from typing import Any

import pandas as pd

from bnconform.conformance import document
from bnconform.conformance.clauses import Clause
from bnconform.conformance.sections import JUDGING, SECTIONS, SYMBOLS, WORDS
from bnconform.reports.columns import rows
from bnconform.reports.frames import Standing
from bnconform.reports.pages import (
    Block,
    Cell,
    Facts,
    Link,
    Mark,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
    contrasted,
)
from bnconform.reports.summaries import MEANINGS, Status
from bnconform.reports.views.report import (
    CLAUSES,
    LEVELS,
    OVERVIEW,
    Report,
    case_cell,
    cell_link,
    clause_link,
    clause_slug,
    entry_link,
    known_link,
)
from bnconform.reports.words import grouped, plural, slug

SHOWN, SHOWN_CONFORMING = 5, 2
"""Rows that a page shows of one cell; the data files hold all of them."""

_SERIOUS = [
    Standing.UNEXPECTED,
    Standing.KNOWN,
    Standing.CONFORMING,
    Standing.VACUOUS,
    Standing.UNSUPPORTED,
]


def clause_page(report: Report, clause: Clause) -> Page:
    """What the clause says, who conforms, and for each subject the evidence."""
    evidence = tuple(_evidence(report, clause, entry) for entry in report.runs.entries)
    return Page(
        title=clause.id or "(no clause)",
        slug=f"clauses/{clause_slug(clause.id)}",
        lead=clause.statement,
        trail=(OVERVIEW, CLAUSES),
        sections=(
            Section(title="The clause", blocks=(Facts(_about(clause)),)),
            Section(title="Who conforms", blocks=(_standings(report, clause),)),
            *evidence,
        ),
    )


def spec_page(report: Report) -> Page:
    """All clauses by section."""
    sections = groupby(report.clauses, key=lambda clause: clause.section)
    return Page(
        title="The clauses",
        slug="spec",
        lead="What the standard requires, section by section, and how many subjects comply.",
        trail=(OVERVIEW,),
        wide=True,
        sections=(
            Section(title="Words and symbols", blocks=(*_paragraphs(WORDS), Facts(SYMBOLS))),
            Section(title="How an answer is judged", blocks=_paragraphs(JUDGING)),
            *(
                Section(
                    title=name,
                    anchor=slug(name),
                    blocks=(
                        *_paragraphs(SECTIONS.get(name, "")),
                        _listing(report, list(clauses)),
                    ),
                )
                for name, clauses in sections
            ),
        ),
    )


def _paragraphs(text: str) -> tuple[Paragraph, ...]:
    """The standard's prose as a block, without the document's emphasis marks; none for none."""
    return (Paragraph(text.replace("*", "").replace("`", "")),) if text else ()


def equation(name: str) -> Cell:
    """The function of the spec that states an equation, with the first line of what it says."""
    if not name:
        return "none: the clause is about behaviour, not about a formula"
    function = document.equation(name)
    text = None if function is None else inspect.getdoc(function)
    if not text:
        return Mono(name)
    return (Mono(name), f": {text.splitlines()[0].replace('``', '')}")


def _about(clause: Clause) -> tuple[tuple[str, Cell], ...]:
    return (
        ("Level", f"{clause.level.value}: {LEVELS[clause.level]}"),
        ("Section", clause.section),
        ("Equation", equation(clause.equation)),
        ("Source", clause.source),
    )


def _listing(report: Report, clauses: list[Clause]) -> Table:
    summary = {row.clause: row for row in rows(report.frames["clause_summary"])}
    headings = (
        "Clause", "Level", "What it says", "Equation", "Source", "Conform", "Known", "Unexpected",
        "No evidence",
    )  # fmt: skip
    return Table(
        headings,
        tuple(
            (
                clause_link(clause.id),
                clause.level.value,
                clause.statement,
                Mono(clause.equation) if clause.equation else "",
                clause.source,
                summary[clause.id].subjects_conforming,
                summary[clause.id].subjects_known,
                summary[clause.id].subjects_unexpected,
                summary[clause.id].subjects_absent,
            )
            for clause in clauses
        ),
    )


def _standings(report: Report, clause: Clause) -> Table:
    headings = (
        "Subject", "Status", "Cases", "Conforming", "Unexpected", "Known", "Not judged",
        "Unsupported", "Largest error / bound",
    )  # fmt: skip
    cells = [report.cells[clause.id, entry] for entry in report.runs.entries]
    return Table(
        headings,
        tuple(
            (
                cell_link(clause.id, cell.entry, cell.entry),
                Mark(Status(cell.status)),
                cell.cases,
                cell.conforming,
                cell.unexpected,
                cell.known,
                cell.vacuous,
                cell.unsupported,
                cell.worst_error_ratio,
            )
            for cell in cells
        ),
    )


def _evidence(report: Report, clause: Clause, entry: str) -> Section:
    status = report.status(clause.id, entry)
    return Section(
        title=entry_link(entry),
        anchor=slug(entry),
        mark=status,
        blocks=(
            Paragraph(_sentence(report, clause, entry)),
            *_pages(report, clause, entry),
            *_examples(report, clause, entry),
        ),
    )


def _sentence(report: Report, clause: Clause, entry: str) -> Cell:
    """A cell in words."""
    cell = report.cells[clause.id, entry]
    status = Status(cell.status)
    meaning = f"{MEANINGS[status].capitalize()}."
    if status is Status.UNAVAILABLE:
        frame = report.runs.subjects
        reasons = sorted(set(frame[frame["entry"] == entry]["reason"]))
        return f"{meaning} {'; '.join(reasons)}"
    if not cell.rows:
        return meaning
    judged = cell.conforming + cell.known + cell.unexpected
    told = "" if judged == cell.rows else f", {grouped(judged)} of them judged"
    return f"{meaning} {plural(cell.rows, 'result')} over {plural(cell.cases, 'case')}{told}."


def _pages(report: Report, clause: Clause, entry: str) -> tuple[Block, ...]:
    found = report.divergences(clause=clause.id, entry=entry)
    if not found:
        return ()
    headings = ("Divergence", "Quantity", "Cause", "Known as", "Results", "What happened")
    lines = tuple(
        (
            Link(row.id, f"{row.page}.html"),
            Mono(row.quantity),
            row.cause or row.verdict,
            known_link(row.known) if row.known else "",
            row.count,
            row.message,
        )
        for row in found
    )
    return (Table(headings, lines, caption="Explained and reduced to a small case"),)


def _examples(report: Report, clause: Clause, entry: str) -> tuple[Block, ...]:
    """The most telling rows of a cell: the most serious first, then the largest error ratio."""
    records = report.records(clause.id, entry)
    if not len(records):
        return ()
    order = records["standing"].map({kind.value: rank for rank, kind in enumerate(_SERIOUS)})
    ranked = records.assign(order=order).sort_values(
        ["order", "error_ratio", "case_id", "quantity"], ascending=[True, False, True, True]
    )
    conforms = report.status(clause.id, entry) is Status.CONFORMS
    shown = ranked.head(SHOWN_CONFORMING if conforms else SHOWN)
    which = "closest to their bounds" if conforms else "worst first"
    caption = f"{len(shown)} of {plural(len(ranked), 'result')}, {which}"
    return (_examples_table(report, shown, caption),)


def _examples_table(report: Report, records: pd.DataFrame, caption: str) -> Table:
    """The rows; what happened is told in a column of its own where there is something to tell."""
    headings = ("Case", "Quantity", "Result", "Error / bound", "Expected", "Got", "Bound")
    lines = tuple(_example(report, row) for row in rows(records))
    if (records["message"] == "").all():
        return Table(headings, lines, caption=caption)
    told = tuple((*line, row.message) for line, row in zip(lines, rows(records), strict=True))
    return Table((*headings, "What happened"), told, caption=caption)


def _example(report: Report, row: Any) -> tuple[Cell, ...]:
    return (
        case_cell(row.case_id, report.cases.get(row.case_id)),
        Mono(row.quantity),
        _result(row),
        row.error_ratio,
        *contrasted(row.expected, row.got),
        row.bound,
    )


def _result(row: Any) -> Cell:
    """A row's outcome in words."""
    verdict = row.verdict.replace("_", " ")
    if row.standing == Standing.KNOWN:
        return (verdict, ", known as ", known_link(row.known))
    return "not judged" if row.standing == Standing.VACUOUS else verdict
