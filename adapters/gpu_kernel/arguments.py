"""What both launchers ask of a call's tensors before a kernel sees them."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

_LARGEST_COUNT = 2**30


def as_slab(x: Tensor, axis: int, formats: Collection[torch.dtype]) -> Tensor:
    """``x`` as (outer, channels, inner): a view wherever its strides allow one, else a copy.

    Raises ValueError for an axis that it has not, a format that is not in ``formats``, and more
    values per channel than the kernels count.
    """
    if x.dtype not in formats:
        names = [str(each).removeprefix("torch.") for each in formats]
        msg = f"input must be {', '.join(names[:-1])} or {names[-1]}, got {x.dtype}"
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


def check_epsilon(epsilon: float) -> None:
    """ValueError for a negative one."""
    if epsilon < 0:
        msg = f"epsilon must not be negative, got {epsilon}"
        raise ValueError(msg)


def check_training(x: Tensor, slab: Tensor, decay: float | None) -> None:
    """ValueError for an input of no values, and for a decay that is none."""
    if not slab.shape[0] * slab.shape[2]:
        msg = f"cannot normalize an input of shape {tuple(x.shape)}: no values to average"
        raise ValueError(msg)
    if decay is None:
        msg = "training needs a decay in [0, 1]: there is no cumulative average"
        raise ValueError(msg)
    if not 0 <= decay <= 1:
        msg = f"decay must be in [0, 1], got {decay}"
        raise ValueError(msg)


def check_upstream(x: Tensor, dy: Tensor) -> None:
    """ValueError for an upstream gradient that does not match ``x``."""
    if dy.shape != x.shape or dy.dtype != x.dtype:
        msg = (
            f"dy must have the shape and format of x, {tuple(x.shape)} {x.dtype}, "
            f"got {tuple(dy.shape)} {dy.dtype}"
        )
        raise ValueError(msg)


def check_parameters(
    slab: Tensor, parameters: tuple[Tensor | None, ...], dtype: torch.dtype
) -> None:
    """ValueError for parameters or statistics that are not (channels,) of ``dtype`` beside x."""
    channels = slab.shape[1]
    for given in parameters:
        if given is not None and (
            given.shape != (channels,)
            or given.dtype != dtype
            or not given.is_contiguous()
            or given.device != slab.device
        ):
            msg = (
                f"parameters and statistics must be contiguous {dtype} of shape ({channels},) on "
                f"{slab.device}, got {given.dtype} of shape {tuple(given.shape)} on {given.device}"
            )
            raise ValueError(msg)
