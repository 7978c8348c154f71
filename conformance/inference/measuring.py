"""Measuring: the interval of a number that an answer allows, found on the oracle itself.

The number is varied in what is asked of the oracle, not of the subject: each value for which the
answer is within its bounds is allowed. The allowed ones form an interval, because answers are
monotone in the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Ratio = Callable[[float], float]
"""|got - expected| / bound for one value of the number; at most 1 where the answer allows it."""

_STEPS = 40
_HALVINGS = 10
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

EXPONENT_GRID = tuple(float(k) for k in range(-30, 3))
"""Decimal exponents between which epsilon is looked for; below all of them it is as good as 0."""

DECAY_GRID = tuple(k / 16 for k in range(17))
"""Where the weight of the old value is looked for."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """All numbers from ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        """Whether ``number`` is one of them."""
        return self.low <= number <= self.high

    def __and__(self, other: Interval) -> Interval | None:
        """What is in both; None for nothing."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low=low, high=high) if low <= high else None

    @property
    def plainest(self) -> float:
        """The member with the fewest decimal digits: what somebody would have written."""
        if 0.0 in self:
            return 0.0
        middle = self.low + (self.high - self.low) / 2.0
        found = (float(f"{middle:.{digits}e}") for digits in range(17))
        return next((number for number in found if number in self), middle)


def allowed(ratio: Ratio, grid: Sequence[float], guess: float | None = None) -> Interval | None:
    """The numbers between the ends of ``grid`` that ``ratio`` allows; None for none.

    ``guess`` is tried first, and saves looking for one of them all over the grid.
    """
    inside = guess if guess is not None and ratio(guess) <= 1.0 else _found(ratio, grid)
    if inside is None:
        return None
    low, high = _edge(ratio, inside, grid[0]), _edge(ratio, inside, grid[-1])
    return Interval(low=low, high=high)


def allowed_epsilons(ratio: Ratio, guess: float = 0.0) -> Interval | None:
    """The values of epsilon that ``ratio`` allows; they are looked for by their exponents."""
    least = EXPONENT_GRID[0]
    exponent = max(math.log10(guess), least) if guess > 0.0 else least
    found = allowed(lambda exponent: ratio(10.0**exponent), EXPONENT_GRID, exponent)
    if found is None:
        return Interval(low=0.0, high=0.0) if ratio(0.0) <= 1.0 else None
    nothing = found.low == least and ratio(0.0) <= 1.0
    return Interval(low=0.0 if nothing else 10.0**found.low, high=10.0**found.high)


def _found(ratio: Ratio, grid: Sequence[float]) -> float | None:
    """A number that is allowed, near the point of ``grid`` that fits best."""
    known = [ratio(number) for number in grid]
    if all(math.isnan(each) for each in known):
        return None
    nearest = min(range(len(grid)), key=lambda k: math.inf if math.isnan(known[k]) else known[k])
    if known[nearest] <= 1.0:
        return grid[nearest]
    best = _least(ratio, grid[max(nearest - 1, 0)], grid[min(nearest + 1, len(grid) - 1)])
    return best if ratio(best) <= 1.0 else None


def _least(ratio: Ratio, low: float, high: float) -> float:
    """Where ``ratio`` is least between two numbers, by golden section."""
    a = high - _GOLDEN * (high - low)
    b = low + _GOLDEN * (high - low)
    at_a, at_b = ratio(a), ratio(b)
    for _ in range(_STEPS):
        # Inside the interval there is nothing left to look for.
        if min(at_a, at_b) <= 1.0:
            break
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = ratio(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = ratio(b)
    return a if at_a <= at_b else b


def _edge(ratio: Ratio, inside: float, end: float) -> float:
    """The last allowed number from ``inside`` to ``end``: by ever longer steps, then by halving."""
    if ratio(end) <= 1.0:
        return end
    step, outside = (end - inside) * 2.0**-36, end
    while abs(step) < abs(end - inside):
        if ratio(inside + step) > 1.0:
            outside = inside + step
            break
        inside, step = inside + step, 2.0 * step
    for _ in range(_HALVINGS):
        middle = inside + (outside - inside) / 2.0
        if ratio(middle) <= 1.0:
            inside = middle
        else:
            outside = middle
    return inside
