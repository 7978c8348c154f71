"""Relations between results that hold in exact arithmetic, as properties of the spec.

They need no reference, so they would show an error that the spec and its proof have in common.
Evaluated in double-double, whose operations err by 2^-103 (1e-31): with at most 16 values a channel
and a mean of at most 1000 deviations, centring loses 3 digits, its square 6, so that 1e-25 relative
to the magnitudes of the terms leaves room for rounding and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bnconform.conformance import spec
from bnconform.conformance.doubledouble import DoubleDouble

Float64 = npt.NDArray[np.float64]

ROUNDING = 1e-25
AXES = (0,)
relaxed = settings(deadline=None, max_examples=40)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A float64 batch (n, channels), an upstream gradient and parameters (1, channels)."""

    x: Float64
    g: Float64
    gamma: Float64
    beta: Float64
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything that the spec says of a batch in training."""

    mu: DoubleDouble
    v: DoubleDouble
    r: DoubleDouble
    xhat: DoubleDouble
    y: DoubleDouble
    dx: DoubleDouble
    dgamma: DoubleDouble
    dbeta: DoubleDouble


@st.composite
def batches(draw: DrawFn, *, smallest: int = 2) -> Batch:
    """Batches of 1 to 3 channels with means up to 1000 deviations away.

    Shrinks towards two values of one channel near zero.
    """
    n, channels = draw(st.integers(smallest, 16)), draw(st.integers(1, 3))
    ratio = draw(st.sampled_from([0.0, 1.0, 30.0, 1000.0]))
    scale = draw(st.sampled_from([1.0, 1e-3, 1e3]))
    epsilon = draw(st.sampled_from([1e-3, 1e-5, 0.5, 1e-12]))
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Batch(
        x=scale * (values.standard_normal((n, channels)) + ratio),
        g=values.standard_normal((n, channels)) + draw(st.sampled_from([0.0, 10.0])),
        gamma=values.uniform(-3, 3, (1, channels)),
        beta=values.uniform(-3, 3, (1, channels)),
        epsilon=epsilon,
    )


def _train(
    x: Float64,
    g: Float64 | DoubleDouble,
    batch: Batch,
    *,
    axes: tuple[int, ...] = AXES,
    epsilon: float | None = None,
    sign: float = 1.0,
) -> Result:
    """The spec on x and g with the parameters of ``batch``; ``sign`` multiplies gamma."""
    wide, upstream = DoubleDouble(x), g if isinstance(g, DoubleDouble) else DoubleDouble(g)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    gamma = DoubleDouble(sign * batch.gamma).reshape(shape)
    beta = DoubleDouble(batch.beta).reshape(shape)
    mu = spec.batch_mean(wide, axes)
    v = spec.biased_variance(wide, mu, axes)
    r = spec.inverse_deviation(v, batch.epsilon if epsilon is None else epsilon)
    xhat = spec.normalize(wide, mu, r)
    return Result(
        mu=mu,
        v=v,
        r=r,
        xhat=xhat,
        y=spec.scale_and_shift(xhat, gamma, beta),
        dx=spec.training_dx(upstream, xhat, r, gamma, axes),
        dgamma=spec.dgamma(upstream, xhat, axes),
        dbeta=spec.dbeta(upstream, axes),
    )


def _run(batch: Batch) -> Result:
    return _train(batch.x, batch.g, batch)


def _sum(values: DoubleDouble) -> DoubleDouble:
    return values.sum(axis=AXES, keepdims=True)


def _close(left: DoubleDouble, right: DoubleDouble | float, size: Float64 | float = 0.0) -> bool:
    """Whether both sides agree to ``ROUNDING`` of their own magnitude, or of ``size``."""
    other = right if isinstance(right, DoubleDouble) else DoubleDouble(right)
    allowed = ROUNDING * np.maximum(np.maximum(np.abs(left.hi), np.abs(other.hi)), size)
    return bool((np.abs((left - other).to_float64()) <= allowed).all())


def _same(left: DoubleDouble, right: DoubleDouble) -> bool:
    """Whether both sides agree bit for bit."""
    return bool((left.hi == right.hi).all() and (left.lo == right.lo).all())


def _size(batch: Batch, result: Result) -> Float64:
    """Magnitude of the terms of dx: |gamma| r (|g| + |gbar| + |xhat| mean|g xhat|), largest."""
    g, xhat = np.abs(batch.g), np.abs(result.xhat.hi)
    terms = g + g.mean(axis=0) + xhat * (g * xhat).mean(axis=0)
    return np.asarray(np.abs(batch.gamma) * result.r.hi * terms.max(axis=0))


@relaxed
@given(batches())
def test_the_input_gradient_sums_to_zero(batch: Batch) -> None:
    """Sum dx = 0: adding a constant to a channel changes nothing."""
    result = _run(batch)
    assert _close(_sum(result.dx), 0.0, 16 * _size(batch, result))


@relaxed
@given(batches())
def test_the_input_gradient_along_xhat_is_what_epsilon_leaves(batch: Batch) -> None:
    """Sum dx xhat = gamma r dgamma eps / (v + eps), not the usual 0."""
    result = _run(batch)
    share = batch.epsilon / (result.v + batch.epsilon)
    expected = batch.gamma * result.r * result.dgamma * share
    size = 16 * np.abs(result.xhat.hi).max(axis=0) * _size(batch, result)
    assert _close(_sum(result.dx * result.xhat), expected, size)


@relaxed
@given(batches(), st.sampled_from([1.0, -100.0, 0.1, 0.0]))
def test_a_constant_upstream_gradient_gives_no_gradient(batch: Batch, level: float) -> None:
    """g constant: dx = 0 and dgamma = 0, since sum(y) = n beta whatever x is."""
    g = np.full_like(batch.x, level)
    result = _train(batch.x, g, batch)
    size = np.abs(level) * np.abs(result.xhat.hi).sum(axis=0)
    assert _close(result.dgamma, 0.0, size)
    assert _close(result.dx, 0.0, 16 * (abs(level) + size) * np.abs(batch.gamma) * result.r.hi)


@relaxed
@given(batches(), st.floats(-4, 4), st.integers(0, 2**32 - 1))
def test_gradients_are_linear_in_the_upstream_gradient(
    batch: Batch, factor: float, seed: int
) -> None:
    """dx(g + a h) = dx(g) + a dx(h), and so for dgamma and dbeta."""
    h = np.random.default_rng(seed).standard_normal(batch.x.shape)
    one, two = _run(batch), _train(batch.x, h, batch)
    both = _train(batch.x, DoubleDouble(batch.g) + factor * DoubleDouble(h), batch)
    size = 16 * (_size(batch, one) + np.abs(factor) * np.abs(two.dx.hi).max(axis=0))
    total = np.abs(batch.g).sum(axis=0) + np.abs(factor * h).sum(axis=0)
    widest = np.abs(one.xhat.hi).max(axis=0)
    assert _close(both.dx, one.dx + factor * two.dx, size + 16 * np.abs(factor) * _size(batch, two))
    assert _close(both.dgamma, one.dgamma + factor * two.dgamma, total * widest)
    assert _close(both.dbeta, one.dbeta + factor * two.dbeta, total)


@relaxed
@given(batches(), st.integers(0, 2**32 - 1))
def test_the_jacobian_is_symmetric(batch: Batch, seed: int) -> None:
    """Sum h dx(g) = Sum g dx(h) in every channel."""
    h = np.random.default_rng(seed).standard_normal(batch.x.shape)
    one, two = _run(batch), _train(batch.x, h, batch)
    size = 16 * (_size(batch, one) * 5 + _size(batch, two) * np.abs(batch.g).max(axis=0))
    assert _close(_sum(one.dx * h), _sum(two.dx * batch.g), size)


@relaxed
@given(batches(smallest=4))
def test_the_jacobian_has_the_spectrum_of_a_projection_shrunk_by_epsilon(batch: Batch) -> None:
    """Eigenvalues gamma r {0, eps / (v + eps), 1}: of 1, of xhat, and of all orthogonal to both."""
    result = _run(batch)
    xhat, scale = result.xhat, batch.gamma * result.r
    along = _train(batch.x, xhat, batch)
    share = batch.epsilon / (result.v + batch.epsilon)
    size = 16 * np.abs(scale.hi) * np.square(np.abs(xhat.hi).max(axis=0) + 1)
    assert _close(along.dx, scale * share * xhat, size * np.abs(xhat.hi).max(axis=0))
    centred = batch.g - _sum(DoubleDouble(batch.g)) / batch.g.shape[0]
    squares = _sum(xhat * xhat)
    free = centred - xhat * (_sum(centred * xhat) / squares)
    assert _close(_train(batch.x, free, batch).dx, scale * free, 1e3 * _size(batch, result))


@relaxed
@given(batches())
def test_the_output_has_mean_beta_and_variance_gamma_squared_v_over_v_plus_epsilon(
    batch: Batch,
) -> None:
    """Exactly so: the variance falls short of gamma^2 by epsilon's share."""
    result = _run(batch)
    mean = spec.batch_mean(result.y, AXES)
    variance = spec.biased_variance(result.y, mean, AXES)
    size = np.abs(result.y.hi).max(axis=0)
    assert _close(mean, DoubleDouble(batch.beta), size)
    expected = np.square(DoubleDouble(batch.gamma)) * result.v / (result.v + batch.epsilon)
    assert _close(variance, expected, np.square(size))


