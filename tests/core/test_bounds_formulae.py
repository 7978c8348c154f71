"""Every bound of ``bounds.py`` as its docstring derives it, term by term, in scalars.

In the coarse format of ``coarse.py``, to twelve digits.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance import bounds
from bnconform.conformance.bounds import Precision
from bnconform.conformance.dialect import VarianceAlgorithm
from bnconform.conformance.formats import FORMATS, DType, Format

from .coarse import (
    BATCH,
    BETA,
    COARSE,
    EPSILON,
    ETA,
    GAMMA,
    HALF,
    ONE_PASS,
    SAVED,
    TWO_PASS,
    UP,
    G,
    K,
    M,
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


@pytest.mark.parametrize(
    ("merges", "factors"),
    [
        (0, 0.0),  # sums of exact factors
        (3, 0.0),  # merged partial sums: two roundings each
        (0, 2.0**-3),  # factors rounded to a lower format
        (5, 2.0**-3),  # both
    ],
)
def test_theta_counts_merges_twice_and_rounded_factors_once(merges: int, factors: float) -> None:
    """((k + 2 merges) u + 2 u_t + u_t^2) / (1 - (k + 2 merges) u)."""
    ku = (11 + 2 * merges) * U
    expected = (ku + 2 * factors + factors**2) / (1 - ku)
    assert precision(merges=merges, factors=factors).theta(11) == pytest.approx(expected, 1e-13)


def test_theta_is_infinite_from_the_first_length_that_u_cannot_count() -> None:
    """k u = 1 exactly is too long, one less is not; merges count."""
    assert precision().theta(512) == math.inf
    assert precision().theta(511) == pytest.approx(511.0)
    assert precision(merges=1).theta(510) == math.inf


def test_an_operation_on_saved_statistics_loses_both_roundoffs() -> None:
    """u + u_s."""
    assert precision().normalizing == U + SAVED


def test_moments_are_means_of_magnitudes_and_squares() -> None:
    """A = mean|x|, Q = mean x^2, over the axes given, kept wide."""
    x = np.array([[[1.0, -3.0], [2.0, 0.0]], [[-5.0, 1.0], [4.0, -2.0]]])
    found = bounds.moments(x, (0, 2), 4)
    assert found.n == 4
    assert found.mean_abs_x.tolist() == [[[2.5], [2.0]]]
    assert found.mean_square_x.tolist() == [[[9.0], [6.0]]]


def test_the_means_error_is_theta_of_the_magnitudes_and_an_underflow() -> None:
    """theta(K) A + eta."""
    close(bounds.mean_error(M, precision()), theta(K) * 1.25 + ETA)


def _centred_e_v(delta: float) -> float:
    return theta(K) * 2.25 + 2 * math.sqrt(2) * delta * 1.5 + 2 * delta**2 + ETA


def _one_pass_e_v(delta: float) -> float:
    return theta(K) * 3.5 + 2 * 0.375 * delta + delta**2 + 3 * U * 3.5 + ETA


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [(TWO_PASS, _centred_e_v(0.125)), (ONE_PASS, _one_pass_e_v(0.125))],
)
def test_the_variances_error_is_that_of_its_algorithm(
    algorithm: VarianceAlgorithm, expected: float
) -> None:
    """Centred or one-pass; the sign of the mean does not matter."""
    for mu in (0.375, -0.375):
        p = precision(algorithm)
        close(bounds.variance_error(M, wide(mu), wide(2.25), wide(0.125), p), expected)


@pytest.mark.parametrize("algorithm", [TWO_PASS, ONE_PASS])
def test_statistics_saved_in_a_lower_format_lose_its_roundoff_on_top(
    algorithm: VarianceAlgorithm,
) -> None:
    """delta += u_s (|mu| + delta), E_v += u_s (v + E_v), one-pass + 3 u_s Q."""
    one_pass = algorithm is ONE_PASS
    delta = 0.125 + SAVED * (0.375 + 0.125)
    e_v = _one_pass_e_v(delta) if one_pass else _centred_e_v(delta)
    e_v += SAVED * (2.25 + e_v) + (3 * SAVED * 3.5 if one_pass else 0.0)
    found = bounds.saved_errors(M, wide(-0.375), wide(2.25), wide(0.125), precision(algorithm))
    close(found[0], delta)
    close(found[1], e_v)


@pytest.mark.parametrize("algorithm", [TWO_PASS, ONE_PASS])
def test_saved_statistics_may_underflow_and_overflow(algorithm: VarianceAlgorithm) -> None:
    """eta_s on top of either; infinite from |mu| + delta, and from v + E_v, on."""
    usual = precision(algorithm)
    arguments = (M, wide(-0.375), wide(2.25), wide(0.125))
    delta, e_v = bounds.saved_errors(*arguments, usual)
    low_delta, low_e_v = bounds.saved_errors(*arguments, replace(usual, saved_least=2.0**-5))
    close(low_delta, only(delta) + 2.0**-5)
    assert only(low_e_v) > only(e_v) + 2.0**-5
    for largest, kept in ((0.5, (False, False)), (0.75, (True, False)), (64.0, (True, True))):
        found = bounds.saved_errors(*arguments, replace(usual, saved_largest=largest))
        assert tuple(bool(np.isfinite(each).all()) for each in found) == kept


@pytest.mark.parametrize(
    "s",
    [
        S,  # an ordinary error: the lower end decides
        Stats(e_v=0.0),  # none: epsilon's own rounding is left
        Stats(e_v=5.0),  # beyond v: the interval ends at epsilon
        Stats(v=0.0625, e_v=5.0),  # far beyond: now the upper end decides
    ],
)
def test_the_deviation_encloses_r_by_the_ends_of_the_interval(s: Stats) -> None:
    """r, r+, Dr and D(r^2)."""
    found = bounds.deviation(s.wide, EPSILON, precision())
    close(found.r, s.r)
    close(found.r_max, s.top)
    close(found.e_r, s.e_r())
    close(found.e_r2, s.e_r2())


def test_the_deviation_of_statistics_that_overflow_warns_of_nothing() -> None:
    """1 / low is infinite where v and epsilon are next to nothing: nothing is known of r^2."""
    tiny = Stats(v=0.0, e_v=0.0)
    found = bounds.deviation(tiny.wide, 1e-310, precision())
    assert not np.isfinite(found.e_r2).any()


def test_the_outputs_error_covers_the_centred_and_the_folded_form() -> None:
    """|gamma| [...] + 2u (|beta| + |y|) + |gamma| r+ u (3|x| + 4(|mu| + delta))."""
    y = [GAMMA * (x - S.mu) * S.r + BETA for x in X]
    expected = []
    for x, value in zip(X, y, strict=True):
        w = abs(x - S.mu) + S.delta
        centred = S.top * S.delta + w * (S.e_r() + 5 * (U + SAVED) * S.top)
        folded = S.top * U * (3 * abs(x) + 4 * (abs(S.mu) + S.delta))
        expected.append(abs(GAMMA) * (centred + folded) + 2 * U * (abs(BETA) + abs(value)))
    found = bounds.output_error(
        column(X), column(y), wide(GAMMA), wide(BETA), S.wide, EPSILON, precision()
    )
    close(found, expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_running_errors_decay_and_grow_by_what_the_batch_brings(sign: float) -> None:
    """Both running statistics, with an error from before and Bessel's correction."""
    s = Stats(mu=sign * 0.375)
    mean = 0.75 * 0.5 + 0.25 * (s.delta + U * 0.375) + 4 * U * (2.0 + 0.5 + 0.375)
    found = bounds.running_mean_error(wide(-sign * 2.0), wide(0.5), s.wide, 0.75, precision())
    close(found, mean)
    b = 1.25
    var = 0.75 * 0.5 + 0.25 * b * (s.e_v + U * s.v) + 5 * U * (2.0 + 0.5 + b * s.v)
    found = bounds.running_var_error(wide(2.0), wide(0.5), s.wide, b, 0.75, precision())
    close(found, var)


