"""The call: ``forward`` and ``backward`` on torch tensors, around the Triton kernels.

What it promises, for x with one feature axis and n values per channel:

- *training* normalizes by the batch: the mean sum x / n, then the biased variance
  sum (x - mean)^2 / n; of channels too large for one program, each part has its own mean and sum
  of squares about it, merged by Chan's formula. ``decay`` weighs the old value,
  running <- decay running + (1 - decay) batch, in place, and the variance that enters is the biased
  one. Otherwise the running statistics are used and left alone. There is no other mode, no
  cumulative average, no default and no floor of epsilon;
- one value per channel is normalized like any other count; none raises ValueError in training;
- float16 and bfloat16 input takes float32 parameters and statistics, float32 and float64 their
  own; y and dx have the input's format;
- x and dy may have any strides. They are read in place wherever the axes before the feature axis,
  and those after it, each collapse into one stride; a copy is made only where they do not (feature
  axis last, say, with axis 1 the fastest in memory);
- repeated calls give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import triton
from torch import Tensor

from . import batch_norm_backward_triton as backward_kernels
from . import batch_norm_triton as forward_kernels
from .arguments import as_slab, check_epsilon, check_parameters, check_training, check_upstream
from .reference import Forward, Gradients
from .tiling import Budget, Tiling, make_tiling, merge_blocks, power_of_two

Sizes: TypeAlias = tuple[int, int, int]
Strides: TypeAlias = tuple[int, int, int]

_INTERPRETED = triton.knobs.runtime.interpret
_FORWARD = Budget(elements=8192, whole=32768)
"""On a GPU, 32 values a thread, of which a tile of one channel has at most 1024."""
_ELEMENTWISE = Budget(elements=8192, whole=8192)
"""By given statistics a channel need not be in one place."""
_BACKWARD = Budget(elements=4096, whole=16384)
"""Half of that, because a thread holds values of x and of dy."""

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
    slab = as_slab(x, axis, COMPUTE_DTYPES)
    channels = slab.shape[1]
    parameters = (gamma, beta, running_mean, running_var)
    check_parameters(slab, parameters, COMPUTE_DTYPES[x.dtype])
    check_epsilon(epsilon)
    if training:
        check_training(x, slab, decay)
    y = torch.empty_like(slab)
    mean, var, r = (torch.empty_like(running_mean) for _ in range(3))
    saved = Forward(y=y.reshape(x.shape), mean=mean, var=var, r=r)
    sizes, (x_strides, y_strides) = _sizes(slab, y)
    tiling, options = _plan(slab, sizes, _FORWARD if training else _ELEMENTWISE)
    rate = 0.0 if decay is None else decay
    if training and tiling.tiles == 1:
        forward_kernels.forward_kernel[_grid(tiling, channels)](
            slab, y, *parameters, mean, var, r, *x_strides, *y_strides, *sizes, epsilon, rate,
            **options,
        )  # fmt: skip
        return saved
    if training:
        _batch_statistics(slab, x_strides, sizes, (*parameters[2:], mean, var), rate, tiling)
    forward_kernels.normalize_kernel[_grid(tiling, channels)](
        slab, y, *parameters, mean, var, r, *x_strides, *y_strides, *sizes, epsilon,
        TRAINING=training, **options,
    )  # fmt: skip
    return saved


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
    check_upstream(x, dy)
    slab, upstream = (as_slab(each, axis, COMPUTE_DTYPES) for each in (x, dy))
    channels = slab.shape[1]
    check_parameters(slab, (gamma, saved.mean, saved.r), COMPUTE_DTYPES[x.dtype])
    dx = torch.empty_like(slab)
    dgamma, dbeta = torch.empty_like(saved.mean), torch.empty_like(saved.mean)
    sizes, strides = _sizes(slab, upstream, dx)
    tiling, options = _plan(slab, sizes, _BACKWARD)
    statistics = (saved.mean, saved.r)
    kernel = backward_kernels.backward_kernel
    if tiling.tiles != 1:
        kernel = backward_kernels.input_gradient_kernel
        _parameter_gradients(
            (slab, upstream), strides[:2], sizes, statistics, (dgamma, dbeta), tiling
        )
    kernel[_grid(tiling, channels)](
        slab, upstream, dx, gamma, *statistics, dgamma, dbeta,
        *(stride for each in strides for stride in each), *sizes,
        TRAINING=training, **options,
    )  # fmt: skip
    return Gradients(dx=dx.reshape(x.shape), dgamma=dgamma, dbeta=dbeta)


def _batch_statistics(
    slab: Tensor,
    strides: Strides,
    sizes: Sizes,
    state: tuple[Tensor, ...],
    decay: float,
    tiling: Tiling,
) -> None:
    """Write the mean and variance of channels of several tiles; update the running ones.

    ``state`` is running mean and variance, mean and variance.
    """
    channels, mean = sizes[1], state[2]
    partial = mean.new_empty((2, channels, tiling.tiles))
    forward_kernels.moments_kernel[_grid(tiling, channels)](
        slab, *partial, *strides, *sizes, tiling.tiles, **_options(tiling)
    )
    grid, merging = _merging(tiling, channels)
    forward_kernels.merge_moments_kernel[grid](
        *partial, *state, *sizes, tiling.tiles, decay,
        BLOCK_O=tiling.block_o, BLOCK_I=tiling.block_i, **merging,
    )  # fmt: skip


def _parameter_gradients(
    slabs: tuple[Tensor, Tensor],
    strides: Sequence[Strides],
    sizes: Sizes,
    statistics: tuple[Tensor, Tensor],
    gradients: tuple[Tensor, Tensor],
    tiling: Tiling,
) -> None:
    """Write dgamma and dbeta of channels of several tiles."""
    channels = sizes[1]
    partial = statistics[0].new_empty((2, channels, tiling.tiles))
    backward_kernels.products_kernel[_grid(tiling, channels)](
        *slabs, *statistics, *partial, *strides[0], *strides[1], *sizes, tiling.tiles,
        **_options(tiling),
    )  # fmt: skip
    grid, merging = _merging(tiling, channels)
    backward_kernels.merge_sums_kernel[grid](
        *partial, *gradients, channels, tiling.tiles, **merging
    )


def _sizes(*slabs: Tensor) -> tuple[Sizes, list[Strides]]:
    """(outer, channels, inner), and the strides of each: one row where all arrays have just one.

    Of channels-last arrays, say, all positions of all samples are evenly spaced.
    """
    outer, channels, inner = slabs[0].shape
    strides = [each.stride() for each in slabs]
    if inner == 1:
        return (1, channels, outer), [(0, c, o) for o, c, _ in strides]
    if all(o == inner * i for o, _, i in strides):
        return (1, channels, outer * inner), [(0, c, i) for _, c, i in strides]
    return (outer, channels, inner), strides


def _plan(slab: Tensor, sizes: Sizes, budget: Budget) -> tuple[Tiling, dict[str, Any]]:
    """The tiles, and the options of kernels that work on them."""
    if slab.dtype == torch.float64:
        # Twice as many registers to a value.
        budget = Budget(elements=budget.elements // 2, whole=budget.whole // 2)
    if _INTERPRETED:
        budget = _interpreted(slab.numel())
    last = slab.stride(1) == 1 and sizes[1] > 1
    tiling = make_tiling(*sizes, channels_last=last, itemsize=slab.element_size(), budget=budget)
    return tiling, _options(tiling)


def _interpreted(count: int) -> Budget:
    """Tiles so large that small inputs take one, and so small that larger ones take a few.

    What an interpreted program costs hardly depends on the size of its tile.
    """
    elements = min(max(1024, power_of_two(count) // 2), 2**17)
    return Budget(elements=elements, whole=elements, programs=1)


def _options(tiling: Tiling) -> dict[str, Any]:
    return {
        "BLOCK_C": tiling.block_c,
        "BLOCK_O": tiling.block_o,
        "BLOCK_I": tiling.block_i,
        **_launch(tiling.elements),
    }


def _launch(elements: int) -> dict[str, Any]:
    """As many warps as leave a thread 32 values; and every operation rounds.

    What takes time is memory, not arithmetic, so that nothing is gained by fused multiply-adds.
    """
    return {"num_warps": min(max(elements // 1024, 1), 32), "enable_fp_fusion": False}


def _merging(tiling: Tiling, channels: int) -> tuple[tuple[int], dict[str, Any]]:
    merge_c, merge_t = merge_blocks(tiling.tiles, 4096)
    options = {"MERGE_C": merge_c, "MERGE_T": merge_t, **_launch(merge_c * merge_t)}
    return (-(-channels // merge_c),), options


def _grid(tiling: Tiling, channels: int) -> tuple[int]:
    """One program for each tile of each block of channels; the statistics need one in any case."""
    return (-(-channels // tiling.block_c) * max(tiling.tiles, 1),)
