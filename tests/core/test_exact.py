"""Exact rational arrays, and arbitration where double-double cannot decide."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.numbers.exact import (
    SQRT_BITS,
    Rational,
    arbitrate,
    exact_ratio,
    root,
    undecided,
    within_range,
)

relaxed = settings(deadline=None, max_examples=100)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.fractions(Fraction(1, 10**12), 10**12, max_denominator=10**12)


def _values(array: Rational) -> list[Any]:
    return list(array.values.ravel())


@relaxed
@given(finite, finite)
def test_the_four_operations_lose_nothing(a: float, b: float) -> None:
    """Any two floats, subnormal and huge ones included."""
    left: Any = Rational([a])
    right: Any = Rational([b])
    exact = Fraction(a), Fraction(b)
    assert _values(left + right) == [exact[0] + exact[1]]
    assert _values(left - right) == [exact[0] - exact[1]]
    assert _values(left * right) == [exact[0] * exact[1]]
    assert _values(left / right) == [exact[0] / exact[1] if b else None]
    assert _values(np.square(left)) == [exact[0] ** 2]
    assert _values(np.maximum(left, right)) == [max(exact)]
    assert _values(np.minimum(left, right)) == [min(exact)]
    assert _values(-left) == _values(np.negative(left)) == [-exact[0]]


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize(
    "left",
    [
        2.5,  # a Python float
        3,  # a Python integer
        np.float32(0.1),  # a narrower scalar, taken as what it holds
        np.array([[1.0], [4.0]]),  # an array, which broadcasts
        Fraction(1, 3),  # a number that no float holds
    ],
)
def test_anything_numeric_may_stand_on_either_side(
    operation: Callable[[Any, Any], Any], left: Any
) -> None:
    """Both orders give the exact result, broadcast."""
    right = Rational([3.0, 7.0])
    rows = np.asarray(left).ravel().tolist()
    pairs = [(Fraction(a), Fraction(b)) for a, b in product(rows, (3, 7))]
    assert _values(operation(left, right)) == [operation(a, b) for a, b in pairs]
    assert _values(operation(right, left)) == [operation(b, a) for a, b in pairs]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.int64])
def test_every_format_is_lifted_exactly(dtype: Any) -> None:
    """Half formats, float32 and whole numbers."""
    assert _values(Rational(np.array([3, -5], dtype))) == [3, -5]


def test_a_double_double_is_lifted_with_both_parts() -> None:
    """hi + lo."""
    assert _values(Rational(DoubleDouble([1.0], [2.0**-80]))) == [1 + Fraction(1, 2**80)]


@relaxed
@given(positive, st.integers(-2000, 2000))
def test_a_root_is_the_nearest_of_256_bits(value: Fraction, exponent: int) -> None:
    """(1 - 2^-256) root <= sqrt <= (1 + 2^-256) root, and so for squares, without any rounding."""
    scaled = value * Fraction(2) ** exponent
    found, slack = root(scaled), Fraction(1, 2**SQRT_BITS)
    assert (found * (1 - slack)) ** 2 <= scaled <= (found * (1 + slack)) ** 2


@relaxed
@given(positive, st.integers(3, 12))
def test_a_root_of_few_bits_has_no_nearer_neighbour(value: Fraction, bits: int) -> None:
    """The rounding is to nearest: half a unit away lies beyond the root, on both sides."""
    found = root(value, bits)
    if found**2 == value:
        return
    ratio = Fraction(math.isqrt(int(value * 4**60)), 2**60)
    unit = Fraction(2) ** (math.floor(math.log2(ratio)) - bits)
    assert (found - unit) ** 2 < value < (found + unit) ** 2


@relaxed
@given(st.fractions(0, 10**6, max_denominator=10**6))
def test_a_rational_root_is_exact(value: Fraction) -> None:
    """sqrt(q^2) = q."""
    assert root(value**2) == value
    assert _values(np.sqrt(Rational(np.array([value**2], object)))) == [value]


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        ((0,), (3, 4)),  # one axis
        ((0, 2), (3,)),  # two that are not neighbours
        ((2, 0), (3,)),  # in any order
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
    found = Rational(values).sum(axis=axis, keepdims=keepdims)
    wide = tuple(1 if i in axis else size for i, size in enumerate(values.shape))
    assert found.shape == (wide if keepdims else shape)
    np.testing.assert_array_equal(found.hi, values.sum(axis=axis, keepdims=keepdims))


def test_a_sum_of_nothing_is_zero() -> None:
    """An empty batch."""
    assert _values(Rational(np.zeros((0, 2))).sum(axis=(0,))) == [0, 0]


@pytest.mark.parametrize(
    "undefined",
    [
        Rational([np.nan]),  # NaN
        Rational([np.inf]),  # infinity is no rational number
        Rational([1.0]) / 0.0,  # a pole
        np.sqrt(Rational([-1.0])),  # no real number
        Rational(np.array([None], object)),  # as it is stored
    ],
)
def test_what_is_undefined_spreads_and_never_becomes_a_number(undefined: Any) -> None:
    """Through every kind of operation."""
    for found in (
        undefined + 1.0,
        2.0 * undefined,
        np.maximum(undefined, 0.0),
        np.sqrt(undefined),
        undefined.sum(axis=(0,)),
    ):
        assert np.isnan(found.hi).all()
        assert (found.lo == 0).all()


@pytest.mark.parametrize("call", [np.exp, np.add.reduce, lambda a: np.add(a, 1.0, out=np.zeros(2))])
def test_what_is_not_supported_raises(call: Callable[[Any], Any]) -> None:
    """TypeError, never a silent fall back to float64."""
    with pytest.raises(TypeError):
        call(Rational([1.0, 2.0]))


def test_hi_and_lo_are_the_nearest_double_double() -> None:
    """1/3 to 106 bits."""
    third = Rational([1.0]) / 3.0
    pair = third.to_double_double()
    assert (pair.hi[0], pair.lo[0]) == (1 / 3, float(Fraction(1, 3) - Fraction(1 / 3)))
    assert third.to_float64().tolist() == [1 / 3]


def test_beyond_float64_hi_is_infinite_and_lo_zero() -> None:
    """1e200 squared, both signs: the exact number is kept all the same."""
    huge = Rational([1e200, -1e200]) * 1e200
    assert huge.hi.tolist() == [np.inf, -np.inf]
    assert huge.lo.tolist() == [0.0, 0.0]
    assert (huge / 1e200).hi.tolist() == [1e200, -1e200]


def test_reshape_indexing_and_repr_keep_the_numbers() -> None:
    """What the reference does to arrays besides arithmetic."""
    values = Rational([1, 2, 3, 4, 5, 6]).reshape((2, 3))
    assert values.shape == (2, 3)
    assert _values(values[1]) == [4, 5, 6]
    assert repr(Rational([Fraction(1, 2)])) == "Rational([mpq(1,2)])"


@pytest.mark.parametrize(
    ("scale", "epsilon"),
    [
        (1e-200, 0.0),  # squares below float64's smallest
        (1e-160, 0.0),  # squares whose low parts underflow
        (1e200, 1e-3),  # squares beyond float64's largest
    ],
)
def test_the_spec_is_exact_where_double_double_leaves_its_range(
    scale: float, epsilon: float
) -> None:
    """y is that of the same batch scaled by its own power, to 60 digits."""
    x = np.array([[1.0], [2.0], [4.0]])

    def output(values: Any, eps: Any) -> Any:
        mu = spec.batch_mean(values, (0,))
        v = spec.biased_variance(values, mu, (0,))
        return spec.normalize(values, mu, spec.inverse_deviation(v, eps))

    factor = Fraction(scale)
    found = output(Rational(x) * scale, epsilon)
    same = output(Rational(x), Fraction(epsilon) / factor**2)
    for one, other in zip(_values(found), _values(same), strict=True):
        assert abs(one - other) <= abs(other) * Fraction(1, 2**200)
    with np.errstate(all="ignore"):
        lost = output(DoubleDouble(x) * scale, epsilon)
    relative = np.abs((lost.hi - found.hi + lost.lo - found.lo) / found.hi)
    assert not (relative < 2.0**-60).all()


@pytest.mark.parametrize(
    ("excess", "side"),
    [
        (Fraction(1, 2**110), 1),  # above: a divergence that double-double rounds away
        (Fraction(-1, 2**110), -1),  # below: conforms
        (Fraction(0), 0),  # on the bound: conforms
    ],
)
def test_a_ratio_within_2_to_the_minus_110_of_one_is_decided_exactly(
    excess: Fraction, side: int
) -> None:
    """|got - exact| / bound = 1 + excess: float64 and double-double both see 1."""
    got, bound = np.array([1.0]), np.array([2.0**-24])
    exact = Rational(np.array([1 - Fraction(1, 2**24) * (1 + excess)], object))
    value = exact.to_double_double()
    naive = np.abs((got - value.hi) - value.lo) / bound
    assert naive[0] == 1.0
    assert undecided(naive, value.hi).all()
    ratio = arbitrate(got, naive, value, bound, lambda: exact)
    assert np.sign(ratio[0] - 1.0) == side


def test_arbitration_finds_a_divergence_that_overflow_hid() -> None:
    """Inputs of 1e200 make double-double NaN; the exact value condemns a wrong answer."""
    x = np.array([[1e200], [3e200]])
    with np.errstate(all="ignore"):
        value = spec.biased_variance(DoubleDouble(x), DoubleDouble([[2e200]]), (0,))
        naive = np.abs(1.0 - value.hi)
    got, bound = np.array([[1e300]]), np.array([[1.0]])
    exact = spec.biased_variance(Rational(x), Rational([[2e200]]), (0,))
    assert not within_range(x)
    ratio = arbitrate(got, naive, value, bound, lambda: exact, in_range=False)
    assert ratio.tolist() == [[math.inf]]


def test_arbitration_acquits_where_the_inputs_are_out_of_range() -> None:
    """A normalized 1e-200 is an ordinary number that double-double got wrong."""
    x = np.array([[1e-200], [-1e-200]])
    with np.errstate(all="ignore"):
        v = spec.biased_variance(DoubleDouble(x), DoubleDouble([[0.0]]), (0,))
        value = spec.normalize(DoubleDouble(x), 0.0, spec.inverse_deviation(v, 0.0))
        got, bound = np.array([[1.0], [-1.0]]), np.full((2, 1), 1e-15)
        naive = np.abs(got - value.hi) / bound
    exact_v = spec.biased_variance(Rational(x), 0.0, (0,))
    exact = spec.normalize(Rational(x), 0.0, spec.inverse_deviation(exact_v, 0.0))
    ratio = arbitrate(got, naive, value, bound, lambda: exact, in_range=within_range(x))
    assert ratio.tolist() == [[0.0], [0.0]]


def test_the_exact_value_is_not_asked_for_where_double_double_decides() -> None:
    """That is what keeps the common case fast."""
    value, ratio = DoubleDouble([1.0, 2.0]), np.array([0.3, 4.0])

    def never() -> Rational:
        raise AssertionError

    assert arbitrate(np.ones(2), ratio, value, np.ones(2), never) is ratio


def test_only_undecided_elements_are_replaced() -> None:
    """The rest keeps the ratio that it had."""
    value = DoubleDouble([0.0, 1.0])
    ratio = arbitrate(
        np.array([5.0, 3.0]), np.array([0.25, 1.0]), value, np.ones(2), lambda: Rational(value)
    )
    assert ratio.tolist() == [0.25, 2.0]


def test_answers_and_values_that_are_not_finite_keep_their_ratio() -> None:
    """What NaN must be is no question of precision."""
    with np.errstate(invalid="ignore"):
        value = DoubleDouble([np.nan, 1.0])
    got, ratio = np.array([7.0, np.inf]), np.array([math.inf, 1.0])
    found = arbitrate(got, ratio, value, np.ones(2), lambda: Rational([np.nan, 1.0]))
    assert found.tolist() == ratio.tolist()


@pytest.mark.parametrize(
    ("got", "exact", "bound", "ratio"),
    [
        (1.0, 1.0, 0.0, 0.0),  # the exact lane: no error, no bound
        (1.5, 1.0, 0.0, math.inf),  # the exact lane: an error
        (1.5, 1.0, 0.25, 2.0),  # an ordinary ratio
        (1.5, 1.0, math.inf, 0.0),  # nothing can be promised
        (math.nan, 1.0, 1.0, math.inf),  # no number
        (1.5, math.nan, 1.0, math.nan),  # nothing to compare with
        (1.5, 1.0, math.nan, math.nan),  # no bound
        (1e300, 0.0, 1e-300, math.inf),  # beyond float64
    ],
)
def test_the_exact_ratio_follows_the_rules_of_compare(
    got: float, exact: float, bound: float, ratio: float
) -> None:
    """0 / 0 is 0, infinite bounds allow anything finite."""
    found = exact_ratio(np.array([got]), Rational([exact]), np.array([bound]))
    np.testing.assert_array_equal(found, [ratio])


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        (0.0, True),  # exact in any format
        (1.0, True),  # ordinary
        (1e-60, True),  # what the tiny fill of float64 gives
        (1e60, True),  # what the huge one gives
        (1e-71, False),  # its square loses the low part
        (1e76, False),  # the square of its square overflows
        (math.nan, True),  # not a question of range
        (math.inf, True),  # likewise
    ],
)
def test_inputs_are_in_range_if_their_squares_are(value: float, *, inside: bool) -> None:
    """One element decides; an absent array does not."""
    assert within_range(None, np.array([1.0, value])) is inside


@pytest.mark.parametrize(
    ("ratio", "hi", "open_"),
    [
        (0.5, 1.0, False),  # clearly within
        (1.0 + 2.0**-39, 1.0, False),  # clearly beyond
        (1.0 - 2.0**-40, 1.0, True),  # as close as the threshold
        (1.0 + 2.0**-41, 1.0, True),  # closer
        (0.5, 0.0, False),  # zero is exact
        (0.5, -1e-141, True),  # small beyond the range
        (0.5, 1e151, True),  # large beyond it
        (0.5, np.nan, True),  # overflowed on the way
        (np.nan, np.nan, True),  # and the ratio with it
    ],
)
def test_undecided_are_ratios_next_to_one_and_values_out_of_range(
    ratio: float, hi: float, *, open_: bool
) -> None:
    """Everything else is left to double-double."""
    assert undecided(np.array([ratio]), np.array([hi])).tolist() == [open_]
    assert undecided(np.array([ratio]), np.array([hi]), in_range=False).all()
