"""The page of causes: why each subject diverges, one row for each cause."""

from __future__ import annotations

from typing import Any

from bnconform.conformance.explanation.names import Kind
from bnconform.reports.columns import rows
from bnconform.reports.pages import Cell, Facts, Link, Mark, Mono, Page, Paragraph, Section, Table
from bnconform.reports.summaries import Status
from bnconform.reports.views.report import (
    OVERVIEW,
    Report,
    clause_link,
    entry_link,
    known_link,
    where_words,
)
from bnconform.reports.words import slug

_KINDS: dict[Kind, str] = {
    Kind.CONVENTION: "another convention, tried on every case, gives what the subject gave",
    Kind.STAGE: "no convention does; the error enters at this step, and the rest follows from it",
    Kind.FORM: "no matter of values: shape, format, a missing answer, a call that was refused",
    Kind.UNEXPLAINED: "nothing that we know of accounts for it",
}

_EXAMPLES = 3
"""Divergences that a row leads to."""


def causes_page(report: Report) -> Page:
    """Why subjects diverge, subject by subject."""
    found = [*rows(report.runs.causes)]
    entries = sorted({row.entry for row in found})
    sections = [
        _section(report, entry, [r for r in found if r.entry == entry]) for entry in entries
    ]
    legend = Section(
        title="Kinds of cause",
        blocks=(Facts(tuple((kind.value, meaning) for kind, meaning in _KINDS.items())),),
    )
    return Page(
        title="Why subjects diverge",
        slug="causes",
        lead="All divergences of a subject that have one cause are one row. An alternative "
        "convention counts as a cause only if it accounts for what the subject gave, and nothing "
        "that the subject got right contradicts it; what cannot be explained is called so.",
        trail=(OVERVIEW,),
        wide=True,
        sections=(*sections, legend) if sections else (_nothing(), legend),
    )


def _nothing() -> Section:
    told = Paragraph("No run says why anything diverges: nothing did, or it was not asked.")
    return Section(title="Nothing to explain", blocks=(told,))


def _section(report: Report, entry: str, found: list[Any]) -> Section:
    headings = (
        "Cause",
        "What the subject does",
        "Where",
        "Clauses",
        "In",
        "Results",
        "For example",
    )
    table = Table(headings, tuple(_row(report, each) for each in found))
    return Section(title=entry_link(entry), anchor=slug(entry), blocks=(table,))


def _row(report: Report, cause: Any) -> tuple[Cell, ...]:
    return (
        (Mono(cause.name), " ", cause.kind if cause.kind == Kind.STAGE else ""),
        cause.sentence,
        where_words(cause.where),
        _joined([clause_link(name) for name in cause.clauses.split(";")]),
        cause.quantities.replace(";", ", "),
        cause.count,
        _examples(report, cause),
    )


def _examples(report: Report, cause: Any) -> Cell:
    """Links to a few divergences, unexpected ones first, and the known entries that cover them."""
    mine = set(cause.divergences.split(";"))
    shown = [each for each in report.divergences(entry=cause.entry) if each.id in mine]
    shown.sort(key=lambda each: (each.known != "", each.id))
    known = sorted({each.known for each in shown if each.known})
    links = [Link(each.id, f"{each.page}.html") for each in shown[:_EXAMPLES]]
    status = Status.DIVERGES if any(not each.known for each in shown) else Status.KNOWN
    return (Mark(status), " ", *_joined([*links, *(known_link(name) for name in known)]))


def _joined(links: list[Link]) -> tuple[Link | str, ...]:
    return tuple(piece for link in links for piece in (link, " "))
