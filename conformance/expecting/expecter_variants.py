"""What each variant changes in the walk through a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from .. import bounds, bounds_variants
from ..bounds import Float64, Statistics
from ..bounds_variants import Average, Scale
from ..cases.fills import StepInputs
from ..contract import Parameters, Quantity
from ..dialect import GhostGroups
from ..numbers.doubledouble import DoubleDouble
from ..numbers.summation import total
from ..variant import PLAIN, Ghost, Renorm, Synchronized, VariantKind
from .batch import Batch, Transform
from .expectation import (
    Conventions,
    Expectation,
    Expectations,
    Number,
    NumberSystem,
    expectation,
    rearranged,
)
from .expecter import Expecter
from .stack import Stack


class WeightedExpecter(Expecter):
    """Statistics over positions with weights; a mask is weights of 0 and 1."""

    weights: Float64

    def train(self, inputs: StepInputs, update: int) -> Expectations:
        """As ever, unless nothing has a weight: then only sums over g and the state are known.

        All cases of a stack are alike in that.
        """
        if np.any(inputs.weights):
            return super().train(inputs, update)
        found = self.infer(inputs)
        for name in (Quantity.Y, Quantity.DX, Quantity.DGAMMA):
            if name in found:
                found[name] = found[name].without(np.ones(found[name].value.shape, bool))
        return found | self.state_expectations()

    def batch(self, inputs: StepInputs) -> Batch:
        """Weighted statistics; what has no weight may be anything, even NaN."""
        wide = [
            1 if axis in self.case.channel_axes else size
            for axis, size in enumerate(inputs.x.shape)
        ]
        self.weights = np.broadcast_to(cast("Float64", inputs.weights), wide)
        w, n = self.weights, self.case.count(inputs.x.shape)
        x = self.numbers(inputs.x)
        kept = self.numbers(np.where(w == 0, 0.0, x.hi))
        mu = self.equations.weighted_mean(kept, self.numbers(w), self.axes)
        v = self.equations.weighted_variance(kept, self.numbers(w), mu, self.axes)
        m = bounds_variants.weighted_moments(kept.hi, w, self.axes, n)
        delta, e_v = bounds.saved_errors(
            m, mu.hi, v.hi, bounds.mean_error(m, self.precision), self.precision
        )
        s = Statistics(mu=mu.hi, v=v.hi, delta=delta, e_v=e_v)
        g, weight = self.numbers(inputs.dy), total(w, self.axes)
        return Batch(x=x, g=g, mu=mu, v=v, s=s, m=m, count=weight)

    def share(self) -> Float64:
        """The weights: gradients through the statistics divide by W."""
        return self.weights

    def by_element(
        self, error: Callable[..., Float64], one: Float64, other: Float64, rest: tuple[Any, ...]
    ) -> Float64:
        """At once: weights differ from position to position."""
        return error(one, other, *rest)

    def through_batch(self, b: Batch, g: Number, r: Number, xhat: Number) -> Number:
        """dx by the weighted equation."""
        del b
        w = self.numbers(self.weights)
        dx: Number = self.equations.weighted_training_dx(g, xhat, r, self.gamma, w, self.axes)
        return dx

    def by_batch(self, inputs: StepInputs) -> Expectations:
        """As ever, but not looking at what comes of a NaN or an infinity that is hidden.

        It takes part in the sums of the gradients of its channel, if only times 0.
        """
        found = super().by_batch(inputs)
        if inputs.x.size == 0:
            return found
        hidden = ~np.isfinite(inputs.x) & (self.weights == 0)
        if not hidden.any():
            return found
        channels = hidden.any(axis=self.axes, keepdims=True)
        found[Quantity.Y] = found[Quantity.Y].without(hidden)
        found[Quantity.DX] = found[Quantity.DX].without(np.broadcast_to(channels, hidden.shape))
        if Quantity.DGAMMA in found:
            spoilt = channels.reshape(self.per_channel)
            found[Quantity.DGAMMA] = found[Quantity.DGAMMA].without(spoilt)
        return found


class SynchronizedExpecter(Expecter):
    """The statistics of the whole batch, with the bounds of merged partial ones."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """Allow for the merges."""
        super().__init__(stack, parameters, conventions, number)
        self.variant = cast("Synchronized", stack.case.variant)
        self.precision = replace(self.precision, merges=self.variant.replicas)

    def batch(self, inputs: StepInputs) -> Batch:
        """The whole batch's statistics; their variance is centred on partial means."""
        b = super().batch(inputs)
        ends = np.cumsum(self.variant.shard_sizes(inputs.x.shape[0]))[:-1]
        shards = [
            bounds.moments(part, self.axes, self.case.count(part.shape))
            for part in np.split(b.x.hi, ends, axis=0)
        ]
        merged = bounds_variants.merged_delta(b.m, shards, self.precision)
        _, e_v = bounds.saved_errors(b.m, b.mu.hi, b.v.hi, merged, self.precision)
        return replace(b, s=replace(b.s, e_v=e_v))


