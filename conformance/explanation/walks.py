"""Walks through a case with the order of things changed: put before the case's own Expecter.

Each class overrides one method of ``Expecter`` and leaves the rest to whatever stands behind it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bounds import Float64, Statistics, Upstream
from ..case import Mode
from ..cases.fills import StepInputs
from ..contract import Quantity
from ..expecting.batch import Batch
from ..expecting.expectation import Expectations, Number, rearranged
from ..expecting.expecter import Expecter
from ..expecting.running_state import State

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
        return x, tuple(range(self.case.rank))


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
        """As in inference; not the variant's own, which may normalize by the batch."""
        return Expecter.infer(self, inputs)


class InferenceThroughBatch(Expecter):
    """Inference whose dx is differentiated as if its statistics were the batch's."""

    def infer(self, inputs: StepInputs) -> Expectations:
        """As ever but for dx."""
        found = super().infer(inputs)
        if inputs.x.size == 0:
            return found
        r = self.equations.inverse_deviation(self.state.var, self.epsilon)
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
        super().update_state(replace(b, v=b.v + self.epsilon), update)


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


class Seen(Expecter):
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


class DgammaUncentred(Seen):
    """dgamma = sum(g x r)."""

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """Of x r in place of xhat."""
        del normalized
        r = 1.0 / np.sqrt(self.s_at_hand.v + self.epsilon)
        return super().affine_gradients(g, self.x_at_hand * self.numbers(r), e_dgamma, unknown)


class DgammaUnscaled(Seen):
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
            gamma = self.gamma.reshape(self.per_channel)
            bound = each.bound * np.abs(gamma.hi) + np.abs(each.value.hi * gamma.hi) * 2.0**-50
            found[Quantity.DBETA] = replace(each, value=each.value * gamma, bound=bound)
        return found
