"""``bnconform list``."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bnconform.cli.errors import user_errors
from bnconform.cli.subjects import describe_all, select_targets
from bnconform.conformance.engine.campaign import Subject, subject_to_dict

_SHOWN = ("momentum", "running_variance", "variance", "default_epsilon")


def list_subjects(
    subjects: Annotated[
        str, typer.Option("--subjects", help="Names separated by commas, or 'all'.")
    ] = "",
    adapter: Annotated[
        list[str] | None, typer.Option("--adapter", help="FILE.py:Class or module:Class.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the subjects: available or why not, versions, documented conventions.

    Every subject is started once in a process of its own, because only that shows whether it runs.
    """
    with user_errors():
        targets = select_targets(subjects, adapter or [])
        console = Console(stderr=True)
        with console.status("starting every subject once"):
            found = describe_all(targets, os.cpu_count() or 1, lambda _: None)
    if as_json:
        typer.echo(json.dumps([subject_to_dict(subject) for subject in found], indent=1))
        return
    Console().print(_table(found))
    for subject in found:
        if not subject.described.available:
            typer.echo(f"{subject.name} is unavailable: {subject.described.reason}")


def _table(subjects: list[Subject]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("subject", "version", "device", "momentum", "running var", "variance", "eps"):
        table.add_column(heading, no_wrap=heading in ("subject", "version"))
    for subject in subjects:
        described, claims = subject.described, subject.adapter.dialect.claims()
        version = f"{described.version}" if described.available else "unavailable"
        values = ["-" if claims[name].value is None else str(claims[name].value) for name in _SHOWN]
        table.add_row(subject.name, version, described.device, *values)
    return table
