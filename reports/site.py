"""The static site: every page written from plain data by one template.

The same runs give the same bytes: nothing here reads a clock, draws a number or loads anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bnconform.conformance.clauses import Clause
from bnconform.reports.columns import rows
from bnconform.reports.errors import InvalidPageError
from bnconform.reports.frames import Runs, write_frames
from bnconform.reports.pages import Link, Page
from bnconform.reports.shards import gaps
from bnconform.reports.summaries import Status
from bnconform.reports.views.causes import causes_page
from bnconform.reports.views.clause import clause_page, spec_page
from bnconform.reports.views.divergence import (
    copied_name,
    divergence_files,
    divergence_page,
    is_copied,
)
from bnconform.reports.views.grades import grades_page
from bnconform.reports.views.malformed import malformed_page
from bnconform.reports.views.overview import overview
from bnconform.reports.views.report import Report
from bnconform.reports.views.subject import subject_page
from bnconform.reports.views.tables import data_page, known_page, looks_page
from bnconform.reports.words import full, grouped, short

SYMBOLS: dict[Status, str] = {
    Status.CRASHED: "‼",
    Status.HUNG: "‼",
    Status.WRONG_CONTRACT: "‼",
    Status.DIVERGES: "✗",
    Status.UNREPEATABLE: "≠",
    Status.KNOWN: "≈",
    Status.CONFORMS: "✓",
    Status.NOT_JUDGED: "?",
    Status.UNSUPPORTED: "–",  # noqa: RUF001 - an en dash is what tables use for "none"
    Status.NOT_RUN: "○",
    Status.UNAVAILABLE: "∅",
}

_TEMPLATES = Path(__file__).parent / "templates"


def build_site(
    runs: Runs, clauses: Sequence[Clause], out: Path, extra_pages: Sequence[Page] = ()
) -> Path:
    """Write the site into the folder ``out``, which is made, and give the path of its first page.

    ``extra_pages`` are added to the site and to its menu. Raises :class:`InvalidPageError` when
    one of them takes the place of another page.
    """
    report = Report(runs=runs, registry=tuple(clauses))
    built = tuple(_pages(report))
    _check_slugs(built, extra_pages)
    template = _environment(report, _menu(extra_pages)).get_template("page.html")
    for page in (*built, *extra_pages):
        target = out / page.href
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(template.render(page=page), encoding="utf-8", newline="\n")
    _copy_files(report, out)
    write_frames(report.frames, out / "data")
    return out / "index.html"


def _pages(report: Report) -> Iterable[Page]:
    yield overview(report)
    yield spec_page(report)
    yield looks_page(report)
    yield causes_page(report)
    yield malformed_page(report)
    yield grades_page(report)
    yield known_page(report)
    yield data_page(report)
    yield from map(partial(clause_page, report), report.clauses)
    yield from map(partial(subject_page, report), report.runs.entries)
    yield from map(partial(divergence_page, report), rows(report.runs.divergences))


def _menu(extra_pages: Sequence[Page]) -> tuple[Link, ...]:
    return (
        Link("Overview", "index.html"),
        Link("Subjects", "index.html#subjects"),
        Link("Clauses", "spec.html"),
        Link("Where was looked", "cases.html"),
        Link("Causes", "causes.html"),
        Link("Malformed calls", "malformed.html"),
        Link("Accuracy", "accuracy.html"),
        Link("Known divergences", "known.html"),
        *(Link(page.title, page.href) for page in extra_pages),
        Link("Data", "data.html"),
    )


def _check_slugs(built: Sequence[Page], extra_pages: Sequence[Page]) -> None:
    taken = {page.slug for page in built}
    for page in extra_pages:
        if page.slug in taken or "/" in page.slug:
            msg = (
                f"the extra page {page.title!r} needs a slug of its own without '/', got "
                f"{page.slug!r}; taken are, among others, index, spec, cases, known and data"
            )
            raise InvalidPageError(msg)
        taken.add(page.slug)


def _copy_files(report: Report, out: Path) -> None:
    """Copy the small files of every divergence next to its page."""
    for found in report.divergences():
        for file in filter(is_copied, divergence_files(report, found)):
            target = out / copied_name(found, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _environment(report: Report, menu: tuple[Link, ...]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "full": full, "grouped": grouped, "kind": _kind}
    environment.globals |= {"symbols": SYMBOLS, "menu": menu, "source": _source(report)}
    return environment


def _source(report: Report) -> str:
    """The runs in a few words, for the foot of every page."""
    created = sorted(report.runs.runs["created"])
    whole = ", incomplete" if gaps(report.runs) else ""
    if len(created) == 1:
        return f"the run started {created[0]}{whole}"
    return f"{len(created)} runs, the last started {created[-1]}{whole}"


def _kind(value: Any) -> str:
    """What a template must do with a block or a piece of a line: its class, in lower case."""
    return type(value).__name__.lower()