@relaxed
@given(batches(smallest=1))
def test_no_normalized_value_exceeds_the_root_of_n_minus_one(batch: Batch) -> None:
    """|xhat| <= sqrt(n - 1), and 0 for a single value."""
    n = batch.x.shape[0]
    assert (np.abs(_run(batch).xhat.hi) <= np.sqrt(n - 1) * (1 + 1e-15)).all()


@relaxed
@given(batches(), st.integers(-30, 30))
def test_a_power_of_two_in_x_and_its_square_in_epsilon_cancel_exactly(batch: Batch, k: int) -> None:
    """(2^k x, 4^k eps): y and dgamma keep every bit, dx is 2^-k dx."""
    before = _run(batch)
    after = _train(2.0**k * batch.x, batch.g, batch, epsilon=4.0**k * batch.epsilon)
    assert _same(after.y, before.y)
    assert _same(after.dgamma, before.dgamma)
    assert _same(after.dx, DoubleDouble(2.0**-k * before.dx.hi, 2.0**-k * before.dx.lo))


@relaxed
@given(batches())
def test_the_sign_of_x_and_that_of_gamma_cancel_exactly(batch: Batch) -> None:
    """(-x, -gamma): y keeps every bit, dx and dgamma change sign."""
    before, after = _run(batch), _train(-batch.x, batch.g, batch, sign=-1.0)
    assert _same(after.y, before.y)
    assert _same(after.dx, -before.dx)
    assert _same(after.dgamma, -before.dgamma)


