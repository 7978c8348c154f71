"""One page for each subject: what it is, what it claims, what it does about every clause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bnconform.conformance.record import VerdictKind
from bnconform.reports.columns import rows
from bnconform.reports.pages import (
    Block,
    Cell,
    Facts,
    Figures,
    Link,
    Mark,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
)
from bnconform.reports.summaries import Status
from bnconform.reports.views.report import OVERVIEW, Report, cell_link, clause_link, known_link
from bnconform.reports.words import grouped, slug

_CLAIMS = {
    "momentum": "what its momentum argument weighs: the old value (decay) or the new one (rate)",
    "default_momentum": "momentum when none is given, in its own sense",
    "default_epsilon": "epsilon when none is given",
    "epsilon_floor": "least epsilon that it uses, whatever it is given",
    "running_variance": "which variance enters the running average",
    "variance": "how the variance is computed, which decides the error bound",
    "single_value": "what it does with one value per channel in training",
    "empty_batch": "what it does with no values",
    "frozen": "which statistics a layer uses in training once it is marked as not trainable",
    "half_output": "format of the output for half-precision input with float32 parameters",
}


def subject_page(report: Report, entry: str) -> Page:
    """The page of one entry."""
    frame = report.runs.subjects
    held = list(rows(frame[frame["entry"] == entry].sort_values("available", ascending=False)))
    return Page(
        title=entry,
        slug=f"subjects/{slug(entry)}",
        lead=_lead(held[0]),
        trail=(OVERVIEW, Link("Subjects", "index.html#subjects")),
        wide=True,
        sections=(
            Section(title="In short", blocks=(_figures(report, entry), *_absences(held))),
            Section(title="Clause by clause", blocks=(_clauses(report, entry),)),
            Section(title="Divergences", blocks=_divergences(report, entry)),
            Section(title="What it declares", blocks=_dialect(json.loads(held[0].dialect))),
            Section(title="What it can be asked", blocks=_abilities(held[0])),
            Section(title="What it does not support", blocks=_unsupported(report, entry)),
        ),
    )


def _lead(subject: Any) -> Cell:
    if not subject.available:
        return (Mark(Status.UNAVAILABLE), f" It could not be run: {subject.reason}")
    return f"{subject.framework} {subject.version} on {subject.device}."


def _absences(held: list[Any]) -> tuple[Block, ...]:
    """Runs in which the subject was unavailable although it ran in another."""
    if not held[0].available:
        return ()
    return tuple(
        Paragraph(f"It was unavailable in run {row.run}: {row.reason}", aside=True)
        for row in held
        if not row.available
    )


def _figures(report: Report, entry: str) -> Figures:
    frame = report.frames["subject_summary"]
    summary = next(iter(rows(frame[frame["entry"] == entry])))
    return Figures(
        (
            (grouped(summary.clauses_conforming), "clauses conform"),
            (grouped(summary.clauses_known), "clauses with known divergences"),
            (grouped(summary.clauses_unexpected), "clauses with something unexpected"),
            (grouped(summary.clauses_absent), "clauses without evidence"),
            (summary.worst_error_ratio, "largest error / bound"),
        )
    )


def _clauses(report: Report, entry: str) -> Table:
    headings = (
        "Clause", "Status", "Level", "What it says", "Conforming", "Unexpected", "Known",
        "Not judged", "Unsupported", "Largest error / bound",
    )  # fmt: skip
    return Table(
        headings, tuple(_clause_row(report, clause.id, entry) for clause in report.clauses)
    )


def _clause_row(report: Report, clause: str, entry: str) -> tuple[Cell, ...]:
    cell = report.cells[clause, entry]
    statement = next(known.statement for known in report.clauses if known.id == clause)
    return (
        cell_link(clause, entry, clause_link(clause).text),
        Mark(Status(cell.status)),
        cell.level,
        statement,
        cell.conforming,
        cell.unexpected,
        cell.known,
        cell.vacuous,
        cell.unsupported,
        cell.worst_error_ratio,
    )


def _divergences(report: Report, entry: str) -> tuple[Block, ...]:
    found = report.divergences(entry=entry)
    if not found:
        return (Paragraph("None was recorded."),)
    headings = ("Divergence", "Clause", "Quantity", "Cause", "Known as", "Results", "What happened")
    lines = tuple(
        (
            Link(row.id, f"{row.page}.html"),
            clause_link(row.clause),
            Mono(row.quantity),
            row.cause or row.verdict,
            known_link(row.known) if row.known else "unexpected",
            row.count,
            row.message,
        )
        for row in found
    )
    return (Table(headings, lines),)


def _dialect(dialect: Mapping[str, Mapping[str, object]]) -> tuple[Block, ...]:
    if not dialect:
        return (Paragraph("Nothing was declared."),)
    note = (
        "These conventions are claims of the subject's documentation. Results are judged by them, "
        "so a subject that does something else diverges."
    )
    lines = tuple(
        (
            Mono(field),
            _CLAIMS.get(field, ""),
            Mono("none" if claim["value"] is None else str(claim["value"])),
            str(claim["source"]),
        )
        for field, claim in dialect.items()
    )
    return (Paragraph(note), Table(("Convention", "Meaning", "Declared", "Source"), lines))


def _abilities(subject: Any) -> tuple[Block, ...]:
    abilities: Mapping[str, object] = json.loads(subject.capabilities)
    if not abilities:
        return (Paragraph("Nothing was declared."),)
    return (Facts(tuple((name, _ability(value)) for name, value in abilities.items())),)


def _ability(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {text}" for name, text in value.items()) or "none"
    return str(value)


def _unsupported(report: Report, entry: str) -> tuple[Block, ...]:
    records = report.runs.records
    held = records[
        (records["entry"] == entry) & (records["verdict"] == VerdictKind.UNSUPPORTED.value)
    ]
    if not len(held):
        return (Paragraph("No result was answered with 'unsupported'."),)
    groups = held.groupby("message").agg(rows=("case_id", "size"), cases=("case_id", "nunique"))
    ordered = groups.reset_index().sort_values(["rows", "message"], ascending=[False, True])
    lines = tuple((row.message or "no reason given", row.rows, row.cases) for row in rows(ordered))
    return (Table(("Reason", "Results", "Cases"), lines),)
