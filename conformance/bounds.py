r"""Derived error bounds: how far a correct implementation may be from the exact value.

This is the only place where a tolerance is decided. Every bound follows from the case (formats,
number of values, conditioning) and from the algorithm class that the subject declares.

Symbols, per channel, all exact: n values x; upstream gradient g; mu mean; d = x - mu; v biased
variance; r = (v + eps)^(-1/2); A = mean|x|; Q = mean x^2; G = mean|g|; gbar = mean g;
c = mean(g d). u is the unit roundoff of the accumulation; u_o that of the output format; eta the
smallest normal of the accumulation format; eta_o the output's underflow unit.

Standard model: fl(a op b) = (a op b)(1 + e) + f with |e| <= u and |f| <= eta (Higham, "Accuracy and
Stability of Numerical Algorithms", 2nd ed., ch. 2-4). A sum of n terms in *any* order, followed by
a division, errs by at most theta(K) sum|terms| / n with

    K = n + 2 ceil(log2 n) + 6,    theta(k) = k u / (1 - k u),

and the slack beyond n - 1 also covers Welford's recurrence and Chan's merges. Bounds that only a
variant needs are in ``bounds_variants.py``.
Wide shapes as in ``spec.py``; all arithmetic in float64, whose own rounding (1e-16) is far below
the factors' slack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .dialect import VarianceAlgorithm
from .formats import Format
from .numbers.summation import total

Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Accumulation format and algorithm class that the bounds are for.

    ``saved`` is u_s, the unit roundoff of the format in which batch statistics are kept before they
    normalize, ``saved_least`` what that format loses to underflow and ``saved_largest`` its largest
    value; the defaults stand for the accumulation's own. ``factors`` is the unit roundoff of the
    format which the factors of summed products are rounded to first (TF32: 2^-11); 0 where they are
    not. ``merges`` counts the partial sums that are merged on top of those within them.
    """

    accumulation: Format
    algorithm: VarianceAlgorithm
    saved: float = 0.0
    saved_least: float = 0.0
    saved_largest: float = math.inf
    factors: float = 0.0
    merges: int = 0

    @property
    def u(self) -> float:
        """Unit roundoff of the accumulation."""
        return self.accumulation.unit_roundoff

    @property
    def eta(self) -> float:
        """Smallest normal of the accumulation format: what flushing to zero can lose."""
        return self.accumulation.smallest_normal

    @property
    def normalizing(self) -> float:
        """u + u_s: what one operation on saved statistics may lose."""
        return self.u + self.saved

    def theta(self, k: float) -> float:
        """theta(k) = k u / (1 - k u); infinite from k u = 1 on, where nothing can be promised.

        Every merge of partial sums costs two roundings more, and rounded factors of a product
        (1 + u_t)^2 - 1 once.
        """
        ku = (k + 2 * self.merges) * self.u
        if ku >= 1.0:
            return math.inf
        return ku / (1.0 - ku) + (2 + self.factors) * self.factors / (1.0 - ku)


def sum_length(n: int) -> int:
    """K = n + 2 ceil(log2 n) + 6."""
    return n + 2 * math.ceil(math.log2(max(n, 1))) + 6


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Exact statistics of one call, and how far the subject's own may be from them.

    ``delta`` bounds the error of the mean and ``e_v`` that of the variance: of the batch in
    training, of the running averages in inference.
    """

    mu: Float64
    v: Float64
    delta: Float64
    e_v: Float64


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over a channel that several bounds share; wide shape."""

    mean_abs_x: Float64
    mean_square_x: Float64
    n: int


def moments(x: Float64, axes: tuple[int, ...], n: int) -> Moments:
    """A = mean|x| and Q = mean x^2."""
    sizes, squares = total(np.abs(x), axes), total(np.square(x), axes)
    return Moments(mean_abs_x=sizes / n, mean_square_x=squares / n, n=n)


def mean_error(m: Moments, p: Precision) -> Float64:
    """delta = theta(K) A + eta."""
    return p.theta(sum_length(m.n)) * m.mean_abs_x + p.eta


