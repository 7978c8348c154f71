"""Malformed files: the line and the field of everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.contract import Quantity
from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.reading import VectorFileError, parse_vectors, read_vectors
from bnconform.conformance.vectors.writing import to_json

Spoil = Callable[[dict[str, Any]], object]


def problems(data: object) -> list[str]:
    """What reading ``data`` as a file complains of, without the lines."""
    with pytest.raises(VectorFileError) as caught:
        parse_vectors(json.dumps(data), "f.json")
    return [f"{problem.part}: {problem.message}" for problem in caught.value.problems]


def test_a_problem_is_reported_with_file_line_and_field(data: dict[str, Any]) -> None:
    """Enough to open the file at the right place."""
    data["vectors"][0]["inputs"]["gamma"]["data"] = [1, 2, 3]
    text = json.dumps(data, indent=1)
    line = text[: text.index('"data"', text.index('"gamma"'))].count("\n") + 1
    with pytest.raises(VectorFileError) as caught:
        parse_vectors(text, "vectors.json")
    assert str(caught.value) == (
        f"vectors.json:{line}: vectors[0].inputs.gamma.data: 3 numbers for shape [2]"
    )


def _at(*keys: str) -> Callable[[object], Spoil]:
    """Sets a field of the vector to a value."""

    def to(value: object) -> Spoil:
        def spoil(data: dict[str, Any]) -> None:
            place = data["vectors"][0]
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = value

        return spoil

    return to


def _without(*keys: str) -> Spoil:
    def spoil(data: dict[str, Any]) -> None:
        place = data["vectors"][0]
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return spoil


V = "vectors[0]"
SPOILED = [
    pytest.param(
        lambda data: data.update(format="bn-vectors/2"),
        "format: must be one of 'bn-vectors/1', got \"bn-vectors/2\"",
        id="another version",
    ),
    pytest.param(
        lambda data: data.update(vectors=[]), "vectors: holds no vector, so there", id="no vector"
    ),
    pytest.param(
        lambda data: data.update(vectors={}), "vectors: must be a list, got {}", id="no list"
    ),
    pytest.param(
        lambda data: data.update(vectors=[3]), f"{V}: must be an object, got 3", id="no object"
    ),
    pytest.param(lambda data: data.pop("source"), ": has no 'source'", id="no source"),
    pytest.param(
        _at("epsilom")(1e-3), f"{V}.epsilom: unknown, allowed here: id, mode,", id="misspelt field"
    ),
    pytest.param(_at("id")(""), f"{V}.id: must be a string that is not empty", id="empty id"),
    pytest.param(
        _at("mode")("inference"), f"{V}.mode: must be one of 'train', 'infer'", id="a case's mode"
    ),
    pytest.param(_at("dtype")("double"), f"{V}.dtype: must be one of 'float16'", id="C's name"),
    pytest.param(
        _at("axis")(1),
        f"{V}.axis: must be a list of whole numbers, got 1; write [1]",
        id="an axis by itself",
    ),
    pytest.param(
        _at("axis")([2]), f"{V}.axis: must name axes of x in [-2, 1], at least one", id="no axis"
    ),
    pytest.param(_at("axis")([]), f"{V}.axis: must name axes of x in [-2, 1]", id="no axis at all"),
    pytest.param(
        _at("axis")([1, -1]),
        f"{V}.axis: must not name an axis twice, got [1, -1]",
        id="an axis twice",
    ),
    pytest.param(_at("epsilon")(-1), f"{V}.epsilon: must be >= 0, got -1", id="negative epsilon"),
    pytest.param(
        _at("epsilon")([]), f"{V}.epsilon: must be a finite number, got []", id="no number"
    ),
    pytest.param(_at("epsilon")(10**400), f"{V}.epsilon: must be a finite number", id="too large"),
    pytest.param(
        _at("decay")(1.5), f"{V}.decay: is the weight of the old value and must", id="decay over 1"
    ),
    pytest.param(
        _without("decay"), f"{V}: has no 'decay', which mode train needs", id="training, no decay"
    ),
    pytest.param(_at("rtol")(-1e-3), f"{V}.rtol: must be >= 0", id="negative tolerance"),
    pytest.param(
        _at("conventions", "variance")("biased"),
        f"{V}.conventions.variance: unknown, allowed here: running_var, momentum",
        id="unknown convention",
    ),
    pytest.param(
        _at("conventions", "running_var")("sample"),
        f"{V}.conventions.running_var: must be one of 'biased', 'unbiased'",
        id="unknown running variance",
    ),
    pytest.param(
        _at("conventions", "momentum")("rate"),
        f"{V}.conventions.momentum: must be one of 'decay'",
        id="the other sense of momentum",
    ),
    pytest.param(
        _at("conventions")({}),
        f"{V}.expected.running_var: needs conventions.running_var",
        id="a running variance of either kind",
    ),
    pytest.param(_without("inputs", "x"), f"{V}.inputs: has no 'x'", id="no x"),
    pytest.param(
        _at("inputs", "x", "shape")([3, 2]),
        f"{V}.inputs.x.data: 8 numbers for shape [3, 2]",
        id="numbers left over",
    ),
    pytest.param(
        _at("inputs", "x", "shape")([]),
        f"{V}.inputs.x.shape: must be one or more sizes >= 0, got []",
        id="a scalar",
    ),
    pytest.param(
        _at("inputs", "x", "data")("1 2 3"),
        f"{V}.inputs.x.data: must be a list of numbers, row by row",
        id="no list of numbers",
    ),
    pytest.param(
        _at("inputs", "gamma", "data")([1, "nan"]),
        f'{V}.inputs.gamma.data[1]: must be a number, "NaN", "Infinity", "-Infinity", got "nan"',
        id="another spelling of NaN",
    ),
    pytest.param(
        _at("inputs", "gamma", "data")([float("nan"), 1]),
        f"{V}.inputs.gamma.data[0]: a bare NaN, which is not JSON",
        id="NaN without quotes",
    ),
    pytest.param(
        _at("inputs", "gamma", "data")([None, None]),
        "got null (and 1 more in this list)",
        id="two wrong numbers in one list",
    ),
    pytest.param(
        _at("inputs", "gamma")({"shape": [1], "data": [1]}),
        f"{V}.inputs.gamma.shape: must be [2], the sizes of the axes in 'axis'",
        id="another number of channels",
    ),
    pytest.param(
        _at("inputs", "dy")({"shape": [2, 4], "data": [0] * 8}),
        f"{V}.inputs.dy.shape: must be [4, 2], that of x; got [2, 4]",
        id="a transposed gradient",
    ),
    pytest.param(
        _at("inputs", "gamma", "data")([1, 1e300]),
        f"{V}.inputs.gamma.data[1]: beyond what the spec is computed in",
        id="too large for the reference",
    ),
    pytest.param(
        _without("inputs", "dy"), f"{V}.expected.dgamma: needs inputs.dy", id="gradient of nothing"
    ),
    pytest.param(
        _without("inputs", "beta"), f"{V}.expected.dbeta: needs inputs.beta", id="no such parameter"
    ),
    pytest.param(
        _without("inputs", "running_mean"),
        f"{V}.expected.running_mean: needs inputs.running_mean",
        id="an update of nothing",
    ),
    pytest.param(
        _at("mode")("infer"),
        f"{V}.expected.batch_var: belongs to mode train",
        id="batch statistics in inference",
    ),
    pytest.param(
        _at("expected", "y_infer")({}),
        f"{V}.expected.y_infer: unknown, allowed here: y, batch_mean",
        id="a quantity of several steps",
    ),
    pytest.param(
        _at("bounds")({"dx": {"shape": [4, 2], "data": [-1] * 8}}),
        f"{V}.bounds.dx.data: a bound must be >= 0",
        id="negative bound",
    ),
    pytest.param(
        lambda data: data["vectors"][0].update(
            bounds={"y": data["vectors"][0]["expected"].pop("y")}
        ),
        f"{V}.bounds.y: bounds a value that is not expected",
        id="a bound of nothing",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED)
def test_a_malformed_field_is_named_with_what_would_be_right(
    data: dict[str, Any], spoil: Spoil, message: str
) -> None:
    """One field spoiled, and it is among what is complained of."""
    spoil(data)
    assert any(message in problem for problem in problems(data)), problems(data)


def test_all_problems_of_a_file_are_reported_at_once(data: dict[str, Any]) -> None:
    """In the order of the lines, over several vectors."""
    data["vectors"].append(dict(data["vectors"][0], id="second", mode="test"))
    data["vectors"][0] |= {"dtype": "half", "axis": "1"}
    assert [problem.split(":")[0] for problem in problems(data)] == [
        "vectors[0].dtype", "vectors[0].axis", "vectors[1].mode",
    ]  # fmt: skip


def test_an_id_that_is_used_twice_is_a_problem_of_the_second(data: dict[str, Any]) -> None:
    """Results are listed by id."""
    data["vectors"] *= 2
    assert problems(data) == ['vectors[1].id: "by-hand" is already the id of line 1']


def test_a_field_given_twice_is_a_problem() -> None:
    """JSON takes the last one in silence."""
    text = '{"format": "bn-vectors/1", "source": "a",\n "source": "b", "vectors": []}'
    with pytest.raises(VectorFileError, match=r"f:2: source: is given twice"):
        parse_vectors(text, "f")


@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
def test_inference_without_running_statistics_is_a_problem(
    data: dict[str, Any], missing: str
) -> None:
    """There is no neutral value to normalize by."""
    vector = data["vectors"][0]
    vector["mode"], vector["expected"] = "infer", {"y": vector["expected"]["y"]}
    del vector["inputs"][missing]
    assert problems(data) == [
        f"vectors[0].inputs: has no {missing!r}, which mode infer normalizes by"
    ]


def test_a_number_that_the_format_cannot_hold_is_a_problem(data: dict[str, Any]) -> None:
    """Rounding 70,000 to float16 would make it infinite."""
    data["vectors"][0]["dtype"] = "float16"
    data["vectors"][0]["inputs"]["x"]["data"][2] = 70_000
    assert problems(data) == [
        "vectors[0].inputs.x.data[2]: beyond the largest float16, 65504"
    ]  # fmt: skip


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    """The line where it stops being text."""
    path = tmp_path / "latin.json"
    path.write_bytes(b'{\n"source": "\xe9"}')
    with pytest.raises(VectorFileError, match=r"latin\.json:2: not UTF-8"):
        read_vectors(path)


def test_inputs_are_rounded_to_their_formats_and_expected_values_are_not(
    data: dict[str, Any],
) -> None:
    """x in half precision, gamma in float32, y as the double it was written as."""
    vector = data["vectors"][0]
    vector["dtype"] = "float16"
    vector["inputs"]["x"]["data"][0] = vector["inputs"]["gamma"]["data"][0] = 0.1
    vector["expected"]["y"]["data"][0] = 0.1
    found = parse_vectors(json.dumps(data), "f").vectors[0]
    gamma = found.inputs.gamma
    assert gamma is not None
    assert found.inputs.x[0, 0] == np.float16(0.1)
    assert gamma[0] == np.float32(0.1)
    assert found.expected[Quantity.Y][0, 0] == 0.1


def test_special_values_and_empty_bounds_survive_writing_and_reading(
    data: dict[str, Any],
) -> None:
    """NaN, both infinities, a negative zero, and a bound that judges nothing."""
    vector = data["vectors"][0]
    vector["inputs"]["x"]["data"] = ["NaN", "Infinity", "-Infinity", -0.0, 1, 2, 3, 4]
    vector["bounds"] = {"dgamma": {"shape": [2], "data": [None, 0.5]}}
    found = parse_vectors(json.dumps(data), "f")
    again = parse_vectors(to_json(found), "g")
    x = again.vectors[0].inputs.x.reshape(-1)
    assert x.tobytes() == np.array([np.nan, np.inf, -np.inf, -0.0, 1, 2, 3, 4]).tobytes()
    assert again.vectors[0].bounds[Quantity.DGAMMA].tolist() == [np.inf, 0.5]


def test_a_written_file_has_the_same_text_when_it_is_read_and_written_again(
    hand_made_file: VectorFile,
) -> None:
    """Nothing is lost or rearranged."""
    text = to_json(hand_made_file)
    assert to_json(parse_vectors(text, "f")) == text


@pytest.mark.parametrize("flag", ["true", "false"])
def test_a_boolean_is_no_number(data: dict[str, Any], flag: str) -> None:
    """Python counts it as one."""
    data["vectors"][0]["epsilon"] = json.loads(flag)
    assert problems(data) == [f"vectors[0].epsilon: must be a finite number, got {flag}"]


def test_a_number_beyond_all_doubles_is_a_problem(data: dict[str, Any]) -> None:
    """1e999 is JSON, and Python reads it as infinity without a word."""
    data["vectors"][0]["inputs"]["gamma"]["data"] = [3, 555]
    with pytest.raises(VectorFileError, match=r"gamma\.data\[1\]: too large for a double"):
        parse_vectors(json.dumps(data).replace("555", "1e999"), "f")
