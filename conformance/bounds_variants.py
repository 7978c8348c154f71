"""Derived error bounds that only a variant or an uncommon convention needs; see ``bounds.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .bounds import (
    Float64,
    Moments,
    Precision,
    Statistics,
    Upstream,
    deviation,
    dgamma_error,
    mean_error,
    output_error,
    sum_length,
)
from .formats import Format
from .numbers.summation import total


def weighted_length(n: int) -> int:
    """A number of values for which theta covers a quotient of two sums of n terms.

    sum(w x) / sum(w): both sums round, and so do the products, hence theta twice:
    K(n') >= n' = 2 K(n) + 4.
    """
    return 2 * sum_length(n) + 4


def weighted_moments(x: Float64, w: Float64, axes: tuple[int, ...], n: int) -> Moments:
    """A = sum(w |x|) / W and Q = sum(w x^2) / W, with the length that quotients of sums need."""
    weight = total(w, axes)
    return Moments(
        mean_abs_x=total(w * np.abs(x), axes) / weight,
        mean_square_x=total(w * np.square(x), axes) / weight,
        n=weighted_length(n),
    )


def merged_delta(whole: Moments, shards: list[Moments], p: Precision) -> Float64:
    """What stands for delta in the variance of merged partial statistics.

    Shard k's squares are centred on its own mean, off by e_k, and the merge adds
    (mu_k + e_k - mu - e)^2 in place of (mu_k - mu)^2. Each of these differs from the exact square
    by at most 2 |mu_k - mu| D + D^2 with D = max|e_k| + |e|, like a mean that is off by D.
    """
    own = [mean_error(m, p) for m in shards]
    return np.asarray(mean_error(whole, p) + np.max(own, axis=0))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A transform scale xhat + shift: its exact values, and what a subject's may be off by.

    The errors are constant within a channel.
    """

    scale: Float64
    shift: Float64
    e_scale: Float64
    e_shift: Float64


def deviation_error(s: Statistics, epsilon: Float64 | float, p: Precision) -> Float64:
    """E_sigma for sigma = sqrt(v + epsilon): the ends of the interval that v + epsilon lies in.

    3 (u + u_s) sigma+ covers the sum, the root and one more operation.
    """
    exact = np.sqrt(s.v + epsilon)
    low = np.sqrt(np.maximum(s.v - s.e_v, 0.0) + epsilon * (1 - 2 * p.u))
    high = np.sqrt(s.v + s.e_v + epsilon * (1 + 2 * p.u))
    return np.asarray(np.maximum(high - exact, exact - low) + 3 * p.normalizing * high)


@dataclass(frozen=True, kw_only=True)
class Average:
    """An exact running average and what the subject's may have drifted by."""

    value: Float64
    error: Float64


def renorm_scale(
    s: Statistics,
    epsilon: Float64 | float,
    mean: Average,
    stddev: Average,
    clipped: tuple[Float64, Float64],
    p: Precision,
) -> Scale:
    """Errors of R = clip(sigma / s) and D = clip((mu - m) / s); clipping never enlarges an error.

    E_R = (E_sigma + R' E_s) / (s - E_s) + 2u R', E_D = (delta + E_m + |D'| E_s) / (s - E_s)
    + 3u |D'|, with R' and D' before clipping, and u of the limits themselves, which are rounded to
    the subject's format.
    """
    scale, shift = clipped
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.maximum(stddev.value - stddev.error, 0.0)
        ratio = np.sqrt(s.v + epsilon) / stddev.value
        offset = np.abs(s.mu - mean.value) / stddev.value
        e_sigma = deviation_error(s, epsilon, p)
        e_scale = (e_sigma + ratio * stddev.error) / least + 2 * p.u * ratio
        e_shift = (s.delta + mean.error + offset * stddev.error) / least + 3 * p.u * offset
    return Scale(
        scale=scale,
        shift=shift,
        e_scale=e_scale + p.u * np.abs(scale),
        e_shift=e_shift + p.u * np.abs(shift),
    )


def transformed_output_error(
    x: Float64,
    y: Float64,
    xhat: Float64,
    gamma: Float64,
    beta: Float64,
    t: Scale,
    s: Statistics,
    epsilon: Float64 | float,
    p: Precision,
) -> Float64:
    """E_y for y = gamma (scale xhat + shift) + beta.

    That of gamma' xhat + beta' with gamma' = gamma scale and beta' = gamma shift + beta, plus what
    these are off by, plus three roundings of either for composing them.
    """
    a, b = np.abs(t.scale) + t.e_scale, np.abs(t.shift) + t.e_shift
    gamma = np.abs(gamma)
    plain = output_error(x, y, gamma * a, np.abs(beta) + gamma * b, s, epsilon, p)
    off = gamma * (np.abs(xhat) * t.e_scale + t.e_shift)
    reach = deviation(s, epsilon, p).r_max * (np.abs(x - s.mu) + s.delta)
    return plain + off + 3 * p.u * gamma * (a * reach + b)


def transformed_dgamma_error(
    g: Float64,
    dgamma: Float64,
    axes: tuple[int, ...],
    ups: tuple[Upstream, Upstream],
    t: Scale,
    s: Statistics,
    epsilon: Float64 | float,
    p: Precision,
    n: int,
) -> Float64:
    """E_dgamma for dgamma = sum(g (scale xhat + shift)).

    ``ups`` are the sums over g and over g scale; ``dgamma`` is sum(g xhat). The error of sum(g
    scale xhat), what the scale is off by, the sum of g shift, and what the shift is off by.
    """
    plain, scaled = ups
    e_plain = dgamma_error(plain, n, s, epsilon, p)
    e_scaled = dgamma_error(scaled, n, s, epsilon, p)
    shift = np.abs(t.shift) + t.e_shift
    sums = p.theta(sum_length(n) + 4) * total(np.abs(g) * shift, axes)
    off = t.e_scale * (np.abs(dgamma) + e_plain) + t.e_shift * n * np.abs(plain.mean_g)
    return np.asarray(e_scaled + sums + off)


def squared_deviation_error(sd: Average, epsilon: Float64 | float, p: Precision) -> Float64:
    """E_rv for rv = sd^2 - epsilon: 2 sd E_sd + E_sd^2 + 3u (sd + E_sd)^2 + 2u epsilon."""
    reach = np.square(sd.value + sd.error)
    return sd.error * (2 * sd.value + sd.error) + p.u * (3 * reach + 2 * epsilon)


def debiased_error(hidden: Average, decay: Float64 | float, updates: int, p: Precision) -> Float64:
    """E_a for a = h / (1 - decay^t).

    decay is rounded to the subject's format, so decay^t is off by up to 2 t u decay^t and
    1 - decay^t by that and u: E_a = [ E_h + |a| (2t + 1) u ] / (1 - decay^t - (2t + 1) u)
    + 3u |a|. Infinite where nothing is left below the line.
    """
    power = np.asarray(decay, np.float64)
    rest = 1.0 - math.prod([power] * updates)
    off = (2 * updates + 1) * p.u
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(hidden.value) / rest
        error = (hidden.error + size * off) / (rest - off) + 3 * p.u * size
    return np.where(rest <= off, np.inf, error)


def kept_in_half(error: Float64, value: Float64, half: Format) -> Float64:
    """E + u_state (|value| + E) + eta: rounded to half precision for keeping.

    Infinite where |value| + E reaches the format's largest value: the state may be infinite there.
    """
    reach = np.abs(value) + error
    kept = error + half.unit_roundoff * reach + half.smallest_normal
    return np.asarray(np.where(reach >= half.largest, np.inf, kept))
