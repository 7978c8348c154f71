"""PyTorch's function on a GPU: once where it calls cuDNN, once by PyTorch's own kernels alone.

Which of the two a call takes is PyTorch's choice, by format, shape and parameters
(``_select_batch_norm_backend``). The subject for cuDNN answers only what cuDNN computes, and says
of the rest that PyTorch does not call it; the other subject has cuDNN switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from bnconform.adapters.torch_arrays import THREADS, is_variable, to_numpy, to_torch
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    Array,
    Capabilities,
    Parameters,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    SavedStatistics,
    VarianceAlgorithm,
)
from bnconform.conformance.variant import VariantKind

_CHOICE = "aten/src/ATen/native/Normalization.cpp, _select_batch_norm_backend: "
_CALL = "aten/src/ATen/native/cudnn/BatchNorm.cpp: "
_KERNEL = "aten/src/ATen/native/cuda/Normalization.cuh: "


class TorchCuda:
    """``torch.nn.functional.batch_norm`` on a GPU with cuDNN switched off."""

    name: ClassVar[str] = "torch.cuda"
    framework: ClassVar[str] = "torch"
    gpu: ClassVar[bool] = True
    environment: ClassVar[dict[str, str]] = THREADS
    cudnn: ClassVar[bool] = False
    dialect: ClassVar[Dialect] = replace(
        TorchFunctional.dialect,
        variance=Claim(
            VarianceAlgorithm.WELFORD, _KERNEL + "WelfordOps, merged between threads and blocks"
        ),
        saved_statistics=Claim(
            SavedStatistics.ACCUMULATION, _KERNEL + "save_mean has the accumulation format"
        ),
    )
    # Second derivatives are the CPU subject's: here the kernels are looked at.
    capabilities: ClassVar[Capabilities] = replace(
        TorchFunctional.capabilities, experiments=frozenset()
    )

    def __init__(self, device: str = "cuda") -> None:
        """Import torch; ImportError where it is absent, or where it has no such ``device``."""
        import torch

        self.torch, self.placement = torch, torch.device(device)
        self.version: str = torch.__version__
        self.device = device
        if self.placement.type == "cuda":
            if not torch.cuda.is_available():
                msg = f"torch {self.version} finds no GPU"
                raise ImportError(msg)
            self.device = torch.cuda.get_device_name(self.placement)

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold the parameters and the running statistics on the device."""
        return _Layer(self, case, parameters)

    def check(self, tensors: Mapping[str, Any], *, training: bool, epsilon: float) -> None:
        """Raise :class:`UnsupportedError` where this subject's kernels would not be called."""

    def flags(self) -> AbstractContextManager[None]:
        """Within it PyTorch may call cuDNN, or must not."""
        cudnn = self.torch.backends.cudnn
        found: AbstractContextManager[None] = cudnn.flags(enabled=self.cudnn)
        return found


