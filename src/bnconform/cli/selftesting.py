"""``bnconform selftest``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bnconform.adapters.miniatures import CONTROLS, DEFECTS
from bnconform.cli.errors import UsageError, user_errors
from bnconform.conformance.selftest.hunt import Hunted
from bnconform.conformance.selftest.planted import Planted
from bnconform.conformance.selftest.runner import ENOUGH, Tally
from bnconform.conformance.selftest.runner import selftest as run_selftest

PREFIX = "miniature."


def selftest(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Miniatures, with or without 'miniature.'; all if none is given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other cases.")] = 0,
    workers: Annotated[
        int, typer.Option("--workers", help="Miniatures side by side; 0: one to a core.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for planted defects, to show that this suite finds what it claims to find.

    Every miniature is a small implementation with one defect, or with none. Exit status 0: every
    defect is found, what is right stays clean, and 90 % of the causes are named rightly. 1: not so.
    2: there is no such miniature.
    """
    with user_errors():
        miniatures = _chosen(names or [])
        if workers < 0:
            msg = f"--workers must be 0 or more, got {workers}"
            raise UsageError(msg)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("looking for planted defects", total=len(miniatures))
            tally = run_selftest(
                miniatures,
                seed=seed,
                workers=workers or os.cpu_count() or 1,
                done=lambda _: bar.advance(task),
            )
    if as_json:
        typer.echo(json.dumps(to_dict(tally), indent=1))
    else:
        show(tally, Console())
    raise typer.Exit(int(not tally.passed))


def _chosen(names: list[str]) -> list[Planted]:
    every = {**CONTROLS, **DEFECTS}
    full = [name if name.startswith(PREFIX) else PREFIX + name for name in names]
    unknown = [name.removeprefix(PREFIX) for name in full if name not in every]
    if unknown:
        known = ", ".join(name.removeprefix(PREFIX) for name in every)
        msg = f"no miniature {', '.join(unknown)}; there are: {known}"
        raise UsageError(msg)
    return [every[name] for name in dict.fromkeys(full)] or list(every.values())


def show(tally: Tally, console: Console) -> None:
    """Print a line for each miniature, what went wrong, and the sums."""
    table = Table(box=None, pad_edge=False)
    table.add_column("miniature", no_wrap=True)
    table.add_column("case", justify="right")
    table.add_column("s", justify="right")
    table.add_column("cause", overflow="fold")
    for hunted in tally.hunted:
        table.add_row(*_row(hunted))
    console.print(table)
    console.print()
    for line in summary(tally):
        console.print(line, highlight=False)


def _row(hunted: Hunted) -> tuple[str, str, str, str]:
    name = hunted.name.removeprefix(PREFIX)
    number = "-" if hunted.case_number is None else str(hunted.case_number)
    seconds = "-" if hunted.seconds is None else f"{hunted.seconds:.1f}"
    return name, number, seconds, _verdict(hunted)


def _verdict(hunted: Hunted) -> str:
    """What became of it, in a few words; planted causes only where they were missed."""
    named = ", ".join(hunted.named) or "none named"
    if hunted.is_control:
        return f"NOT CLEAN: {hunted.first}" if hunted.found else f"clean in {hunted.cases} cases"
    if not hunted.found:
        return f"NOT FOUND in {hunted.cases} cases: {hunted.sentence}"
    if not hunted.cause_right:
        return f"WRONG CAUSE: {named}; planted: {', '.join(hunted.planted)}"
    rest = [name for name in hunted.named if name not in hunted.planted]
    beside = f" (and {', '.join(rest)})" if rest else ""
    where = "" if hunted.told_where else f", but not that it is about {' or '.join(hunted.where)}"
    right = ", ".join(name for name in hunted.named if name in hunted.planted)
    return right + beside + where


def summary(tally: Tally) -> list[str]:
    """What it comes to, one sentence to a line."""
    number, median = len(tally.defects), tally.median_seconds
    told = [each for each in tally.defects if each.where and each.cause_right]
    lines = []
    if tally.controls:
        lines.append(f"{tally.clean} of {len(tally.controls)} right ones stayed clean.")
    if number:
        lines.append(f"{tally.found} of {number} planted defects were found.")
        share = f"{tally.causes_right} of {number}"
        lines.append(f"{share} causes were named rightly; {ENOUGH:.0%} are asked for.")
        lines.append(f"{tally.causes_alone} of these explain everything, and no other is named.")
    if told:
        right = sum(each.told_where for each in told)
        lines.append(f"{right} of {len(told)} that show in some cases only say in which.")
    if median is not None:
        lines.append(f"The median time to the first divergence was {median:.1f} s.")
    return lines


def to_dict(tally: Tally) -> dict[str, object]:
    """The results as JSON-ready data."""
    return {
        "passed": tally.passed,
        "defects": len(tally.defects),
        "found": tally.found,
        "causes_right": tally.causes_right,
        "causes_alone": tally.causes_alone,
        "controls": len(tally.controls),
        "clean": tally.clean,
        "median_seconds": tally.median_seconds,
        "miniatures": [
            {
                **asdict(hunted),
                "named": hunted.named,
                "cause_right": hunted.cause_right,
                "cause_alone": hunted.cause_alone,
                "told_where": hunted.told_where,
            }
            for hunted in tally.hunted
        ],
    }
