"""Second derivatives by PyTorch: ``torch.autograd.grad`` twice, of dual tensors, ``torch.func``.

``torch.func.jvp`` takes pure functions alone, which a module that counts its batches is not;
``torch.autograd.forward_ad`` takes any. Vectorized gradients are those of ``torch.func.jacrev``,
which maps ``torch.func.vmap`` over what ``torch.func.vjp`` gives back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnconform.adapters.second_order.request import Request
from bnconform.adapters.torch_arrays import to_numpy, to_torch
from bnconform.conformance.contract import Array


def observe(torch: Any, forward: Callable[..., Any], asked: Request) -> dict[str, Array]:
    """What ``asked`` wants to see of ``forward(x, *affine)``, a function of tensors."""
    arrays = (asked.x, *asked.affine)
    along = [to_torch(torch, array) for array in (asked.u, *asked.directions)]
    dy = to_torch(torch, asked.dy)
    if asked.vectorized:
        fixed = [to_torch(torch, array) for array in arrays]
        found = _of_vectorized(torch, forward, fixed, along, dy)
        return asked.second([to_numpy(torch, each) for each in found])
    sources = [to_torch(torch, array).requires_grad_() for array in arrays]
    if asked.forward:
        moved = _tangents(torch, forward, sources, along, dy)
        return asked.tangents([to_numpy(torch, each) for each in moved])
    differentiate = _of_tangent if asked.over_forward else _second
    found = differentiate(torch, forward, sources, along, dy.requires_grad_())
    return asked.second([to_numpy(torch, each) for each in found])


def _second(
    torch: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """Gradients of S by x, dy and gamma; zeros where S does not depend on one."""
    y = forward(*sources)
    first = torch.autograd.grad(y, sources, dy, create_graph=True)
    probe = sum((grad * each).sum() for grad, each in zip(first, along, strict=True))
    wanted = [sources[0], dy, *sources[1:2]]
    return torch.autograd.grad(probe, wanted, materialize_grads=True)


def _of_vectorized(
    torch: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """The same, with gradients for dy and for u from one call of ``torch.func.vmap``."""
    func, other = torch.func, along[0]

    def probe(x: Any, dy: Any, *affine: Any) -> Any:
        _, pull = func.vjp(forward, x, *affine)
        first = [rows[0] for rows in func.vmap(pull)(torch.stack([dy, other]))]
        return sum((grad * each).sum() for grad, each in zip(first, along, strict=True))

    # x, dy and, where there is one, gamma.
    places = tuple(range(1 + len(sources[:2])))
    return func.grad(probe, places)(sources[0], dy, *sources[1:])


def _of_tangent(
    torch: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """The same, with S = sum(dy t), t the tangent of y."""
    dual = torch.autograd.forward_ad
    with dual.dual_level():
        moving = [dual.make_dual(each, at) for each, at in zip(sources, along, strict=True)]
        probe = (dual.unpack_dual(forward(*moving)).tangent * dy).sum()
        wanted = [sources[0], dy, *sources[1:2]]
        return torch.autograd.grad(probe, wanted, materialize_grads=True)


def _tangents(
    torch: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """Tangents of y, dx and dgamma; zeros where one does not move."""
    dual = torch.autograd.forward_ad
    with dual.dual_level():
        moving = [dual.make_dual(each, at) for each, at in zip(sources, along, strict=True)]
        y = forward(*moving)
        # Gradients that are not differentiated in reverse again, but forwards.
        first = torch.autograd.grad(y, moving[:2], dy)
        parts = [dual.unpack_dual(each) for each in (y, *first)]
    return [torch.zeros_like(at) if tangent is None else tangent for at, tangent in parts]
