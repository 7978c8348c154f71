"""The parts of ``gpu.py`` that touch the device, each run in a process of its own.

A part yields rows (JSON-ready) as soon as it has them: what is measured is kept, whatever happens
next. An illegal access ends the process and with it this part alone.
"""

from __future__ import annotations

import gc
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from gpu_timing import Clock, Timed
from gpu_workloads import (
    DECAY,
    EPSILON,
    OPERATIONS,
    REHEARSAL_SHAPES,
    SHAPES,
    Buffers,
    Workload,
    kernel_module,
    make_buffers,
    make_calls,
    make_launcher,
    workloads,
)
from torch import Tensor

ALLOWED = 64.0
"""Largest error, in units of 2^-24 past the output's rounding, before a kernel is called wrong."""
_ROUNDOFF = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
_ROUNDS = 11
_COPIES = 48
_L2 = 60 * 2**20
_LARGE_COPY = 2**32
# Shapes with one value, tails in every direction, and more of each than one program takes.
_ODD_SHAPES = ((1, 5, 1, 1), (7, 3, 5, 11), (3, 70, 1, 1), (40, 2, 15, 20), (513, 5, 17, 19))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how long a part works; a rehearsal takes tiny shapes and the CPU."""

    device: torch.device
    seconds: float
    rehearsal: bool
    began: float
    share: tuple[int, int] = (0, 1)
    """Which of how many equal shares of the work to do."""

    @property
    def late(self) -> bool:
        """Whether the part should begin nothing more."""
        return time.monotonic() - self.began > self.seconds

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that are timed."""
        return REHEARSAL_SHAPES if self.rehearsal else SHAPES

    @property
    def odd_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Small shapes on which mistakes show."""
        return _ODD_SHAPES[:2] if self.rehearsal else _ODD_SHAPES


def errors(setting: Setting, subjects: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The largest error of our kernels against float64 formulae, on this share of the workloads."""
    share, shares = setting.share
    everything = workloads((*setting.odd_shapes, *setting.shapes))
    for workload in itertools.islice(everything, share, None, shares):
        for subject in subjects:
            if setting.late:
                return
            found: dict[str, Any]
            try:
                found = {"error": largest_error(subject, workload, setting.device)}
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                found = {"failed": one_line(error)}
            yield {"subject": subject, **workload.label, **found}


def largest_error(subject: str, workload: Workload, device: torch.device) -> float:
    """Over outputs and state, in units of 2^-24 past the rounding of the output.

    Relative to outputs that are larger than 1; sums are divided by their count. Training and
    inference; NaN where a value was never written.
    """
    buffers = make_buffers(workload, device, 1)
    plain = kernel_module("reference")
    errors = []
    for training in (True, False):
        # Memory that is handed out next holds NaN: what a kernel leaves out shows.
        spoilt = torch.full((3 * math.prod(workload.shape),), math.nan, device=device)
        del spoilt
        got = _answers(*make_launcher(subject, device), buffers, training=training, wide=False)
        expected = _answers(plain, {}, buffers, training=training, wide=True)
        for name, value in expected.items():
            error = (got[name].double() - value).abs()
            if name in ("y", "dx"):
                # Past the output's rounding, and by what every operation before rounds.
                error = error / value.abs().clamp(min=1.0) - _ROUNDOFF[workload.dtype]
            n = value.numel() and buffers.x[0].numel() // workload.shape[1]
            errors.append(float(error.max()) / (n if name in ("dgamma", "dbeta") else 1))
    return math.nan if any(map(math.isnan, errors)) else max(0.0, *errors) / 2.0**-24


def _answers(
    module: Any, options: dict[str, Any], b: Buffers, *, training: bool, wide: bool
) -> dict[str, Tensor]:
    """What ``module`` makes of copies of the buffers, in float64 when ``wide``."""
    x, dy = b.x[0], b.dy[0]
    state = (b.gamma, b.beta, b.running_mean, b.running_var)
    state = tuple(each.double() if wide else each.clone() for each in state)
    x, dy = (x.double(), dy.double()) if wide else (x, dy)
    settings = {"axis": 1, "epsilon": EPSILON, "decay": DECAY, "training": training}
    out = module.forward(x, *state, **settings, **options)
    grad = module.backward(x, dy, state[0], out, axis=1, training=training, **options)
    found = {"y": out.y, "dx": grad.dx, "dgamma": grad.dgamma, "dbeta": grad.dbeta}
    return found | {"running_mean": state[2], "running_var": state[3]}


