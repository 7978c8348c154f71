"""NumPy, straightforwardly: the smallest adapter, and the one to copy.

Plain formulae in the case's own precision (half in float32), two-pass variance, biased running
variance. It shares no code with the spec that judges it. Its variants, which an adapter may do
without, are in ``numpy_variants.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bnconform.adapters.numpy_variants import VARIANTS, NumpyVariant
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
    GhostGroups,
    HalfGradient,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType, compute_format
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import VariantKind

_HERE = "adapters/numpy_reference.py: "


class NumpyReference:
    """Batch normalization in plain NumPy."""

    name: ClassVar[str] = "numpy.reference"
    framework: ClassVar[str] = "numpy"
    environment: ClassVar[dict[str, str]] = {}
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _HERE + "train weighs the old value by decay"),
        default_momentum=Claim(None, _HERE + "decay comes with every case"),
        default_epsilon=Claim(None, _HERE + "epsilon comes with every case"),
        epsilon_floor=Claim(0.0, _HERE + "_call adds epsilon as it is"),
        running_variance=Claim(RunningVariance.BIASED, _HERE + "train averages v itself"),
        variance=Claim(VarianceAlgorithm.TWO_PASS, _HERE + "train takes mean((x - mu)^2)"),
        single_value=Claim(Policy.COMPUTES, _HERE + "train asks for one value"),
        empty_batch=Claim(Policy.REJECTS, _HERE + "train raises ValueError"),
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _HERE + "train hands over to infer"),
        half_output=Claim(HalfOutput.INPUT, _HERE + "_call casts y at the end"),
        half_gradient=Claim(HalfGradient.ONCE, _HERE + "_call casts dx at the end"),
        ghost_groups=Claim(
            GhostGroups.CONTIGUOUS, "adapters/numpy_variants.py: _Ghost cuts the batch in slices"
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity),
        cumulative=True,
        passes_on=frozenset(Malformation),
        variants=frozenset(VariantKind),
        half_parameters=True,
    )

    def __init__(self) -> None:
        """Import NumPy, as every adapter imports its framework here."""
        import numpy as np

        self.np = np
        self.version: str = np.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer | NumpyVariant:
        """A layer that starts from these parameters and this state; ValueError if none can."""
        _check_settings(case, parameters)
        if case.variant.kind in VARIANTS:
            return VARIANTS[case.variant.kind](case, parameters)
        return _Layer(self.np, case, parameters)


class _Layer:
    """The parameters, and the state that training replaces and never changes in place."""

    def __init__(self, np: Any, case: Case, parameters: Parameters) -> None:
        self.np, self.case, self.parameters = np, case, parameters
        self.mean, self.var = parameters.running_mean, parameters.running_var
        self.compute = compute_format(case.dtype).numpy
        self.updates = 0

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, differentiate through its statistics, update the state."""
        if self.case.mode is Mode.FROZEN:
            return self.infer(x, dy)
        _check_input(self.case, x)
        axes = self.case.reduction_axes
        if self.case.count(x.shape) == 0:
            msg = f"cannot normalize an input of shape {x.shape}: no values to average"
            raise ValueError(msg)
        mu = x.astype(self.compute).mean(axes, keepdims=True)
        v = self.np.square(x.astype(self.compute) - mu).mean(axes, keepdims=True)
        self.updates += 1
        decay = 1 - 1 / self.updates if self.case.decay is None else self.case.decay
        self.mean = self._kept(decay * self._wide(self.mean) + (1 - decay) * mu)
        self.var = self._kept(decay * self._wide(self.var) + (1 - decay) * v)
        return self._call(x, dy, mu, v, by_batch=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, which stay as they are."""
        _check_input(self.case, x)
        return self._call(x, dy, self._wide(self.mean), self._wide(self.var), by_batch=False)

    def _wide(self, values: Array) -> Array:
        """``values`` with size 1 on every reduction axis, so that it broadcasts against x."""
        wide: Array = self.np.expand_dims(values, self.case.reduction_axes)
        return wide.astype(self.compute)

    def _kept(self, wide: Array) -> Array:
        """``wide`` as it is kept: in the parameters' format, which may be half precision."""
        return wide.reshape(self.case.feature_shape).astype(self.case.parameter_format.numpy)

    def _call(self, x: Array, dy: Array, mu: Array, v: Array, *, by_batch: bool) -> Step:
        """y = gamma xhat + beta with xhat = (x - mu) r, and the gradients of sum(y dy)."""
        np, axes, shape = self.np, self.case.reduction_axes, self.case.feature_shape
        gamma, beta = self.parameters.gamma, self.parameters.beta
        g = dy.astype(self.compute)
        r = 1 / np.sqrt(v + self.case.epsilon)
        xhat = (x.astype(self.compute) - mu) * r
        dgamma, dbeta = (g * xhat).sum(axes, keepdims=True), g.sum(axes, keepdims=True)
        through = (dbeta + xhat * dgamma) / self.case.count(x.shape) if by_batch else 0
        y, dx = xhat, r * (g - through)
        if gamma is not None:
            y, dx = y * self._wide(gamma), dx * self._wide(gamma)
        if beta is not None:
            y = y + self._wide(beta)
        return Step(
            y=y.astype(x.dtype),
            batch_mean=mu.reshape(shape) if by_batch else None,
            batch_var=v.reshape(shape) if by_batch else None,
            running_mean=self.mean,
            running_var=self.var,
            dx=dx.astype(x.dtype),
            dgamma=None if gamma is None else self._kept(dgamma),
            dbeta=None if beta is None else self._kept(dbeta),
        )


def _check_settings(case: Case, parameters: Parameters) -> None:
    """Say which setting cannot be, as every framework should."""
    rank, axes, problem = case.rank, case.feature_axes, ""
    if any(not -rank <= axis < rank for axis in axes) or len(set(case.channel_axes)) < len(axes):
        problem = f"axes must be different and in [-{rank}, {rank}), got {axes}"
    elif case.epsilon < 0:
        problem = f"epsilon must not be negative, got {case.epsilon}"
    elif case.decay is not None and not 0 <= case.decay <= 1:
        problem = f"decay must be in [0, 1], got {case.decay}"
    else:
        for name, value in vars(parameters).items():
            if value is not None and value.shape != case.feature_shape:
                problem = f"{name} must have shape {case.feature_shape}, got {value.shape}"
    if problem:
        raise ValueError(problem)


def _check_input(case: Case, x: Array) -> None:
    """Say what is wrong with an input that the layer was not made for."""
    channels = None
    if x.ndim == case.rank:
        channels = tuple(x.shape[axis] for axis in case.channel_axes)
    if channels != case.feature_shape or x.dtype.kind in "iub":
        msg = (
            f"the input must be real, of rank {case.rank} and of size {case.feature_shape} on axes"
            f" {case.channel_axes}, got {x.dtype} of shape {x.shape}"
        )
        raise ValueError(msg)
