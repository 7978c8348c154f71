"""``bnconform known``: add, list and check known divergences."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from bnconform.cli.errors import UsageError, user_errors
from bnconform.conformance.explanation.row_causes import causes_of_rows
from bnconform.conformance.known.divergences import KnownDivergence, load_known, stale
from bnconform.conformance.known.entry import (
    UNREPORTED,
    Divergence,
    EntryError,
    Measured,
    draft_entry,
    meant_rows,
)
from bnconform.conformance.known.scope import advice, covered, labels, over_broad, reaches
from bnconform.conformance.known.text import append_entry, entry_text, specifiers
from bnconform.reports.columns import rows
from bnconform.reports.errors import ReportError
from bnconform.reports.explained import Explained, facts_by_id, read_explanations
from bnconform.reports.reading import read_run
from bnconform.reports.words import plural

_WIDTH = 80

app = typer.Typer(
    name="known", help="Known divergences: add, list and check them.", no_args_is_help=True
)

_RUN = Annotated[Path, typer.Argument(help="A run directory.")]
_FOLDER = Annotated[
    Path | None, typer.Option("--known", help="Folder of known divergences (default: ours).")
]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run as known divergences see it; ``explanations`` is None where it has none."""

    measured: Measured
    divergences: pd.DataFrame
    explanations: tuple[Explained, ...] | None


def open_run(path: Path) -> Opened:
    """The complete run at ``path``. Raises the errors of ``read_run``."""
    run = read_run(path)
    stored = read_explanations(path)
    facts = facts_by_id(run.cases, run.topics)
    by_name: dict[str, list[Explained]] = {}
    for each in stored or ():
        by_name.setdefault(each.name, []).append(each)
    measured = Measured(
        frame=run.records,
        facts=facts,
        causes=causes_of_rows(run.records, stored or (), facts),
        kinds={name: same[0].kind for name, same in by_name.items()},
        wheres={name: same[0].where for name, same in by_name.items() if len(same) == 1},
    )
    return Opened(measured=measured, divergences=run.divergences, explanations=stored)


@app.command()
def add(
    run: _RUN,
    divergence: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is accepted.")],
    upstream: Annotated[str, typer.Option("--upstream", help="Where it is reported.")] = UNREPORTED,
    review_by: Annotated[
        str, typer.Option("--review-by", help="When to look again (default: in 180 days).")
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="Default: known/FRAMEWORK.toml.")
    ] = None,
    explanation: Annotated[
        str, typer.Option("--explanation", help="Which cause, where there are several.")
    ] = "",
    only: Annotated[
        bool, typer.Option("--only", help="Not the other divergences of the same cause.")
    ] = False,
) -> None:
    """Write a strict entry that covers a divergence, and with it all rows of the same cause.

    It is refused if it would hide anything else in that run.
    """
    with user_errors(ReportError, EntryError):
        if not reason.strip():
            msg = "--reason must say why the divergence is accepted"
            raise UsageError(msg)
        opened = open_run(run)
        measured = opened.measured
        meant = meant_rows(measured, _one(opened, divergence), explanation, only=only)
        path = file or Path("known") / f"{measured.frame['framework'][meant].iloc[0]}.toml"
        others = load_known(path.parent) if path.parent.is_dir() else ()
        _refuse_covered(others, measured, meant)
        drafted = draft_entry(
            measured,
            meant,
            reason=reason,
            upstream=upstream,
            today=_today(),
            review_by=_date(review_by),
            taken={entry.id for entry in others},
        )
        entry = append_entry(drafted, path)
    typer.echo(entry_text(entry))
    cases = measured.frame["case_id"][meant].nunique()
    counted = f"{plural(int(meant.sum()), 'row')} in {plural(cases, 'case')}"
    typer.echo(_wrapped(f"added to {path}; of that run it covers {counted} and no other row"))


