"""Check the Triton kernels on this machine's GPU, then time them beside torch and a plain copy.

    python benchmarks/gpu_triton.py

"share" is how much of the memory's speed a training call reaches: the time of device copies that
move as many bytes as the call must at least move (forward: read x, write y; backward: read x and
dy, write dx), over the call's time. "error" is the largest one against float64 formulae, past the
rounding of the output, in units of 2^-24; sums are divided by their count. Exit status: 0 right,
1 a wrong result, 2 no GPU, hence nothing checked and nothing measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from triton.testing import do_bench

from bnconform.adapters.gpu_kernel import launcher, reference

CHANNELS_FIRST, CHANNELS_LAST = torch.contiguous_format, torch.channels_last
WORKLOADS = (
    ((64, 256, 28, 28), CHANNELS_FIRST),
    ((64, 256, 28, 28), CHANNELS_LAST),
    ((128, 32, 56, 56), CHANNELS_FIRST),
    ((16384, 1024), CHANNELS_FIRST),
)
OUTPUT_ROUNDOFF = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}
ALLOWED = 64.0
SETTINGS: dict[str, Any] = {"axis": 1, "epsilon": 1e-5, "decay": 0.9, "training": True}


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """One workload: ``x`` and ``dy`` of its shape, the rest (channels,) in float32."""

    x: Tensor
    dy: Tensor
    gamma: Tensor
    beta: Tensor
    running_mean: Tensor
    running_var: Tensor


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A training call and its gradients, each without arguments."""

    name: str
    forward: Callable[[], Any]
    backward: Callable[[], Any]


def main() -> int:
    """Check and time every workload in every format."""
    if not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        print("no GPU for Triton here: nothing checked, nothing measured", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; times in ms (share)")
    errors = [
        report(make_arrays(shape, memory, dtype, torch.device("cuda")))
        for shape, memory in WORKLOADS
        for dtype in OUTPUT_ROUNDOFF
    ]
    return 0 if max(errors) <= ALLOWED else 1


def make_arrays(
    shape: tuple[int, ...], memory: torch.memory_format, dtype: torch.dtype, device: torch.device
) -> Arrays:
    """Normal values, the same at every run on one kind of device."""
    random = torch.Generator(device).manual_seed(0)
    x, dy = (
        torch.randn(shape, generator=random, device=device).to(dtype, memory_format=memory)
        for _ in range(2)
    )
    gamma, beta, mean = torch.randn((3, shape[1]), generator=random, device=device)
    return Arrays(
        x=x, dy=dy, gamma=gamma, beta=beta, running_mean=mean, running_var=torch.ones_like(mean)
    )


def report(arrays: Arrays) -> float:
    """Print one workload; its error."""
    error = largest_error(arrays)
    copy = do_bench(partial(torch.empty_like(arrays.x).copy_, arrays.x), return_mode="median")
    layout = "last" if arrays.x.is_contiguous(memory_format=CHANNELS_LAST) else "first"
    print(f"\n{tuple(arrays.x.shape)} {arrays.x.dtype}, channels {layout}: error {error:.1f}")
    for subject in (
        our_kernels(arrays),
        torch_with(arrays, cudnn=False),
        torch_with(arrays, cudnn=True),
    ):
        ahead = do_bench(subject.forward, return_mode="median")
        back = do_bench(subject.backward, return_mode="median")
        print(
            f"  {subject.name:16} forward {ahead:8.3f} ({copy / ahead:6.1%})"
            f"   backward {back:8.3f} ({1.5 * copy / back:6.1%})"
        )
    return error


def our_kernels(arrays: Arrays) -> Subject:
    """Our kernels."""
    a = arrays
    forward = partial(
        launcher.forward, a.x, a.gamma, a.beta, a.running_mean, a.running_var, **SETTINGS
    )
    saved = forward()
    backward = partial(launcher.backward, a.x, a.dy, a.gamma, saved, axis=1, training=True)
    return Subject(name="triton", forward=forward, backward=backward)


def torch_with(arrays: Arrays, *, cudnn: bool) -> Subject:
    """torch's own call, which may use cuDNN or not; whether it does is torch's choice."""
    a = arrays
    inputs = [tensor.detach().requires_grad_() for tensor in (a.x, a.gamma, a.beta)]

    def forward() -> Tensor:
        x, gamma, beta = inputs
        with torch.backends.cudnn.flags(enabled=cudnn):
            return torch.nn.functional.batch_norm(
                x, a.running_mean, a.running_var, gamma, beta, training=True, momentum=0.1
            )

    y = forward()
    backward = partial(torch.autograd.grad, y, inputs, a.dy, retain_graph=True)
    return Subject(
        name=f"torch, cudnn {'on' if cudnn else 'off'}", forward=forward, backward=backward
    )


def largest_error(arrays: Arrays) -> float:
    """Over all outputs and the updated state, as the module's docstring defines it."""
    got, expected = (
        _answers(module, arrays, wide=wide)
        for module, wide in ((launcher, False), (reference, True))
    )
    n = arrays.x.numel() // arrays.x.shape[1]
    rounding = OUTPUT_ROUNDOFF[arrays.x.dtype]
    errors = []
    for name, value in expected.items():
        error = (got[name].double() - value).abs()
        if name in ("y", "dx"):
            error = error - rounding * value.abs()
        errors.append(error.max().item() / (n if name in ("dgamma", "dbeta") else 1))
    return float(max(0.0, *errors)) / 2.0**-24


def _answers(module: Any, arrays: Arrays, *, wide: bool) -> dict[str, Tensor]:
    """What ``module`` makes of copies of the arrays, in float64 when ``wide``."""
    a = {name: value.double() if wide else value.clone() for name, value in vars(arrays).items()}
    parameters = (a["gamma"], a["beta"], a["running_mean"], a["running_var"])
    out = module.forward(a["x"], *parameters, **SETTINGS)
    grad = module.backward(a["x"], a["dy"], a["gamma"], out, axis=1, training=True)
    state = {name: a[name] for name in ("running_mean", "running_var")}
    return {"y": out.y, "dx": grad.dx, "dgamma": grad.dgamma, "dbeta": grad.dbeta, **state}


if __name__ == "__main__":
    sys.exit(main())
