"""Exact rational arrays, and arbitration: what decides where double-double cannot.

:class:`Rational` stands wherever ``doubledouble.DoubleDouble`` does: ``spec.py`` runs on it
unchanged, on magnitudes that float64 could not even hold, and ``hi`` and ``lo`` give the nearest
double-double. Only ``sqrt`` rounds: to ``SQRT_BITS`` significant bits, correctly. The numbers are
GMP's, by gmpy2. A channel still costs many times what it costs in double-double, which is why the
exact value is asked for only where :func:`undecided` says so.

NaN, infinities, division by zero and roots of negative numbers give "undefined", which spreads as
NaN does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from gmpy2 import isqrt, mpq

from .doubledouble import DoubleDouble, Float64

Scalar: TypeAlias = mpq | None
"""An exact number, or None for one that is undefined."""

SQRT_BITS = 256
"""Significant bits of a root that is no rational number."""

RANGE = (1e-140, 1e150)
"""Magnitudes whose products double-double can hold, see ``doubledouble.py``."""


class Rational:
    """An array of exact rational numbers that takes part in NumPy expressions.

    Supports what ``DoubleDouble`` supports, and indexing. A float counts as the number that it
    holds, 0.1 as 3602879701896397 / 2^55.
    """

    DECIDED = 0.0
    """How close to 1 error / bound may come before these values cannot tell the side."""

    _hi: Float64 | None = None

    def __init__(self, values: Any) -> None:
        """Hold numbers, double-double values, or an object array of exact ones and None."""
        self.values: npt.NDArray[Any] = _exactly(values)

    @classmethod
    def holding(cls, values: Any) -> Rational:
        """What an operation on exact numbers gave: they are taken as they are."""
        found = cls.__new__(cls)
        found.values = np.asarray(values, object)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.values.shape

    @property
    def hi(self) -> Float64:
        """The nearest float64 values; NaN where undefined, infinite beyond the largest."""
        if self._hi is None:
            # Kept, as every bound asks for it.
            self._hi = np.asarray(_HIGH(self.values), np.float64)
        return self._hi

    @property
    def lo(self) -> Float64:
        """What ``hi`` lacks, to the nearest float64; 0 where ``hi`` is not finite."""
        return np.asarray(_LOW(self.values), np.float64)

    def __repr__(self) -> str:
        """The numbers, for debugging."""
        return f"Rational({self.values.tolist()!r})"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Route NumPy's operators and functions here, whichever operand comes first."""
        operation = _OPERATIONS.get(ufunc)
        if operation is None or method != "__call__" or kwargs:
            return NotImplemented
        return Rational.holding(operation(*map(_exactly, inputs)))

    def __add__(self, other: Any) -> Rational:
        """Sum."""
        return _apply(np.add, self, other)

    def __radd__(self, other: Any) -> Rational:
        """Sum."""
        return _apply(np.add, other, self)

    def __sub__(self, other: Any) -> Rational:
        """Difference."""
        return _apply(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Rational:
        """Difference."""
        return _apply(np.subtract, other, self)

    def __mul__(self, other: Any) -> Rational:
        """Product."""
        return _apply(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Rational:
        """Product."""
        return _apply(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Rational:
        """Quotient."""
        return _apply(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Rational:
        """Quotient."""
        return _apply(np.divide, other, self)

    def __neg__(self) -> Rational:
        """Negative."""
        return _apply(np.negative, self)

    def __getitem__(self, index: Any) -> Rational:
        """The values at ``index``."""
        return Rational.holding(self.values[index])

    def reshape(self, *shape: Any) -> Rational:
        """The same values in another shape."""
        return Rational.holding(self.values.reshape(*shape))

    def sum(self, axis: tuple[int, ...], *, keepdims: bool = False) -> Rational:
        """Sum over ``axis``; 0 where there is nothing to sum."""
        total = self.values
        for dim in sorted(axis, reverse=True):
            total = np.asarray(_ADD.reduce(total, axis=dim, initial=mpq(0)), object)
        if keepdims:
            shape = [1 if dim in axis else size for dim, size in enumerate(self.shape)]
            total = total.reshape(shape)
        return Rational.holding(total)

    def to_float64(self) -> Float64:
        """The nearest float64 values."""
        return self.hi

    def to_double_double(self) -> DoubleDouble:
        """The nearest double-double values."""
        return DoubleDouble(self.hi, self.lo)


def root(value: mpq, bits: int = SQRT_BITS) -> mpq:
    """The square root of ``value`` >= 0: exact where it is rational, else rounded to ``bits``.

    Rounded to nearest, so that it errs by at most 2^-bits relative.
    """
    top, bottom = value.numerator, value.denominator
    exact = isqrt(top), isqrt(bottom)
    if exact[0] ** 2 == top and exact[1] ** 2 == bottom:
        return mpq(*exact)
    # 4^shift value lies between 4^bits / 2 and 4^bits 4: its root is at least 2^(bits - 1/2).
    exponent = top.bit_length() - bottom.bit_length()
    shift = bits - exponent // 2
    scaled = value * mpq(4) ** shift
    whole = isqrt(scaled.numerator // scaled.denominator)
    # Between whole and whole + 1: the nearer one, found by comparing squares.
    if scaled > (whole + mpq(1, 2)) ** 2:
        whole += 1
    return whole * mpq(2) ** -shift


def _exactly(values: Any) -> npt.NDArray[Any]:
    """An object array of exact numbers."""
    if isinstance(values, Rational):
        return values.values
    if isinstance(values, DoubleDouble):
        return np.asarray(_ADD(_exactly(values.hi), _exactly(values.lo)), object)
    array = np.asarray(values)
    if array.dtype.kind not in "iuO":
        array = array.astype(np.float64)  # a superset of every floating format in use
    return np.asarray(_LIFT(array.astype(object)), object)


def _lift(value: Any) -> Scalar:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return mpq(value)


def _apply(ufunc: np.ufunc, *operands: Any) -> Rational:
    return Rational.holding(_OPERATIONS[ufunc](*map(_exactly, operands)))


def _unary(function: Callable[[mpq], Scalar]) -> np.ufunc:
    """``function`` on an array, undefined wherever that is."""
    made: np.ufunc = np.frompyfunc(lambda a: None if a is None else function(a), 1, 1)
    return made


def _binary(function: Callable[[mpq, mpq], Scalar]) -> np.ufunc:
    """``function`` on two arrays, undefined wherever one of them is."""
    made: np.ufunc = np.frompyfunc(
        lambda a, b: None if a is None or b is None else function(a, b), 2, 1
    )
    return made


def _high(value: Scalar) -> float:
    if value is None:
        return math.nan
    try:
        # Python's own division rounds correctly, below the normal numbers, too.
        return int(value.numerator) / int(value.denominator)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _low(value: Scalar) -> float:
    high = _high(value)
    return _high(value - mpq(high)) if value is not None and math.isfinite(high) else 0.0


_LIFT = np.frompyfunc(_lift, 1, 1)
_HIGH = np.frompyfunc(_high, 1, 1)
_LOW = np.frompyfunc(_low, 1, 1)
_ADD = _binary(operator.add)

_OPERATIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: _ADD,
    np.subtract: _binary(operator.sub),
    np.multiply: _binary(operator.mul),
    np.divide: _binary(lambda a, b: a / b if b else None),
    np.negative: _unary(operator.neg),
    np.square: _unary(lambda a: a * a),
    np.maximum: _binary(max),
    np.minimum: _binary(min),
    np.sqrt: _unary(lambda a: root(a) if a >= 0 else None),
}


def within_range(*arrays: npt.NDArray[Any] | None) -> bool:
    """Whether double-double may be trusted with these inputs and their squares.

    Zeros, NaN and infinities do not count, and None is no array.
    """
    given = [array.reshape(-1, 1) for array in arrays if array is not None]
    return all(each_within_range(array.astype(np.float64)).all() for array in given)


def each_within_range(columns: Float64) -> npt.NDArray[np.bool_]:
    """:func:`within_range` of each column by itself."""
    low, high = RANGE[0] ** 0.5, RANGE[1] ** 0.5
    size = np.abs(columns)
    out = np.isfinite(size) & (size > 0) & ((size < low) | (size > high))
    return np.asarray(~out.any(axis=0))


def undecided(
    ratio: Float64, value: Float64, decided: float = DoubleDouble.DECIDED, *, in_range: bool = True
) -> npt.NDArray[np.bool_]:
    """Elements whose verdict a ``value`` with error / bound ``ratio`` cannot give.

    Those with a ratio within ``decided`` of 1, by default double-double's; and those that left the
    range of double-double: by their own magnitude, by having become NaN, or because the inputs were
    out of it (``in_range`` False).
    """
    size = np.abs(value)
    # Not by NaN, which makes this False.
    if in_range and size.size and size.max() <= RANGE[1] and ratio.max() < 1.0 - decided:
        # Nearly all: only what is tiny is left to look for.
        return np.asarray((size > 0) & (size < RANGE[0]))
    out = ~np.isfinite(size) | ((size > 0) & ((size < RANGE[0]) | (size > RANGE[1])))
    close = np.abs(ratio - 1.0) <= decided
    return np.asarray(close | out | (not in_range))


def exact_ratio(got: npt.NDArray[Any], exact: Rational, bound: Float64) -> Float64:
    """|got - exact| / bound for each element, rounded to float64 but never to the other side of 1.

    A bound of zero allows no error: 0 / 0 is 0 and anything else infinite. Infinite where ``got``
    is not finite, 0 for any finite value where the bound is infinite, NaN where the exact value is
    undefined.
    """
    ratios = np.frompyfunc(_ratio, 3, 1)(got.astype(np.float64), exact.values, bound)
    return np.asarray(ratios, np.float64)


def _ratio(got: float, exact: Scalar, bound: float) -> float:
    if exact is None or math.isnan(bound):
        return math.nan
    if not math.isfinite(got):
        return math.inf
    error = abs(mpq(got) - exact)
    if math.isinf(bound) or error == 0:
        return 0.0
    if bound == 0:
        return math.inf
    quotient = error / mpq(bound)
    nearest = _high(quotient)
    if nearest == 1.0 and quotient != 1:
        return math.nextafter(1.0, math.inf if quotient > 1 else 0.0)
    return nearest


def arbitrate(
    got: npt.NDArray[Any],
    ratio: Float64,
    value: DoubleDouble | Rational,
    bound: Float64,
    exact: Callable[[], Rational],
    *,
    in_range: bool = True,
) -> Float64:
    """``ratio`` with every undecided element replaced by that of the exact value.

    ``ratio`` is |got - value| / bound as computed from the double-double ``value``; ``in_range`` is
    :func:`within_range` of the case's inputs. ``exact`` gives the exact value of the whole array
    and is called only if an element needs it. Elements whose exact value is undefined too (NaN or
    infinity went in), and answers that are not finite, keep their ratio: what those must be is no
    question of precision.
    """
    open_ = undecided(ratio, value.hi, in_range=in_range) & np.isfinite(got.astype(np.float64))
    if not open_.any():
        return ratio
    decided = exact_ratio(got[open_], exact()[open_], np.broadcast_to(bound, got.shape)[open_])
    result = np.array(ratio, np.float64)
    result[open_] = np.where(np.isnan(decided), result[open_], decided)
    return result
