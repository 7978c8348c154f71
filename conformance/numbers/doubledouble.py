"""Double-double arrays: about 106 significant bits from IEEE float64 alone.

A value is an unevaluated sum hi + lo with |lo| <= ulp(hi) / 2. Every operation is built from
error-free transformations, so the result is the same on every platform with IEEE arithmetic,
which long double is not. Relative error: below 2^-103 for each of + - * / and sqrt, and below
2^-103 log2(n) of the sum of magnitudes for a sum of n values.

Sources: Dekker, "A floating-point technique for extending the available precision", 1971;
Joldes, Muller, Popescu, "Tight and rigorous error bounds for basic building blocks of
double-word arithmetic", 2017.

Magnitudes must stay between about 1e-140 and 1e150, so that products neither overflow nor lose
their low part to underflow; the case space keeps within that. Infinities and NaN become NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .blocks import LARGE, blocks

Float64: TypeAlias = npt.NDArray[np.float64]
_SPLITTER = 2.0**27 + 1.0


def two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """s + e = a + b exactly, with s = fl(a + b)."""
    s = a + b
    t = s - a
    e = s - t
    if e.ndim == 0:
        return s, (a - e) + (b - t)
    # The same in place: what is fresh stays in the processor's cache.
    np.subtract(a, e, out=e)
    np.subtract(b, t, out=t)
    e += t
    return s, e


def _quick_two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """The same for |a| >= |b|."""
    s = a + b
    t = s - a
    return s, b - t if t.ndim == 0 else np.subtract(b, t, out=t)


def two_product(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """p + e = a b exactly (no overflow or underflow), with p = fl(a b)."""
    return _product_of_halves(a, b, _split(a), _split(b))


def _product_of_halves(
    a: Float64, b: Float64, halves_a: tuple[Float64, Float64], halves_b: tuple[Float64, Float64]
) -> tuple[Float64, Float64]:
    (a_hi, a_lo), (b_hi, b_lo) = halves_a, halves_b
    p = a * b
    e = a_hi * b_hi
    if e.ndim == 0:
        return p, ((e - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo
    e -= p
    term = a_hi * b_lo
    e += term
    e += np.multiply(a_lo, b_hi, out=term)
    e += np.multiply(a_lo, b_lo, out=term)
    return p, e


def _split(a: Float64) -> tuple[Float64, Float64]:
    t = _SPLITTER * a
    rest = t - a
    hi = t - rest
    return hi, a - hi if hi.ndim == 0 else np.subtract(a, hi, out=rest)


class DoubleDouble:
    """An array of double-double values that takes part in NumPy expressions.

    Supports + - * /, unary minus, ``np.sqrt``, ``np.square``, ``np.maximum``, ``np.minimum``,
    ``sum`` over axes, ``reshape`` and broadcasting, which is all that ``spec.py`` uses; anything
    else raises TypeError. Values never change, so what was computed from the same two operands is
    not computed again: differences, products and sums are remembered as long as the left one lives,
    unless they are so large that memory is worth more than time.
    """

    __slots__ = ("_halves", "_known", "hi", "lo", "plain")

    DECIDED = 2.0**-40
    """How close to 1 error / bound may come before these values cannot tell the side.

    An error is a difference that has lost at most 53 of the 103 bits of a value, and float64's own
    rounding of the ratio (2^-52) is smaller than that.
    """

    hi: Float64
    lo: Float64
    plain: bool
    """Whether lo is 0 everywhere, as it is known to be of what was float64: half of the work."""

    def __init__(self, hi: npt.ArrayLike, lo: npt.ArrayLike | None = None) -> None:
        """Hold hi + lo, or hi alone; both are converted to float64 arrays of one shape."""
        self.hi = np.asarray(hi, np.float64)
        self.lo = np.zeros(self.hi.shape) if lo is None else np.asarray(lo, np.float64)
        if self.hi.shape != self.lo.shape:
            self.hi, self.lo = np.broadcast_arrays(self.hi, self.lo)
        self.plain = lo is None
        self._known: dict[Any, tuple[Any, DoubleDouble]] = {}
        self._halves: tuple[Float64, Float64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.hi.shape

    def __repr__(self) -> str:
        """Both parts, for debugging."""
        return f"DoubleDouble({self.hi!r}, {self.lo!r})"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Route NumPy's operators and functions here, whichever operand comes first."""
        operation = _OPERATIONS.get(ufunc)
        if operation is None or method != "__call__" or kwargs:
            return NotImplemented
        return operation(*(_lift(value) for value in inputs))

    def __add__(self, other: Any) -> DoubleDouble:
        """Sum."""
        return _add(self, _lift(other))

    def __radd__(self, other: Any) -> DoubleDouble:
        """Sum."""
        return _add(_lift(other), self)

    def __sub__(self, other: Any) -> DoubleDouble:
        """Difference."""
        return self._once(_subtract, other)

    def __rsub__(self, other: Any) -> DoubleDouble:
        """Difference."""
        return _subtract(_lift(other), self)

    def __mul__(self, other: Any) -> DoubleDouble:
        """Product."""
        return self._once(_multiply, other)

    def __rmul__(self, other: Any) -> DoubleDouble:
        """Product."""
        return _multiply(_lift(other), self)

    def __truediv__(self, other: Any) -> DoubleDouble:
        """Quotient."""
        return _divide(self, _lift(other))

    def __rtruediv__(self, other: Any) -> DoubleDouble:
        """Quotient."""
        return _divide(_lift(other), self)

    def __neg__(self) -> DoubleDouble:
        """Negative."""
        return _negative(self)

    def _once(self, operation: Callable[..., DoubleDouble], other: Any) -> DoubleDouble:
        """``operation`` with ``other``, remembered where that is an array of this kind."""
        if not isinstance(other, DoubleDouble) or other is self:
            return operation(self, _lift(other))
        if max(self.hi.size, other.hi.size) >= LARGE:
            return operation(self, other)
        key = (operation, id(other))
        if key not in self._known:
            # Kept with its operand, so that no other one can get the same id.
            self._known[key] = other, operation(self, other)
        return self._known[key][1]

    def reshape(self, *shape: Any) -> DoubleDouble:
        """The same values in another shape."""
        return _pair(self.hi.reshape(*shape), self.lo.reshape(*shape), plain=self.plain)

    def sum(self, axis: tuple[int, ...], *, keepdims: bool = False) -> DoubleDouble:
        """Sum over ``axis`` by halving, so that the error grows with log2 of the count."""
        key = (axis, keepdims)
        if key not in self._known:
            self._known[key] = axis, self._sum(axis, keepdims=keepdims)
        return self._known[key][1]

    def _sum(self, axis: tuple[int, ...], *, keepdims: bool) -> DoubleDouble:
        kept = [dim for dim in range(self.hi.ndim) if dim not in axis]
        order, sizes = (*axis, *kept), [self.hi.shape[dim] for dim in kept]
        flat = (math.prod(self.hi.shape[dim] for dim in axis), *sizes)
        total = _tree_sum(
            self.hi.transpose(order).reshape(flat),
            self.lo.transpose(order).reshape(flat),
            plain=self.plain,
        )
        if not keepdims:
            return total
        return total.reshape([1 if dim in axis else size for dim, size in enumerate(self.shape)])

    def to_float64(self) -> Float64:
        """The nearest float64 values."""
        return np.asarray(self.hi + self.lo)


