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

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]
_SPLITTER = 2.0**27 + 1.0


def two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """s + e = a + b exactly, with s = fl(a + b)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _quick_two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """The same for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """p + e = a b exactly (no overflow or underflow), with p = fl(a b)."""
    p = a * b
    a_hi, a_lo = _split(a)
    b_hi, b_lo = _split(b)
    return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def _split(a: Float64) -> tuple[Float64, Float64]:
    t = _SPLITTER * a
    hi = t - (t - a)
    return hi, a - hi


class DoubleDouble:
    """An array of double-double values that takes part in NumPy expressions.

    Supports + - * /, unary minus, ``np.sqrt``, ``np.square``, ``np.maximum``, ``np.minimum``,
    ``sum`` over axes, ``reshape`` and broadcasting, which is all that ``spec.py`` uses; anything
    else raises TypeError.
    """

    __slots__ = ("hi", "lo")

    def __init__(self, hi: npt.ArrayLike, lo: npt.ArrayLike = 0.0) -> None:
        """Hold hi + lo; both are converted to float64 arrays of one shape."""
        self.hi, self.lo = np.broadcast_arrays(
            np.asarray(hi, np.float64), np.asarray(lo, np.float64)
        )

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
        return _subtract(self, _lift(other))

    def __rsub__(self, other: Any) -> DoubleDouble:
        """Difference."""
        return _subtract(_lift(other), self)

    def __mul__(self, other: Any) -> DoubleDouble:
        """Product."""
        return _multiply(self, _lift(other))

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

    def reshape(self, *shape: Any) -> DoubleDouble:
        """The same values in another shape."""
        return DoubleDouble(self.hi.reshape(*shape), self.lo.reshape(*shape))

    def sum(self, axis: tuple[int, ...], *, keepdims: bool = False) -> DoubleDouble:
        """Sum over ``axis`` by halving, so that the error grows with log2 of the count."""
        kept = [dim for dim in range(self.hi.ndim) if dim not in axis]
        order = (*axis, *kept)
        flat = (-1, *(self.hi.shape[dim] for dim in kept))
        count = int(np.prod([self.hi.shape[dim] for dim in axis], dtype=int))
        terms = DoubleDouble(
            self.hi.transpose(order).reshape((count, *flat[1:])),
            self.lo.transpose(order).reshape((count, *flat[1:])),
        )
        total = _tree_sum(terms)
        if not keepdims:
            return total
        return total.reshape([1 if dim in axis else size for dim, size in enumerate(self.shape)])

    def to_float64(self) -> Float64:
        """The nearest float64 values."""
        return np.asarray(self.hi + self.lo)


def _lift(value: Any) -> DoubleDouble:
    return value if isinstance(value, DoubleDouble) else DoubleDouble(value)


def _add(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    s, e = two_sum(a.hi, b.hi)
    t, f = two_sum(a.lo, b.lo)
    s, e = _quick_two_sum(s, e + t)
    return DoubleDouble(*_quick_two_sum(s, e + f))


def _subtract(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    return _add(a, _negative(b))


def _negative(a: DoubleDouble) -> DoubleDouble:
    return DoubleDouble(-a.hi, -a.lo)


def _multiply(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    p, e = two_product(a.hi, b.hi)
    return DoubleDouble(*_quick_two_sum(p, e + (a.hi * b.lo + a.lo * b.hi)))


def _square(a: DoubleDouble) -> DoubleDouble:
    return _multiply(a, a)


def _divide(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    q1 = a.hi / b.hi
    rest = _subtract(a, _multiply(b, DoubleDouble(q1)))
    q2 = rest.hi / b.hi
    rest = _subtract(rest, _multiply(b, DoubleDouble(q2)))
    return _add(DoubleDouble(*_quick_two_sum(q1, q2)), DoubleDouble(rest.hi / b.hi))


def _sqrt(a: DoubleDouble) -> DoubleDouble:
    root = np.sqrt(a.hi)
    rest = _subtract(a, DoubleDouble(*two_product(root, root)))
    correction = np.divide(rest.hi, 2.0 * root, out=np.zeros_like(root), where=root > 0)
    return DoubleDouble(*_quick_two_sum(root, correction))


def _maximum(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    first = (a.hi > b.hi) | ((a.hi == b.hi) & (a.lo >= b.lo)) | np.isnan(a.hi)
    return DoubleDouble(np.where(first, a.hi, b.hi), np.where(first, a.lo, b.lo))


def _minimum(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    return _negative(_maximum(_negative(a), _negative(b)))


def _tree_sum(terms: DoubleDouble) -> DoubleDouble:
    """Sum over axis 0."""
    hi, lo = terms.hi, terms.lo
    if hi.shape[0] == 0:
        return DoubleDouble(np.zeros(hi.shape[1:]))
    while hi.shape[0] > 1:
        half = hi.shape[0] // 2
        first, second = slice(half), slice(half, 2 * half)
        pairs = _add(DoubleDouble(hi[first], lo[first]), DoubleDouble(hi[second], lo[second]))
        hi = np.concatenate([pairs.hi, hi[2 * half :]])
        lo = np.concatenate([pairs.lo, lo[2 * half :]])
    return DoubleDouble(hi[0], lo[0])


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
