"""Layers with one planted slip each, answered and judged in this process."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.cases.plan import PROFILES, draw_cases
from bnconform.conformance.contract import Answer, Answered, Array, Step
from bnconform.conformance.engine.judging import make_trial
from bnconform.conformance.explanation.explanation import Witness
from bnconform.conformance.judging.judge import judge


class EpsilonOutside(Right):
    """1 / (sqrt(v) + epsilon)."""

    def inverse_deviation(self, v: Array) -> Array:
        r: Array = 1 / (np.sqrt(v) + v.dtype.type(self.epsilon()))
        return r


class FlooredAtOneThousandth(Right):
    """max(epsilon, 0.001)."""

    def epsilon(self) -> float:
        return max(self.case.epsilon, 1e-3)


class Swapped(Right):
    """decay weighs the new value."""

    def decay(self) -> float:
        return 1 - super().decay()


class Stale(Right):
    """Inference by the statistics from before the last update."""

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        del x
        mean, var = self.previous
        return self.wide(mean), self.wide(var)


class NoVarianceTerm(Right):
    """dx as if the variance were a constant."""

    def variance_term(self, g: Array, xhat: Array) -> Array:
        return np.zeros_like(super().variance_term(g, xhat))


class OnePass(Right):
    """E[x^2] - E[x]^2, not below 0."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        v: Array = np.maximum(self.average(x * x) - mu * mu, 0)
        return v


class HalfSums(Right):
    """dbeta summed in the input's own format."""

    def dbeta(self, g: Array) -> Array:
        own = g.astype(make_inputs(self.case).steps[0].dy.dtype)
        summed: Array = own.sum(self.axes(), keepdims=True)
        return summed.astype(g.dtype)


class KeptInFloat16(Right):
    """An inverse deviation in the format of float16 parameters, where it may be infinite."""

    def inverse_deviation(self, v: Array) -> Array:
        r = super().inverse_deviation(v)
        return r.astype(self.case.parameter_format.numpy).astype(v.dtype)


class MeanOff(Right):
    """A mean that is 1 % too large."""

    def batch_mean(self, x: Array) -> Array:
        mean: Array = super().batch_mean(x) * x.dtype.type(1.01)
        return mean


class RootOff(Right):
    """An inverse deviation that is 0.1 % too large."""

    def inverse_deviation(self, v: Array) -> Array:
        r: Array = super().inverse_deviation(v) * v.dtype.type(1.001)
        return r


class WrongInChannelsLast(Right):
    """dbeta is doubled for upstream gradients that lie channels last."""

    def dbeta(self, g: Array) -> Array:
        factor = 2 if self.case.upstream_layout == "channels_last" else 1
        dbeta: Array = super().dbeta(g) * g.dtype.type(factor)
        return dbeta


class Overwrites(Right):
    """An answer with y in another format."""

    def rounded(self, values: Array, dtype: np.dtype) -> Array:
        del dtype
        return values.astype(np.float64)


@cache
def some_cases() -> tuple[Case, ...]:
    """Every fifth case of a quick run that a right layer answers."""
    cases = draw_cases(PROFILES["quick"], cases=780, seed=0)[::5]
    return tuple(case for case in cases if Right.capabilities.unsupported(case) is None)


def witnesses(adapter: type[Right], cases: Iterable[Case] | None = None) -> list[Witness]:
    """What ``adapter`` answers, judged."""
    asked = (case for case in some_cases() if case.smallest_count > 0) if cases is None else cases
    return [_witness(adapter, case) for case in asked]


def _witness(adapter: type[Right], case: Case) -> Witness:
    outcome = Answered(
        answer=_answer(adapter, case), seconds=0.0, unrepeatable=None, mutated=(), output=""
    )
    trial = make_trial(case, adapter)
    judgements = judge(trial, outcome, adapter.dialect, adapter.capabilities)
    return Witness(case=case, outcome=outcome, judgements=judgements)


def _answer(adapter: type[Right], case: Case) -> Answer:
    inputs = make_inputs(case)
    layer = adapter().build(case, inputs.parameters)
    with np.errstate(all="ignore"):
        if case.mode is Mode.INFERENCE:
            only: Step = layer.infer(inputs.steps[0].x, inputs.steps[0].dy)
            return Answer(steps=(only,), inference=None)
        steps = tuple(layer.train(step.x, step.dy) for step in inputs.steps)
        if case.mode is Mode.FROZEN:
            return Answer(steps=steps, inference=None)
        return Answer(steps=steps, inference=layer.infer(inputs.inference.x, inputs.inference.dy))
