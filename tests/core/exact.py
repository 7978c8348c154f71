"""Exact numbers for the proofs: Q(sqrt w), and dual numbers that differentiate over any field.

Every channel of a batch normalization lives in one field Q(sqrt w) with w = v + epsilon, so that
the spec can be evaluated, and differentiated, without a single rounding. Nothing here uses NumPy's
arithmetic or the spec.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Objects: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Surd:
    """rational + factor sqrt(root), a field of its own for each ``root``.

    Two irrational numbers meet only if they have the same root; 0 stands for "rational".
    """

    rational: Fraction
    factor: Fraction = Fraction(0)
    root: Fraction = Fraction(0)

    def __add__(self, other: Any) -> Surd:
        """Sum."""
        right = _surd(other)
        return _normal(
            self.rational + right.rational, self.factor + right.factor, _common(self, right)
        )

    def __neg__(self) -> Surd:
        """Negative."""
        return Surd(-self.rational, -self.factor, self.root)

    def __sub__(self, other: Any) -> Surd:
        """Difference."""
        return self + -_surd(other)

    def __mul__(self, other: Any) -> Surd:
        """Product."""
        right, root = _surd(other), _common(self, _surd(other))
        rational = self.rational * right.rational + self.factor * right.factor * root
        return _normal(rational, self.rational * right.factor + self.factor * right.rational, root)

    def __truediv__(self, other: Any) -> Surd:
        """Quotient, by the conjugate."""
        right = _surd(other)
        norm = right.rational**2 - right.factor**2 * right.root
        return self * Surd(right.rational / norm, -right.factor / norm, right.root)

    def __radd__(self, other: Any) -> Surd:
        """Sum."""
        return _surd(other) + self

    def __rsub__(self, other: Any) -> Surd:
        """Difference."""
        return _surd(other) - self

    def __rmul__(self, other: Any) -> Surd:
        """Product."""
        return _surd(other) * self

    def __rtruediv__(self, other: Any) -> Surd:
        """Quotient."""
        return _surd(other) / self

    def sqrt(self) -> Surd:
        """The root of a rational number; NumPy calls it for ``np.sqrt`` of an object array."""
        assert self.factor == 0
        assert self.rational >= 0
        top, bottom = self.rational.numerator, self.rational.denominator
        if math.isqrt(top) ** 2 == top and math.isqrt(bottom) ** 2 == bottom:
            return Surd(Fraction(math.isqrt(top), math.isqrt(bottom)))
        return Surd(Fraction(0), Fraction(1), self.rational)


def _surd(value: Any) -> Surd:
    return value if isinstance(value, Surd) else Surd(Fraction(value))


def _common(a: Surd, b: Surd) -> Fraction:
    assert a.root == b.root or not a.root or not b.root, "numbers of two different fields"
    return a.root or b.root


def _normal(rational: Fraction, factor: Fraction, root: Fraction) -> Surd:
    return Surd(rational, factor, root) if factor else Surd(rational)


@dataclass(frozen=True)
class Dual:
    """value + slope h with h^2 = 0: forward differentiation, exact over an exact field."""

    value: Surd
    slope: Surd

    def __add__(self, other: Dual) -> Dual:
        """Sum."""
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Dual) -> Dual:
        """Difference."""
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Dual) -> Dual:
        """Product."""
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    def __truediv__(self, other: Dual) -> Dual:
        """Quotient."""
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - quotient * other.slope) / other.value)

    def sqrt(self) -> Dual:
        """Root."""
        root = self.value.sqrt()
        return Dual(root, self.slope / (root * 2))


def constant(value: Any) -> Dual:
    """A number that does not vary."""
    return Dual(_surd(value), _surd(0))


def derivative(function: Callable[[list[Dual]], Dual], at: Sequence[Any], index: int) -> Surd:
    """The partial derivative of ``function`` by its argument number ``index``."""
    point = [Dual(_surd(v), _surd(1 if i == index else 0)) for i, v in enumerate(at)]
    return function(point).slope


def surds(values: Any) -> Objects:
    """An object array of exact numbers, of the same shape."""
    array = np.asarray(values)
    flat = [_surd(value) for value in array.ravel().tolist()]
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(array.shape)


def by_channel(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Positions of ``shape`` grouped by the channel they belong to; ``axes`` are reduced.

    A channel is named by its position in the wide array: 0 on every reduced axis.
    """
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for position in product(*(range(size) for size in shape)):
        channel = tuple(0 if axis in axes else i for axis, i in enumerate(position))
        groups.setdefault(channel, []).append(position)
    return groups
