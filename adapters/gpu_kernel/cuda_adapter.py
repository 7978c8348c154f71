"""Our CUDA C++ kernels as two subjects: on a GPU, and the same source emulated on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from bnconform.conformance.contract import Capabilities
from bnconform.conformance.dialect import Dialect
from bnconform.conformance.formats import DType

from .adapter import TritonKernel, kernel_capabilities, kernel_dialect
from .cuda.library import VERSION, Target, load

_SOURCE = "adapters/gpu_kernel/cuda/launcher.py docstring"
_SHARED = kernel_capabilities(_SOURCE)


class CudaKernel(TritonKernel):
    """The kernels of ``cuda/batch_norm.cu`` on a GPU; layers are those of the Triton adapter."""

    name: ClassVar[str] = "gpu.cuda"
    framework: ClassVar[str] = "cuda kernel"
    environment: ClassVar[Mapping[str, str]] = {}
    dialect: ClassVar[Dialect] = kernel_dialect(_SOURCE)
    capabilities: ClassVar[Capabilities] = replace(
        _SHARED,
        dtypes=_SHARED.dtypes - {DType.FLOAT64},
        notes={**_SHARED.notes, "dtypes": f"{_SOURCE}: float64 is not compiled"},
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