def test_the_error_of_dbeta_is_theta_of_the_magnitudes() -> None:
    """theta(K) sum|g|."""
    found = bounds.dbeta_error(column(G), (0,), 5, precision())
    close(found, theta(K) * sum(abs(g) for g in G))
    assert found.shape == (1, 1)


def _upstream_by_hand(s: Stats, total: float) -> dict[str, float]:
    def mean(values: list[float]) -> float:
        return math.fsum(values) / total

    d = [x - s.mu for x in X]
    big, gbar = mean([abs(g) for g in G]), mean(G)
    weighed = mean([abs(g) * (abs(v) + s.delta) for g, v in zip(G, d, strict=True)])
    products = mean([abs(g * x) for g, x in zip(G, X, strict=True)])
    e_c = s.delta * (abs(gbar) + theta(K) * big)
    e_c += theta(K + 4) * (weighed + products + (abs(s.mu) + s.delta) * big)
    return {
        "mean_abs_g": big,
        "mean_g": gbar,
        "c": mean([g * v for g, v in zip(G, d, strict=True)]),
        "e_c": e_c,
        "mean_abs_d": mean([abs(v) for v in d]),
    }


@pytest.mark.parametrize("total", [None, 3.5])
@pytest.mark.parametrize("s", [S, BATCH])
def test_the_sums_over_the_upstream_gradient(s: Stats, total: float | None) -> None:
    """Every mean and E_c; divided by n or by the sum of weights."""
    weights = None if total is None else wide(total)
    found = bounds.upstream(column(X), column(G), (0,), 5, s.wide, precision(), weights)
    for name, value in _upstream_by_hand(s, 5.0 if total is None else total).items():
        close(getattr(found, name), value)


