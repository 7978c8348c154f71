"""What a case may ask for besides: other upstream gradients, shared buffers, levels, odd masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import (
    Case,
    Fill,
    FillKind,
    InvalidCaseError,
    Layout,
    Mode,
    Upstream,
)
from bnconform.conformance.cases.fills import Inputs, make_inputs
from bnconform.conformance.contract import Answer, Answered, Array
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.reference import Conventions, expect
from bnconform.conformance.variant import Hidden, Masked, Weighted
from bnconform.conformance.verdict import Conforms

ORDINARY = Case(
    shape=(4, 2, 3),
    last_batch=4,
    feature_axes=(-1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=2,
    epsilon=1e-3,
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=1),
)
NOTHING = Masked(hidden=Hidden.ORDINARY, nothing=True)
BY_SAMPLE = Masked(hidden=Hidden.ORDINARY, by_sample=True)
LEVEL = Fill(kind=FillKind.CONSTANT, seed=1, level=0.1)


def _with(**changes: Any) -> Case:
    return replace(ORDINARY, **changes)


def test_what_is_not_asked_for_is_not_in_the_json() -> None:
    """So that the id of a case is the one it had before these requests existed."""
    masked = _with(variant=Masked(hidden=Hidden.ORDINARY)).to_dict()
    assert {"upstream", "same_inputs"}.isdisjoint(masked)
    assert set(masked["variant"]) == {"kind", "hidden", "everything"}
    assert "level" not in masked["fill"]
    assert ORDINARY.id == "3c3500c2aa65bb2e"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(_with(upstream=Upstream.SINGLE), id="another upstream gradient"),
        pytest.param(_with(same_inputs=True), id="the same buffers at every call"),
        pytest.param(_with(fill=LEVEL), id="a level"),
        pytest.param(_with(variant=NOTHING), id="a mask that keeps nothing"),
        pytest.param(_with(variant=BY_SAMPLE), id="a mask that broadcasts"),
    ],
)
def test_a_request_survives_json_and_changes_the_id(case: Case) -> None:
    """Each is part of the case."""
    assert Case.from_json(case.to_json()) == case
    assert case.id != ORDINARY.id


def test_values_and_buffers_are_no_part_of_the_signature() -> None:
    """A compiler specializes on none of them."""
    asked = _with(upstream=Upstream.INPUT, same_inputs=True, fill=LEVEL)
    assert asked.signature == ORDINARY.signature


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"upstream": Upstream.INPUT, "layout": Layout.STRIDED},
            "one buffer, which cannot have two layouts",
            id="one buffer in two layouts",
        ),
        pytest.param(
            {"upstream": Upstream.INPUT, "variant": Weighted()},
            "belongs to plain cases, got weighted",
            id="the input as gradient of a variant",
        ),
        pytest.param(
            {"same_inputs": True, "last_batch": 2},
            "same_inputs needs last_batch == shape",
            id="the same buffers in two sizes",
        ),
        pytest.param({"same_inputs": 1}, "same_inputs must be true or false", id="no flag"),
        pytest.param(
            {"variant": Masked(hidden=Hidden.ORDINARY, everything=True, nothing=True)},
            "cannot keep everything and nothing",
            id="a mask of both kinds",
        ),
        pytest.param(
            {"variant": BY_SAMPLE, "feature_axes": (0,)},
            "needs samples along axis 0",
            id="a mask of samples that are features",
        ),
    ],
)
def test_a_request_that_contradicts_the_case_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    """With a message that says what would be needed."""
    with pytest.raises(InvalidCaseError, match=words):
        _with(**changes)


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [
        pytest.param(FillKind.NORMAL, 0.1, "belongs to kind 'constant' alone", id="other kind"),
        pytest.param(FillKind.CONSTANT, float("inf"), "must be finite", id="no number"),
    ],
)
def test_a_level_that_cannot_be_is_refused(kind: FillKind, level: float, words: str) -> None:
    """It is the finite constant of a constant fill."""
    with pytest.raises(InvalidCaseError, match=words):
        Fill(kind=kind, seed=1, level=level)


def _clauses_broken(case: Case, weigh_nothing: float) -> set[str]:
    """What a layer breaks that takes a mask of nothing for weights of ``weigh_nothing``."""
    inputs = make_inputs(case)
    layer: Any = NumpyReference().build(case, inputs.parameters)
    steps = []
    for step in inputs.steps:
        weights = np.full_like(step.weights, weigh_nothing, np.float32)
        steps.append(layer.train(step.x, step.dy, weights=weights))
    last = layer.infer(inputs.inference.x, inputs.inference.dy)
    found = Answered(
        answer=Answer(steps=tuple(steps), inference=last),
        seconds=0.0,
        unrepeatable=None,
        mutated=(),
        output="",
    )
    dialect = NumpyReference.dialect
    trial = Trial(case=case, inputs=inputs, expected=expect(case, inputs, Conventions.of(dialect)))
    return {
        judgement.clause
        for judgement in judge(trial, found, dialect, NumpyReference.capabilities)
        if not isinstance(judgement.verdict, Conforms)
    }


def test_a_mask_that_keeps_nothing_must_leave_the_state_alone() -> None:
    """A layer that does conforms; one that takes the batch in breaks BN-EDGE-3 and no other."""
    case = _with(variant=NOTHING)
    assert _clauses_broken(case, 0.0) == set()
    assert _clauses_broken(case, 1.0) == {"BN-EDGE-3"}


def _weighted_mean(inputs: Inputs) -> Array:
    step = inputs.steps[0]
    assert step.weights is not None
    weights = np.broadcast_to(step.weights, (*step.x.shape[:-1], 1)).astype(np.float64)
    return np.asarray((weights * step.x).sum((0, 1)) / weights.sum((0, 1)))


def test_a_mask_that_broadcasts_counts_every_position() -> None:
    """W is the number of positions kept, not of samples: the mean is that of the whole samples."""
    case = _with(variant=BY_SAMPLE)
    inputs = make_inputs(case)
    expected = expect(case, inputs, Conventions.of(NumpyReference.dialect)).steps[0]
    found = expected[next(name for name in expected if name.value == "batch_mean")]
    np.testing.assert_allclose(found.value.hi, _weighted_mean(inputs), rtol=1e-12)
