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
"""float64, double-double or object array; the functions only use + - * /, sum, and NumPy's sqrt,
square, maximum and minimum."""


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


# Weighted and masked: w >= 0 with size 1 on every feature axis, W = sum(w). A mask is w in {0, 1}.


def weighted_mean(x: Numbers, w: Numbers, axes: tuple[int, ...]) -> Numbers:
    """mu = sum(w x) / W. Wide shape."""
    return (w * x).sum(axis=axes, keepdims=True) / total_weight(w, axes)


def weighted_variance(x: Numbers, w: Numbers, mu: Numbers, axes: tuple[int, ...]) -> Numbers:
    """v = sum(w (x - mu)^2) / W. Wide shape, never negative."""
    return (w * np.square(x - mu)).sum(axis=axes, keepdims=True) / total_weight(w, axes)


def total_weight(w: Numbers, axes: tuple[int, ...]) -> Numbers:
    """W = sum(w): what counts as the number of values."""
    return w.sum(axis=axes, keepdims=True)


def weighted_training_dx(
    g: Numbers,
    xhat: Numbers,
    r: Numbers,
    gamma: Numbers | None,
    w: Numbers,
    axes: tuple[int, ...],
) -> Numbers:
    """dx = gamma r (g - (w / W) (sum(g) + xhat sum(g xhat))).

    Every position has an output and an upstream gradient, also where w = 0; only positions with a
    weight feel the way through the statistics.
    """
    through = dbeta(g, axes) + xhat * dgamma(g, xhat, axes)
    centred = g - w / total_weight(w, axes) * through
    return r * centred if gamma is None else gamma * r * centred


# Batch renormalization. Source: Ioffe, "Batch Renormalization", 2017 (arXiv:1702.03275). m and s
# are averages of the batches' mean and deviation from before the update; R and D are constants for
# differentiation.


def renorm_scale(
    v: Numbers, s: Numbers, epsilon: float, r_min: float | None, r_max: float | None
) -> Numbers:
    """R = sqrt(v + epsilon) / s, clipped to [r_min, r_max]."""
    ratio = np.sqrt(v + epsilon) / s
    return clip(ratio, r_min, r_max)


def renorm_shift(mu: Numbers, m: Numbers, s: Numbers, d_max: float | None) -> Numbers:
    """D = (mu - m) / s, clipped to [-d_max, d_max]."""
    return clip((mu - m) / s, None if d_max is None else -d_max, d_max)


def transform(xhat: Numbers, scale: Numbers, shift: Numbers) -> Numbers:
    """scale xhat + shift: what renormalization (R, D) and adjustment (a, b) do before gamma, beta.

    y = gamma (scale xhat + shift) + beta, so that dgamma = sum(g (scale xhat + shift)) and dx is
    that of g scale.
    """
    return scale * xhat + shift


def renorm_running_var(stddev: Numbers, epsilon: float) -> Numbers:
    """rv = sd^2 - epsilon, not below 0, with sd the running average of sqrt(v + epsilon)."""
    return clip(stddev * stddev - epsilon, 0.0, None)


def clip(values: Numbers, low: float | None, high: float | None) -> Numbers:
    """``values``, not below ``low`` and not above ``high``; None is no limit."""
    if low is not None:
        values = np.maximum(values, low)
    return values if high is None else np.minimum(values, high)


# Synchronized: partial statistics of replicas, merged by Chan, Golub and LeVeque's rule (1979).


def merged_mean(means: list[Numbers], counts: list[int]) -> Numbers:
    """mu = sum(n_k mu_k) / n."""
    weighted = [mean * n for mean, n in zip(means, counts, strict=True)]
    return sum(weighted[1:], weighted[0]) / sum(counts)


def merged_variance(variances: list[Numbers], means: list[Numbers], counts: list[int]) -> Numbers:
    """v = sum(n_k (v_k + (mu_k - mu)^2)) / n: exact for any split of the batch."""
    mu = merged_mean(means, counts)
    parts = [
        (v + np.square(mean - mu)) * n for v, mean, n in zip(variances, means, counts, strict=True)
    ]
    return sum(parts[1:], parts[0]) / sum(counts)


# Averages with a beginning of their own, and training by the running statistics.


def debiased_average(hidden: Numbers, decay: float, updates: int) -> Numbers:
    """a = h / (1 - decay^t) after t updates of h <- decay h + (1 - decay) z from h = 0.

    Source: Kingma and Ba, "Adam", 2014 (arXiv:1412.6980), section 3.
    """
    power = hidden * 0 + 1
    for _ in range(updates):
        power = power * decay
    return hidden / (1 - power)


def running_training_dx(
    g: Numbers,
    xhat: Numbers,
    d: Numbers,
    r: Numbers,
    gamma: Numbers | None,
    share: Numbers,
    axes: tuple[int, ...],
) -> Numbers:
    """dx = gamma r (g - k mean(g) - k d r mean(g xhat)), d = x - mu, k the batch's share.

    For training that normalizes by the running statistics after the update, xhat = (x - rm') r with
    r = 1 / sqrt(rv' + epsilon): the batch's mean and variance enter rm' and rv' with weight k.
    """
    n = count(g, axes)
    through = dbeta(g, axes) / n + d * r * (dgamma(g, xhat, axes) / n)
    centred = g - through * share
    return r * centred if gamma is None else gamma * r * centred
