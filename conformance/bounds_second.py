r"""Error bounds of second derivatives: a running error analysis of ``spec_second.py``.

Symbols are those of ``bounds.py`` and ``spec_second.py``. Every quantity is carried with a bound of
its own error (:class:`Carried`), and every operation adds what it rounds:

    a + b   errs by e_a + e_b + u (|a| + e_a + |b| + e_b),
    a b     errs by |a| e_b + |b| e_a + e_a e_b + 2u (|a| + e_a)(|b| + e_b),
    mean t  errs by mean e_t + theta(K + 4) mean(|t| + e_t).

A sum is charged with its terms before they cancel, so the operands may be added in any order and
may be put together from other parts. Second derivatives are computed in more ways than first ones:
by a closed formula, by differentiating a gradient's formula, by differentiating y twice, backwards
twice or once forwards, with a centred or a one-pass variance, and from the folded form
y = a x + (beta - a mu). What those ways lose and the formula of the spec does not is charged where
it enters:

* The deviation d = x - mu errs by

      e_d = 2 delta + theta(K) (mean|d| + delta) + 6u (|x| + |mu| + delta) + 2 theta(K) mean|x|.

  delta is the mean's error, once in d and once in the contribution through the mean, whose terms
  cancel exactly only if mean(d) = 0; the contribution is a sum, hence theta(K). The folded form
  cancels a x against a mu, and a one-pass variance x^2 against mu^2, which rounds at the size of x
  and not of d, at most six times; their contributions through the mean are sums of that size.
* A mean of products with d, computed as mean(z x) - mu mean(z), errs by theta(K + 4) mean(|z| w),
  w = |x| + |mu| + delta <= |d| + 2 |mu| + delta. The mean of z d is charged theta(K + 4) mean|z d|
  already, and e_d, which holds 2 delta + 2 theta(K) mean|x| >= 4 theta(K) |mu|, covers the rest.
* d^2 L / dv^2 and the mixed derivatives with r each hold a part of the coefficient of xhat:
  C - A B = (C - 3 A B) + 2 A B, of which the last two thirds come from powers of r in dx. The
  coefficient is charged as C - A B - A B - A B + 2 A B.
* Where E_v >= v, a one-pass variance may have been clamped and its derivatives be missing
  altogether: nothing is promised.

The derivative by r multiplies r^2 and r^3, charged as products of r, each with Dr; u is charged for
every multiplication by gamma, n or a power of r that some of these ways make one by one.

Inputs are exact in their own format. Underflow is not charged: inputs, and their products in fours,
must stay within the range of normal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bounds import (
    Float64,
    Precision,
    Statistics,
    deviation,
    mean_error,
    moments,
    sum_length,
    variance_error,
)
from .dialect import VarianceAlgorithm


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """How operations round: the accumulation, over which axes means are taken, of how many."""

    p: Precision
    axes: tuple[int, ...]
    n: int


@dataclass(frozen=True, eq=False)
class Carried:
    """A quantity's exact value, and a bound of the error of what was computed for it."""

    value: Float64
    error: Float64
    rounding: Rounding

    @property
    def size(self) -> Float64:
        """How large the computed value can be."""
        return np.abs(self.value) + self.error

    def __add__(self, other: Carried) -> Carried:
        """a + b."""
        rounded = self.rounding.p.u * (self.size + other.size)
        return self._with(self.value + other.value, self.error + other.error + rounded)

    def __neg__(self) -> Carried:
        """-a, which rounds nothing."""
        return self._with(-self.value, self.error)

    def __sub__(self, other: Carried) -> Carried:
        """a - b."""
        return self + -other

    def __mul__(self, other: Carried) -> Carried:
        """a b."""
        a, b = np.abs(self.value), np.abs(other.value)
        error = a * other.error + b * self.error + self.error * other.error
        rounded = 2 * self.rounding.p.u * self.size * other.size
        return self._with(self.value * other.value, error + rounded)

    def mean(self) -> Carried:
        """sum(t) / n. Wide shape."""
        mean, theta = self.rounding, self._theta
        return self._with(
            _mean(self.value, mean), _mean(self.error, mean) + theta * _mean(self.size, mean)
        )

    def sum(self) -> Carried:
        """sum(t), which is n mean(t). Wide shape."""
        mean, n = self.mean(), self.rounding.n
        return self._with(n * mean.value, n * mean.error)

    def off_by(self, more: Float64) -> Carried:
        """The same, with ``more`` error."""
        return self._with(self.value, self.error + more)

    @property
    def _theta(self) -> float:
        return self.rounding.p.theta(sum_length(self.rounding.n) + 4)

    def _with(self, value: Float64, error: Float64) -> Carried:
        return Carried(value, error, self.rounding)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is differentiated, exact: a and b wide, zeros for a parameter that is missing."""

    x: Float64
    g: Float64
    u: Float64
    gamma: Float64
    a: Float64
    b: Float64


@dataclass(frozen=True, kw_only=True)
class SecondErrors:
    """Bounds of the gradients of S by x, g and gamma, before the output is rounded."""

    by_x: Float64
    by_g: Float64
    by_gamma: Float64


def training_statistics(x: Float64, axes: tuple[int, ...], p: Precision) -> Statistics:
    """Mean and biased variance of the batch, with delta and E_v."""
    mu = x.mean(axis=axes, keepdims=True)
    m = moments(x, axes, x.size // mu.size)
    v = np.square(x - mu).mean(axis=axes, keepdims=True)
    delta = mean_error(m, p)
    return Statistics(mu=mu, v=v, delta=delta, e_v=variance_error(m, mu, v, delta, p))


def training_second_errors(
    i: Inputs, axes: tuple[int, ...], epsilon: float, p: Precision
) -> SecondErrors:
    """Bounds of ``training_second_dx``, ``training_second_dg`` and ``training_second_dgamma``.

    With e(t) the running error of t,
    by_x = e(a r P(g) - gamma r r [xhat (C - 3 A B + 2 A B) + A P(u) + B P(g)]),
    by_g = e(gamma r P(u) + a xhat + b), by_gamma = e(r sum(u P(g))).
    """
    s = training_statistics(i.x, axes, p)
    rounding = Rounding(p=p, axes=axes, n=i.x.size // s.mu.size)
    d, r = _training_deviation(i.x, s, rounding), _root(s, epsilon, rounding)
    g, u = _exact(i.g, rounding), _exact(i.u, rounding)
    gamma, a, b = (_exact(each, rounding) for each in (i.gamma, i.a, i.b))
    xhat = d * r
    along, probed = (g * xhat).mean(), (u * xhat).mean()
    off_g, off_u = g - g.mean(), u - u.mean()
    kept_g, kept_u = off_g - xhat * along, off_u - xhat * probed
    spread, product = (g * u).mean() - g.mean() * u.mean(), along * probed
    powers = product + product
    coefficient = spread - (product + powers) + powers
    through = xhat * coefficient + along * kept_u + probed * kept_g
    gamma_r, lost = gamma * r, _may_be_clamped(s, p)
    return SecondErrors(
        by_x=(a * r * kept_g - gamma_r * r * through).off_by(lost).error,
        by_g=(gamma_r * kept_u + a * xhat + b).off_by(lost).error,
        by_gamma=(r * (u * kept_g).sum()).off_by(lost).error,
    )


def inference_second_errors(
    i: Inputs, s: Statistics, axes: tuple[int, ...], epsilon: float, p: Precision
) -> SecondErrors:
    """Bounds of the three in inference, where the statistics are constants.

    by_x = e(a r g), by_g = e(gamma r u + a xhat + b), by_gamma = e(r sum(g u)); in xhat the folded
    form cancels, so that d errs by delta + 6u (|x| + |mu| + delta).
    """
    rounding = Rounding(p=p, axes=axes, n=i.x.size // s.mu.size)
    r, size = _root(s, epsilon, rounding), np.abs(i.x) + np.abs(s.mu) + s.delta
    d = Carried(i.x - s.mu, s.delta + 6 * p.u * size, rounding)
    g, u = _exact(i.g, rounding), _exact(i.u, rounding)
    gamma, a, b = (_exact(each, rounding) for each in (i.gamma, i.a, i.b))
    return SecondErrors(
        by_x=(a * r * g).error,
        by_g=(gamma * r * u + a * (d * r) + b).error,
        by_gamma=(r * (g * u).sum()).error,
    )


def _may_be_clamped(s: Statistics, p: Precision) -> Float64:
    """Infinite where a one-pass variance may have been clamped, with its derivatives; else 0."""
    if p.algorithm is not VarianceAlgorithm.ONE_PASS:
        return np.zeros_like(s.v)
    return np.where(s.e_v >= s.v, np.inf, 0.0)


def _training_deviation(x: Float64, s: Statistics, rounding: Rounding) -> Carried:
    """d = x - mu with e_d."""
    p, d = rounding.p, x - s.mu
    theta = p.theta(sum_length(rounding.n))
    size = np.abs(x) + np.abs(s.mu) + s.delta
    own = 2 * s.delta + theta * (_mean(np.abs(d), rounding) + s.delta)
    cancelled = 6 * p.u * size + 2 * theta * _mean(np.abs(x), rounding)
    return Carried(d, own + cancelled, rounding)


def _root(s: Statistics, epsilon: float, rounding: Rounding) -> Carried:
    """r with Dr."""
    dev = deviation(s, epsilon, rounding.p)
    return Carried(dev.r, dev.e_r, rounding)


def _exact(values: Float64, rounding: Rounding) -> Carried:
    return Carried(values, np.zeros_like(values), rounding)


def _mean(values: Float64, rounding: Rounding) -> Float64:
    return np.asarray(values.sum(axis=rounding.axes, keepdims=True) / rounding.n)
