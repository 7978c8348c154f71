"""The variants' equations on numbers that a reader can check by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bnconform.conformance import spec
from bnconform.conformance.numbers.exact import Rational, root


def _numbers(array: Any) -> list[Any]:
    return list(array.values.ravel())


def _wide(*values: Any) -> Any:
    """One row, a channel each."""
    return Rational(np.array([[Fraction(v) for v in values]], object))


def test_weighted_statistics_are_weighted_averages() -> None:
    """x = (1, 2, 6) with w = (1, 0, 3): mu = 19/4, v = (1 (15/4)^2 + 3 (5/4)^2) / 4."""
    x, w = Rational([[1.0], [2.0], [6.0]]), Rational([[1.0], [0.0], [3.0]])
    assert _numbers(spec.total_weight(w, (0,))) == [4]
    mu = spec.weighted_mean(x, w, (0,))
    assert _numbers(mu) == [Fraction(19, 4)]
    variance = spec.weighted_variance(x, w, mu, (0,))
    assert _numbers(variance) == [Fraction(225 + 75, 64)]
    assert mu.shape == variance.shape == spec.total_weight(w, (0,)).shape == (1, 1)


def test_weights_are_summed_over_the_reduction_axes_alone() -> None:
    """Shapes of an image with features in the middle; every channel has the same weights."""
    x = Rational(np.arange(12.0).reshape(2, 3, 2))
    w = Rational(np.array([1.0, 2.0, 3.0, 0.0]).reshape(2, 1, 2))
    mu = spec.weighted_mean(x, w, (0, 2))
    assert spec.total_weight(w, (0, 2)).shape == (1, 1, 1)
    assert mu.shape == (1, 3, 1)
    assert _numbers(mu) == [Fraction(0 + 2 + 18, 6), Fraction(16 + 16, 6), Fraction(22 + 22, 6)]
    assert spec.weighted_variance(x, w, mu, (0, 2)).shape == (1, 3, 1)


def test_the_renormalizing_scale_is_the_ratio_of_deviations() -> None:
    """v + epsilon = 9/4 and s = 3: R = 1/2, and the limits move it."""
    v, s = _wide(2), _wide(3)
    assert _numbers(spec.renorm_scale(v, s, 0.25, None, None)) == [Fraction(1, 2)]
    assert _numbers(spec.renorm_scale(v, s, 0.25, 0.75, 2.0)) == [Fraction(3, 4)]
    assert _numbers(spec.renorm_scale(v, s, 0.25, 0.0, 0.25)) == [Fraction(1, 4)]
    assert _numbers(spec.renorm_scale(v, s, 0.25, 0.25, 0.75)) == [Fraction(1, 2)]
    # A root that no fraction equals keeps its bits.
    assert _numbers(spec.renorm_scale(_wide(1), _wide(1), 1.0, None, None)) == [root(Fraction(2))]


@pytest.mark.parametrize(
    ("d_max", "expected"),
    [
        (None, [Fraction(-3, 2), Fraction(3, 2)]),  # as it is
        (2.0, [Fraction(-3, 2), Fraction(3, 2)]),  # a limit out of reach
        (0.5, [Fraction(-1, 2), Fraction(1, 2)]),  # on both sides
        (0.0, [0, 0]),  # no shift at all, which is not "no limit"
    ],
)
def test_the_renormalizing_shift_is_clipped_on_both_sides(
    d_max: float | None, expected: list[Any]
) -> None:
    """D = (mu - m) / s for mu = -1 and 5, m = 2, s = 2."""
    found = spec.renorm_shift(_wide(-1, 5), _wide(2), _wide(2), d_max)
    assert _numbers(found) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, None, [-2, 0, 2]),  # no limits
        (0.0, None, [0, 0, 2]),  # 0 is a limit
        (None, 0.0, [-2, 0, 0]),  # above likewise
        (-1.0, 1.0, [-1, 0, 1]),  # both
    ],
)
def test_clip_takes_either_limit_or_none(
    low: float | None, high: float | None, expected: list[int]
) -> None:
    """None is no limit."""
    assert _numbers(spec.clip(_wide(-2, 0, 2), low, high)) == expected


def test_a_transform_scales_before_it_shifts() -> None:
    """3 * 5 + 7."""
    assert _numbers(spec.transform(_wide(5), _wide(3), _wide(7))) == [22]


@pytest.mark.parametrize(
    ("stddev", "epsilon", "expected"),
    [
        (3, 1.0, 8),  # sd^2 - epsilon
        (1, 1.0, 0),  # the limit
        (Fraction(1, 2), 1.0, 0),  # never negative
    ],
)
def test_the_running_variance_of_renormalization_takes_epsilon_off(
    stddev: Any, epsilon: float, expected: int
) -> None:
    """rv = max(sd^2 - epsilon, 0)."""
    assert _numbers(spec.renorm_running_var(_wide(stddev), epsilon)) == [expected]


@pytest.mark.parametrize(
    "cuts",
    [
        (2, 6),  # uneven replicas
        (1, 2, 3),  # one value, two, three, and the rest
        (4,),  # halves
    ],
)
def test_merged_statistics_are_those_of_the_whole(cuts: tuple[int, ...]) -> None:
    """Exactly, for any split of eight values."""
    values = np.array([1.0, -3.0, 0.5, 7.0, 2.0, 2.0, -6.0, 4.25])
    parts = [Rational(part) for part in np.split(values, cuts)]
    means = [spec.batch_mean(part, (0,)) for part in parts]
    spreads = [spec.biased_variance(p, m, (0,)) for p, m in zip(parts, means, strict=True)]
    counts = [spec.count(part, (0,)) for part in parts]
    whole = Rational(values)
    mu = spec.batch_mean(whole, (0,))
    assert _numbers(spec.merged_mean(means, counts)) == _numbers(mu)
    merged = spec.merged_variance(spreads, means, counts)
    assert _numbers(merged) == _numbers(spec.biased_variance(whole, mu, (0,)))


def test_statistics_of_different_numbers_of_replicas_are_refused() -> None:
    """A mean without its count would be dropped in silence."""
    one, two = [_wide(1)], [_wide(1), _wide(2)]
    with pytest.raises(ValueError, match="shorter"):
        spec.merged_mean(two, [3])
    with pytest.raises(ValueError, match="longer"):
        spec.merged_mean(one, [3, 4])
    with pytest.raises(ValueError, match="argument"):
        spec.merged_variance(one, two, [3, 4])


def test_a_debiased_average_of_equal_values_is_that_value() -> None:
    """h_t = decay h + (1 - decay) z from 0 gives z (1 - decay^t), so that a = z."""
    hidden: Any = _wide(0)
    for updates in range(1, 5):
        hidden = 0.75 * hidden + 0.25 * _wide(5)
        assert _numbers(spec.debiased_average(hidden, 0.75, updates)) == [5]


def test_a_debiased_average_divides_by_what_the_weights_sum_to() -> None:
    """h / (1 - decay^t) for h = 7, decay = 1/2 and t = 3: 8."""
    assert _numbers(spec.debiased_average(_wide(7), 0.5, 3)) == [8]
    assert spec.debiased_average(_wide(7, 14), 0.5, 1).shape == (1, 2)
