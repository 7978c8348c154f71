"""Makes that PyTorch and JAX compute, with their own automatic differentiation."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
from implementations import Three, TwoPass, Values


class _Library(TwoPass):
    """The forward pass as one would write it; everything else follows by differentiation."""

    epsilon: Any = None

    def array(self, values: Values) -> Any:
        """``values`` as the library's own array."""
        raise NotImplementedError

    def root(self, values: Any) -> Any:
        """Square root."""
        raise NotImplementedError

    def pull(self, forward: Any, arguments: tuple[Any, ...], g: Any) -> tuple[Any, ...]:
        """Gradients of sum(forward(*arguments) g)."""
        raise NotImplementedError

    def forward(self, w: Values | None) -> Any:
        """y of x, gamma and beta, with the batch's statistics."""
        weights = None if w is None else self.array(w)

        def statistics(x: Any) -> tuple[Any, Any]:
            each = 1.0 / x.shape[1] if weights is None else weights / weights.sum()
            mean = (x * each).sum(1)[:, None]
            d = x - mean
            return mean, (d * d * each).sum(1)[:, None]

        def y(x: Any, gamma: Any, beta: Any) -> Any:
            mean, var = statistics(x)
            return (x - mean) / self.root(var + self.epsilon) * gamma + beta

        self.statistics = statistics
        return y

    def moments(self, x: Values, w: Values | None = None) -> tuple[Values, Values]:
        """Mean and biased variance."""
        self.forward(w)
        mean, var = self.statistics(self.array(x))
        return np.array(mean), np.array(var)

    def inverse(self, var: Values, epsilon: Values) -> Values:
        """r."""
        self.epsilon = float(epsilon)
        return super().inverse(var, epsilon)

    def gradients(
        self, x: Values, g: Values, mean: Values, r: Values, gamma: Values, w: Values | None = None
    ) -> Three:
        """dx, dgamma and dbeta."""
        del mean, r
        arguments = self.array(x), self.array(gamma), self.array(np.zeros_like(gamma))
        found = self.pull(self.forward(w), arguments, self.array(g))
        dx, dgamma, dbeta = (np.array(each) for each in found)
        return dx, dgamma, dbeta


class Torch(_Library):
    """PyTorch's sums and autograd."""

    def __init__(self) -> None:
        """Import torch."""
        self.torch = importlib.import_module("torch")

    def array(self, values: Values) -> Any:
        """A tensor."""
        return self.torch.from_numpy(np.array(values))

    def root(self, values: Any) -> Any:
        """Square root."""
        return self.torch.sqrt(values)

    def pull(self, forward: Any, arguments: tuple[Any, ...], g: Any) -> tuple[Any, ...]:
        """Gradients by autograd."""
        leaves = [each.requires_grad_() for each in arguments]
        found: tuple[Any, ...] = self.torch.autograd.grad(forward(*leaves), leaves, g)
        return found


class Jax(_Library):
    """JAX's sums and its vector-Jacobian product."""

    def __init__(self) -> None:
        """Import jax, with float64."""
        self.jax = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)  # noqa: FBT003 -- jax takes it by position

    def array(self, values: Values) -> Any:
        """An array of the same format."""
        return self.jax.numpy.asarray(values)

    def root(self, values: Any) -> Any:
        """Square root."""
        return self.jax.numpy.sqrt(values)

    def pull(self, forward: Any, arguments: tuple[Any, ...], g: Any) -> tuple[Any, ...]:
        """Gradients by reverse differentiation."""
        found: tuple[Any, ...] = self.jax.vjp(forward, *arguments)[1](g)
        return found


def library_makes() -> dict[str, type[TwoPass]]:
    """The makes whose library is installed."""
    offered: dict[str, tuple[str, type[TwoPass]]] = {
        "two-pass, torch autograd": ("torch", Torch),
        "two-pass, jax.vjp": ("jax", Jax),
    }
    return {
        name: make
        for name, (library, make) in offered.items()
        if importlib.util.find_spec(library) is not None
    }
