"""How well alternatives fit: which rows one explains, and whether anything contradicts it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..contract import Answer, Answered, Array, Quantity
from ..expecting.expectation import Expectation, Expected
from ..judging.compare import compare
from ..verdict import Conforms, Diverges
from .alternative import Alternative
from .catalogue import ALTERNATIVES
from .findings import Findings, Row, cases_of
from .scope import STRUCTURE, Where, find_scope, meets

SLACK = 2.0
"""Bounds of an alternative are the spec's own, which fit it but for a small factor."""

IMPROVEMENT = 2.0
"""An alternative must fit so many times better than what was declared: else it changes nothing."""

NEARLY = 8.0
"""How far beyond its bound a row may be that belongs to an alternative which fits others."""


_NATURE = ("dtype", "half_parameters", "variant")
"""Facts that an alternative itself speaks of; which mode it is about, its name says."""


class Fitting:
    """Tries alternatives, by their position in the catalogue, on the rows that are left."""

    def __init__(self, found: Findings) -> None:
        """Nothing is tried yet."""
        self.found = found
        self._known: dict[tuple[int, int], Mapping[Quantity, float]] = {}

    def probe(self, a: int) -> bool:
        """Whether alternative ``a`` fits one of a few rows of each quantity."""
        sorts: dict[Any, list[Row]] = defaultdict(list)
        for row in sorted(self.found.left):
            if self._concerns(a, row):
                sorts[row[1], self.found.witnesses[row[0]].case.mode].append(row)
        few = [row for rows in sorts.values() for row in _spread(rows)]
        return any(self._fits(a, row) for row in few)

    def explained(self, a: int) -> tuple[set[Row], Where]:
        """The rows that ``a`` explains, and where; none if that would be a guess."""
        mine = [row for row in self.found.left if self._concerns(a, row)]
        rows = {row for row in mine if self._fits(a, row)}
        if self._contradicts_itself(a, rows):
            return set(), {}
        missed = {row for row in mine if row not in rows}
        everywhere = {row for row in rows if self._holds_for(a, row[1], rows, missed)}
        if cases_of(everywhere) > 1 or everywhere == self.found.left:
            return everywhere, self._about(a)
        against = self._against(a, {quantity for _, quantity in rows}, missed)
        where = self.found.scope(rows, against, STRUCTURE) if cases_of(rows) > 2 else None
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
        return 2 * missing < fitting and not self._against(a, {quantity}, set())

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

    def _against(self, a: int, quantities: Iterable[Quantity], missed: set[Row]) -> set[Row]:
        """Rows of ``quantities`` that speak against ``a``."""
        wanted = set(quantities)
        found = {row for row in missed if row[1] in wanted}
        if ALTERNATIVES[a].wider:
            # What is within the right bound is within a wider one.
            return found
        return found | {
            row for row in self.found.right if row[1] in wanted and self._refuted(a, row)
        }

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

    def _ratios(self, a: int, index: int) -> Mapping[Quantity, float]:
        """Largest error / bound of each quantity of a witness under alternative ``a``."""
        if (a, index) not in self._known:
            self._known[a, index] = self._measured(ALTERNATIVES[a], index)
        return self._known[a, index]

    def _measured(self, alternative: Alternative, index: int) -> Mapping[Quantity, float]:
        witness = self.found.witnesses[index]
        if not isinstance(witness.outcome, Answered):
            return {}
        try:
            expected = alternative.expect(
                witness.case, self.found.inputs(index), self.found.conventions
            )
        except (ValueError, ZeroDivisionError, OverflowError):
            # This case cannot be misread in this way.
            return {}
        ratios = {
            quantity: _ratio(witness.outcome.answer, expected, quantity, alternative)
            for quantity in alternative.quantities
        }
        return {quantity: ratio for quantity, ratio in ratios.items() if ratio is not None}


def _spread(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The first, the last and the middle one."""
    return rows[0], rows[len(rows) // 2], rows[-1]


def _ratio(
    answer: Answer, expected: Expected, quantity: Quantity, alternative: Alternative
) -> float | None:
    """The largest error / bound of ``quantity`` over all calls; None where nothing is judged.

    A bound so wide that it says nothing fits as well as any.
    """
    largest: float | None = None
    for got, want in _pairs(answer, expected, quantity):
        looked_at = want.without(want.vacuous) if alternative.any_value else want
        slack = 1.0 if alternative.wider else SLACK
        verdict = compare(got, replace(looked_at, bound=want.bound * slack, exact=None))
        if not isinstance(verdict, (Conforms, Diverges)) or verdict.measure is None:
            return None
        if verdict.measure.judged or alternative.wider:
            largest = max(largest or 0.0, verdict.measure.ratio)
    return largest


def _pairs(
    answer: Answer, expected: Expected, quantity: Quantity
) -> Iterator[tuple[Array, Expectation]]:
    if quantity is Quantity.Y_INFER:
        if answer.inference is not None and expected.inference is not None:
            yield answer.inference.y, expected.inference[quantity]
        return
    for step, want in zip(answer.steps, expected.steps, strict=True):
        got = getattr(step, quantity.value)
        if got is not None and quantity in want:
            yield got, want[quantity]
