"""Adapters with one fault each in what they answer, or in how they start.

What goes wrong with a process is in faulty_process.py, and with questions that are no cases in
faulty_questions.py.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Layer, Parameters, Step, UnsupportedError
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


class Sound(_Faulty):
    """No fault: the control."""

    name = "faulty.sound"


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


_WRONG: dict[str, Callable[[Array], Any]] = {
    "shape": lambda y: y[..., :-1],
    "rank": lambda y: y[None],
    "wider": lambda y: y.astype(np.float64),
    "complex": lambda y: y + 1j,
    "whole numbers": lambda y: y.astype(np.int64),
    "truths": lambda y: y > 0,
    "text": lambda y: y.astype("U8"),
    "times": lambda y: y.astype(np.int64).astype("M8[s]"),
    "records": lambda y: np.zeros(y.shape, [("a", "f4"), ("b", "f4")]),
    "objects": np.frompyfunc(lambda _: lambda: None, 1, 1),
    "not finite": lambda y: y * np.nan,
    "a list": lambda _: [1.0],
    "a number": lambda y: y.dtype.type(1),
    "nothing": lambda _: None,
}
"""What to make of the right output, by what is then wrong with it."""


class AnswersWrongly(_Faulty):
    """Gives an output that is wrong in the way that the environment names, else in all of them."""

    name = "faulty.wrong"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        ways = list(_WRONG)
        way = os.environ.get("FAULTY_WRONG", ways[int(self.case.id, 16) % len(ways)])
        return replace(step, y=_WRONG[way](step.y))


class AnswersNothing(_Faulty):
    """Gives no step at all."""

    name = "faulty.nothing"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        nothing: Any = None
        return cast("Step", nothing)


class AnswersViews(_Faulty):
    """Answers with views of its input, and overwrites that on the next call."""

    name = "faulty.views"

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        return replace(layer.train(x, dy), y=x[...], dx=dy[...])


class Remembers(_Faulty):
    """Adds to each output what it saw in the call before."""

    name = "faulty.remembers"
    seen: ClassVar[list[float]] = [0.0]

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        before, self.seen[0] = self.seen[0], float(np.abs(x).max(initial=1.0))
        return replace(step, y=(step.y + before).astype(step.y.dtype))


class RemembersTheOtherCase(_Faulty):
    """Lets the case before nudge each output, and not notice that the same case comes twice."""

    name = "faulty.remembers_the_other_case"
    seen: ClassVar[list[str]] = ["", ""]

    def spoil(self, layer: Layer, x: Array, dy: Array) -> Step:
        step = layer.train(x, dy)
        if self.case.id != self.seen[1]:
            self.seen[:] = [self.seen[1], self.case.id]
        if int(self.seen[0] or "0", 16) % 2 == 0:
            return step
        # One unit in the last place of one element, which every bound allows.
        y = step.y.copy()
        y.flat[:1] = np.nextafter(y.flat[:1], np.inf)
        return replace(step, y=y)


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


class StartsSlowly(_Faulty):
    """Takes a second to import its framework, which is no fault."""

    name = "faulty.starts_slowly"

    def __init__(self) -> None:
        super().__init__()
        time.sleep(1)


class DiesStarting(_Faulty):
    """Its framework kills the process."""

    name = "faulty.dies_starting"

    def __init__(self) -> None:
        os._exit(7)


class ExitsStarting(_Faulty):
    """Its framework calls sys.exit, which is not an Exception."""

    name = "faulty.exits_starting"

    def __init__(self) -> None:
        sys.exit("no licence")


class BadAxes(_Faulty):
    """Declares feature axes that do not exist."""

    name = "faulty.bad_axes"
    capabilities = replace(PLAIN_CAPABILITIES, axes="middle")  # type: ignore[arg-type]
