"""What a run's ``explanations.json`` says, and the facts of cases that it speaks of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnconform.conformance.explanation.row_causes import facts_of
from bnconform.reports.columns import rows
from bnconform.reports.errors import RunFormatError

FILE = "explanations.json"


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One stored explanation: the fields of an ``Explanation``, and the bundles it accounts for."""

    subject: str
    kind: str
    name: str
    sentence: str
    where: Mapping[str, Any]
    clauses: tuple[str, ...]
    quantities: tuple[str, ...]
    affected: tuple[tuple[str, str], ...]
    divergences: tuple[str, ...]


def read_explanations(run: Path) -> tuple[Explained, ...] | None:
    """The explanations of the run at ``run``; None where it has none stored.

    Raises :class:`RunFormatError` for a file of another form.
    """
    path = run / FILE
    if not path.exists():
        return None
    try:
        return tuple(_explained(each) for each in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} does not hold explanations: {error!r}; run it again"
        raise RunFormatError(msg) from error


def facts_by_id(cases: pd.DataFrame, topics: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What known divergences can ask of each case and topic; frames as in ``FRAMES``."""
    return {
        row.case_id: facts_of(json.loads(row.json))
        for frame in (cases, topics)
        for row in rows(frame)
    }


def _explained(stored: Mapping[str, Any]) -> Explained:
    return Explained(
        subject=str(stored["subject"]),
        kind=str(stored["kind"]),
        name=str(stored["name"]),
        sentence=str(stored["sentence"]),
        where=dict(stored["where"]),
        clauses=tuple(map(str, stored["clauses"])),
        quantities=tuple(map(str, stored["quantities"])),
        affected=tuple((str(case_id), str(quantity)) for case_id, quantity in stored["affected"]),
        divergences=tuple(map(str, stored["divergences"])),
    )
