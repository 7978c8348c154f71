"""Which explanation each diverging row of a run belongs to.

A run asks its subjects again about a sample of what diverged, so an explanation names only some of
its rows; the others belong to the one that speaks of their clause and quantity, and of where their
case lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from ..case import Case
from ..known.divergences import case_facts
from ..record import UNEXPECTED
from .scope import meets

Facts = Mapping[str, Mapping[str, Any]]
"""What can be asked of a case or another topic, by its id; see :data:`known.WHERE_FIELDS`."""

_Row = tuple[str, str, str, str]


class Accounted(Protocol):
    """What is needed of an ``Explanation``, or of one that was read from a run directory."""

    @property
    def subject(self) -> str:
        """Whose divergences it explains."""

    @property
    def name(self) -> str:
        """The cause."""

    @property
    def where(self) -> Mapping[str, Any]:
        """Facts of the cases that it affects."""

    @property
    def clauses(self) -> tuple[str, ...]:
        """Clauses of the rows among ``affected``."""

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities of the rows among ``affected``."""

    @property
    def affected(self) -> tuple[tuple[str, str], ...]:
        """Pairs of (case id, quantity) that it was found on."""


def facts_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """What can be asked of a case or another topic, as a run directory tells of it."""
    if "experiment" in told:
        return {"experiment": told["experiment"]}
    if "malformation" in told:
        base = case_facts(Case.from_dict(told["base"]))
        return {**base, "malformation": told["malformation"]}
    return case_facts(Case.from_dict(told))


def causes_of_rows(
    frame: pd.DataFrame, explanations: Iterable[Accounted], facts: Facts
) -> pd.Series[str]:
    """For each row of ``frame``, records of a run, the name of its explanation.

    '' where nothing diverges and where no explanation speaks of the row.
    """
    by_subject: dict[str, list[Accounted]] = {}
    for each in explanations:
        by_subject.setdefault(each.subject, []).append(each)
    pairs = {id(each): frozenset(each.affected) for some in by_subject.values() for each in some}
    bad = frame[frame["verdict"].isin(UNEXPECTED) & frame["subject"].isin(list(by_subject))]
    columns = ["subject", "case_id", "clause", "quantity"]
    found = [
        _cause(row, by_subject[row[0]], pairs, facts.get(row[1], {}))
        for row in bad[columns].itertuples(index=False, name=None)
    ]
    return pd.Series(found, index=bad.index, dtype="str").reindex(frame.index, fill_value="")


def _cause(
    row: _Row,
    explanations: Sequence[Accounted],
    pairs: Mapping[int, frozenset[tuple[str, str]]],
    facts: Mapping[str, Any],
) -> str:
    """The name of the explanation that fits best; of equals, the one found on most."""
    fits = [(_fit(row, each, pairs[id(each)], facts), each) for each in explanations]
    best, found = max(fits, key=lambda pair: (pair[0], len(pair[1].affected)))
    return found.name if any(best) else ""


def _fit(
    row: _Row,
    each: Accounted,
    affected: frozenset[tuple[str, str]],
    facts: Mapping[str, Any],
) -> tuple[bool, bool, bool, bool]:
    """How well an explanation speaks of a row: what it was found on counts most."""
    _, case_id, clause, quantity = row
    seen, named = (case_id, quantity) in affected, clause in each.clauses
    about = quantity in each.quantities and meets(each.where, facts)
    return seen and named, seen, about and named, about
