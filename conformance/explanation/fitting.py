"""How well alternatives fit: which rows one explains, and whether anything contradicts it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from ..contract import Quantity
from .catalogue import ALTERNATIVES
from .findings import Findings, Row, cases_of
from .measuring import SLACK, Asked, Ratios, measure_all
from .scope import STRUCTURE, Where, find_scope, meets

Offer: TypeAlias = tuple[int, set[Row], Where]
"""An alternative, the rows that it explains, and where."""

IMPROVEMENT = 2.0
"""An alternative must fit so many times better than what was declared: else it changes nothing."""

NEARLY = 8.0
"""How far beyond its bound a row may be that belongs to an alternative which fits others."""

FEWEST = 3
"""Cases from which on a limit or two facts may say where a cause holds: of fewer it is chance."""

_NATURE = ("dtype", "half_parameters", "variant")
"""Facts that an alternative itself speaks of; which mode it is about, its name says."""


_FIRST = 8
"""Rows that are looked at before all others."""


class Fitting:
    """Tries alternatives, by their position in the catalogue, on the rows that are left.

    ``known`` is what was measured so far, by alternative and witness.
    """

    def __init__(self, found: Findings) -> None:
        """Nothing is tried yet."""
        self.found = found
        self.known: dict[tuple[int, int], Ratios] = {}

    def probed(self, alternatives: Iterable[int]) -> list[int]:
        """Those of ``alternatives`` that fit one of a few rows of each quantity."""
        few = {a: list(self._few(a)) for a in alternatives}
        self._measure((a, row) for a, rows in few.items() for row in rows)
        return [a for a, rows in few.items() if any(self._fits(a, row) for row in rows)]

    def _few(self, a: int) -> Iterator[Row]:
        """A few of the rows that are left of each quantity and mode."""
        sorts: dict[Any, list[Row]] = defaultdict(list)
        for row in sorted(self.found.left):
            if self._concerns(a, row):
                sorts[row[1], self.found.witnesses[row[0]].case.mode].append(row)
        for rows in sorts.values():
            yield from _spread(rows)

    def offers(self, alternatives: Iterable[int]) -> list[Offer]:
        """What each of ``alternatives`` explains of all that is left."""
        mine = {a: {row for row in self.found.left if self._concerns(a, row)} for a in alternatives}
        self._measure((a, row) for a, rows in mine.items() for row in rows)
        return [(a, *self._explained(a, rows)) for a, rows in mine.items()]

    def _explained(self, a: int, mine: set[Row]) -> tuple[set[Row], Where]:
        """The rows of ``mine`` that ``a`` explains, and where; none if that would be a guess."""
        rows = {row for row in mine if self._fits(a, row)}
        if self._contradicts_itself(a, rows):
            return set(), {}
        missed = mine - rows
        quantities = {quantity for _, quantity in rows}
        holding = {each for each in quantities if self._holds_for(a, each, rows, missed)}
        everywhere = {row for row in rows if row[1] in holding}
        if cases_of(everywhere) > 1 or everywhere == self.found.left:
            return everywhere, self._about(a)
        if cases_of(rows) < FEWEST:
            return set(), {}
        against = self._against(a, quantities, missed)
        where = self.found.scope(rows, against, STRUCTURE)
        return (rows, where) if where else (set(), {})

    def _about(self, a: int) -> Where:
        """The formats or the variant that ``a`` is about by its nature, {} if about all."""
        concerned = [ALTERNATIVES[a].concerns(each.case) for each in self.found.witnesses]
        inside, outside = (
            [
                facts
                for facts, about in zip(self.found.facts, concerned, strict=True)
                if about is side
            ]
            for side in (True, False)
        )
        for name in _NATURE:
            where = find_scope(inside, outside, (name,))
            if where:
                return where
        return {}

    def also(self, a: int, where: Where) -> set[Row]:
        """Rows that ``a``, once accepted, leaves within their bounds or nearly so."""
        found = set()
        for row in self.found.left:
            if self._concerns(a, row) and meets(where, self.found.facts[row[0]]):
                ratio = self._ratios(a, row[0]).get(row[1], math.inf)
                near = ratio <= NEARLY and ratio * NEARLY < self.found.declared(row)
                if ratio <= 1.0 or near:
                    found.add(row)
        return found

    def _contradicts_itself(self, a: int, rows: set[Row]) -> bool:
        """Whether ``a`` would change what the subject got right in the very cases it explains."""
        cases = {index for index, _ in rows}
        spoilt = {row[0] for row in self.found.right if row[0] in cases and self._refuted(a, row)}
        return 3 * len(spoilt) > len(cases)

    def _holds_for(self, a: int, quantity: Quantity, rows: set[Row], missed: set[Row]) -> bool:
        """Whether ``a`` holds for a quantity on every case that can tell.

        It may miss a few that another cause has spoilt as well, but nothing may contradict it.
        """
        fitting = sum(row[1] is quantity for row in rows)
        missing = sum(row[1] is quantity for row in missed)
        if ALTERNATIVES[a].wider:
            return not missing and self._typical(a, quantity)
        return 2 * missing < fitting and not self._contradicted(a, quantity)

    def _contradicted(self, a: int, quantity: Quantity) -> bool:
        """Whether any row of ``quantity`` that is right speaks against ``a``."""
        asked = self._right(a, {quantity})
        # Many alternatives fall at one of the first few.
        for some in (asked[:_FIRST], asked):
            self._measure((a, row) for row in some)
            if any(self._refuted(a, row) for row in some):
                return True
        return False

    def _typical(self, a: int, quantity: Quantity) -> bool:
        """Whether ``quantity`` diverges far more often where ``a`` is about than elsewhere.

        Wide bounds of half precision fit any small error, also one that all formats share.
        """
        here, elsewhere = [0, 0], [0, 0]
        for rows, wrong in ((self.found.wrong, 1), (self.found.right, 0)):
            for row in rows:
                if row[1] is quantity:
                    (here if self._concerns(a, row) else elsewhere)[wrong] += 1
        rate, other = (wrong / max(right + wrong, 1) for right, wrong in (here, elsewhere))
        return 2 * other < rate

    def _against(self, a: int, quantities: Collection[Quantity], missed: set[Row]) -> set[Row]:
        """Rows of ``quantities`` that speak against ``a``."""
        found = {row for row in missed if row[1] in quantities}
        if ALTERNATIVES[a].wider:
            # What is within the right bound is within a wider one.
            return found
        asked = self._right(a, quantities)
        self._measure((a, row) for row in asked)
        return found | {row for row in asked if self._refuted(a, row)}

    def _right(self, a: int, quantities: Collection[Quantity]) -> list[Row]:
        """Rows of ``quantities`` that conform and that ``a`` concerns, in their order."""
        right = (row for row in self.found.right if row[1] in quantities)
        return sorted(row for row in right if self._concerns(a, row))

    def _concerns(self, a: int, row: Row) -> bool:
        alternative, case = ALTERNATIVES[a], self.found.witnesses[row[0]].case
        if alternative.wider and not case.smallest_count:
            # Of nothing, no precision is too low.
            return False
        return row[1] in alternative.quantities and alternative.concerns(case)

    def _fits(self, a: int, row: Row) -> bool:
        """Whether ``a`` gives what the subject gave, and fits far better than what it declared."""
        ratio = self._ratios(a, row[0]).get(row[1])
        better = IMPROVEMENT * SLACK
        return ratio is not None and ratio <= 1.0 and ratio * better < self.found.declared(row)

    def _refuted(self, a: int, row: Row) -> bool:
        if not self._concerns(a, row):
            return False
        ratio = self._ratios(a, row[0]).get(row[1])
        return ratio is not None and ratio > 1.0

    def _ratios(self, a: int, index: int) -> Ratios:
        """Largest error / bound of each quantity of a witness under alternative ``a``."""
        if (a, index) not in self.known:
            self._measure([(a, (index, Quantity.Y))])
        return self.known[a, index]

    def _measure(self, wanted: Iterable[tuple[int, Row]]) -> None:
        """Learn all at once what alternatives make of the witnesses of rows."""
        pairs = dict.fromkeys((a, row[0]) for a, row in wanted)
        new = [pair for pair in pairs if pair not in self.known]
        asked = [
            Asked(
                alternative=ALTERNATIVES[a],
                witness=self.found.witnesses[index],
                inputs=self.found.inputs(index),
            )
            for a, index in new
        ]
        found = measure_all(asked, self.found.conventions)
        self.known.update(zip(new, found, strict=True))


def _spread(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The first, the last and the middle one."""
    return rows[0], rows[len(rows) // 2], rows[-1]