@relaxed
@given(batches(), st.integers(-30, 30))
def test_a_power_of_two_in_gamma_and_beta_scales_y_exactly(batch: Batch, k: int) -> None:
    """(2^k gamma, 2^k beta): 2^k y."""
    result = _run(batch)
    scaled = spec.scale_and_shift(result.xhat, 2.0**k * batch.gamma, 2.0**k * batch.beta)
    assert _same(scaled, DoubleDouble(2.0**k * result.y.hi, 2.0**k * result.y.lo))


@relaxed
@given(batches(), st.integers(0, 2**32 - 1))
def test_permuting_the_batch_permutes_the_results(batch: Batch, seed: int) -> None:
    """y and dx move along, everything per channel stays."""
    order = np.random.default_rng(seed).permutation(batch.x.shape[0])
    before, after = _run(batch), _train(batch.x[order], batch.g[order], batch)
    moved_y = DoubleDouble(before.y.hi[order], before.y.lo[order])
    moved_dx = DoubleDouble(before.dx.hi[order], before.dx.lo[order])
    assert _close(after.y, moved_y, np.abs(before.y.hi).max(axis=0) + 1)
    assert _close(after.dx, moved_dx, 16 * _size(batch, before))
    assert _close(after.dgamma, before.dgamma, 16 * np.abs(batch.g).max(axis=0) * 4)


