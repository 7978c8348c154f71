"""Correct batch normalizations of many makes, and faulty ones: subjects for the error bounds.

They take (channels, n) arrays in the accumulation format, and share no code with the spec. A make
overrides the one method in which it differs; so does a fault.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from bnconform.conformance.contract import Array, Quantity
from bnconform.conformance.formats import FORMATS, compute_format

from .cases import Data

Answers: TypeAlias = dict[Quantity, Array]
Values: TypeAlias = Any
"""An array; Any, because arithmetic on typed arrays is Any too."""


State: TypeAlias = tuple[Values, ...]
"""Running mean and running variance."""


class Sequential:
    """Two passes, every sum from the first value to the last."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return np.add.accumulate(values, axis=1)[:, -1:]

    def average(self, values: Values) -> Values:
        """Mean over axis 1, kept."""
        return self.total(values) / values.dtype.type(values.shape[1])

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean = self.average(x)
        return mean, self.average(np.square(x - mean))

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return 1 / np.sqrt(var + epsilon)

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        return gamma * ((x - mean) * r) + beta

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta in training, by the closed formula."""
        xhat = (x - mean) * r
        dgamma, dbeta = self.total(g * xhat), self.total(g)
        n = x.dtype.type(x.shape[1])
        return gamma * r * (g - dbeta / n - xhat * (dgamma / n)), dgamma, dbeta

    def frozen_gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta when the statistics are constants."""
        return gamma * r * g, self.total(g * ((x - mean) * r)), self.total(g)

    def update(self, old: Values, new: Values, decay: float) -> Values:
        """A running statistic after a step."""
        kept = old.dtype.type(decay)
        return kept * old + (1 - kept) * new

    def kept_variance(self, var: Values, n: int, *, unbiased: bool) -> Values:
        """The variance that enters the running average."""
        return var * var.dtype.type(n / max(n - 1, 1)) if unbiased else var

    def weight(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value at the ``update``-th step, which counts from 1.

        ``share`` is the size of this batch relative to a full one, which must not matter.
        """
        del share
        return 1 - 1 / update if decay is None else decay

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """What is given out, in the format of the contract."""
        return values.astype(dtype)

    def after_training(self, states: list[State]) -> State:
        """The running statistics that inference normalizes by; ``states`` starts with the first."""
        return states[-1]


class Pairwise(Sequential):
    """Sums by halves, as NumPy and most GPUs do."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        while values.shape[1] > 1:
            half = values.shape[1] // 2
            rest = values[:, 2 * half :]
            values = np.concatenate([values[:, :half] + values[:, half : 2 * half], rest], axis=1)
        return values


class Reversed(Sequential):
    """Sums from the last value to the first, and means by the reciprocal of n."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return super().total(values[:, ::-1])

    def average(self, values: Values) -> Values:
        """Mean over axis 1, kept."""
        return self.total(values) * (1 / values.dtype.type(values.shape[1]))


class Welford(Sequential):
    """A running mean and a running sum of squares."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean, squares = np.zeros_like(x[:, :1]), np.zeros_like(x[:, :1])
        for k in range(1, x.shape[1] + 1):
            value = x[:, k - 1 : k]
            before = value - mean
            mean = mean + before / x.dtype.type(k)
            squares = squares + before * (value - mean)
        return mean, squares / x.dtype.type(x.shape[1])


class Chan(Sequential):
    """Mean and sum of squares of blocks of 16, merged one by one; the last may be short."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and biased variance."""
        of = x.dtype.type
        mean, squares, count = np.zeros_like(x[:, :1]), np.zeros_like(x[:, :1]), 0
        for start in range(0, x.shape[1], 16):
            block = x[:, start : start + 16]
            size = block.shape[1]
            block_mean, block_var = Sequential.statistics(self, block)
            apart = block_mean - mean
            whole = count + size
            squares = squares + block_var * of(size)
            squares = squares + apart * apart * of(count * size / whole)
            mean = mean + apart * of(size / whole)
            count = whole
        return mean, squares / of(count)


class OnePass(Sequential):
    """E[x^2] - E[x]^2, not below zero; differentiated as written, x^2 and the mean apart."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean = self.average(x)
        return mean, np.maximum(self.average(np.square(x)) - np.square(mean), x.dtype.type(0))

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        n = x.dtype.type(x.shape[1])
        xhat = (x - mean) * r
        dxhat = g * gamma
        dvar = self.through_variance(self.total(dxhat * (x - mean)) * r * r * r / -2)
        dmean = -self.total(dxhat * r) - 2 * mean * dvar
        dx = dxhat * r + 2 * x * (dvar / n) + dmean / n
        return dx, self.total(g * xhat), self.total(g)

    def through_variance(self, dvar: Values) -> Values:
        """The variance's gradient; the clamp is taken for the identity."""
        return dvar


class OnePassClamped(OnePass):
    """The same with the clamp differentiated too: no gradient through a variance below zero."""

    def statistics(self, x: Values) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean = self.average(x)
        raw = self.average(np.square(x)) - np.square(mean)
        self.alive = raw > 0
        return mean, np.where(self.alive, raw, x.dtype.type(0))

    def through_variance(self, dvar: Values) -> Values:
        """What the clamp lets through."""
        return np.where(self.alive, dvar, dvar.dtype.type(0))


class OnePassPairwise(OnePass, Pairwise):
    """E[x^2] - E[x]^2 by halves, with the closed formula for dx."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta."""
        return Sequential.gradients(self, x, g, mean, r, gamma)


class Folded(Sequential):
    """y = a x + b with a = gamma r and b = beta - a mean; differentiated as written."""

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        a = gamma * r
        return a * x + (beta - a * mean)

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        n = x.dtype.type(x.shape[1])
        a, db = gamma * r, self.total(g)
        da = self.total(g * x) - mean * db
        dr = da * gamma
        dvar = dr * r * r * r / -2
        deviation = 2 * (x - mean) * (dvar / n)
        dmean = -a * db - self.total(deviation)
        return a * g + deviation + dmean / n, da * r, db

    def frozen_gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta when the statistics are constants."""
        db = self.total(g)
        return gamma * r * g, (self.total(g * x) - mean * db) * r, db

    def update(self, old: Values, new: Values, decay: float) -> Values:
        """The old value moved towards the new one."""
        return old - (old - new) * old.dtype.type(1 - decay)


class Differentiated(Pairwise):
    """Every step of the forward pass differentiated, with -1/2 (v + eps)^(-3/2)."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        n = x.dtype.type(x.shape[1])
        d = x - mean
        dxhat = g * gamma
        dvar = self.total(dxhat * d) * (r * r * r / -2)
        dd = dxhat * r + dvar / n * (2 * d)
        return dd - self.total(dd) / n, self.total(g * (d * r)), self.total(g)


class ByTerm(Differentiated):
    """Each of the three contributions to dx, and each partial sum, rounded to a half format."""

    def __init__(self, half: np.dtype) -> None:
        """``half`` is the input's format."""
        self.half = half

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        n = x.dtype.type(x.shape[1])
        d, dxhat = x - mean, g * gamma
        dvar = self.total(dxhat * d) * (r * r * r / -2)
        terms = (dxhat * r, -self.total(dxhat * r) / n, *self.through_variance(x, mean, dvar / n))
        dx = np.zeros_like(x).astype(self.half)
        for term in terms:
            dx = (dx + term.astype(self.half)).astype(self.half)
        return dx.astype(x.dtype), self.total(g * (d * r)), self.total(g)

    def through_variance(self, x: Values, mean: Values, share: Values) -> tuple[Values, ...]:
        """The contributions through the variance; ``share`` is its gradient over n."""
        return (2 * (x - mean) * share,)


class ByTermOnePass(ByTerm, OnePass):
    """The same where x^2 and the mean are differentiated apart."""

    def through_variance(self, x: Values, mean: Values, share: Values) -> tuple[Values, ...]:  # type: ignore[override]
        """The contributions through the variance; ``share`` is its gradient over n."""
        return 2 * x * share, -2 * mean * share


class ScaledByN(Reversed):
    """dx = gamma r / n (n g - sum g - xhat sum(g xhat)), as older CPU kernels write it."""

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> tuple[Values, Values, Values]:
        """dx, dgamma and dbeta."""
        n = x.dtype.type(x.shape[1])
        xhat = (x - mean) * r
        dgamma, dbeta = self.total(g * xhat), self.total(g)
        return gamma * r / n * (n * g - dbeta - xhat * dgamma), dgamma, dbeta


def answers(
    subject: Sequential, data: Data, *, unbiased: bool = False, accumulate: np.dtype | None = None
) -> tuple[list[Answers], Answers]:
    """What ``subject`` gives for every training step of ``data``, then for inference."""
    case, parameters = data.case, data.inputs.parameters
    compute = accumulate or compute_format(case.dtype).numpy
    gamma, beta = _column(parameters.gamma, compute), _column(parameters.beta, compute)
    states = [tuple(_column(p, compute) for p in (parameters.running_mean, parameters.running_var))]
    epsilon = compute.type(case.epsilon)
    steps = []
    for update, step in enumerate(data.inputs.steps, start=1):
        x, g = _rows(step.x, compute), _rows(step.dy, compute)
        mean, var = subject.statistics(x)
        r = subject.inverse(var, epsilon)
        dx, dgamma, dbeta = subject.gradients(x, g, mean, r, gamma)
        weight = subject.weight(case.decay, update, len(step.x) / case.shape[0])
        kept = subject.kept_variance(var, x.shape[1], unbiased=unbiased)
        old_mean, old_var = states[-1]
        states.append(
            (subject.update(old_mean, mean, weight), subject.update(old_var, kept, weight))
        )
        found = {
            Quantity.Y: subject.output(x, mean, r, gamma, beta),
            Quantity.BATCH_MEAN: mean,
            Quantity.BATCH_VAR: var,
            Quantity.RUNNING_MEAN: states[-1][0],
            Quantity.RUNNING_VAR: states[-1][1],
            Quantity.DX: dx,
            Quantity.DGAMMA: dgamma,
            Quantity.DBETA: dbeta,
        }
        steps.append({q: _shaped(subject, q, values, data) for q, values in found.items()})
    after = data.inputs.inference
    x, g = _rows(after.x, compute), _rows(after.dy, compute)
    mean, var = subject.after_training(states)
    r = subject.inverse(var, epsilon)
    dx, dgamma, dbeta = subject.frozen_gradients(x, g, mean, r, gamma)
    y = subject.output(x, mean, r, gamma, beta)
    found = {Quantity.Y_INFER: y, Quantity.DX: dx, Quantity.DGAMMA: dgamma, Quantity.DBETA: dbeta}
    return steps, {q: _shaped(subject, q, values, data) for q, values in found.items()}


def _rows(values: Array, compute: np.dtype) -> Array:
    return np.ascontiguousarray(values.T.astype(compute))


def _column(values: Array | None, compute: np.dtype) -> Array:
    assert values is not None
    return values.astype(compute)[:, None]


def _shaped(subject: Sequential, quantity: Quantity, values: Array, data: Data) -> Array:
    """As the contract has it: images (n, channels), statistics (channels,)."""
    if quantity in {Quantity.Y, Quantity.DX, Quantity.Y_INFER}:
        image: Array = subject.stored(values.T, FORMATS[data.case.dtype].numpy)
        return image
    return values[:, 0].astype(compute_format(data.case.dtype).numpy)
