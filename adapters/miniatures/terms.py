"""Miniatures with a wrong term in a formula."""

from __future__ import annotations

import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array
from bnconform.conformance.explanation.names import Stage, Why


@plants(
    Why.EPSILON_OUTSIDE_ROOT,
    source="Tencent/ncnn#311: sqrt(var) + eps was about to be merged for sqrt(var + eps)",
)
class EpsilonOutside(Right):
    """r = 1 / (sqrt(v) + epsilon)."""

    def inverse_deviation(self, v: Array) -> Array:
        """Epsilon outside the root."""
        r: Array = 1 / (np.sqrt(v) + self.epsilon())
        return r


@plants(
    Why.EPSILON_DOUBLED,
    source="chainer/chainer#2214: added nowhere; who adds it in two places doubles it",
)
class EpsilonDoubled(Right):
    """Epsilon is added twice."""

    def epsilon(self) -> float:
        """2 epsilon."""
        return 2 * self.case.epsilon


@plants(
    Why.EPSILON_FLOORED,
    source="tensorflow/tensorflow#37768: fused_batch_norm raises epsilon to 1.001e-5",
)
class EpsilonFloored(Right):
    """An epsilon below 1.001e-5 counts as 1.001e-5."""

    def epsilon(self) -> float:
        """No less than what a library once asked for."""
        return max(self.case.epsilon, 1.001e-5)


@plants(
    Why.EPSILON_OMITTED,
    source="chainer/chainer#2214: fixed_batch_normalization did not add eps to the variance",
)
class EpsilonOmitted(Right):
    """Epsilon is not added."""

    def epsilon(self) -> float:
        """None."""
        return 0.0


@plants(
    Why.EPSILON_SQUARED,
    source="keras-team/keras#8726: epsilon for the deviation mixed up with that for the variance",
)
class EpsilonSquared(Right):
    """Epsilon is squared, as if it were added to a deviation."""

    def epsilon(self) -> float:
        """epsilon^2."""
        return self.case.epsilon**2


@plants(
    Why.EPSILON_FIXED,
    source="deephealthproject/eddl#305: the ONNX loader did not read epsilon and momentum",
)
class EpsilonFixed(Right):
    """Epsilon is 1e-3, whatever is given."""

    def epsilon(self) -> float:
        """The constant of another library."""
        return 1e-3


@plants(
    Why.NORMALIZED_BY_UNBIASED,
    source="uxlfoundation/oneDNN#517: n - 1 proposed for n; implementations with either exist",
)
class NormalizesByUnbiased(Right):
    """The batch variance is the sample variance, v n / (n - 1)."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """Bessel's correction, where there is more than one value."""
        n = self.count(x)
        found: Array = super().batch_variance(x, mu) * self.compute().type(n / max(n - 1, 1))
        return found


@plants(
    Why.VARIANCE_ABOUT_RUNNING_MEAN,
    source="jax-ml/jax#442: a slip in the one line that normalizes; this is another one",
)
class VarianceAboutRunningMean(Right):
    """The variance is taken about the running mean."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """mean((x - running mean)^2)."""
        del mu
        return super().batch_variance(x, self.wide(self.mean))


@plants(
    Why.STATISTICS_OF_FIRST_SAMPLE,
    source="Nico-Curti/NumPyNet#7: statistics over axis 0 alone",
)
class StatisticsOfFirstSample(Right):
    """Mean and variance are those of the first sample."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Of x[:1], unless samples are what is told apart."""
        return super().statistics(x if 0 in self.case.channel_axes else x[:1])


@plants(
    Why.STATISTICS_WITHOUT_LAST_SAMPLE,
    source="ROCm/rocm-libraries#6765: the end of the reduced range handled wrongly",
)
class StatisticsWithoutLastSample(Right):
    """Mean and variance leave out the last sample, where there are two or more."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Of x[:-1], unless samples are what is told apart."""
        single = len(x) < 2 or 0 in self.case.channel_axes
        return super().statistics(x if single else x[:-1])


@plants(
    Why.STATISTICS_OVER_ALL_CHANNELS,
    source="keras-team/keras#1921: reduced over other axes than a user thinks",
)
class StatisticsOverAllChannels(Right):
    """Mean and variance are those of all channels together."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Reduced over every axis, the same for each channel."""
        mu = x.mean(keepdims=True)
        each = np.ones_like(self.total(np.ones_like(x)))
        return each * mu, each * np.square(x - mu).mean(keepdims=True)


@plants(
    Why.GAMMA_IGNORED,
    source="apache/mxnet#3037: gamma counts as 1 by default, in training or always",
)
class GammaIgnored(Right):
    """Gamma counts as 1 in y and dx."""

    def scaled(self, xhat: Array) -> Array:
        """xhat."""
        return xhat


@plants(
    Why.GAMMA_PLUS_ONE,
    source="apache/mxnet#15645: a converter changed which gamma counts",
)
class GammaPlusOne(Right):
    """The factor is 1 + gamma."""

    def scaled(self, xhat: Array) -> Array:
        """(1 + gamma) xhat."""
        return xhat if self.gamma is None else xhat * (1 + self.wide(self.gamma))


@plants(
    Why.BETA_IGNORED,
    source="nntrainer/nntrainer#771: the sum was computed in inference and not stored",
)
class BetaIgnored(Right):
    """Beta is not added."""

    def shifted(self, values: Array) -> Array:
        """``values``."""
        return values


@plants(
    Why.BETA_SCALED,
    source="jax-ml/jax#442: a slip in the one line that normalizes; this is another one",
)
class BetaScaled(Right):
    """y = gamma (xhat + beta)."""

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """Shifted first, then scaled."""
        return self.scaled(self.shifted(self.normalized(x, mu, r)))


@plants(
    Stage.MEAN,
    source="chainer/chainer#332: the mean scaled by m / (m - 1); this is another wrong count",
)
class MeanOverTooMany(Right):
    """The mean divides by n + 1."""

    def batch_mean(self, x: Array) -> Array:
        """sum(x) / (n + 1)."""
        found: Array = self.total(x) / self.compute().type(self.count(x) + 1)
        return found


@plants(Stage.VARIANCE, source="sony/nnabla#379: the equation of the variance was wrong")
class MeanAbsoluteDeviation(Right):
    """The variance is the square of the mean absolute deviation."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """mean(|x - mu|)^2."""
        return np.square(self.average(np.abs(x - mu)))


@plants(
    Stage.INVERSE_DEVIATION,
    Stage.INFERENCE,
    source="flagos-ai/FlagGems#5222: rsqrt applied to what was an inverse deviation already",
)
class CoarseRoot(Right):
    """The reciprocal root is 2^-10 too large, as fast approximations are."""

    def inverse_deviation(self, v: Array) -> Array:
        """A reciprocal root without the refining step."""
        found: Array = super().inverse_deviation(v) * self.compute().type(1 + 2.0**-10)
        return found


@plants(
    Stage.AFFINE,
    Stage.INFERENCE,
    source="deepspeedai/DeepSpeed#692 (layer norm): gamma and beta read at the wrong index",
)
class BetaOfNeighbour(Right):
    """Every channel gets the beta of the channel before it."""

    def shifted(self, values: Array) -> Array:
        """An index that is off by one."""
        return values if self.beta is None else values + self.wide(np.roll(self.beta, 1))
