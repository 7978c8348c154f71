"""``bnconform findings``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from bnconform.cli.errors import user_errors
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.scripts.findings import PAGE, write_findings


def findings(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and its scripts.")],
    known: Annotated[
        Path | None, typer.Option("--known", help="Folder of known divergences (default: ours).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Scripts run at a time (default: the cores).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Write what runs found as a page, with a script for each finding, each run once.

    Exit status 0 when it is written, 2 when the call is at fault.
    """
    with user_errors():
        found = write_findings(runs, out, load_known(known), workers=workers or os.cpu_count() or 1)
    if as_json:
        rows = [
            {"name": each.name, "subjects": each.subjects, "rows": each.rows,
             "script": each.script, "why": each.why}
            for each in found
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=1))
        return
    for each in found:
        if each.script is None:
            typer.echo(f"no script: {each.name}: {each.why}")
    scripts = sum(each.script is not None for each in found)
    typer.echo(f"{len(found)} findings, {scripts} with a script that shows it: {out / PAGE}")
