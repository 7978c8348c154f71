"""``bnconform diff``."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from bnconform.cli.errors import UsageError, user_errors
from bnconform.conformance.explanation.row_causes import causes_of_rows
from bnconform.reports.columns import rows
from bnconform.reports.comparison import FACTOR, Change, Comparison, Side, compare_sides
from bnconform.reports.errors import ReportError
from bnconform.reports.explained import facts_by_id, read_explanations
from bnconform.reports.frames import Runs, load_runs
from bnconform.reports.shards import gaps
from bnconform.reports.unlike import Difference
from bnconform.reports.words import grouped, plural, short

WIDTH = 80
_LABEL = 16
_LISTED = 8
"""Lines of one cause that a terminal shows; --json has all."""


def diff(
    run_a: Annotated[Path, typer.Argument(help="A run directory, or a folder of its shards.")],
    run_b: Annotated[Path, typer.Argument(help="What to compare with it.")],
    factor: Annotated[
        float, typer.Option("--factor", help="An error that grew by more than this is worse.")
    ] = FACTOR,
    strict: Annotated[
        bool, typer.Option("--strict", help="Divergences that are known in B count, too.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Exit 1 if B does not judge all that A judged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what changed from run A to run B: new, changed, gone, or not looked at any more.

    Exit status 0: nothing new or worse but for known divergences. 1: something is. 2: the runs
    cannot be compared.
    """
    with user_errors(ReportError):
        if not factor >= 1:
            msg = f"--factor must be at least 1, got {factor:g}"
            raise UsageError(msg)
        before, after = read_side(run_a), read_side(run_b)
        found = compare_sides(before, after, factor=factor)
        for name, side in (("A", before), ("B", after)):
            for sentence in gaps(side.runs):
                typer.echo(f"bnconform: {name} is incomplete: {sentence}", err=True)
    failing = found.failing(strict=strict)
    status = int(bool(len(failing)) or (complete and found.lost > 0))
    if as_json:
        typer.echo(json.dumps(_as_data(found, failing, status), indent=1))
    else:
        head = [_run_line("A", run_a, before.runs), _run_line("B", run_b, after.runs)]
        typer.echo("\n".join([*head, *_text(found, failing, complete=complete)]))
    raise typer.Exit(status)


def read_side(path: Path) -> Side:
    """The run at ``path``, or the runs in the folders below it as one.

    Raises the errors of :func:`bnconform.reports.frames.load_runs`.
    """
    parts = [path]
    if path.is_dir() and not (path / "manifest.json").exists():
        parts = sorted(each for each in path.iterdir() if each.is_dir()) or [path]
    runs = load_runs(parts)
    stored = [read_explanations(part) for part in runs.directories.values()]
    if any(each is None for each in stored):
        return Side(runs=runs, causes=None)
    explanations = [each for part in stored if part is not None for each in part]
    facts = facts_by_id(runs.cases, runs.topics)
    return Side(runs=runs, causes=causes_of_rows(runs.records, explanations, facts))


def _run_line(name: str, path: Path, runs: Runs) -> str:
    facts = next(iter(rows(runs.runs)))
    parts = f", {plural(len(runs.runs), 'part')}" if len(runs.runs) > 1 else ""
    told = f"{facts.created[:16].replace('T', ' ')}, {facts.profile}, seed {facts.seed}{parts}"
    return f"{name}  {path}\n   {told}: {grouped(len(runs.records))} rows"


def _text(found: Comparison, failing: pd.DataFrame, *, complete: bool) -> Iterator[str]:
    """All that is said below the names of the runs, at most 80 columns wide where words allow."""
    if found.differences or found.lost:
        yield from ("", "Not alike in A and B", *_differences(found))
    if not found.explained:
        yield from ("", *_wrapped(_UNEXPLAINED, ""))
    yield from _section(found, Change.NEW, "New", in_full=True)
    yield from _section(found, Change.CHANGED, "Changed", in_full=True)
    yield from _section(found, Change.WIDER, "As in A, in rows that A did not judge", in_full=False)
    yield from _section(found, Change.GONE, "Gone: judged again, and conforming", in_full=False)
    yield from _section(found, Change.UNSEEN, "Not looked at any more", in_full=False)
    yield from ("", *_wrapped(_conclusion(found, failing, complete=complete), ""))


_UNEXPLAINED = (
    "Causes are what the verdicts say: not both runs have an explanations.json that says why."
)


def _differences(found: Comparison) -> Iterator[str]:
    for each in found.differences:
        yield from _labelled(each.what, _difference(each))
    if found.lost:
        yield from _labelled("rows", f"{grouped(found.lost)} judged in A are not judged in B")


def _difference(each: Difference) -> str:
    told = f"{each.before or 'none'} -> {each.after or 'none'}"
    return f"{told} ({each.note})" if each.note else told