@pytest.mark.parametrize("n", [5, 3.5])
def test_the_error_of_dgamma_is_n_times_that_of_r_c(n: float) -> None:
    """n [Dr |c| + r+ E_c + 4u r+ (|c| + E_c)]."""
    found = bounds.dgamma_error(upstream_of(), wide(n), S.wide, EPSILON, precision())
    close(found, dgamma_bound(-0.7, 0.2, n, S))


def _dx_by_hand(
    algorithm: VarianceAlgorithm, s: Stats, share: float, batch: Stats | None
) -> list[float]:
    own, u, sums_theta = batch or s, UP, theta(K)
    distance = u["mean_abs_d"] * (2 if batch else 1)
    size, found = abs(u["c"]) + u["e_c"], []
    for x, g in zip(X, G, strict=True):
        d = x - own.mu
        e_3 = s.top**2 * (2 * own.delta + sums_theta * (distance + own.delta)) * size
        e_3 += s.top**2 * abs(d) * u["e_c"] + abs(d) * abs(u["c"]) * s.e_r2()
        e_3 += 8 * U * s.top**2 * (abs(d) + own.delta) * size
        if algorithm is ONE_PASS:
            apart = 6 * U * (abs(x) + abs(own.mu)) + 2 * sums_theta * 1.25
            e_3 += s.top**2 * size * (apart + (abs(d) if own.e_v >= own.v else 0.0))
        t = d * s.r**2 * u["c"]
        k = 1.0 if batch else share
        sums = share * (sums_theta * u["mean_abs_g"] + e_3)
        rounding = 6 * U * (abs(g) + k * (abs(u["mean_g"]) + abs(t)))
        main = s.top * (sums + rounding)
        exact = abs(g - share * (u["mean_g"] + t))
        found.append(abs(GAMMA) * (main + s.e_r() * (exact + sums)))
    return found


@pytest.mark.parametrize("algorithm", [TWO_PASS, ONE_PASS])
@pytest.mark.parametrize(
    ("s", "share", "batch"),
    [
        (S, 1.0, None),  # plain
        (Stats(e_v=2.25), 1.0, None),  # the variance may be clamped: equality counts
        (Stats(e_v=3.0), 1.0, None),  # it may be far below
        (S, 0.375, None),  # a weight
        (S, 0.375, BATCH),  # by the running statistics
        (S, 0.375, Stats(mu=-0.5, v=1.5, delta=0.0625, e_v=1.5)),  # with a clamped batch
        (Stats(e_v=3.0), 0.375, BATCH),  # what is clamped is the batch's variance
    ],
)
def test_the_error_of_the_input_gradient(
    algorithm: VarianceAlgorithm, s: Stats, share: float, batch: Stats | None
) -> None:
    """E_dx for plain, weighted, and by-the-running-statistics training."""
    found = bounds.training_dx_error(
        column(X), column(G), wide(GAMMA), M, upstream_of(), s.wide, EPSILON, precision(algorithm),
        share, None if batch is None else batch.wide,
    )  # fmt: skip
    close(found, _dx_by_hand(algorithm, s, share, batch))


