"""NumPy, straightforwardly: the smallest adapter, and the one to copy.

Plain formulae in the case's own precision (half inputs in float32), two-pass variance, biased
running variance. It shares no code with the spec that judges it.
"""

from __future__ import annotations

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType

_HERE = "this file"


class NumpyReference:
    """Batch normalization in plain NumPy."""

    name = "numpy.reference"
    framework = "numpy"
    environment: dict[str, str] = {}
    dialect = Dialect(
        momentum=Claim(MomentumSense.DECAY, _HERE),
        default_momentum=Claim(None, _HERE),
        default_epsilon=Claim(None, _HERE),
        epsilon_floor=Claim(0.0, _HERE),
        running_variance=Claim(RunningVariance.BIASED, _HERE),
        variance=Claim(VarianceAlgorithm.TWO_PASS, _HERE),
        single_value=Claim(Policy.COMPUTES, _HERE),
        empty_batch=Claim(Policy.REJECTS, _HERE),
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _HERE),
        half_output=Claim(HalfOutput.INPUT, _HERE),
    )
    capabilities = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity),
        cumulative=True,
    )

    def __init__(self) -> None:
        """Import NumPy, as every adapter imports its framework here."""
        import numpy as np

        self.np = np
        self.version = np.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer that keeps its state in this process."""
        return _Layer(self.np, case, parameters)


class _Layer:
    def __init__(self, np, case: Case, parameters: Parameters) -> None:
        self.np, self.case = np, case
        self.compute = parameters.running_mean.dtype
        self.wide = [
            size if axis in case.channel_axes else 1 for axis, size in enumerate(case.shape)
        ]
        one, zero = np.ones((), self.compute), np.zeros((), self.compute)
        self.gamma = one if parameters.gamma is None else parameters.gamma.reshape(self.wide)
        self.beta = zero if parameters.beta is None else parameters.beta.reshape(self.wide)
        self.mean = parameters.running_mean.copy()
        self.var = parameters.running_var.copy()
        self.updates = 0

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, update the state, differentiate through the statistics."""
        if self.case.mode is Mode.FROZEN:
            return self.infer(x, dy)
        np, axes = self.np, self.case.reduction_axes
        n = self.case.count(x.shape)
        if n == 0:
            msg = f"cannot normalize an input of shape {x.shape}: no values to average"
            raise ValueError(msg)
        x_wide, g = x.astype(self.compute), dy.astype(self.compute)
        mean = x_wide.mean(axis=axes, keepdims=True)
        centred = x_wide - mean
        var = np.square(centred).mean(axis=axes, keepdims=True)
        xhat = centred / np.sqrt(var + self.compute.type(self.case.epsilon))
        dgamma = (g * xhat).sum(axis=axes, keepdims=True)
        dbeta = g.sum(axis=axes, keepdims=True)
        r = 1 / np.sqrt(var + self.compute.type(self.case.epsilon))
        dx = self.gamma * r * (g - dbeta / n - xhat * (dgamma / n))
        self._update(mean, var)
        return self._step(x, xhat, dx, dgamma, dbeta, mean, var)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, which stay as they are."""
        np, axes = self.np, self.case.reduction_axes
        r = 1 / np.sqrt(self.var.reshape(self.wide) + self.compute.type(self.case.epsilon))
        xhat = (x.astype(self.compute) - self.mean.reshape(self.wide)) * r
        g = dy.astype(self.compute)
        dgamma = (g * xhat).sum(axis=axes, keepdims=True)
        dbeta = g.sum(axis=axes, keepdims=True)
        return self._step(x, xhat, self.gamma * r * g, dgamma, dbeta, None, None)

    def _update(self, mean: Array, var: Array) -> None:
        self.updates += 1
        keep = 1 - 1 / self.updates if self.case.decay is None else self.case.decay
        old, new = self.compute.type(keep), self.compute.type(1 - keep)
        self.mean = old * self.mean + new * mean.reshape(self.mean.shape)
        self.var = old * self.var + new * var.reshape(self.var.shape)

    def _step(
        self,
        x: Array,
        xhat: Array,
        dx: Array,
        dgamma: Array,
        dbeta: Array,
        mean: Array | None,
        var: Array | None,
    ) -> Step:
        shape = self.case.feature_shape
        return Step(
            y=(self.gamma * xhat + self.beta).astype(x.dtype),
            batch_mean=None if mean is None else mean.reshape(shape),
            batch_var=None if var is None else var.reshape(shape),
            running_mean=self.mean.copy(),
            running_var=self.var.copy(),
            dx=dx.astype(x.dtype),
            dgamma=dgamma.reshape(shape) if self.case.scale else None,
            dbeta=dbeta.reshape(shape) if self.case.center else None,
        )