class AdjustedExpecter(Expecter):
    """y = gamma (a xhat + b) + beta in training."""

    def transform(self, batch: Batch, inputs: StepInputs) -> Transform:
        """a and b as they are given, exactly."""
        del batch
        scale, shift = cast("Float64", inputs.adjust_scale), cast("Float64", inputs.adjust_shift)
        errors = Scale(scale=scale, shift=shift, e_scale=self.zero, e_shift=self.zero)
        return Transform(scale=self.numbers(scale), shift=self.numbers(shift), errors=errors)


class RenormExpecter(Expecter):
    """y = gamma (R xhat + D) + beta, and three more averages."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """Begin with the averages that ``parameters`` hold for this variant."""
        super().__init__(stack, parameters, conventions, number)
        self.variant = cast("Renorm", stack.case.variant)
        self.mean = self._begin(parameters.renorm_mean)
        self.stddev = self._begin(parameters.renorm_stddev)
        self.running_stddev = self._begin(parameters.running_stddev)

    def _begin(self, values: np.ndarray | None) -> tuple[Number, Float64]:
        if values is None:
            msg = "the variant 'renorm' needs renorm_mean, renorm_stddev and running_stddev"
            raise ValueError(msg)
        return self.numbers(values).reshape(self.wide), self.zero

    def transform(self, batch: Batch, inputs: StepInputs) -> Transform:
        """R and D from the averages as they were before this call."""
        del inputs
        v, epsilon = self.variant, self.epsilon
        (m, e_m), (s, e_s) = self.mean, self.stddev
        scale = self.equations.renorm_scale(batch.v, s, epsilon, v.r_min, v.r_max)
        shift = self.equations.renorm_shift(batch.mu, m, s, v.d_max)
        errors = bounds_variants.renorm_scale(
            batch.s,
            epsilon,
            Average(value=m.hi, error=e_m),
            Average(value=s.hi, error=e_s),
            (scale.hi, shift.hi),
            self.precision,
        )
        return Transform(scale=scale, shift=shift, errors=errors)

    def update_state(self, b: Batch, update: int) -> None:
        """The mean as ever; the running variance follows the running deviation."""
        super().update_state(b, update)
        epsilon, p = self.epsilon, self.precision
        sigma = np.sqrt(b.v + epsilon)
        e_sigma = bounds_variants.deviation_error(b.s, epsilon, p)
        deviation = Statistics(mu=sigma.hi, v=sigma.hi, delta=e_sigma, e_v=e_sigma)
        decay = 1.0 - 1.0 / update if self.stack.decay is None else self.stack.decay
        self.mean = self._averaged(self.mean, b.mu, b.s, self.variant.decay)
        self.stddev = self._averaged(self.stddev, sigma, deviation, self.variant.decay)
        self.running_stddev = self._averaged(self.running_stddev, sigma, deviation, decay)
        sd, e_sd = self.running_stddev
        var = self.equations.renorm_running_var(sd, epsilon)
        e_var = bounds_variants.squared_deviation_error(
            Average(value=sd.hi, error=e_sd), epsilon, p
        )
        self.running.state = self.running.kept(replace(self.state, var=var, e_var=e_var))

    def _averaged(
        self, old: tuple[Number, Float64], value: Number, s: Statistics, decay: Float64 | float
    ) -> tuple[Number, Float64]:
        """One update of one of the additional averages, kept in the parameters' format."""
        new = self.equations.update_running_mean(old[0], value, decay)
        error = bounds.running_mean_error(old[0].hi, old[1], s, decay, self.precision)
        if self.case.half_parameters:
            error = bounds_variants.kept_in_half(error, new.hi, self.parameters)
        return new, error


