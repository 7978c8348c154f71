"""Every double-double operation against exact rational arithmetic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bnconform.conformance.numbers.doubledouble import DoubleDouble, two_product, two_sum

ENOUGH = Fraction(1, 2**103)
"""The relative error that the module promises for one operation."""

relaxed = settings(deadline=None, max_examples=300)


def _exact(value: DoubleDouble) -> list[Fraction]:
    """The values as fractions, in C order."""
    pairs = zip(value.hi.ravel().tolist(), value.lo.ravel().tolist(), strict=True)
    return [Fraction(hi) + Fraction(lo) for hi, lo in pairs]


def _close(found: DoubleDouble, exact: list[Fraction], relative: Fraction = ENOUGH) -> bool:
    return all(
        abs(got - want) <= relative * abs(want)
        for got, want in zip(_exact(found), exact, strict=True)
    )


def _scaled(low: int, high: int) -> st.SearchStrategy[float]:
    """Floats of both signs with magnitudes from 2^low to 2^high, dense mantissas included."""
    return st.builds(
        lambda sign, mantissa, exponent: sign * math.ldexp(mantissa, exponent),
        st.sampled_from([1.0, -1.0]),
        st.floats(0.5, 1.0, exclude_max=True),
        st.integers(low, high),
    )


@st.composite
def numbers(draw: DrawFn, *, low: int = -200, high: int = 200) -> DoubleDouble:
    """One normalized double-double hi + lo; shrinks towards floats with no low part."""
    hi = draw(_scaled(low, high))
    share = draw(st.floats(-0.5, 0.5))
    hi, lo = _normalized(hi, share * math.ulp(hi))
    return DoubleDouble([hi], [lo])


def _normalized(hi: float, lo: float) -> tuple[float, float]:
    total = hi + lo
    return total, float(Fraction(hi) + Fraction(lo) - Fraction(total))


@relaxed
@given(_scaled(-300, 300), _scaled(-300, 300))
def test_two_sum_loses_nothing(a: float, b: float) -> None:
    """s + e = a + b exactly, and s is the float64 sum."""
    s, e = two_sum(np.array([a]), np.array([b]))
    assert Fraction(float(s[0])) + Fraction(float(e[0])) == Fraction(a) + Fraction(b)
    assert s[0] == a + b


@relaxed
@given(_scaled(-300, 300), _scaled(-300, 300))
def test_two_product_loses_nothing(a: float, b: float) -> None:
    """p + e = a b exactly, and p is the float64 product."""
    p, e = two_product(np.array([a]), np.array([b]))
    assert Fraction(float(p[0])) + Fraction(float(e[0])) == Fraction(a) * Fraction(b)
    assert p[0] == a * b


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@relaxed
@given(numbers(), numbers())
@example(DoubleDouble([1.0], [2.0**-54]), DoubleDouble([-1.0], [2.0**-54]))
@example(DoubleDouble([1.0], [2.0**-60]), DoubleDouble([1.0 + 2.0**-52], [-(2.0**-54)]))
def test_the_four_operations_are_right_to_31_digits(
    operation: Callable[[Any, Any], Any], a: DoubleDouble, b: DoubleDouble
) -> None:
    """Relative error below 2^-103, whatever cancels."""
    assert _close(operation(a, b), [operation(_exact(a)[0], _exact(b)[0])])


@relaxed
@given(numbers())
def test_square_is_the_product_with_itself(a: DoubleDouble) -> None:
    """np.square, to 2^-103."""
    assert _close(np.square(a), [_exact(a)[0] ** 2])


@relaxed
@given(numbers())
def test_negation_is_exact(a: DoubleDouble) -> None:
    """-a, by operator and by ufunc."""
    assert _exact(-a) == _exact(np.negative(a)) == [-_exact(a)[0]]


@relaxed
@given(numbers(), numbers())
@example(DoubleDouble([1.0], [2.0**-54]), DoubleDouble([1.0], [2.0**-55]))
@example(DoubleDouble([1.0], [-(2.0**-54)]), DoubleDouble([1.0], [0.0]))
@example(DoubleDouble([-1.0], [2.0**-54]), DoubleDouble([-1.0], [-(2.0**-54)]))
def test_the_larger_and_the_smaller_of_two_are_exact(a: DoubleDouble, b: DoubleDouble) -> None:
    """np.maximum and np.minimum look at the low parts where the high parts are equal."""
    one, other = _exact(a)[0], _exact(b)[0]
    for left, right in ((a, b), (b, a)):
        larger: Any = np.maximum(left, right)  # type: ignore[call-overload]
        smaller: Any = np.minimum(left, right)  # type: ignore[call-overload]
        assert _exact(larger) == [max(one, other)]
        assert _exact(smaller) == [min(one, other)]


@pytest.mark.parametrize("operation", [np.maximum, np.minimum])
def test_the_larger_or_smaller_of_nan_and_a_number_is_nan(operation: Any) -> None:
    """On either side, as NumPy has it; clipping hides no NaN."""
    with np.errstate(invalid="ignore"):
        for left, right in (([np.nan], [1.0]), ([1.0], [np.nan])):
            assert np.isnan(operation(DoubleDouble(left), DoubleDouble(right)).hi).all()


@relaxed
@given(numbers())
def test_sqrt_squares_back(a: DoubleDouble) -> None:
    """(1 + e)^2 a with |e| <= 2^-103, since the root itself need not be rational."""
    assume(a.hi[0] > 0)
    root = np.sqrt(a)
    assert root.hi[0] > 0
    assert _close(DoubleDouble(root.hi, root.lo), [_exact(root)[0]])
    assert abs(_exact(root)[0] ** 2 - _exact(a)[0]) <= 3 * ENOUGH * _exact(a)[0]


def test_sqrt_of_zero_is_zero() -> None:
    """No division by the root of zero."""
    assert _exact(np.sqrt(DoubleDouble([0.0, 4.0]))) == [0, 2]


@relaxed
@given(st.lists(_scaled(-60, 60), min_size=0, max_size=40))
def test_a_sum_errs_by_at_most_log2_n_roundings_of_the_magnitudes(values: list[float]) -> None:
    """|sum - exact| <= 2^-103 ceil(log2 n) sum|values|, empty sums included."""
    found = DoubleDouble(np.array(values, np.float64)).sum(axis=(0,))
    depth = max(len(values) - 1, 0).bit_length()
    magnitude = sum((abs(Fraction(v)) for v in values), Fraction(0))
    error = abs(_exact(found)[0] - sum((Fraction(v) for v in values), Fraction(0)))
    assert error <= ENOUGH * depth * magnitude


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        ((0,), (3, 4)),  # one axis
        ((0, 2), (3,)),  # two that are not neighbours
        ((0, 1, 2), ()),  # all of them
        ((), (2, 3, 4)),  # none: the values themselves
    ],
)
@pytest.mark.parametrize("keepdims", [True, False])
def test_sum_reduces_the_axes_that_it_is_given(
    axis: tuple[int, ...], shape: tuple[int, ...], *, keepdims: bool
) -> None:
    """Shape and values, on integers, where NumPy's own sum is exact."""
    values = np.arange(24.0).reshape(2, 3, 4) ** 2
    found = DoubleDouble(values).sum(axis=axis, keepdims=keepdims)
    wide = tuple(1 if i in axis else size for i, size in enumerate(values.shape))
    assert found.shape == (wide if keepdims else shape)
    np.testing.assert_array_equal(found.hi, values.sum(axis=axis, keepdims=keepdims))
    np.testing.assert_array_equal(found.lo, 0.0)


