"""The call: ``forward`` and ``backward`` on torch tensors, around the Triton kernels.

What it promises, for x with one feature axis and n values per channel:

- *training* normalizes by the batch: mean, then the biased variance sum (x - mean)^2 / n in a
  second pass. ``decay`` weighs the old value, running <- decay running + (1 - decay) batch, in
  place, and the variance that enters is the biased one. Otherwise the running statistics are used
  and left alone. There is no other mode, no cumulative average, no default and no floor of epsilon;
- one value per channel is normalized like any other count; none raises ValueError in training;
- float16 and bfloat16 input takes float32 parameters and statistics, float32 and float64 their
  own; y and dx have the input's format;
- x and dy may have any strides. They are read in place wherever the axes before the feature axis,
  and those after it, each collapse into one stride; a copy is made only where they do not (feature
  axis last, say, with axis 1 the fastest in memory);
- repeated calls give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor

from .batch_norm_triton import backward_kernel, forward_kernel
from .reference import Forward, Gradients

# On a GPU, 4096 values on 8 warps are 16 a thread for each array in flight: registers hold them.
# In the interpreter a small tile makes small inputs take several blocks in both directions.
_TILE = 256 if triton.knobs.runtime.interpret else 4096
_LARGEST_BLOCK_C = 32
_OPTIONS = {
    "num_warps": 8,
    # Every operation rounds, as in the interpreter; what takes time is memory, not arithmetic.
    "enable_fp_fusion": False,
}
_LARGEST_COUNT = 2**30

COMPUTE_DTYPES = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
"""Input format -> format of parameters, statistics and accumulation."""


def forward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    axis: int,
    epsilon: float,
    decay: float | None,
    training: bool,
) -> Forward:
    """Normalize ``x`` over every axis but ``axis``; in training, update the running statistics.

    ``decay`` is needed in training alone. Raises ValueError for a format, shape, count, epsilon or
    decay that the kernel does not take.
    """
    slab = as_slab(x, axis)
    channels = slab.shape[1]
    parameters = (gamma, beta, running_mean, running_var)
    _check_parameters(parameters, channels, COMPUTE_DTYPES[x.dtype])
    if epsilon < 0:
        msg = f"epsilon must not be negative, got {epsilon}"
        raise ValueError(msg)
    if training:
        _check_training(x, _count(slab), decay)
    y = torch.empty_like(slab)
    mean, var, r = (torch.empty_like(running_mean) for _ in range(3))
    grid, tile = _tiling(slab)
    forward_kernel[grid](
        slab,
        y,
        *parameters,
        mean,
        var,
        r,
        *slab.stride(),
        *y.stride(),
        channels,
        slab.shape[2],
        _count(slab),
        epsilon,
        0.0 if decay is None else decay,
        TRAINING=training,
        **tile,
    )
    return Forward(y=y.reshape(x.shape), mean=mean, var=var, r=r)


def backward(
    x: Tensor,
    dy: Tensor,
    gamma: Tensor | None,
    saved: Forward,
    *,
    axis: int,
    training: bool,
) -> Gradients:
    """The gradients of sum(y * dy), for what ``forward`` saved with the same ``training``.

    Raises ValueError for a ``dy`` that does not match ``x``.
    """
    if dy.shape != x.shape or dy.dtype != x.dtype:
        msg = (
            f"dy must have the shape and format of x, {tuple(x.shape)} {x.dtype}, "
            f"got {tuple(dy.shape)} {dy.dtype}"
        )
        raise ValueError(msg)
    slab, upstream = as_slab(x, axis), as_slab(dy, axis)
    channels = slab.shape[1]
    _check_parameters((gamma, saved.mean, saved.r), channels, COMPUTE_DTYPES[x.dtype])
    dx = torch.empty_like(slab)
    dgamma, dbeta = torch.empty_like(saved.mean), torch.empty_like(saved.mean)
    grid, tile = _tiling(slab)
    backward_kernel[grid](
        slab,
        upstream,
        dx,
        gamma,
        saved.mean,
        saved.r,
        dgamma,
        dbeta,
        *slab.stride(),
        *upstream.stride(),
        *dx.stride(),
        channels,
        slab.shape[2],
        _count(slab),
        TRAINING=training,
        **tile,
    )
    return Gradients(dx=dx.reshape(x.shape), dgamma=dgamma, dbeta=dbeta)


def as_slab(x: Tensor, axis: int) -> Tensor:
    """``x`` as (outer, channels, inner): a view wherever its strides allow one, else a copy."""
    if x.dtype not in COMPUTE_DTYPES:
        msg = f"input must be float16, bfloat16, float32 or float64, got {x.dtype}"
        raise ValueError(msg)
    if not -x.ndim <= axis < x.ndim:
        msg = f"axis must lie in [-{x.ndim}, {x.ndim}), got {axis}"
        raise ValueError(msg)
    axis %= x.ndim
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if outer * inner > _LARGEST_COUNT:
        msg = f"at most 2^30 values per channel, got {outer * inner}: the kernel counts in 32 bits"
        raise ValueError(msg)
    return x.reshape(outer, x.shape[axis], inner)


def _count(slab: Tensor) -> int:
    return int(slab.shape[0] * slab.shape[2])


def _check_training(x: Tensor, count: int, decay: float | None) -> None:
    if not count:
        msg = f"cannot normalize an input of shape {tuple(x.shape)}: no values to average"
        raise ValueError(msg)
    if decay is None:
        msg = "training needs a decay in [0, 1]: there is no cumulative average"
        raise ValueError(msg)
    if not 0 <= decay <= 1:
        msg = f"decay must be in [0, 1], got {decay}"
        raise ValueError(msg)


def _check_parameters(
    parameters: tuple[Tensor | None, ...], channels: int, dtype: torch.dtype
) -> None:
    for given in parameters:
        if given is not None and (
            given.shape != (channels,) or given.dtype != dtype or not given.is_contiguous()
        ):
            msg = (
                f"parameters and statistics must be contiguous {dtype} of shape ({channels},), "
                f"got {given.dtype} of shape {tuple(given.shape)}"
            )
            raise ValueError(msg)


def _tiling(slab: Tensor) -> tuple[tuple[int], dict[str, Any]]:
    """The grid, one program per block of channels, and the launch options.

    The axis that is contiguous in memory gets the tile first, so that neighbouring threads read
    neighbouring values.
    """
    channels, n = slab.shape[1], _count(slab)
    if slab.stride(1) == 1:
        block_c = min(_power_of_two(channels), _LARGEST_BLOCK_C)
        block_n = min(_power_of_two(n), _TILE // block_c)
    else:
        block_n = min(_power_of_two(n), _TILE // 4)
        block_c = min(_power_of_two(channels), _TILE // block_n)
    grid = (-(-channels // block_c),)
    return grid, {"BLOCK_C": block_c, "BLOCK_N": block_n, **_OPTIONS}


def _power_of_two(count: int) -> int:
    """The least power of two that is >= ``count``, and 1 for none."""
    return 1 << max(count - 1, 0).bit_length()
