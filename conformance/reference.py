"""What a case must give: exact values from the spec, and the bound of each.

Joins ``spec.py`` (evaluated in double-double arithmetic) and ``bounds.py`` for one case under one
set of conventions. Subjects with the same conventions share the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from . import bounds, spec
from .bounds import Float64, Precision, Statistics
from .case import Case, FillKind, Mode
from .contract import Parameters, Quantity
from .dialect import (
    Dialect,
    FrozenPolicy,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    VarianceAlgorithm,
)
from .doubledouble import DoubleDouble
from .fills import Inputs, StepInputs
from .formats import FORMATS, Format, compute_format

EXACT_DECAYS = (0.0, 0.5, 1.0)
"""Decays for which the exact lane's running averages need no rounding in any format."""


def is_exact_lane(case: Case) -> bool:
    """Whether mean, variance and dbeta of every step are exact in any order of summation.

    Values stay below 16, so that n squares sum to less than 2^8 n, which 24 bits hold up to
    n = 2^16; every update with decay 1/2 needs one more bit.
    """
    counts = [case.count(shape) for shape in case.step_shapes]
    powers_of_two = all(0 < n <= 2**12 and n & (n - 1) == 0 for n in counts)
    return case.fill.kind is FillKind.EXACT and powers_of_two and case.steps <= 4


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The part of a dialect that decides what is expected and how closely."""

    running_variance: RunningVariance
    algorithm: VarianceAlgorithm
    frozen: FrozenPolicy
    half_output: HalfOutput
    half_gradient: HalfGradient
    epsilon_floor: float

    @classmethod
    def of(cls, dialect: Dialect) -> Conventions:
        """The conventions that ``dialect`` claims."""
        return cls(
            running_variance=dialect.running_variance.value,
            algorithm=dialect.variance.value,
            frozen=dialect.frozen.value,
            half_output=dialect.half_output.value,
            half_gradient=dialect.half_gradient.value,
            epsilon_floor=dialect.epsilon_floor.value,
        )


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Exact values of one quantity, the bound of each element, and which bounds say nothing.

    ``value`` is hi + lo of a double-double; ``vacuous`` marks elements that any finite answer
    would satisfy; ``excluded`` those that are not looked at; ``output`` is the format the subject
    must answer in.
    """

    value: DoubleDouble
    bound: Float64
    vacuous: np.ndarray
    excluded: np.ndarray
    output: Format


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Expectations of every quantity, step by step, then of the inference call after training."""

    steps: tuple[Mapping[Quantity, Expectation], ...]
    inference: Mapping[Quantity, Expectation] | None


def expect(case: Case, inputs: Inputs, conventions: Conventions) -> Expected:
    """All that ``case`` must give under ``conventions``."""
    case = replace(case, epsilon=max(case.epsilon, conventions.epsilon_floor))
    # Cases that hold NaN or infinity have undefined channels by intention.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return _Expecter(case, inputs.parameters, conventions).run(inputs)


@dataclass(frozen=True, kw_only=True)
class _State:
    """Exact running statistics and what the subject's may have drifted by; wide shape."""

    mean: DoubleDouble
    var: DoubleDouble
    e_mean: Float64
    e_var: Float64


