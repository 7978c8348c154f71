"""Relations between results that hold in exact arithmetic, as properties of the spec.

They need no reference, so they would show an error that the spec and its proof have in common.
Evaluated in double-double, whose operations err by 2^-103 (1e-31): with at most 16 values a channel
and a mean of at most 1000 deviations, centring loses 3 digits, its square 6, so that 1e-25 relative
to the magnitudes of the terms leaves room for rounding and for nothing else.

| relation | precondition | test (test_...) |
|---|---|---|
| (2^k x, 4^k eps): y same, dx 2^-k, bit for bit | no under- or overflow | a_power_of_two_in_x |
| (-x, -gamma): y same, bit for bit | | the_sign_of_x |
| (2^k gamma, 2^k beta): y 2^k, bit for bit | no under- or overflow | a_power_of_two_in_gamma |
| Sum dx = 0 | training statistics, differentiated | the_input_gradient_sums_to_zero |
| Sum dx xhat = gamma r dgamma eps / (v + eps) | as above | the_input_gradient_along_xhat |
| g constant: dx = 0 and dgamma = 0 | as above | a_constant_upstream_gradient |
| dx, dgamma and dbeta are linear in g | | gradients_are_linear |
| the Jacobian is symmetric | as above | the_jacobian_is_symmetric |
| its spectrum is gamma r {0, eps/(v+eps), 1} | v > 0, n > 2 | the_jacobian_has_the_spectrum |
| mean(y) = beta, var(y) = gamma^2 v/(v+eps) | training | the_output_has_mean_beta |
| abs(xhat) <= sqrt(n - 1) | training | no_normalized_value_exceeds |
| permuting the batch permutes y and dx | | permuting_the_batch |
| channels are independent, bit for bit | | one_channel_knows_nothing |
| k copies: mu, v, y stay, dgamma and dbeta k-fold, | | duplicating_the_batch |
| ... and Bessel's correction becomes kn / (kn - 1) | n > 1 | duplicating_the_batch |
| inference is affine in x and equals folding | rv + eps > 0 | inference_is_affine |
| inference leaves the state untouched | | inference_leaves_the_state |
| NCHW = NHWC = flattened, forward and backward | | channels_first_channels_last |
| ... with mixed memory layouts too | | mixed_memory_layouts |
| rm_t = mu + decay^t (rm_0 - mu) | same batch t times | the_same_batch_t_times |
| any split merged by Chan's rule is the whole | no shard empty | any_split_merged |

Layouts, inference and running statistics are in ``test_relations_layout_state.py``; masks, weights
and the other variants in ``test_relations_variants.py``, with a table of their own.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble

from .batches import (
    AXES,
    Batch,
    batches,
    channel_sum,
    close,
    magnitude,
    relaxed,
    run,
    same_bits,
    train,
)


@relaxed
@given(batches())
def test_the_input_gradient_sums_to_zero(batch: Batch) -> None:
    """Sum dx = 0: adding a constant to a channel changes nothing."""
    result = run(batch)
    assert close(channel_sum(result.dx), 0.0, 16 * magnitude(batch, result))


@relaxed
@given(batches())
def test_the_input_gradient_along_xhat_is_what_epsilon_leaves(batch: Batch) -> None:
    """Sum dx xhat = gamma r dgamma eps / (v + eps), not the usual 0."""
    result = run(batch)
    share = batch.epsilon / (result.v + batch.epsilon)
    expected = batch.gamma * result.r * result.dgamma * share
    size = 16 * np.abs(result.xhat.hi).max(axis=0) * magnitude(batch, result)
    assert close(channel_sum(result.dx * result.xhat), expected, size)


@relaxed
@given(batches(), st.sampled_from([1.0, -100.0, 0.1, 0.0]))
def test_a_constant_upstream_gradient_gives_no_gradient(batch: Batch, level: float) -> None:
    """g constant: dx = 0 and dgamma = 0, since sum(y) = n beta whatever x is."""
    g = np.full_like(batch.x, level)
    result = train(batch.x, g, batch)
    size = np.abs(level) * np.abs(result.xhat.hi).sum(axis=0)
    assert close(result.dgamma, 0.0, size)
    assert close(result.dx, 0.0, 16 * (abs(level) + size) * np.abs(batch.gamma) * result.r.hi)


@relaxed
@given(batches(), st.floats(-4, 4), st.integers(0, 2**32 - 1))
def test_gradients_are_linear_in_the_upstream_gradient(
    batch: Batch, factor: float, seed: int
) -> None:
    """dx(g + a h) = dx(g) + a dx(h), and so for dgamma and dbeta."""
    h = np.random.default_rng(seed).standard_normal(batch.x.shape)
    one, two = run(batch), train(batch.x, h, batch)
    both = train(batch.x, DoubleDouble(batch.g) + factor * DoubleDouble(h), batch)
    size = 16 * (magnitude(batch, one) + np.abs(factor) * np.abs(two.dx.hi).max(axis=0))
    total = np.abs(batch.g).sum(axis=0) + np.abs(factor * h).sum(axis=0)
    widest = np.abs(one.xhat.hi).max(axis=0)
    assert close(
        both.dx, one.dx + factor * two.dx, size + 16 * np.abs(factor) * magnitude(batch, two)
    )
    assert close(both.dgamma, one.dgamma + factor * two.dgamma, total * widest)
    assert close(both.dbeta, one.dbeta + factor * two.dbeta, total)


@relaxed
@given(batches(), st.integers(0, 2**32 - 1))
def test_the_jacobian_is_symmetric(batch: Batch, seed: int) -> None:
    """Sum h dx(g) = Sum g dx(h) in every channel."""
    h = np.random.default_rng(seed).standard_normal(batch.x.shape)
    one, two = run(batch), train(batch.x, h, batch)
    size = 16 * (magnitude(batch, one) * 5 + magnitude(batch, two) * np.abs(batch.g).max(axis=0))
    assert close(channel_sum(one.dx * h), channel_sum(two.dx * batch.g), size)


@relaxed
@given(batches(smallest=4))
def test_the_jacobian_has_the_spectrum_of_a_projection_shrunk_by_epsilon(batch: Batch) -> None:
    """Eigenvalues gamma r {0, eps / (v + eps), 1}: of 1, of xhat, and of all orthogonal to both."""
    result = run(batch)
    xhat, scale = result.xhat, batch.gamma * result.r
    along = train(batch.x, xhat, batch)
    share = batch.epsilon / (result.v + batch.epsilon)
    size = 16 * np.abs(scale.hi) * np.square(np.abs(xhat.hi).max(axis=0) + 1)
    assert close(along.dx, scale * share * xhat, size * np.abs(xhat.hi).max(axis=0))
    centred = batch.g - channel_sum(DoubleDouble(batch.g)) / batch.g.shape[0]
    squares = channel_sum(xhat * xhat)
    free = centred - xhat * (channel_sum(centred * xhat) / squares)
    assert close(train(batch.x, free, batch).dx, scale * free, 1e3 * magnitude(batch, result))


@relaxed
@given(batches())
def test_the_output_has_mean_beta_and_variance_gamma_squared_v_over_v_plus_epsilon(
    batch: Batch,
) -> None:
    """Exactly so: the variance falls short of gamma^2 by epsilon's share."""
    result = run(batch)
    mean = spec.batch_mean(result.y, AXES)
    variance = spec.biased_variance(result.y, mean, AXES)
    size = np.abs(result.y.hi).max(axis=0)
    assert close(mean, DoubleDouble(batch.beta), size)
    expected = np.square(DoubleDouble(batch.gamma)) * result.v / (result.v + batch.epsilon)
    assert close(variance, expected, np.square(size))