@relaxed
@given(batches(), st.integers(2, 4))
def test_duplicating_the_batch_keeps_the_output_and_multiplies_the_parameter_gradients(
    batch: Batch, k: int
) -> None:
    """k copies: mu, v, y stay, dgamma and dbeta grow k-fold, Bessel's correction shrinks."""
    n = batch.x.shape[0]
    before = _run(batch)
    after = _train(np.tile(batch.x, (k, 1)), np.tile(batch.g, (k, 1)), batch)
    assert _close(after.mu, before.mu, np.abs(batch.x).max(axis=0))
    assert _close(after.v, before.v)
    first = DoubleDouble(after.y.hi[:n], after.y.lo[:n])
    assert _close(first, before.y, np.abs(before.y.hi).max(axis=0) + 1)
    assert _close(after.dbeta, k * before.dbeta, k * np.abs(batch.g).sum(axis=0))
    assert _close(after.dgamma, k * before.dgamma, 4 * k * np.abs(batch.g).sum(axis=0))
    unbiased = spec.unbiased_variance(after.v, k * n)
    assert _close(unbiased, before.v * (k * n) / (k * n - 1))
    assert (unbiased.hi < spec.unbiased_variance(before.v, n).hi).all()


@relaxed
@given(batches(), st.floats(-1e6, 1e6))
def test_one_channel_knows_nothing_of_another(batch: Batch, other: float) -> None:
    """Other values in the last channel change not a bit of the rest."""
    x, g = batch.x.copy(), batch.g.copy()
    x[:, -1] = other * np.arange(len(x))
    g[:, -1] = other
    before, after = _run(batch), _train(x, g, batch)
    for name in ("mu", "v", "r", "xhat", "y", "dx", "dgamma", "dbeta"):
        old, new = getattr(before, name), getattr(after, name)
        assert (old.hi[:, :-1] == new.hi[:, :-1]).all()
        assert (old.lo[:, :-1] == new.lo[:, :-1]).all()


@relaxed
@given(st.integers(0, 2**32 - 1))
def test_channels_first_channels_last_and_flattened_agree_exactly(seed: int) -> None:
    """(2, 3, 2, 4) by axis 1, its transpose by axis 3, and (16, 3) by axis 1: the same bits."""
    values = np.random.default_rng(seed)
    x, g = values.standard_normal((2, 3, 2, 4)), values.standard_normal((2, 3, 2, 4))
    batch = Batch(
        x=x,
        g=g,
        gamma=values.standard_normal((1, 3)),
        beta=values.standard_normal((1, 3)),
        epsilon=1e-3,
    )
    first = _train(x, g, batch, axes=(0, 2, 3))
    moved = _train(np.moveaxis(x, 1, -1), np.moveaxis(g, 1, -1), batch, axes=(0, 1, 2))
    rows = [np.moveaxis(v, 1, -1).reshape(16, 3) for v in (x, g)]
    flat = _train(rows[0], rows[1], batch)
    for name in ("y", "dx"):
        expected, last, matrix = (getattr(result, name) for result in (first, moved, flat))
        assert (last.hi == np.moveaxis(expected.hi, 1, -1)).all()
        assert _same(matrix, last.reshape((16, 3)))
    for name in ("mu", "v", "dgamma", "dbeta"):
        found = [getattr(result, name).reshape((3,)) for result in (first, moved, flat)]
        assert _same(found[0], found[1])
        assert _same(found[0], found[2])