def test_the_share_of_a_plain_batch_is_all_of_it() -> None:
    """The default is 1."""
    found = bounds.training_dx_error(
        column(X), column(G), wide(GAMMA), M, upstream_of(), S.wide, EPSILON, precision()
    )
    close(found, _dx_by_hand(TWO_PASS, S, 1.0, None))


def _by_term(algorithm: VarianceAlgorithm, gamma: float = GAMMA) -> list[float]:
    found = []
    for x, g in zip(X, G, strict=True):
        w = abs(x - S.mu) + S.delta
        if algorithm is ONE_PASS:
            w = abs(x) + 2 * abs(S.mu) + S.delta
        size = S.top * (abs(g) + 0.3) + S.top**3 * w * (0.7 + 0.2)
        found.append(4 * HALF.unit_roundoff * abs(gamma) * size + 4 * HALF.smallest_subnormal)
    return found


@pytest.mark.parametrize("algorithm", [TWO_PASS, ONE_PASS])
def test_rounding_by_term_adds_four_roundings_of_each_contribution(
    algorithm: VarianceAlgorithm,
) -> None:
    """4 u_o |gamma| [r+ (|g| + |gbar|) + r+^3 w (|c| + E_c)] + 4 eta_o."""
    found = bounds.by_term_dx_error(
        column(X),
        column(G),
        wide(GAMMA),
        upstream_of(),
        S.wide,
        EPSILON,
        precision(algorithm),
        HALF,
    )
    close(found, _by_term(algorithm))


def test_a_contribution_as_large_as_the_format_promises_nothing() -> None:
    """The largest value itself is out of reach already, half of it is not."""
    unit = Stats(v=0.5, e_v=0.0)
    p = Precision(accumulation=FORMATS[DType.FLOAT64], algorithm=TWO_PASS)
    for size, infinite in ((HALF.largest, True), (HALF.largest / 2, False)):
        # r is 1 and nothing else contributes: the size is |gamma g|, within 2^-52.
        up = upstream_of(mean_g=0.0, c=0.0, e_c=0.0)
        found = bounds.by_term_dx_error(
            wide(0.0), wide(1.0), wide(size * (1 + 2.0**-50)), up, unit.wide, EPSILON, p, HALF
        )
        assert bool(np.isinf(found).all()) is infinite


def test_a_contribution_of_exactly_the_largest_value_promises_nothing() -> None:
    """Without an epsilon to round, r is exact: size = largest to the bit."""
    unit = Stats(mu=0.0, v=1.0, delta=0.0, e_v=0.0)
    up = upstream_of(mean_g=0.0, c=0.0, e_c=0.0)
    found = bounds.by_term_dx_error(
        wide(0.0), wide(1.0), wide(HALF.largest), up, unit.wide, 0.0, precision(), HALF
    )
    assert np.isinf(found).all()


def test_a_format_as_fine_as_the_accumulation_has_no_roundings_by_term() -> None:
    """Equality counts as fine."""
    found = bounds.by_term_dx_error(
        column(X), column(G), wide(GAMMA), upstream_of(), S.wide, EPSILON, precision(), COARSE
    )
    assert not found.any()


def test_the_error_of_a_frozen_input_gradient() -> None:
    """|gamma g| (Dr + 4u r+)."""
    found = bounds.inference_dx_error(column(G), wide(GAMMA), S.wide, EPSILON, precision())
    close(found, [abs(GAMMA * g) * (S.e_r() + 4 * U * S.top) for g in G])


@pytest.mark.parametrize(
    ("output", "unit"),
    [
        (HALF, HALF.smallest_subnormal),  # subnormals are ordinary values
        (COARSE, ETA),  # the accumulation's own format may flush
    ],
)
def test_rounding_to_the_output_adds_a_roundoff_and_an_underflow(
    output: Format, unit: float
) -> None:
    """(1 + u_o) E + u_o |result| + eta_o."""
    u = output.unit_roundoff
    found = bounds.rounded(wide(0.5), wide(-3.0), output, COARSE)
    close(found, (1 + u) * 0.5 + u * 3.0 + unit)
