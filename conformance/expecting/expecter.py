"""The walk through cases: exact values of every step from the spec, and the bound of each.

Joins ``spec.py`` (evaluated in double-double arithmetic) and ``bounds.py`` for a stack of cases
under one set of conventions. What a variant changes is in ``expecter_variants.py``;
``reference.py`` is the way in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import bounds, bounds_variants, spec
from ..bounds import Float64, Statistics, Upstream
from ..case import Mode
from ..cases.fills import Inputs, StepInputs
from ..contract import Parameters, Quantity
from ..dialect import FrozenPolicy, HalfGradient, HalfOutput, TrainingStatistics, VarianceAlgorithm
from ..formats import FORMATS, Format
from ..numbers.blocks import by_element
from ..numbers.doubledouble import DoubleDouble
from .batch import Batch, Transform
from .expectation import (
    Conventions,
    Expectation,
    Expectations,
    Expected,
    Number,
    NumberSystem,
    expectation,
)
from .running_state import RunningState, State
from .stack import Stack


class Expecter:
    """Walks the steps of a stack's cases, carrying the running statistics and their bounds.

    All arrays are as in :class:`~.stack.Stack`; so are those of what it gives.
    """

    equations: Any = spec
    """Whose equations are walked through: an explanation tries others in their place."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """Begin with ``parameters``; ``number`` is what the equations are evaluated in."""
        self.stack, self.conventions, self.number = stack, conventions, number
        self.case = case = stack.case
        self.axes = case.reduction_axes
        self.per_channel = (*case.feature_shape, stack.count)
        self.wide = (*(1 for _ in self.axes), *self.per_channel)
        self.precision = conventions.precision(case)
        self.parameters = case.parameter_format
        self.gamma, self.beta = map(self.widen, (parameters.gamma, parameters.beta))
        self.gamma64 = np.ones(self.wide) if self.gamma is None else self.gamma.hi
        self.beta64 = np.zeros(self.wide) if self.beta is None else self.beta.hi
        self.zero = np.zeros(self.wide)
        self.no = np.zeros(self.wide, bool)
        self._taken: tuple[StepInputs, Batch] | None = None
        self.running = RunningState(stack, parameters, conventions, number, self.equations)

    # The walk.

    def run(self, inputs: Inputs) -> Expected:
        """Every step in order."""
        if self.case.mode is not Mode.TRAIN:
            only = inputs.steps[0]
            by_batch = self.case.mode is Mode.FROZEN and (
                self.conventions.frozen is FrozenPolicy.BATCH_STATISTICS
            )
            step = self.by_batch(only) if by_batch else self.infer(only)
            return Expected(steps=(step | self.state_expectations(),), inference=None)
        steps = tuple(self.train(step, update) for update, step in enumerate(inputs.steps, start=1))
        inference = self.infer(inputs.inference) | self.state_expectations()
        inference = {name: self.defined(each) for name, each in inference.items()}
        inference[Quantity.Y_INFER] = inference[Quantity.Y]
        return Expected(steps=steps, inference=inference)

    def train(self, inputs: StepInputs, update: int) -> Expectations:
        """One training call, and the state after it."""
        if inputs.x.size == 0:
            return self.empty(inputs) | self.state_expectations()
        batch = self.taken(inputs)
        if self.conventions.training_statistics is TrainingStatistics.RUNNING:
            self.update_state(batch, update)
            step = self.by_updated_state(batch, update)
        else:
            step = self.by_batch(inputs)
            self.update_state(batch, update)
        self._taken = None
        noise = self.state.e_var >= np.maximum(self.state.var.hi, batch.s.v + self.epsilon)
        return step | self.state_expectations(noise)

    def infer(self, inputs: StepInputs) -> Expectations:
        """A call that normalizes by the running statistics as they stand."""
        if inputs.x.size == 0:
            return self.empty(inputs)
        x, g, p = self.numbers(inputs.x), self.numbers(inputs.dy), self.precision
        n, s = self.case.count(x.shape), self.state.statistics()
        r = self.equations.inverse_deviation(self.state.var, self.epsilon)
        xhat = self.equations.normalize(x, self.state.mean, r)
        up = bounds.upstream(x.hi, g.hi, self.axes, n, s, p)
        dx = self.equations.inference_dx(g, r, self.gamma)
        e_dx = bounds.inference_dx_error(g.hi, self.gamma64, s, self.epsilon, p)
        return self.call(x, g, xhat, (dx, e_dx), s, up, n)

    def taken(self, inputs: StepInputs) -> Batch:
        """:meth:`batch` of the call at hand, computed once."""
        if self._taken is None or self._taken[0] is not inputs:
            self._taken = inputs, self.batch(inputs)
        return self._taken[1]

    def batch(self, inputs: StepInputs) -> Batch:
        """The statistics of one training call."""
        x, n = self.numbers(inputs.x), self.case.count(inputs.x.shape)
        mu = self.equations.batch_mean(x, self.axes)
        v = self.equations.biased_variance(x, mu, self.axes)
        m = bounds.moments(x.hi, self.axes, n)
        s = Statistics(mu=mu.hi, v=v.hi, delta=self.zero, e_v=self.zero)
        if not self.exact_statistics():
            delta, e_v = bounds.saved_errors(
                m, mu.hi, v.hi, bounds.mean_error(m, self.precision), self.precision
            )
            s = replace(s, delta=delta, e_v=e_v)
        return Batch(x=x, g=self.numbers(inputs.dy), mu=mu, v=v, s=s, m=m, count=n)

    def exact_statistics(self) -> bool:
        """Whether any order of summation gives the statistics without rounding.

        Welford's recurrence divides by every k up to n and is not exact even then.
        """
        exact_lane = self.stack.exact_lane and self.precision.saved == 0
        return exact_lane and self.conventions.algorithm is not VarianceAlgorithm.WELFORD

    def by_batch(self, inputs: StepInputs) -> Expectations:
        """A call that normalizes by the batch and differentiates through its statistics."""
        if inputs.x.size == 0:
            return self.empty(inputs)
        b = self.taken(inputs)
        r = self.equations.inverse_deviation(b.v, self.epsilon)
        xhat = self.equations.normalize(b.x, b.mu, r)
        transform = self.transform(b, inputs)
        if transform is None:
            found = self.plain_call(b, r, xhat)
        else:
            found = self.transformed_call(b, r, xhat, transform)
        found[Quantity.BATCH_MEAN] = self.statistic(b.mu, b.s.delta, self.no, self.accumulation)
        noise = b.variance_is_noise(self.precision)
        found[Quantity.BATCH_VAR] = self.statistic(b.v, b.s.e_v, noise, self.accumulation)
        return found

    def transform(self, batch: Batch, inputs: StepInputs) -> Transform | None:
        """What comes between xhat and gamma; None for nothing."""
        del batch, inputs
        return None

    def dx_of(
        self, b: Batch, g: Number, r: Number, xhat: Number
    ) -> tuple[Number, Float64, Upstream]:
        """dx for the upstream gradient ``g``, its bound, and the sums over g."""
        p, epsilon = self.precision, self.epsilon
        up = bounds.upstream(b.x.hi, g.hi, self.axes, b.m.n, b.s, p, b.total)
        dx = self.through_batch(b, g, r, xhat)
        rest = (self.gamma64, b.m, up, b.s, epsilon, p, self.share())
        e_dx = self.by_element(bounds.training_dx_error, b.x.hi, g.hi, rest)
        if self.conventions.half_gradient is HalfGradient.BY_TERM:
            e_dx = e_dx + bounds.by_term_dx_error(
                b.x.hi, g.hi, self.gamma64, up, b.s, epsilon, p, FORMATS[self.case.dtype]
            )
        return dx, e_dx, up

    def through_batch(self, b: Batch, g: Number, r: Number, xhat: Number) -> Number:
        """dx, differentiated through the batch statistics."""
        del b
        dx: Number = self.equations.training_dx(g, xhat, r, self.gamma, self.axes)
        return dx

    def share(self) -> Float64 | float:
        """Weight of each position in the statistics."""
        return 1.0

    def plain_call(self, b: Batch, r: Number, xhat: Number) -> Expectations:
        """y = gamma xhat + beta and its gradients."""
        dx, e_dx, up = self.dx_of(b, b.g, r, xhat)
        return self.call(b.x, b.g, xhat, (dx, e_dx), b.s, up, b.count)

    def transformed_call(self, b: Batch, r: Number, xhat: Number, t: Transform) -> Expectations:
        """y = gamma (scale xhat + shift) + beta and its gradients."""
        p, epsilon, e = self.precision, self.epsilon, t.errors
        n = b.m.n
        scaled = b.g * t.scale
        dx, e_dx, up_scaled = self.dx_of(b, scaled, r, xhat)
        dx_of_g, e_dx_of_g, up = self.dx_of(b, b.g, r, xhat)
        e_dx = e_dx + e.e_scale * (np.abs(dx_of_g.hi) + e_dx_of_g)
        moved = self.equations.transform(xhat, t.scale, t.shift)
        y = self.equations.scale_and_shift(moved, self.gamma, self.beta)
        e_y = bounds_variants.transformed_output_error(
            b.x.hi, y.hi, xhat.hi, self.gamma64, self.beta64, e, b.s, epsilon, p
        )
        unknown = self.unknown(b.s)
        found = {
            Quantity.Y: self.image(y, e_y, unknown, self.y_format()),
            Quantity.DX: self.image(dx, e_dx, unknown, FORMATS[self.case.dtype]),
        }
        plain = self.equations.dgamma(b.g, xhat, self.axes)
        e_dgamma = bounds_variants.transformed_dgamma_error(
            b.g.hi, plain.hi, self.axes, (up, up_scaled), e, b.s, epsilon, p, n
        )
        return found | self.affine_gradients(b.g, moved, e_dgamma, unknown)

    def by_updated_state(self, b: Batch, update: int) -> Expectations:
        """A training call that normalizes by the running statistics after the update."""
        p, epsilon, state = self.precision, self.epsilon, self.state
        decay = self.stack.decay
        one = self.numbers(1.0)
        share = one / float(update) if decay is None else one - decay
        s = state.statistics()
        r = self.equations.inverse_deviation(state.var, epsilon)
        xhat = self.equations.normalize(b.x, state.mean, r)
        up = bounds.upstream(b.x.hi, b.g.hi, self.axes, b.m.n, s, p)
        dx = self.equations.running_training_dx(
            b.g, xhat, b.x - b.mu, r, self.gamma, share, self.axes
        )
        e_dx = bounds.training_dx_error(
            b.x.hi, b.g.hi, self.gamma64, b.m, up, s, epsilon, p, share.hi, b.s
        )
        if self.conventions.half_gradient is HalfGradient.BY_TERM:
            e_dx = e_dx + bounds.by_term_dx_error(
                b.x.hi, b.g.hi, self.gamma64, up, s, epsilon, p, FORMATS[self.case.dtype]
            )
        return self.call(b.x, b.g, xhat, (dx, e_dx), s, up, b.m.n)

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
        """y and the gradients of one call, with the statistics ``s`` it normalized by."""
        epsilon, p, unknown = self.epsilon, self.precision, self.unknown(s)
        y = self.equations.scale_and_shift(xhat, self.gamma, self.beta)
        rest = (self.gamma64, self.beta64, s, epsilon, p)
        e_y = self.by_element(bounds.output_error, x.hi, y.hi, rest)
        e_dgamma = bounds.dgamma_error(up, count, s, epsilon, p)
        found = {
            Quantity.Y: self.image(y, e_y, unknown, self.y_format()),
            Quantity.DX: self.image(*dx, unknown, FORMATS[self.case.dtype]),
        }
        return found | self.affine_gradients(g, xhat, e_dgamma, unknown)

    def by_element(
        self, error: Callable[..., Float64], one: Float64, other: Float64, rest: tuple[Any, ...]
    ) -> Float64:
        """``error(one, other, *rest)`` of two images, where the rest is of channels or cases."""
        return by_element(lambda a, b: error(a, b, *rest), one, other, axes=self.axes)

    def unknown(self, s: Statistics) -> np.ndarray:
        """Where the bound of the variance says nothing about r.

        A one-pass variance whose error may exceed v + epsilon says nothing about it. A centred one
        is never negative, so that its bound holds and means something even there.
        """
        if self.precision.algorithm is VarianceAlgorithm.ONE_PASS:
            return np.asarray(s.e_v >= s.v + self.epsilon)
        return np.asarray(s.v + self.epsilon <= 0)

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """dgamma = sum(g normalized) and dbeta = sum(g), where there are parameters."""
        found = {}
        if self.case.scale:
            dgamma = self.equations.dgamma(g, normalized, self.axes)
            found[Quantity.DGAMMA] = self.statistic(dgamma, e_dgamma, unknown)
        if self.case.center:
            n = self.case.count(g.shape)
            e_dbeta = bounds.dbeta_error(g.hi, self.axes, n, self.precision)
            if self.stack.exact_lane:
                e_dbeta = self.zero
            found[Quantity.DBETA] = self.statistic(
                self.equations.dbeta(g, self.axes), e_dbeta, None
            )
        return found

    def empty(self, inputs: StepInputs) -> Expectations:
        """An empty batch: empty outputs, and gradients that are empty sums."""
        image = self.numbers(np.zeros(inputs.x.shape))
        nothing = np.zeros(inputs.x.shape)
        found = {
            Quantity.Y: self.image(image, nothing, None, self.y_format()),
            Quantity.DX: self.image(image, nothing, None, FORMATS[self.case.dtype]),
        }
        if self.case.scale:
            found[Quantity.DGAMMA] = self.statistic(self.numbers(self.zero), self.zero, None)
        if self.case.center:
            found[Quantity.DBETA] = self.statistic(self.numbers(self.zero), self.zero, None)
        return found

    # The state.

    def update_state(self, b: Batch, update: int) -> None:
        """Take the batch's statistics into the running ones."""
        exact = self.exact_statistics()
        self.running.update(b.mu, b.v, b.s, b.count, update, exact=exact)

    @property
    def state(self) -> State:
        """The running statistics as they stand."""
        return self.running.state

    def state_expectations(self, noise: np.ndarray | None = None) -> Expectations:
        """The running statistics as they stand.

        After inference the subject's own values are what must not change, which is the judge's to
        compare, so the bound here is that of the values it may hold.
        """
        state = self.state
        found = {
            Quantity.RUNNING_MEAN: self.statistic(state.mean, state.e_mean, self.no),
            Quantity.RUNNING_VAR: self.statistic(state.var, state.e_var, noise),
        }
        return {name: self.defined(each) for name, each in found.items()}

    def defined(self, found: Expectation) -> Expectation:
        """``found``, not looking at channels whose running statistics may be anything.

        An average of nothing, or one that half precision cannot hold and that went on from there.
        """
        state = self.state
        known = np.isfinite(state.e_mean) & np.isfinite(state.e_var)
        if known.all():
            return found
        undefined = ~known & np.isfinite(state.mean.hi) & np.isfinite(state.var.hi)
        if found.value.shape == self.per_channel:
            return found.without(undefined.reshape(self.per_channel))
        return found.without(np.broadcast_to(undefined, found.value.shape))

    # Formats and shapes.

    @property
    def epsilon(self) -> Float64:
        """That of every case."""
        return self.stack.epsilon

    @property
    def accumulation(self) -> Format:
        """The format that statistics are computed in."""
        return self.precision.accumulation

    def numbers(self, values: npt.ArrayLike) -> Number:
        """``values`` in the number system; exact, as every format is a subset of float64."""
        return self.number(np.asarray(values, np.float64))

    def widen(self, parameter: np.ndarray | None) -> Number | None:
        """A parameter in wide shape."""
        return None if parameter is None else self.numbers(parameter).reshape(self.wide)

    def y_format(self) -> Format:
        """The format that y must have."""
        parameters = self.case.scale or self.case.center
        if parameters and self.conventions.half_output is HalfOutput.PARAMETERS:
            return self.parameters
        return FORMATS[self.case.dtype]

    def image(
        self, value: Number, error: Float64, vacuous: np.ndarray | None, output: Format
    ) -> Expectation:
        """An expectation of the input's shape, rounded to ``output``."""
        bound = bounds.rounded(error, value.hi, output, self.accumulation)
        return expectation(value, bound, vacuous, output)

    def statistic(
        self,
        value: Number,
        error: Float64,
        vacuous: np.ndarray | None,
        output: Format | None = None,
    ) -> Expectation:
        """An expectation per channel, of shape ``per_channel``, in the parameters' format."""
        output = output or self.parameters
        bound = np.where(
            error == 0, 0.0, bounds.rounded(error, value.hi, output, self.accumulation)
        )
        return expectation(value, bound, vacuous, output).reshape(*self.per_channel)
