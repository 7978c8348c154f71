"""Walks that give the same values with wider bounds: computed less exactly.

Put before the case's own Expecter, as those of ``walks.py``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bounds import Float64, Statistics, Upstream
from ..cases.fills import StepInputs
from ..contract import Parameters, Quantity
from ..dialect import VarianceAlgorithm
from ..expecting.batch import Batch
from ..expecting.expectation import (
    Conventions,
    Expectation,
    Expectations,
    Number,
    NumberSystem,
)
from ..expecting.expecter import Expecter
from ..expecting.stack import Stack
from ..formats import FORMATS, DType, Format, compute_format
from ..numbers.doubledouble import DoubleDouble
from ..numbers.summation import total
from .walks import Seen


class Coarser(Expecter):
    """Everything is computed in a lower format."""

    def __init__(
        self,
        stack: Stack,
        parameters: Parameters,
        conventions: Conventions,
        number: NumberSystem = DoubleDouble,
    ) -> None:
        """As ever, with the bounds of that format."""
        super().__init__(stack, parameters, conventions, number)
        self.precision = replace(self.precision, accumulation=self.lower())
        self.running.precision = self.precision

    def lower(self) -> Format:
        """The format."""
        raise NotImplementedError

    @property
    def accumulation(self) -> Format:
        """What statistics are shown in, which need not be what they were computed in."""
        return compute_format(self.case.dtype)

    def batch(self, inputs: StepInputs) -> Batch:
        """As ever; whatever may overflow on the way may be anything from then on."""
        b = super().batch(inputs)
        largest = self.lower().largest
        squares = total(np.square(b.x.hi - b.mu.hi), self.axes)
        sums = total(np.abs(b.x.hi), self.axes)
        unknown = np.where(np.maximum(squares, sums) >= largest, np.inf, 0.0)
        return replace(b, s=replace(b.s, delta=b.s.delta + unknown, e_v=b.s.e_v + unknown))


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


class _OtherOutput(Seen):
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
        a = np.abs(self.gamma64) / np.sqrt(s.v + self.epsilon)
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
        return np.asarray(s.e_v >= s.v + self.epsilon)


def one_pass(conventions: Conventions) -> Conventions:
    """The same with a variance from E[x^2] - E[x]^2."""
    return replace(conventions, algorithm=VarianceAlgorithm.ONE_PASS)
