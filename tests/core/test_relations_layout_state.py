"""Relations about layouts, inference and running statistics; listed in ``test_relations.py``."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble

from .batches import (
    Batch,
    batches,
    close,
    relaxed,
    run,
    same_bits,
    train,
)


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
    first = train(x, g, batch, axes=(0, 2, 3))
    moved = train(np.moveaxis(x, 1, -1), np.moveaxis(g, 1, -1), batch, axes=(0, 1, 2))
    rows = [np.moveaxis(v, 1, -1).reshape(16, 3) for v in (x, g)]
    flat = train(rows[0], rows[1], batch)
    for name in ("y", "dx"):
        expected, last, matrix = (getattr(result, name) for result in (first, moved, flat))
        assert (last.hi == np.moveaxis(expected.hi, 1, -1)).all()
        assert same_bits(matrix, last.reshape((16, 3)))
    for name in ("mu", "v", "dgamma", "dbeta"):
        found = [getattr(result, name).reshape((3,)) for result in (first, moved, flat)]
        assert same_bits(found[0], found[1])
        assert same_bits(found[0], found[2])


@relaxed
@given(batches())
def test_mixed_memory_layouts_change_no_bit(batch: Batch) -> None:
    """x by rows, g by columns, and strided views of either."""
    plain = run(batch)
    columns = np.asfortranarray(batch.g)
    strided = np.repeat(batch.x, 2, axis=0)[::2]
    for x, g in ((batch.x, columns), (strided, batch.g), (strided, columns)):
        mixed = train(x, g, batch)
        for name in ("mu", "v", "y", "dx", "dgamma", "dbeta"):
            assert same_bits(getattr(mixed, name), getattr(plain, name))


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
    assert close(infer(x), w * x + (batch.beta - w * mean), size)
    blend = share * x + (other - share * other)
    expected = share * infer(x) + (infer(other) - share * infer(other))
    assert close(infer(blend), expected, size)


@relaxed
@given(batches())
def test_inference_leaves_the_state_untouched(batch: Batch) -> None:
    """The spec's functions change none of their arguments."""
    mean, var = DoubleDouble(np.full_like(batch.beta, 0.75)), DoubleDouble(batch.gamma**2)
    before = [part.copy() for part in (mean.hi, mean.lo, var.hi, var.lo, batch.x)]
    r = spec.inverse_deviation(var, batch.epsilon)
    spec.scale_and_shift(spec.normalize(DoubleDouble(batch.x), mean, r), batch.gamma, batch.beta)
    spec.inference_dx(DoubleDouble(batch.g), r, batch.gamma)
    after = [mean.hi, mean.lo, var.hi, var.lo, batch.x]
    assert all((old == new).all() for old, new in zip(before, after, strict=True))


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
    assert close(dx * root, DoubleDouble(batch.gamma) * batch.g)


@relaxed
@given(batches(), st.sampled_from([0.0, 0.1, 0.9, 0.999, 1.0]), st.integers(1, 12))
def test_the_same_batch_t_times_approaches_its_statistics_geometrically(
    batch: Batch, decay: float, t: int
) -> None:
    """rm_t = mu + decay^t (rm_0 - mu), and rv likewise."""
    result = run(batch)
    start = DoubleDouble(np.full_like(batch.beta, 5.0))
    mean, var, power = start, start, DoubleDouble(1.0)
    for _ in range(t):
        mean = spec.update_running_mean(mean, result.mu, decay)
        var = spec.update_running_var(var, result.v, decay)
        power = power * decay
    for found, target in ((mean, result.mu), (var, result.v)):
        assert close(found, target + power * (start - target), 5.0 + np.abs(target.hi))
