"""Relations of the variants that hold in exact arithmetic, as properties of the spec.

In exact rational arithmetic, so that most of them are equalities; only roots are rounded (to
2^-256), and where two sides take different roots they agree to 2^-200.

| relation | precondition | test (test_...) |
|---|---|---|
| any split merged by Chan's rule is the whole | no shard empty | any_split_merged |
| synchronized output and gradients are the whole's | as above | synchronized_training |
| a mask of ones is no mask, forward and backward | | a_mask_of_ones |
| masked values never matter to anybody else | W > 0; dx: g = 0 there | masked_values_never |
| multiplying all weights changes nothing | factor > 0 | only_the_ratio_of_weights |
| whole weights are repetitions | | whole_weights |
| renorm: dx = R dx_BN, dgamma = R dgamma_BN + D Sum g | | renormalization_scales |
| renorm limited to R = 1 and D = 0 is plain | | renormalization_limited |
| renorm unlimited normalizes by m and s | | renormalization_unlimited |
| renorm by the batch's own moments is plain | m = mu, s^2 = v + eps | renormalization_of |
| ghost groups of the whole batch are plain | one group | one_ghost_group |
| ghost dgamma and dbeta are sums over groups | | ghost_gradients |
| frozen: dgamma = Sum g (x - rm) / sqrt(rv + eps) | | frozen_parameter_gradients |
| adjustment by a, b per channel: gamma a, beta + gamma b | a, b per channel | an_adjustment |
| adjustment by 1 and 0 is plain | | an_adjustment |
| debiased: h_1 / (1 - decay) = z; equal z stay | decay < 1, from h_0 = 0 | a_debiased_average |
| debiased is the average weighted by decay^(t - i) | as above | a_debiased_average |
| cumulative is the plain average | counted from 1 | the_cumulative_average |
| training by the state with decay 0 is plain | | training_by_the_updated_state |
| ... and with decay 1 it is inference | | training_by_the_updated_state |
| decay 0 forgets the state, decay 1 the batch | | training_by_the_updated_state |
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bnconform.conformance import spec
from bnconform.conformance.numbers.exact import Rational

from . import evaluation
from .evaluation import Setup, make_setup

SAME_ROOT = Fraction(1, 2**200)
AXES = (0,)
TRAINED = ("y", "dx", "dgamma", "dbeta")
relaxed = settings(deadline=None, max_examples=25)


@st.composite
def setups(draw: DrawFn) -> Setup:
    """Batches of 2 to 7 samples and 1 or 2 channels; shrinks towards two values of one channel."""
    shape = draw(st.integers(2, 7)), draw(st.integers(1, 2))
    epsilon = draw(st.sampled_from([1e-3, 1e-5, 1.0]))
    offset = draw(st.sampled_from([0.0, 30.0, 1e6]))
    seed = draw(st.integers(0, 2**32 - 1))
    return make_setup(shape, AXES, seed, offset=offset, epsilon=epsilon)


def _same(left: Any, right: Any) -> bool:
    """Whether both sides are the same numbers."""
    return bool((Rational(left).values == Rational(right).values).all())


def _close(left: Any, right: Any) -> bool:
    """Whether both sides agree but for the rounding of their roots."""
    ours, theirs = Rational(left).values, Rational(right).values
    size = max(1, *(abs(value) for value in ours.ravel()))
    return bool(max(abs(d) for d in (ours - theirs).ravel()) <= SAME_ROOT * size)


@relaxed
@given(setups(), st.data())
def test_any_split_merged_by_chans_rule_is_the_whole(s: Setup, data: st.DataObject) -> None:
    """mu = Sum n_k mu_k / n and v = Sum n_k (v_k + (mu_k - mu)^2) / n, in any number of shards."""
    n = len(s.x)
    cuts = sorted(data.draw(st.sets(st.integers(1, n - 1))))
    parts = [Rational(part) for part in np.split(s.x, cuts)]
    means = [spec.batch_mean(part, AXES) for part in parts]
    spreads = [spec.biased_variance(p, m, AXES) for p, m in zip(parts, means, strict=True)]
    counts = [spec.count(part, AXES) for part in parts]
    whole = evaluation.plain(s, Rational)
    assert _same(spec.merged_mean(means, counts), whole["mu"])
    assert _same(spec.merged_variance(spreads, means, counts), whole["v"])


@relaxed
@given(setups(), st.data())
def test_synchronized_training_is_that_of_the_whole_batch(s: Setup, data: st.DataObject) -> None:
    """Output and gradients, for uneven shards in any order."""
    order = data.draw(st.permutations(range(len(s.x))))
    cut = data.draw(st.integers(1, len(s.x) - 1))
    groups = (tuple(order[:cut]), tuple(order[cut:]))
    found = evaluation.synchronized(replace(s, groups=groups), Rational)
    whole = evaluation.plain(s, Rational)
    assert all(_same(found[name], whole[name]) for name in TRAINED)


@relaxed
@given(setups())
def test_a_mask_of_ones_is_no_mask(s: Setup) -> None:
    """Statistics, output and gradients."""
    masked = evaluation.weighted(replace(s, weights=np.ones((len(s.x), 1))), Rational)
    whole = evaluation.plain(s, Rational)
    assert all(_same(masked[name], whole[name]) for name in ("mu", "v", *TRAINED))


@relaxed
@given(setups(), st.floats(-1e9, 1e9))
def test_masked_values_never_matter_to_anybody_else(s: Setup, other: float) -> None:
    """Statistics, and y and dx of all other positions, whatever lies where w = 0."""
    weights = s.weights.copy()
    weights[-1] = 0.0
    weights[0] = 1.0
    x = s.x.copy()
    x[-1] = other
    # The masked position's own upstream gradient reaches dx of others through its xhat.
    g = s.g.copy()
    g[-1] = 0.0
    before = evaluation.weighted(replace(s, weights=weights, g=g), Rational)
    after = evaluation.weighted(replace(s, weights=weights, g=g, x=x), Rational)
    assert _same(before["mu"], after["mu"])
    assert _same(before["v"], after["v"])
    assert _same(before["y"][:-1], after["y"][:-1])
    assert _same(before["dx"], after["dx"])
    assert _same(before["dgamma"], after["dgamma"])


@relaxed
@given(setups(), st.sampled_from([0.5, 3.0, 1e-6, 7.25]))
def test_only_the_ratio_of_weights_matters(s: Setup, factor: float) -> None:
    """c w gives what w gives."""
    weights = Rational(s.weights)
    x, g, gamma = Rational(s.x), Rational(s.g), Rational(s.gamma)

    def trained(w: Any) -> tuple[Any, Any, Any]:
        mu = spec.weighted_mean(x, w, AXES)
        v = spec.weighted_variance(x, w, mu, AXES)
        r = spec.inverse_deviation(v, s.epsilon)
        xhat = spec.normalize(x, mu, r)
        return mu, v, spec.weighted_training_dx(g, xhat, r, gamma, w, AXES)

    pairs = zip(trained(weights), trained(weights * factor), strict=True)
    assert all(_same(one, other) for one, other in pairs)


@relaxed
@given(setups(), st.data())
def test_whole_weights_are_repetitions(s: Setup, data: st.DataObject) -> None:
    """w = 2 at a sample is that sample twice, w = 0 is its absence."""
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(s.x), max_size=len(s.x)))
    counts[0] += 1
    weights = np.array(counts, np.float64)[:, None]
    found = evaluation.weighted(replace(s, weights=weights), Rational)
    repeated = np.repeat(s.x, counts, axis=0)
    whole = evaluation.plain(replace(s, x=repeated, g=np.zeros_like(repeated)), Rational)
    assert _same(found["mu"], whole["mu"])
    assert _same(found["v"], whole["v"])


@relaxed
@given(setups())
def test_renormalization_scales_the_gradients_of_the_plain_batch(s: Setup) -> None:
    """dx = R dx_BN, dgamma = R dgamma_BN + D Sum g, dbeta = Sum g."""
    found, base = evaluation.renorm(s, Rational), evaluation.plain(s, Rational)
    assert _same(found["dx"], found["R"] * base["dx"])
    assert _same(found["dgamma"], found["R"] * base["dgamma"] + found["D"] * base["dbeta"])
    assert _same(found["dbeta"], base["dbeta"])


@relaxed
@given(setups())
def test_renormalization_limited_to_nothing_is_plain(s: Setup) -> None:
    """r_min = r_max = 1 and d_max = 0."""
    found = evaluation.renorm(replace(s, r_min=1.0, r_max=1.0, d_max=0.0), Rational)
    base = evaluation.plain(s, Rational)
    assert all(_same(found[name], base[name]) for name in TRAINED)


@relaxed
@given(setups())
def test_renormalization_unlimited_normalizes_by_the_averages(s: Setup) -> None:
    """y = gamma (x - m) / s + beta: the batch cancels."""
    found = evaluation.renorm(replace(s, r_min=None, r_max=None, d_max=None), Rational)
    x, m = Rational(s.x), Rational(s.mean)
    expected = Rational(s.gamma) * (x - m) / Rational(s.stddev) + Rational(s.beta)
    assert _close(found["y"], expected)


@relaxed
@given(setups())
def test_renormalization_of_a_batch_like_the_averages_is_plain(s: Setup) -> None:
    """m = mu and s = sqrt(v + epsilon): R = 1 and D = 0, clipped or not."""
    base = evaluation.plain(s, Rational)
    sigma = np.sqrt(base["v"] + s.epsilon)
    scale = spec.renorm_scale(base["v"], sigma, s.epsilon, 0.5, 2.0)
    assert _same(scale, np.ones_like(s.gamma))
    assert _same(spec.renorm_shift(base["mu"], base["mu"], sigma, 0.75), np.zeros_like(s.gamma))


@relaxed
@given(setups())
def test_one_ghost_group_of_everybody_is_plain(s: Setup) -> None:
    """virtual_batch_size = batch size."""
    found = evaluation.ghost(replace(s, groups=(tuple(range(len(s.x))),)), Rational)
    base = evaluation.plain(s, Rational)
    assert _same(found["y/0"], base["y"])
    assert _same(found["dx/0"], base["dx"])
    assert _same(found["dgamma"], base["dgamma"])


@relaxed
@given(setups(), st.data())
def test_ghost_gradients_of_parameters_are_sums_over_groups(s: Setup, data: st.DataObject) -> None:
    """dbeta is that of the whole batch; dgamma is what the groups' outputs correlate with g."""
    cut = data.draw(st.integers(1, len(s.x) - 1))
    groups = (tuple(range(cut)), tuple(range(cut, len(s.x))))
    found = evaluation.ghost(replace(s, groups=groups), Rational)
    assert _same(found["dbeta"], Rational(s.g).sum(axis=AXES, keepdims=True))
    total: Any = 0.0
    for k, samples in enumerate(groups):
        xhat = (found[f"y/{k}"] - Rational(s.beta)) / Rational(s.gamma)
        product = Rational(s.g[list(samples)]) * xhat
        total = product.sum(axis=AXES, keepdims=True) + total
    assert _same(found["dgamma"], total)


