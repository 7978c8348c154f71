"""Badly and well conditioned data for the error bounds: what makes rounding errors large."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from bnconform.conformance.formats import DType

from .cases import Data, matrix_data, parameters_like

Float64 = npt.NDArray[np.float64]

WIDE = frozenset({DType.FLOAT32, DType.FLOAT64})
_RATIOS = (0.0, 1.0, 10.0, 1e3, 1e6)
_HALF_RATIOS = (0.0, 1.0, 10.0, 100.0)
CHANNELS = 20


@cache
def hard_data(n: int, dtype: DType, seed: int = 0) -> Data:
    """Two training steps of (n, 20) and (about n / 2, 20) values, then inference.

    Means up to 1e6 deviations away (100 in half precision), scales from 1e-3 to 1e3, and channels
    that are constant, sorted, of one sign or hold an outlier; upstream gradients with a mean, or
    along xhat, so that dx cancels.
    """
    values = np.random.default_rng([seed, n])
    steps = [_batch(values, size, dtype) for size in (n, max(n // 2, 1))]
    centre, spread = steps[0][0].mean(axis=0), steps[0][0].std(axis=0)
    magnitudes = 10.0 ** values.uniform(-1, 1, (2, CHANNELS))
    parameters = parameters_like(
        magnitudes[0] * values.standard_normal(CHANNELS),
        magnitudes[1] * values.standard_normal(CHANNELS),
        centre + spread * values.standard_normal(CHANNELS),
        np.square(spread) * values.uniform(0.3, 3, CHANNELS) + 1e-3,
        dtype,
    )
    epsilon = float(values.choice([1e-3, 1e-5, 1e-12]))
    decay = (0.9, 0.999, None, 0.5)[n % 4]
    return matrix_data(steps, dtype, parameters, epsilon=epsilon, decay=decay)


def _batch(values: np.random.Generator, n: int, dtype: DType) -> tuple[Float64, Float64]:
    """x and g of shape (n, 20)."""
    wide = dtype in WIDE
    ratios = values.choice(_RATIOS if wide else _HALF_RATIOS, CHANNELS)
    scales = 10.0 ** values.uniform(-3, 3 if wide else 1, CHANNELS)
    x = values.standard_normal((n, CHANNELS)) + ratios * values.choice([-1, 1], CHANNELS)
    x *= scales
    x[:, 0] = (0.1, -1 / 3, 1000.1)[n % 3]
    x[:, 1] = x[0, 1]
    x[:, 2] = np.sort(x[:, 2])
    x[:, 3] = np.sort(x[:, 3])[::-1]
    x[:, 4] = np.abs(x[:, 4])
    x[0, 5] *= 30
    g = values.standard_normal((n, CHANNELS)) * 10.0 ** values.uniform(-2, 2, CHANNELS)
    g[:, 6:9] += 100.0
    g[:, 9] = g[0, 9]
    centred = x - x.mean(axis=0)
    g[:, 10:14] += (centred / (x.std(axis=0) + 1e-30))[:, 10:14] * 10.0
    return x, g


@cache
def clamping_data(seed: int = 0) -> Data:
    """One training step of (32, 400) values whose one-pass variance may round below zero.

    Deviations far below the mean and below the root of epsilon; g mostly along xhat, so that dx
    cancels down to what the variance's gradient gives.
    """
    values, n, channels = np.random.default_rng(seed), 32, 400
    mean = np.sqrt(1e-5 * values.uniform(0.02, 1.0, channels) / (150 * 2.0**-24))
    x = mean + np.sqrt(1e-5) * 10.0 ** values.uniform(-3, 0, channels) * values.standard_normal(
        (n, channels)
    )
    g = (x - x.mean(axis=0)) / x.std(axis=0) * 10.0 ** values.uniform(0, 3, channels)
    g += values.standard_normal((n, channels))
    ones, zeros = np.ones(channels), np.zeros(channels)
    parameters = parameters_like(ones, zeros, zeros, ones, DType.FLOAT32)
    return matrix_data([(x, g)], DType.FLOAT32, parameters, epsilon=1e-5)


@cache
def ordinary_data(
    dtype: DType = DType.FLOAT32,
    *,
    ratio: float = 1.0,
    scale: float = 1.0,
    epsilon: float = 1e-3,
    decay: float | None = 0.9,
    n: int = 32,
) -> Data:
    """Three training steps of (n, n, n / 2) values of 8 channels without any trap."""
    values = np.random.default_rng(7)
    pairs = []
    for size in (n, n, n // 2):
        x = scale * (values.standard_normal((size, 8)) + ratio)
        g = values.standard_normal((size, 8)) + 1.0
        pairs.append((x, g))
    parameters = parameters_like(
        values.uniform(1.5, 3, 8),
        values.uniform(-2, 2, 8),
        scale * ratio * values.uniform(0.8, 1.2, 8),
        scale**2 * values.uniform(0.5, 2, 8),
        dtype,
    )
    return matrix_data(pairs, dtype, parameters, epsilon=epsilon, decay=decay)
