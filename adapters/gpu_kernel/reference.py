"""The same two calls in plain torch: what the kernels are compared with, and what both return.

Formulae as in the kernels, one tensor operation each, in the format of the running statistics:
give float64 tensors for a float64 reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Forward:
    """``y`` of x's shape; the ``mean``, biased ``var`` and ``r`` that it used, each (channels,)."""

    y: Tensor
    mean: Tensor
    var: Tensor
    r: Tensor


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """``dx`` of x's shape; ``dgamma`` and ``dbeta`` (channels,), also where there was neither."""

    dx: Tensor
    dgamma: Tensor
    dbeta: Tensor


def forward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    axis: int,
    epsilon: float,
    decay: float,
    training: bool,
) -> Forward:
    """y = gamma (x - mu) (v + epsilon)^(-1/2) + beta; training updates the running statistics."""
    wide, axes = x.to(running_mean.dtype), _reduction_axes(x, axis)
    mean, var = running_mean.clone(), running_var.clone()
    if training:
        mean = wide.mean(axes)
        var = (wide - _along(mean, x, axis)).square().mean(axes)
        running_mean.mul_(decay).add_(mean, alpha=1 - decay)
        running_var.mul_(decay).add_(var, alpha=1 - decay)
    r = 1 / torch.sqrt(var + epsilon)
    y = (wide - _along(mean, x, axis)) * _along(r, x, axis)
    if gamma is not None:
        y = y * _along(gamma, x, axis)
    if beta is not None:
        y = y + _along(beta, x, axis)
    return Forward(y=y.to(x.dtype), mean=mean, var=var, r=r)


def backward(
    x: Tensor,
    dy: Tensor,
    gamma: Tensor | None,
    saved: Forward,
    *,
    axis: int,
    training: bool,
) -> Gradients:
    """dgamma = sum g xhat, dbeta = sum g, dx = gamma r (g - dbeta / n - xhat dgamma / n).

    Without ``training`` the statistics are constants, and dx = gamma r g.
    """
    axes = _reduction_axes(x, axis)
    g = dy.to(saved.mean.dtype)
    xhat = (x.to(g.dtype) - _along(saved.mean, x, axis)) * _along(saved.r, x, axis)
    dgamma, dbeta = (g * xhat).sum(axes), g.sum(axes)
    dx = g
    if training:
        n = x.numel() // x.shape[axis]
        dx = g - _along(dbeta / n, x, axis) - xhat * _along(dgamma / n, x, axis)
    scale = saved.r if gamma is None else gamma * saved.r
    return Gradients(dx=(dx * _along(scale, x, axis)).to(x.dtype), dgamma=dgamma, dbeta=dbeta)


def _reduction_axes(x: Tensor, axis: int) -> list[int]:
    return [other for other in range(x.ndim) if other != axis % x.ndim]


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """(channels,) values in a shape that broadcasts along ``axis`` of ``x``."""
    shape = [1] * x.ndim
    shape[axis] = -1
    return values.reshape(shape)
