"""``bnconform infer``."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bnconform.adapters import REGISTRY
from bnconform.cli.errors import UsageError, user_errors
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Outcome
from bnconform.conformance.dialect import Dialect
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.inference.discriminating import Unexplained
from bnconform.conformance.inference.finding import (
    SHOWN,
    Agreement,
    Finding,
    Inference,
    Standing,
    declared,
)
from bnconform.conformance.inference.inferring import UNOBSERVABLE, infer

WIDTH = 80

_MARKS = {
    Agreement.AGREES: " ",
    Agreement.LOOSER: "~",
    Agreement.DIFFERS: "!",
    Agreement.UNTESTED: " ",
}


def infer_subject(
    subject: Annotated[
        str,
        typer.Argument(help="A registered subject's name, FILE.py:Class or module:Class."),
    ] = "",
    adapter: Annotated[
        str, typer.Option("--adapter", help="FILE.py:Class or module:Class, for SUBJECT.")
    ] = "",
    limit: Annotated[float, typer.Option("--limit", help="Seconds for each case.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Infer the conventions of a subject as a black box, beside those that it declares.

    What it declares is shown and never used. Exit status 0: everything inferred is as declared.
    1: something is not. 2: the subject cannot be asked.
    """
    with user_errors():
        target = _target(subject, adapter)
        found = load_class(target)
        with SubjectProcess(target, found.environment) as process:
            described = process.describe()
            if not described.available:
                msg = f"{found.name} is unavailable: {described.reason}"
                raise UsageError(msg)

            def ask(case: Case) -> Outcome:
                question = Question(case=case, repeat=False)
                return next(outcome for _, outcome in process.ask([question], limit))

            with Console(stderr=True).status(f"asking {found.name}"):
                inference = infer(ask, found.capabilities)
    heading = f"{found.name} {described.version} on {described.device}"
    if as_json:
        typer.echo(json.dumps(_to_dict(heading, inference, found.dialect), indent=1))
    else:
        _show(heading, inference, found.dialect)
    raise typer.Exit(int(bool(inference.surprises(found.dialect))))


def _target(subject: str, adapter: str) -> Target:
    """The one subject that is meant."""
    if bool(subject) == bool(adapter):
        msg = "infer takes one subject: a name, or --adapter FILE.py:Class"
        raise UsageError(msg)
    given = subject or adapter
    if ":" not in given and given not in REGISTRY:
        msg = f"no subject {given!r}; there are: {', '.join(REGISTRY)}"
        raise UsageError(msg)
    return Target.parse(REGISTRY.get(given, given))


def _show(heading: str, inference: Inference, dialect: Dialect) -> None:
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(f"{heading}: {len(inference.asked)} cases in {inference.seconds:.1f} s")
    console.print()
    console.print(_table(inference, dialect))
    for paragraph in _remarks(inference, dialect):
        console.print()
        console.print(paragraph, soft_wrap=False)


def _table(inference: Inference, dialect: Dialect) -> Table:
    table = Table(box=None, pad_edge=False, width=WIDTH)
    table.add_column("", width=1)
    table.add_column("convention", no_wrap=True, width=19)
    table.add_column("declared", width=13, overflow="fold")
    table.add_column("inferred", width=13, overflow="fold")
    table.add_column("how told: case, quantity", overflow="fold")
    for finding in inference.findings:
        table.add_row(
            _MARKS[finding.agreement(dialect)],
            finding.convention,
            _words(declared(dialect, finding.convention)),
            _words(_inferred(finding)),
            finding.told,
        )
    return table


def _words(value: str) -> str:
    """``value`` so that a narrow column can break it."""
    return value.replace("_", " ")


def _inferred(finding: Finding) -> str:
    if finding.standing is Standing.INCONSISTENT:
        return "nothing fits: " + ", ".join(finding.inferred)
    return " or ".join(finding.inferred)


def _remarks(inference: Inference, dialect: Dialect) -> list[str]:
    """What the table cannot hold, a paragraph each."""
    agreements = [each.agreement(dialect) for each in inference.findings]
    found = []
    if Agreement.DIFFERS in agreements:
        found.append("! is not what is declared.")
    if Agreement.LOOSER in agreements:
        found.append("~ is declared with wider bounds than the answers needed.")
    ambiguous = [each for each in inference.findings if each.standing is Standing.AMBIGUOUS]
    found += [
        f"{each.convention}: nothing that this subject can be asked tells "
        f"{' from '.join(each.inferred)}."
        for each in ambiguous
    ]
    found += _unexplained(inference.unexplained)
    found.append(
        f"Not observable, as every case gives its own: {', '.join(UNOBSERVABLE)}. "
        "Adapters are given the weight of the old value; 'as given' means that it arrives so."
    )
    return found


def _unexplained(every: tuple[Unexplained, ...]) -> list[str]:
    """What no convention explains: one paragraph for the same quantities, with the first case."""
    groups: dict[tuple[str, ...], list[Unexplained]] = defaultdict(list)
    for each in every:
        groups[each.what].append(each)
    return [
        f"No convention explains {', '.join(what)} of {members[0].case.id[:SHOWN]}"
        + (f" and of {len(members) - 1} more" if len(members) > 1 else "")
        + f" ({_sketch(members[0].case)}): {members[0].message}"
        for what, members in groups.items()
    ]


def _sketch(case: Case) -> str:
    """The case in a few words."""
    parameters = ", parameters too" if case.half_parameters else ""
    return f"{case.mode}, {case.dtype}{parameters}, {case.shape}, {case.fill.kind}"


def _to_dict(heading: str, inference: Inference, dialect: Dialect) -> dict[str, Any]:
    return {
        "subject": heading,
        "cases": [
            {"id": case.id, "outcome": type(outcome).__name__.lower(), "case": case.to_dict()}
            for case, outcome in inference.asked.items()
        ],
        "seconds": inference.seconds,
        "findings": [_finding_to_dict(each, dialect) for each in inference.findings],
        "unexplained": [
            {
                "case": each.case.id,
                "quantities": list(each.what),
                "message": each.message,
                "conventions": list(each.bears),
            }
            for each in inference.unexplained
        ],
        "unobservable": list(UNOBSERVABLE),
    }


def _finding_to_dict(finding: Finding, dialect: Dialect) -> dict[str, Any]:
    interval = finding.interval
    return {
        "convention": finding.convention,
        "declared": declared(dialect, finding.convention),
        "inferred": list(finding.inferred),
        "fits": list(finding.fits),
        "standing": finding.standing,
        "agreement": finding.agreement(dialect),
        "told": finding.told,
        "cases": list(finding.cases),
        # JSON has no infinity.
        "interval": None
        if interval is None
        else [interval.low, interval.high if math.isfinite(interval.high) else None],
    }
