"""Our CUDA C++ kernels as two subjects: on a GPU, and the same source emulated on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bnconform.conformance.case import Mode
from bnconform.conformance.contract import Axes, Capabilities, Quantity
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
from bnconform.conformance.malformation import Malformation

from .adapter import TritonKernel
from .cuda.library import VERSION, Target, load

_SOURCE = "adapters/gpu_kernel/cuda/launcher.py docstring"


class CudaKernel(TritonKernel):
    """The kernels of ``cuda/batch_norm.cu`` on a GPU; layers are those of the Triton adapter."""

    name: ClassVar[str] = "gpu.cuda"
    framework: ClassVar[str] = "cuda kernel"
    environment: ClassVar[Mapping[str, str]] = {}
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _SOURCE),
        default_momentum=Claim(None, _SOURCE),
        default_epsilon=Claim(None, _SOURCE),
        epsilon_floor=Claim(0.0, _SOURCE),
        running_variance=Claim(RunningVariance.BIASED, _SOURCE),
        variance=Claim(VarianceAlgorithm.WELFORD, _SOURCE),
        single_value=Claim(Policy.COMPUTES, _SOURCE),
        empty_batch=Claim(Policy.REJECTS, _SOURCE),
        frozen=Claim(FrozenPolicy.NONE, _SOURCE),
        half_output=Claim(HalfOutput.INPUT, _SOURCE),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType) - {DType.FLOAT64},
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_ONE,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity),
        cumulative=False,
        # The launcher takes one axis.
        passes_on=frozenset(Malformation) - {Malformation.AXIS_REPEATED},
        notes={
            "dtypes": f"{_SOURCE}: float64 is not compiled",
            "axes": f"{_SOURCE}: one feature axis",
            "modes": f"{_SOURCE}: training or not, no other mode",
            "cumulative": f"{_SOURCE}: decay is a number",
        },
    )
    target: ClassVar[Target] = Target.GPU

    def __init__(self) -> None:
        """Import torch, and build or find the library; ImportError says what is missing."""
        import torch

        if self.target is Target.GPU and not torch.cuda.is_available():
            msg = "gpu.cuda needs an NVIDIA GPU that torch can use, and there is none"
            raise ImportError(msg)
        library = load(self.target)

        from .cuda.launcher import Launcher

        self.torch: Any = torch
        self.launcher: Any = Launcher(library)
        self.version: str = VERSION
        self.placement = torch.device(self.launcher.tensors_on)
        self.device = self._device_name()

    def _device_name(self) -> str:
        name: str = self.torch.cuda.get_device_name()
        return name


class CudaKernelEmulated(CudaKernel):
    """The same source compiled by g++, every GPU thread a fiber: no statement about any GPU."""

    name: ClassVar[str] = "gpu.cuda.emulated"
    gpu: ClassVar[bool] = False
    target: ClassVar[Target] = Target.EMULATED

    def _device_name(self) -> str:
        return "cpu (CPU emulation of the same source)"
