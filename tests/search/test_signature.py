"""Signatures: two causes are not one, and one cause is not a thousand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.formats import DType
from bnconform.conformance.record import Record
from bnconform.conformance.search.signature import Signature, signatures_of
from bnconform.conformance.verdict import Cause

from . import planted
from .planted import examiner_of

CASE = Case(
    shape=(6, 4),
    last_batch=6,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-7,
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _seen(adapter: type[NumpyReference], case: Case) -> set[Signature]:
    return set(examiner_of(adapter)(case).signatures)


def test_a_divergence_behind_another_follows_it() -> None:
    """dx is wrong and so is y, on which it depends: only y leads."""
    seen = _seen(planted.Everything, CASE)
    assert {(each.quantity, each.first, each.leading) for each in seen} == {
        ("y", "output", True),
        ("dx", "output", False),
    }


def test_a_wrong_gradient_alone_leads() -> None:
    """The same quantity, with nothing wrong before it, is another signature."""
    case = replace(CASE, upstream_layout=Layout.CHANNELS_LAST)
    (only,) = _seen(planted.MixedLayouts, case)
    assert (only.quantity, only.first, only.leading) == ("dx", "gradients", True)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"fill": Fill(kind=FillKind.NORMAL, seed=6)}, id="other values"),
        pytest.param({"shape": (3, 5), "last_batch": 3}, id="other sizes"),
        pytest.param({"shape": (3, 5, 2), "last_batch": 3}, id="another rank"),
        pytest.param({"layout": Layout.STRIDED}, id="another layout"),
        pytest.param({"decay": 0.99}, id="another decay"),
        pytest.param({"steps": 3}, id="more steps"),
    ],
)
def test_one_cause_has_one_signature_whatever_the_values(other: dict[str, object]) -> None:
    """What varies within a search does not make another divergence."""
    changed = replace(CASE, **other)  # type: ignore[arg-type]  # rows of several types
    assert _seen(planted.SmallEpsilon, changed) == _seen(planted.SmallEpsilon, CASE)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"dtype": DType.BFLOAT16}, id="format"),
        pytest.param({"mode": Mode.INFERENCE}, id="mode"),
        pytest.param({"scale": False}, id="clause"),
    ],
)
def test_where_it_shows_is_coarsely_part_of_it(other: dict[str, object]) -> None:
    """Format, mode and clause tell causes apart that share a quantity."""
    changed = replace(CASE, **other)  # type: ignore[arg-type]  # rows of several types
    assert not _seen(planted.SmallEpsilon, changed) & _seen(planted.SmallEpsilon, CASE)


def test_the_mode_is_part_of_it_where_the_clause_is_not() -> None:
    """Beside a NaN one clause holds in training and in inference, and two signatures show."""
    training = replace(CASE, fill=Fill(kind=FillKind.NAN, seed=5))
    seen = [
        _seen(planted.SmallEpsilon, case)
        for case in (training, replace(training, mode=Mode.INFERENCE))
    ]
    assert {each.clause for each in seen[0]} & {each.clause for each in seen[1]}
    assert not seen[0] & seen[1]


def test_two_exceptions_are_two_causes() -> None:
    """Both break the contract of the call, each in its own way."""
    seen = _seen(planted.RaisesTwoWays, replace(CASE, dtype=DType.FLOAT64)) | _seen(
        planted.RaisesTwoWays, replace(CASE, mode=Mode.INFERENCE)
    )
    assert {each.cause for each in seen} == {"raised RuntimeError", "raised KeyError"}


def test_an_accepted_divergence_is_not_the_one_that_is_not() -> None:
    """The known divergence that covers a row is part of its signature."""
    (record,) = examiner_of(planted.SmallEpsilon)(CASE).signatures.values()
    both = signatures_of(CASE, [record, record._replace(known="some-entry")])
    assert sorted(each.known for each in both) == ["", "some-entry"]


def test_each_signature_has_its_worst_record() -> None:
    """Two rows of one signature: the larger error stands for it."""
    (record,) = examiner_of(planted.SmallEpsilon)(CASE).signatures.values()
    worse = record._replace(error_ratio=10 * record.error_ratio)
    (found,) = signatures_of(CASE, [record, worse, record]).values()
    assert found == worse


def _record(**changes: object) -> Record:
    (record,) = examiner_of(planted.SmallEpsilon)(CASE).signatures.values()
    return record._replace(**changes)  # type: ignore[arg-type]  # any column


def test_state_that_inference_changed_explains_nothing_before_it() -> None:
    """The state after inference is judged last: y_infer does not follow from it."""
    changed = _record(quantity="running_mean", cause=Cause.STATE_CHANGED.value)
    after = signatures_of(CASE, [changed, _record(quantity="y_infer")])
    assert {each.quantity: each.leading for each in after} == {
        "running_mean": True,
        "y_infer": True,
    }


def test_two_exit_codes_are_two_causes() -> None:
    """A segmentation fault is not an abort."""
    message = "the subject's process died with exit code {}"
    found = signatures_of(
        CASE,
        [_record(verdict="crashed", quantity="call", message=message.format(code))
         for code in (-11, -6)],
    )  # fmt: skip
    assert sorted(each.cause for each in found) == ["crash, exit code -11", "crash, exit code -6"]


def test_a_signature_reads_as_one_phrase() -> None:
    """Quantity, clause, cause and where, as the terminal shows it."""
    (signature,) = _seen(planted.SmallEpsilon, CASE)
    assert str(signature) == "y BN-TRAIN-1 beyond bound, float32 train"
