"""The pages about all subjects at once: where was looked, what is known, what the data mean."""

from __future__ import annotations

from typing import Any

from bnconform.reports.columns import FRAMES, rows
from bnconform.reports.pages import (
    Block,
    Cell,
    Facts,
    Inline,
    Link,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
)
from bnconform.reports.views.report import OVERVIEW, Report, clause_link, entry_link
from bnconform.reports.words import plural, slug

_DIMENSIONS = {
    "corner": ("Corners", "Places in the space of cases in which implementations tend to fail."),
    "besides": ("Besides cases", "What shows in every call, or in calls of another kind."),
    "fill": ("Values", "The family that the input values are drawn from."),
    "dtype": ("Formats", "The number format of the input."),
    "mode": ("Modes", "What the layer was asked to do."),
    "rank": ("Ranks", "The number of dimensions of the input."),
}

_FRAME_WORDS = {
    "matrix": "one row for each clause and subject: the first page's matrix",
    "subject_summary": "one row for each subject",
    "clause_summary": "one row for each clause",
    "looks": "one row for each group of cases: how often was looked, what was found",
    "grades": "one row for each subject and format: how many results got which accuracy grade",
    "divergences": "one row for each divergence that was reduced to a small case",
    "known": "one row for each known divergence",
    "subjects": "one row for each subject of each run",
    "cases": "one row for each case",
    "topics": "one row for each experiment and each malformed call",
    "causes": "why subjects diverge, one row for each cause",
    "runs": "one row for each run",
    "records": "one row for each judged quantity, case and subject; all else is made from these",
}


_DATA = (
    "Everything on these pages comes from the tables below. Take them as Parquet or as CSV; the "
    "dictionary is also in "
)


def looks_page(report: Report) -> Page:
    """How often each corner of the case space was looked at, and what was found."""
    groups: dict[str, list[Any]] = {}
    for row in rows(report.frames["looks"]):
        groups.setdefault(row.dimension, []).append(row)
    return Page(
        title="Where was looked, and what was found",
        slug="cases",
        lead="Nothing can be found where nobody looks: a group without judged results is no "
        "evidence, whatever its other columns say.",
        trail=(OVERVIEW,),
        wide=True,
        sections=tuple(
            Section(
                title=title,
                anchor=name,
                blocks=(
                    Paragraph(about),
                    _looks_table(groups.get(name, []), max(len(report.runs.cases), 1)),
                ),
            )
            for name, (title, about) in _DIMENSIONS.items()
        ),
    )


def _looks_table(groups: list[Any], whole: int) -> Block:
    """``whole`` is the number of cases that shares are of."""
    if not groups:
        return Paragraph("No case of these runs is marked with one.")
    headings = (
        "Group", "In short", "Cases", "Share", "Results judged", "Unexpected", "Known",
        "Not judged", "Unsupported", "Largest error / bound",
    )  # fmt: skip
    return Table(
        headings,
        tuple(
            (
                Mono(row.value),
                _found(row),
                row.cases,
                f"{row.cases / whole:.1%}" if row.dimension != "besides" else "",
                row.judged,
                row.unexpected,
                row.known,
                row.vacuous,
                row.unsupported,
                row.worst_error_ratio,
            )
            for row in groups
        ),
    )


def _found(row: Any) -> str:
    if not row.cases:
        return "never looked: no case"
    if not row.judged:
        return "looked in vain: nothing could be judged"
    total = row.unexpected + row.known
    if not total:
        return f"looked {plural(row.judged, 'time')}, found nothing"
    known = {0: "none", total: "all"}.get(row.known, str(row.known))
    found = f"{plural(total, 'diverging result')}, {known} of them known"
    return f"looked {plural(row.judged, 'time')}, found {found}"


def known_page(report: Report) -> Page:
    """Every known divergence: what it covers, and why it is accepted."""
    known = list(rows(report.runs.known))
    used = set(report.runs.records["known"]) | set(report.runs.divergences["known"])
    unnamed = sorted(used - {"", *report.runs.known["id"]})
    nothing = Section(title="None", blocks=(Paragraph("These runs know of no divergence."),))
    return Page(
        title="Known divergences",
        slug="known",
        lead="Each is recorded with its reason and evidence, and covers only the results it "
        "names. One that "
        "was looked for and not found, or that is past its review date, fails the run.",
        trail=(OVERVIEW,),
        sections=(
            *(_known_section(report, row) for row in known),
            *(_unnamed_section(name) for name in unnamed),
        )
        or (nothing,),
    )


def _known_section(report: Report, row: Any) -> Section:
    facts: tuple[tuple[str, Cell], ...] = (
        ("State", f"{row.state}, {plural(row.rows, 'result')}"),
        ("Subjects", _entries(report, row.subject)),
        ("Clauses", _clauses(report, row.clause)),
        ("Quantities", row.quantity.replace(";", ", ") or "all"),
        ("Versions", row.versions or "all"),
        ("Only where", row.where or "no condition"),
        ("Reason", row.reason),
        ("Evidence", row.evidence),
        ("Upstream", row.upstream or "not reported"),
        ("Since", row.date),
        ("Review by", row.review_by),
    )
    found = report.divergences(known=row.id)
    pages = tuple(
        (Link(item.id, f"{item.page}.html"), Mono(item.quantity), item.count, item.message)
        for item in found
    )
    table = (Table(("Divergence", "Quantity", "Results", "What happened"), pages),) if pages else ()
    return Section(title=Mono(row.id), anchor=slug(row.id), blocks=(Facts(facts), *table))


def _unnamed_section(name: str) -> Section:
    text = "Results name this entry, but the run's manifest has no text for it."
    return Section(title=Mono(name), anchor=slug(name), blocks=(Paragraph(text),))


def _entries(report: Report, subjects: str) -> Cell:
    """Links to all entries of these subjects; the name alone of one that no run has."""
    entries = report.runs.subjects[["subject", "entry"]].drop_duplicates()
    parts: list[Inline] = []
    for subject in subjects.split(";"):
        mine = sorted(entries[entries["subject"] == subject]["entry"])
        parts += [entry_link(entry) for entry in mine] or [subject]
    return _spaced(parts)


def _clauses(report: Report, names: str) -> Cell:
    if not names:
        return "all"
    listed = {clause.id for clause in report.clauses}
    return _spaced([clause_link(name) if name in listed else name for name in names.split(";")])


def _spaced(parts: list[Inline]) -> Cell:
    """The parts with commas between them."""
    return tuple(piece for part in parts for piece in (", ", part))[1:]


def data_page(report: Report) -> Page:
    """The data dictionary, with the files."""
    return Page(
        title="The data",
        slug="data",
        lead=(
            _DATA,
            Link("README.md", "data/README.md"),
            ".",
        ),
        trail=(OVERVIEW,),
        sections=tuple(_frame_section(report, name) for name in report.frames),
    )


def _frame_section(report: Report, name: str) -> Section:
    size = plural(len(report.frames[name]), "row")
    links = (Link("Parquet", f"data/{name}.parquet"), ", ", Link("CSV", f"data/{name}.csv"))
    columns = tuple((Mono(column), text) for column, text in FRAMES[name].items())
    return Section(
        title=Mono(name),
        anchor=name,
        blocks=(
            Paragraph((f"{_FRAME_WORDS[name].capitalize()}. {size}: ", *links)),
            Table(("Column", "Meaning"), columns),
        ),
    )
