"""PyTorch's modules, ``torch.nn.BatchNorm1d``, ``2d`` and ``3d``, with autograd."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from bnconform.adapters.torch_arrays import to_numpy, to_torch
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Claim, Dialect, FrozenPolicy

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html"
_EVAL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html: eval()"


class TorchModule:
    """The module, which keeps its running statistics and calls the function."""

    name: ClassVar[str] = "torch.module"
    framework: ClassVar[str] = "torch"
    environment: ClassVar[dict[str, str]] = {}
    dialect: ClassVar[Dialect] = replace(
        TorchFunctional.dialect,
        default_momentum=Claim(0.1, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        # PyTorch has no mark on the layer: a batch norm is frozen by putting it, alone, into
        # evaluation mode while the rest of the model trains.
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _EVAL),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=TorchFunctional.capabilities.dtypes,
        ranks=TorchFunctional.capabilities.ranks,
        axes=TorchFunctional.capabilities.axes,
        modes=frozenset(Mode),
        quantities=TorchFunctional.capabilities.quantities,
        cumulative=True,
        partial_affine=False,
        notes={
            "axes": "channels are dimension 1; another one is moved there as a view",
            "partial_affine": "affine switches both parameters",
        },
    )

    def __init__(self) -> None:
        """Import torch; ImportError where it is absent."""
        import torch

        self.torch = torch
        self.version: str = torch.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The module for the case's rank, its parameters and buffers loaded."""
        torch = self.torch
        kinds = {
            2: torch.nn.BatchNorm1d,
            3: torch.nn.BatchNorm1d,
            4: torch.nn.BatchNorm2d,
            5: torch.nn.BatchNorm3d,
        }
        running_mean = to_torch(torch, parameters.running_mean)
        module = kinds[case.rank](
            case.feature_shape[0],
            eps=case.epsilon,
            momentum=None if case.decay is None else 1.0 - case.decay,
            affine=parameters.gamma is not None,
            dtype=running_mean.dtype,
        )
        with torch.no_grad():
            module.running_mean.copy_(running_mean)
            module.running_var.copy_(to_torch(torch, parameters.running_var))
            if parameters.gamma is not None and parameters.beta is not None:
                module.weight.copy_(to_torch(torch, parameters.gamma))
                module.bias.copy_(to_torch(torch, parameters.beta))
        return _Layer(torch, case, module)


class _Layer:
    def __init__(self, torch: Any, case: Case, module: Any) -> None:
        self.torch, self.case, self.module = torch, case, module

    def train(self, x: Array, dy: Array) -> Step:
        """Call in training mode, or in evaluation mode where the case freezes the layer."""
        self.module.train(self.case.mode is not Mode.FROZEN)
        return self._call(x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call in evaluation mode."""
        self.module.eval()
        return self._call(x, dy)

    def _call(self, x: Array, dy: Array) -> Step:
        axis, module = self.case.channel_axes[0], self.module
        leaf = to_torch(self.torch, x).requires_grad_()
        y = module(leaf.movedim(axis, 1)).movedim(1, axis)
        sources = [leaf, *module.parameters()]
        grads = self.torch.autograd.grad(y, sources, to_torch(self.torch, dy))
        dx, dgamma, dbeta = (*grads, None, None)[:3]
        return Step(
            y=to_numpy(self.torch, y),
            running_mean=to_numpy(self.torch, module.running_mean),
            running_var=to_numpy(self.torch, module.running_var),
            dx=to_numpy(self.torch, dx),
            dgamma=None if dgamma is None else to_numpy(self.torch, dgamma),
            dbeta=None if dbeta is None else to_numpy(self.torch, dbeta),
        )