def variance_error(m: Moments, mu: Float64, v: Float64, delta: Float64, p: Precision) -> Float64:
    """E_v, by algorithm class.

    Centred (two-pass, Welford, Chan): the computed mean is off by delta, which adds up to
    delta^2 + 2 delta sigma to the squares, and the sum rounds:
    E_v = theta(K) v + 2 sqrt(2) delta sigma + 2 delta^2 + eta.

    One-pass, E[x^2] - E[x]^2: both squares round before they cancel:
    E_v = theta(K) Q + 2 |mu| delta + delta^2 + 3 u Q + eta.
    """
    theta = p.theta(sum_length(m.n))
    if p.algorithm is VarianceAlgorithm.ONE_PASS:
        q = m.mean_square_x
        return theta * q + 2 * np.abs(mu) * delta + delta * delta + 3 * p.u * q + p.eta
    return theta * v + 2 * math.sqrt(2) * delta * np.sqrt(v) + 2 * (delta * delta) + p.eta


def saved_errors(
    m: Moments, mu: Float64, v: Float64, delta: Float64, p: Precision
) -> tuple[Float64, Float64]:
    """delta and E_v of statistics as they are kept, each with its rounding to a lower format.

    A one-pass variance takes E[x^2] and E[x]^2 from what was kept: 3 u_s Q more.
    """
    delta = _kept(delta, np.abs(mu), p)
    e_v = _kept(variance_error(m, mu, v, delta, p), v, p)
    if p.algorithm is VarianceAlgorithm.ONE_PASS:
        e_v = e_v + 3 * p.saved * m.mean_square_x
    return delta, e_v


def _kept(error: Float64, size: Float64, p: Precision) -> Float64:
    """E + u_s (size + E) + eta_s; infinite where size + E reaches the format's largest value."""
    reach = size + error
    return np.where(reach >= p.saved_largest, np.inf, error + p.saved * reach + p.saved_least)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Enclosure of r = (v + eps)^(-1/2) that follows from v within e_v.

    ``r_max`` is the largest r possible; ``e_r`` and ``e_r2`` bound the errors of r and r^2.
    """

    r: Float64
    r_max: Float64
    e_r: Float64
    e_r2: Float64


def deviation(s: Statistics, epsilon: Float64 | float, p: Precision) -> Deviation:
    """The enclosure of r; infinite where v + eps may vanish.

    v + eps lies in [max(v - E_v, 0) + eps (1 - 2u), v + E_v + eps (1 + 2u)], where 2u covers the
    rounding of eps to the subject's format and of the sum. r decreases in v + eps, so its extremes
    are at the ends; 4 (u + u_s) r covers the rounding of the sum, the root and the division,
    8 (u + u_s) r^2 those of a product or quotient on top.
    """
    exact = s.v + epsilon
    low = np.maximum(s.v - s.e_v, 0.0) + epsilon * (1 - 2 * p.u)
    high = s.v + s.e_v + epsilon * (1 + 2 * p.u)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Differences of neighbours by their quotients, as float64 would leave nothing of them.
        down = (np.minimum(s.v, s.e_v) + 2 * p.u * epsilon) / exact
        up = np.where(np.isinf(high), 1.0, (s.e_v + 2 * p.u * epsilon) / high)
        r, r_max = 1 / np.sqrt(exact), 1 / np.sqrt(low)
        more, less = down / (1 + np.sqrt(low / exact)), up / (1 + np.sqrt(exact / high))
        e_r = np.maximum(r_max * more, r * less) + 4 * p.normalizing * r_max
        e_r2 = np.maximum(down / low, up / exact) + 8 * p.normalizing / low
    return Deviation(r=r, r_max=r_max, e_r=e_r, e_r2=e_r2)


def output_error(
    x: Float64,
    y: Float64,
    gamma: Float64,
    beta: Float64,
    s: Statistics,
    epsilon: Float64 | float,
    p: Precision,
) -> Float64:
    """E_y for y = gamma (x - mu) r + beta, or the folded a x + (beta - a mu).

    E_y = |gamma| [ r+ delta + (|d| + delta) (Dr + 5 (u + u_s) r+) ] + 2u (|beta| + |y|)
        + |gamma| r+ u (3 |x| + 4 (|mu| + delta)),
    the last term for the folded form, which cancels a x against a mu.
    """
    dev = deviation(s, epsilon, p)
    spread = np.abs(x - s.mu) + s.delta
    centred = dev.r_max * s.delta + spread * dev.e_r + 5 * p.normalizing * dev.r_max * spread
    folded = dev.r_max * p.u * (3 * np.abs(x) + 4 * (np.abs(s.mu) + s.delta))
    return np.abs(gamma) * (centred + folded) + 2 * p.u * (np.abs(beta) + np.abs(y))


def running_mean_error(
    old: Float64, e_old: Float64, s: Statistics, decay: Float64 | float, p: Precision
) -> Float64:
    """E_rm = decay e_old + m (delta + u |mu|) + 4u (|rm| + e_old + |mu|), m = 1 - decay.

    4u covers the rounding of the decay to the subject's format, of both products and of the sum;
    ``e_old`` is the error that earlier steps left.
    """
    m = 1.0 - decay
    size = np.abs(old) + e_old + np.abs(s.mu)
    return decay * e_old + m * (s.delta + p.u * np.abs(s.mu)) + 4 * p.u * size


def running_var_error(
    old: Float64, e_old: Float64, s: Statistics, bessel: float, decay: Float64 | float, p: Precision
) -> Float64:
    """E_rv = decay e_old + m b (E_v + u v) + 5u (rv + e_old + b v), b = n / (n - 1) or 1."""
    m = 1.0 - decay
    size = old + e_old + bessel * s.v
    return decay * e_old + m * bessel * (s.e_v + p.u * s.v) + 5 * p.u * size


def dbeta_error(g: Float64, axes: tuple[int, ...], n: int, p: Precision) -> Float64:
    """E_dbeta = n theta(K) G = theta(K) sum|g|."""
    return p.theta(sum_length(n)) * total(np.abs(g), axes)


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Sums over g and d of one channel that the gradients' bounds share; wide shape."""

    mean_abs_g: Float64
    mean_g: Float64
    c: Float64
    e_c: Float64
    mean_abs_d: Float64


