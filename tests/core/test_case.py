"""The Case: one name for one experiment, JSON and back, and refusals that say what is wrong."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings

from bnconform.conformance.case import (
    CASE_FORMAT,
    Case,
    FillKind,
    InvalidCaseError,
    Layout,
    Mode,
)
from bnconform.conformance.cases.strategies import cases
from bnconform.conformance.formats import DType

from .cases import PLAIN, fill, plain


@settings(deadline=None)
@given(cases())
def test_a_case_survives_json(case: Case) -> None:
    """Reading back gives an equal case with the same id, tuples and enumerations included."""
    again = Case.from_json(case.to_json())
    assert again == case
    assert again.id == case.id
    assert type(again.shape) is tuple
    assert type(again.dtype) is DType


@settings(deadline=None)
@given(cases())
def test_a_case_survives_a_reader_that_reorders_and_indents(case: Case) -> None:
    """The id hashes canonical JSON, whatever the file looked like."""
    text = json.dumps(dict(reversed(case.to_dict().items())), indent=2)
    assert Case.from_json(text).id == case.id


def test_the_canonical_json_is_frozen() -> None:
    """What is hashed, letter for letter: sorted keys, no spaces, shortest floats."""
    assert PLAIN.to_json() == (
        '{"center":true,"decay":0.9,"dtype":"float32","epsilon":0.001,"feature_axes":[1],'
        '"fill":{"kind":"normal","offset":0.0,"seed":0},"format":"bn-case/1","last_batch":4,'
        '"layout":"contiguous","mode":"train","scale":true,"shape":[4,3],"steps":1,'
        '"upstream_layout":"contiguous"}'
    )


def test_the_id_and_signature_of_the_plain_case_are_frozen() -> None:
    """A change here renames every published case."""
    assert PLAIN.id == "4b157c21c5e3e686"
    assert PLAIN.signature == "28f427c06c0b"


CHANGES: dict[str, dict[str, Any]] = {
    "shape": {"shape": (4, 5)},
    "last_batch": {"last_batch": 2},
    "feature_axes": {"feature_axes": (-1,)},  # the same axis, written otherwise
    "dtype": {"dtype": DType.FLOAT64},
    "layout": {"layout": Layout.STRIDED},
    "upstream_layout": {"upstream_layout": Layout.STRIDED},
    "center": {"center": False},
    "scale": {"scale": False},
    "mode": {"mode": Mode.INFERENCE},
    "steps": {"steps": 2},
    "epsilon": {"epsilon": 1e-5},
    "decay": {"decay": None},
    "fill": {"fill": fill(FillKind.NORMAL, 1)},
}


def test_the_table_of_changes_has_every_field() -> None:
    """A new field must say whether it belongs to the signature."""
    assert set(CHANGES) == set(PLAIN.to_dict()) - {"format"}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_belongs_to_the_id(field: str) -> None:
    """Two cases that differ anywhere have two names."""
    assert replace(PLAIN, **CHANGES[field]).id != PLAIN.id


@pytest.mark.parametrize("field", CHANGES)
def test_the_signature_ignores_epsilon_decay_and_fill_and_nothing_else(field: str) -> None:
    """Values and scalars vary within one compiled signature; all else is static."""
    same = replace(PLAIN, **CHANGES[field]).signature == PLAIN.signature
    assert same == (field in {"epsilon", "decay", "fill"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (), "last_batch": 0}, r"shape must be one or more sizes >= 0, got \(\)"),
        ({"shape": (4, -1)}, r"shape must be one or more sizes >= 0, got \(4, -1\)"),
        ({"feature_axes": ()}, r"feature_axes must lie in \[-2, 2\), got \(\)"),
        ({"feature_axes": (2,)}, r"feature_axes must lie in \[-2, 2\), got \(2,\)"),
        ({"feature_axes": (-3,)}, r"feature_axes must lie in \[-2, 2\), got \(-3,\)"),
        ({"feature_axes": (1, -1)}, r"feature_axes must not repeat an axis, got \(1, -1\)"),
        ({"steps": 0}, "steps must be >= 1, and 1 outside training, got 0"),
        ({"steps": 2, "mode": Mode.INFERENCE}, "1 outside training, got 2"),
        ({"steps": 2, "mode": Mode.FROZEN}, "1 outside training, got 2"),
        ({"last_batch": 5}, r"last_batch must be in \[0, 4\], got 5"),
        ({"last_batch": -1}, r"last_batch must be in \[0, 4\], got -1"),
        (
            {"feature_axes": (0,), "last_batch": 3},
            r"last_batch must equal shape\[0\] when axis 0 is a feature axis",
        ),
        (
            {"feature_axes": (-2,), "last_batch": 3},
            r"last_batch must equal shape\[0\] when axis 0 is a feature axis",
        ),
        ({"epsilon": -1e-3}, "epsilon must be finite and >= 0, got -0.001"),
        ({"epsilon": float("nan")}, "epsilon must be finite and >= 0, got nan"),
        ({"epsilon": float("inf")}, "epsilon must be finite and >= 0, got inf"),
        ({"decay": 1.5}, r"decay must be in \[0, 1\] or None, got 1.5"),
        ({"decay": -0.1}, r"decay must be in \[0, 1\] or None, got -0.1"),
        ({"decay": float("nan")}, r"decay must be in \[0, 1\] or None, got nan"),
    ],
)
def test_a_case_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    """The message names the field, what would be valid, and what arrived."""
    with pytest.raises(InvalidCaseError, match=message):
        replace(PLAIN, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (0, 3)},  # an empty batch is a case, not a mistake
        {"last_batch": 0, "steps": 2},  # and so is an empty last batch
        {"epsilon": 0.0},  # allowed by every formula while v > 0
        {"decay": 0.0},  # the new value alone
        {"decay": 1.0},  # the old value alone
        {"shape": (3,), "feature_axes": (0,)},  # nothing to reduce
        {"shape": (2, 3, 4), "feature_axes": (2, 0)},  # any order
    ],
)
def test_edges_are_valid_cases(changes: dict[str, Any]) -> None:
    """Nothing is refused that a subject could be asked."""
    plain(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, r"fill.seed must be an integer in \[0, 2\*\*53\), got -1"),
        ({"seed": 2**53}, r"fill.seed must be an integer in \[0, 2\*\*53\), got 9007199254740992"),
        ({"offset": 3.0}, "fill.offset belongs to kind 'offset' alone, got 3.0 with normal"),
        ({"kind": FillKind.OFFSET}, "fill.offset belongs to kind 'offset' alone, got 0.0"),
    ],
)
def test_a_fill_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    """The message names the field, what would be valid, and what arrived."""
    with pytest.raises(InvalidCaseError, match=message):
        replace(PLAIN.fill, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "bn-case/2"}, "must say 'format': 'bn-case/1', got 'bn-case/2'"),
        ({"format": None}, "must say 'format': 'bn-case/1', got None"),
        ({"shape": None}, "not a case: TypeError.*case.json of a run directory"),
        ({"dtype": "float8"}, "not a case: ValueError.*float8"),
        ({"mode": "training"}, "not a case: ValueError.*training"),
        ({"momentum": 0.9}, "not a case: TypeError.*momentum"),
        ({"fill": {"kind": "normal"}}, "not a case: TypeError.*seed"),
        ({"epsilon": -1.0}, "^epsilon must be finite"),
        ({"epsilon": "1e-3"}, "not a case: TypeError"),
    ],
)
def test_json_that_is_not_a_case_is_refused(changes: dict[str, Any], message: str) -> None:
    """InvalidCaseError, whatever the underlying trouble was."""
    with pytest.raises(InvalidCaseError, match=message):
        Case.from_dict(PLAIN.to_dict() | changes)


@pytest.mark.parametrize("field", [*CHANGES, "format"])
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    """No field has a default that a reader could rely on."""
    data = PLAIN.to_dict()
    del data[field]
    with pytest.raises(InvalidCaseError, match=field):
        Case.from_dict(data)


def test_a_case_cannot_be_changed() -> None:
    """Its id would lie."""
    with pytest.raises(FrozenInstanceError):
        PLAIN.epsilon = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("shape", "feature_axes", "channels", "reduced", "feature_shape", "count"),
    [
        ((4, 3), (1,), (1,), (0,), (3,), 4),  # a matrix
        ((4, 3), (-2,), (0,), (1,), (4,), 3),  # the batch axis as feature axis
        ((2, 3, 4, 5), (-1,), (3,), (0, 1, 2), (5,), 24),  # channels last
        ((2, 3, 4, 5), (3, 1), (1, 3), (0, 2), (3, 5), 8),  # two, ascending
        ((2, 3), (0, 1), (0, 1), (), (2, 3), 1),  # nothing reduced
        ((0, 3), (1,), (1,), (0,), (3,), 0),  # an empty batch
    ],
)
def test_axes_are_counted_from_the_front_in_ascending_order(
    shape: tuple[int, ...],
    feature_axes: tuple[int, ...],
    channels: tuple[int, ...],
    reduced: tuple[int, ...],
    feature_shape: tuple[int, ...],
    count: int,
) -> None:
    """Channel axes, reduction axes, feature shape and count follow from what a user wrote."""
    case = plain(shape=shape, feature_axes=feature_axes)
    assert (case.channel_axes, case.reduction_axes) == (channels, reduced)
    assert (case.feature_shape, case.count(shape), case.rank) == (feature_shape, count, len(shape))


def test_only_the_last_step_has_the_last_batch() -> None:
    """Shapes and the smallest count over three steps."""
    case = plain(shape=(6, 3, 2), last_batch=2, steps=3)
    assert case.step_shapes == ((6, 3, 2), (6, 3, 2), (2, 3, 2))
    assert case.smallest_count == 4


def test_the_format_names_itself() -> None:
    """A reader can tell versions apart before it reads anything else."""
    assert PLAIN.to_dict()["format"] == CASE_FORMAT


@pytest.mark.parametrize("field", ["epsilon", "decay"])
def test_equal_cases_have_equal_ids(field: str) -> None:
    """Whether a number was written as an integer or not."""
    integer, real = plain(**{field: 1}), plain(**{field: 1.0})
    assert integer == real
    assert integer.id == real.id


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [4.5, 3]},  # no array has that size
        {"steps": 1.5},  # no loop has that length
        {"last_batch": 3.5},  # nor a batch that size
        {"center": "no"},  # which is true
        {"fill": {"kind": "normal", "seed": 0.5, "offset": 0.0}},  # no stream has that name
        {"fill": {"kind": "offset", "seed": 0, "offset": float("nan")}},  # not even JSON
        {"fill": {"kind": "normal", "seed": 0, "offset": 0.0, "scale": 2}},  # not a field
    ],
)
def test_json_of_the_wrong_types_is_refused(changes: dict[str, Any]) -> None:
    """Before it fails somewhere far away."""
    with pytest.raises(InvalidCaseError):
        Case.from_dict(PLAIN.to_dict() | changes)


@pytest.mark.parametrize("text", ["{", "null", "3"])
def test_text_that_is_no_json_object_is_refused_as_no_case(text: str) -> None:
    """One error for "this is not a case"."""
    with pytest.raises(InvalidCaseError):
        Case.from_json(text)
