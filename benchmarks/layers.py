"""A make of ``implementations.py`` as a layer: cases in, answers out, every variant included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from implementations import OutOfClassError, Three, TwoPass, Values, merged

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs
from bnconform.conformance.contract import Answer, Answered, Array, Parameters, Step
from bnconform.conformance.dialect import (
    Averaging,
    Claim,
    Dialect,
    FrozenPolicy,
    GhostGroups,
    HalfOutput,
    RunningVariance,
)
from bnconform.conformance.formats import FORMATS, compute_format
from bnconform.conformance.variant import Ghost, Renorm, Synchronized, VariantKind


def dialect_of(make: type[TwoPass]) -> Dialect:
    """What the make declares."""
    claims = {name: Claim(value, make.__name__) for name, value in make.claims.items()}
    return replace(NumpyReference.dialect, **claims)


def answer(make: type[TwoPass], case: Case, inputs: Inputs) -> Answered | OutOfClassError:
    """What the make gives for every call of ``case``."""
    layer = Layer(make(), dialect_of(make), case, inputs.parameters)
    try:
        found = _answer(layer, case, inputs)
    except OutOfClassError as error:
        return error
    return Answered(answer=found, seconds=0.0, unrepeatable=None, mutated=(), output="")


def _answer(layer: Layer, case: Case, inputs: Inputs) -> Answer:
    if case.mode is Mode.INFERENCE:
        return Answer(steps=(layer.infer(inputs.steps[0]),), inference=None)
    steps = tuple(layer.train(step) for step in inputs.steps)
    if case.mode is Mode.FROZEN:
        return Answer(steps=steps, inference=None)
    return Answer(steps=steps, inference=layer.infer(inputs.inference))


class Layer:
    """Parameters in the accumulation format, and the states since the first."""

    def __init__(self, make: TwoPass, dialect: Dialect, case: Case, parameters: Parameters) -> None:
        """Begin with ``parameters``."""
        self.make, self.dialect, self.case = make, dialect, case
        self.compute = compute_format(case.dtype).numpy
        self.input = FORMATS[case.dtype].numpy
        self.kept = case.parameter_format.numpy
        self.epsilon = self.compute.type(case.epsilon)
        fixed = case.variant.kind is VariantKind.FIXED_GAMMA
        self.gamma = self._column(None if fixed else parameters.gamma, 1)
        self.beta = self._column(parameters.beta, 0)
        self.means = [self._column(parameters.running_mean, 0)]
        self.vars = [self._column(parameters.running_var, 0)]
        self.hidden = (np.zeros_like(self.means[0]), np.zeros_like(self.vars[0]))
        if isinstance(case.variant, Renorm):
            self.renorm_mean = self._column(parameters.renorm_mean, 0)
            self.renorm_stddev = self._column(parameters.renorm_stddev, 0)
            self.running_stddev = self._column(parameters.running_stddev, 0)
        self.updates = 0

    # Calls.

    def train(self, step: StepInputs) -> Step:
        """A training call."""
        frozen = self.case.mode is Mode.FROZEN
        if frozen and self.dialect.frozen.value is FrozenPolicy.RUNNING_STATISTICS:
            return self.infer(step)
        x, g = self._rows(step.x), self._rows(step.dy)
        found, mean, var, n = self._by_batch(step, x, g)
        if not frozen:
            unbiased = self.dialect.running_variance.value is RunningVariance.UNBIASED
            # Bessel's correction is about a number of values; a sum of weights is not one.
            unbiased = unbiased and step.weights is None
            self._update(mean, var, n, len(step.x), unbiased=unbiased)
        return self._step(step, found, None if frozen else (mean, var))

    def infer(self, step: StepInputs) -> Step:
        """An inference call."""
        x, g = self._rows(step.x), self._rows(step.dy)
        if self.case.variant.kind is VariantKind.UNTRACKED:
            return self._step(step, self._by_batch(step, x, g)[0], None)
        mean, var = self.make.for_inference(self.means), self.make.for_inference(self.vars)
        r = self.make.inverse(var, self.epsilon)
        y = self.make.output(x, mean, r, self.gamma, self.beta)
        return self._step(step, (y, *self._frozen_gradient(x, g, mean, r)), None)

    # By the batch, plain and in every variant.

    def _by_batch(
        self, step: StepInputs, x: Values, g: Values
    ) -> tuple[tuple[Values, ...], Values, Values, int]:
        """(y, dx, dgamma, dbeta), the statistics that are averaged, and their number of values."""
        match self.case.variant:
            case Ghost(size=size):
                return self._ghost(x, g, len(step.x), size)
            case Synchronized() as variant:
                shards = variant.shard_sizes(len(step.x))
                return self._synchronized(x, g, len(step.x), shards)
            case _:
                w = None if step.weights is None else self._spread(step.weights, step.x)[:1]
                visible = x if w is None else np.where(w == 0, x.dtype.type(0), x)
                mean, var = self._kept_batch(*self.make.moments(visible, w))
                r = self.make.inverse(var, self.epsilon)
                return self._output(step, x, g, w, mean, var, r), mean, var, x.shape[1]

    def _output(
        self, step: StepInputs, x: Values, g: Values, w: Values | None, mean: Values, var: Values,
        r: Values,
    ) -> tuple[Values, ...]:  # fmt: skip
        moved = self._moved(step, mean, var)
        if moved is None:
            y = self.make.output(x, mean, r, self.gamma, self.beta)
            return y, *self._by_batch_gradient(x, g, mean, r, w)
        scale, shift = moved
        one, nothing = self.compute.type(1), self.compute.type(0)
        xhat = scale * self.make.output(x, mean, r, one, nothing) + shift
        dx, _, _ = self._by_batch_gradient(x, g * scale, mean, r, w)
        dgamma, dbeta = self.make.dot(g, xhat), self.make.total(self.make.factor(g))
        return self.gamma * xhat + self.beta, dx, dgamma, dbeta

    def _by_batch_gradient(
        self, x: Values, g: Values, mean: Values, r: Values, w: Values | None
    ) -> Three:
        """dx in the input's format, dgamma and dbeta."""
        dx, dgamma, dbeta = self.make.gradients(x, g, mean, r, self.gamma, w)
        return self.make.input_gradient(dx, self.input), dgamma, dbeta

    def _frozen_gradient(self, x: Values, g: Values, mean: Values, r: Values) -> Three:
        """The same where the statistics are constants."""
        dx, dgamma, dbeta = self.make.frozen_gradients(x, g, mean, r, self.gamma)
        return self.make.input_gradient(dx, self.input), dgamma, dbeta

    def _moved(self, step: StepInputs, mean: Values, var: Values) -> tuple[Values, Values] | None:
        """Scale and shift between xhat and gamma."""
        if step.adjust_scale is not None and step.adjust_shift is not None:
            return self._spread(step.adjust_scale, step.x), self._spread(step.adjust_shift, step.x)
        if not isinstance(self.case.variant, Renorm):
            return None
        v, of = self.case.variant, self.compute.type
        ratio = np.sqrt(var + self.epsilon) / self.renorm_stddev
        low, high = v.r_min, v.r_max
        scale = np.clip(ratio, None if low is None else of(low), None if high is None else of(high))
        shift = (mean - self.renorm_mean) / self.renorm_stddev
        return scale, shift if v.d_max is None else np.clip(shift, of(-v.d_max), of(v.d_max))

    def _ghost(
        self, x: Values, g: Values, batch: int, size: int
    ) -> tuple[tuple[Values, ...], Values, Values, int]:
        """Each group by itself; gradients of parameters summed, statistics averaged."""
        y, dx = np.empty_like(x), np.empty_like(x).astype(self.input)
        parts, inner = [], x.shape[1] // batch
        for columns in self._groups(batch, size, inner):
            own, upstream = x[:, columns], g[:, columns]
            mean, var = self._kept_batch(*self.make.moments(own))
            r = self.make.inverse(var, self.epsilon)
            y[:, columns] = self.make.output(own, mean, r, self.gamma, self.beta)
            dx[:, columns], *sums = self._by_batch_gradient(own, upstream, mean, r, None)
            parts.append((mean, var, *sums))
        means, vs, dgammas, dbetas = (np.concatenate(p, axis=1) for p in zip(*parts, strict=True))
        groups, total = self.compute.type(len(parts)), self.make.total
        averages = total(means) / groups, total(vs) / groups
        return (y, dx, total(dgammas), total(dbetas)), *averages, size * inner

    def _groups(self, batch: int, size: int, inner: int) -> Iterator[Array]:
        """The columns of each group."""
        samples = np.arange(batch)
        interleaved = self.dialect.ghost_groups.value is GhostGroups.INTERLEAVED
        grouped = samples.reshape(size, -1).T if interleaved else samples.reshape(-1, size)
        for members in grouped:
            yield (members[:, None] * inner + np.arange(inner)).reshape(-1)

    def _synchronized(
        self, x: Values, g: Values, batch: int, shards: tuple[int, ...]
    ) -> tuple[tuple[Values, ...], Values, Values, int]:
        """Shards' statistics merged by Chan, and their gradients' sums added up."""
        make, n = self.make, x.shape[1]
        ends = np.cumsum(shards)[:-1] * (n // batch)
        parts, upstreams = np.split(x, ends, axis=1), np.split(g, ends, axis=1)
        every = [(part.shape[1], *make.moments(part)) for part in parts]
        mean, var = self._kept_batch(*merged(every))
        r = make.inverse(var, self.epsilon)
        sums = [
            (make.dot(dy, (part - mean) * r), make.total(make.factor(dy)))
            for part, dy in zip(parts, upstreams, strict=True)
        ]
        dgamma, dbeta = (make.total(np.concatenate(each, 1)) for each in zip(*sums, strict=True))
        count, outputs = x.dtype.type(n), []
        for part, dy in zip(parts, upstreams, strict=True):
            xhat = (part - mean) * r
            dx = self.gamma * r * (dy - dbeta / count - xhat * (dgamma / count))
            outputs.append((make.output(part, mean, r, self.gamma, self.beta), dx))
        y, dx = (np.concatenate(each, 1) for each in zip(*outputs, strict=True))
        return (y, dx.astype(self.input), dgamma, dbeta), mean, var, n

    # The state.

    def _update(self, mean: Values, var: Values, n: int, batch: int, *, unbiased: bool) -> None:
        self.updates += 1
        make, decay, share = self.make, self.case.decay, batch / self.case.shape[0]
        weight = make.decay(decay, self.updates, share)
        var_kept = make.kept_variance(var, n, unbiased=unbiased)
        if self.dialect.averaging.value is Averaging.ZERO_DEBIASED and decay is not None:
            hidden = zip(self.hidden, (mean, var_kept), strict=True)
            self.hidden = tuple(make.update(old, new, weight) for old, new in hidden)
            rest = 1 - self.compute.type(decay) ** self.updates
            news = tuple(np.divide(h, rest) for h in self.hidden)
        else:
            news = tuple(
                make.update(old, new, weight)
                for old, new in ((self.means[-1], mean), (self.vars[-1], var_kept))
            )
        if isinstance(self.case.variant, Renorm):
            sigma = np.sqrt(var + self.epsilon)
            own = self.case.variant.decay
            self.renorm_mean = self._in_state(make.update(self.renorm_mean, mean, own))
            self.renorm_stddev = self._in_state(make.update(self.renorm_stddev, sigma, own))
            self.running_stddev = self._in_state(make.update(self.running_stddev, sigma, weight))
            squared = self.running_stddev * self.running_stddev - self.epsilon
            news = news[0], np.maximum(squared, self.compute.type(0))
        self.means.append(self._in_state(news[0]))
        self.vars.append(self._in_state(news[1]))

    # Shapes and formats.

    def _in_state(self, values: Values) -> Values:
        return values.astype(self.kept).astype(self.compute)

    def _kept_batch(self, mean: Values, var: Values) -> tuple[Values, Values]:
        return self.make.saved(mean, self.input), self.make.saved(var, self.input)

    def _column(self, values: Array | None, default: float) -> Values:
        """A parameter as (channels, 1)."""
        if values is None:
            return np.full((int(np.prod(self.case.feature_shape)), 1), default, self.compute)
        return values.astype(self.compute).reshape(-1, 1)

    def _rows(self, values: Array) -> Values:
        """An image as (channels, n), samples in order."""
        order = (*self.case.channel_axes, *self.case.reduction_axes)
        channels = int(np.prod(self.case.feature_shape))
        rows = values.astype(self.compute).transpose(order).reshape(channels, -1)
        return np.ascontiguousarray(rows)

    def _spread(self, values: Array, x: Array) -> Values:
        """What broadcasts against the input as (channels, n)."""
        return self._rows(np.broadcast_to(values, x.shape))

    def _image(self, rows: Values, shape: tuple[int, ...]) -> Array:
        order = (*self.case.channel_axes, *self.case.reduction_axes)
        moved = rows.reshape([shape[axis] for axis in order])
        return np.ascontiguousarray(np.transpose(moved, np.argsort(order)))

    def _statistic(self, values: Values, dtype: np.dtype) -> Array:
        column: Array = values.astype(dtype).reshape(self.case.feature_shape)
        return column

    def _step(
        self, step: StepInputs, found: tuple[Values, ...], batch: tuple[Values, Values] | None
    ) -> Step:
        y, dx, dgamma, dbeta = found
        case, shape = self.case, step.x.shape
        parameters = case.scale or case.center
        wide = parameters and self.dialect.half_output.value is HalfOutput.PARAMETERS
        answer: dict[str, Any] = {
            "y": self._image(self.make.stored(y, self.kept if wide else self.input), shape),
            "dx": self._image(self.make.stored(dx, self.input), shape),
            "dgamma": self._statistic(dgamma, self.kept) if case.scale else None,
            "dbeta": self._statistic(dbeta, self.kept) if case.center else None,
        }
        if case.variant.kind is VariantKind.FIXED_GAMMA:
            answer["dgamma"] = self._statistic(np.zeros_like(dgamma), self.kept)
        if case.variant.kind is not VariantKind.UNTRACKED:
            answer["running_mean"] = self._statistic(self.means[-1], self.kept)
            answer["running_var"] = self._statistic(self.vars[-1], self.kept)
        if batch is not None and case.variant.kind is not VariantKind.GHOST:
            answer["batch_mean"] = self._statistic(batch[0], self.compute)
            answer["batch_var"] = self._statistic(batch[1], self.compute)
        return Step(**answer)