class TorchCudnn(TorchCuda):
    """``torch.nn.functional.batch_norm`` on a GPU, where it calls cuDNN."""

    name: ClassVar[str] = "torch.cudnn"
    cudnn: ClassVar[bool] = True
    dialect: ClassVar[Dialect] = replace(
        TorchCuda.dialect,
        epsilon_floor=Claim(
            0.0,
            "cudnn.h: CUDNN_BN_MIN_EPSILON is 0.0 since cuDNN 7.5 and was 1e-5 before; "
            + _CHOICE
            + "below it cuDNN is not called",
        ),
        variance=Claim(
            VarianceAlgorithm.WELFORD,
            "assumed: cuDNN documents the result, not the algorithm; "
            + _CALL
            + "training uses CUDNN_BATCHNORM_SPATIAL_PERSISTENT for rank 4 and 5 channels last, "
            "else CUDNN_BATCHNORM_SPATIAL, and CUDNN_BATCHNORM_PER_ACTIVATION for rank 2",
        ),
        saved_statistics=Claim(
            SavedStatistics.ACCUMULATION,
            _CALL + "save_mean and save_var have the format of weight, float32 for half input",
        ),
    )
    capabilities: ClassVar[Capabilities] = replace(
        TorchCuda.capabilities,
        variants=frozenset({VariantKind.PLAIN, VariantKind.UNTRACKED}),
        notes={
            **TorchCuda.capabilities.notes,
            "variants": _CHOICE + "both running statistics, or neither in training",
        },
    )

    def __init__(self, device: str = "cuda") -> None:
        """Import torch; ImportError where it is absent or has no GPU or no cuDNN."""
        super().__init__(device)
        cudnn = self.torch.backends.cudnn
        if self.placement.type == "cuda":
            if not cudnn.is_available():
                msg = f"torch {self.version} was built without cuDNN"
                raise ImportError(msg)
            self.device = f"{self.device}, cuDNN {cudnn.version()}"

    def check(self, tensors: Mapping[str, Any], *, training: bool, epsilon: float) -> None:
        """Ask PyTorch which kernels it would call, and refuse all others than cuDNN's."""
        found = self.backend(tensors, training=training, epsilon=epsilon)
        if found != "Cudnn":
            msg = f"PyTorch does not call cuDNN here: {_CHOICE}{found}"
            raise UnsupportedError(msg)

    def backend(self, tensors: Mapping[str, Any], *, training: bool, epsilon: float) -> str:
        """The name of the backend that PyTorch would choose."""
        x, weight, bias = (tensors[name] for name in ("x", "weight", "bias"))
        if weight is None or bias is None:
            return "Native"  # the question takes tensors alone, and cuDNN needs both
        # Whether both statistics are given or neither makes no difference to the choice.
        state = (weight if tensors[name] is None else tensors[name] for name in ("mean", "var"))
        ask = self.torch._C._select_batch_norm_backend  # noqa: SLF001 - nothing public tells
        return str(ask(x, weight, bias, *state, training, epsilon)).rpartition(".")[2]


class _Layer:
    """Tensors on the device; the function writes into the running statistics."""

    def __init__(self, adapter: TorchCuda, case: Case, parameters: Parameters) -> None:
        self.adapter, self.case = adapter, case
        self.untracked = case.variant.kind is VariantKind.UNTRACKED
        statistics = (parameters.running_mean, parameters.running_var)
        self.mean, self.var = (
            None if self.untracked else self.place(each).clone() for each in statistics
        )
        self.affine = {
            name: None if value is None else self.place(value).clone().requires_grad_()
            for name, value in (("weight", parameters.gamma), ("bias", parameters.beta))
        }
        # None comes outside training alone, where the rate is not used.
        self.rate = 0.1 if case.decay is None else 1.0 - case.decay

    def place(self, array: Array) -> Any:
        """The array's values and strides on the device: ``to`` would close the gaps."""
        torch, host = self.adapter.torch, to_torch(self.adapter.torch, array)
        placed = torch.empty_strided(
            host.shape, host.stride(), dtype=host.dtype, device=self.adapter.placement
        )
        return placed.copy_(host)

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch; the running statistics are updated in place."""
        return self._call(x, dy, training=self.case.mode is Mode.TRAIN)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, or by the batch where there are none."""
        return self._call(x, dy, training=self.untracked)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        adapter, axis = self.adapter, self.case.channel_axes[0]
        leaf = self.place(x)
        if leaf.is_floating_point():
            leaf.requires_grad_()
        with adapter.flags():
            moved = leaf.movedim(axis, 1)
            given = {"x": moved, "mean": self.mean, "var": self.var, **self.affine}
            adapter.check(given, training=training, epsilon=self.case.epsilon)
            y = adapter.torch.nn.functional.batch_norm(
                moved, self.mean, self.var, **self.affine,
                training=training, momentum=self.rate, eps=self.case.epsilon,
            ).movedim(1, axis)  # fmt: skip
            return self._step(leaf, y, self.place(dy))

    def _step(self, leaf: Any, y: Any, upstream: Any) -> Step:
        torch = self.adapter.torch
        named = {"dx": leaf, "dgamma": self.affine["weight"], "dbeta": self.affine["bias"]}
        wanted = {name: each for name, each in named.items() if is_variable(each)}
        grads = torch.autograd.grad(y, list(wanted.values()), upstream)
        return Step(
            y=to_numpy(torch, y),
            running_mean=None if self.mean is None else to_numpy(torch, self.mean),
            running_var=None if self.var is None else to_numpy(torch, self.var),
            **{name: to_numpy(torch, grad) for name, grad in zip(wanted, grads, strict=True)},
        )