def _section(found: Comparison, change: Change, title: str, *, in_full: bool) -> Iterator[str]:
    chosen = found.of(change)
    if chosen.empty:
        return
    yield ""
    yield f"{title}: {_counted(chosen)}"
    if in_full:
        yield _line(*_COLUMNS)
    for (subject, why), group in chosen.groupby(["subject", "why"]):
        yield from _wrapped(f"{subject}{_where_not_judged(change, str(why))}", "  ")
        for _, same in group.groupby(["cause", "explanation", "known", "what"]):
            yield from _cause(same, in_full=in_full)


def _where_not_judged(change: Change, why: str) -> str:
    if not why:
        return ", conformed in A" if change is Change.NEW else ""
    return f", {why}" if change is Change.UNSEEN else f", not judged in A: {why}"


def _counted(chosen: pd.DataFrame) -> str:
    return f"{plural(len(chosen), 'divergence')}, {plural(int(chosen['rows'].sum()), 'row')}"


def _cause(group: pd.DataFrame, *, in_full: bool) -> Iterator[str]:
    """One cause of one subject: a heading, and its clauses and quantities."""
    first = next(iter(rows(group)))
    known = f"known: {first.known}" if first.known else "NOT KNOWN"
    parts = [_named(first.cause or first.verdict, first.explanation), known, _changed(first)]
    yield from _wrapped("; ".join(part for part in parts if part), "    ")
    if in_full:
        yield from _lines(group)
        return
    places: dict[str, list[str]] = {}
    for row in rows(group):
        places.setdefault(row.clause, []).append(row.quantity)
    told = "; ".join(f"{clause} {', '.join(each)}" for clause, each in places.items())
    yield from _wrapped(f"{plural(int(group['rows'].sum()), 'row')}: {told}", "      ")


def _named(cause: str, explanation: str) -> str:
    name = cause.replace("_", " ")
    return f"{name} ({explanation})" if explanation not in ("", cause) else name


def _changed(row: Any) -> str:
    """What is not as it was, of a row that diverges in both."""
    if row.change != Change.CHANGED:
        return ""
    told = {
        "verdict": f"was {row.was_verdict.replace('_', ' ')}",
        "cause": f"was {row.was_cause}",
        "explanation": f"was {row.was_explanation or 'without explanation'}",
        "known": f"was known as {row.was_known}" if row.was_known else "was not known",
        "error": "the error grew",
    }
    return "; ".join(told[name] for name in row.what.split(", "))


def _lines(group: pd.DataFrame) -> Iterator[str]:
    worst_first = group.sort_values(["rows", "clause", "quantity"], ascending=[False, True, True])
    for row in rows(worst_first.head(_LISTED)):
        pair = [each for each in (row.error_ratio_a, row.error_ratio_b) if not math.isnan(each)]
        told = " -> ".join(dict.fromkeys(map(short, pair)))
        yield _line(row.clause, row.quantity, grouped(row.rows), told, row.id)
    left = len(group) - _LISTED
    if left > 0:
        yield f"      and {left} more; --json lists all"


_COLUMNS = ("clause", "quantity", "rows", "error / bound", "divergence")


def _line(clause: str, quantity: str, count: str, ratio: str, name: str) -> str:
    return f"      {clause:<15} {quantity:<14} {count:>5}  {ratio:<20}  {name:<12}".rstrip()


def _conclusion(found: Comparison, failing: pd.DataFrame, *, complete: bool) -> str:
    same = f"Unchanged: {_counted(found.of(Change.SAME))}."
    waived = len(found.failing(strict=True)) - len(failing)
    known = f" {plural(waived, 'divergence')} new or worse but known in B." if waived else ""
    lost = " What A judged is not all judged in B." if complete and found.lost else ""
    if len(failing):
        return f"{same}{known}{lost} New or worse: {_counted(failing)}."
    return f"{same}{known}{lost} Nothing {'else ' if waived else ''}is new or worse."


def _labelled(label: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:<{_LABEL}} ",
        subsequent_indent=" " * (_LABEL + 3),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  " * bool(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _as_data(found: Comparison, failing: pd.DataFrame, status: int) -> dict[str, Any]:
    table = found.divergences.assign(fails=found.divergences.index.isin(failing.index))
    return {
        "exit_status": status,
        "factor": found.factor,
        "explained": found.explained,
        "rows_judged_in_both": found.shared,
        "rows_not_judged_any_more": found.lost,
        "differences": [asdict(each) for each in found.differences],
        "counts": {change.value: len(found.of(change)) for change in Change},
        "divergences": [
            {str(name): _plain(value) for name, value in row.items()}
            for row in table.to_dict("records")
        ],
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: no number, and a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else repr(value)
    return value