def _pair(hi: Any, lo: Any, *, plain: bool = False) -> DoubleDouble:
    """hi + lo of results, which have one shape and format already."""
    made = DoubleDouble.__new__(DoubleDouble)
    # What was computed from arrays without dimensions is a scalar.
    made.hi = hi if isinstance(hi, np.ndarray) else np.asarray(hi)
    made.lo = lo if isinstance(lo, np.ndarray) else np.asarray(lo)
    made.plain, made._known, made._halves = plain, {}, None  # noqa: SLF001 -- its constructor
    return made


def _lift(value: Any) -> DoubleDouble:
    return value if isinstance(value, DoubleDouble) else DoubleDouble(value)


def _in_blocks(
    operation: Callable[[DoubleDouble, DoubleDouble], DoubleDouble],
) -> Callable[[DoubleDouble, DoubleDouble], DoubleDouble]:
    """``operation``, block by block where arrays are large."""

    @functools.wraps(operation)
    def wrapped(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
        if max(a.hi.size, b.hi.size) < LARGE:
            return operation(a, b)
        shape = np.broadcast_shapes(a.hi.shape, b.hi.shape)
        hi, lo = np.empty(shape), np.empty(shape)
        for where in blocks(shape, range(len(shape))):
            found = operation(_part(a, shape, where), _part(b, shape, where))
            hi[where], lo[where] = found.hi, found.lo
        return _pair(hi, lo)

    return wrapped


def _part(a: DoubleDouble, shape: tuple[int, ...], where: tuple[slice, ...]) -> DoubleDouble:
    """What ``a``, broadcast to ``shape``, holds at ``where``."""
    hi, lo = (np.broadcast_to(each, shape)[where] for each in (a.hi, a.lo))
    return _pair(hi, lo, plain=a.plain)


@_in_blocks
def _add(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    s, e = two_sum(a.hi, b.hi)
    if a.plain and b.plain:
        return _pair(*_quick_two_sum(s, e))
    if a.plain or b.plain:
        return _pair(*_quick_two_sum(s, e + (b.lo if a.plain else a.lo)))
    t, f = two_sum(a.lo, b.lo)
    s, e = _quick_two_sum(s, e + t)
    return _pair(*_quick_two_sum(s, e + f))


@_in_blocks
def _subtract(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    return _add(a, _negative(b))


def _negative(a: DoubleDouble) -> DoubleDouble:
    return _pair(-a.hi, a.lo if a.plain else -a.lo, plain=a.plain)


@_in_blocks
def _multiply(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    p, e = _product_of_halves(a.hi, b.hi, _halves_of(a), _halves_of(b))
    if not a.plain:
        low = a.lo * b.hi
        e = e + (low if b.plain else a.hi * b.lo + low)
    elif not b.plain:
        e = e + a.hi * b.lo
    return _pair(*_quick_two_sum(p, e))


def _halves_of(a: DoubleDouble) -> tuple[Float64, Float64]:
    """The halves of its high part, split once."""
    if a._halves is None:  # noqa: SLF001 -- a part of the class
        a._halves = _split(a.hi)  # noqa: SLF001
    return a._halves  # noqa: SLF001


def _square(a: DoubleDouble) -> DoubleDouble:
    return _multiply(a, a)


def _divide(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    q1 = a.hi / b.hi
    rest = _subtract(a, _multiply(b, DoubleDouble(q1)))
    q2 = rest.hi / b.hi
    rest = _subtract(rest, _multiply(b, DoubleDouble(q2)))
    return _add(_pair(*_quick_two_sum(q1, q2)), DoubleDouble(rest.hi / b.hi))


def _sqrt(a: DoubleDouble) -> DoubleDouble:
    root = np.sqrt(a.hi)
    rest = _subtract(a, _pair(*two_product(root, root)))
    correction = np.divide(rest.hi, 2.0 * root, out=np.zeros_like(root), where=root > 0)
    return _pair(*_quick_two_sum(root, correction))


def _maximum(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    first = (a.hi > b.hi) | ((a.hi == b.hi) & (a.lo >= b.lo)) | np.isnan(a.hi)
    return _pair(np.where(first, a.hi, b.hi), np.where(first, a.lo, b.lo))


def _minimum(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    return _negative(_maximum(_negative(a), _negative(b)))


def _tree_sum(hi: Float64, lo: Float64, *, plain: bool) -> DoubleDouble:
    """Sum over axis 0."""
    if hi.shape[0] == 0:
        return DoubleDouble(np.zeros(hi.shape[1:]))
    while hi.shape[0] > 1:
        half = hi.shape[0] // 2
        first, second = slice(half), slice(half, 2 * half)
        pairs = _add(
            _pair(hi[first], lo[first], plain=plain), _pair(hi[second], lo[second], plain=plain)
        )
        plain = False
        if hi.shape[0] % 2:
            hi = np.concatenate([pairs.hi, hi[2 * half :]])
            lo = np.concatenate([pairs.lo, lo[2 * half :]])
        else:
            hi, lo = pairs.hi, pairs.lo
    return _pair(hi[0], lo[0], plain=plain)


_OPERATIONS: dict[np.ufunc, Callable[..., DoubleDouble]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.negative: _negative,
    np.square: _square,
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.sqrt: _sqrt,
}
