"""``bnconform smoke``."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from bnconform.adapters import REGISTRY
from bnconform.cli.errors import user_errors
from bnconform.conformance.engine.campaign import describe_subject
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.smoke import Finding, Status
from bnconform.conformance.smoke import smoke as findings_of


def smoke(
    adapter: Annotated[
        str, typer.Argument(help="FILE.py:Class, module:Class, or a registered subject's name.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the least that an adapter must do before its results count.

    What conformance/known accepts is shown as known, with its reason, and is no failure.
    Exit status 0: nothing failed. 1: something failed. 2: the adapter cannot be loaded.
    """
    with user_errors():
        target = Target.parse(REGISTRY.get(adapter, adapter))
        subject = describe_subject(target, load_class(target))
        found, told = [], set[str]()
        for finding in findings_of(subject, load_known()):
            found.append(finding)
            if not as_json:
                for line in _lines(finding, told):
                    typer.echo(line)
                told |= {each.id for each in finding.known}
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    elif told:
        typer.echo(f"\n{_summary(found)}")
    raise typer.Exit(int(any(finding.status is Status.FAILED for finding in found)))


_MARKS = {Status.OK: "ok   ", Status.KNOWN: "known", Status.FAILED: "FAIL "}
_WIDTH = 80
_INDENT = " " * 7


def _lines(finding: Finding, told: Collection[str]) -> Iterator[str]:
    """What was tried, what came of it, and what to do; a reason that was ``told`` is left out."""
    yield from _filled(f"{_MARKS[finding.status]}  {finding.name}: {finding.detail}")
    if finding.advice:
        yield from _filled(f"{_INDENT}-> {finding.advice}")
    for each in finding.known:
        if each.detail != finding.detail:
            yield from _filled(f"{_INDENT}{each.detail}")
        reason = "see above" if each.id in told else each.reason
        yield from _filled(f"{_INDENT}{each.id}: {reason}")


def _filled(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(found: Iterable[Finding]) -> str:
    counts = Counter(finding.status for finding in found)
    return (
        f"{counts[Status.OK]} ok, {counts[Status.FAILED]} failed, {counts[Status.KNOWN]} known, "
        "which diverge as conformance/known says"
    )
