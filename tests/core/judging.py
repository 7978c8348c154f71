"""Judging answers that were spoilt on purpose, and reading what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.contract import Answer, Array, Outcome
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.verdict import CALL, Conforms, Diverges, Judgement

from .cases import dialect

EVERYTHING = NumpyReference.capabilities


def judged(trial: Trial, outcome: Outcome, **claims: Any) -> list[Judgement]:
    """All judgements under the plain dialect with some claims replaced."""
    return list(judge(trial, outcome, dialect(**claims), EVERYTHING))


def judgement_of(judgements: list[Judgement], clause: str, quantity: str = CALL) -> Judgement:
    """The one judgement on a clause and quantity."""
    found = [j for j in judgements if (j.clause, j.quantity) == (clause, quantity)]
    assert len(found) == 1, f"{len(found)} judgements on {clause} {quantity}"
    return found[0]


def findings(judgements: list[Judgement]) -> dict[tuple[str, str], Any]:
    """Everything that does not conform: (clause, quantity) -> cause, or class of the verdict."""
    return {
        (j.clause, j.quantity): j.verdict.cause
        if isinstance(j.verdict, Diverges)
        else type(j.verdict)
        for j in judgements
        if not isinstance(j.verdict, Conforms)
    }


def spoilt(answer: Answer, step: int, **arrays: Any) -> Answer:
    """``answer`` with some arrays of one training step replaced."""
    steps = list(answer.steps)
    steps[step] = replace(steps[step], **arrays)
    return replace(answer, steps=tuple(steps))


def spoilt_inference(answer: Answer, **arrays: Any) -> Answer:
    """``answer`` with some arrays of the inference call after training replaced."""
    assert answer.inference is not None
    return replace(answer, inference=replace(answer.inference, **arrays))


def bumped(array: Array | None, *index: int, by: float = 1.0) -> Array:
    """A copy with ``by`` added at one place."""
    assert array is not None
    copy = array.copy()
    copy[index] += copy.dtype.type(by)
    return copy
