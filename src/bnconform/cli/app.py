"""The ``bnconform`` command: puts the single commands together."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from bnconform.cli import (
    diffing,
    explaining,
    finding,
    inferring,
    listing,
    reporting,
    running,
    searching,
    selftesting,
    smoking,
    specification,
    vectors,
    waiving,
)

app = typer.Typer(
    name="bnconform",
    help="An executable standard for batch normalization.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("list")(listing.list_subjects)
app.command("spec")(specification.spec)
app.command("run")(running.run)
app.command("report")(reporting.report)
app.command("diff")(diffing.diff)
app.command("explain")(explaining.explain)
app.command("findings")(finding.findings)
app.command("infer")(inferring.infer_subject)
app.command("search")(searching.search_subjects)
app.command("smoke")(smoking.smoke)
app.command("selftest")(selftesting.selftest)
app.add_typer(vectors.app, name="vectors")
app.add_typer(waiving.app, name="known")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"bnconform {metadata.version('bnconform')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program as a whole."""


def main() -> None:
    """Entry point. Exit status: 0 nothing unexpected, 1 unexpected divergences, 2 misuse."""
    app()
