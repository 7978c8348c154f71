"""Adapters with one fault each, for tests of the harness; all answer like the NumPy reference."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.contract import Step, UnsupportedError

_calls = itertools.count()


class _Wrapped:
    """A layer whose training call goes through ``spoil`` first."""

    def __init__(self, layer, spoil):
        self.layer, self.spoil = layer, spoil

    def train(self, x, dy) -> Step:
        return self.spoil(self.layer, x, dy)

    def infer(self, x, dy) -> Step:
        return self.layer.infer(x, dy)


class _Faulty(NumpyReference):
    framework = "faulty"

    def build(self, case, parameters):
        self.case = case
        return _Wrapped(super().build(case, parameters), self.spoil)

    def spoil(self, layer, x, dy) -> Step:
        return layer.train(x, dy)


def _marked(case) -> bool:
    """One case in five, the same ones on every run."""
    return int(case.id, 16) % 5 == 0


class Sound(_Faulty):
    """No fault: the control."""

    name = "faulty.sound"


class SometimesSegfaults(_Faulty):
    """Dies of a real segmentation fault in some cases."""

    name = "faulty.segfault"

    def spoil(self, layer, x, dy):
        if _marked(self.case):
            print("about to die", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        return layer.train(x, dy)


class SometimesHangs(_Faulty):
    """Never answers some cases and ignores SIGTERM."""

    name = "faulty.hang"

    def spoil(self, layer, x, dy):
        if _marked(self.case):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        return layer.train(x, dy)


class Raises(_Faulty):
    """Raises on every training call."""

    name = "faulty.raises"

    def spoil(self, layer, x, dy):
        print("some output before the error")
        msg = "no luck today"
        raise RuntimeError(msg)


class Exits(_Faulty):
    """Calls sys.exit, which is not an Exception."""

    name = "faulty.exits"

    def spoil(self, layer, x, dy):
        sys.exit(3)


class Declines(_Faulty):
    """Finds out while building that it cannot do it."""

    name = "faulty.declines"

    def spoil(self, layer, x, dy):
        msg = "only on Sundays"
        raise UnsupportedError(msg)


class Overwrites(_Faulty):
    """Normalizes in place, into the caller's array."""

    name = "faulty.overwrites"

    def spoil(self, layer, x, dy):
        step = layer.train(x, dy)
        x[...] = step.y
        return step


class NeverTheSame(_Faulty):
    """Gives other bits on every call."""

    name = "faulty.never_the_same"

    def spoil(self, layer, x, dy):
        step = layer.train(x, dy)
        return replace(step, running_mean=step.running_mean + next(_calls) * 1e-6)


class AnswersLists(_Faulty):
    """Answers in lists instead of arrays."""

    name = "faulty.lists"

    def spoil(self, layer, x, dy):
        return replace(layer.train(x, dy), y=[1.0])


class UnbiasedRunningVariance(_Faulty):
    """Stores the unbiased variance although it documents the biased one."""

    name = "faulty.unbiased"

    def spoil(self, layer, x, dy):
        step = layer.train(x, dy)
        if step.batch_var is None:
            return step
        n = self.case.count(x.shape)
        new = 1 / layer.updates if self.case.decay is None else 1 - self.case.decay
        excess = new * (n / max(n - 1, 1) - 1)
        layer.var = (layer.var + excess * step.batch_var).astype(layer.compute)
        return replace(step, running_var=layer.var.copy())


class CannotStart(_Faulty):
    """Its framework is not there."""

    name = "faulty.cannot_start"

    def __init__(self):
        import a_framework_that_does_not_exist  # noqa: F401 -- the point of this adapter


class DiesStarting(_Faulty):
    """Its framework kills the process."""

    name = "faulty.dies_starting"

    def __init__(self):
        os._exit(7)


class BadAxes(_Faulty):
    """Declares feature axes that do not exist."""

    name = "faulty.bad_axes"
    capabilities = replace(NumpyReference.capabilities, axes="middle")  # type: ignore[arg-type]
