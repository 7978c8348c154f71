"""Adapters with one fault each in what is asked besides cases: malformed calls and experiments."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Layer, Parameters, Step
from bnconform.conformance.expecting.expectation import Expectation, expectation
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.variant import VariantKind

PLAIN_CAPABILITIES = replace(
    NumpyReference.capabilities, variants=frozenset({VariantKind.PLAIN}), half_parameters=False
)
"""What these pass on to the reference."""


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
