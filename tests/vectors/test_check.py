"""Expected values and subjects' answers against the spec."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.adapters import REGISTRY
from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import (
    Array,
    Layer,
    Parameters,
    Quantity,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import Claim
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.vectors.check import Result, Row, check_file, check_subject
from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.reading import parse_vectors

REFERENCE = Target.parse(REGISTRY["numpy.reference"])


def rows(data: dict[str, Any]) -> dict[str, Row]:
    """The file's own rows by quantity."""
    return {row.quantity: row for row in check_file(parse_vectors(json.dumps(data), "f").vectors)}


def answered(data: dict[str, Any], target: Target) -> dict[str, Row]:
    """A subject's rows by quantity."""
    vectors = parse_vectors(json.dumps(data), "f").vectors
    return {row.quantity: row for row in check_subject(target, vectors)}


def test_values_worked_out_by_hand_agree_with_the_spec(hand_made_file: VectorFile) -> None:
    """Without tolerances: the file claims exact values, rounded once."""
    found = list(check_file(hand_made_file.vectors))
    assert [row.quantity for row in found] == list(hand_made_file.vectors[0].expected)
    assert {row.result for row in found} == {Result.AGREES}
    assert len(found) == 8


@pytest.mark.parametrize(
    "quantity",
    ["y", "batch_mean", "batch_var", "running_mean", "running_var", "dx", "dgamma", "dbeta"],
)
def test_one_wrong_value_is_found_in_every_quantity(data: dict[str, Any], quantity: str) -> None:
    """Two units in the last place, and only that quantity disagrees."""
    values = data["vectors"][0]["expected"][quantity]["data"]
    values[0] *= 1 + 2**-51
    found = rows(data)
    assert [name for name, row in found.items() if row.result is Result.DISAGREES] == [quantity]
    assert "at [0" in found[quantity].message


def test_an_unrounded_tail_is_within_half_a_unit_of_the_format(data: dict[str, Any]) -> None:
    """A float32 file may write its values as rounded to float32."""
    vector = data["vectors"][0]
    vector["dtype"] = "float32"
    dx = vector["expected"]["dx"]["data"]
    dx[:] = np.float32(dx).tolist()
    assert rows(data)["dx"].result is Result.AGREES
    assert rows(data)["dx"].ratio == pytest.approx(1, abs=0.9)
    dx[2] = float(np.nextafter(np.float32(dx[2]), np.float32(1)))
    assert rows(data)["dx"].result is Result.DISAGREES


def test_a_tolerance_says_how_exact_the_expected_values_are(data: dict[str, Any]) -> None:
    """Absolute and relative, as |expected - spec| <= atol + rtol |spec|."""
    y = data["vectors"][0]["expected"]["y"]["data"]
    y[0] += 0.002
    assert rows(data)["y"].result is Result.DISAGREES
    data["vectors"][0]["rtol"] = 0.001
    assert rows(data)["y"].result is Result.AGREES
    data["vectors"][0] |= {"rtol": 0, "atol": 0.0019}
    assert rows(data)["y"].result is Result.DISAGREES
    data["vectors"][0]["atol"] = 0.0021
    assert rows(data)["y"].result is Result.AGREES


def test_values_that_an_implementation_may_give_are_told_from_wrong_ones(
    data: dict[str, Any],
) -> None:
    """The advice is to state a tolerance; a plain error gets none."""
    vector = data["vectors"][0]
    vector["dtype"] = "float32"
    y = vector["expected"]["y"]["data"]
    y[0] = float(np.nextafter(np.float32(y[0]), np.float32(0)))
    assert "say how exact they are with rtol and atol" in rows(data)["y"].message
    y[0] = -2.4
    assert "rtol" not in rows(data)["y"].message


def test_the_file_decides_which_running_variance_is_right(data: dict[str, Any]) -> None:
    """Unbiased: 0.75 + 0.25 * 5 * 4/3 = 29/12 in channel 0."""
    vector = data["vectors"][0]
    vector["conventions"] = {"running_var": "unbiased"}
    assert rows(data)["running_var"].result is Result.DISAGREES
    vector["expected"]["running_var"]["data"] = [29 / 12, 3]
    assert rows(data)["running_var"].result is Result.AGREES


def test_a_null_decay_takes_the_batch_statistics(data: dict[str, Any]) -> None:
    """The first update of a cumulative average."""
    vector = data["vectors"][0]
    vector["decay"] = None
    vector["expected"] = {
        "running_mean": {"shape": [2], "data": [4, 2]},
        "running_var": {"shape": [2], "data": [5, 0]},
    }
    assert {row.result for row in rows(data).values()} == {Result.AGREES}


