"""What runs inside a subject's own process: load its adapter, and answer one case at a time."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ..case import Case, Mode
from ..cases.fills import Inputs, StepInputs, make_inputs, make_many
from ..cases.malformed import Probe, make_call
from ..contract import (
    Adapter,
    Answer,
    Answered,
    Array,
    ForwardLayer,
    Layer,
    Observation,
    Observed,
    Observer,
    Outcome,
    Parameters,
    Quantity,
    Raised,
    Step,
    Unsupported,
    UnsupportedError,
    VariantLayer,
)
from ..experiments.registry import EXPERIMENTS
from .leaving import leave_with_parent
from .loading import Target, load_class
from .output import OUTPUT_LIMIT, Captured

OTHERWISE_EVERY = 32
"""One case in so many is run again after another case than the first time, if it is repeated."""

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a subject says of itself once it runs; ``reason`` is why it does not, else ''."""

    available: bool
    reason: str
    version: str
    device: str


class _Process:
    """The state of this worker process; there is one adapter to a process."""

    target: Target
    output: Captured
    adapter: Adapter | None = None
    earlier: tuple[Case, ...] = ()
    """The last two cases that were answered, in their order."""


def start(target: Target, environment: Mapping[str, str], folder: Path) -> None:
    """Prepare this process: environment before any framework, what it prints to ``folder``."""
    leave_with_parent()
    os.environ.update(environment)
    # Ctrl-C reaches the whole process group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Process.target, _Process.output = target, Captured(folder)


def describe() -> Described:
    """Construct the adapter; a framework that is absent makes the subject unavailable."""
    return _described(_adapter)


def describe_target(target: Target) -> Described:
    """What :func:`describe` says of another adapter, which this process does not keep."""

    def construct() -> Adapter:
        return load_class(target)()

    return _described(construct)


def _described(construct: Callable[[], Adapter]) -> Described:
    try:
        adapter = construct()
    except BaseException as error:  # noqa: BLE001 -- any failure to construct is a reason
        reason = one_line(error)
        return Described(available=False, reason=reason, version="", device="")
    # As plain text: torch's version is a class of its own, and would bring torch to the harness.
    version, device = str(adapter.version), str(adapter.device)
    return Described(available=True, reason="", version=version, device=device)


def answer(case: Case, *, repeat: bool) -> Outcome:
    """Run ``case``, twice from a fresh layer when ``repeat``; exceptions become outcomes."""
    (every,) = _inputs([(case, repeat)])
    return _caught(partial(_answer, case, every))


def answer_all(number: int, asked: Sequence[tuple[Case, bool]]) -> list[Outcome]:
    """What :func:`answer` gives for each case of the portion called ``number``.

    Their inputs are made together; which one it is at is noted for the harness, which must know
    if this process ends or hangs.
    """
    found: list[Outcome] = []
    for place, ((case, _), every) in enumerate(zip(asked, _inputs(asked), strict=True)):
        _Process.output.reached(number, place)
        found.append(_caught(partial(_answer, case, every)))
    _Process.output.reached(number, len(asked))
    return found


def _inputs(asked: Sequence[tuple[Case, bool]]) -> list[tuple[Inputs, ...]]:
    """The inputs of every case, arrays of their own for each time that it is run."""
    made = iter(make_many([case for case, repeat in asked for _ in range(1 + repeat)]))
    return [tuple(itertools.islice(made, 1 + repeat)) for _, repeat in asked]


def observe(name: str) -> Observation:
    """Run the experiment called ``name``; exceptions become outcomes."""
    return _caught(lambda mark: _observe(name, mark))


def call_malformed(probe: Probe) -> Outcome:
    """Make a malformed call; exceptions become outcomes."""
    return _caught(lambda mark: _call_malformed(probe, mark))


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """Where clock and output were when a question began."""

    began: float
    before: int

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def output(self) -> str:
        return _Process.output.since(self.before)


def _caught(work: Callable[[_Mark], Result]) -> Result | Unsupported | Raised:
    """What ``work`` gives; whatever it raises is its outcome."""
    mark = _Mark(before=_Process.output.begin(), began=time.perf_counter())
    try:
        return work(mark)
    except UnsupportedError as error:
        return Unsupported(reason=str(error))
    except BaseException as error:  # noqa: BLE001 -- whatever it raises is its outcome
        return Raised(
            error=one_line(error),
            traceback=traceback.format_exc()[-OUTPUT_LIMIT:],
            seconds=mark.seconds,
            output=mark.output,
            message=f"{type(error).__name__}: {_text(error)}"[:OUTPUT_LIMIT],
        )


def _answer(case: Case, every: Sequence[Inputs], mark: _Mark) -> Answered:
    """The answer to the first of ``every``, compared with that to the second if there is one."""
    inputs, *others = every
    adapter = _adapter()
    kept = _snapshot(inputs)
    found = run(adapter, case, inputs)
    seconds = mark.seconds
    mutated = _changed(kept, inputs)
    again = _again(adapter, case, others[0]) if others else None
    _Process.earlier = (*_Process.earlier, case)[-2:]
    return Answered(
        answer=found,
        seconds=seconds,
        unrepeatable=None if again is None else _differences(found, again),
        mutated=mutated,
        output=mark.output,
    )


