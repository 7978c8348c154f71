"""Adapters with one fault each, for tests of the harness; all answer like the NumPy reference."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Layer, Parameters, Step, UnsupportedError
from bnconform.conformance.expecting.expectation import Expectation, expectation
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.variant import VariantKind

_calls = itertools.count()


PLAIN_CAPABILITIES = replace(
    NumpyReference.capabilities, variants=frozenset({VariantKind.PLAIN}), half_parameters=False
)
"""What the wrappers below can pass on to the reference."""


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
    capabilities = PLAIN_CAPABILITIES

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


class Aborts(_Faulty):
    """Calls abort, as a failed assertion in C does."""

    name = "faulty.aborts"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            os.abort()
        return layer.train(x, dy)


class Leaves(_Faulty):
    """Ends its process without a word, which no handler sees."""

    name = "faulty.leaves"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            os._exit(7)
        return layer.train(x, dy)


class HangsInC(_Faulty):
    """Sits in C code that holds the interpreter's lock, so that no Python runs beside it."""

    name = "faulty.hang_in_c"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            ctypes.PyDLL(None).sleep(3600)
        return layer.train(x, dy)


class Swells(_Faulty):
    """Takes memory without end."""

    name = "faulty.swells"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        taken = []
        while _marked(self.case):
            taken.append(np.ones(2**22))
            time.sleep(0.005)
        return layer.train(x, dy)


class Leaks(_Faulty):
    """Keeps 64 MiB of every call, as a cache without a limit does."""

    name = "faulty.leaks"
    kept: ClassVar[list[Any]] = []

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        self.kept.append(np.ones(2**23))
        return layer.train(x, dy)


class StartsThreads(_Faulty):
    """Starts 500 threads that never end."""

    name = "faulty.threads"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            for _ in range(500):
                threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        return layer.train(x, dy)


class FloodsStdout(_Faulty):
    """Prints 50 MB."""

    name = "faulty.floods"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            for _ in range(50):
                sys.stdout.write("x" * 10**6)
            sys.stdout.write("the end")
        return layer.train(x, dy)


def _channels() -> list[int]:
    """Descriptors of the pipes and sockets that this process has beside the standard three."""
    found = []
    for name in (entry.name for entry in Path("/dev/fd").iterdir()):
        with contextlib.suppress(OSError):
            mode = os.fstat(int(name)).st_mode
            if int(name) > 2 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                found.append(int(name))
    return found


class WritesToTheChannel(_Faulty):
    """Writes noise into whatever its answers travel through."""

    name = "faulty.noise"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            for channel in _channels():
                os.set_blocking(channel, False)
                with contextlib.suppress(OSError):
                    os.write(channel, b"noise" * 100)
        return layer.train(x, dy)


class ClosesTheChannel(_Faulty):
    """Closes whatever its answers travel through."""

    name = "faulty.closes"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        if _marked(self.case):
            for channel in _channels():
                with contextlib.suppress(OSError):
                    os.close(channel)
        return layer.train(x, dy)


class InterruptsItself(_Faulty):
    """Raises what is no Exception."""

    name = "faulty.interrupts"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        raise KeyboardInterrupt


class AnswersWrongly(_Faulty):
    """Gives an output of the wrong shape, format or finiteness, by the case's id."""

    name = "faulty.wrong"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        if not _marked(self.case):
            return step
        wrong = (step.y[..., :-1], step.y.astype(np.float64) + 1j, step.y * np.nan)
        return replace(step, y=wrong[int(self.case.id, 16) % 3])


class AnswersViews(_Faulty):
    """Answers with views of its input, and overwrites that on the next call."""

    name = "faulty.views"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        return replace(layer.train(x, dy), y=x[...], dx=dy[...])


class Remembers(_Faulty):
    """Adds to each output what it saw in the case before."""

    name = "faulty.remembers"
    seen: ClassVar[list[float]] = [0.0]

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        before, self.seen[0] = self.seen[0], float(np.abs(x).max(initial=1.0))
        return replace(step, y=(step.y + before).astype(step.y.dtype))


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


class HangsStarting(_Faulty):
    """Never finishes importing its framework."""

    name = "faulty.hangs_starting"

    def __init__(self) -> None:
        time.sleep(3600)


class DiesStarting(_Faulty):
    """Its framework kills the process."""

    name = "faulty.dies_starting"

    def __init__(self) -> None:
        os._exit(7)


class BadAxes(_Faulty):
    """Declares feature axes that do not exist."""

    name = "faulty.bad_axes"
    capabilities = replace(PLAIN_CAPABILITIES, axes="middle")  # type: ignore[arg-type]


class _Careless(NumpyReference):
    """Takes any call; what becomes of it is up to the subclass."""

    framework = "faulty"
    capabilities = PLAIN_CAPABILITIES

    def build(  # type: ignore[override]  # a wrapper is a Layer, not the reference's own
        self, case: Case, parameters: Parameters
    ) -> Layer:
        return _Any(self.answer)

    def answer(self, x: Array) -> Step:
        return Step(y=np.zeros_like(x))


class _Any:
    """A layer that looks at the input alone."""

    def __init__(self, answer: Callable[[Array], Step]) -> None:
        self.answer = answer

    def train(self, x: Array, dy: Array) -> Step:
        return self.answer(x)

    def infer(self, x: Array, dy: Array) -> Step:
        return self.answer(x)


class TakesEverything(_Careless):
    """Accepts every malformed call and answers zeros."""

    name = "faulty.takes_everything"


class RejectsUnclearly(_Careless):
    """Rejects everything without a word about it."""

    name = "faulty.rejects_unclearly"

    def answer(self, x: Array) -> Step:
        raise RuntimeError


class CrashesOnMalformed(_Careless):
    """Dies of every malformed call."""

    name = "faulty.crashes_on_malformed"
    capabilities = replace(PLAIN_CAPABILITIES, passes_on=frozenset({Malformation.ONE_CHANNEL}))

    def answer(self, x: Array) -> Step:
        os.kill(os.getpid(), signal.SIGSEGV)
        return Step(y=x)


def _expected() -> dict[str, Expectation]:
    exact = expectation(DoubleDouble(np.ones(2)), np.full(2, 1e-6), None, FORMATS[DType.FLOAT32])
    return {"doubled": exact, "sum": exact.reshape(1, 2)}


def _experiment(name: str) -> Experiment:
    return Experiment(
        name=name,
        parameter="none",
        purpose="to test the harness",
        clauses={"doubled": "BN-INIT-1", "sum": "BN-INIT-2"},
        arrays={"half": np.full(2, 0.5, np.float32)},
        expected=_expected,
    )


# Both the harness and the worker import this file, so both know these experiments.
_known: Any = EXPERIMENTS
_known["faulty.doubles"] = _experiment("faulty.doubles")
_known["faulty.raises"] = _experiment("faulty.raises")


class Observes(NumpyReference):
    """Runs one experiment wrongly in part, and fails in the other."""

    name = "faulty.observes"
    framework = "faulty"
    capabilities = replace(
        PLAIN_CAPABILITIES, experiments=frozenset({"faulty.doubles", "faulty.raises"})
    )

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        if experiment == "faulty.raises":
            msg = "no experiments on Sundays"
            raise RuntimeError(msg)
        return {"doubled": 3 * arrays["half"]}


class NamesNoExperiment(NumpyReference):
    """Declares an experiment that nobody wrote."""

    name = "faulty.names_no_experiment"
    framework = "faulty"
    capabilities = replace(PLAIN_CAPABILITIES, experiments=frozenset({"alchemy", "faulty.doubles"}))
