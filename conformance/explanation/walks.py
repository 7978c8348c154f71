"""Walks through a case with the order of things changed: put before the case's own Expecter.

Each class overrides one method of ``Expecter`` and leaves the rest to whatever stands behind it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..batch import Batch
from ..bounds import Float64, Statistics, Upstream
from ..case import Case, Mode
from ..contract import Parameters, Quantity
from ..dialect import VarianceAlgorithm
from ..doubledouble import DoubleDouble
from ..expectation import Conventions, Expectation, Number, NumberSystem, rearranged
from ..expecter import Expectations, Expecter
from ..fills import StepInputs
from ..formats import FORMATS, DType, Format
from ..running_state import State

# Other statistics.


class StatisticsOf(Expecter):
    """Batch statistics of other values than the channel's; :meth:`chosen` says which."""

    def batch(self, inputs: StepInputs) -> Batch:
        """The batch with those statistics; error bounds stay the right ones'."""
        b = super().batch(inputs)
        values, axes = self.chosen(b.x)
        mu = self.equations.batch_mean(values, axes)
        v = self.equations.biased_variance(values, mu, axes)
        zero = self.numbers(self.zero)
        mu, v = mu + zero, v + zero
        return replace(b, mu=mu, v=v, s=replace(b.s, mu=mu.hi, v=v.hi))

    def chosen(self, x: Number) -> tuple[Number, tuple[int, ...]]:
        """The values, and the axes to reduce over."""
        raise NotImplementedError


class OfFirstSample(StatisticsOf):
    """Of the first sample."""

    def chosen(self, x: Number) -> tuple[Number, tuple[int, ...]]:
        """x[:1]."""
        return rearranged(x, lambda values: values[:1]), self.axes


class WithoutLastSample(StatisticsOf):
    """Of all samples but the last."""

    def chosen(self, x: Number) -> tuple[Number, tuple[int, ...]]:
        """x[:-1]."""
        return rearranged(x, lambda values: values[:-1]), self.axes


class OverAllChannels(StatisticsOf):
    """Of all channels together."""

    def chosen(self, x: Number) -> tuple[Number, tuple[int, ...]]:
        """All of x."""
        return x, tuple(range(len(x.shape)))


class AboutRunningMean(Expecter):
    """The variance about the running mean in place of the batch's."""

    def batch(self, inputs: StepInputs) -> Batch:
        """v = mean((x - rm)^2)."""
        b = super().batch(inputs)
        v = self.equations.biased_variance(b.x, self.state.mean, self.axes)
        return replace(b, v=v, s=replace(b.s, v=v.hi))


# What normalizes.


class InferenceByBatch(Expecter):
    """Inference normalizes by the batch."""

    def infer(self, inputs: StepInputs) -> Expectations:
        """As in training."""
        return self.by_batch(inputs)


class TrainingByRunning(Expecter):
    """Training normalizes by the running statistics from before the update, as constants."""

    def by_batch(self, inputs: StepInputs) -> Expectations:
        """As in inference."""
        return self.infer(inputs)


class InferenceThroughBatch(Expecter):
    """Inference whose dx is differentiated as if its statistics were the batch's."""

    def infer(self, inputs: StepInputs) -> Expectations:
        """As ever but for dx."""
        found = super().infer(inputs)
        if inputs.x.size == 0:
            return found
        r = self.equations.inverse_deviation(self.state.var, self.case.epsilon)
        x, g = self.numbers(inputs.x), self.numbers(inputs.dy)
        xhat = self.equations.normalize(x, self.state.mean, r)
        dx = self.equations.training_dx(g, xhat, r, self.gamma, self.axes)
        found[Quantity.DX] = replace(found[Quantity.DX], value=dx)
        return found


# The state.


class NotUpdated(Expecter):
    """Training leaves the state alone."""

    def update_state(self, b: Batch, update: int) -> None:
        """Nothing."""


class MeanNotUpdated(Expecter):
    """Training leaves the running mean alone."""

    def update_state(self, b: Batch, update: int) -> None:
        """The variance only."""
        before = self.state
        super().update_state(b, update)
        self.running.state = replace(self.state, mean=before.mean, e_mean=before.e_mean)


