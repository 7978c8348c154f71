"""Which explanation each diverging row of a run belongs to.

A run asks its subjects again about a sample of what diverged, so an explanation names only some of
its rows; the others belong to the one that speaks of their clause and quantity, and of where their
case lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from ..case import Case
from ..known.divergences import case_facts
from ..record import UNEXPECTED
from .scope import meets

Facts = Mapping[str, Mapping[str, Any]]
"""What can be asked of a case or another topic, by its id; see :data:`known.WHERE_FIELDS`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What assigning a row to an explanation needs to know of it."""

    case_id: str
    clause: str
    quantity: str
    facts: Mapping[str, Any]


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
    assigners = {subject: Assigner(some) for subject, some in by_subject.items()}
    bad = frame[frame["verdict"].isin(UNEXPECTED) & frame["subject"].isin(list(by_subject))]
    columns = ["subject", "case_id", "clause", "quantity"]
    found = []
    for subject, case_id, clause, quantity in bad[columns].itertuples(index=False, name=None):
        asked = facts.get(case_id, {})
        row = Row(case_id=case_id, clause=clause, quantity=quantity, facts=asked)
        number = assigners[subject].assigned(row)
        found.append("" if number is None else by_subject[subject][number].name)
    return pd.Series(found, index=bad.index, dtype="str").reindex(frame.index, fill_value="")


class Assigner:
    """Assigns rows of one subject to its explanations."""

    def __init__(self, explanations: Sequence[Accounted]) -> None:
        """All explanations of the subject."""
        self._explanations = explanations
        self._pairs = [frozenset(each.affected) for each in explanations]

    def assigned(self, row: Row) -> int | None:
        """The position of the explanation that fits best, None where none speaks of the row.

        Of equals it is the one found on most, then the first.
        """
        fits = [
            (self._fit(row, number), len(each.affected), -number)
            for number, each in enumerate(self._explanations)
        ]
        best, _, number = max(fits, default=((), 0, 0))
        return -number if any(best) else None

    def _fit(self, row: Row, number: int) -> tuple[bool, ...]:
        """How well an explanation speaks of a row: what it was found on counts most."""
        each = self._explanations[number]
        seen, named = (row.case_id, row.quantity) in self._pairs[number], row.clause in each.clauses
        about = row.quantity in each.quantities and meets(each.where, row.facts)
        return seen and named, seen, about and named, about
