"""``bnconform smoke``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from bnconform.adapters import REGISTRY
from bnconform.cli.errors import user_errors
from bnconform.conformance.engine.campaign import describe_subject
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.smoke import smoke as findings_of


def smoke(
    adapter: Annotated[
        str, typer.Argument(help="FILE.py:Class, module:Class, or a registered subject's name.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the least that an adapter must do before its results count.

    Exit status 0: all well. 1: something failed. 2: the adapter cannot be loaded.
    """
    with user_errors():
        target = Target.parse(REGISTRY.get(adapter, adapter))
        found = []
        for finding in findings_of(describe_subject(target, load_class(target))):
            found.append(finding)
            if not as_json:
                mark = "ok  " if finding.passed else "FAIL"
                typer.echo(f"{mark}  {finding.name}: {finding.detail}")
                if not finding.passed:
                    typer.echo(f"      -> {finding.advice}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    raise typer.Exit(int(not all(finding.passed for finding in found)))
