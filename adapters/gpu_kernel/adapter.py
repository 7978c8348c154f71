"""Our Triton kernel as a subject: on a GPU if there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Axes, Capabilities, Parameters, Quantity, Step
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
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.malformation import Malformation

_SOURCE = "adapters/gpu_kernel/launcher.py docstring"
_INTERPRET = "TRITON_INTERPRET"


def kernel_dialect(source: str) -> Dialect:
    """The conventions that all kernels of ours follow; ``source`` is where theirs are promised."""
    return Dialect(
        momentum=Claim(MomentumSense.DECAY, source),
        default_momentum=Claim(None, source),
        default_epsilon=Claim(None, source),
        epsilon_floor=Claim(0.0, source),
        running_variance=Claim(RunningVariance.BIASED, source),
        variance=Claim(VarianceAlgorithm.WELFORD, source),
        single_value=Claim(Policy.COMPUTES, source),
        empty_batch=Claim(Policy.REJECTS, source),
        frozen=Claim(FrozenPolicy.NONE, source),
        half_output=Claim(HalfOutput.INPUT, source),
    )


def kernel_capabilities(source: str) -> Capabilities:
    """What all kernels of ours can be asked."""
    return Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_ONE,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity),
        cumulative=False,
        # The launchers take one axis.
        passes_on=frozenset(Malformation) - {Malformation.AXIS_REPEATED},
        notes={
            "axes": f"{source}: one feature axis",
            "modes": f"{source}: training or not, no other mode",
            "cumulative": f"{source}: decay is a number",
        },
    )


class TritonKernel:
    """The kernels of ``batch_norm_triton`` through ``launcher``."""

    name: ClassVar[str] = "gpu.triton"
    framework: ClassVar[str] = "triton"
    # Whether Triton interprets depends on the machine, so the constructor decides.
    environment: ClassVar[Mapping[str, str]] = {}
    dialect: ClassVar[Dialect] = kernel_dialect(_SOURCE)
    capabilities: ClassVar[Capabilities] = kernel_capabilities(_SOURCE)

    def __init__(self) -> None:
        """Import torch and Triton, interpreted where there is no GPU to compile for."""
        import torch

        if not torch.cuda.is_available() and os.environ.get(_INTERPRET) != "1":
            if "triton" in sys.modules:
                msg = f"triton was imported before {_INTERPRET}=1 was set, and there is no GPU"
                raise ImportError(msg)
            os.environ[_INTERPRET] = "1"
        import triton

        from . import launcher

        interpreted = os.environ.get(_INTERPRET) == "1"
        self.torch, self.launcher = torch, launcher
        self.version: str = triton.__version__
        self.placement = torch.device("cpu" if interpreted else "cuda")
        self.device = "cpu (triton interpreter)" if interpreted else torch.cuda.get_device_name()

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer that keeps its state on the device."""
        return _Layer(self, case, parameters)

    def to_device(self, array: Array, *, copy: bool = False) -> Any:
        """A tensor with the array's values and strides; shares its memory on the CPU by default."""
        torch = self.torch
        if array.dtype == FORMATS[DType.BFLOAT16].numpy:
            shared = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        else:
            shared = torch.from_numpy(array)
        if self.placement.type == "cpu" and not copy:
            return shared
        # Tensor.to would close the gaps of a strided array, and its layout is part of the case.
        placed = torch.empty_strided(
            shared.shape, shared.stride(), dtype=shared.dtype, device=self.placement
        )
        return placed.copy_(shared)

    def to_numpy(self, tensor: Any, shape: tuple[int, ...]) -> Array:
        """The tensor's values as an array of ``shape``, detached from the device."""
        host = tensor.cpu().reshape(shape)
        if host.dtype == self.torch.bfloat16:
            bits: Array = host.view(self.torch.int16).numpy()
            return bits.view(FORMATS[DType.BFLOAT16].numpy)
        values: Array = host.numpy()
        return values


class _Layer:
    def __init__(self, adapter: TritonKernel, case: Case, parameters: Parameters) -> None:
        self.adapter, self.case = adapter, case
        given = (parameters.gamma, parameters.beta)
        self.gamma, self.beta = (None if p is None else adapter.to_device(p) for p in given)
        self.mean = adapter.to_device(parameters.running_mean, copy=True)
        self.var = adapter.to_device(parameters.running_var, copy=True)

    def train(self, x: Array, dy: Array) -> Step:
        """Call the kernels with batch statistics."""
        return self._call(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call the kernels with running statistics."""
        return self._call(x, dy, training=False)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        adapter, case = self.adapter, self.case
        x_device, dy_device = adapter.to_device(x), adapter.to_device(dy)
        axis, shape = case.feature_axes[0], case.feature_shape
        # The interpreter computes in NumPy, which warns of every infinity and NaN; a GPU does not.
        with np.errstate(all="ignore"):
            out = adapter.launcher.forward(
                x_device, self.gamma, self.beta, self.mean, self.var,
                axis=axis, epsilon=case.epsilon, decay=case.decay, training=training,
            )  # fmt: skip
            grad = adapter.launcher.backward(
                x_device, dy_device, self.gamma, out, axis=axis, training=training
            )
        return Step(
            y=adapter.to_numpy(out.y, x.shape),
            batch_mean=adapter.to_numpy(out.mean, shape) if training else None,
            batch_var=adapter.to_numpy(out.var, shape) if training else None,
            running_mean=adapter.to_numpy(self.mean, shape).copy(),
            running_var=adapter.to_numpy(self.var, shape).copy(),
            dx=adapter.to_numpy(grad.dx, x.shape),
            dgamma=adapter.to_numpy(grad.dgamma, shape) if case.scale else None,
            dbeta=adapter.to_numpy(grad.dbeta, shape) if case.center else None,
        )
