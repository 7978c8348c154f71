"""Miniatures that keep or use their running statistics wrongly."""

from __future__ import annotations

import numpy as np

from bnconform.adapters.miniatures.layer import Found, Layer
from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right, RightOtherwise
from bnconform.conformance.contract import Array, Step
from bnconform.conformance.explanation.names import Stage, Why


@plants(
    Why.RUNNING_VARIANCE_UNBIASED,
    source="ml-explore/mlx#3817: biased before, unbiased since; both are in use",
)
class RunningVarianceUnbiased(Right):
    """The sample variance v n / max(n - 1, 1) enters the running variance."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """Bessel's correction."""
        found: Array = v * v.dtype.type(n / max(n - 1, 1))
        return found


@plants(
    Why.RUNNING_VARIANCE_BIASED,
    source="callummcdougall/ARENA_3.0#415: biased, and said to be the same as unbiased",
)
class RunningVarianceBiased(RightOtherwise):
    """The batch's own variance enters a running variance that is documented as unbiased."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """No correction."""
        del n
        return v


@plants(
    Why.RUNNING_VARIANCE_BESSEL_AT_ONE,
    source="FluxML/Flux.jl#1992: m / (m - 1) for one value leaves NaN",
)
class BesselAtOne(RightOtherwise):
    """Bessel's correction divides by n - 1 for one value, too: NaN stays for good."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """n / (n - 1) without a limit."""
        found: Array = v * v.dtype.type(n / (n - 1) if n > 1 else np.nan)
        return found


@plants(
    Why.DECAY_SWAPPED,
    source="d2l-ai/d2l-en#2213: momentum weighed the old value where it weighs the new one",
)
class DecaySwapped(Right):
    """Decay weighs the new value."""

    def decay(self) -> float:
        """1 - decay; the cumulative average is as it should be."""
        right = super().decay()
        return right if self.case.decay is None else 1 - right


@plants(Why.DECAY_FIXED, source="pytorch/pytorch#18525: momentum was 1.0 in every exported model")
class DecayFixed(Right):
    """Decay is 0.9, whatever is given."""

    def decay(self) -> float:
        """0.9, but for the cumulative average."""
        return super().decay() if self.case.decay is None else 0.9


@plants(
    Why.DECAY_IN_HALF,
    source="NVIDIA/Model-Optimizer#738: a running average in bfloat16 estimates wrongly",
)
class DecayInHalf(Right):
    """Decay is rounded to the format of half-precision parameters: 0.999 is 1 in bfloat16."""

    def decay(self) -> float:
        """As the state is kept."""
        right = super().decay()
        if not self.case.half_parameters or self.case.decay is None:
            return right
        return float(np.asarray(right, self.case.parameter_format.numpy))


@plants(
    Why.AVERAGING_ZERO_DEBIASED,
    source="tensorflow/tensorflow#6270: zero_debias became the default of moving averages",
)
class Debiased(Right):
    """Running averages begin at 0 and are divided by 1 - decay^t."""

    def moved(self, old: Array, value: Array) -> Array:
        """The average of all values so far, which leaves out the initial one."""
        decay, before = self.decay(), 1 - self.decay() ** (self.updates - 1)
        if self.case.decay is None or decay == 1.0:
            return super().moved(old, value)
        hidden = decay * before * self.wide(old) + (1 - decay) * value
        return self.kept(hidden / (1 - decay**self.updates))


@plants(
    Why.AVERAGING_EXPONENTIAL,
    source="google/flax#1360: the initial values count, where a user expected they would not",
)
class NotDebiased(RightOtherwise):
    """Running averages begin at the initial value though they are documented as debiased."""

    def update(self, mu: Array, v: Array, n: int) -> None:
        """The plain exponential average."""
        Layer.update(self, mu, v, n)


@plants(
    Why.AVERAGING_CUMULATIVE_OFF_BY_ONE,
    source="google/flax#1360: the initial values enter the first average",
)
class CountsFromZero(Right):
    """The cumulative average takes the initial value for a first batch."""

    def decay(self) -> float:
        """1 - 1 / (t + 1) where the case has none."""
        return 1 - 1 / (self.updates + 1) if self.case.decay is None else self.case.decay


@plants(
    Why.STATE_NOT_UPDATED,
    source="paiml/aprender#2166: running_mean and running_var were never updated",
)
class NeverUpdated(Right):
    """Training leaves the running statistics alone."""

    def update(self, mu: Array, v: Array, n: int) -> None:
        """Nothing."""


@plants(
    Why.STATE_MEAN_NOT_UPDATED,
    source="paiml/aprender#2166: statistics that were never written; here the mean alone",
)
class MeanNotUpdated(Right):
    """Training leaves the running mean alone."""

    def updated_mean(self, mu: Array) -> Array:
        """The mean as it was."""
        del mu
        return self.mean


@plants(
    Why.STATE_VARIANCE_NOT_UPDATED,
    source="keras-team/keras#8794: the moving variance of a shared layer went wrong, the mean not",
)
class VarianceNotUpdated(Right):
    """Training leaves the running variance alone."""

    def updated_variance(self, v: Array) -> Array:
        """The variance as it was."""
        del v
        return self.var


@plants(
    Why.STATE_UPDATED_TWICE,
    source="pytorch/pytorch#96136: checkpointing runs the forward pass, and the update, twice",
)
class UpdatedTwice(Right):
    """Every training call updates the running statistics twice."""

    def update(self, mu: Array, v: Array, n: int) -> None:
        """Once in the forward pass and once where it is computed again for the backward pass."""
        super().update(mu, v, n)
        super().update(mu, v, n)


