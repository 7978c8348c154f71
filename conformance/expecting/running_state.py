"""A stack's running statistics: exact values, and what a subject's may have drifted by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import bounds, bounds_variants, spec
from ..bounds import Float64, Statistics
from ..bounds_variants import Average
from ..contract import Parameters
from ..dialect import Averaging, RunningVariance
from .expectation import EXACT_DECAYS, Conventions, Number, NumberSystem, chosen
from .stack import Stack


@dataclass(frozen=True, kw_only=True)
class State:
    """Exact running statistics and the bounds of their errors; wide shape."""

    mean: Number
    var: Number
    e_mean: Float64
    e_var: Float64

    def statistics(self) -> Statistics:
        """The state as the statistics of a call that normalizes by it."""
        return Statistics(mu=self.mean.hi, v=self.var.hi, delta=self.e_mean, e_v=self.e_var)


class RunningState:
    """``state`` is what inference uses; :meth:`update` takes a batch in."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem,
        equations: Any = spec,
    ) -> None:
        """Begin with the running statistics of ``parameters``."""
        self.stack, self.conventions, self.equations = stack, conventions, equations
        case = stack.case
        self.precision = conventions.precision(case)
        wide = (*(1 for _ in case.reduction_axes), *case.feature_shape, stack.count)
        self.zero = np.zeros(wide)
        self.state = State(
            mean=number(parameters.running_mean).reshape(wide),
            var=number(parameters.running_var).reshape(wide),
            e_mean=self.zero,
            e_var=self.zero,
        )
        # What a zero-debiased average really averages; its estimate is the state.
        nothing = number(self.zero)
        self.hidden = replace(self.state, mean=nothing, var=nothing)

    def update(
        self,
        mu: Number,
        v: Number,
        s: Statistics,
        count: int | Float64,
        updates: int,
        *,
        exact: bool,
    ) -> None:
        """Take a batch in: the ``updates``-th, from 1; with ``exact`` its statistics are."""
        unbiased = self.conventions.running_variance is RunningVariance.UNBIASED
        variance, bessel = v, 1.0
        # Bessel's correction is about a number of values; a sum of weights is not one.
        if unbiased and isinstance(count, int):
            variance, bessel = self.equations.unbiased_variance(v, count), count / max(count - 1, 1)
        decay = self.stack.decay
        if self.conventions.averaging is Averaging.ZERO_DEBIASED and decay is not None:
            self.hidden = self._averaged(self.hidden, mu, variance, s, bessel, updates)
            self.state = self.kept(self._debiased(decay, updates))
            return
        state = self._averaged(self.state, mu, variance, s, bessel, updates)
        if exact:
            rounds = ~np.isin(1.0 - 1.0 / updates if decay is None else decay, EXACT_DECAYS)
            e_var = state.e_var if unbiased else np.where(rounds, state.e_var, 0.0)
            state = replace(state, e_mean=np.where(rounds, state.e_mean, 0.0), e_var=e_var)
        self.state = self.kept(state)

    def _averaged(
        self,
        old: State,
        mu: Number,
        variance: Number,
        s: Statistics,
        bessel: float,
        updates: int,
    ) -> State:
        """One update of a running average."""
        decay: Float64 | float | None = self.stack.decay
        p = self.precision
        if decay is None:
            mean = self.equations.cumulative_average(old.mean, mu, updates)
            var = self.equations.cumulative_average(old.var, variance, updates)
            decay = 1.0 - 1.0 / updates
        else:
            mean = self.equations.update_running_mean(old.mean, mu, decay)
            var = self.equations.update_running_var(old.var, variance, decay)
        return State(
            mean=mean,
            var=var,
            e_mean=bounds.running_mean_error(old.mean.hi, old.e_mean, s, decay, p),
            e_var=bounds.running_var_error(old.var.hi, old.e_var, s, bessel, decay, p),
        )

    def _debiased(self, decay: Float64, updates: int) -> State:
        """The estimate that a zero-debiased average gives of itself.

        With a decay of 1 there is none, as nothing was ever averaged: infinite bounds say so.
        """
        h, p, now = self.hidden, self.precision, self.state
        mean, var = (
            Average(value=value.hi, error=error)
            for value, error in ((h.mean, h.e_mean), (h.var, h.e_var))
        )
        found = State(
            mean=self.equations.debiased_average(h.mean, decay, updates),
            var=self.equations.debiased_average(h.var, decay, updates),
            e_mean=bounds_variants.debiased_error(mean, decay, updates, p),
            e_var=bounds_variants.debiased_error(var, decay, updates, p),
        )
        nothing = decay == 1.0
        if not nothing.any():
            return found
        return State(
            mean=chosen(nothing, now.mean, found.mean),
            var=chosen(nothing, now.var, found.var),
            e_mean=np.where(nothing, np.inf, found.e_mean),
            e_var=np.where(nothing, np.inf, found.e_var),
        )

    def kept(self, state: State) -> State:
        """``state`` as it is kept, which half precision rounds once more."""
        if not self.stack.case.half_parameters:
            return state
        half, in_half = self.stack.case.parameter_format, bounds_variants.kept_in_half
        return replace(
            state,
            e_mean=in_half(state.e_mean, state.mean.hi, half),
            e_var=in_half(state.e_var, state.var.hi, half),
        )
