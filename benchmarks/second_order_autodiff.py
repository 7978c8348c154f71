"""Second derivatives by the automatic differentiation of libraries.

They differentiate forwards as one would write them: centred, one-pass or folded.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from second_order_makes import Call, Three


def _forward(style: str, root: Callable[[Any], Any], call: Call) -> Callable[..., Any]:
    """y of x, gamma and beta by a centred, one-pass or folded forward."""

    def y(x: Any, gamma: Any, beta: Any) -> Any:
        mean, var = call.mean, call.var
        if mean is None:
            mean = x.mean(1)[:, None]
            d = x - mean
            square = (x * x).mean(1)[:, None] - mean * mean
            var = square if style == "one-pass" else (d * d).mean(1)[:, None]
        r = 1 / root(var + call.epsilon)
        if style == "folded":
            return x * (gamma * r) + (beta - gamma * r * mean)
        return gamma * ((x - mean) * r) + beta

    return y


@dataclass(frozen=True)
class Torch:
    """PyTorch's autograd, twice."""

    style: str

    @property
    def one_pass(self) -> bool:
        """Whether its variance is E[x^2] - E[x]^2."""
        return self.style == "one-pass"

    def __call__(self, call: Call) -> Three:
        """By x, g and gamma."""
        torch = importlib.import_module("torch")
        t = _converted(call, torch.tensor)
        sources = [each.requires_grad_() for each in (t.x, t.gamma, torch.zeros_like(t.gamma))]
        g = t.g.requires_grad_()
        y = _forward(self.style, torch.sqrt, t)(*sources)
        first = torch.autograd.grad(y, sources, g, create_graph=True)
        along = (t.u, t.a, t.b)
        probe = sum((d * each).sum() for d, each in zip(first, along, strict=True))
        found = torch.autograd.grad(probe, [sources[0], g, sources[1]])
        by_x, by_g, by_gamma = (each.numpy() for each in found)
        return by_x, by_g, by_gamma


@dataclass(frozen=True)
class JaxForwardOverReverse:
    """``jax.jvp`` of ``jax.vjp``: the tangents of dx and dgamma, and the tangent of y."""

    style: str

    @property
    def one_pass(self) -> bool:
        """Whether its variance is E[x^2] - E[x]^2."""
        return self.style == "one-pass"

    def __call__(self, call: Call) -> Three:
        """By x, g and gamma."""
        jax = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)  # noqa: FBT003 -- jax takes it by position
        t = _converted(call, jax.numpy.asarray)
        forward = _forward(self.style, jax.numpy.sqrt, t)

        def gradients(*sources: Any) -> Any:
            y, pull = jax.vjp(forward, *sources)
            return (y, *pull(t.g))

        sources, along = (t.x, t.gamma, t.gamma * 0), (t.u, t.a, t.b)
        _, (y, dx, dgamma, _) = jax.jvp(gradients, sources, along)
        return np.array(dx), np.array(y), np.array(dgamma)


def _converted(call: Call, convert: Callable[[Any], Any]) -> Call:
    arrays = {
        field.name: convert(getattr(call, field.name))
        for field in fields(call)
        if isinstance(getattr(call, field.name), np.ndarray)
    }
    return replace(call, **arrays)


def library_makes() -> dict[str, Callable[[Call], Three]]:
    """Automatic differentiation by the libraries that are installed."""
    kinds = {"torch": ("torch, twice", Torch), "jax": ("jax, jvp of vjp", JaxForwardOverReverse)}
    return {
        f"{words}, {style}": make(style)
        for library, (words, make) in kinds.items()
        if importlib.util.find_spec(library) is not None
        for style in ("centred", "one-pass", "folded")
    }