@app.command("list")
def list_entries(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run, to count what they cover.")
    ] = None,
    known: _FOLDER = None,
) -> None:
    """List the known divergences: age, when to look again, and the rows of a run they cover."""
    with user_errors(ReportError):
        entries = load_known(_folder(known))
        counts = {}
        if run is not None:
            measured = open_run(run).measured
            counts = labels(entries, measured.frame, measured.facts).value_counts().to_dict()
    today = _today()
    heading = f"{'':<50} {'age':>5}  {'review by':<10}"
    typer.echo(heading + (f" {'rows':>9}" if run is not None else ""))
    for entry in entries:
        overdue = "!" if today > entry.review_by else " "
        age = f"{(today - entry.date).days} d"
        line = f"{entry.id:<50} {age:>5}  {entry.review_by}{overdue}"
        typer.echo((line + (f"{counts.get(entry.id, 0):>9}" if run is not None else "")).rstrip())
        typer.echo(_wrapped(f"{', '.join(entry.subjects)} {specifiers(entry)}", "    "))
    late = sum(today > entry.review_by for entry in entries)
    typer.echo(f"{plural(len(entries), 'known divergence')}, {late} overdue" + " (!)" * bool(late))


@app.command()
def check(run: _RUN, known: _FOLDER = None) -> None:
    """Check the known divergences against a run: stale, overdue, over-broad.

    Exit status 0: all hold. 1: some must be looked at again. 2: the call is at fault.
    """
    with user_errors(ReportError):
        entries = load_known(_folder(known))
        opened = open_run(run)
    failures, advised = problems(entries, opened, _today())
    for sentence in failures:
        typer.echo(_wrapped(sentence))
    for sentence in advised:
        typer.echo(_wrapped(f"advice: {sentence}"))
    if opened.explanations is None:
        typer.echo(_wrapped(f"{run} has no explanations.json: what is over-broad cannot be told"))
    counted = plural(len(entries), "known divergence")
    typer.echo(f"{counted}: {plural(len(failures), 'problem')}, {len(advised)} with advice")
    raise typer.Exit(int(bool(failures)))


def problems(
    entries: Sequence[KnownDivergence], opened: Opened, today: datetime.date
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What fails and what is only advice, a sentence each, by these entries and not the run's."""
    facts = opened.measured.facts
    frame = opened.measured.frame
    frame = frame.assign(known=labels(entries, frame, facts))
    reach = reaches(entries, frame, facts)
    matched = {name: each.matched for name, each in reach.items()}
    looked = {name: each.looked for name, each in reach.items()}
    broad = over_broad(entries, frame, opened.explanations or (), facts)
    return (*stale(entries, matched, looked, today), *broad), advice(entries, reach)


def _one(opened: Opened, beginning: str) -> Divergence:
    """The divergence whose id begins so."""
    matching = [row for row in rows(opened.divergences) if row.id.startswith(beginning)]
    if len(matching) != 1:
        ids = ", ".join(row.id for row in matching[:6])
        told = f"{len(matching)}: {ids}" if matching else "none"
        msg = f"one divergence must begin with {beginning!r}, but there are {told}; see `explain`"
        raise UsageError(msg)
    row = matching[0]
    return Divergence(
        id=row.id,
        subject=row.subject,
        clause=row.clause,
        quantity=row.quantity,
        verdict=row.verdict,
        cause=row.cause,
        known=row.known,
    )


def _refuse_covered(
    entries: Iterable[KnownDivergence], measured: Measured, meant: pd.Series[bool]
) -> None:
    """An entry that was added since the run may cover it by now."""
    for entry in entries:
        count = int((covered(entry, measured.frame, measured.facts) & meant).sum())
        if count:
            msg = f"{entry.id} in {entry.file} covers {plural(count, 'row')} of it already"
            raise UsageError(msg)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent or "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _folder(known: Path | None) -> Path | None:
    if known is not None and not known.is_dir():
        msg = f"--known must be a folder of .toml files, got {known}"
        raise UsageError(msg)
    return known


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _date(text: str) -> datetime.date | None:
    """A date in the future; None for ''."""
    if not text:
        return None
    try:
        given = datetime.date.fromisoformat(text)
    except ValueError:
        msg = f"--review-by must be a date such as 2027-05-21, got {text!r}"
        raise UsageError(msg) from None
    if given <= _today():
        msg = f"--review-by must lie ahead, got {text}"
        raise UsageError(msg)
    return given
