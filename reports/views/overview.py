"""The first page: what was run, how it went, and the matrix of clauses by subjects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from bnconform.conformance.clauses import Clause
from bnconform.reports.columns import rows
from bnconform.reports.frames import JUDGED
from bnconform.reports.pages import (
    Block,
    Cell,
    Facts,
    Figures,
    Fold,
    Link,
    Mark,
    Matrix,
    MatrixCell,
    MatrixHead,
    MatrixRow,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
)
from bnconform.reports.shards import gaps
from bnconform.reports.summaries import ABSENT_STATUSES, MEANINGS, UNEXPECTED_STATUSES, Status
from bnconform.reports.views.report import Report, cell_link, clause_link, entry_link
from bnconform.reports.words import grouped, plural

_WHAT = (
    "An executable standard says, in numbered clauses, what batch normalization must compute. "
    "Each subject below, one implementation of it, answered the same generated cases, and every "
    "answer was compared with a high-precision reference within an error bound that is derived "
    "from the case."
)


_LEGEND = (
    Status.CONFORMS, Status.KNOWN, *UNEXPECTED_STATUSES[::-1], *ABSENT_STATUSES
)  # fmt: skip


def overview(report: Report) -> Page:
    """The page at the site's root."""
    return Page(
        title="Which implementations of batch normalization conform",
        slug="index",
        lead=_WHAT,
        wide=True,
        sections=(
            Section(title="In short", blocks=(_figures(report), *_gaps(report))),
            Section(title="Clauses by subjects", anchor="matrix", blocks=_matrix_blocks(report)),
            Section(title="Unexpected divergences", anchor="unexpected", blocks=_wrong(report)),
            Section(title="Subjects", anchor="subjects", blocks=(_subjects(report),)),
            Section(title="The runs", anchor="runs", blocks=_runs(report)),
        ),
    )


def _tally(report: Report) -> dict[str, int]:
    return {str(k): int(n) for k, n in report.runs.records["standing"].value_counts().items()}


def _figures(report: Report) -> Figures:
    tally = _tally(report)
    available = report.frames["subject_summary"]["available"]
    touched = report.frames["clause_summary"]
    judged = int((touched[[kind.value for kind in JUDGED]].sum(axis=1) > 0).sum())
    return Figures(
        (
            (f"{int(available.sum())} of {len(available)}", "subjects available"),
            (f"{judged} of {len(touched)}", "clauses with a judged result"),
            (grouped(len(report.runs.cases)), "cases"),
            (grouped(tally.get("conforming", 0)), "results conform"),
            (grouped(tally.get("unexpected", 0)), "unexpected results"),
            (grouped(tally.get("known", 0)), "results diverge as known"),
            (grouped(tally.get("vacuous", 0)), "results could not be judged"),
            (grouped(tally.get("unsupported", 0)), "results unsupported"),
        )
    )


def _gaps(report: Report) -> Iterable[Block]:
    """The outcome, and before it what it does not speak of."""
    found = gaps(report.runs)
    if found:
        yield Paragraph(f"This report is incomplete: {'; '.join(found)}.", aside=True)
    yield Paragraph(_verdict(report))


def _verdict(report: Report) -> str:
    """The outcome in a sentence; nothing judged is said, never passed over."""
    tally = _tally(report)
    judged = sum(tally.get(kind.value, 0) for kind in JUDGED)
    if not judged:
        return "Nothing was judged: these runs say nothing about any subject."
    wrong = tally.get("unexpected", 0)
    cells = report.frames["matrix"]["status"].isin([kind.value for kind in UNEXPECTED_STATUSES])
    if not wrong:
        return f"Nothing unexpected was found in {plural(judged, 'judged result')}."
    return (
        f"{plural(wrong, 'result')} of {grouped(judged)} judged were unexpected, in "
        f"{plural(int(cells.sum()), 'cell')} of the matrix."
    )


def _matrix_blocks(report: Report) -> tuple[Block, ...]:
    intro = (
        "A cell is what one subject does about one clause; it leads to the evidence. Small figures "
        "are results: unexpected or known of all judged. Only 'conforms' is a pass."
    )
    legend = Table(("Sign", "Meaning"), tuple((Mark(kind), MEANINGS[kind]) for kind in _LEGEND))
    signs = tuple(piece for kind in _LEGEND for piece in (Mark(kind), " "))
    return (Paragraph(intro), Paragraph(signs), _matrix(report), legend)


def _matrix(report: Report) -> Matrix:
    sections = groupby(report.clauses, key=lambda clause: clause.section)
    return Matrix(
        heads=tuple(_head(report, entry) for entry in report.runs.entries),
        groups=tuple(
            (section, tuple(_matrix_row(report, clause) for clause in clauses))
            for section, clauses in sections
        ),
    )


