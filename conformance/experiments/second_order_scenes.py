"""Calls that are differentiated twice: shapes, memory, modes and formats, and what must come out.

Values are drawn from fixed streams. Upstream gradient and direction have a mean and go along with
xhat, so that no term of the second derivatives is small: an implementation that drops one is far
from right in every scene.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import Precision, Statistics, rounded
from ..bounds_second import Inputs, SecondErrors, inference_second_errors, training_second_errors
from ..contract import Array
from ..dialect import VarianceAlgorithm
from ..expecting.expectation import Expectation, expectation
from ..formats import FORMATS, DType, Format
from ..numbers.doubledouble import DoubleDouble, Float64
from ..spec import batch_mean, biased_variance, inverse_deviation, normalize
from ..spec_second import (
    inference_second_dg,
    inference_second_dgamma,
    inference_second_dx,
    training_second_dg,
    training_second_dgamma,
    training_second_dx,
)

_LOCATIONS = (0.4, -0.2, 0.25)
_SCALES = (1.0, 0.5, 2.0)
_GAMMA = (1.75, -0.6, 0.3)
_BETA = (0.5, -1.25, 2.0)
_GAMMA_DIRECTION = (-0.8, 1.1, 0.45)
_BETA_DIRECTION = (0.7, -0.4, 1.6)
_RUNNING_MEAN = (1.25, -1.0, 0.75)
_RUNNING_VAR = (0.5, 0.3, 1.7)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One call.

    ``offset`` is the mean over the deviation in place of the usual locations, or None. The flags
    ``x_last`` and ``dy_last`` say that x, and the upstream gradient with the direction, lie in
    memory with axis 1 varying fastest.
    """

    name: str
    shape: tuple[int, ...]
    axis: int
    dtype: DType
    training: bool
    epsilon: float
    affine: bool = True
    offset: float | None = None
    x_last: bool = False
    dy_last: bool = False

    @property
    def format(self) -> Format:
        """That of everything in the call."""
        return FORMATS[self.dtype]

    @property
    def axes(self) -> tuple[int, ...]:
        """Those that are reduced."""
        return tuple(axis for axis in range(len(self.shape)) if axis != self.axis)

    @cached_property
    def x(self) -> Array:
        """The input; each channel has its own location and scale."""
        scale = self._wide(_SCALES)
        location = self._wide(_LOCATIONS) if self.offset is None else self.offset * scale / 3**0.5
        return self._rounded(location + scale * self._spread)

    @cached_property
    def dy(self) -> Array:
        """The upstream gradient, which grows with x."""
        return self._rounded(0.25 + 0.4 * self._spread + self._uniform("dy"))

    @cached_property
    def u(self) -> Array:
        """The direction, which falls with x."""
        return self._rounded(-0.5 - 0.6 * self._spread + 1.5 * self._uniform("u"))

    @property
    def parameters(self) -> Mapping[str, Array]:
        """gamma, beta and their directions, one number a channel; nothing without them."""
        values = {
            "gamma": _GAMMA,
            "beta": _BETA,
            "gamma_direction": _GAMMA_DIRECTION,
            "beta_direction": _BETA_DIRECTION,
        }
        return {name: self._narrow(each) for name, each in values.items() if self.affine}

    def arrays(self) -> Mapping[str, Array]:
        """What a subject is handed.

        An array that lies in memory otherwise than its shape says comes as it lies, and beside it,
        as ``<name>_axes``, the axes in that order.
        """
        last = {"x": self.x_last, "dy": self.dy_last, "u": self.dy_last}
        laid: dict[str, Array] = {}
        for name, channels_last in last.items():
            array: Array = getattr(self, name)
            if channels_last:
                order = (0, *range(2, len(self.shape)), 1)
                laid[f"{name}_axes"] = np.array(order)
                array = np.array(array.transpose(order), order="C")
            laid[name] = array
        return {
            **laid,
            **self.parameters,
            "running_mean": self._narrow(_RUNNING_MEAN),
            "running_var": self._narrow(_RUNNING_VAR),
            "epsilon": np.asarray(self.epsilon),
            "axis": np.asarray(self.axis),
            "training": np.asarray(self.training),
        }

    def second(self) -> Mapping[str, Expectation]:
        """The gradients of S by x, dy and gamma."""
        values, errors = self._values(), self._errors()
        found = {
            "by_x": self._expected(values["x"], errors.by_x),
            "by_dy": self._expected(values["g"], errors.by_g),
        }
        if self.affine:
            narrow = self._expected(values["gamma"], errors.by_gamma).reshape(self._channels)
            found["by_gamma"] = narrow
        return found

    def tangents(self) -> Mapping[str, Expectation]:
        """The rates at which y, dx and dgamma change along the directions: the same numbers."""
        second = self.second()
        names = {"by_dy": "y_tangent", "by_x": "dx_tangent", "by_gamma": "dgamma_tangent"}
        return {names[name]: each for name, each in second.items()}

    @property
    def _channels(self) -> int:
        return self.shape[self.axis]

    def _uniform(self, role: str) -> Float64:
        """Multiples of 2^-23 in [-1, 1), each scene's own and the same on every machine."""
        seed = zlib.crc32(f"{self.name}/{role}".encode())
        raw = np.random.PCG64(seed).random_raw(int(np.prod(self.shape)))
        return ((raw >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).reshape(self.shape)

    @cached_property
    def _spread(self) -> Float64:
        return self._uniform("x")

    def _rounded(self, values: Float64) -> Array:
        return values.astype(self.format.numpy)

    def _narrow(self, values: tuple[float, ...]) -> Array:
        return np.array(values[: self._channels], self.format.numpy)

    def _wide(self, values: tuple[float, ...] | Array) -> Float64:
        sizes = [self._channels if axis == self.axis else 1 for axis in range(len(self.shape))]
        return np.asarray(values[: self._channels], np.float64).reshape(sizes)

    def _parameter(self, name: str) -> DoubleDouble | None:
        found = self.parameters.get(name)
        return None if found is None else DoubleDouble(self._wide(found))

    def _statistics(self) -> tuple[DoubleDouble, DoubleDouble]:
        if not self.training:
            narrow = self._narrow(_RUNNING_MEAN), self._narrow(_RUNNING_VAR)
            return DoubleDouble(self._wide(narrow[0])), DoubleDouble(self._wide(narrow[1]))
        x = DoubleDouble(self.x)
        mu = batch_mean(x, self.axes)
        return mu, biased_variance(x, mu, self.axes)

    def _values(self) -> Mapping[str, DoubleDouble]:
        """Exact derivatives, by x, g and gamma."""
        mu, v = self._statistics()
        r = inverse_deviation(v, self.epsilon)
        xhat = normalize(DoubleDouble(self.x), mu, r)
        g, u, axes = DoubleDouble(self.dy), DoubleDouble(self.u), self.axes
        gamma, a, b = map(self._parameter, ("gamma", "gamma_direction", "beta_direction"))
        if self.training:
            return {
                "x": training_second_dx(g, u, xhat, r, gamma, a, axes),
                "g": training_second_dg(u, xhat, r, gamma, a, b, axes),
                "gamma": training_second_dgamma(g, u, xhat, r, axes),
            }
        return {
            "x": inference_second_dx(g, r, a),
            "g": inference_second_dg(u, xhat, r, gamma, a, b),
            "gamma": inference_second_dgamma(g, u, r, axes),
        }

    def _errors(self) -> SecondErrors:
        """The wider of the two classes of variance: an experiment knows no dialect."""
        centred, one_pass = (
            self._errors_of(Precision(accumulation=self.format, algorithm=algorithm))
            for algorithm in (VarianceAlgorithm.TWO_PASS, VarianceAlgorithm.ONE_PASS)
        )
        return SecondErrors(
            by_x=np.maximum(centred.by_x, one_pass.by_x),
            by_g=np.maximum(centred.by_g, one_pass.by_g),
            by_gamma=np.maximum(centred.by_gamma, one_pass.by_gamma),
        )

    def _errors_of(self, precision: Precision) -> SecondErrors:
        zeros = self._wide((0.0,) * self._channels)
        parameters = self.parameters
        given = {name: self._wide(each) for name, each in parameters.items()}
        inputs = Inputs(
            x=self.x.astype(np.float64),
            g=self.dy.astype(np.float64),
            u=self.u.astype(np.float64),
            gamma=given.get("gamma", zeros + 1.0),
            a=given.get("gamma_direction", zeros),
            b=given.get("beta_direction", zeros),
        )
        if self.training:
            return training_second_errors(inputs, self.axes, self.epsilon, precision)
        mu, v = (each.to_float64() for each in self._statistics())
        kept = Statistics(mu=mu, v=v, delta=zeros, e_v=zeros)
        return inference_second_errors(inputs, kept, self.axes, self.epsilon, precision)

    def _expected(self, value: DoubleDouble, error: Float64) -> Expectation:
        bound = rounded(error, value.to_float64(), self.format, self.format)
        return expectation(value, bound, None, self.format)
