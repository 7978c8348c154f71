"""What ``test_triton_kernel.py`` runs in processes of its own: ``triton_script.py TASK``.

Reads pickled cases by name, where the task needs them, and writes a pickled answer.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bnconform.adapters.gpu_kernel.adapter import TritonKernel
from bnconform.adapters.gpu_kernel.arguments import as_slab
from bnconform.adapters.gpu_kernel.tiling import Tiling, make_tiling
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import Inputs, make_inputs
from bnconform.conformance.contract import Step

LAUNCHES = {
    "float32, channels first": ("float32", (32, 64, 28, 28), True, False),
    "float32, running statistics": ("float32", (32, 64, 28, 28), False, False),
    "bfloat16, channels last": ("bfloat16", (32, 64, 28, 28), True, True),
    "float16, matrix": ("float16", (4096, 256), True, False),
    "float64, channels first": ("float64", (32, 64, 28, 28), True, False),
    "one value per channel": ("float32", (1, 5), True, False),
}


def _answer() -> tuple[Any, ...]:
    """The fields of the test's ``Worker``."""
    cases: dict[str, Case] = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the test
    adapter = TritonKernel()
    warnings.simplefilter("error")
    steps, plans = {}, {}
    overwritten = []
    for name, case in cases.items():
        inputs = make_inputs(case)
        plans[name] = _watched_plans(adapter)
        steps[name] = (_run_case(adapter, case, inputs), _run_case(adapter, case, inputs))
        if pickle.dumps(inputs) != pickle.dumps(make_inputs(case)):
            overwritten.append(name)
    views = {name: _is_view(adapter, case) for name, case in cases.items()}
    return (
        adapter.device,
        steps,
        overwritten,
        _messages(adapter),
        views,
        (_overflow(adapter, 3), _overflow(adapter, 1500)),
        _negative_axis(adapter),
        plans,
    )


