"""The Triton kernels: batch norm forward and backward over an (outer, channels, inner) array.

A program takes one tile of BLOCK_C channels by BLOCK_O by BLOCK_I values and holds it in registers,
so that no loop waits for memory and every value is read once per kernel. Where a channel fits into
a tile, one kernel does it all (``forward_kernel``, ``backward_kernel``: the least traffic). Where
it does not, tiles leave partial sums (``moments_kernel``, ``products_kernel``), one program merges
those of its channels, always in the same order (``merge_moments_kernel``, ``merge_sums_kernel``),
and a last kernel reads the array again (``normalize_kernel``, ``input_gradient_kernel``), its tiles
in reverse, because what was read last is still in the cache. There are no atomics: the bits are the
same at every run. Statistics are in the format of ``mean_ptr``, whatever x is.

Importing this module imports Triton, which reads TRITON_INTERPRET at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

# Triton has no types; with this one, a type checker still sees the kernels as functions.
jit: Callable[[Callable[..., Any]], Any] = triton.jit


_ADD = tl.standard._sum_combine  # noqa: SLF001 - no other addition is known to the interpreter


def part(function: Callable[..., Any]) -> Any:
    """A function that kernels call: compiled with them; interpreted, the plain function.

    The interpreter replaces the whole language anew at every call of a jitted function, which takes
    longer than a small kernel; a plain one finds it replaced already. Parts of the language that
    are jitted themselves, such as ``tl.zeros`` and ``tl.cdiv``, are avoided for the same reason.
    """
    return function if triton.knobs.runtime.interpret else triton.jit(function)


@part
def divide(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """a / b for equal shapes, correctly rounded in their format.

    ``/`` is approximate in float32, and ``div_rn`` knows no float64, where ``/`` rounds correctly.
    """
    return tl.div_rn(a, b) if a.dtype == tl.float32 else a / b


@part
def _inverse_deviation(var: tl.tensor, epsilon: tl.tensor) -> tl.tensor:
    """r = (v + epsilon)^(-1/2), each operation correctly rounded in the format of v.

    ``tl.sqrt`` is approximate in float32, and ``sqrt_rn`` knows no float64.
    """
    shifted = var + tl.full(var.shape, epsilon, var.dtype)
    root = tl.sqrt_rn(shifted) if var.dtype == tl.float32 else tl.sqrt(shifted)
    one = tl.full(var.shape, 1.0, var.dtype)
    return tl.div_rn(one, root) if var.dtype == tl.float32 else one / root


@part
def whole(outer: tl.tensor, inner: tl.tensor, BLOCK_O: tl.constexpr, BLOCK_I: tl.constexpr) -> Any:
    """As ``locate``, of a tile that holds all of its channels."""
    o, i = tl.arange(0, BLOCK_O)[None, :, None], tl.arange(0, BLOCK_I)[None, None, :]
    return o.to(tl.int64), i.to(tl.int64), (o < outer) & (i < inner)


@part
def locate(
    tile: tl.tensor,
    outer: tl.tensor,
    inner: tl.tensor,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> Any:
    """A tile's outer indices (1, BLOCK_O, 1), inner ones (1, 1, BLOCK_I), and which there are.

    Tiles run along ``inner`` first. Indices are in 64 bits, because a whole array may be larger
    than 2^31.
    """
    across = (inner + BLOCK_I - 1) // BLOCK_I
    o = ((tile // across) * BLOCK_O + tl.arange(0, BLOCK_O))[None, :, None]
    i = ((tile % across) * BLOCK_I + tl.arange(0, BLOCK_I))[None, None, :]
    return o.to(tl.int64), i.to(tl.int64), (o < outer) & (i < inner)


@part
def _count(
    tile: tl.tensor,
    outer: tl.tensor,
    inner: tl.tensor,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> tl.tensor:
    """How many values of a channel a tile, or each tile of a tensor of them, has."""
    across = (inner + BLOCK_I - 1) // BLOCK_I
    rows = tl.minimum(outer - (tile // across) * BLOCK_O, BLOCK_O)
    return rows * tl.minimum(inner - (tile % across) * BLOCK_I, BLOCK_I)


@part
def row_sum(values: tl.tensor) -> tl.tensor:
    """The sum of each row: what ``tl.sum`` does, which is jitted itself (see ``part``)."""
    return tl.reduce(values, 1, _ADD)


@part
def channel_sum(values: tl.tensor) -> tl.tensor:
    """The sum of each channel of a tile (BLOCK_C, BLOCK_O, BLOCK_I)."""
    return row_sum(tl.reshape(values, [values.shape[0], values.shape[1] * values.shape[2]]))


@part
def _centred(x: tl.tensor, mask: tl.tensor, mean: tl.tensor) -> tl.tensor:
    """x - mean where there is a value, 0 elsewhere: a masked value was read as 0, not as mean."""
    return tl.where(mask, x - mean[:, None, None], 0)


@part
def _update(
    running_ptr: tl.tensor, c: tl.tensor, owned: tl.tensor, batch: tl.tensor, decay: tl.tensor
) -> None:
    """running <- decay running + (1 - decay) batch."""
    old = tl.full(batch.shape, decay, batch.dtype)
    new = tl.full(batch.shape, 1.0 - decay, batch.dtype)
    running = tl.load(running_ptr + c, mask=owned, other=0)
    tl.store(running_ptr + c, old * running + new * batch, mask=owned)


@part
def _affine(
    xhat: tl.tensor, gamma_ptr: tl.tensor, beta_ptr: tl.tensor, c: tl.tensor, owned: tl.tensor
) -> tl.tensor:
    """gamma xhat + beta, either of which may be absent."""
    y = xhat
    if gamma_ptr is not None:
        y = y * tl.load(gamma_ptr + c, mask=owned, other=0)[:, None, None]
    if beta_ptr is not None:
        y = y + tl.load(beta_ptr + c, mask=owned, other=0)[:, None, None]
    return y


@jit
def forward_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    y_ptr: tl.tensor,  # (outer, channels, inner), by y_outer, y_channel, y_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    beta_ptr: tl.tensor,  # (channels,) or None
    running_mean_ptr: tl.tensor,  # (channels,), updated
    running_var_ptr: tl.tensor,  # (channels,), updated
    mean_ptr: tl.tensor,  # (channels,), written
    var_ptr: tl.tensor,  # (channels,), written
    r_ptr: tl.tensor,  # (channels,), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    y_outer: tl.tensor,
    y_channel: tl.tensor,
    y_inner: tl.tensor,
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    epsilon: tl.float64,  # unannotated, a float arrives rounded to float32
    decay: tl.float64,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """y = gamma (x - mu) r + beta by the batch: mu = sum x / n, v = sum (x - mu)^2 / n.

    r = (v + epsilon)^(-1/2). For channels that fit into a tile: both passes are over registers.
    Updates the running statistics; stores mu, v and r.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = whole(outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
    x = tl.load(x_at, mask=mask, other=0).to(mean_ptr.dtype.element_ty)
    count = tl.full([BLOCK_C], outer * inner, x.dtype)
    mean = divide(channel_sum(x), count)
    d = _centred(x, mask, mean)
    var = divide(channel_sum(d * d), count)
    r = _inverse_deviation(var, epsilon)
    _update(running_mean_ptr, c, owned, mean, decay)
    _update(running_var_ptr, c, owned, var, decay)
    tl.store(mean_ptr + c, mean, mask=owned)
    tl.store(var_ptr + c, var, mask=owned)
    tl.store(r_ptr + c, r, mask=owned)
    y = _affine(d * r[:, None, None], gamma_ptr, beta_ptr, c, owned)
    y_at = y_ptr + (c_tile * y_channel + o * y_outer + i * y_inner)
    tl.store(y_at, y, mask=mask)


@jit
def moments_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    sums_ptr: tl.tensor,  # (channels, tiles), written
    squares_ptr: tl.tensor,  # (channels, tiles), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    tiles: tl.tensor,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """Each tile's sum of x, and its sum of (x - m)^2 about its own mean m."""
    blocks = (channels + BLOCK_C - 1) // BLOCK_C
    tile = tl.program_id(0) // blocks
    c = (tl.program_id(0) % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = locate(tile, outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
    x = tl.load(x_at, mask=mask, other=0).to(sums_ptr.dtype.element_ty)
    total = channel_sum(x)
    count = tl.full([BLOCK_C], _count(tile, outer, inner, BLOCK_O, BLOCK_I), x.dtype)
    d = _centred(x, mask, divide(total, count))
    at = c.to(tl.int64) * tiles + tile
    tl.store(sums_ptr + at, total, mask=owned)
    tl.store(squares_ptr + at, channel_sum(d * d), mask=owned)


@jit
def merge_moments_kernel(
    sums_ptr: tl.tensor,  # (channels, tiles)
    squares_ptr: tl.tensor,  # (channels, tiles)
    running_mean_ptr: tl.tensor,  # (channels,), updated
    running_var_ptr: tl.tensor,  # (channels,), updated
    mean_ptr: tl.tensor,  # (channels,), written
    var_ptr: tl.tensor,  # (channels,), written
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    tiles: tl.tensor,
    decay: tl.float64,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
    MERGE_C: tl.constexpr,
    MERGE_T: tl.constexpr,
) -> None:
    """mu = sum_t s_t / n; v = sum_t [q_t + n_t (s_t / n_t - mu)^2] / n: Chan's merge, as sums.

    Tile t has n_t values, their sum s_t and the sum q_t of squares about their mean. Updates the
    running statistics; stores mu and v.
    """
    real = mean_ptr.dtype.element_ty
    c = tl.program_id(0) * MERGE_C + tl.arange(0, MERGE_C)
    owned = c < channels
    row = c.to(tl.int64)[:, None] * tiles
    n = tl.full([MERGE_C], outer * inner, real)
    total = tl.full([MERGE_C, MERGE_T], 0, real)
    for start in range(0, tiles, MERGE_T):
        t = (start + tl.arange(0, MERGE_T))[None, :]
        mask = owned[:, None] & (t < tiles)
        total += tl.load(sums_ptr + row + t, mask=mask, other=0)
    mean = divide(row_sum(total), n)

    total = tl.full([MERGE_C, MERGE_T], 0, real)
    for start in range(0, tiles, MERGE_T):
        t = (start + tl.arange(0, MERGE_T))[None, :]
        mask = owned[:, None] & (t < tiles)
        # Past the last tile the formula for its count means nothing.
        count = tl.where(t < tiles, _count(t, outer, inner, BLOCK_O, BLOCK_I), 1)
        count = tl.broadcast_to(count.to(real), total.shape)
        tile_mean = divide(tl.load(sums_ptr + row + t, mask=mask, other=0), count)
        d = tl.where(mask, tile_mean - mean[:, None], 0)
        total += tl.load(squares_ptr + row + t, mask=mask, other=0) + count * d * d
    var = divide(row_sum(total), n)
    _update(running_mean_ptr, c, owned, mean, decay)
    _update(running_var_ptr, c, owned, var, decay)
    tl.store(mean_ptr + c, mean, mask=owned)
    tl.store(var_ptr + c, var, mask=owned)


@jit
def normalize_kernel(
    x_ptr: tl.tensor,  # (outer, channels, inner), by x_outer, x_channel, x_inner
    y_ptr: tl.tensor,  # (outer, channels, inner), by y_outer, y_channel, y_inner; written
    gamma_ptr: tl.tensor,  # (channels,) or None
    beta_ptr: tl.tensor,  # (channels,) or None
    running_mean_ptr: tl.tensor,  # (channels,), used unless TRAINING
    running_var_ptr: tl.tensor,  # (channels,), used unless TRAINING
    mean_ptr: tl.tensor,  # (channels,), used if TRAINING, else written
    var_ptr: tl.tensor,  # (channels,), used if TRAINING, else written
    r_ptr: tl.tensor,  # (channels,), written
    x_outer: tl.tensor,
    x_channel: tl.tensor,
    x_inner: tl.tensor,
    y_outer: tl.tensor,
    y_channel: tl.tensor,
    y_inner: tl.tensor,
    outer: tl.tensor,
    channels: tl.tensor,
    inner: tl.tensor,
    epsilon: tl.float64,
    TRAINING: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
) -> None:
    """r = (v + epsilon)^(-1/2) and y = gamma (x - mu) r + beta by the given mu and v."""
    blocks = (channels + BLOCK_C - 1) // BLOCK_C
    program = tl.program_id(0)
    if TRAINING:
        program = tl.num_programs(0) - 1 - program
    tile = program // blocks
    c = (program % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    owned = c < channels
    o, i, inside = locate(tile, outer, inner, BLOCK_O, BLOCK_I)
    mask = owned[:, None, None] & inside
    c_tile = c.to(tl.int64)[:, None, None]
    x_at = x_ptr + (c_tile * x_channel + o * x_outer + i * x_inner)
    # Neither x nor y is wanted again: they must not push out what is still to be read.
    x = tl.load(x_at, mask=mask, other=0, eviction_policy="evict_first")
    mean = tl.load((mean_ptr if TRAINING else running_mean_ptr) + c, mask=owned, other=0)
    var = tl.load((var_ptr if TRAINING else running_var_ptr) + c, mask=owned, other=0)
    r = _inverse_deviation(var, epsilon)
    if tile == 0:
        tl.store(r_ptr + c, r, mask=owned)
        if not TRAINING:
            tl.store(mean_ptr + c, mean, mask=owned)
            tl.store(var_ptr + c, var, mask=owned)
    xhat = (x.to(mean.dtype) - mean[:, None, None]) * r[:, None, None]
    y = _affine(xhat, gamma_ptr, beta_ptr, c, owned)
    y_at = y_ptr + (c_tile * y_channel + o * y_outer + i * y_inner)
    tl.store(y_at, y, mask=mask, eviction_policy="evict_first")