@relaxed
@given(batches(), st.floats(-2, 3))
def test_inference_is_affine_in_x_and_equals_folding(batch: Batch, share: float) -> None:
    """y = w x + b with w = gamma / sqrt(rv + eps), and blends of inputs give blends of outputs."""
    mean, var = np.full_like(batch.beta, 0.75), np.full_like(batch.beta, 2.5)
    r = spec.inverse_deviation(DoubleDouble(var), batch.epsilon)
    other = DoubleDouble(batch.x[::-1])

    def infer(x: DoubleDouble) -> DoubleDouble:
        xhat = spec.normalize(x, DoubleDouble(mean), r)
        gamma, beta = DoubleDouble(batch.gamma), DoubleDouble(batch.beta)
        y: DoubleDouble = spec.scale_and_shift(xhat, gamma, beta)
        return y

    x = DoubleDouble(batch.x)
    w = batch.gamma / np.sqrt(DoubleDouble(var) + batch.epsilon)
    size = np.abs(w.hi) * (np.abs(batch.x).max(axis=0) + 1) * 9 + 9
    assert _close(infer(x), w * x + (batch.beta - w * mean), size)
    blend = share * x + (other - share * other)
    expected = share * infer(x) + (infer(other) - share * infer(other))
    assert _close(infer(blend), expected, size)


@relaxed
@given(batches())
def test_inference_dx_does_not_depend_on_x_and_scales_each_value_alone(batch: Batch) -> None:
    """dx = gamma g / sqrt(rv + eps): no value of g reaches another position."""
    r = spec.inverse_deviation(DoubleDouble(np.full_like(batch.beta, 2.5)), batch.epsilon)
    dx = spec.inference_dx(DoubleDouble(batch.g), r, DoubleDouble(batch.gamma))
    alone = np.zeros_like(batch.g)
    alone[0] = batch.g[0]
    one = spec.inference_dx(DoubleDouble(alone), r, DoubleDouble(batch.gamma))
    assert (one.hi[0] == dx.hi[0]).all()
    assert (one.hi[1:] == 0).all()
    root = np.sqrt(DoubleDouble(np.full_like(batch.beta, 2.5)) + batch.epsilon)
    assert _close(dx * root, DoubleDouble(batch.gamma) * batch.g)


@relaxed
@given(batches(), st.sampled_from([0.0, 0.1, 0.9, 0.999, 1.0]), st.integers(1, 12))
def test_the_same_batch_t_times_approaches_its_statistics_geometrically(
    batch: Batch, decay: float, t: int
) -> None:
    """rm_t = mu + decay^t (rm_0 - mu), and rv likewise."""
    result = _run(batch)
    start = DoubleDouble(np.full_like(batch.beta, 5.0))
    mean, var, power = start, start, DoubleDouble(1.0)
    for _ in range(t):
        mean = spec.update_running_mean(mean, result.mu, decay)
        var = spec.update_running_var(var, result.v, decay)
        power = power * decay
    for found, target in ((mean, result.mu), (var, result.v)):
        assert _close(found, target + power * (start - target), 5.0 + np.abs(target.hi))


@relaxed
@given(batches(), st.data())
def test_any_split_merged_by_chans_rule_equals_the_whole(batch: Batch, data: st.DataObject) -> None:
    """mu = Sum n_k mu_k / n and v = Sum n_k (v_k + (mu_k - mu)^2) / n, uneven shards included."""
    n = batch.x.shape[0]
    cut = data.draw(st.integers(1, n - 1))
    whole, parts = _run(batch), [batch.x[:cut], batch.x[cut:]]
    shards = [_train(part, part, batch) for part in parts]
    counts = [cut, n - cut]
    mu = sum((k * s.mu for k, s in zip(counts, shards, strict=True)), DoubleDouble(0.0)) / n
    squares = [k * (s.v + np.square(s.mu - mu)) for k, s in zip(counts, shards, strict=True)]
    assert _close(mu, whole.mu, np.abs(batch.x).max(axis=0))
    assert _close(sum(squares, DoubleDouble(0.0)) / n, whole.v)
