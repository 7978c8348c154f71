"""Batch normalization in plain NumPy, one small method to each equation.

With x the input, g the upstream gradient, n values per channel and means over the reduction axes

    mu = mean(x),  v = mean((x - mu)^2),  r = (v + epsilon)^(-1/2),  xhat = (x - mu) r,
    y = gamma xhat + beta,  running <- decay running + (1 - decay) batch,
    dx = gamma r (g - mean(g) - xhat mean(g xhat)),  dgamma = sum(g xhat),  dbeta = sum(g),

and in inference the running statistics in place of mu and v, so that dx = gamma r g. Every
miniature with a defect overrides exactly one of the methods below. Nothing is shared with the spec
that judges this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Parameters, Step
from bnconform.conformance.formats import compute_format


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one call computes, in the format that is computed in.

    ``y`` and ``dx`` have the input's shape, the others size 1 on every reduction axis.
    """

    y: Array
    dx: Array
    dgamma: Array
    dbeta: Array


class Layer:
    """Parameters, and state that training replaces and never changes in place."""

    case: Case
    gamma: Array | None
    beta: Array | None
    mean: Array
    var: Array
    updates: int

    # The calls.

    def begin(self, case: Case, parameters: Parameters) -> None:
        """Take over these parameters and this state, in the shapes they come in."""
        self.case, self.updates = case, 0
        self.gamma, self.beta = parameters.gamma, parameters.beta
        self.mean, self.var = self.first_state(parameters)
        self.initial = self.previous = (self.mean, self.var)

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, differentiate through its statistics, update the state."""
        if self.case.mode is Mode.FROZEN:
            return self.frozen(x, dy)
        self.check(x)
        values, g = self.read(x), self.read_upstream(x, dy)
        mu, v = self.statistics(values)
        found = self.by_batch(values, g, mu, v)
        self.updates += 1
        self.previous = (self.mean, self.var)
        self.update(mu, v, self.count(values))
        return self.step(found, x, (mu, v))

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, which stay as they are."""
        values, g = self.read(x), self.read_upstream(x, dy)
        mean, var = self.inference_statistics(values)
        return self.step(self.by_running(values, g, mean, var), x, None)

    def frozen(self, x: Array, dy: Array) -> Step:
        """A training call of a layer that is not trainable."""
        return self.infer(x, dy)

    def check(self, x: Array) -> None:
        """ValueError for an input that has no values to average."""
        if self.count(x) == 0:
            msg = f"cannot normalize an input of shape {x.shape}: no values to average"
            raise ValueError(msg)

    # What is read and what is given out.

    def compute(self) -> np.dtype[Any]:
        """The format that is computed in: float32 for half precision, else the input's."""
        return compute_format(self.case.dtype).numpy

    def read(self, x: Array) -> Array:
        """The input as it is computed with."""
        return x.astype(self.compute())

    def read_upstream(self, x: Array, dy: Array) -> Array:
        """The upstream gradient of ``x`` as it is computed with."""
        del x
        return dy.astype(self.compute())

    def axes(self) -> tuple[int, ...]:
        """The axes that are reduced."""
        return self.case.reduction_axes

    def wide(self, values: Array) -> Array:
        """A parameter or a statistic as it is computed with: size 1 on the reduction axes."""
        return np.expand_dims(values, self.axes()).astype(self.compute())

    def rounded(self, values: Array, dtype: np.dtype[Any]) -> Array:
        """An output or an input gradient in its own format."""
        return values.astype(dtype)

    def kept(self, wide: Array) -> Array:
        """A running statistic as it is kept: in the parameters' format and shape."""
        shaped = wide.reshape(self.case.feature_shape)
        return shaped.astype(self.case.parameter_format.numpy)

    def gradient(self, wide: Array) -> Array:
        """A gradient of a parameter, in its own format and shape."""
        return self.kept(wide)

    def exposed(self, wide: Array) -> Array:
        """A batch statistic as it is shown."""
        shaped = wide.reshape(self.case.feature_shape)
        return shaped.astype(compute_format(self.case.dtype).numpy)

    def step(self, found: Found, x: Array, batch: tuple[Array, Array] | None) -> Step:
        """The answer to a call on ``x``; ``batch`` holds mu and v where they were taken."""
        return Step(
            y=self.rounded(found.y, x.dtype),
            batch_mean=None if batch is None else self.exposed(batch[0]),
            batch_var=None if batch is None else self.exposed(batch[1]),
            running_mean=self.mean,
            running_var=self.var,
            dx=self.rounded(found.dx, x.dtype),
            dgamma=None if self.gamma is None else self.gradient(found.dgamma),
            dbeta=None if self.beta is None else self.gradient(found.dbeta),
        )

    # Statistics.

    def count(self, x: Array) -> int:
        """n."""
        return self.case.count(x.shape)

    def total(self, values: Array) -> Array:
        """The sum over the reduction axes, kept with size 1."""
        summed: Array = values.sum(self.axes(), keepdims=True)
        return summed

    def average(self, values: Array) -> Array:
        """The mean over the reduction axes, kept with size 1."""
        found: Array = self.total(values) / self.compute().type(self.count(values))
        return found

    def times(self, a: Array, b: Array) -> Array:
        """The product, element by element."""
        product: Array = a * b
        return product

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """mu and v."""
        mu = self.batch_mean(x)
        return mu, self.batch_variance(x, mu)

    def batch_mean(self, x: Array) -> Array:
        """mu = mean(x)."""
        return self.average(x)

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """v = mean((x - mu)^2)."""
        return self.average(np.square(x - mu))

    def epsilon(self) -> float:
        """What is added to the variance."""
        return self.case.epsilon

    def inverse_deviation(self, v: Array) -> Array:
        """r = (v + epsilon)^(-1/2)."""
        r: Array = 1 / np.sqrt(v + self.epsilon())
        return r

    # Output.

    def by_batch(self, x: Array, g: Array, mu: Array, v: Array) -> Found:
        """A call that normalizes by the batch."""
        r = self.inverse_deviation(self.normalizing_variance(x, v))
        xhat = self.normalized(x, mu, r)
        return Found(
            y=self.output(x, mu, r),
            dx=self.dx(g, xhat, r),
            dgamma=self.dgamma(g, x, mu, r),
            dbeta=self.dbeta(g),
        )

    def by_running(self, x: Array, g: Array, mean: Array, var: Array) -> Found:
        """A call that normalizes by the running statistics, which are constants."""
        r = self.inverse_deviation(var)
        return Found(
            y=self.output(x, mean, r),
            dx=self.inference_dx(x, g, r),
            dgamma=self.dgamma(g, x, mean, r),
            dbeta=self.dbeta(g),
        )

    def normalizing_variance(self, x: Array, v: Array) -> Array:
        """The variance that normalizes the batch ``x``."""
        del x
        return v

    def normalized(self, x: Array, mu: Array, r: Array) -> Array:
        """xhat = (x - mu) r."""
        return self.times(x - mu, r)

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """y = gamma xhat + beta."""
        return self.shifted(self.scaled(self.normalized(x, mu, r)))

    def scaled(self, xhat: Array) -> Array:
        """gamma xhat."""
        return xhat if self.gamma is None else self.times(xhat, self.wide(self.gamma))

    def shifted(self, values: Array) -> Array:
        """``values`` + beta."""
        return values if self.beta is None else values + self.wide(self.beta)

    # State.

    def first_state(self, parameters: Parameters) -> tuple[Array, Array]:
        """The running mean and variance that the layer starts from."""
        return parameters.running_mean, parameters.running_var

    def decay(self) -> float:
        """The weight of the old value; that of a plain average where the case has none."""
        return 1 - 1 / self.updates if self.case.decay is None else self.case.decay

    def update(self, mu: Array, v: Array, n: int) -> None:
        """Take a batch of n values per channel into the running statistics."""
        self.mean = self.updated_mean(mu)
        self.var = self.updated_variance(self.averaged_variance(v, n))

    def averaged_variance(self, v: Array, n: int) -> Array:
        """The variance that enters the running average."""
        del n
        return v

    def moved(self, old: Array, value: Array) -> Array:
        """decay old + (1 - decay) value, as it is kept."""
        decay = self.decay()
        return self.kept(decay * self.wide(old) + (1 - decay) * value)

    def updated_mean(self, mu: Array) -> Array:
        """The running mean after a batch of mean ``mu``."""
        return self.moved(self.mean, mu)

    def updated_variance(self, v: Array) -> Array:
        """The running variance after a batch of variance ``v``."""
        return self.moved(self.var, v)

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        """The mean and the variance that normalize ``x`` in inference."""
        del x
        return self.wide(self.mean), self.wide(self.var)

    # Gradients.

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """gamma r (g - mean(g) - xhat mean(g xhat))."""
        return self.scaled(r * (g - self.mean_term(g) - self.variance_term(g, xhat)))

    def mean_term(self, g: Array) -> Array:
        """mean(g): what flows through the mean."""
        return self.average(g)

    def variance_term(self, g: Array, xhat: Array) -> Array:
        """xhat mean(g xhat): what flows through the variance."""
        return xhat * self.average(self.times(g, xhat))

    def inference_dx(self, x: Array, g: Array, r: Array) -> Array:
        """gamma r g."""
        del x
        return self.scaled(r * g)

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """sum(g xhat)."""
        return self.total(self.times(g, self.normalized(x, mu, r)))

    def dbeta(self, g: Array) -> Array:
        """sum(g)."""
        return self.total(g)
