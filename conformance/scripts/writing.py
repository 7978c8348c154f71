"""From a template and what it needs to the text of a script, and the words at its head."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..clauses import clause
from ..verdict import CALL
from .literals import needs_base64
from .recipes import DISTRIBUTIONS, Recipe, version_of

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH = 96


def written(template: str, context: Mapping[str, Any]) -> str:
    """The template's text, without the blank lines that its tags leave; it must parse."""
    lines: list[str] = []
    for line in _environment().get_template(template).render(context).splitlines():
        blank = not line.strip()
        if blank and (not lines or lines[-2:] == ["", ""]):
            continue
        lines.append("" if blank else line.rstrip())
    text = "\n".join(lines).rstrip() + "\n"
    ast.parse(text)
    return text


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- Python source, not HTML
        keep_trailing_newline=True,
    )


def frame(
    divergence: Mapping[str, Any], recipe: Recipe, *, quantity: str, data: str, wanted: str
) -> dict[str, Any]:
    """What every template takes: the head, the imports, and the source of what goes in and out."""
    title = _title(divergence, quantity)
    return {
        "title": title,
        "told": _told(divergence, recipe),
        "headline": repr(title),
        "environment": recipe.environment,
        "needs_base64": needs_base64(data + wanted),
        "data": data,
        "wanted": wanted,
        "versions": ", ".join(f'"{each}", {version_of(each)}' for each in recipe.packages),
        "quantity": quantity,
        **recipe.settings,
    }


def _title(divergence: Mapping[str, Any], quantity: str) -> str:
    what = "the call" if divergence["quantity"] == CALL else quantity
    return f"{divergence['subject']}: {divergence['clause']} does not hold for {what}."


def _told(divergence: Mapping[str, Any], recipe: Recipe) -> str:
    """The clause, what was found, and on which versions."""
    about, versions = clause(divergence["clause"]), divergence["versions"]
    used = {name for package in recipe.packages for name in DISTRIBUTIONS[package]}
    names = [name for name in versions if name in used | {"bnconform", "numpy", "python"}]
    told = divergence["case"]
    paragraphs = [
        f"{about.id} ({about.level}): {about.statement}",
        f"Found: {divergence['message'] or divergence['cause']}",
        "On " + ", ".join(f"{name} {versions[name]}" for name in sorted(names)) + ".",
        f"Experiment {told['experiment']!r}: {told['purpose']}." if "experiment" in told else "",
        f"Case {divergence['case_id']}, divergence {divergence['id']}.",
    ]
    filled = (textwrap.fill(each, _WIDTH, break_on_hyphens=False) for each in paragraphs if each)
    return "\n\n".join(filled).replace("\\", "/").replace('"""', "'''")
