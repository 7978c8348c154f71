"""The other makes: each does one thing in another way than those of ``implementations.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from implementations import (
    Blocked,
    Chan,
    OnePass,
    OutOfClassError,
    Pairwise,
    Three,
    TwoPass,
    Values,
    Welford,
    hashed,
)

from bnconform.conformance.dialect import (
    Arithmetic,
    Averaging,
    FrozenPolicy,
    GhostGroups,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    SavedStatistics,
    VarianceAlgorithm,
)


class OnePassClampDifferentiated(OnePass, Pairwise):
    """Sums by halves, and no gradient through a variance that was clamped."""

    claims: ClassVar[Mapping[str, Any]] = {
        "variance": VarianceAlgorithm.ONE_PASS,
        "running_variance": RunningVariance.UNBIASED,
    }

    def clamped(self, var: Values) -> Values:
        """Not below zero; NaN stays."""
        self.alive = var > 0
        return super().clamped(var)

    def through_clamp(self, dvar: Values) -> Values:
        """What the clamp lets through of the variance's gradient."""
        return np.where(self.alive, dvar, dvar.dtype.type(0))


class OnePassClosed(OnePass, Pairwise):
    """Sums by halves, and the closed formula for dx."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        return TwoPass.gradients(self, x, g, mean, r, gamma, w)


class OnePassUnclamped(OnePass):
    """E[x^2] - E[x]^2 as it comes; out of its class where v + epsilon is not positive."""

    def clamped(self, var: Values) -> Values:
        """As it comes."""
        return var

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        if (var + epsilon <= 0).any():
            msg = "v + epsilon is not positive"
            raise OutOfClassError(msg)
        return super().inverse(var, epsilon)


class Folded(Pairwise):
    """y = a x + b with a = gamma r and b = beta - a mean; differentiated as written."""

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        a = gamma * r
        return a * x + (beta - a * mean)

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        share, a, db = self.share(x, w), gamma * r, self.total(g)
        da = self.dot(g, x) - mean * db
        deviation = 2 * (x - mean) * (da * gamma * r * r * r / -2 * share)
        # The squares' own mean vanishes but for rounding, which is part of the make.
        dmean = -a * db - self.total(deviation)
        return a * g + deviation + dmean * share, da * r, db

    def frozen_gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> Three:
        """dx, dgamma and dbeta where the statistics are constants."""
        db = self.total(g)
        return gamma * r * g, (self.dot(g, x) - mean * db) * r, db

    def update(self, old: Values, new: Values, decay: float) -> Values:
        """The old value moved towards the new one."""
        return old - (old - new) * old.dtype.type(1 - decay)


class Fused(TwoPass):
    """Products and sums rounded together, as fused multiply-add units do; wide outputs."""

    claims: ClassVar[Mapping[str, Any]] = {"half_output": HalfOutput.PARAMETERS}

    def dot(self, a: Values, b: Values) -> Values:
        """Sum of products over axis 1, each product added without rounding."""
        total = np.zeros_like((a * b)[:, :1])
        products = a.astype(np.longdouble) * b
        for k in range(products.shape[1]):
            total = (products[:, k : k + 1] + total).astype(total.dtype)
        return total

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        product = gamma.astype(np.longdouble) * ((x - mean) * r)
        return (product + beta).astype(x.dtype)


class Differentiated(Pairwise):
    """Every step of the forward pass differentiated, with -1/2 (v + eps)^(-3/2)."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        d, dxhat, share = x - mean, g * gamma, self.share(x, w)
        dvar = self.dot(dxhat, d) * (r * r * r / -2)
        dd = dxhat * r + dvar * share * (2 * d)
        return dd - self.total(dd) * share, self.dot(g, d * r), self.total(g)


class ByTerm(Pairwise):
    """Each contribution to dx, and each partial sum, rounded to the input's format."""

    claims: ClassVar[Mapping[str, Any]] = {"half_gradient": HalfGradient.BY_TERM}
    terms: tuple[Values, ...] = ()

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        d, dxhat, share = x - mean, g * gamma, self.share(x, w)
        dvar = self.dot(dxhat, d) * (r * r * r / -2) * share
        direct = (dxhat * r, -self.total(dxhat * r) * share)
        self.terms = (*direct, *self.through_variance(x, mean, dvar))
        return sum(self.terms), self.dot(g, d * r), self.total(g)

    def frozen_gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> Three:
        """dx, dgamma and dbeta where the statistics are constants."""
        found = super().frozen_gradients(x, g, mean, r, gamma)
        self.terms = (found[0],)
        return found

    def through_variance(self, x: Values, mean: Values, dvar: Values) -> tuple[Values, ...]:
        """The contributions through the variance; ``dvar`` is its gradient's share."""
        return (2 * (x - mean) * dvar,)

    def input_gradient(self, dx: Values, half: np.dtype) -> Values:
        """The terms added up in the input's format; in its own that changes nothing."""
        total = np.zeros_like(dx).astype(half)
        for term in self.terms:
            total = (total + term.astype(half)).astype(half)
        return total