def _again(adapter: Adapter, case: Case, inputs: Inputs) -> Answer:
    """The answer once more, from a fresh layer.

    What a subject keeps of the case before is the same whenever ``case`` follows itself, so that
    now and then the one before that goes first.
    """
    if int(case.id, 16) % OTHERWISE_EVERY == 0 and len(_Process.earlier) == 2:
        other, _ = _Process.earlier
        with contextlib.suppress(Exception):  # it was asked already; this is not about it
            run(adapter, other, make_inputs(other))
    return run(adapter, case, inputs)


def _observe(name: str, mark: _Mark) -> Observed:
    adapter = cast("Observer", _adapter())
    arrays = {key: array.copy() for key, array in EXPERIMENTS[name].arrays.items()}
    found = adapter.observe(name, arrays)
    checked = {key: _own_array(key, value) for key, value in found.items()}
    return Observed(arrays=checked, seconds=mark.seconds, output=mark.output)


def _call_malformed(probe: Probe, mark: _Mark) -> Answered:
    call = make_call(probe)
    layer: Layer = _adapter().build(call.case, call.parameters)
    training = call.case.mode is not Mode.INFERENCE
    if hasattr(layer, "forward"):
        step = cast("ForwardLayer", layer).forward(call.x, training=training)
    else:
        step = (layer.train if training else layer.infer)(call.x, call.dy)
    return Answered(
        answer=Answer(steps=(_checked(step),), inference=None),
        seconds=mark.seconds,
        unrepeatable=None,
        mutated=(),
        output=mark.output,
    )


def _adapter() -> Adapter:
    if _Process.adapter is None:
        _Process.adapter = load_class(_Process.target)()
    return _Process.adapter


def run(adapter: Adapter, case: Case, inputs: Inputs) -> Answer:
    """The calls of a case in order: training steps, then inference."""
    layer: Layer = adapter.build(case, inputs.parameters)
    if case.mode is Mode.INFERENCE:
        only = inputs.steps[0]
        return Answer(steps=(_checked(layer.infer(only.x, only.dy)),), inference=None)
    steps = tuple(_checked(_train(layer, step)) for step in inputs.steps)
    if case.mode is Mode.FROZEN:
        return Answer(steps=steps, inference=None)
    last = _checked(layer.infer(inputs.inference.x, inputs.inference.dy))
    return Answer(steps=steps, inference=last)


def _train(layer: Layer, step: StepInputs) -> Step:
    """One training call; arrays that belong to a variant go only to layers that offer it."""
    if not step.extras:
        return layer.train(step.x, step.dy)
    return cast("VariantLayer", layer).train(step.x, step.dy, **step.extras)


def _checked(step: Step) -> Step:
    """``step`` with arrays of its own, so that a later call cannot change what it answered."""
    copied: dict[str, Any] = {}
    for field in fields(Step):
        value = getattr(step, field.name)
        copied[field.name] = None if value is None else _own_array(field.name, value)
    return Step(**copied)


def _own_array(name: str, value: Any) -> Array:
    """A copy of ``value``, which must be an array."""
    if not isinstance(value, np.ndarray):
        kind = type(value).__name__
        msg = f"the adapter gave {name} as {kind}; adapters answer in NumPy arrays"
        raise TypeError(msg)
    if value.dtype.hasobject:
        msg = f"the adapter gave {name} as an array of objects; adapters answer in numbers"
        raise TypeError(msg)
    return np.array(value)


def _arrays(inputs: Inputs) -> dict[str, Array]:
    """Every input array by the name that a message would use."""
    named: dict[str, Array] = {}
    for index, step in enumerate((*inputs.steps, inputs.inference)):
        named |= {f"{name} of call {index}": array for name, array in step.arrays.items()}
    for field in fields(Parameters):
        value = getattr(inputs.parameters, field.name)
        if value is not None:
            named[field.name] = value
    return named


def _snapshot(inputs: Inputs) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in _arrays(inputs).items()}


def _changed(kept: Mapping[str, bytes], inputs: Inputs) -> tuple[str, ...]:
    return tuple(name for name, array in _arrays(inputs).items() if array.tobytes() != kept[name])


def _differences(first: Answer, second: Answer) -> tuple[Quantity, ...]:
    """Quantities whose bits differ between two runs of one case."""
    found: set[Quantity] = set()
    for one, other in zip(_calls(first), _calls(second), strict=True):
        for field in fields(Step):
            a, b = getattr(one, field.name), getattr(other, field.name)
            same = (a is None) == (b is None) and (a is None or a.tobytes() == b.tobytes())
            if not same:
                found.add(Quantity(field.name))
    return tuple(sorted(found))


def _calls(answered: Answer) -> tuple[Step, ...]:
    return answered.steps if answered.inference is None else (*answered.steps, answered.inference)


def one_line(error: BaseException) -> str:
    """The exception's type and the first line of its text."""
    lines = [line.strip() for line in _text(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 -- it is a subject's own, and may fail like all else
        return "(it cannot be printed)"
