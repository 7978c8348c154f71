"""Second derivatives by JAX, jitted: ``jax.grad`` of ``jax.vjp`` and of ``jax.jvp``, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnconform.adapters.second_order.request import Request
from bnconform.conformance.contract import Array


def observe(jax: Any, forward: Callable[..., Any], asked: Request) -> dict[str, Array]:
    """What ``asked`` wants to see of ``forward(x, *affine)``, a function of JAX arrays."""
    sources, along = (asked.x, *asked.affine), (asked.u, *asked.directions)

    def gradients(dy: Any, *sources: Any) -> Any:
        y, pull = jax.vjp(forward, *sources)
        return (y, *pull(dy))

    def probe(x: Any, dy: Any, *affine: Any) -> Any:
        _, *first = gradients(dy, x, *affine)
        return sum((grad * each).sum() for grad, each in zip(first, along, strict=True))

    def probe_of_vectorized(x: Any, dy: Any, *affine: Any) -> Any:
        _, pull = jax.vjp(forward, x, *affine)
        first = [rows[0] for rows in jax.vmap(pull)(jax.numpy.stack([dy, asked.u]))]
        return sum((grad * each).sum() for grad, each in zip(first, along, strict=True))

    def probe_of_tangent(x: Any, dy: Any, *affine: Any) -> Any:
        return (jax.jvp(forward, (x, *affine), along)[1] * dy).sum()

    def tangents(*sources: Any) -> Any:
        _, moved = jax.jvp(lambda *each: gradients(asked.dy, *each)[:3], sources, along)
        return moved

    if asked.forward:
        return asked.tangents([np.array(each) for each in jax.jit(tangents)(*sources)])
    # x, dy and, where there is one, gamma.
    places = tuple(range(2 + bool(asked.affine)))
    backwards = probe_of_vectorized if asked.vectorized else probe
    scalar = probe_of_tangent if asked.over_forward else backwards
    found = jax.jit(jax.grad(scalar, places))(asked.x, asked.dy, *asked.affine)
    return asked.second([np.array(each) for each in found])