class ByTermOnePass(ByTerm, OnePass):
    """The same where x^2 and the mean are differentiated apart."""

    claims: ClassVar[Mapping[str, Any]] = {
        "half_gradient": HalfGradient.BY_TERM,
        "variance": VarianceAlgorithm.ONE_PASS,
        "half_output": HalfOutput.PARAMETERS,
    }

    def through_variance(self, x: Values, mean: Values, dvar: Values) -> tuple[Values, ...]:
        """The contributions through the variance; ``dvar`` is its gradient's share."""
        return 2 * x * dvar, -2 * mean * dvar


class SavedInHalf(Pairwise):
    """Mean and variance rounded to the input's format before they normalize."""

    claims: ClassVar[Mapping[str, Any]] = {"saved_statistics": SavedStatistics.INPUT}

    def saved(self, statistic: Values, half: np.dtype) -> Values:
        """A batch statistic as it is kept."""
        return statistic.astype(half).astype(statistic.dtype)


class SavedInHalfOnePass(OnePass):
    """The same for E[x^2] - E[x]^2; the variance is computed from unrounded means."""

    claims: ClassVar[Mapping[str, Any]] = {
        "saved_statistics": SavedStatistics.INPUT,
        "variance": VarianceAlgorithm.ONE_PASS,
    }

    def saved(self, statistic: Values, half: np.dtype) -> Values:
        """A batch statistic as it is kept."""
        return statistic.astype(half).astype(statistic.dtype)


class TensorFloat(TwoPass):
    """Factors of summed products rounded to 11 bits, as TensorFloat-32 does."""

    claims: ClassVar[Mapping[str, Any]] = {"arithmetic": Arithmetic.TF32}

    def factor(self, values: Values) -> Values:
        """Rounded to nearest, ties to even; float64 has no such units."""
        if values.dtype != np.float32:
            return values
        bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
        odd = (bits >> np.uint64(13)) & np.uint64(1)
        near = ((bits + np.uint64(0xFFF) + odd) >> np.uint64(13)) << np.uint64(13)
        rounded = near.astype(np.uint32).view(np.float32)
        return np.where(np.isfinite(values), rounded, values)


class TensorFloatOnePass(TensorFloat, OnePass):
    """The same for E[x^2] - E[x]^2."""

    claims: ClassVar[Mapping[str, Any]] = {
        "arithmetic": Arithmetic.TF32,
        "variance": VarianceAlgorithm.ONE_PASS,
    }


class ScaledByN(Blocked):
    """dx = gamma r / n (n g - sum g - xhat sum(g xhat)), as older CPU kernels write it."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        if w is not None:
            return super().gradients(x, g, mean, r, gamma, w)
        n = x.dtype.type(x.shape[1])
        xhat = (x - mean) * r
        dgamma, dbeta = self.dot(g, xhat), self.total(g)
        return gamma * r / n * (n * g - dbeta - xhat * dgamma), dgamma, dbeta


class FastRoot(Pairwise):
    """A reciprocal root up to one ULP off, in either direction, as processors offer it."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        r = (1 / np.sqrt((var + epsilon).astype(np.longdouble))).astype(var.dtype)
        toward = np.array([0.0, 1.0, np.inf])[hashed(r) % 3].astype(var.dtype)
        # A third each: down, as it is, up. Never past the next number.
        return np.where(toward == 1, r, np.nextafter(r, toward))


class Interleaved(Pairwise):
    """Other conventions: zero-debiased averages, interleaved groups, frozen by the batch."""

    claims: ClassVar[Mapping[str, Any]] = {
        "averaging": Averaging.ZERO_DEBIASED,
        "ghost_groups": GhostGroups.INTERLEAVED,
        "frozen": FrozenPolicy.BATCH_STATISTICS,
    }


MAKES: dict[str, type[TwoPass]] = {
    "two-pass, sequential sums": TwoPass,
    "two-pass, pairwise sums": Pairwise,
    "two-pass, blocked sums, 1/n": Blocked,
    "two-pass, fused multiply-add": Fused,
    "two-pass, folded affine": Folded,
    "two-pass, differentiated": Differentiated,
    "two-pass, dx scaled by n": ScaledByN,
    "two-pass, rsqrt within 1 ULP": FastRoot,
    "Welford": Welford,
    "Chan's merge of blocks": Chan,
    "one-pass, clamped": OnePass,
    "one-pass, clamp differentiated": OnePassClampDifferentiated,
    "one-pass, closed dx": OnePassClosed,
    "one-pass, not clamped": OnePassUnclamped,
    "two-pass, dx by term": ByTerm,
    "one-pass, dx by term": ByTermOnePass,
    "two-pass, statistics saved in half": SavedInHalf,
    "one-pass, statistics saved in half": SavedInHalfOnePass,
    "two-pass, TF32": TensorFloat,
    "one-pass, TF32": TensorFloatOnePass,
    "zero-debiased, interleaved groups": Interleaved,
}
"""Everything that must never be accused."""
