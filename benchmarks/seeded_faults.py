"""Makes with exactly one fault each: what a rule that raises no false alarm must still catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
from implementations import OnePass, Pairwise, Three, Values, hashed


class EpsilonOutside(Pairwise):
    """1 / (sqrt v + eps)."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return 1 / (np.sqrt(var) + epsilon)


class EpsilonTwice(Pairwise):
    """sqrt(v + 2 eps)."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, 2 * epsilon)


class EpsilonForgotten(Pairwise):
    """sqrt(v)."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, 0 * epsilon)


class EpsilonFloored(Pairwise):
    """Never less than 1.001e-5, as a GPU library once asked for."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, np.maximum(epsilon, epsilon.dtype.type(1.001e-5)))


class CoarseRoot(Pairwise):
    """A reciprocal root that is always 2^-14 too large, as fast approximations are."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, epsilon) * var.dtype.type(1 + 2.0**-14)


class OneInTenRoots(Pairwise):
    """In one value of ten the reciprocal root is one ULP too large."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        r = super().inverse(var, epsilon)
        return np.where(hashed(r) % 10 == 0, np.nextafter(r, r.dtype.type(np.inf)), r)


class BesselEverywhere(Pairwise):
    """Normalizes by the unbiased variance."""

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and variance."""
        mean, var = super().moments(x, w)
        return mean, var * x.dtype.type(x.shape[1] / max(x.shape[1] - 1, 1))


class LastValueForgotten(Pairwise):
    """Statistics of all values but one."""

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and variance."""
        return super().moments(x[:, :-1], w)


class HalfSums(Pairwise):
    """Sums in float16."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return super().total(values.astype(np.float16)).astype(values.dtype)


class UndeclaredTensorFloat(Pairwise):
    """What is summed is rounded to 11 bits first, and nobody says so."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        scale = values.dtype.type(2**13 + 1) * values
        return super().total(scale - (scale - values))


class MeanOfGForgotten(Pairwise):
    """dx without the gradient through the mean."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, dbeta = super().gradients(x, g, mean, r, gamma, w)
        return dx + gamma * r * self.average(g, None), dgamma, dbeta


class VarianceForgotten(Pairwise):
    """dx without the gradient through the variance."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        _, dgamma, dbeta = super().gradients(x, g, mean, r, gamma, w)
        return gamma * r * (g - self.average(g, None)), dgamma, dbeta


class ConstantStatistics(Pairwise):
    """dx of inference, in training."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        del w
        return self.frozen_gradients(x, g, mean, r, gamma)


class GammaSquared(Pairwise):
    """dx with gamma^2."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, dbeta = super().gradients(x, g, mean, r, gamma, w)
        return gamma * dx, dgamma, dbeta


class RawDgamma(Pairwise):
    """dgamma = sum g (x - mu), r forgotten."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        dx, _, dbeta = super().gradients(x, g, mean, r, gamma, w)
        return dx, self.dot(g, x - mean), dbeta


class AveragedDbeta(Pairwise):
    """dbeta = mean g."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, _ = super().gradients(x, g, mean, r, gamma, w)
        return dx, dgamma, self.average(g, None)


class CorrectionInDx(Pairwise):
    """Means of g and g xhat over n - 1."""

    def share(self, x: Values, w: Values | None) -> Values:
        """What multiplies a sum in dx."""
        del w
        return x.dtype.type(1 / max(x.shape[1] - 1, 1))


class BetaForgotten(Pairwise):
    """y = gamma xhat."""

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        return super().output(x, mean, r, gamma, 0 * beta)


class BetaScaled(Pairwise):
    """y = gamma (xhat + beta)."""

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        return super().output(x, mean, r, gamma, gamma * beta)


class ChannelsShifted(Pairwise):
    """Every channel takes its neighbour's gamma."""

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        return super().output(x, mean, r, np.roll(gamma, 1, axis=0), beta)


class DecaySwapped(Pairwise):
    """The weight of the old value given to the new one."""

    def decay(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return 1 - super().decay(decay, update, share)


class SmallBatchCountsLess(Pairwise):
    """The last batch weighted by its size."""

    def decay(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return 1 - (1 - super().decay(decay, update, share)) * share


class CountsFromZero(Pairwise):
    """A cumulative average that takes the start for a first value."""

    def decay(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return super().decay(decay, update + 1, share)


class DeviationKept(Pairwise):
    """A running standard deviation."""

    def kept_variance(self, var: Values, n: int, *, unbiased: bool) -> Values:
        """What enters the running average."""
        return np.sqrt(super().kept_variance(var, n, unbiased=unbiased))


class OtherBessel(Pairwise):
    """The unbiased running variance for the biased one."""

    def kept_variance(self, var: Values, n: int, *, unbiased: bool) -> Values:
        """What enters the running average."""
        return super().kept_variance(var, n, unbiased=not unbiased)


class LastUpdateLost(Pairwise):
    """Inference by the statistics before the last step."""

    def for_inference(self, states: list[Values]) -> Values:
        """The running statistics that inference normalizes by."""
        return states[max(len(states) - 2, 0)]


class Truncated(Pairwise):
    """Results cut off instead of rounded; in bfloat16, which is float32 without its end."""

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """What is given out."""
        if dtype != ml_dtypes.bfloat16:
            return super().stored(values, dtype)
        bits = np.ascontiguousarray(values.astype(np.float32)).view(np.uint32)
        return (bits >> np.uint32(16)).astype(np.uint16).view(ml_dtypes.bfloat16)


class ThroughHalf(Pairwise):
    """Results that went through float16."""

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """What is given out."""
        return values.astype(np.float16).astype(dtype)


class UndeclaredOnePass(OnePass, Pairwise):
    """E[x^2] - E[x]^2 where two passes are declared."""

    claims: ClassVar[Mapping[str, Any]] = {}


FAULTS = (
    EpsilonOutside, EpsilonTwice, EpsilonForgotten, EpsilonFloored, CoarseRoot, BesselEverywhere,
    LastValueForgotten, HalfSums, UndeclaredTensorFloat, MeanOfGForgotten, VarianceForgotten,
    ConstantStatistics, GammaSquared, RawDgamma, AveragedDbeta, CorrectionInDx, BetaForgotten,
    BetaScaled, ChannelsShifted, DecaySwapped, SmallBatchCountsLess, CountsFromZero, DeviationKept,
    OtherBessel, LastUpdateLost, Truncated, ThroughHalf, UndeclaredOnePass,
)  # fmt: skip
"""Each differs from the correct make that sums by halves in one place alone."""
