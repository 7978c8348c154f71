"""``bnconform spec``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from bnconform.cli.errors import user_errors
from bnconform.conformance.answers import answers_markdown
from bnconform.conformance.cases.coverage import cases_per_clause
from bnconform.conformance.clauses import CLAUSES, Clause, clause
from bnconform.conformance.document import spec_markdown


def spec(
    clause_id: Annotated[
        str, typer.Argument(metavar="[CLAUSE]", help="One clause, such as BN-TRAIN-1.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole standard as a document.")
    ] = False,
    as_parameters: Annotated[
        bool, typer.Option("--parameters", help="Print what every parameter of tf.layers means.")
    ] = False,
) -> None:
    """Print the clauses of the standard, with the number of quick cases that exercise each."""
    if as_markdown or as_parameters:
        typer.echo(spec_markdown() if as_markdown else answers_markdown(), nl=False)
        return
    with user_errors():
        chosen = [clause(clause_id)] if clause_id else list(CLAUSES)
    counts = cases_per_clause()
    if as_json:
        rows = [{**asdict(each), "cases": counts[each.id]} for each in chosen]
        typer.echo(json.dumps(rows[0] if clause_id else rows, indent=1))
        return
    section = ""
    for each in chosen:
        if each.section != section:
            section = each.section
            typer.echo(f"\n{section}\n{'=' * len(section)}")
        typer.echo(_paragraph(each, counts[each.id]))


def _paragraph(each: Clause, cases: int) -> str:
    equation = f"   equation: conformance/spec.py {each.equation}\n" if each.equation else ""
    return (
        f"\n{each.id}  {each.level}\n   {each.statement}\n{equation}"
        f"   source: {each.source}\n   exercised by {cases} of the quick cases"
    )
