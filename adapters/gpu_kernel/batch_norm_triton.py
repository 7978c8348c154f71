"""The Triton kernels: batch norm forward and backward over an (outer, channels, inner) array.

A program owns BLOCK_C channels and walks their n = outer * inner values in blocks of BLOCK_N, so a
sum has one owner and one order: no atomics, and the same bits at every run. A tile of partial sums
is kept and reduced once at the end. Statistics are in the format of ``mean_ptr``, whatever x is.

Importing this module imports Triton, which reads TRITON_INTERPRET at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

# Triton has no types; with this one, a type checker still sees the kernels as functions.
jit: Callable[[Callable[..., Any]], Any] = triton.jit


@jit
def _locate(start: tl.tensor, n: tl.tensor, inner: tl.tensor, BLOCK_N: tl.constexpr) -> Any:
    """The next BLOCK_N of a channel's n values: their outer index, inner index, and j < n.

    All of shape (1, BLOCK_N). The division is in 32 bits, which a GPU needs fewer instructions for,
    and offsets in 64, because a whole array may be larger than 2^31.
    """
    j = (start + tl.arange(0, BLOCK_N))[None, :]
    return (j // inner).to(tl.int64), (j % inner).to(tl.int64), j < n


@jit
def _divide(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """a / b for equal shapes, correctly rounded in their format.

    ``/`` is approximate in float32, and ``div_rn`` knows no float64, where ``/`` rounds correctly.
    """
    return tl.div_rn(a, b) if a.dtype == tl.float32 else a / b


@jit
def _inverse_deviation(var: tl.tensor, epsilon: tl.tensor) -> tl.tensor:
    """r = (v + epsilon)^(-1/2), each operation correctly rounded in the format of v.

    ``tl.sqrt`` is approximate in float32, and ``sqrt_rn`` knows no float64.
    """
    shifted = var + tl.full(var.shape, epsilon, var.dtype)
    root = tl.sqrt_rn(shifted) if var.dtype == tl.float32 else tl.sqrt(shifted)
    return _divide(tl.full(var.shape, 1.0, var.dtype), root)


@jit
def forward_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    y_ptr: tl.tensor,  # (outer, channels, inner), by y_outer, y_channel, y_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    beta_ptr: tl.tensor,  # (channels,) or None
    running_mean_ptr: tl.tensor,  # (channels,), updated when TRAINING
    running_var_ptr: tl.tensor,  # (channels,), updated when TRAINING
    mean_ptr: tl.tensor,  # (channels,), written
    var_ptr: tl.tensor,  # (channels,), written
    r_ptr: tl.tensor,  # (channels,), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    y_outer: tl.tensor,
    y_channel: tl.tensor,
    y_inner: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    n: tl.tensor,
    epsilon: tl.float64,  # unannotated, a float arrives rounded to float32
    decay: tl.float64,
    TRAINING: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """y = gamma (x - mu) r + beta, with mu and v of the batch (TRAINING) or the running ones.

    mu = sum x / n; v = sum (x - mu)^2 / n, in a second pass over x;
    running <- decay running + (1 - decay) batch. Stores mu, v and r = (v + epsilon)^(-1/2).
    """
    real = mean_ptr.dtype.element_ty
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    count = tl.full([BLOCK_C], n, real)
    x_channels = x_ptr + (c.to(tl.int64) * x_channel)[:, None]
    y_channels = y_ptr + (c.to(tl.int64) * y_channel)[:, None]

    mean = tl.load(running_mean_ptr + c, mask=owned, other=0)
    var = tl.load(running_var_ptr + c, mask=owned, other=0)
    if TRAINING:
        total = tl.zeros([BLOCK_C, BLOCK_N], real)
        for start in range(0, n, BLOCK_N):
            o, i, inside = _locate(start, n, inner, BLOCK_N)
            mask = owned[:, None] & inside
            x = tl.load(x_channels + (o * x_outer + i * x_inner), mask=mask, other=0)
            total += x.to(real)
        batch_mean = _divide(tl.sum(total, 1), count)

        total = tl.zeros([BLOCK_C, BLOCK_N], real)
        for start in range(0, n, BLOCK_N):
            o, i, inside = _locate(start, n, inner, BLOCK_N)
            mask = owned[:, None] & inside
            x = tl.load(x_channels + (o * x_outer + i * x_inner), mask=mask, other=0)
            d = x.to(real) - batch_mean[:, None]
            # A masked value was read as 0, so its d is -mean and has to be dropped again.
            total += tl.where(mask, d * d, 0)
        batch_var = _divide(tl.sum(total, 1), count)

        old = tl.full([BLOCK_C], decay, real)
        new = tl.full([BLOCK_C], 1.0 - decay, real)
        tl.store(running_mean_ptr + c, old * mean + new * batch_mean, mask=owned)
        tl.store(running_var_ptr + c, old * var + new * batch_var, mask=owned)
        mean = batch_mean
        var = batch_var

    r = _inverse_deviation(var, epsilon)
    tl.store(mean_ptr + c, mean, mask=owned)
    tl.store(var_ptr + c, var, mask=owned)
    tl.store(r_ptr + c, r, mask=owned)
    for start in range(0, n, BLOCK_N):
        o, i, inside = _locate(start, n, inner, BLOCK_N)
        mask = owned[:, None] & inside
        x = tl.load(x_channels + (o * x_outer + i * x_inner), mask=mask, other=0)
        y = (x.to(real) - mean[:, None]) * r[:, None]
        if gamma_ptr is not None:
            y = y * tl.load(gamma_ptr + c, mask=owned, other=0)[:, None]
        if beta_ptr is not None:
            y = y + tl.load(beta_ptr + c, mask=owned, other=0)[:, None]
        tl.store(y_channels + (o * y_outer + i * y_inner), y, mask=mask)


@jit
def backward_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    dy_ptr: tl.tensor,  # (outer, channels, inner), by dy_outer, dy_channel, dy_inner
    dx_ptr: tl.tensor,  # (outer, channels, inner), by dx_outer, dx_channel, dx_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    mean_ptr: tl.tensor,  # (channels,), as the forward kernel saved it
    r_ptr: tl.tensor,  # (channels,), as the forward kernel saved it
    dgamma_ptr: tl.tensor,  # (channels,), written
    dbeta_ptr: tl.tensor,  # (channels,), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    dy_outer: tl.tensor,
    dy_channel: tl.tensor,
    dy_inner: tl.tensor,
    dx_outer: tl.tensor,
    dx_channel: tl.tensor,
    dx_inner: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    n: tl.tensor,
    TRAINING: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """dgamma = sum g xhat and dbeta = sum g, with g = dy and xhat = (x - mu) r; and dx.

    dx = gamma r (g - dbeta / n - xhat dgamma / n) when TRAINING, else dx = gamma r g.
    """
    real = mean_ptr.dtype.element_ty
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    count = tl.full([BLOCK_C], n, real)
    x_channels = x_ptr + (c.to(tl.int64) * x_channel)[:, None]
    dy_channels = dy_ptr + (c.to(tl.int64) * dy_channel)[:, None]
    dx_channels = dx_ptr + (c.to(tl.int64) * dx_channel)[:, None]
    mean = tl.load(mean_ptr + c, mask=owned, other=0)
    r = tl.load(r_ptr + c, mask=owned, other=0)

    gamma_sum = tl.zeros([BLOCK_C, BLOCK_N], real)
    beta_sum = tl.zeros([BLOCK_C, BLOCK_N], real)
    for start in range(0, n, BLOCK_N):
        o, i, inside = _locate(start, n, inner, BLOCK_N)
        mask = owned[:, None] & inside
        x = tl.load(x_channels + (o * x_outer + i * x_inner), mask=mask, other=0)
        g = tl.load(dy_channels + (o * dy_outer + i * dy_inner), mask=mask, other=0).to(real)
        # A masked g is 0, but its (0 - mean) r may have overflowed, and 0 times that is NaN.
        gamma_sum += tl.where(mask, g * ((x.to(real) - mean[:, None]) * r[:, None]), 0)
        beta_sum += g
    dgamma = tl.sum(gamma_sum, 1)
    dbeta = tl.sum(beta_sum, 1)
    tl.store(dgamma_ptr + c, dgamma, mask=owned)
    tl.store(dbeta_ptr + c, dbeta, mask=owned)

    scale = r
    if gamma_ptr is not None:
        scale = r * tl.load(gamma_ptr + c, mask=owned, other=0)
    g_mean = _divide(dbeta, count)
    g_xhat_mean = _divide(dgamma, count)
    for start in range(0, n, BLOCK_N):
        o, i, inside = _locate(start, n, inner, BLOCK_N)
        mask = owned[:, None] & inside
        dx = tl.load(dy_channels + (o * dy_outer + i * dy_inner), mask=mask, other=0).to(real)
        if TRAINING:
            x = tl.load(x_channels + (o * x_outer + i * x_inner), mask=mask, other=0)
            xhat = (x.to(real) - mean[:, None]) * r[:, None]
            dx = dx - g_mean[:, None] - xhat * g_xhat_mean[:, None]
        tl.store(dx_channels + (o * dx_outer + i * dx_inner), dx * scale[:, None], mask=mask)