class VarianceNotUpdated(Expecter):
    """Training leaves the running variance alone."""

    def update_state(self, b: Batch, update: int) -> None:
        """The mean only."""
        before = self.state
        super().update_state(b, update)
        self.running.state = replace(self.state, var=before.var, e_var=before.e_var)


class UpdatedTwice(Expecter):
    """Every training call updates the state twice."""

    def update_state(self, b: Batch, update: int) -> None:
        """And once more."""
        super().update_state(b, 2 * update - 1)
        super().update_state(b, 2 * update)


class UpdatedInInference(Expecter):
    """Inference updates the state, too."""

    def infer(self, inputs: StepInputs) -> Expectations:
        """As ever, and an update."""
        found = super().infer(inputs)
        if inputs.x.size and self.case.mode is not Mode.FROZEN:
            self.update_state(self.batch(inputs), self.case.steps + 1)
        return found


class VarianceWithEpsilon(Expecter):
    """v + epsilon enters the running variance."""

    def update_state(self, b: Batch, update: int) -> None:
        """As ever, of another variance."""
        super().update_state(replace(b, v=b.v + self.case.epsilon), update)


class StaleInInference(Expecter):
    """Inference uses the state from before the last update."""

    before: State | None = None

    def update_state(self, b: Batch, update: int) -> None:
        """Remember what was."""
        self.before = self.state
        super().update_state(b, update)

    def infer(self, inputs: StepInputs) -> Expectations:
        """By what was, and back."""
        now = self.state
        self.running.state = self.before or now
        found = super().infer(inputs)
        self.running.state = now
        return found


class InitialInInference(StaleInInference):
    """Inference uses the state that the layer began with."""

    def update_state(self, b: Batch, update: int) -> None:
        """Remember the first."""
        first = self.before or self.state
        super().update_state(b, update)
        self.before = first


# Gradients of gamma and beta.


class _Seen(Expecter):
    """Keeps the input and the statistics of the call at hand."""

    x_at_hand: Number
    s_at_hand: Statistics

    def call(
        self,
        x: Number,
        g: Number,
        xhat: Number,
        dx: tuple[Number, Float64],
        s: Statistics,
        up: Upstream,
        count: int | Float64,
    ) -> Expectations:
        """As ever."""
        self.x_at_hand, self.s_at_hand = x, s
        return super().call(x, g, xhat, dx, s, up, count)


class DgammaUncentred(_Seen):
    """dgamma = sum(g x r)."""

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """Of x r in place of xhat."""
        del normalized
        r = 1.0 / np.sqrt(self.s_at_hand.v + self.case.epsilon)
        return super().affine_gradients(g, self.x_at_hand * self.numbers(r), e_dgamma, unknown)


class DgammaUnscaled(_Seen):
    """dgamma = sum(g (x - mu))."""

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """Of x - mu in place of xhat."""
        del normalized
        centred = self.x_at_hand - self.numbers(self.s_at_hand.mu)
        return super().affine_gradients(g, centred, e_dgamma, unknown)


class DbetaTimesGamma(Expecter):
    """dbeta = gamma sum(g)."""

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """As ever but for dbeta."""
        found = super().affine_gradients(g, normalized, e_dgamma, unknown)
        if Quantity.DBETA in found and self.gamma is not None:
            each = found[Quantity.DBETA]
            gamma = self.gamma.reshape(self.case.feature_shape)
            bound = each.bound * np.abs(gamma.hi) + np.abs(each.value.hi * gamma.hi) * 2.0**-50
            found[Quantity.DBETA] = replace(each, value=each.value * gamma, bound=bound)
        return found


# Wider bounds: the same values, computed less exactly.


