"""Implementations with exactly one fault each, for the sharpness of the bounds."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from .implementations import OnePass, Pairwise, State, Values

Three = tuple[Values, Values, Values]


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
    """Never less than 1.001e-5, as cuDNN once asked for."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, np.maximum(epsilon, epsilon.dtype.type(1.001e-5)))


class EpsilonSquared(Pairwise):
    """sqrt(v + eps^2)."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, epsilon * epsilon)


class CoarseRoot(Pairwise):
    """A reciprocal root that is always 2^-14 too large, as fast approximations are."""

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return super().inverse(var, epsilon) * var.dtype.type(1 + 2.0**-14)


class BesselEverywhere(Pairwise):
    """Normalizes by the unbiased variance."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and variance."""
        mean, var = super().statistics(x)
        return mean, var * x.dtype.type(x.shape[1] / (x.shape[1] - 1))


class LastValueForgotten(Pairwise):
    """Statistics of all values but one."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and variance."""
        return super().statistics(x[:, :-1])


class HalfSums(Pairwise):
    """Sums in float16."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return super().total(values.astype(np.float16)).astype(values.dtype)


class TruncatedProducts(Pairwise):
    """Inputs of the sums rounded to 11 bits, as TensorFloat-32 does."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        scale = values.dtype.type(2**13 + 1) * values
        return super().total(scale - (scale - values))


class MeanOfGForgotten(Pairwise):
    """dx without the gradient through the mean."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, dbeta = super().gradients(x, g, mean, r, gamma)
        return dx + gamma * r * self.average(g), dgamma, dbeta


class VarianceForgotten(Pairwise):
    """dx without the gradient through the variance."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        _, dgamma, dbeta = super().gradients(x, g, mean, r, gamma)
        return gamma * r * (g - self.average(g)), dgamma, dbeta


class ConstantStatistics(Pairwise):
    """dx of inference, in training."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        return self.frozen_gradients(x, g, mean, r, gamma)


class GammaSquared(Pairwise):
    """dx with gamma^2."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, dbeta = super().gradients(x, g, mean, r, gamma)
        return gamma * dx, dgamma, dbeta


class GammaForgotten(Pairwise):
    """dx without gamma."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        return super().gradients(x, g, mean, r, gamma / gamma)


class RawDgamma(Pairwise):
    """dgamma = sum g (x - mu), r forgotten."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        dx, _, dbeta = super().gradients(x, g, mean, r, gamma)
        return dx, self.total(g * (x - mean)), dbeta


class AveragedDbeta(Pairwise):
    """dbeta = mean g."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        dx, dgamma, _ = super().gradients(x, g, mean, r, gamma)
        return dx, dgamma, self.average(g)


class NoCorrectionInDx(Pairwise):
    """Means of g and g xhat over n - 1."""

    def gradients(self, x: Values, g: Values, mean: Values, r: Values, gamma: Values) -> Three:
        """dx, dgamma and dbeta."""
        xhat, dgamma, dbeta = (x - mean) * r, self.total(g * (x - mean) * r), self.total(g)
        n = x.dtype.type(x.shape[1] - 1)
        return gamma * r * (g - dbeta / n - xhat * (dgamma / n)), dgamma, dbeta


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

    def weight(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return 1 - super().weight(decay, update, share)


class SmallBatchCountsLess(Pairwise):
    """The last batch weighted by its size."""

    def weight(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return 1 - (1 - super().weight(decay, update, share)) * share


class CountsFromZero(Pairwise):
    """A cumulative average that takes the start for a first value."""

    def weight(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value."""
        return super().weight(decay, update + 1, share)


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

    def after_training(self, states: list[State]) -> State:
        """The running statistics that inference normalizes by."""
        return states[-2]


class NoUpdates(Pairwise):
    """Inference by the statistics that training started from."""

    def after_training(self, states: list[State]) -> State:
        """The running statistics that inference normalizes by."""
        return states[0]


class Truncated(Pairwise):
    """bfloat16 results cut off instead of rounded."""

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """What is given out."""
        bits = np.ascontiguousarray(values.astype(np.float32)).view(np.uint32)
        return (bits >> np.uint32(16)).astype(np.uint16).view(ml_dtypes.bfloat16).astype(dtype)


class ThroughHalf(Pairwise):
    """float32 results that went through float16."""

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """What is given out."""
        return values.astype(np.float16).astype(dtype)


class UnclampedOnePass(OnePass):
    """E[x^2] - E[x]^2 as it comes, below zero too: NaN for a constant channel."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and variance."""
        mean = self.average(x)
        return mean, self.average(np.square(x)) - np.square(mean)
