"""The call on torch tensors: ``forward`` and ``backward`` as in ``gpu_kernel/launcher.py``.

What it promises is what that one does, for float16, bfloat16 and float32 input (float64 is not
compiled). ``Launcher`` takes the library, so that one class serves the GPU and the emulation;
the functions are those of the GPU.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ..arguments import as_slab, check_epsilon, check_parameters, check_training, check_upstream
from ..reference import Forward, Gradients
from .library import Library, Rung, Target, load
from .structures import Call, Strides

_DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


class Launcher:
    """Calls of one library.

    ``rung``, ``blocks``, ``lanes`` and ``flags`` of ``batch_norm.h`` hold for every call: 0 leaves
    the choice to the library. A call may name another rung. ``tensors_on`` says where tensors have
    to be.
    """

    def __init__(
        self,
        library: Library,
        *,
        rung: Rung | None = None,
        blocks: int = 0,
        lanes: int = 0,
        flags: int = 0,
    ) -> None:
        """Hold the library and what is forced."""
        self.library = library
        self.rung, self.blocks, self.lanes, self.flags = rung, blocks, lanes, flags
        self.tensors_on = "cuda" if library.target is Target.GPU else "cpu"

    def forward(
        self,
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
        rung: Rung | None = None,
    ) -> Forward:
        """Normalize ``x`` over every axis but ``axis``; in training, update the running statistics.

        ``decay`` is needed in training alone. Raises ValueError for a format, shape, count, epsilon
        or decay that the kernel does not take, and CallError for what the library refuses.
        """
        slab = as_slab(x, axis, _DTYPES)
        check_parameters(slab, (gamma, beta, running_mean, running_var), torch.float32)
        check_epsilon(epsilon)
        if training:
            check_training(x, slab, decay)
        y = torch.empty_like(slab)
        mean, var, r = (torch.empty_like(running_mean) for _ in range(3))
        call = self._call(slab, training=training, rung=rung)
        call.y, call.y_strides = y.data_ptr(), Strides(*y.stride())
        call.epsilon, call.decay = epsilon, 0.0 if decay is None else decay
        _point(call, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)
        _point(call, mean=mean, var=var, r=r)
        with _on(slab):
            workspace = self._workspace(call, slab, backward=False)
            call.workspace = workspace.data_ptr()
            self.library.forward(call)
        return Forward(y=y.reshape(x.shape), mean=mean, var=var, r=r)

    def backward(
        self,
        x: Tensor,
        dy: Tensor,
        gamma: Tensor | None,
        saved: Forward,
        *,
        axis: int,
        training: bool,
        rung: Rung | None = None,
    ) -> Gradients:
        """The gradients of sum(y * dy), for what ``forward`` saved with the same ``training``.

        Raises ValueError for a ``dy`` that does not match ``x``.
        """
        check_upstream(x, dy)
        slab, upstream = as_slab(x, axis, _DTYPES), as_slab(dy, axis, _DTYPES)
        check_parameters(slab, (gamma, saved.mean, saved.r), torch.float32)
        dx = torch.empty_like(slab)
        dgamma, dbeta = torch.empty_like(saved.mean), torch.empty_like(saved.mean)
        call = self._call(slab, training=training, rung=rung)
        call.dy, call.dy_strides = upstream.data_ptr(), Strides(*upstream.stride())
        call.dx, call.dx_strides = dx.data_ptr(), Strides(*dx.stride())
        _point(call, gamma=gamma, mean=saved.mean, r=saved.r, dgamma=dgamma, dbeta=dbeta)
        with _on(slab):
            workspace = self._workspace(call, slab, backward=True)
            call.workspace = workspace.data_ptr()
            self.library.backward(call)
        return Gradients(dx=dx.reshape(x.shape), dgamma=dgamma, dbeta=dbeta)

    def _call(self, slab: Tensor, *, training: bool, rung: Rung | None) -> Call:
        """What both directions have in common."""
        if slab.device.type != self.tensors_on:
            msg = f"this library takes tensors on {self.tensors_on}, got one on {slab.device}"
            raise ValueError(msg)
        call = Call(x=slab.data_ptr(), x_strides=Strides(*slab.stride()))
        call.outer, call.channels, call.inner = slab.shape
        call.dtype, call.training = _DTYPES[slab.dtype], int(training)
        call.rung, call.blocks = rung or self.rung or 0, self.blocks
        call.lanes, call.flags = self.lanes, self.flags
        if self.tensors_on == "cuda":
            call.stream = torch.cuda.current_stream(slab.device).cuda_stream
        return call

    def _workspace(self, call: Call, slab: Tensor, *, backward: bool) -> Tensor:
        """Memory that torch hands on only to what is launched later on the same stream."""
        size = self.library.workspace(call, backward=backward)
        return torch.empty(size, dtype=torch.uint8, device=slab.device)


@functools.cache
def on_gpu() -> Launcher:
    """The launcher of the GPU's library; BuildError where there is none."""
    return Launcher(load(Target.GPU))


def forward(*args: Any, **options: Any) -> Forward:
    """``Launcher.forward`` on the GPU."""
    return on_gpu().forward(*args, **options)


def backward(*args: Any, **options: Any) -> Gradients:
    """``Launcher.backward`` on the GPU."""
    return on_gpu().backward(*args, **options)


def _point(call: Call, **arrays: Tensor | None) -> None:
    for name, array in arrays.items():
        setattr(call, name, None if array is None else array.data_ptr())


def _on(slab: Tensor) -> Any:
    """The library launches on the current device, which has to be the tensor's."""
    return torch.cuda.device_of(slab)