def test_the_low_parts_are_summed_too() -> None:
    """2^-80 beside each 1 is not lost."""
    found = DoubleDouble(np.ones(8), np.full(8, 2.0**-80)).sum(axis=(0,))
    assert _exact(found) == [8 + 8 * Fraction(1, 2**80)]


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize(
    "left",
    [
        2.5,  # a Python float
        3,  # a Python integer
        np.float64(4.5),  # a NumPy scalar would otherwise take over
        np.float32(5.5),  # a narrower one, exact in float64
        np.array([[1.0], [4.0]]),  # an array, which broadcasts
    ],
)
def test_anything_numeric_may_stand_on_either_side(
    operation: Callable[[Any, Any], Any], left: Any
) -> None:
    """Both orders give a DoubleDouble that equals exact arithmetic, broadcast."""
    right = DoubleDouble([3.0, 7.0], [2.0**-60, 2.0**-70])
    rows = np.broadcast_arrays(np.asarray(left, np.float64), right.hi)[0].ravel().tolist()
    others = _exact(right) * (len(rows) // 2)
    for found, exact in (
        (
            operation(left, right),
            [operation(Fraction(a), b) for a, b in zip(rows, others, strict=True)],
        ),
        (
            operation(right, left),
            [operation(b, Fraction(a)) for a, b in zip(rows, others, strict=True)],
        ),
    ):
        assert isinstance(found, DoubleDouble)
        assert _close(found, exact)


def test_operands_broadcast_like_arrays() -> None:
    """(2, 1) by (3,) gives (2, 3)."""
    product = DoubleDouble([[2.0], [3.0]]) * DoubleDouble([1.0, 10.0, 100.0])
    assert product.shape == (2, 3)
    assert product.to_float64().tolist() == [[2.0, 20.0, 200.0], [3.0, 30.0, 300.0]]


def test_reshape_moves_both_parts() -> None:
    """The low part stays with its high part."""
    value = DoubleDouble(np.arange(6.0), np.arange(6.0) * 2.0**-60).reshape((2, 3))
    assert value.shape == (2, 3)
    assert (value.lo == value.hi * 2.0**-60).all()


def test_to_float64_rounds_the_sum_of_both_parts() -> None:
    """1 + 2^-52 is kept, 1 + 2^-60 rounds to 1."""
    assert DoubleDouble([1.0, 1.0], [2.0**-52, 2.0**-60]).to_float64().tolist() == [
        1.0 + 2.0**-52,
        1.0,
    ]


@pytest.mark.parametrize(
    "call",
    [
        np.exp,  # no such operation
        np.abs,  # nor this one, which spec.py does not need
        np.add.reduce,  # a method of a supported ufunc
        pytest.param(lambda a: np.add(a, 1.0, out=np.zeros(2)), id="out="),  # would be ignored
        pytest.param(lambda a: np.arctan2(a, 1.0), id="arctan2"),  # two operands
        pytest.param(lambda a: a**2, id="power"),  # an operator
        pytest.param(lambda a: a < 1.0, id="less"),  # would have to look at both parts
    ],
)
def test_what_is_not_supported_raises_instead_of_losing_digits(call: Callable[[Any], Any]) -> None:
    """TypeError, never a silent fall back to float64."""
    with pytest.raises(TypeError):
        call(DoubleDouble([1.0, 2.0]))


def test_a_non_finite_value_does_not_become_finite() -> None:
    """NaN and infinity stay non-finite through every operation."""
    with np.errstate(invalid="ignore"):
        for bad in (np.nan, np.inf, -np.inf):
            value = DoubleDouble([bad])
            for found in (value + 1.0, 1.0 - value, value * 2.0, value / 3.0, value.sum(axis=(0,))):
                assert not np.isfinite(found.hi).any()


def test_repr_shows_both_parts() -> None:
    """For debugging."""
    assert repr(DoubleDouble([1.0], [0.5])) == "DoubleDouble(array([1.]), array([0.5]))"
