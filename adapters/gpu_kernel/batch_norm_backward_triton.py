"""The Triton kernels of the backward pass; ``batch_norm_triton`` says how both passes work."""

from __future__ import annotations

import triton.language as tl

from .batch_norm_triton import channel_sum, divide, jit, locate, part, row_sum, whole


@part
def _input_gradient(
    g: tl.tensor,
    xhat: tl.tensor,
    scale: tl.tensor,
    dgamma: tl.tensor,
    dbeta: tl.tensor,
    n: tl.tensor,
    TRAINING: tl.constexpr,
) -> tl.tensor:
    """dx = scale (g - dbeta / n - xhat dgamma / n) when TRAINING, else scale g."""
    dx = g
    if TRAINING:
        count = tl.full(dgamma.shape, n, dgamma.dtype)
        g_mean = divide(dbeta, count)
        g_xhat_mean = divide(dgamma, count)
        dx = g - g_mean[:, None, None] - xhat * g_xhat_mean[:, None, None]
    return dx * scale[:, None, None]


@jit
def backward_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    dy_ptr: tl.tensor,  # (outer, channels, inner), by dy_outer, dy_channel, dy_inner
    dx_ptr: tl.tensor,  # (outer, channels, inner), by dx_outer, dx_channel, dx_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    mean_ptr: tl.tensor,  # (channels,), as the forward pass saved it
    r_ptr: tl.tensor,  # (channels,), as the forward pass saved it
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
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    TRAINING: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """dgamma = sum g xhat and dbeta = sum g, with g = dy and xhat = (x - mu) r; and dx.

    For channels that fit into a tile.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = whole(outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
    dy_at = dy_ptr + (c_tile * dy_channel + o * dy_outer + i * dy_inner)
    mean = tl.load(mean_ptr + c, mask=owned, other=0)
    r = tl.load(r_ptr + c, mask=owned, other=0)
    x = tl.load(x_at, mask=mask, other=0).to(mean.dtype)
    g = tl.load(dy_at, mask=mask, other=0).to(mean.dtype)
    xhat = (x - mean[:, None, None]) * r[:, None, None]
    # A masked g is 0, but its (0 - mean) r may have overflowed, and 0 times that is NaN.
    dgamma = channel_sum(tl.where(mask, g * xhat, 0))
    dbeta = channel_sum(g)
    tl.store(dgamma_ptr + c, dgamma, mask=owned)
    tl.store(dbeta_ptr + c, dbeta, mask=owned)
    scale = r
    if gamma_ptr is not None:
        scale = r * tl.load(gamma_ptr + c, mask=owned, other=0)
    dx = _input_gradient(g, xhat, scale, dgamma, dbeta, outer * inner, TRAINING)
    dx_at = dx_ptr + (c_tile * dx_channel + o * dx_outer + i * dx_inner)
    tl.store(dx_at, dx, mask=mask)


@jit
def products_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    dy_ptr: tl.tensor,  # (outer, channels, inner), by dy_outer, dy_channel, dy_inner
    mean_ptr: tl.tensor,  # (channels,)
    r_ptr: tl.tensor,  # (channels,)
    products_ptr: tl.tensor,  # (channels, tiles), written
    sums_ptr: tl.tensor,  # (channels, tiles), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    dy_outer: tl.tensor,
    dy_channel: tl.tensor,
    dy_inner: tl.tensor,
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    tiles: tl.tensor,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """Each tile's sum of g xhat and sum of g."""
    blocks = (channels + BLOCK_C - 1) // BLOCK_C
    tile = tl.program_id(0) // blocks
    c = (tl.program_id(0) % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = locate(tile, outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
    dy_at = dy_ptr + (c_tile * dy_channel + o * dy_outer + i * dy_inner)
    mean = tl.load(mean_ptr + c, mask=owned, other=0)
    r = tl.load(r_ptr + c, mask=owned, other=0)
    x = tl.load(x_at, mask=mask, other=0).to(mean.dtype)
    g = tl.load(dy_at, mask=mask, other=0).to(mean.dtype)
    xhat = (x - mean[:, None, None]) * r[:, None, None]
    at = c.to(tl.int64) * tiles + tile
    # As in backward_kernel: 0 times an overflow is NaN.
    tl.store(products_ptr + at, channel_sum(tl.where(mask, g * xhat, 0)), mask=owned)
    tl.store(sums_ptr + at, channel_sum(g), mask=owned)


@jit
def merge_sums_kernel(
    products_ptr: tl.tensor,  # (channels, tiles)
    sums_ptr: tl.tensor,  # (channels, tiles)
    dgamma_ptr: tl.tensor,  # (channels,), written
    dbeta_ptr: tl.tensor,  # (channels,), written
    channels: tl.tensor,
    tiles: tl.tensor,
    MERGE_C: tl.constexpr,
    MERGE_T: tl.constexpr,
) -> None:
    """dgamma and dbeta: the sums over a channel's tiles."""
    c = tl.program_id(0) * MERGE_C + tl.arange(0, MERGE_C)
    owned = c < channels
    row = c.to(tl.int64)[:, None] * tiles
    dgamma = tl.full([MERGE_C, MERGE_T], 0, dgamma_ptr.dtype.element_ty)
    dbeta = tl.full([MERGE_C, MERGE_T], 0, dgamma_ptr.dtype.element_ty)
    for start in range(0, tiles, MERGE_T):
        t = (start + tl.arange(0, MERGE_T))[None, :]
        mask = owned[:, None] & (t < tiles)
        dgamma += tl.load(products_ptr + row + t, mask=mask, other=0)
        dbeta += tl.load(sums_ptr + row + t, mask=mask, other=0)
    tl.store(dgamma_ptr + c, row_sum(dgamma), mask=owned)
    tl.store(dbeta_ptr + c, row_sum(dbeta), mask=owned)


@jit
def input_gradient_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    dy_ptr: tl.tensor,  # (outer, channels, inner), by dy_outer, dy_channel, dy_inner
    dx_ptr: tl.tensor,  # (outer, channels, inner), by dx_outer, dx_channel, dx_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    mean_ptr: tl.tensor,  # (channels,)
    r_ptr: tl.tensor,  # (channels,)
    dgamma_ptr: tl.tensor,  # (channels,)
    dbeta_ptr: tl.tensor,  # (channels,)
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    dy_outer: tl.tensor,
    dy_channel: tl.tensor,
    dy_inner: tl.tensor,
    dx_outer: tl.tensor,
    dx_channel: tl.tensor,
    dx_inner: tl.tensor,
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    TRAINING: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """dx of a tile by the sums over all of its channels."""
    blocks = (channels + BLOCK_C - 1) // BLOCK_C
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    tile = program // blocks
    c = (program % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = locate(tile, outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    dy_at = dy_ptr + (c_tile * dy_channel + o * dy_outer + i * dy_inner)
    mean = tl.load(mean_ptr + c, mask=owned, other=0)
    r = tl.load(r_ptr + c, mask=owned, other=0)
    g = tl.load(dy_at, mask=mask, other=0, eviction_policy="evict_first").to(mean.dtype)
    xhat = g
    if TRAINING:
        x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
        x = tl.load(x_at, mask=mask, other=0, eviction_policy="evict_first").to(mean.dtype)
        xhat = (x - mean[:, None, None]) * r[:, None, None]
    scale = r
    if gamma_ptr is not None:
        scale = r * tl.load(gamma_ptr + c, mask=owned, other=0)
    dgamma = tl.load(dgamma_ptr + c, mask=owned, other=0)
    dbeta = tl.load(dbeta_ptr + c, mask=owned, other=0)
    dx = _input_gradient(g, xhat, scale, dgamma, dbeta, outer * inner, TRAINING)
    dx_at = dx_ptr + (c_tile * dx_channel + o * dx_outer + i * dx_inner)
    tl.store(dx_at, dx, mask=mask, eviction_policy="evict_first")
