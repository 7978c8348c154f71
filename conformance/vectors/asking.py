"""Ask a subject for its answers to given arrays, in a process of its own as a campaign does.

A campaign's worker makes a case's arrays from its fill; a vector brings them along.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache

import numpy as np

from ..case import Mode
from ..contract import (
    Adapter,
    Answer,
    Answered,
    Outcome,
    Raised,
    Step,
    Unsupported,
    UnsupportedError,
)
from ..engine.loading import Target, load_class
from ..engine.output import OUTPUT_LIMIT
from ..engine.process import SubjectProcess
from .format import Vector

LIMIT = 120.0
"""Seconds for one vector, framework start and compilation included."""


class UnavailableError(Exception):
    """The subject does not run here; the text says why."""


def answers(target: Target, vectors: Sequence[Vector]) -> Iterator[tuple[Vector, Outcome]]:
    """Every vector with what the subject made of it, in order; or :class:`UnavailableError`."""
    adapter = load_class(target)
    with _VectorProcess(target, adapter.environment) as process:
        described = process.describe()
        if not described.available:
            msg = f"{adapter.name} is not available: {described.reason}"
            raise UnavailableError(msg)
        for vector in vectors:
            reason = adapter.capabilities.unsupported(vector.case)
            if reason is not None:
                yield vector, Unsupported(reason=reason)
            else:
                yield vector, process.ask_vector(target, vector)


class _VectorProcess(SubjectProcess):
    """A subject's process that is sent the arrays too."""

    def ask_vector(self, target: Target, vector: Vector) -> Outcome:
        """What became of one vector; the subject may crash or hang over it."""
        return self.do(answer_vector, (target, vector), LIMIT)


def answer_vector(target: Target, vector: Vector) -> Outcome:
    """Call the subject's layer once, in this process; exceptions become outcomes."""
    began = time.perf_counter()
    try:
        layer = _adapter(target).build(vector.case, vector.case_inputs().parameters)
        step = vector.case_inputs().steps[0]
        call = layer.train if vector.mode is Mode.TRAIN else layer.infer
        answer = Answer(steps=(_arrays_only(call(step.x, step.dy)),), inference=None)
    except UnsupportedError as error:
        return Unsupported(reason=str(error))
    except BaseException as error:  # noqa: BLE001 -- whatever it raises is its outcome
        return Raised(
            error=f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0],
            traceback=traceback.format_exc()[-OUTPUT_LIMIT:],
            seconds=time.perf_counter() - began,
            output="",
        )
    seconds = time.perf_counter() - began
    return Answered(answer=answer, seconds=seconds, unrepeatable=None, mutated=(), output="")


def _arrays_only(step: Step) -> Step:
    """``step``, which must hold NumPy arrays alone: others may not survive the way back."""
    for field in fields(Step):
        value = getattr(step, field.name)
        if value is not None and not isinstance(value, np.ndarray):
            kind = type(value).__name__
            msg = f"the adapter gave {field.name} as {kind}; layers answer in NumPy arrays"
            raise TypeError(msg)
    return step


@cache
def _adapter(target: Target) -> Adapter:
    return load_class(target)()