@relaxed
@given(batches(smallest=1))
def test_no_normalized_value_exceeds_the_root_of_n_minus_one(batch: Batch) -> None:
    """|xhat| <= sqrt(n - 1), and 0 for a single value."""
    n = batch.x.shape[0]
    assert (np.abs(run(batch).xhat.hi) <= np.sqrt(n - 1) * (1 + 1e-15)).all()


@relaxed
@given(batches(), st.integers(-30, 30))
def test_a_power_of_two_in_x_and_its_square_in_epsilon_cancel_exactly(batch: Batch, k: int) -> None:
    """(2^k x, 4^k eps): y and dgamma keep every bit, dx is 2^-k dx."""
    before = run(batch)
    after = train(2.0**k * batch.x, batch.g, batch, epsilon=4.0**k * batch.epsilon)
    assert same_bits(after.y, before.y)
    assert same_bits(after.dgamma, before.dgamma)
    assert same_bits(after.dx, DoubleDouble(2.0**-k * before.dx.hi, 2.0**-k * before.dx.lo))


@relaxed
@given(batches())
def test_the_sign_of_x_and_that_of_gamma_cancel_exactly(batch: Batch) -> None:
    """(-x, -gamma): y keeps every bit, dx and dgamma change sign."""
    before, after = run(batch), train(-batch.x, batch.g, batch, sign=-1.0)
    assert same_bits(after.y, before.y)
    assert same_bits(after.dx, -before.dx)
    assert same_bits(after.dgamma, -before.dgamma)