class _Expecter:
    """Walks a case's steps, carrying the running statistics and their bounds."""

    def __init__(self, case: Case, parameters: Parameters, conventions: Conventions) -> None:
        self.case, self.conventions = case, conventions
        self.axes = case.reduction_axes
        self.wide = [
            size if axis in case.channel_axes else 1 for axis, size in enumerate(case.shape)
        ]
        self.precision = Precision(
            accumulation=compute_format(case.dtype), algorithm=conventions.algorithm
        )
        self.gamma, self.beta = self._wide(parameters.gamma), self._wide(parameters.beta)
        self.gamma64 = np.ones(self.wide) if self.gamma is None else self.gamma.hi
        self.beta64 = np.zeros(self.wide) if self.beta is None else self.beta.hi
        self.state = _State(
            mean=_double(parameters.running_mean).reshape(self.wide),
            var=_double(parameters.running_var).reshape(self.wide),
            e_mean=np.zeros(self.wide),
            e_var=np.zeros(self.wide),
        )

    def run(self, inputs: Inputs) -> Expected:
        """Every step in order."""
        if self.case.mode is not Mode.TRAIN:
            batch = self.conventions.frozen is FrozenPolicy.BATCH_STATISTICS
            by_batch = self.case.mode is Mode.FROZEN and batch
            call = self._by_batch if by_batch else self._by_running
            step = call(inputs.steps[0]) | self._unchanged_state()
            return Expected(steps=(step,), inference=None)
        steps = tuple(
            self._train(step, update) for update, step in enumerate(inputs.steps, start=1)
        )
        inference = self._by_running(inputs.inference) | self._unchanged_state()
        inference[Quantity.Y_INFER] = inference[Quantity.Y]
        return Expected(steps=steps, inference=inference)

    def _wide(self, parameter: np.ndarray | None) -> DoubleDouble | None:
        return None if parameter is None else _double(parameter).reshape(self.wide)

    def _train(self, inputs: StepInputs, update: int) -> dict[Quantity, Expectation]:
        if inputs.x.size == 0:
            return self._empty(inputs) | self._unchanged_state()
        x, mu, v, s, _ = self._batch_statistics(inputs)
        step = self._by_batch(inputs)
        self._update_state(mu, v, s, self.case.count(x.shape), update)
        return step | self._state_expectations(s)

    def _batch_statistics(
        self, inputs: StepInputs
    ) -> tuple[DoubleDouble, DoubleDouble, DoubleDouble, Statistics, bounds.Moments]:
        x = _double(inputs.x)
        mu = spec.batch_mean(x, self.axes)
        v = spec.biased_variance(x, mu, self.axes)
        m = bounds.moments(x.hi, self.axes, self.case.count(x.shape))
        zero = np.zeros(self.wide)
        s = Statistics(mu=mu.hi, v=v.hi, delta=zero, e_v=zero)
        if not self._exact_statistics():
            delta = bounds.mean_error(m, self.precision)
            e_v = bounds.variance_error(m, mu.hi, v.hi, delta, self.precision)
            s = replace(s, delta=delta, e_v=e_v)
        return x, mu, v, s, m

    def _exact_statistics(self) -> bool:
        """Whether any order of summation gives the statistics without rounding.

        Welford's recurrence divides by every k up to n and is not exact even then.
        """
        exact_lane = is_exact_lane(self.case)
        return exact_lane and self.conventions.algorithm is not VarianceAlgorithm.WELFORD

    def _by_batch(self, inputs: StepInputs) -> dict[Quantity, Expectation]:
        """A call that normalizes by the batch and differentiates through its statistics."""
        if inputs.x.size == 0:
            return self._empty(inputs)
        x, mu, v, s, m = self._batch_statistics(inputs)
        g, n, p = _double(inputs.dy), m.n, self.precision
        r = spec.inverse_deviation(v, self.case.epsilon)
        xhat = spec.normalize(x, mu, r)
        up = bounds.upstream(x.hi, g.hi, self.axes, n, s, p)
        dx = spec.training_dx(g, xhat, r, self.gamma, self.axes)
        e_dx = bounds.training_dx_error(x.hi, g.hi, self.gamma64, m, up, s, self.case.epsilon, p)
        if self.conventions.half_gradient is HalfGradient.BY_TERM:
            e_dx = e_dx + bounds.by_term_dx_error(
                x.hi, g.hi, self.gamma64, up, s, self.case.epsilon, p, FORMATS[self.case.dtype]
            )
        found = self._call(x, g, xhat, dx, e_dx, s, up, n)
        found[Quantity.BATCH_MEAN] = self._statistic(mu, s.delta, np.zeros(self.wide, bool))
        found[Quantity.BATCH_VAR] = self._statistic(v, s.e_v, _variance_is_noise(s, m, p))
        return found

    def _by_running(self, inputs: StepInputs) -> dict[Quantity, Expectation]:
        """A call that normalizes by the running statistics as they stand."""
        x, g, p = _double(inputs.x), _double(inputs.dy), self.precision
        n, state = self.case.count(x.shape), self.state
        if inputs.x.size == 0:
            return self._empty(inputs)
        s = Statistics(mu=state.mean.hi, v=state.var.hi, delta=state.e_mean, e_v=state.e_var)
        r = spec.inverse_deviation(state.var, self.case.epsilon)
        xhat = spec.normalize(x, state.mean, r)
        up = bounds.upstream(x.hi, g.hi, self.axes, n, s, p)
        dx = spec.inference_dx(g, r, self.gamma)
        e_dx = bounds.inference_dx_error(g.hi, self.gamma64, s, self.case.epsilon, p)
        return self._call(x, g, xhat, dx, e_dx, s, up, n)

    def _call(
        self,
        x: DoubleDouble,
        g: DoubleDouble,
        xhat: DoubleDouble,
        dx: DoubleDouble,
        e_dx: Float64,
        s: Statistics,
        up: bounds.Upstream,
        n: int,
    ) -> dict[Quantity, Expectation]:
        """y and the gradients of one call, with the statistics ``s`` it normalized by."""
        epsilon, p = self.case.epsilon, self.precision
        one_pass = p.algorithm is VarianceAlgorithm.ONE_PASS
        # A one-pass variance whose error may exceed v + epsilon says nothing about r. A centred
        # one is never negative, so that its bound holds and means something even there.
        unknown = (s.e_v >= s.v + epsilon) if one_pass else s.v + epsilon <= 0
        y = spec.scale_and_shift(xhat, self.gamma, self.beta)
        e_y = bounds.output_error(x.hi, y.hi, self.gamma64, self.beta64, s, epsilon, p)
        e_dgamma = bounds.dgamma_error(up, n, s, epsilon, p)
        found = {
            Quantity.Y: self._image(y, e_y, unknown, self._y_format()),
            Quantity.DX: self._image(dx, e_dx, unknown, FORMATS[self.case.dtype]),
        }
        if self.case.scale:
            dgamma = spec.dgamma(g, xhat, self.axes)
            found[Quantity.DGAMMA] = self._statistic(dgamma, e_dgamma, unknown)
        if self.case.center:
            e_dbeta = bounds.dbeta_error(g.hi, self.axes, n, p)
            if is_exact_lane(self.case):
                e_dbeta = np.zeros(self.wide)
            found[Quantity.DBETA] = self._statistic(spec.dbeta(g, self.axes), e_dbeta, None)
        return found

    def _update_state(
        self, mu: DoubleDouble, v: DoubleDouble, s: Statistics, n: int, update: int
    ) -> None:
        state, decay, p = self.state, self.case.decay, self.precision
        unbiased = self.conventions.running_variance is RunningVariance.UNBIASED
        variance = spec.unbiased_variance(v, n) if unbiased else v
        bessel = n / max(n - 1, 1) if unbiased else 1.0
        if decay is None:
            mean = spec.cumulative_average(state.mean, mu, update)
            var = spec.cumulative_average(state.var, variance, update)
            decay = 1.0 - 1.0 / update
        else:
            mean = spec.update_running_mean(state.mean, mu, decay)
            var = spec.update_running_var(state.var, variance, decay)
        e_mean = bounds.running_mean_error(state.mean.hi, state.e_mean, s, decay, p)
        e_var = bounds.running_var_error(state.var.hi, state.e_var, s, bessel, decay, p)
        if self._exact_statistics() and decay in EXACT_DECAYS:
            e_mean = np.zeros(self.wide)
            e_var = e_var if unbiased else np.zeros(self.wide)
        self.state = _State(mean=mean, var=var, e_mean=e_mean, e_var=e_var)

    def _state_expectations(self, s: Statistics) -> dict[Quantity, Expectation]:
        """The running statistics after a training step."""
        state, no = self.state, np.zeros(self.wide, bool)
        noise = state.e_var >= np.maximum(state.var.hi, s.v + self.case.epsilon)
        return {
            Quantity.RUNNING_MEAN: self._statistic(state.mean, state.e_mean, no),
            Quantity.RUNNING_VAR: self._statistic(state.var, state.e_var, noise),
        }

    def _unchanged_state(self) -> dict[Quantity, Expectation]:
        """The running statistics after a call that must leave them alone: no tolerance.

        After training the subject's own values are what must not change, which is the judge's to
        compare, so the bound here is that of the values it may hold.
        """
        state, no = self.state, np.zeros(self.wide, bool)
        return {
            Quantity.RUNNING_MEAN: self._statistic(state.mean, state.e_mean, no),
            Quantity.RUNNING_VAR: self._statistic(state.var, state.e_var, no),
        }

    def _empty(self, inputs: StepInputs) -> dict[Quantity, Expectation]:
        """An empty batch: empty outputs, and gradients that are empty sums."""
        image = DoubleDouble(np.zeros(inputs.x.shape))
        nothing, zero = np.zeros(inputs.x.shape), DoubleDouble(np.zeros(self.wide))
        found = {
            Quantity.Y: self._image(image, nothing, None, self._y_format()),
            Quantity.DX: self._image(image, nothing, None, FORMATS[self.case.dtype]),
        }
        if self.case.scale:
            found[Quantity.DGAMMA] = self._statistic(zero, np.zeros(self.wide), None)
        if self.case.center:
            found[Quantity.DBETA] = self._statistic(zero, np.zeros(self.wide), None)
        return found

    def _y_format(self) -> Format:
        parameters = self.case.scale or self.case.center
        if parameters and self.conventions.half_output is HalfOutput.PARAMETERS:
            return compute_format(self.case.dtype)
        return FORMATS[self.case.dtype]

    def _image(
        self, value: DoubleDouble, error: Float64, vacuous: np.ndarray | None, output: Format
    ) -> Expectation:
        """An expectation of the input's shape, rounded to ``output``."""
        bound = bounds.rounded(error, value.hi, output, self.precision.accumulation)
        return _expectation(value, bound, vacuous, output)

    def _statistic(
        self, value: DoubleDouble, error: Float64, vacuous: np.ndarray | None
    ) -> Expectation:
        """An expectation per channel, in the format of the parameters, of ``feature_shape``."""
        output = self.precision.accumulation
        shape = self.case.feature_shape
        exact = error == 0
        bound = np.where(exact, 0.0, bounds.rounded(error, value.hi, output, output))
        wide = np.zeros(self.wide, bool) if vacuous is None else vacuous
        return _expectation(value.reshape(shape), bound.reshape(shape), wide.reshape(shape), output)


def _expectation(
    value: DoubleDouble, bound: Float64, vacuous: np.ndarray | None, output: Format
) -> Expectation:
    nothing_known = ~np.isfinite(bound) & np.isfinite(value.hi)
    if vacuous is not None:
        nothing_known = nothing_known | vacuous
    return Expectation(
        value=value,
        bound=bound,
        vacuous=nothing_known,
        excluded=np.zeros(value.shape, bool),
        output=output,
    )


def _variance_is_noise(s: Statistics, m: bounds.Moments, p: Precision) -> np.ndarray:
    """Where the bound exceeds both the variance and the rounding noise of its squares."""
    return np.asarray((s.e_v >= s.v) & (s.e_v > p.u * m.mean_square_x) & (s.e_v > p.eta))


def _double(values: np.ndarray) -> DoubleDouble:
    """Exact: every supported format is a subset of float64."""
    return DoubleDouble(values.astype(np.float64))
