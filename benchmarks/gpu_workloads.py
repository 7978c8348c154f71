"""What ``gpu.py`` runs and times: workloads, and each subject's calls on their buffers.

Everything but torch may be absent. A subject that cannot be had, or cannot do a workload, raises;
the caller reports that and goes on with the others.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

OPERATIONS = {"forward": 2, "inference": 2, "backward": 3}
"""Operation -> the least number of arrays of x's size that it moves."""
SHAPES = (
    (32, 64, 28, 28),
    (32, 64, 56, 56),
    (64, 256, 56, 56),
    (256, 256, 56, 56),
    (256, 64, 112, 112),
    (8, 2048, 7, 7),
)
REHEARSAL_SHAPES = ((2, 8, 12, 12),)
EPSILON, DECAY = 1e-5, 0.9
_TRAINING = True

Calls: TypeAlias = dict[str, Callable[[int], Any]]
"""Operation -> the call on the i-th buffers. What it returns has to live until the clock stops."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One shape in one layout and format."""

    shape: tuple[int, ...]
    channels_last: bool
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        """Of one array of the shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def label(self) -> dict[str, Any]:
        """As it is written to a file."""
        layout = "NHWC" if self.channels_last else "NCHW"
        dtype = str(self.dtype).removeprefix("torch.")
        return {"shape": list(self.shape), "layout": layout, "dtype": dtype, "bytes": self.bytes}


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """``x`` and ``dy``: as many of each as it takes to fall out of the cache; the rest (C,)."""

    x: list[Tensor]
    dy: list[Tensor]
    gamma: Tensor
    beta: Tensor
    running_mean: Tensor
    running_var: Tensor


def workloads(shapes: tuple[tuple[int, ...], ...]) -> Iterator[Workload]:
    """Every shape in both layouts and both formats."""
    for shape in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            for last in (False, True):
                yield Workload(shape=shape, channels_last=last, dtype=dtype)


def make_buffers(workload: Workload, device: torch.device, copies: int) -> Buffers:
    """Normal values, the same at every run on one kind of device."""
    random = torch.Generator(device).manual_seed(0)
    memory = torch.channels_last if workload.channels_last else torch.contiguous_format

    def draw() -> Tensor:
        values = torch.randn(workload.shape, generator=random, device=device)
        return values.to(workload.dtype).to(memory_format=memory)

    gamma, beta, mean = torch.randn((3, workload.shape[1]), generator=random, device=device)
    return Buffers(
        x=[draw() for _ in range(copies)],
        dy=[draw() for _ in range(copies)],
        gamma=gamma,
        beta=beta,
        running_mean=mean,
        running_var=torch.ones_like(mean),
    )


def kernel_module(name: str) -> Any:
    """A module of ``adapters/gpu_kernel``, which needs no more than torch and Triton or nvcc."""
    return importlib.import_module(f"bnconform.adapters.gpu_kernel.{name}")


def make_launcher(name: str, device: torch.device) -> tuple[Any, dict[str, Any]]:
    """Our ``forward`` and ``backward``, and the options that make them ``name``.

    ``triton``, ``cuda``, or ``cuda.RUNG`` for one that is forced.
    """
    kernel, _, rung = name.partition(".")
    if kernel == "triton":
        return kernel_module("launcher"), {}
    library = kernel_module("cuda.library")
    target = library.Target.GPU if device.type == "cuda" else library.Target.EMULATED
    launcher = kernel_module("cuda.launcher").Launcher(library.load(target))
    return launcher, {"rung": library.Rung[rung.upper()]} if rung else {}


def our_calls(name: str, buffers: Buffers) -> Calls:
    """The calls of one of our kernels."""
    b = buffers
    launcher, options = make_launcher(name, b.gamma.device)
    state = (b.gamma, b.beta, b.running_mean, b.running_var)
    settings = {"axis": 1, "epsilon": EPSILON, "decay": DECAY, **options}
    # Only the statistics are needed again, and y is as large as x.
    saved = [
        replace(launcher.forward(x, *state, training=True, **settings), y=b.gamma) for x in b.x
    ]
    return {
        "forward": lambda i: launcher.forward(b.x[i], *state, training=True, **settings),
        "inference": lambda i: launcher.forward(b.x[i], *state, training=False, **settings),
        "backward": lambda i: launcher.backward(
            b.x[i], b.dy[i], b.gamma, saved[i], axis=1, training=True, **options
        ),
    }


def copy_calls(buffers: Buffers) -> Calls:
    """A device copy of x: what any call that reads x and writes y takes at the least."""
    into = [torch.empty_like(x) for x in buffers.x]
    return {"copy": lambda i: into[i].copy_(buffers.x[i])}


def native_calls(buffers: Buffers) -> Calls:
    """PyTorch's own kernels, without autograd around them."""
    b, aten = buffers, torch.ops.aten
    state = (b.gamma, b.beta, b.running_mean, b.running_var)

    def forward(i: int, *, training: bool) -> Any:
        return aten.native_batch_norm(b.x[i], *state, training, 1 - DECAY, EPSILON)

    saved = [forward(i, training=True)[1:] for i in range(len(b.x))]
    return {
        "forward": lambda i: forward(i, training=True),
        "inference": lambda i: forward(i, training=False),
        "backward": lambda i: aten.native_batch_norm_backward(
            b.dy[i], b.x[i], b.gamma, *state[2:], *saved[i], _TRAINING, EPSILON, [True] * 3
        ),
    }