@relaxed
@given(batches(), st.integers(-30, 30))
def test_a_power_of_two_in_gamma_and_beta_scales_y_exactly(batch: Batch, k: int) -> None:
    """(2^k gamma, 2^k beta): 2^k y."""
    result = run(batch)
    scaled = spec.scale_and_shift(result.xhat, 2.0**k * batch.gamma, 2.0**k * batch.beta)
    assert same_bits(scaled, DoubleDouble(2.0**k * result.y.hi, 2.0**k * result.y.lo))


@relaxed
@given(batches(), st.integers(0, 2**32 - 1))
def test_permuting_the_batch_permutes_the_results(batch: Batch, seed: int) -> None:
    """y and dx move along, everything per channel stays."""
    order = np.random.default_rng(seed).permutation(batch.x.shape[0])
    before, after = run(batch), train(batch.x[order], batch.g[order], batch)
    moved_y = DoubleDouble(before.y.hi[order], before.y.lo[order])
    moved_dx = DoubleDouble(before.dx.hi[order], before.dx.lo[order])
    assert close(after.y, moved_y, np.abs(before.y.hi).max(axis=0) + 1)
    assert close(after.dx, moved_dx, 16 * magnitude(batch, before))
    assert close(after.dgamma, before.dgamma, 16 * np.abs(batch.g).max(axis=0) * 4)


@relaxed
@given(batches(), st.integers(2, 4))
def test_duplicating_the_batch_keeps_the_output_and_multiplies_the_parameter_gradients(
    batch: Batch, k: int
) -> None:
    """k copies: mu, v, y stay, dgamma and dbeta grow k-fold, Bessel's correction shrinks."""
    n = batch.x.shape[0]
    before = run(batch)
    after = train(np.tile(batch.x, (k, 1)), np.tile(batch.g, (k, 1)), batch)
    assert close(after.mu, before.mu, np.abs(batch.x).max(axis=0))
    assert close(after.v, before.v)
    first = DoubleDouble(after.y.hi[:n], after.y.lo[:n])
    assert close(first, before.y, np.abs(before.y.hi).max(axis=0) + 1)
    assert close(after.dbeta, k * before.dbeta, k * np.abs(batch.g).sum(axis=0))
    assert close(after.dgamma, k * before.dgamma, 4 * k * np.abs(batch.g).sum(axis=0))
    unbiased = spec.unbiased_variance(after.v, k * n)
    assert close(unbiased, before.v * (k * n) / (k * n - 1))
    assert (unbiased.hi < spec.unbiased_variance(before.v, n).hi).all()


@relaxed
@given(batches(), st.floats(-1e6, 1e6))
def test_one_channel_knows_nothing_of_another(batch: Batch, other: float) -> None:
    """Other values in the last channel change not a bit of the rest."""
    x, g = batch.x.copy(), batch.g.copy()
    x[:, -1] = other * np.arange(len(x))
    g[:, -1] = other
    before, after = run(batch), train(x, g, batch)
    for name in ("mu", "v", "r", "xhat", "y", "dx", "dgamma", "dbeta"):
        old, new = getattr(before, name), getattr(after, name)
        assert (old.hi[:, :-1] == new.hi[:, :-1]).all()
        assert (old.lo[:, :-1] == new.lo[:, :-1]).all()