def upstream(
    x: Float64,
    g: Float64,
    axes: tuple[int, ...],
    n: int,
    s: Statistics,
    p: Precision,
    weight: Float64 | None = None,
) -> Upstream:
    """The sums, and E_c for c = mean(g d).

    ``weight`` is what a mean divides by where that is not n, the sum of weights W.

    E_c = delta (|gbar| + theta(K) G) + theta(K + 4) mean(|g| (|d| + delta))
        + theta(K + 4) [ mean|g x| + (|mu| + delta) G ],
    the last bracket for sums of g x that are centred only afterwards.
    """
    k = sum_length(n)

    def mean(values: Float64) -> Float64:
        return total(values, axes) / (n if weight is None else weight)

    d, mean_abs_g, mean_g = x - s.mu, mean(np.abs(g)), mean(g)
    e_c = (
        s.delta * (np.abs(mean_g) + p.theta(k) * mean_abs_g)
        + p.theta(k + 4) * mean(np.abs(g) * (np.abs(d) + s.delta))
        + p.theta(k + 4) * (mean(np.abs(g * x)) + (np.abs(s.mu) + s.delta) * mean_abs_g)
    )
    return Upstream(
        mean_abs_g=mean_abs_g, mean_g=mean_g, c=mean(g * d), e_c=e_c, mean_abs_d=mean(np.abs(d))
    )


def dgamma_error(
    up: Upstream, n: int | Float64, s: Statistics, epsilon: Float64 | float, p: Precision
) -> Float64:
    """E_dgamma = n [ Dr |c| + r+ E_c + 4u r+ (|c| + E_c) ], since dgamma = n r c; n may be W."""
    dev = deviation(s, epsilon, p)
    size = np.abs(up.c) + up.e_c
    return n * (dev.e_r * np.abs(up.c) + dev.r_max * up.e_c + 4 * p.u * dev.r_max * size)