def test_inference_uses_the_running_statistics_and_keeps_them(data: dict[str, Any]) -> None:
    """Epsilon 0 here: (x - 0) / 1 * 3 + 0.5 in channel 0, (x - 2) / 2 * 2 - 1 in channel 1."""
    vector = data["vectors"][0]
    vector |= {"mode": "infer", "epsilon": 0}
    del vector["decay"], vector["conventions"]
    vector["expected"] = {
        "y": {"shape": [4, 2], "data": [3.5, -1, 9.5, -1, 15.5, -1, 21.5, -1]},
        "dx": {"shape": [4, 2], "data": [3, 1, 0, 0, 0, 0, 0, 0]},
        "dgamma": {"shape": [2], "data": [1, 0]},
        "running_mean": vector["inputs"]["running_mean"],
        "running_var": vector["inputs"]["running_var"],
    }
    assert {row.result for row in rows(data).values()} == {Result.AGREES}


def test_what_is_absent_is_not_used(data: dict[str, Any]) -> None:
    """No gamma, no beta: y is the normalized input."""
    vector = data["vectors"][0]
    vector["inputs"] = {"x": vector["inputs"]["x"]}
    vector["expected"] = {
        "y": {"shape": [4, 2], "data": [-1, 0, -1 / 3, 0, 1 / 3, 0, 1, 0]}
    }  # fmt: skip
    assert rows(data)["y"].result is Result.AGREES


def test_a_finite_value_where_the_spec_has_none_disagrees(data: dict[str, Any]) -> None:
    """NaN in the input must show, and infinity stands for it as well."""
    vector = data["vectors"][0]
    vector["inputs"]["x"]["data"][0] = "NaN"
    vector["expected"] = {"y": vector["expected"]["y"]}
    values = vector["expected"]["y"]["data"]
    values[::2] = [0, 0, 0, 0]
    assert rows(data)["y"].result is Result.DISAGREES
    values[::2] = ["NaN", "NaN", "NaN", "NaN"]
    assert rows(data)["y"].result is Result.AGREES


def test_an_infinity_agrees_where_the_format_overflows(data: dict[str, Any]) -> None:
    """In float16 3 * 60000 / 3 + 60000 exceeds 65504; in float32 it does not."""
    vector = data["vectors"][0]
    vector |= {"dtype": "float16", "expected": {"y": vector["expected"]["y"]}}
    vector["inputs"]["gamma"]["data"][0] = 120_000
    y = [-120_000 + 0.5, -1, -40_000 + 0.5, -1, 40_000 + 0.5, -1, "Infinity", -1]
    vector["expected"]["y"]["data"] = y
    assert rows(data)["y"].result is Result.AGREES
    vector["dtype"] = "float32"
    assert rows(data)["y"].result is Result.DISAGREES


def test_a_vector_that_expects_nothing_is_not_checked(data: dict[str, Any]) -> None:
    """Absence is no pass."""
    data["vectors"][0]["expected"] = {}
    assert [row.result for row in rows(data).values()] == [Result.NOT_CHECKED]


class _FormulaLayer:
    """The reference's layer, wrong or absent where its input begins with a marker."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def train(self, x: Array, dy: Array) -> Step:
        match x.reshape(-1)[0]:
            case 101:
                os._exit(7)
            case 102:
                msg = "not that"
                raise ValueError(msg)
            case 103:
                msg = "no such thing"
                raise UnsupportedError(msg)
            case 104:
                return Step(y=x.tolist())
            case 105:
                step = self.layer.train(x, dy)
                return Step(y=step.y * 1.0001)
        return self.layer.train(x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        return self.layer.infer(x, dy)


class Marked(NumpyReference):
    """A subject that fails on purpose; run by its file's name in a process of its own."""

    name = "marked.subject"

    def build(  # type: ignore[override]  # a wrapper is a Layer, not the reference's own
        self, case: Case, parameters: Parameters
    ) -> Layer:
        return _FormulaLayer(super().build(case, parameters))


class Floored(NumpyReference):
    """A subject that uses an epsilon of at least 8, and documents it."""

    name = "marked.floored"
    dialect = replace(NumpyReference.dialect, epsilon_floor=Claim(8.0, "this test"))

    def build(self, case: Case, parameters: Parameters) -> Any:
        return super().build(replace(case, epsilon=max(case.epsilon, 8.0)), parameters)


MARKED = Target(module=str(Path(__file__)), attribute="Marked")


