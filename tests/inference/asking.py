"""Asking a synthetic subject without a process, and scoring what is inferred about it."""

from __future__ import annotations

from collections.abc import Mapping

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import (
    Adapter,
    Answer,
    Answered,
    Outcome,
    Raised,
    Unsupported,
    UnsupportedError,
)
from bnconform.conformance.inference.finding import Finding, Inference, Standing
from bnconform.conformance.inference.inferring import infer


def infer_here(adapter: type[Adapter]) -> Inference:
    """The conventions of ``adapter``, asked in this process."""
    subject = adapter()
    return infer(lambda case: answer_here(subject, case), adapter.capabilities)


def answer_here(subject: Adapter, case: Case) -> Outcome:
    """What ``subject`` makes of ``case``."""
    try:
        found = _answer(subject, case)
    except UnsupportedError as error:
        return Unsupported(reason=str(error))
    except ValueError as error:
        return Raised(error=str(error), traceback="", seconds=0.0, output="")
    return Answered(answer=found, seconds=0.0, unrepeatable=None, mutated=(), output="")


def _answer(subject: Adapter, case: Case) -> Answer:
    inputs = make_inputs(case)
    layer = subject.build(case, inputs.parameters)
    if case.mode is Mode.INFERENCE:
        only = inputs.steps[0]
        return Answer(steps=(layer.infer(only.x, only.dy),), inference=None)
    steps = tuple(layer.train(step.x, step.dy) for step in inputs.steps)
    after = None if case.mode is Mode.FROZEN else inputs.inference
    last = None if after is None else layer.infer(after.x, after.dy)
    return Answer(steps=steps, inference=last)


def score(inference: Inference, truth: Mapping[str, str]) -> dict[str, str]:
    """Convention -> 'exact', 'ambiguous' or 'wrong'."""
    return {each.convention: _score(each, truth[each.convention]) for each in inference.findings}


def _score(finding: Finding, truth: str) -> str:
    if finding.standing is Standing.INCONSISTENT:
        return "wrong"
    if finding.interval is not None:
        return "exact" if finding.interval.plainest == float(truth) else "wrong"
    if finding.inferred == (truth,):
        return "exact"
    if finding.standing is Standing.NOT_OFFERED or truth in finding.inferred:
        return "ambiguous"
    return "wrong"
