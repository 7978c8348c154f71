"""How far what a subject gave is from what alternatives give: for many witnesses at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..cases.fills import Inputs
from ..contract import Answer, Answered, Array, Quantity
from ..expecting.expectation import Conventions, Expectation, Expectations, Expected
from ..expecting.stack import Stack
from ..judging.compare import compare_all
from ..reference import stacked_at_once
from ..verdict import Conforms, Diverges
from .alternative import Alternative, Reading, walk
from .explanation import Witness

CANNOT_BE_MISREAD = (ValueError, ZeroDivisionError, OverflowError)
"""What an alternative raises on a case that cannot be misread in its way."""

SLACK = 2.0
"""Bounds of an alternative are the spec's own, which fit it but for a small factor."""

COMPARED = 2**17
"""Elements from which on what was collected is compared, so that expectations do not pile up."""

Ratios: TypeAlias = dict[Quantity, float]
"""Largest error / bound of each quantity that is judged."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An alternative to be tried on a witness, whose arrays are ``inputs``."""

    alternative: Alternative
    witness: Witness
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What was asked, in its place among all, and the case as the alternative reads it."""

    place: int
    alternative: Alternative
    answer: Answer
    reading: Reading


_Entry: TypeAlias = tuple[int, Quantity, tuple[Array, Expectation]]
"""A comparison: whose it is, of which quantity, what came and what would have to."""


def measure_all(every: Sequence[Asked], conventions: Conventions) -> list[Ratios]:
    """The ratios of each of ``every``: nothing where a case cannot be misread in this way.

    A quantity is left out where nothing of it is judged over all calls, and where shape or format
    are wrong. What can be walked through together is, whatever the alternative.
    """
    ratios: list[Ratios] = [{} for _ in every]
    spoilt: set[tuple[int, Quantity]] = set()
    for entries in _collected(_entries(every, conventions)):
        verdicts = compare_all(pair for _, _, pair in entries)
        for (place, quantity, _), verdict in zip(entries, verdicts, strict=True):
            if not isinstance(verdict, (Conforms, Diverges)) or verdict.measure is None:
                spoilt.add((place, quantity))
            elif verdict.measure.judged or every[place].alternative.wider:
                ratio = verdict.measure.ratio
                # What is no number says that the bound is none, which must not pass for a fit.
                known = math.inf if math.isnan(ratio) else ratio
                ratios[place][quantity] = max(ratios[place].get(quantity, 0.0), known)
    for place, quantity in spoilt:
        ratios[place].pop(quantity, None)
    return ratios


def _collected(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """``entries`` in order, as many at a time as are compared together."""
    some: list[_Entry] = []
    elements = 0
    for entry in entries:
        some.append(entry)
        elements += entry[2][1].bound.size
        if elements >= COMPARED:
            yield some
            some, elements = [], 0
    yield some


def _entries(every: Sequence[Asked], conventions: Conventions) -> Iterator[_Entry]:
    """All comparisons that ``every`` needs."""
    alike: dict[Hashable, list[_Tried]] = defaultdict(list)
    for place, asked in enumerate(every):
        tried = _tried(place, asked, conventions)
        if tried is not None:
            # Bounds are widened for all of a stack.
            way = tried.alternative.wider, tried.alternative.any_value
            alike[tried.reading.sort, way].append(tried)
    for together in alike.values():
        most = stacked_at_once(together[0].reading.case)
        for start in range(0, len(together), most):
            yield from _of_stack(together[start : start + most])


def _tried(place: int, asked: Asked, conventions: Conventions) -> _Tried | None:
    """The case as the alternative reads it, None where it cannot or where there is no answer."""
    alternative, witness = asked.alternative, asked.witness
    if not isinstance(witness.outcome, Answered):
        return None
    try:
        reading = alternative.reading(witness.case, asked.inputs, conventions)
    except CANNOT_BE_MISREAD:
        return None
    return _Tried(
        place=place, alternative=alternative, answer=witness.outcome.answer, reading=reading
    )


def _of_stack(together: Sequence[_Tried]) -> Iterator[_Entry]:
    """The comparisons of what can be walked through together; of those that raise, none."""
    try:
        stack, found = walk([tried.reading for tried in together])
    except CANNOT_BE_MISREAD:
        if len(together) > 1:
            # The others are not to be left out for one.
            for tried in together:
                yield from _of_stack([tried])
        return
    for tried, expected in zip(together, _widened(stack, found, together), strict=True):
        yield from _pairs(tried, expected)


def _widened(stack: Stack, found: Expected, together: Sequence[_Tried]) -> Iterator[Expected]:
    """What each case must give for its alternative to fit, in the quantities that are looked at."""
    alternative = together[0].alternative
    wanted = {name for tried in together for name in tried.alternative.quantities}

    def opened(step: Mapping[Quantity, Expectation]) -> list[Expectations]:
        looked_at = {
            name: _fitting(want, alternative) for name, want in step.items() if name in wanted
        }
        return stack.opened(looked_at)

    steps = [opened(step) for step in found.steps]
    last = [None] * stack.count if found.inference is None else opened(found.inference)
    for place, inference in enumerate(last):
        yield Expected(steps=tuple(step[place] for step in steps), inference=inference)


def _fitting(want: Expectation, alternative: Alternative) -> Expectation:
    """``want`` with the slack that an alternative has; where it promises nothing, not looked at."""
    looked_at = want.without(want.vacuous) if alternative.any_value else want
    slack = 1.0 if alternative.wider else SLACK
    return replace(looked_at, bound=want.bound * slack, exact=None)


def _pairs(tried: _Tried, expected: Expected) -> Iterator[_Entry]:
    """The comparisons of one case."""
    answer, inference = tried.answer, expected.inference
    for quantity in tried.alternative.quantities:
        if quantity is Quantity.Y_INFER:
            if answer.inference is not None and inference is not None:
                yield tried.place, quantity, (answer.inference.y, inference[quantity])
            continue
        for step, want in zip(answer.steps, expected.steps, strict=True):
            got = getattr(step, quantity.value)
            if got is not None and quantity in want:
                yield tried.place, quantity, (got, want[quantity])