def cudnn_calls(buffers: Buffers) -> Calls:
    """cuDNN through PyTorch, without autograd around it."""
    b, aten = buffers, torch.ops.aten
    state = (b.gamma, b.beta, b.running_mean, b.running_var)

    def forward(i: int, *, training: bool) -> Any:
        return aten.cudnn_batch_norm(b.x[i], *state, training, 1 - DECAY, EPSILON)

    saved = [forward(i, training=True)[1:] for i in range(len(b.x))]
    return {
        "forward": lambda i: forward(i, training=True),
        "inference": lambda i: forward(i, training=False),
        "backward": lambda i: aten.cudnn_batch_norm_backward(
            b.x[i], b.dy[i], b.gamma, *state[2:], *saved[i][:2], EPSILON, saved[i][2]
        ),
    }


def compiled_calls(buffers: Buffers) -> Calls:
    """``torch.compile`` of PyTorch's function; on the CPU, where it takes long, of its graph."""
    b = buffers
    # Gradients are taken again and again of one output.
    importlib.import_module("torch._functorch.config").donated_buffer = False
    backend = "inductor" if b.gamma.device.type == "cuda" else "aot_eager"

    @torch.compile(dynamic=False, backend=backend)
    def normalize(x: Tensor, state: tuple[Tensor, ...], training: bool) -> Tensor:  # noqa: FBT001
        gamma, beta, mean, var = state
        return torch.nn.functional.batch_norm(
            x, mean, var, gamma, beta, training, 1 - DECAY, EPSILON
        )

    state = (b.gamma, b.beta, b.running_mean, b.running_var)

    def forward(i: int, *, training: bool) -> Any:
        with torch.no_grad():
            return normalize(b.x[i], state, training)

    # Statistics of their own for each: a later call must not change what gradients are taken of.
    states = [tuple(each.clone() for each in state) for _ in b.x]
    sources = [
        tuple(each.detach().requires_grad_() for each in (x, *own[:2]))
        for x, own in zip(b.x, states, strict=True)
    ]
    outputs = [
        normalize(source[0], (*source[1:], *own[2:]), _TRAINING)
        for source, own in zip(sources, states, strict=True)
    ]
    return {
        "forward": lambda i: forward(i, training=True),
        "inference": lambda i: forward(i, training=False),
        "backward": lambda i: torch.autograd.grad(
            outputs[i], sources[i], b.dy[i], retain_graph=True
        ),
    }


def jax_calls(buffers: Buffers) -> Calls:
    """The formulae as XLA compiles them; channels last is another order of axes there."""
    jax = importlib.import_module("jax")
    jnp, b = jax.numpy, buffers
    last = b.x[0].is_contiguous(memory_format=torch.channels_last)
    axes, shape = ((0, 1, 2), (-1,)) if last else ((0, 2, 3), (-1, 1, 1))

    def take(tensor: Tensor) -> Any:
        moved = tensor.permute(0, 2, 3, 1) if last and tensor.ndim == 4 else tensor
        return jax.dlpack.from_dlpack(moved.contiguous())

    def normalize(x: Any, mean: Any, var: Any, gamma: Any, beta: Any) -> Any:
        r = gamma / jnp.sqrt(var + EPSILON)
        wide = x.astype(jnp.float32) - mean.reshape(shape)
        return (wide * r.reshape(shape) + beta.reshape(shape)).astype(x.dtype)

    @jax.jit
    def forward(x: Any, gamma: Any, beta: Any, state: Any) -> Any:
        wide = x.astype(jnp.float32)
        mean = wide.mean(axes)
        var = jnp.square(wide - mean.reshape(shape)).mean(axes)
        state = [DECAY * o + (1 - DECAY) * n for o, n in zip(state, (mean, var), strict=True)]
        return normalize(x, mean, var, gamma, beta), mean, var, state

    @jax.jit
    def backward(x: Any, g: Any, gamma: Any, mean: Any, var: Any) -> Any:
        r, g = 1 / jnp.sqrt(var + EPSILON), g.astype(jnp.float32)
        xhat = (x.astype(jnp.float32) - mean.reshape(shape)) * r.reshape(shape)
        dgamma, dbeta, n = (g * xhat).sum(axes), g.sum(axes), x.size // mean.size
        dx = g - (dbeta / n).reshape(shape) - xhat * (dgamma / n).reshape(shape)
        return (dx * (gamma * r).reshape(shape)).astype(x.dtype), dgamma, dbeta

    infer = jax.jit(normalize)
    gamma, beta, *state = map(take, (b.gamma, b.beta, b.running_mean, b.running_var))
    x, dy = [take(each) for each in b.x], [take(each) for each in b.dy]
    _, mean, var, _ = forward(x[0], gamma, beta, state)
    return {
        "forward": lambda i: forward(x[i], gamma, beta, state),
        "inference": lambda i: infer(x[i], *state, gamma, beta),
        "backward": lambda i: backward(x[i], dy[i], gamma, mean, var),
    }


OTHERS: dict[str, Callable[[Buffers], Calls]] = {
    "copy": copy_calls,
    "torch native": native_calls,
    "torch cudnn": cudnn_calls,
    "torch.compile": compiled_calls,
    "jax": jax_calls,
}
"""Subject -> its calls; all others are ours."""
TORCH = ("torch native", "torch cudnn")


def make_calls(subject: str, buffers: Buffers) -> Calls:
    """The calls of any subject."""
    make = OTHERS.get(subject)
    return our_calls(subject, buffers) if make is None else make(buffers)
