"""Every bound of ``bounds_variants.py`` as its docstring derives it, term by term, in scalars.

In the coarse format of ``coarse.py``, to twelve digits.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance import bounds, bounds_variants
from bnconform.conformance.bounds import Moments
from bnconform.conformance.bounds_variants import Average, Scale
from bnconform.conformance.formats import FORMATS, DType

from .coarse import (
    BETA,
    EPSILON,
    ETA,
    GAMMA,
    SAVED,
    G,
    K,
    S,
    Stats,
    U,
    X,
    close,
    column,
    dgamma_bound,
    only,
    precision,
    theta,
    upstream_of,
    wide,
)


def test_weighted_sums_are_as_long_as_two_sums_and_a_quotient() -> None:
    """2 K(n) + 4, with K(5) = 17; means are weighted by w / W."""
    assert bounds_variants.weighted_length(5) == 38
    w = [1.0, 0.0, 3.0, 0.5, 0.5]
    found = bounds_variants.weighted_moments(column(X), column(w), (0,), 5)
    pairs = list(zip(X, w, strict=True))
    assert found.n == 38
    close(found.mean_abs_x, sum(k * abs(x) for x, k in pairs) / 5.0)
    close(found.mean_square_x, sum(k * x * x for x, k in pairs) / 5.0)
    assert found.mean_abs_x.shape == found.mean_square_x.shape == (1, 1)


def test_weighted_sums_and_those_of_transforms_stay_within_their_channel() -> None:
    """Two channels at once give what each gives alone."""
    x, g, w = np.array([X, G]).T, np.array([G, X]).T, column([1.0, 0.0, 3.0, 0.5, 0.5])
    both = bounds_variants.weighted_moments(x, w, (0,), 5)
    t = Scale(scale=wide(1, 1), shift=wide(0.5, 2), e_scale=wide(0, 0), e_shift=wide(0, 0))
    up = upstream_of()
    transformed = bounds_variants.transformed_dgamma_error(
        g, wide(0, 0), (0,), (up, up), t, S.wide, EPSILON, precision(), 5
    )
    for k in (0, 1):
        alone = bounds_variants.weighted_moments(x[:, k : k + 1], w, (0,), 5)
        close(both.mean_abs_x[:, k], float(alone.mean_abs_x[0, 0]))
        close(both.mean_square_x[:, k], float(alone.mean_square_x[0, 0]))
        sums = theta(K + 4) * float(np.abs(g[:, k]).sum()) * (0.5, 2.0)[k]
        close(transformed[:, k], dgamma_bound(-0.7, 0.2, 5, S) + sums)


def test_merged_statistics_are_off_by_the_worst_shard_and_the_whole() -> None:
    """max delta_k + delta, channel by channel."""
    sizes = [(1.25, 5), (4.0, 2), (0.5, 9)]
    shards = [Moments(mean_abs_x=wide(a, 8 - a), mean_square_x=wide(1, 1), n=n) for a, n in sizes]
    whole = Moments(mean_abs_x=wide(1.5, 2.5), mean_square_x=wide(1, 1), n=16)
    lengths = {5: 17, 2: 10, 9: 23, 16: 30}

    def delta(a: float, n: int) -> float:
        return theta(lengths[n]) * a + ETA

    expected = [
        max(delta(abs(other - a), n) for a, n in sizes) + delta(total, 16)
        for other, total in ((0.0, 1.5), (8.0, 2.5))
    ]
    close(bounds_variants.merged_delta(whole, shards, precision()), expected)


def _e_sigma(s: Stats) -> float:
    exact, low, high = (math.sqrt(v) for v in (s.v + EPSILON, s.low, s.high))
    return max(high - exact, exact - low) + 3 * (U + SAVED) * high


@pytest.mark.parametrize(
    "s",
    [
        S,  # an ordinary error
        Stats(e_v=0.0),  # none: epsilon's own rounding is left
        Stats(e_v=5.0),  # far beyond v: the upper end decides
        Stats(e_v=2.5),  # a little beyond v: the lower end, at epsilon
        Stats(e_v=2.0),  # nearly v: the lower end, close to epsilon
    ],
)
def test_the_error_of_sigma_is_that_of_the_worse_end(s: Stats) -> None:
    """max(sigma+ - sigma, sigma - sigma-) + 3 (u + u_s) sigma+."""
    close(bounds_variants.deviation_error(s.wide, EPSILON, precision()), _e_sigma(s))


def test_the_errors_of_the_renormalizing_scale_and_shift() -> None:
    """E_R and E_D before clipping, plus a roundoff of the limits themselves."""
    mean = Average(value=wide(1.5), error=wide(0.25))
    stddev = Average(value=wide(1.25), error=wide(0.125))
    found = bounds_variants.renorm_scale(
        S.wide, EPSILON, mean, stddev, (wide(0.75), wide(-0.5)), precision()
    )
    ratio, offset = math.sqrt(S.v + EPSILON) / 1.25, abs(S.mu - 1.5) / 1.25
    e_scale = (_e_sigma(S) + ratio * 0.125) / 1.125 + 2 * U * ratio
    e_shift = (S.delta + 0.25 + offset * 0.125) / 1.125 + 3 * U * offset
    assert (only(found.scale), only(found.shift)) == (0.75, -0.5)
    close(found.e_scale, e_scale + U * 0.75)
    close(found.e_shift, e_shift + U * 0.5)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0.125, 0.5),  # it may be zero
        (0.0, 0.5),  # it is zero, not exactly
        (0.0, 0.0),  # it is exactly zero
    ],
)
def test_a_deviation_that_may_be_zero_leaves_nothing_known_of_scale_and_shift(
    value: float, error: float
) -> None:
    """s - E_s <= 0: infinite, or NaN where s is 0, and no warning."""
    mean = Average(value=wide(1.5), error=wide(0.25))
    stddev = Average(value=wide(value), error=wide(error))
    found = bounds_variants.renorm_scale(
        S.wide, EPSILON, mean, stddev, (wide(1.0), wide(0.0)), precision()
    )
    assert not np.isfinite(found.e_scale).any()
    assert not np.isfinite(found.e_shift).any()


T = Scale(scale=wide(-1.25), shift=wide(-0.5), e_scale=wide(0.25), e_shift=wide(0.125))


def test_the_error_of_a_transformed_output() -> None:
    """That of gamma' xhat + beta', what these are off by, and three roundings for composing."""
    xhat = [(x - S.mu) * S.r for x in X]
    y = [GAMMA * (-1.25 * v - 0.5) + BETA for v in xhat]
    a, b, gamma = 1.25 + 0.25, 0.5 + 0.125, abs(GAMMA)
    plain = bounds.output_error(
        column(X), column(y), wide(gamma * a), wide(abs(BETA) + gamma * b), S.wide, EPSILON,
        precision(),
    ).ravel().tolist()  # fmt: skip
    expected = [
        e + gamma * (abs(v) * 0.25 + 0.125)
        + 3 * U * gamma * (a * S.top * (abs(x - S.mu) + S.delta) + b)
        for e, v, x in zip(plain, xhat, X, strict=True)
    ]  # fmt: skip
    found = bounds_variants.transformed_output_error(
        column(X), column(y), column(xhat), wide(GAMMA), wide(BETA), T, S.wide, EPSILON,
        precision(),
    )  # fmt: skip
    close(found, expected)


def test_the_error_of_a_transformed_dgamma() -> None:
    """Of sum(g scale xhat), of the scale, of the sum of g shift, and of the shift."""
    scaled = upstream_of(c=0.9, e_c=0.4)
    found = bounds_variants.transformed_dgamma_error(
        column(G), wide(-2.5), (0,), (upstream_of(), scaled), T, S.wide, EPSILON, precision(), 5
    )
    sums = theta(K + 4) * sum(abs(g) for g in G) * (0.5 + 0.125)
    off = 0.25 * (2.5 + dgamma_bound(-0.7, 0.2, 5, S)) + 0.125 * 5 * 0.3
    close(found, dgamma_bound(0.9, 0.4, 5, S) + sums + off)
    assert found.shape == (1, 1)


def test_the_error_of_a_squared_deviation() -> None:
    """2 sd E + E^2 + 3u (sd + E)^2 + 2u epsilon."""
    sd = Average(value=wide(1.25), error=wide(0.125))
    found = bounds_variants.squared_deviation_error(sd, EPSILON, precision())
    expected = 2 * 1.25 * 0.125 + 0.125**2 + 3 * U * 1.375**2 + 2 * U * EPSILON
    close(found, expected)


def test_the_error_of_a_debiased_average() -> None:
    """[E + |a| (2t + 1) u] / (1 - decay^t - (2t + 1) u) + 3u |a|."""
    hidden = Average(value=wide(-1.5), error=wide(0.125))
    rest, off = 1 - 0.75**3, 7 * U
    a = 1.5 / rest
    found = bounds_variants.debiased_error(hidden, 0.75, 3, precision())
    close(found, (0.125 + a * off) / (rest - off) + 3 * U * a)


@pytest.mark.parametrize("decay", [1.0, 1.0 - 3 * U])
def test_a_debiased_average_with_nothing_below_the_line_is_unknown(decay: float) -> None:
    """1 - decay <= 3u at the first update: equality counts."""
    hidden = Average(value=wide(-1.5, 2.0), error=wide(0.125, 0.125))
    found = bounds_variants.debiased_error(hidden, decay, 1, precision())
    assert np.isinf(found).all()
    assert found.shape == (1, 2)


def test_the_error_of_a_value_kept_in_half_precision() -> None:
    """E + u_state (|value| + E) + eta, and infinite from the largest value on."""
    half = replace(
        FORMATS[DType.FLOAT16], unit_roundoff=2.0**-4, smallest_normal=2.0**-6, largest=8
    )
    found = bounds_variants.kept_in_half(wide(0.25, 0.25), wide(-3.0, 7.75), half)
    close(found, [0.25 + 2.0**-4 * (3.0 + 0.25) + 2.0**-6, math.inf])
