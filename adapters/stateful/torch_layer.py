"""PyTorch's modules with their life: modes, momentum, ``state_dict``, ``reset_running_stats``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

from bnconform.adapters.torch_arrays import is_variable, to_leaf, to_numpy, to_torch
from bnconform.adapters.torch_module import TorchModule
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class TorchLayer:
    """``torch.nn.BatchNorm1d``, ``2d`` and ``3d``, all operations."""

    name: ClassVar[str] = "torch.module"
    environment: ClassVar[Mapping[str, str]] = TorchModule.environment
    dialect: ClassVar[Dialect] = TorchModule.dialect
    capabilities: ClassVar[Capabilities] = TorchModule.capabilities
    declines: ClassVar[Mapping[str, str]] = {}
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5, 0.0, 1.0, None)

    def __init__(self) -> None:
        """Import torch; ImportError where it is absent."""
        import torch

        self.torch = torch

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A fresh module, its parameters and buffers loaded."""
        torch, nn = self.torch, self.torch.nn
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        values = {
            "weight": parameters.gamma,
            "bias": parameters.beta,
            "running_mean": parameters.running_mean,
            "running_var": parameters.running_var,
        }
        tensors = {name: to_torch(torch, v) for name, v in values.items() if v is not None}
        module = kind[case.rank](
            case.feature_shape[0],
            eps=case.epsilon,
            momentum=_rate(case.decay),
            dtype=tensors["running_mean"].dtype,
        )
        module.load_state_dict(module.state_dict() | tensors)
        return Layer(torch, module)


def _rate(decay: float | None) -> float | None:
    """PyTorch's momentum weighs the new value."""
    return None if decay is None else 1.0 - decay


class Layer:
    """A module; frozen, it is kept in evaluation mode whatever the rest of a model does."""

    def __init__(self, torch: Any, module: Any) -> None:
        """Hold a module in training mode, as PyTorch makes it."""
        self.torch, self.module = torch, module
        self.training, self.frozen = True, False

    def train(self, x: Array, dy: Array) -> Step:
        """``module.train()``, then call."""
        self.set_mode(training=True)
        return self.call(x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        """``module.eval()``, then call."""
        self.set_mode(training=False)
        return self.call(x, dy)

    def call(self, x: Array, dy: Array) -> Step:
        """Call the module and differentiate by what asks for its gradient."""
        torch, leaf = self.torch, to_leaf(self.torch, x)
        y = self.module(leaf)
        named = {"dx": leaf, "dgamma": self.module.weight, "dbeta": self.module.bias}
        sources = {name: source for name, source in named.items() if is_variable(source)}
        grads = torch.autograd.grad(y, list(sources.values()), to_torch(torch, dy))
        found = dict(zip(sources, grads, strict=True)) | {"y": y}
        return Step(**{name: to_numpy(torch, tensor) for name, tensor in found.items()})

    def set_mode(self, *, training: bool) -> None:
        """``module.train(...)``, but for a frozen module."""
        self.training = training
        self.module.train(training and not self.frozen)

    def set_decay(self, decay: float | None) -> None:
        """Another ``momentum``, which the next call reads."""
        self.module.momentum = _rate(decay)

    def freeze(self, *, frozen: bool) -> None:
        """Evaluation mode and no ``requires_grad``."""
        self.frozen = frozen
        self.module.requires_grad_(not frozen)
        self.set_mode(training=self.training)

    def reset(self) -> None:
        """``reset_running_stats()``."""
        self.module.reset_running_stats()

    def save(self) -> bytes:
        """``torch.save`` of the ``state_dict``."""
        buffer = io.BytesIO()
        self.torch.save(self.module.state_dict(), buffer)
        return buffer.getvalue()

    def load(self, saved: bytes) -> None:
        """``load_state_dict``."""
        self.module.load_state_dict(self.torch.load(io.BytesIO(saved), weights_only=True))

    def state(self) -> Mapping[str, Array]:
        """The whole ``state_dict``."""
        tensors = self.module.state_dict().items()
        return {name: to_numpy(self.torch, tensor) for name, tensor in tensors}
