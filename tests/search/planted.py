"""Adapters with planted defects, and asking them in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Layout, Mode
from bnconform.conformance.cases.fills import StepInputs, make_inputs
from bnconform.conformance.contract import (
    Adapter,
    Answer,
    Answered,
    Array,
    Layer,
    Outcome,
    Parameters,
    Raised,
    Step,
)
from bnconform.conformance.engine.recording import SubjectInfo
from bnconform.conformance.formats import DType
from bnconform.conformance.search.examining import Ask, Examiner
from bnconform.conformance.variant import VariantKind

Spoil = Callable[[Case, Array, Step], Step]


class _Spoilt:
    """A layer whose answers go through ``spoil`` in training, and through ``spoil_infer`` else."""

    def __init__(self, layer: Any, case: Case, adapter: _Planted) -> None:
        self.layer, self.case, self.adapter = layer, case, adapter

    def train(self, x: Array, dy: Array, **extras: Array) -> Step:
        return self.adapter.spoil(self.case, x, self.layer.train(x, dy, **extras))

    def infer(self, x: Array, dy: Array) -> Step:
        step: Step = self.layer.infer(x, dy)
        return step if self.case.mode is Mode.TRAIN else self.adapter.spoil(self.case, x, step)


class _Planted(NumpyReference):
    """Right, but for what ``spoil`` does to the answers of the call that the case is about."""

    framework = "planted"

    def build(  # type: ignore[override]  # a wrapper is a Layer, not the reference's own
        self, case: Case, parameters: Parameters
    ) -> Layer:
        return _Spoilt(super().build(case, parameters), case, self)

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        return step


def off(array: Array | None) -> Array:
    """``array`` a tenth too large, which no bound allows, and not 0 where it was."""
    assert array is not None
    wide = array.astype(np.float64) * 1.1 + 0.1
    return wide.astype(array.dtype)


class Sound(_Planted):
    """No defect: the control."""

    name = "planted.sound"


class SmallEpsilon(_Planted):
    """y is wrong where epsilon is below 1e-6."""

    name = "planted.small_epsilon"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        return replace(step, y=off(step.y)) if case.epsilon < 1e-6 else step


class MixedLayouts(_Planted):
    """dx is wrong where input and upstream gradient lie differently, in training."""

    name = "planted.mixed_layouts"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        mixed = case.layout is Layout.CONTIGUOUS and case.upstream_layout is Layout.CHANNELS_LAST
        return replace(step, dx=off(step.dx)) if mixed and case.mode is Mode.TRAIN else step


class ThirdStep(_Planted):
    """The running variance is wrong from the third training step on."""

    name = "planted.third_step"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        late = case.mode is Mode.TRAIN and case.steps >= 3
        return replace(step, running_var=off(step.running_var)) if late else step


class WideFloat64(_Planted):
    """dgamma is wrong in float64 with four channels and more."""

    name = "planted.wide_float64"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        wide = case.dtype is DType.FLOAT64 and step.dgamma is not None and step.dgamma.size >= 4
        return replace(step, dgamma=off(step.dgamma)) if wide else step


class Renormed(_Planted):
    """y is wrong in renormalization alone."""

    name = "planted.renormed"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        asked = case.variant.kind is VariantKind.RENORM and case.mode is Mode.TRAIN
        return replace(step, y=off(step.y)) if asked else step


class Three(_Planted):
    """Three causes at once, of which two spoil the same quantity."""

    name = "planted.three"
    capabilities = replace(
        NumpyReference.capabilities,
        dtypes=frozenset({DType.FLOAT32, DType.FLOAT64}),
        variants=frozenset({VariantKind.PLAIN}),
        modes=frozenset({Mode.TRAIN}),
    )

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        step = SmallEpsilon.spoil(SmallEpsilon(), case, x, step)
        step = ThirdStep.spoil(ThirdStep(), case, x, step)
        if case.dtype is DType.FLOAT64 and case.rank == 4:
            step = replace(step, y=off(step.y))
        return step


class TwoQuantities(_Planted):
    """Training: y is wrong in float64, dx in every other format."""

    name = "planted.two_quantities"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        if case.mode is not Mode.TRAIN:
            return step
        if case.dtype is DType.FLOAT64:
            return replace(step, y=off(step.y))
        return replace(step, dx=off(step.dx))


class SingleOrWide(_Planted):
    """The running variance is wrong for one value per channel, and for four channels and more."""

    name = "planted.single_or_wide"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        concerned = case.smallest_count == 1 or case.feature_shape[0] >= 4
        if case.mode is not Mode.TRAIN or not concerned:
            return step
        return replace(step, running_var=off(step.running_var))


class Everything(_Planted):
    """y is wrong always, and with it nothing is to be learnt from the gradients."""

    name = "planted.everything"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        dx = None if step.dx is None else off(step.dx)
        return replace(step, y=off(step.y), dx=dx)


class Dies(_Planted):
    """The process dies of two samples and more in float64."""

    name = "planted.dies"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        if case.dtype is DType.FLOAT64 and len(x) >= 2:
            os._exit(3)
        return step


class RaisesTwoWays(_Planted):
    """One error in float64, another in inference."""

    name = "planted.raises_two_ways"

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        if case.dtype is DType.FLOAT64:
            msg = "not today"
            raise RuntimeError(msg)
        if case.mode is Mode.INFERENCE:
            raise KeyError(case.id)
        return step


class Moody(_Planted):
    """Wrong every other time it is asked: nothing to shrink."""

    name = "planted.moody"
    asked = 0

    def spoil(self, case: Case, x: Array, step: Step) -> Step:
        type(self).asked += 1
        return replace(step, y=off(step.y)) if type(self).asked == 1 else step


def in_process(adapter: Callable[[], Any]) -> Ask:
    """A way to ask ``adapter`` without a process of its own, and never twice."""
    held = adapter()

    def ask(case: Case, *, repeat: bool) -> Outcome:  # noqa: ARG001 -- see above
        try:
            # As in a worker process, where NumPy's warnings are no errors.
            with np.errstate(all="ignore"):
                answer = _answer(held, case)
        except Exception as error:  # noqa: BLE001 -- whatever it raises is its outcome
            text = f"{type(error).__name__}: {error}"
            return Raised(error=text, traceback="", seconds=0.0, output="", message=text)
        return Answered(answer=answer, seconds=0.0, unrepeatable=None, mutated=(), output="")

    return ask


def _answer(adapter: Adapter, case: Case) -> Answer:
    inputs = make_inputs(case)
    layer: Any = adapter.build(case, inputs.parameters)

    def train(step: StepInputs) -> Step:
        found: Step = layer.train(step.x, step.dy, **step.extras)
        return found

    if case.mode is Mode.INFERENCE:
        only = inputs.steps[0]
        return Answer(steps=(layer.infer(only.x, only.dy),), inference=None)
    steps = tuple(train(step) for step in inputs.steps)
    if case.mode is Mode.FROZEN:
        return Answer(steps=steps, inference=None)
    return Answer(steps=steps, inference=layer.infer(inputs.inference.x, inputs.inference.dy))


def examiner_of(adapter: type[NumpyReference]) -> Examiner:
    """An examiner that asks ``adapter`` in this process, with no known divergences."""
    info = SubjectInfo(name=adapter.name, framework=adapter.framework, version="1", device="cpu")
    declared = cast("type[Adapter]", adapter)
    return Examiner(info=info, adapter=declared, ask=in_process(adapter))
