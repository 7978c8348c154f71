"""Batch normalizations of many makes, each of which follows the class that it declares.

They share no code with the spec. A make works on (channels, n) arrays in the accumulation format
and overrides the one thing in which it differs; ``layers.py`` puts it through cases. Symbols as in
``conformance/bounds.py``; ``w`` are weights of the positions, (1, n), or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bnconform.conformance.dialect import (
    RunningVariance,
    VarianceAlgorithm,
)

Values: TypeAlias = Any
"""An array; Any, because arithmetic on typed arrays is Any too."""

Three: TypeAlias = tuple[Values, Values, Values]


class OutOfClassError(Exception):
    """The make met a value for which its class promises nothing; the text says which."""


class TwoPass:
    """sum (x - mean)^2 / n, every sum from the first value to the last."""

    claims: ClassVar[Mapping[str, Any]] = {}

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return np.add.accumulate(values, axis=1)[:, -1:]

    def factor(self, values: Values) -> Values:
        """What a summed product takes of its factors."""
        return values

    def dot(self, a: Values, b: Values) -> Values:
        """Sum of products over axis 1, kept."""
        return self.total(self.factor(a) * self.factor(b))

    def weight(self, x: Values, w: Values | None) -> Values:
        """n or W."""
        return x.dtype.type(x.shape[1]) if w is None else self.total(w)

    def average(self, x: Values, w: Values | None) -> Values:
        """Mean over axis 1, kept."""
        total = self.total(self.factor(x)) if w is None else self.dot(w, x)
        return total / self.weight(x, w)

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean = self.average(x, w)
        d = x - mean
        squares = self.dot(d, d) if w is None else self.dot(w, d * d)
        return mean, squares / self.weight(x, w)

    def saved(self, statistic: Values, half: np.dtype) -> Values:
        """A batch statistic as it is kept; ``half`` is the input's format."""
        del half
        return statistic

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        return 1 / np.sqrt(var + epsilon)

    def output(self, x: Values, mean: Values, r: Values, gamma: Values, beta: Values) -> Values:
        """y."""
        return gamma * ((x - mean) * r) + beta

    def share(self, x: Values, w: Values | None) -> Values:
        """What multiplies a sum in dx: 1 / n, or w / W."""
        return 1 / self.weight(x, None) if w is None else w / self.weight(x, w)

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta, differentiated through the batch statistics."""
        xhat = (x - mean) * r
        dgamma, dbeta = self.dot(g, xhat), self.total(self.factor(g))
        return gamma * r * (g - self.share(x, w) * (dbeta + xhat * dgamma)), dgamma, dbeta

    def frozen_gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values
    ) -> Three:
        """dx, dgamma and dbeta where the statistics are constants."""
        return gamma * r * g, self.dot(g, (x - mean) * r), self.total(self.factor(g))

    def input_gradient(self, dx: Values, half: np.dtype) -> Values:
        """dx in the input's format."""
        return dx.astype(half)

    def update(self, old: Values, new: Values, decay: float) -> Values:
        """A running statistic after a step."""
        kept = old.dtype.type(decay)
        return kept * old + (1 - kept) * new

    def decay(self, decay: float | None, update: int, share: float) -> float:
        """Weight of the old value at the ``update``-th step, from 1.

        ``share`` is the size of this batch relative to a full one, which must not matter.
        """
        del share
        return 1 - 1 / update if decay is None else decay

    def kept_variance(self, var: Values, n: int, *, unbiased: bool) -> Values:
        """The variance that enters the running average."""
        return var * var.dtype.type(n / max(n - 1, 1)) if unbiased else var

    def stored(self, values: Values, dtype: np.dtype) -> Values:
        """An output in the format that it is given out in."""
        return values.astype(dtype)

    def for_inference(self, states: list[Values]) -> Values:
        """The running statistics that inference normalizes by, of all since the first."""
        return states[-1]