@plants(
    Why.STATE_UPDATED_IN_INFERENCE,
    source="mf1024/Batch-Renormalization-PyTorch#1: running averages updated in inference",
)
class UpdatedInInference(Right):
    """Inference updates the running statistics after it has used them."""

    def infer(self, x: Array, dy: Array) -> Step:
        """As it should be, and then an update."""
        step, values = super().infer(x, dy), self.read(x)
        if values.size:
            self.updates += 1
            self.update(*self.statistics(values), self.count(values))
        return Step(**{**vars(step), "running_mean": self.mean, "running_var": self.var})


@plants(
    Why.STATE_REPLACED,
    source="pytorch/pytorch#15298: what momentum=0 and 1 do, mistaken for one another",
)
class Replaced(Right):
    """The batch's statistics replace the running ones."""

    def moved(self, old: Array, value: Array) -> Array:
        """The new value."""
        del old
        return self.kept(value)


@plants(
    Why.STATE_VARIANCE_WITH_EPSILON,
    source="keras-team/keras-contrib#287: epsilon enters the running variance at each update",
)
class VarianceWithEpsilon(Right):
    """v + epsilon enters the running variance."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """v + epsilon."""
        del n
        found: Array = v + self.compute().type(self.epsilon())
        return found


@plants(
    Why.STATE_STALE_IN_INFERENCE,
    source="HomericIntelligence/Odyssey#5532: new statistics discarded, inference uses old ones",
)
class StaleInInference(Right):
    """Inference uses the statistics from before the last update."""

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        """A copy that lags by one update."""
        del x
        mean, var = self.previous
        return self.wide(mean), self.wide(var)


@plants(
    Why.STATE_INITIAL_IN_INFERENCE,
    source="LaurentMazare/tch-rs#628: mean 0 and variance 1 in evaluation",
)
class InitialInInference(Right):
    """Inference uses the statistics that the layer began with."""

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        """What was folded into the weights when the layer was built."""
        del x
        mean, var = self.initial
        return self.wide(mean), self.wide(var)


@plants(
    Why.INFERENCE_BY_BATCH,
    source="pytorch/pytorch#16793: batch statistics in evaluation, by a flag that means otherwise",
)
class InferenceByBatch(Right):
    """Inference normalizes by the batch, whose statistics count as constants."""

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        """mu and v, where there are values."""
        return self.statistics(x) if x.size else super().inference_statistics(x)


@plants(
    Why.TRAINING_BY_RUNNING,
    source="microsoft/onnxruntime#29790: the output in training depends on the momentum",
)
class TrainingByRunning(Right):
    """Training normalizes by the running statistics from before the update."""

    def by_batch(self, x: Array, g: Array, mu: Array, v: Array) -> Found:
        """As in inference."""
        del mu, v
        return self.by_running(x, g, self.wide(self.mean), self.wide(self.var))


@plants(
    Why.TRAINING_BY_UPDATED,
    source="microsoft/onnxruntime#29790: the output in training depends on the momentum",
)
class TrainingByUpdated(Right):
    """Training normalizes by the running statistics after the update.

    With k = 1 - decay and m the updated mean:
    dx = gamma r (g - k mean(g) - k r^2 (x - mu) mean(g (x - m))).
    """

    def by_batch(self, x: Array, g: Array, mu: Array, v: Array) -> Found:
        """By the averages, differentiated through the batch's share in them."""
        self.updates += 1
        mean, var = self.wide(self.updated_mean(mu)), self.wide(self.updated_variance(v))
        k = self.compute().type(1 - self.decay())
        self.updates -= 1
        r = self.inverse_deviation(var)
        through = k * r * r * (x - mu) * self.average(g * (x - mean))
        return Found(
            y=self.output(x, mean, r),
            dx=self.scaled(r * (g - k * self.mean_term(g) - through)),
            dgamma=self.dgamma(g, x, mean, r),
            dbeta=self.dbeta(g),
        )


@plants(
    Why.FROZEN_BY_BATCH,
    source="keras-team/keras#9965: a frozen layer still normalized by the batch",
)
class FrozenByBatch(Right):
    """A layer that is not trainable normalizes by the batch, though documented otherwise."""

    def frozen(self, x: Array, dy: Array) -> Step:
        """By the batch, without an update."""
        values, g = self.read(x), self.read_upstream(x, dy)
        if not values.size:
            return super().frozen(x, dy)
        mu, v = self.statistics(values)
        return self.step(self.by_batch(values, g, mu, v), x, (mu, v))


@plants(
    Why.FROZEN_BY_RUNNING, source="keras-team/keras#7085: trainable=False does other than expected"
)
class FrozenByRunning(RightOtherwise):
    """A layer that is not trainable normalizes as in inference, though documented otherwise."""

    def frozen(self, x: Array, dy: Array) -> Step:
        """By the running statistics."""
        return self.infer(x, dy)


@plants(
    Stage.UPDATE_VARIANCE,
    source="keras-team/keras-contrib#287: variance and deviation mixed in the running update",
)
class DeviationAveraged(Right):
    """The deviation sqrt(v) enters the running variance."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """sqrt(v)."""
        del n
        return np.sqrt(v)


@plants(
    Stage.UPDATE_MEAN,
    source="chainer/chainer#332: the running mean averaged something else than the mean",
)
class MeanOfMagnitudes(Right):
    """The running mean averages |mu|."""

    def updated_mean(self, mu: Array) -> Array:
        """A sign that is lost."""
        return super().updated_mean(np.abs(mu))
