"""Adapters with one fault each, for tests of the harness; all answer like the NumPy reference."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Layer, Parameters, Step, UnsupportedError

_calls = itertools.count()


class _Wrapped:
    """A layer whose training call goes through ``spoil`` first."""

    def __init__(self, layer: Layer, spoil: Callable[[Layer, Array, Array], Step]) -> None:
        self.layer, self.spoil = layer, spoil

    def train(self, x: Array, dy: Array) -> Step:
        return self.spoil(self.layer, x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        return self.layer.infer(x, dy)


class _Faulty(NumpyReference):
    framework = "faulty"

    def build(  # type: ignore[override]  # a wrapper is a Layer, not the reference's own
        self, case: Case, parameters: Parameters
    ) -> Layer:
        self.case = case
        return _Wrapped(super().build(case, parameters), self.spoil)

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        return layer.train(x, dy)


def _marked(case: Case) -> bool:
    """One case in five, the same ones on every run."""
    return int(case.id, 16) % 5 == 0


class Sound(_Faulty):
    """No fault: the control."""

    name = "faulty.sound"


class SometimesSegfaults(_Faulty):
    """Dies of a real segmentation fault in some cases."""

    name = "faulty.segfault"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            sys.stdout.write("about to die")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        return layer.train(x, dy)


class SometimesHangs(_Faulty):
    """Never answers some cases and ignores SIGTERM."""

    name = "faulty.hang"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        return layer.train(x, dy)


class Raises(_Faulty):
    """Raises on every training call."""

    name = "faulty.raises"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        sys.stdout.write("some output before the error")
        msg = "no luck today"
        raise RuntimeError(msg)


class Exits(_Faulty):
    """Calls sys.exit, which is not an Exception."""

    name = "faulty.exits"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        sys.exit(3)


class Declines(_Faulty):
    """Finds out while building that it cannot do it."""

    name = "faulty.declines"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        msg = "only on Sundays"
        raise UnsupportedError(msg)


class Overwrites(_Faulty):
    """Normalizes in place, into the caller's array."""

    name = "faulty.overwrites"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        x[...] = step.y
        return step


class NeverTheSame(_Faulty):
    """Gives other bits on every call."""

    name = "faulty.never_the_same"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        return replace(step, running_mean=np.asarray(step.running_mean) + next(_calls) * 1e-6)


class AnswersLists(_Faulty):
    """Answers in lists instead of arrays."""

    name = "faulty.lists"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        answer: Any = [1.0]
        return replace(layer.train(x, dy), y=answer)


class UnbiasedRunningVariance(_Faulty):
    """Stores the unbiased variance although it documents the biased one."""

    name = "faulty.unbiased"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        own: Any = layer
        step = layer.train(x, dy)
        if step.batch_var is None:
            return step
        n = self.case.count(x.shape)
        new = 1 / own.updates if self.case.decay is None else 1 - self.case.decay
        excess = new * (n / max(n - 1, 1) - 1)
        own.var = (own.var + excess * step.batch_var).astype(own.compute)
        return replace(step, running_var=own.var.copy())


class CannotStart(_Faulty):
    """Its framework is not there."""

    name = "faulty.cannot_start"

    def __init__(self) -> None:
        import a_framework_that_does_not_exist  # type: ignore[import-not-found]  # noqa: F401 -- the point of this adapter


class DiesStarting(_Faulty):
    """Its framework kills the process."""

    name = "faulty.dies_starting"

    def __init__(self) -> None:
        os._exit(7)


class BadAxes(_Faulty):
    """Declares feature axes that do not exist."""

    name = "faulty.bad_axes"
    capabilities = replace(NumpyReference.capabilities, axes="middle")  # type: ignore[arg-type]