class UntrackedExpecter(Expecter):
    """No running statistics: every call normalizes by its batch."""

    def infer(self, inputs: StepInputs) -> Expectations:
        """As in training."""
        return self.by_batch(inputs)

    def state_expectations(self, noise: np.ndarray | None = None) -> Expectations:
        """There is no state."""
        del noise
        return {}


class FixedGammaExpecter(Expecter):
    """gamma counts as 1 and has no gradient."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """Forget gamma."""
        super().__init__(stack, replace(parameters, gamma=None), conventions, number)

    def affine_gradients(
        self, g: Number, normalized: Number, e_dgamma: Float64, unknown: np.ndarray
    ) -> Expectations:
        """dgamma is exactly 0."""
        found = super().affine_gradients(g, normalized, e_dgamma, unknown)
        found[Quantity.DGAMMA] = self.statistic(self.numbers(self.zero), self.zero, None)
        return found


class GhostExpecter(Expecter):
    """Each group of samples is a batch of its own: the groups are channels of another case."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """Set up the case whose feature axes are the group's and the original ones."""
        super().__init__(stack, parameters, conventions, number)
        self.size = cast("Ghost", stack.case.variant).size
        self.parameters_of_layer = parameters
        self._known: tuple[StepInputs, tuple[Expecter, StepInputs]] | None = None

    def by_batch(self, inputs: StepInputs) -> Expectations:
        """The groups' outputs and dx put back in place, and the sums over the groups."""
        if inputs.x.size == 0:
            return self.empty(inputs)
        inner, grouped = self._inner(inputs)
        found = inner.by_batch(grouped)
        n, p = self.case.count(inputs.x.shape), self.precision
        together = {
            Quantity.Y: self._ungrouped(found[Quantity.Y], inputs.x.shape),
            Quantity.DX: self._ungrouped(found[Quantity.DX], inputs.x.shape),
        }
        if self.case.scale:
            b = inner.taken(grouped)
            xhat = self.equations.normalize(
                b.x, b.mu, self.equations.inverse_deviation(b.v, self.epsilon)
            )
            size = total(np.abs(b.g.hi * xhat.hi), (*inner.axes, len(inner.axes)))
            sums = p.theta(bounds.sum_length(n)) * size.reshape(self.per_channel)
            each = found[Quantity.DGAMMA]
            bound = total(each.bound, (0,)).reshape(self.per_channel)
            together[Quantity.DGAMMA] = self._summed(each, bound + sums)
        if self.case.center:
            e_dbeta = bounds.dbeta_error(inputs.dy, self.axes, n, p)
            bound = e_dbeta.reshape(self.per_channel)
            together[Quantity.DBETA] = self._summed(found[Quantity.DBETA], bound)
        return together

    def batch(self, inputs: StepInputs) -> Batch:
        """The means over the groups of their statistics; bounds likewise, plus the mean's own."""
        inner, grouped = self._inner(inputs)
        b = inner.taken(grouped)
        axis, p = len(self.axes), self.precision
        groups = b.mu.shape[axis]
        theta = p.theta(bounds.sum_length(groups))

        def mean(values: Number) -> Number:
            return values.sum(axis=(axis,)) / float(groups)

        def mean_error(errors: Float64) -> Float64:
            return total(errors, (axis,)).reshape(self.wide) / groups

        s = Statistics(
            mu=mean(b.mu).hi,
            v=mean(b.v).hi,
            delta=mean_error(b.s.delta + theta * np.abs(b.mu.hi)),
            e_v=mean_error(b.s.e_v + theta * b.v.hi),
        )
        m = bounds.moments(inputs.x, self.axes, self.case.count(inputs.x.shape))
        x, g = self.numbers(inputs.x), self.numbers(inputs.dy)
        size = self.case.count((self.size, *inputs.x.shape[1:]))
        return Batch(x=x, g=g, mu=mean(b.mu), v=mean(b.v), s=s, m=m, count=size)

    def _inner(self, inputs: StepInputs) -> tuple[Expecter, StepInputs]:
        """:meth:`_grouped_cases` of the call at hand, made once."""
        if self._known is None or self._known[0] is not inputs:
            self._known = inputs, self._grouped_cases(inputs)
        return self._known[1]

    def _grouped_cases(self, inputs: StepInputs) -> tuple[Expecter, StepInputs]:
        """The cases with the groups as their first axis of features, and their arrays."""
        x, dy = self._grouped(inputs.x), self._grouped(inputs.dy)
        first = len(self.axes)
        groups = x.shape[first]
        case = replace(
            self.case,
            shape=x.shape[:-1],
            last_batch=self.size,
            steps=1,
            feature_axes=tuple(range(first, x.ndim - 1)),
            variant=PLAIN,
        )

        def repeated(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else np.broadcast_to(values, (groups, *values.shape))

        p = self.parameters_of_layer
        parameters = replace(
            p,
            gamma=repeated(p.gamma),
            beta=repeated(p.beta),
            running_mean=np.broadcast_to(p.running_mean, (groups, *p.running_mean.shape)),
            running_var=np.broadcast_to(p.running_var, (groups, *p.running_var.shape)),
        )
        stack = replace(self.stack, case=case, exact_lane=False)
        inner = Expecter(stack, parameters, self.conventions, self.number)
        inner.equations = self.equations
        return inner, StepInputs(x=x, dy=dy)

    def _grouped(self, values: np.ndarray) -> np.ndarray:
        """(N, ...) as (size, ..., groups, features)."""
        batch, rest = values.shape[0], values.shape[1:]
        groups, first = batch // self.size, len(self.axes)
        if self.conventions.ghost_groups is GhostGroups.INTERLEAVED:
            return np.moveaxis(values.reshape(self.size, groups, *rest), 1, first)
        return np.moveaxis(values.reshape(groups, self.size, *rest), 0, first)

    def _ungrouped(self, found: Expectation, shape: tuple[int, ...]) -> Expectation:
        """The expectation of a grouped image, back in the input's order."""

        def back(values: np.ndarray) -> np.ndarray:
            place = 1 if self.conventions.ghost_groups is GhostGroups.INTERLEAVED else 0
            return np.moveaxis(values, len(self.axes), place).reshape(shape)

        return Expectation(
            value=rearranged(found.value, back),
            bound=back(found.bound),
            vacuous=back(found.vacuous),
            excluded=back(found.excluded),
            output=found.output,
        )

    def _summed(self, found: Expectation, bound: Float64) -> Expectation:
        """A parameter's gradient: the sum over the groups, rounded once more."""
        value = found.value.sum(axis=(0,))
        rounded = bounds.rounded(bound, value.hi, self.parameters, self.accumulation)
        return expectation(value, rounded, np.asarray(found.vacuous.any(axis=0)), self.parameters)


EXPECTERS: Mapping[VariantKind, type[Expecter]] = {
    VariantKind.PLAIN: Expecter,
    VariantKind.RENORM: RenormExpecter,
    VariantKind.GHOST: GhostExpecter,
    VariantKind.SYNCHRONIZED: SynchronizedExpecter,
    VariantKind.MASKED: WeightedExpecter,
    VariantKind.WEIGHTED: WeightedExpecter,
    VariantKind.ADJUSTED: AdjustedExpecter,
    VariantKind.UNTRACKED: UntrackedExpecter,
    VariantKind.FIXED_GAMMA: FixedGammaExpecter,
}
"""How to walk through a case of each variant."""