def marked(data: dict[str, Any], *markers: int) -> list[Row]:
    """Rows of the marked subject for vectors that begin with the markers."""
    text = json.dumps(data["vectors"][0])
    data["vectors"] = []
    for marker in markers:
        vector = json.loads(text)
        vector["id"] = f"marked {marker}"
        vector["inputs"]["x"]["data"][0] = marker
        vector["expected"] = {"y": vector["expected"]["y"]}
        data["vectors"].append(vector)
    return list(check_subject(MARKED, parse_vectors(json.dumps(data), "f").vectors))


def test_a_subject_may_crash_raise_or_decline_and_the_check_goes_on(data: dict[str, Any]) -> None:
    """One row each, in order, and the vector after a crash is answered."""
    found = marked(data, 101, 1, 102, 103, 104)
    assert [(row.result, row.quantity) for row in found] == [
        (Result.DISAGREES, "call"),
        (Result.AGREES, "y"),
        (Result.DISAGREES, "call"),
        (Result.NOT_CHECKED, "call"),
        (Result.DISAGREES, "call"),
    ]
    assert "exit code 7" in found[0].message
    assert "raised ValueError: not that" in found[2].message
    assert found[3].message == "not offered: no such thing"
    assert "layers answer in NumPy arrays" in found[4].message


def test_a_subject_is_held_to_its_bound_whatever_tolerance_the_file_has(
    data: dict[str, Any],
) -> None:
    """rtol is the file's claim about its own values."""
    data["vectors"][0]["rtol"] = 0.1
    (row,) = marked(data, 105)
    assert row.result is Result.DISAGREES
    assert row.ratio is not None
    assert row.ratio > 1e6


def test_the_reference_subject_agrees_with_the_hand_made_vector(data: dict[str, Any]) -> None:
    """Every quantity of a training step."""
    found = answered(data, REFERENCE)
    assert {name: row.result for name, row in found.items()} == dict.fromkeys(
        data["vectors"][0]["expected"], Result.AGREES
    )


def test_a_subject_is_asked_for_everything_where_the_vector_expects_nothing(
    data: dict[str, Any],
) -> None:
    """What the inputs decide: without dy no gradient."""
    data["vectors"][0]["expected"] = {}
    assert len(answered(data, REFERENCE)) == 8
    del data["vectors"][0]["inputs"]["dy"]
    assert set(answered(data, REFERENCE)) == {
        "y", "batch_mean", "batch_var", "running_mean", "running_var",
    }  # fmt: skip


def test_a_subject_that_follows_another_convention_disagrees_and_that_is_said(
    data: dict[str, Any],
) -> None:
    """PyTorch documents the unbiased variance; the hand-made file says biased."""
    pytest.importorskip("torch", reason="needs torch to ask it")
    found = answered(data, Target.parse(REGISTRY["torch.functional"]))
    wrong = {name for name, row in found.items() if row.result is Result.DISAGREES}
    assert wrong == {Quantity.RUNNING_VAR}
    explanation = "as it documents: running variance unbiased instead of biased"
    assert found["running_var"].message.endswith(explanation)
    assert found["batch_mean"].result is Result.NOT_CHECKED


def test_a_subject_with_a_floor_under_epsilon_disagrees_and_that_is_said(
    data: dict[str, Any],
) -> None:
    """The file's epsilon is 4."""
    found = answered(data, Target(module=str(Path(__file__)), attribute="Floored"))
    assert found["y"].result is Result.DISAGREES
    assert found["y"].message.endswith("as it documents: epsilon floor 8.0 instead of 0.0")


def test_statistics_that_are_absent_start_at_mean_0_and_variance_1(data: dict[str, Any]) -> None:
    """Subjects take them whether or not anything is expected of them."""
    vector = data["vectors"][0]
    vector["inputs"] = {"x": vector["inputs"]["x"]}
    vector["expected"] = {}
    parameters = parse_vectors(json.dumps(data), "f").vectors[0].case_inputs().parameters
    assert parameters.running_mean.tolist() == [0, 0]
    assert parameters.running_var.tolist() == [1, 1]


def test_a_rejection_that_the_subject_documents_is_not_a_disagreement(
    data: dict[str, Any],
) -> None:
    """The reference refuses an empty batch and says so in its dialect."""
    vector = data["vectors"][0]
    vector["inputs"]["x"] = vector["inputs"]["dy"] = {"shape": [0, 2], "data": []}
    vector["expected"] = {"dbeta": {"shape": [2], "data": [0, 0]}}
    found = answered(data, REFERENCE)
    assert found["call"].result is Result.NOT_CHECKED
    assert found["call"].message == "rejected, as it documents"