class Coarser(Expecter):
    """Everything is computed in a lower format."""

    def __init__(
        self,
        case: Case,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """As ever, with the bounds of that format."""
        super().__init__(case, parameters, conventions, number)
        self.precision = replace(self.precision, accumulation=self.lower())
        self.running.precision = self.precision

    def lower(self) -> Format:
        """The format."""
        raise NotImplementedError


class InFloat32(Coarser):
    """In float32, inputs and parameters included."""

    def lower(self) -> Format:
        """float32."""
        return FORMATS[DType.FLOAT32]

    def image(
        self, value: Number, error: Float64, vacuous: np.ndarray | None, output: Format
    ) -> Expectation:
        """A float64 answer that has been a float32."""
        size = np.abs(value.hi) * self.lower().unit_roundoff
        return super().image(value, error + size, vacuous, output)

    def statistic(
        self,
        value: Number,
        error: Float64,
        vacuous: np.ndarray | None,
        output: Format | None = None,
    ) -> Expectation:
        """As :meth:`image`; not even the exact lane's state is exact."""
        size = np.abs(value.hi) * self.lower().unit_roundoff
        return super().statistic(value, error + size, vacuous, output)


class InHalf(Coarser):
    """In the input's half-precision format."""

    def lower(self) -> Format:
        """The input's."""
        return FORMATS[self.case.dtype]


class Truncated(Expecter):
    """Results are cut off to the output's format, not rounded: twice the error."""

    def image(
        self, value: Number, error: Float64, vacuous: np.ndarray | None, output: Format
    ) -> Expectation:
        """As ever, in a format of one bit less."""
        coarse = replace(output, unit_roundoff=2 * output.unit_roundoff)
        return super().image(value, error, vacuous, coarse)


class Flushed(Expecter):
    """Subnormal results are 0."""

    def image(
        self, value: Number, error: Float64, vacuous: np.ndarray | None, output: Format
    ) -> Expectation:
        """As ever, but for what is below the smallest normal."""
        found = super().image(value, error, vacuous, output)
        return replace(found, bound=_or_zero(found, output))

    def statistic(
        self,
        value: Number,
        error: Float64,
        vacuous: np.ndarray | None,
        output: Format | None = None,
    ) -> Expectation:
        """As :meth:`image`."""
        found = super().statistic(value, error, vacuous, output)
        return replace(found, bound=_or_zero(found, found.output))


def _or_zero(found: Expectation, output: Format) -> Float64:
    size = np.abs(found.value.hi)
    return np.where(size < output.smallest_normal, np.maximum(found.bound, size), found.bound)


class _OtherOutput(_Seen):
    """y with the bound of another order of operations."""

    def surplus(self, x: Number, xhat: Number, s: Statistics) -> Float64:
        """What is added to the bound of y."""
        raise NotImplementedError

    def call(
        self,
        x: Number,
        g: Number,
        xhat: Number,
        dx: tuple[Number, Float64],
        s: Statistics,
        up: Upstream,
        count: int | Float64,
    ) -> Expectations:
        """As ever but for y."""
        found = super().call(x, g, xhat, dx, s, up, count)
        y = found[Quantity.Y]
        found[Quantity.Y] = replace(y, bound=y.bound + self.surplus(x, xhat, s))
        return found


class AffineFolded(_OtherOutput):
    """y = x a + b with a = gamma r and b = beta - mu a."""

    def surplus(self, x: Number, xhat: Number, s: Statistics) -> Float64:
        """Both products and b are rounded, about mu rather than about 0."""
        del xhat
        a = np.abs(self.gamma64) / np.sqrt(s.v + self.case.epsilon)
        size = a * (np.abs(x.hi) + np.abs(s.mu)) + np.abs(self.beta64)
        return np.asarray(6 * self.precision.u * size)


class AffineInHalf(_OtherOutput):
    """gamma, beta and xhat are rounded to the output's half format before y is."""

    def surplus(self, x: Number, xhat: Number, s: Statistics) -> Float64:
        """Three roundings of the product and two of the sum."""
        del x, s
        product = np.abs(self.gamma64 * xhat.hi)
        unit = FORMATS[self.case.dtype].unit_roundoff
        return np.asarray(unit * (4 * product + 3 * np.abs(self.beta64)))


class OnePassUnclamped(Expecter):
    """A one-pass variance that may be negative: nothing is promised where it may."""

    def unknown(self, s: Statistics) -> np.ndarray:
        """Where v + epsilon may be negative."""
        return np.asarray(s.e_v >= s.v + self.case.epsilon)


def one_pass(conventions: Conventions) -> Conventions:
    """The same with a variance from E[x^2] - E[x]^2."""
    return replace(conventions, algorithm=VarianceAlgorithm.ONE_PASS)
