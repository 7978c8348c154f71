r"""The equations of batch normalization: one pure function each, named after what it computes.

Every function works on anything that behaves like a NumPy array: float64 arrays, the
double-double arrays of ``doubledouble.py`` (how the judge calls them), or object arrays of exact
fractions (how the tests prove them). Shapes: x, g and y have the input's shape; statistics and
parameters have size 1 on every reduction axis ("wide" shape), so that they broadcast against x.
``axes`` are the reduction axes, non-negative. n is the number of values per channel.

Sources: Ioffe and Szegedy, "Batch Normalization", 2015 (arXiv:1502.03167), for the forward pass
and the gradients; the running averages are those of the frameworks' documentation, see
``dialect.py``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = Any
"""float64, double-double or object array; the functions only use + - * / sqrt and sum."""


def batch_mean(x: Numbers, axes: tuple[int, ...]) -> Numbers:
    """mu = sum(x) / n over ``axes``. Wide shape."""
    return x.sum(axis=axes, keepdims=True) / count(x, axes)


def biased_variance(x: Numbers, mu: Numbers, axes: tuple[int, ...]) -> Numbers:
    """v = sum((x - mu)^2) / n over ``axes``. Wide shape, never negative."""
    return np.square(x - mu).sum(axis=axes, keepdims=True) / count(x, axes)


def unbiased_variance(v: Numbers, n: int) -> Numbers:
    """v n / (n - 1), Bessel's correction; v itself (which is 0) for n = 1.

    The frameworks that correct divide by max(n - 1, 1); for n = 1 the variance is 0 either way.
    """
    return v * n / max(n - 1, 1)


def inverse_deviation(v: Numbers, epsilon: float) -> Numbers:
    """r = 1 / sqrt(v + epsilon): epsilon stands inside the root."""
    return 1.0 / np.sqrt(v + epsilon)


def normalize(x: Numbers, mu: Numbers, r: Numbers) -> Numbers:
    """xhat = (x - mu) r."""
    return (x - mu) * r


def scale_and_shift(xhat: Numbers, gamma: Numbers | None, beta: Numbers | None) -> Numbers:
    """y = gamma xhat + beta; a missing gamma counts as 1 and a missing beta as 0."""
    scaled = xhat if gamma is None else gamma * xhat
    return scaled if beta is None else scaled + beta


def update_running_mean(running_mean: Numbers, mu: Numbers, decay: float) -> Numbers:
    """rm' = decay rm + (1 - decay) mu; ``decay`` is the weight of the old value."""
    # (1 - decay) mu is written as mu - decay mu, which double-double evaluates without rounding
    # 1 - decay to float64 first.
    return decay * running_mean + (mu - decay * mu)


def update_running_var(running_var: Numbers, variance: Numbers, decay: float) -> Numbers:
    """rv' = decay rv + (1 - decay) variance.

    ``variance`` is the biased or the unbiased one: the convention that frameworks disagree on.
    """
    return decay * running_var + (variance - decay * variance)


def cumulative_average(average: Numbers, value: Numbers, updates: int) -> Numbers:
    """a' = a + (value - a) / t for the t-th update, t from 1: the plain mean of all values."""
    if updates < 1:
        msg = f"updates counts from 1, the update being made, got {updates}"
        raise ValueError(msg)
    return average + (value - average) / updates


def dbeta(g: Numbers, axes: tuple[int, ...]) -> Numbers:
    """dbeta = sum(g). Wide shape. The same in training and in inference."""
    return g.sum(axis=axes, keepdims=True)


def dgamma(g: Numbers, xhat: Numbers, axes: tuple[int, ...]) -> Numbers:
    """dgamma = sum(g xhat). Wide shape. The same in training and in inference."""
    return (g * xhat).sum(axis=axes, keepdims=True)


def training_dx(
    g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: tuple[int, ...]
) -> Numbers:
    """dx = gamma r (g - mean(g) - xhat mean(g xhat)): through the batch statistics."""
    n = count(g, axes)
    centred = g - dbeta(g, axes) / n - xhat * (dgamma(g, xhat, axes) / n)
    return r * centred if gamma is None else gamma * r * centred


def inference_dx(g: Numbers, r: Numbers, gamma: Numbers | None) -> Numbers:
    """dx = gamma r g: the statistics are constants, in inference and when frozen."""
    return r * g if gamma is None else gamma * r * g


def count(x: Numbers, axes: tuple[int, ...]) -> int:
    """n, the number of values per channel."""
    return int(np.prod([x.shape[axis] for axis in axes], dtype=int))