def bits(setting: Setting, subjects: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Whether 100 runs on the same input give the same bits."""
    runs = 3 if setting.rehearsal else 100
    for subject, workload in itertools.product(subjects, workloads(setting.shapes[:2])):
        if setting.late:
            return
        try:
            buffers = make_buffers(workload, setting.device, 1)
            launcher, options = make_launcher(subject, setting.device)
            first, *others = (
                _answers(launcher, options, buffers, training=True, wide=False) for _ in range(runs)
            )
            same = all(torch.equal(first[name], each[name]) for each in others for name in first)
            yield {"subject": subject, **workload.label, "runs": runs, "same": same}
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            yield {"subject": subject, **workload.label, "failed": one_line(error)}


def driver(setting: Setting, subjects: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A few small calls, for a tool that watches every access."""
    for subject, workload in itertools.product(subjects, workloads(setting.odd_shapes[1:])):
        if setting.late:
            return
        buffers = make_buffers(workload, setting.device, 1)
        launcher, options = make_launcher(subject, setting.device)
        for training in (True, False):
            _answers(launcher, options, buffers, training=training, wide=False)
        yield {"subject": subject, **workload.label}


def measure(setting: Setting, subjects: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Times of every subject on every workload, interleaved; the bandwidth of a large copy first.

    Workloads come in an order that leaves all shapes seen if time runs out.
    """
    clock = Clock(setting.device)
    yield {"copy_bytes_per_second": _bandwidth(clock, setting)}
    ordered = sorted(workloads(setting.shapes), key=_importance)
    for workload in ordered:
        if setting.late:
            yield {**workload.label, "skipped": "out of time"}
            continue
        yield from _measured(clock, workload, setting, subjects)
        gc.collect()
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()


def _importance(workload: Workload) -> tuple[bool, int]:
    """The two kinds with a goal first: NCHW in float32, NHWC in bfloat16."""
    usual = workload.channels_last == (workload.dtype is torch.bfloat16)
    return (not usual, -workload.bytes)


def _measured(
    clock: Clock, workload: Workload, setting: Setting, subjects: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """All operations of one workload."""
    # Two at the least: of a single one, what was read last would still be in the cache.
    copies = max(2, min(_COPIES, -(-3 * _cache(setting) // workload.bytes)))
    copies = 2 if setting.rehearsal else copies
    buffers = make_buffers(workload, setting.device, copies)
    timed: list[Timed] = []
    for subject in subjects:
        try:
            calls = make_calls(subject, buffers)
            prepared = [clock.prepare(subject, name, calls[name], copies) for name in calls]
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            yield {**workload.label, "subject": subject, "failed": one_line(error)}
        else:
            timed += prepared
    for operation in ("copy", *OPERATIONS):
        chosen = [each for each in timed if each.operation == operation]
        for turn in range(2 if setting.rehearsal else _ROUNDS):
            clock.round(chosen, turn)
        yield from ({**workload.label, "copies": copies, **each.summary()} for each in chosen)


def _bandwidth(clock: Clock, setting: Setting) -> float:
    """Bytes read and written a second by a copy much larger than the cache."""
    count = 2**16 if setting.rehearsal else _LARGE_COPY
    source = torch.arange(count // 4, dtype=torch.int32, device=setting.device)
    into = torch.empty_like(source)
    timed = clock.prepare("copy", "copy", lambda _: into.copy_(source), 1)
    for turn in range(5):
        clock.round([timed], turn)
    return 2 * count / (float(timed.summary()["ms"]) / 1000)


def _cache(setting: Setting) -> int:
    if setting.device.type != "cuda":
        return _L2
    properties = torch.cuda.get_device_properties(setting.device)
    return int(getattr(properties, "L2_cache_size", _L2) or _L2)


def one_line(error: BaseException) -> str:
    """Kind and text of an error, cut to what a table can hold."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


PARTS = {"errors": errors, "bits": bits, "driver": driver, "measure": measure}
"""Name -> part."""


def setting_of(*, rehearsal: bool, seconds: float, share: str) -> Setting:
    """The setting of this process, its ``share`` written as I/N with I from 0."""
    device = torch.device("cpu" if rehearsal else "cuda")
    first, _, shares = share.partition("/")
    return Setting(
        device=device,
        seconds=seconds,
        rehearsal=rehearsal,
        began=time.monotonic(),
        share=(int(first), int(shares)),
    )