@relaxed
@given(setups())
def test_frozen_parameter_gradients_are_those_of_the_running_statistics(s: Setup) -> None:
    """dgamma = Sum g (x - rm) / sqrt(rv + eps), dbeta = Sum g, dx = gamma g / sqrt(rv + eps)."""
    found = evaluation.inference(s, Rational)
    root: Any = np.sqrt(Rational(s.var) + s.epsilon)
    x, g = Rational(s.x), Rational(s.g)
    expected = (g * (x - Rational(s.mean))).sum(axis=AXES, keepdims=True) / root
    assert _same(found["dgamma"], expected)
    assert _same(found["dx"], Rational(s.gamma) * g / root)
    assert _same(found["dbeta"], g.sum(axis=AXES, keepdims=True))


@relaxed
@given(setups(), st.floats(-3, 3), st.floats(-3, 3))
def test_an_adjustment_by_channel_is_another_gamma_and_beta(s: Setup, a: float, b: float) -> None:
    """gamma (a xhat + b) + beta = (gamma a) xhat + (beta + gamma b); 1 and 0 change nothing."""
    scale, shift = np.full((len(s.x), 1), a), np.full((len(s.x), 1), b)
    found = evaluation.adjusted(replace(s, scale=scale, shift=shift), Rational)
    base = evaluation.plain(s, Rational)
    gamma, beta = Rational(s.gamma), Rational(s.beta)
    assert _same(found["y"], gamma * a * base["xhat"] + (beta + gamma * b))
    assert _same(found["dx"], a * base["dx"])
    ones, zeros = np.ones((len(s.x), 1)), np.zeros((len(s.x), 1))
    nothing = evaluation.adjusted(replace(s, scale=ones, shift=zeros), Rational)
    assert all(_same(nothing[name], base[name]) for name in TRAINED)