def _watched_plans(adapter: TritonKernel) -> list[tuple[Tiling, int]]:
    """How each channel will be cut from now on, and in how many blocks of them."""
    plans = []

    def watched(outer: int, channels: int, inner: int, **rest: Any) -> Tiling:
        tiling = make_tiling(outer, channels, inner, **rest)
        plans.append((tiling, -(-channels // tiling.block_c)))
        return tiling

    vars(adapter.launcher)["make_tiling"] = watched
    return plans


def _run_case(adapter: TritonKernel, case: Case, inputs: Inputs) -> list[Step]:
    layer = adapter.build(case, inputs.parameters)
    trained = inputs.steps if case.mode is Mode.TRAIN else ()
    steps = [layer.train(call.x, call.dy) for call in trained]
    return [*steps, layer.infer(inputs.inference.x, inputs.inference.dy)]


def _messages(adapter: TritonKernel) -> dict[str, str]:
    """What the launcher says to each bad call."""
    torch, where = adapter.torch, adapter.placement
    x = torch.ones((4, 3, 2), device=where)
    mean = torch.zeros(3, device=where)
    good = {"x": x, "dy": x, "mean": mean, "axis": 1, "decay": 0.5}
    changes: dict[str, dict[str, Any]] = {
        "empty batch": {"x": x[:0]},
        "no decay": {"decay": None},
        "integers": {"x": x.long()},
        "axis": {"axis": 3},
        "statistics in half": {"mean": mean.half()},
        "too few statistics": {"mean": mean[:2].clone()},
        "too many values": {"x": x[:1, :, :1].expand(2**30 + 1, 3, 1)},
        "dy": {"dy": x[..., :1]},
    }
    return {name: _message(adapter, good | change) for name, change in changes.items()}


def _message(adapter: TritonKernel, call: dict[str, Any]) -> str:
    var = adapter.torch.ones(3, device=adapter.placement)
    try:
        saved = adapter.launcher.forward(
            call["x"], None, None, call["mean"], var,
            axis=call["axis"], epsilon=1e-5, decay=call["decay"], training=True,
        )  # fmt: skip
        adapter.launcher.backward(call["x"], call["dy"], None, saved, axis=1, training=True)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def _is_view(adapter: TritonKernel, case: Case) -> bool:
    x = adapter.to_device(make_inputs(case).steps[0].x)
    return bool(as_slab(x, case.channel_axes[0], {x.dtype}).data_ptr() == x.data_ptr())


def _overflow(adapter: TritonKernel, count: int) -> float:
    """dgamma of a constant channel of ``count`` values, large beside the root of epsilon."""
    torch, where = adapter.torch, adapter.placement
    x = torch.full((count, 1), 2.0**100, device=where)
    one = torch.ones(1, device=where)
    with np.errstate(all="ignore"):
        saved = adapter.launcher.forward(
            x,
            one,
            one,
            one.clone(),
            one.clone(),
            axis=1,
            epsilon=2.0**-80,
            decay=0.5,
            training=True,
        )
        grad = adapter.launcher.backward(x, one.expand(count, 1), one, saved, axis=1, training=True)
    return float(grad.dgamma)


def _negative_axis(adapter: TritonKernel) -> bool:
    """Whether the feature axis -1 of three gives the same bits as axis 2."""
    torch, where = adapter.torch, adapter.placement
    x = torch.arange(24.0, device=where).reshape(4, 3, 2)
    mean, var = torch.zeros(2, device=where), torch.ones(2, device=where)
    one, other = (
        adapter.launcher.forward(
            x, None, None, mean.clone(), var.clone(),
            axis=axis, epsilon=1e-5, decay=0.5, training=True,
        )
        for axis in (2, -1)
    )  # fmt: skip
    return bool(torch.equal(one.y, other.y))


class _TwoGpus:
    """Stands in for Triton's driver: two generations of GPU that it can compile for but not use."""

    def __init__(self) -> None:
        self.device = 0

    def get_current_device(self) -> int:
        return self.device

    def get_current_stream(self, device: int) -> int:
        return device

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", (80, 90)[self.device], 32)


def _compile() -> list[tuple[str, str, str]]:
    """Every launch as the launcher makes it, compiled for both generations and not run."""
    import torch
    import triton
    from triton.runtime.jit import JITFunction

    from bnconform.adapters.gpu_kernel import launcher

    found = []
    launch = JITFunction.run

    def compile_only(kernel: Any, *args: Any, **options: Any) -> None:
        made = launch(kernel, *args, **options | {"warmup": True})
        found.append((made.name, made.asm["ptx"], _usage(made.asm["cubin"])))

    JITFunction.run = compile_only
    gpus = _TwoGpus()
    triton.runtime.driver.set_active(gpus)
    for gpus.device in range(2):
        for dtype, shape, training, last in LAUNCHES.values():
            memory = torch.channels_last if last else torch.contiguous_format
            x = torch.ones(shape).to(getattr(torch, dtype), memory_format=memory)
            state = torch.ones(shape[1], dtype=launcher.COMPUTE_DTYPES[x.dtype])
            gamma = state if training else None
            saved = launcher.forward(
                x, gamma, gamma, state, state, axis=1, epsilon=1e-5, decay=0.9, training=training
            )
            launcher.backward(x, x, gamma, saved, axis=1, training=training)
    return found


def _usage(cubin: bytes) -> str:
    """What NVIDIA's own tool says of the registers, the stack and the local memory it takes."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([tool, "-res-usage", file.name], capture_output=True, check=True)
    return done.stdout.decode()


def _late() -> str:
    """What the adapter says when Triton came first."""
    import triton  # noqa: F401 - importing it is the point

    try:
        TritonKernel()
    except ImportError as error:
        return str(error)
    return "no error"


if __name__ == "__main__":
    task = {"answer": _answer, "compile": _compile, "late": _late}[sys.argv[1]]
    sys.stdout.buffer.write(pickle.dumps(task()))
