"""Random batches, and everything that the spec says of them in training, in double-double."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble

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


def train(
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


def run(batch: Batch) -> Result:
    """The spec on a batch as it is."""
    return train(batch.x, batch.g, batch)


def channel_sum(values: DoubleDouble) -> DoubleDouble:
    """Sum over the batch, kept wide."""
    return values.sum(axis=AXES, keepdims=True)


def close(left: DoubleDouble, right: DoubleDouble | float, size: Float64 | float = 0.0) -> bool:
    """Whether both sides agree to ``ROUNDING`` of their own magnitude, or of ``size``."""
    other = right if isinstance(right, DoubleDouble) else DoubleDouble(right)
    allowed = ROUNDING * np.maximum(np.maximum(np.abs(left.hi), np.abs(other.hi)), size)
    return bool((np.abs((left - other).to_float64()) <= allowed).all())


def same_bits(left: DoubleDouble, right: DoubleDouble) -> bool:
    """Whether both sides agree bit for bit."""
    return bool((left.hi == right.hi).all() and (left.lo == right.lo).all())


def magnitude(batch: Batch, result: Result) -> Float64:
    """Magnitude of the terms of dx: |gamma| r (|g| + |gbar| + |xhat| mean|g xhat|), largest."""
    g, xhat = np.abs(batch.g), np.abs(result.xhat.hi)
    terms = g + g.mean(axis=0) + xhat * (g * xhat).mean(axis=0)
    return np.asarray(np.abs(batch.gamma) * result.r.hi * terms.max(axis=0))