@relaxed
@given(
    st.lists(st.fractions(-9, 9, max_denominator=8), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.5, 0.9, 0.999]),
)
def test_a_debiased_average_weighs_by_powers_of_decay(values: list[Fraction], decay: float) -> None:
    """Sum decay^(t - i) z_i / Sum decay^(t - i): the first is z itself, and equal values stay."""
    hidden: Any = Rational([0.0])
    for t, value in enumerate(values, start=1):
        z = Rational(np.array([value], object))
        hidden = decay * hidden + (z - decay * z)
        powers = [Fraction(decay) ** (t - i) for i in range(1, t + 1)]
        weighed = sum((p * v for p, v in zip(powers, values, strict=False)), Fraction(0))
        found = spec.debiased_average(hidden, decay, t).values[0]
        assert found == weighed / sum(powers, Fraction(0))
        if t == 1:
            assert found == value


@relaxed
@given(setups(), st.integers(2, 5))
def test_the_cumulative_average_of_batches_is_their_plain_average(s: Setup, t: int) -> None:
    """Of batch statistics too, whatever the state began with."""
    average, total = Rational(s.mean), Rational(np.zeros_like(s.mean))
    for updates in range(1, t + 1):
        mu = spec.batch_mean(Rational(s.x * updates), AXES)
        average, total = spec.cumulative_average(average, mu, updates), total + mu
    assert _same(average, total / t)


@relaxed
@given(setups())
def test_training_by_the_updated_state_spans_plain_and_inference(s: Setup) -> None:
    """decay 0 forgets the state, decay 1 ignores the batch; output and gradients follow."""
    plain = evaluation.by_updated_state(replace(s, decay=0.0), Rational)
    base = evaluation.plain(s, Rational)
    assert _same(plain["rm"], base["mu"])
    assert _same(plain["rv"], base["v"])
    assert all(_close(plain[name], base[name]) for name in TRAINED)
    frozen = evaluation.by_updated_state(replace(s, decay=1.0), Rational)
    inference = evaluation.inference(s, Rational)
    assert _same(frozen["rm"], s.mean)
    assert _same(frozen["rv"], s.var)
    assert all(_close(frozen[name], inference[name]) for name in TRAINED)
