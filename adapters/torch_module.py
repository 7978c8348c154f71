"""PyTorch's modules, ``torch.nn.BatchNorm1d``, ``2d`` and ``3d``, with autograd."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from bnconform.adapters.exports import torch_folding
from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.second_order import torch_second
from bnconform.adapters.torch_arrays import THREADS, is_variable, to_leaf, to_numpy, to_torch
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step, UnsupportedError
from bnconform.conformance.dialect import Claim, Dialect, FrozenPolicy
from bnconform.conformance.variant import VariantKind

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html"


class TorchModule:
    """The module, which keeps its running statistics and calls the function."""

    name: ClassVar[str] = "torch.module"
    framework: ClassVar[str] = "torch"
    environment: ClassVar[dict[str, str]] = THREADS
    dialect: ClassVar[Dialect] = replace(
        TorchFunctional.dialect,
        default_momentum=Claim(0.1, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        # No mark on the module: a frozen batch norm is one in evaluation mode while the rest of the
        # model trains. Its parameters keep requires_grad, so that their gradients can be compared.
        frozen=Claim(
            FrozenPolicy.RUNNING_STATISTICS,
            _DOCS + ": running estimates 'are then used for normalization during evaluation'",
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=TorchFunctional.capabilities.dtypes,
        ranks=TorchFunctional.capabilities.ranks,
        axes=TorchFunctional.capabilities.axes,
        modes=frozenset(Mode),
        quantities=TorchFunctional.capabilities.quantities,
        cumulative=True,
        passes_on=TorchFunctional.capabilities.passes_on,
        variants=frozenset({VariantKind.PLAIN, VariantKind.UNTRACKED}),
        half_parameters=True,
        experiments=second_order.NAMES | torch_folding.NAMES,
        notes={
            "axes": "channels are dimension 1; another axis is moved there as a view",
            "partial_affine": _DOCS + ": bias=False leaves gamma alone; nothing leaves beta alone",
            "quantities": "the module returns no batch statistics",
            "variants": "untracked is track_running_stats=False; SyncBatchNorm takes no CPU tensor:"
            " 'expected input tensor to be on GPU or XPU'; there is no other",
        },
    )

    def __init__(self) -> None:
        """Import torch; ImportError where it is absent."""
        import torch

        self.torch = torch
        self.version: str = torch.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The module for the case's rank, its parameters and buffers loaded.

        :class:`UnsupportedError` where the module cannot have just this one of gamma and beta.
        """
        torch, nn = self.torch, self.torch.nn
        kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        kind = kinds[case.rank]
        module = kind(
            case.feature_shape[0],
            eps=case.epsilon,
            momentum=None if case.decay is None else 1.0 - case.decay,
            track_running_stats=case.variant.kind is not VariantKind.UNTRACKED,
            # Half precision for all of them is what .half() and .bfloat16() give.
            dtype=to_torch(torch, parameters.running_mean).dtype,
            **_affine(kind, case),
        )
        values = {"weight": parameters.gamma, "bias": parameters.beta}
        if module.track_running_stats:
            values["running_mean"] = parameters.running_mean
            values["running_var"] = parameters.running_var
        state = {name: to_torch(torch, v) for name, v in values.items() if v is not None}
        module.load_state_dict(module.state_dict() | state)
        return _Layer(torch, case, module)

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of a module, called as a function of its parameters; its ways out."""
        if experiment in torch_folding.NAMES:
            return torch_folding.observe(self.torch, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        layer = self.build(asked.case, asked.parameters)
        layer.module.train(asked.training)

        def forward(x: Any, *affine: Any) -> Any:
            named = dict(zip(("weight", "bias"), affine, strict=False))
            if asked.vectorized:
                # torch.func lets a function write into its own tensors alone.
                named |= {name: each.clone() for name, each in layer.module.named_buffers()}
            return layer.output(x, named)

        return torch_second.observe(self.torch, forward, asked)


def _affine(kind: Any, case: Case) -> dict[str, bool]:
    """The arguments that switch gamma and beta on or off; defaults are left out."""
    if case.scale == case.center:
        return {"affine": case.scale}
    if case.center:
        msg = "affine=False switches gamma off with beta, and no argument switches off gamma alone"
        raise UnsupportedError(msg)
    if "bias" not in inspect.signature(kind).parameters:
        msg = "this version has no argument bias, and affine switches gamma and beta together"
        raise UnsupportedError(msg)
    return {"bias": False}


class _Layer:
    """A module, called in the mode that the case asks for."""

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

    def output(self, x: Any, affine: Mapping[str, Any]) -> Any:
        """The output for a tensor; what ``affine`` names stands in for the module's own."""
        axis, module = self.case.channel_axes[0], self.module
        moved = x if axis == 1 else x.movedim(axis, 1)
        y = (
            self.torch.func.functional_call(module, dict(affine), (moved,))
            if affine
            else module(moved)
        )
        return y if axis == 1 else y.movedim(1, axis)

    def _call(self, x: Array, dy: Array) -> Step:
        torch, module = self.torch, self.module
        leaf = to_leaf(torch, x)
        y = self.output(leaf, {})
        parameters = {"dgamma": module.weight, "dbeta": module.bias}
        sources = {"dx": leaf} | parameters
        sources = {name: source for name, source in sources.items() if is_variable(source)}
        grads = torch.autograd.grad(y, list(sources.values()), to_torch(torch, dy))
        mean, var = module.running_mean, module.running_var
        return Step(
            y=to_numpy(torch, y),
            running_mean=None if mean is None else to_numpy(torch, mean),
            running_var=None if var is None else to_numpy(torch, var),
            **{name: to_numpy(torch, grad) for name, grad in zip(sources, grads, strict=True)},
        )