class Pairwise(TwoPass):
    """Sums by halves, as NumPy and most GPUs do."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        while values.shape[1] > 1:
            half = values.shape[1] // 2
            rest = values[:, 2 * half :]
            values = np.concatenate([values[:, :half] + values[:, half : 2 * half], rest], axis=1)
        return values


class Blocked(TwoPass):
    """Sums of blocks of 16 from the last value to the first; means by 1 / n; unbiased variance."""

    claims: ClassVar[Mapping[str, Any]] = {"running_variance": RunningVariance.UNBIASED}

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        backwards = values[:, ::-1]
        blocks = [
            super(Blocked, self).total(backwards[:, start : start + 16])
            for start in range(0, values.shape[1], 16)
        ]
        return super().total(np.concatenate(blocks, axis=1))

    def average(self, x: Values, w: Values | None) -> Values:
        """Mean over axis 1, kept."""
        if w is not None:
            return super().average(x, w)
        return self.total(x) * (1 / x.dtype.type(x.shape[1]))


class Welford(TwoPass):
    """A running mean and a running sum of squares; with weights West's recurrence of 1979."""

    claims: ClassVar[Mapping[str, Any]] = {"variance": VarianceAlgorithm.WELFORD}

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and biased variance."""
        weights = np.ones((1, x.shape[1]), x.dtype) if w is None else w
        mean, squares = np.zeros_like(x[:, :1]), np.zeros_like(x[:, :1])
        sum_w = np.zeros_like(mean)
        for k in range(x.shape[1]):
            value, each = x[:, k : k + 1], weights[:, k : k + 1]
            sum_w = sum_w + each
            before = value - mean
            part = np.divide(each, sum_w, out=np.zeros_like(sum_w), where=sum_w > 0)
            mean = mean + before * part
            squares = squares + each * before * (value - mean)
        return mean, squares / sum_w


class Chan(TwoPass):
    """Mean and sum of squares of blocks of 16, merged one by one; the last may be short."""

    claims: ClassVar[Mapping[str, Any]] = {
        "variance": VarianceAlgorithm.WELFORD,
        "running_variance": RunningVariance.UNBIASED,
    }

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and biased variance."""
        if w is not None:
            return super().moments(x, w)
        parts = [x[:, start : start + 16] for start in range(0, x.shape[1], 16)]
        return merged([(part.shape[1], *TwoPass.moments(self, part)) for part in parts])


class OnePass(TwoPass):
    """E[x^2] - E[x]^2, not below zero; differentiated as written, the clamp as the identity."""

    claims: ClassVar[Mapping[str, Any]] = {"variance": VarianceAlgorithm.ONE_PASS}

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and biased variance."""
        mean = self.average(x, w)
        return mean, self.clamped(self.raw(x, mean, w))

    def raw(self, x: Values, mean: Values, w: Values | None) -> Values:
        """E[x^2] - E[x]^2."""
        squares = self.dot(x, x) if w is None else self.dot(w, x * x)
        return squares / self.weight(x, w) - mean * mean

    def clamped(self, var: Values) -> Values:
        """Not below zero; NaN stays."""
        return np.maximum(var, var.dtype.type(0))

    def through_clamp(self, dvar: Values) -> Values:
        """What the clamp lets through of the variance's gradient."""
        return dvar

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta as reverse differentiation gives them."""
        dxhat, share = g * gamma, self.share(x, w)
        dvar = self.through_clamp(self.dot(dxhat, x - mean) * r * r * r / -2)
        dmean = -self.total(dxhat * r) - 2 * mean * dvar
        dx = dxhat * r + 2 * x * (dvar * share) + dmean * share
        return dx, self.dot(g, (x - mean) * r), self.total(self.factor(g))


def merged(parts: list[tuple[int, Values, Values]]) -> tuple[Values, Values]:
    """Counts, means and variances of parts as those of the whole, merged one by one by Chan."""
    count, mean, var = parts[0]
    of = mean.dtype.type
    squares = var * of(count)
    for size, part_mean, part_var in parts[1:]:
        whole, apart = count + size, part_mean - mean
        squares = squares + part_var * of(size) + apart * apart * of(count * size / whole)
        mean, count = mean + apart * of(size / whole), whole
    return mean, squares / of(count)


def hashed(values: Values) -> Values:
    """A number for each value that has nothing to do with its size."""
    wide = np.ascontiguousarray(values.astype(np.float64)).view(np.uint64)
    return ((wide * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)).astype(np.int64)