def training_dx_error(
    x: Float64,
    g: Float64,
    gamma: Float64,
    m: Moments,
    up: Upstream,
    s: Statistics,
    epsilon: Float64 | float,
    p: Precision,
    share: Float64 | float = 1.0,
    batch: Statistics | None = None,
) -> Float64:
    """E_dx for dx = gamma r (g - k (gbar + t)) with t = d r^2 c, and k = 1 as a rule.

    E_3 bounds the error of t:
    E_3 = r+^2 [ (2 delta + theta(K) (mean|d| + delta)) (|c| + E_c) + |d| E_c ] + |d| |c| D(r^2)
        + 8u r+^2 (|d| + delta) (|c| + E_c),
    where 2 delta is the mean's error in d and in the term that differentiation adds through the
    mean; a one-pass variance differentiates x^2 and mu^2 apart, which adds
    r+^2 (|c| + E_c) [ 6u (|x| + |mu|) + 2 theta(K) A ], and where E_v >= v the clamp at zero may
    have stopped the gradient of the variance altogether, so that t is missing: r+^2 |d| (|c| + E_c)
    on top. Then
    E_dx = |gamma| { r+ [ k (theta(K) G + E_3) + 6u (|g| + k |gbar| + k |t|) ]
                   + Dr (|g - k (gbar + t)| + k (theta(K) G + E_3)) }.

    ``share`` is k: the weight w_i of a position (where means divide by W), and the batch's
    share of the running statistics where those normalize; d and delta are then the ``batch``'s own,
    everything else is about the statistics ``s`` that normalize, and 1 - decay, rounded, is off by
    up to 2u, whence 6u (|g| + |gbar| + |t|). mean|x - mu| is at most twice the mean distance from
    any other point.
    """
    dev, own = deviation(s, epsilon, p), batch or s
    mean_abs_d = up.mean_abs_d if batch is None else 2 * up.mean_abs_d
    d, delta, theta = x - own.mu, own.delta, p.theta(sum_length(m.n))
    size_c, r2 = np.abs(up.c) + up.e_c, np.square(dev.r_max)
    e_3 = r2 * ((2 * delta + theta * (mean_abs_d + delta)) * size_c + np.abs(d) * up.e_c)
    e_3 = e_3 + np.abs(d) * np.abs(up.c) * dev.e_r2 + 8 * p.u * r2 * (np.abs(d) + delta) * size_c
    if p.algorithm is VarianceAlgorithm.ONE_PASS:
        cancel = 6 * p.u * (np.abs(x) + np.abs(own.mu)) + 2 * theta * m.mean_abs_x
        e_3 = e_3 + r2 * size_c * (cancel + np.where(own.e_v >= own.v, np.abs(d), 0.0))
    t = d * np.square(dev.r) * up.c
    terms = np.abs(g) + (share if batch is None else 1.0) * (np.abs(up.mean_g) + np.abs(t))
    sums = share * (theta * up.mean_abs_g + e_3)
    rounded = dev.r_max * (sums + 6 * p.u * terms)
    return np.abs(gamma) * (rounded + dev.e_r * (np.abs(g - share * (up.mean_g + t)) + sums))


def by_term_dx_error(
    x: Float64,
    g: Float64,
    gamma: Float64,
    up: Upstream,
    s: Statistics,
    epsilon: Float64 | float,
    p: Precision,
    output: Format,
) -> Float64:
    """What rounding each contribution of dx to a half format adds; 0 for wider formats.

    Differentiation adds the contributions through xhat, through the mean and through the variance,
    of sizes |gamma| r |g|, |gamma| r |gbar| and |gamma| r^3 w |c|; each is rounded once and each
    partial sum once, at most four roundings for any of them:
    4 u_o |gamma| [ r+ (|g| + |gbar|) + r+^3 w (|c| + E_c) ],
    with w = |d| + delta for a centred variance and |x| + 2 |mu| + delta where x^2 and mu^2 are
    differentiated apart. Where that size exceeds the format's largest value a contribution may be
    infinite, and nothing can be promised of the sum.
    """
    if output.unit_roundoff <= p.u:
        return np.zeros(())
    dev = deviation(s, epsilon, p)
    w = np.abs(x - s.mu) + s.delta
    if p.algorithm is VarianceAlgorithm.ONE_PASS:
        w = np.abs(x) + 2 * np.abs(s.mu) + s.delta
    through_variance = dev.r_max * np.square(dev.r_max) * w * (np.abs(up.c) + up.e_c)
    size = np.abs(gamma) * (dev.r_max * (np.abs(g) + np.abs(up.mean_g)) + through_variance)
    error = 4 * output.unit_roundoff * size + 4 * underflow_unit(output, p.accumulation)
    return np.where(size >= output.largest, np.inf, error)


def inference_dx_error(
    g: Float64, gamma: Float64, s: Statistics, epsilon: Float64 | float, p: Precision
) -> Float64:
    """E_dx = |gamma g| (Dr + 4u r+) for dx = gamma r g: two products and what r lacks."""
    dev = deviation(s, epsilon, p)
    return np.abs(gamma * g) * (dev.e_r + 4 * p.u * dev.r_max)


def rounded(error: Float64, result: Float64, output: Format, accumulation: Format) -> Float64:
    """Add the rounding to the output format: E <- (1 + u_o) E + u_o |result| + eta_o."""
    u_o = output.unit_roundoff
    return (1 + u_o) * error + u_o * np.abs(result) + underflow_unit(output, accumulation)


def underflow_unit(output: Format, accumulation: Format) -> float:
    """eta_o: what rounding to ``output`` can lose to underflow.

    The smallest normal where outputs may be flushed to zero (float32, float64, bfloat16), and the
    smallest subnormal for float16, whose subnormals are ordinary values.
    """
    if output.smallest_normal > accumulation.smallest_normal:
        return output.smallest_subnormal
    return output.smallest_normal