def _head(report: Report, entry: str) -> MatrixHead:
    subjects = report.runs.subjects
    rows_of_entry = subjects[subjects["entry"] == entry]
    chosen = next(iter(rows(rows_of_entry.sort_values("available", ascending=False))))
    detail = f"{chosen.framework} {chosen.version}" if chosen.available else "unavailable"
    return MatrixHead(name=entry_link(entry), detail=detail)


def _matrix_row(report: Report, clause: Clause) -> MatrixRow:
    return MatrixRow(
        name=clause_link(clause.id),
        level=clause.level.value,
        statement=clause.statement,
        cells=tuple(_matrix_cell(report.cells[clause.id, entry]) for entry in report.runs.entries),
    )


def _matrix_cell(cell: Any) -> MatrixCell:
    wrong, judged = cell.unexpected or cell.known, cell.conforming + cell.known + cell.unexpected
    words = ", ".join(
        f"{grouped(count)} {noun}"
        for count, noun in (
            (cell.conforming, "conforming"),
            (cell.unexpected, "unexpected"),
            (cell.known, "known"),
            (cell.vacuous, "not judged"),
            (cell.unsupported, "unsupported"),
        )
        if count
    )
    return MatrixCell(
        status=Status(cell.status),
        href=cell_link(cell.clause, cell.entry, "").href,
        note=f"{grouped(wrong)} of {grouped(judged)}" if wrong else "",
        title=f"{cell.entry}, {cell.clause}: {cell.status} ({words or 'no results'})",
    )


def _wrong(report: Report) -> tuple[Block, ...]:
    """Unexpected divergences, then the cells whose unexpected rows have no page of their own."""
    found = report.divergences(known="")
    covered = {(row.clause, row.entry) for row in found}
    bare = [
        cell
        for key, cell in report.cells.items()
        if Status(cell.status) in UNEXPECTED_STATUSES and key not in covered
    ]
    if not found and not bare:
        return (Paragraph("There is none in these runs."),)
    lines: list[tuple[Cell, ...]] = [
        (
            Link(row.id, f"{row.page}.html"),
            entry_link(row.entry),
            clause_link(row.clause),
            Mono(row.quantity),
            row.cause or row.verdict,
            row.count,
            row.error_ratio,
            row.message,
        )
        for row in found
    ]
    lines += [
        (
            cell_link(cell.clause, cell.entry, "results"),
            entry_link(cell.entry),
            clause_link(cell.clause),
            "",
            cell.status,
            cell.unexpected,
            cell.worst_error_ratio,
            "",
        )
        for cell in bare
    ]
    headings = (
        "Divergence", "Subject", "Clause", "Quantity", "Kind", "Results", "Error / bound",
        "What happened",
    )  # fmt: skip
    return (Table(headings, tuple(lines)),)


def _subjects(report: Report) -> Table:
    reasons = {row.entry: row.reason for row in rows(report.runs.subjects)}
    headings = (
        "Subject", "Clauses: conform", "known", "unexpected", "no evidence",
        "Largest error / bound", "Seconds", "",
    )  # fmt: skip
    return Table(
        headings,
        tuple(
            (
                entry_link(row.entry),
                row.clauses_conforming,
                row.clauses_known,
                row.clauses_unexpected,
                row.clauses_absent,
                row.worst_error_ratio,
                row.seconds,
                "" if row.available else (Mark(Status.UNAVAILABLE), " ", reasons[row.entry]),
            )
            for row in rows(report.frames["subject_summary"])
        ),
    )


def _runs(report: Report) -> tuple[Block, ...]:
    facts = tuple(block for row in rows(report.runs.runs) for block in _run(row))
    note = (
        "Seconds and the time of a run differ from run to run; everything else is the same again "
        "for the same arguments and the same versions."
    )
    return (*facts, Paragraph(note, aside=True))


def _run(run: Any) -> tuple[Block, ...]:
    versions = json.loads(run.versions)
    asked = json.loads(run.arguments)
    stale = run.stale_known.replace(";", ", ")
    return (
        Facts(
            (
                ("Run", run.run),
                ("Started", run.created),
                ("Asked for", f"{run.profile}, {plural(run.cases_asked, 'case')}, seed {run.seed}"),
                ("Shard", run.shard),
                ("Subjects asked for", ", ".join(str(name) for name in asked["subjects"])),
                ("Took", (run.seconds, " s")),
                ("Exit status", run.exit_status),
                ("Stale known divergences", stale or "none"),
                ("Machine", run.machine),
                ("Versions", Fold(f"bnconform {versions.get('bnconform', '?')}", _lines(versions))),
            )
        ),
    )


def _lines(versions: dict[str, Any]) -> str:
    return "\n".join(f"{name} {versions[name]}" for name in sorted(versions))
