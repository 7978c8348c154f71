"""The portable set: complete, readable without this project, the same bytes every time."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.adapters import REGISTRY
from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.adapters.tf_nn import TfNn
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.contract import Answered, Array, Quantity
from bnconform.conformance.dialect import Averaging, RunningVariance, VarianceAlgorithm
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.reference import Conventions, expect
from bnconform.conformance.vectors.asking import answer_vector
from bnconform.conformance.vectors.check import Result, check_file, plain_conventions
from bnconform.conformance.vectors.export import ExportError, ExportRequest, export, write
from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.reading import read_vectors

BIASED = plain_conventions(RunningVariance.BIASED)
REQUEST = ExportRequest(cases=80, seed=0, dialect="biased", conventions=BIASED)
SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf, None: np.inf}


def of(conventions: Conventions, cases: int = 40) -> VectorFile:
    """A small set under other conventions."""
    return export(replace(REQUEST, conventions=conventions, dialect="other", cases=cases))


@pytest.fixture(scope="module")
def exported() -> VectorFile:
    """The set, in memory."""
    return export(REQUEST)


@pytest.fixture(scope="module")
def folder(exported: VectorFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same set, written."""
    out = tmp_path_factory.mktemp("vectors") / "set"
    write(exported, out)
    return out


def test_the_same_arguments_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Two exports, every file of them."""
    write(export(REQUEST), tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.txt", "index.csv", "vectors.json", "vectors.npz"]
    assert [(tmp_path / name).read_bytes() for name in names] == [
        (folder / name).read_bytes() for name in names
    ]


def test_another_seed_gives_other_vectors(exported: VectorFile) -> None:
    """Only then do more exports test more."""
    other = export(replace(REQUEST, seed=1))
    assert not {v.id for v in other.vectors} & {v.id for v in exported.vectors}


def test_a_longer_set_begins_with_the_shorter_one(exported: VectorFile) -> None:
    """The number says how many, not which."""
    few = export(replace(REQUEST, cases=5))
    assert [v.id for v in few.vectors] == [v.id for v in exported.vectors[:5]]


def test_the_set_reaches_the_corners_that_it_is_for(exported: VectorFile) -> None:
    """Both modes, all formats, several axes, no gamma, a single value, NaN, exact and unjudged."""
    vectors = exported.vectors
    assert {v.dtype for v in vectors} == set(DType)
    assert len({v.mode for v in vectors}) == 2
    assert {len(v.axes) for v in vectors} == {1, 2}
    assert any(axis < 0 for v in vectors for axis in v.axes)
    assert any(v.inputs.gamma is None for v in vectors)
    assert any(v.case.smallest_count == 1 for v in vectors)
    assert any(v.decay is None for v in vectors)
    assert any(np.isnan(v.inputs.x.astype(np.float64)).any() for v in vectors)
    assert any((v.bounds[Quantity.DX] == np.inf).any() for v in vectors)
    means = [v.bounds[Quantity.BATCH_MEAN] for v in vectors if Quantity.BATCH_MEAN in v.bounds]
    assert any((bound == 0).all() for bound in means)


@pytest.mark.parametrize(
    "conventions",
    [
        pytest.param(BIASED, id="as the spec"),
        pytest.param(plain_conventions(RunningVariance.UNBIASED), id="with Bessel's correction"),
        pytest.param(Conventions.of(TorchFunctional.dialect), id="as a subject documents"),
        pytest.param(Conventions.of(TfNn.dialect), id="as a subject without state documents"),
        pytest.param(replace(BIASED, epsilon_floor=1e-5), id="with a floor under epsilon"),
    ],
)
def test_what_is_exported_passes_its_own_check(conventions: Conventions, tmp_path: Path) -> None:
    """Written, read back, and compared with the spec."""
    write(of(conventions), tmp_path)
    rows = list(check_file(read_vectors(tmp_path / "vectors.json").vectors))
    assert len(rows) > 200
    assert {row.result for row in rows} == {Result.AGREES}


def test_every_expected_value_has_a_bound(exported: VectorFile) -> None:
    """Of the same shape."""
    for vector in exported.vectors:
        shapes = {name: array.shape for name, array in vector.expected.items()}
        assert shapes == {name: array.shape for name, array in vector.bounds.items()}
        assert shapes


def test_a_bound_holds_around_the_rounded_value_and_only_where_something_is_judged() -> None:
    """In float64 the rounding of the expected value itself counts; one pass judges less."""
    conventions = replace(BIASED, algorithm=VarianceAlgorithm.ONE_PASS)
    widened = unjudged = 0
    for vector in of(conventions).vectors:
        want = expect(vector.case, vector.case_inputs(), conventions).steps[0]
        if (vector.bounds.get(Quantity.BATCH_MEAN, np.zeros(1)) == 0).any():
            continue  # the exact lane: its bounds depend on the fill, which a file does not hold
        for quantity, bound in vector.bounds.items():
            low, was = np.abs(want[quantity].value.lo), want[quantity].bound
            judged = np.isfinite(bound)
            assert (np.isnan(low) | ~judged | (low == 0) | (bound > was)).all()
            assert not (judged & want[quantity].vacuous).any()
            widened += int((judged & (low > 0)).sum())
            unjudged += int((want[quantity].vacuous & np.isfinite(was)).sum())
    assert widened > 100
    assert unjudged > 0


def _right(value: float, expected: float, bound: float, largest: float) -> bool:
    """The README's rule for one value."""
    if not np.isfinite(expected):
        return not np.isfinite(value)
    if np.isinf(value):
        return bool(np.sign(value) == np.sign(expected) and abs(expected) + bound >= largest)
    return abs(value - expected) <= bound


def _wrong(vector: dict[str, Any], quantity: str, got: Array) -> int:
    """How many values of ``got`` the README's rule calls wrong, by the JSON alone."""
    want = [SPECIAL.get(v, v) for v in vector["expected"][quantity]["data"]]
    bounds = [SPECIAL.get(v, v) for v in vector["bounds"][quantity]["data"]]
    largest = next(each.largest for each in FORMATS.values() if each.numpy == got.dtype)
    values = got.astype(np.float64).reshape(-1).tolist()
    judged = zip(values, want, bounds, strict=True)
    return [_right(*each, largest) for each in judged].count(False)


def test_a_correct_kernel_passes_by_the_rule_in_the_readme(
    exported: VectorFile, folder: Path
) -> None:
    """No code of the check: the numbers in the JSON file alone, for every quantity."""
    listed = json.loads((folder / "vectors.json").read_text())["vectors"]
    target = Target.parse(REGISTRY["numpy.reference"])
    compared = 0
    for vector, data in zip(exported.vectors, listed, strict=True):
        with np.errstate(all="ignore"):
            outcome = answer_vector(target, vector)
        assert isinstance(outcome, Answered)
        for quantity in data["expected"]:
            got = getattr(outcome.answer.steps[0], quantity)
            assert _wrong(data, quantity, got) == 0, (vector.id, quantity)
            compared += 1
    assert compared > 400


def test_a_kernel_that_forgets_epsilon_fails_by_the_rule_in_the_readme(
    exported: VectorFile, folder: Path
) -> None:
    """In most vectors; where the variance is large epsilon hardly matters."""
    listed = json.loads((folder / "vectors.json").read_text())["vectors"]
    caught = 0
    for vector, data in zip(exported.vectors, listed, strict=True):
        case, inputs = vector.case, vector.case_inputs()
        with np.errstate(all="ignore"):
            layer = NumpyReference().build(replace(case, epsilon=0.0), inputs.parameters)
            step = (layer.train if vector.mode.value == "train" else layer.infer)(
                inputs.steps[0].x, inputs.steps[0].dy
            )
        caught += _wrong(data, "y", step.y) > 0
    assert caught > len(listed) // 4


def test_the_npz_file_holds_what_the_json_file_holds(folder: Path) -> None:
    """Read without pickle; bfloat16 as float32 of the same values."""
    listed = json.loads((folder / "vectors.json").read_text())["vectors"]
    names = set()
    with np.load(folder / "vectors.npz", allow_pickle=False) as archive:
        assert archive["ids"].tolist() == [vector["id"] for vector in listed]
        for index, vector in enumerate(listed):
            for group in ("inputs", "expected", "bounds"):
                for name, array in vector[group].items():
                    key = f"{index:05d}/{group}/{name}"
                    names.add(key)
                    want = np.array([SPECIAL.get(v, v) for v in array["data"]], np.float64)
                    found = archive[key]
                    assert found.shape == tuple(array["shape"])
                    assert found.astype(np.float64).tobytes() == want.tobytes(), key
            x = archive[f"{index:05d}/inputs/x"]
            assert x.dtype == vector["dtype"].replace("bfloat16", "float32")
            assert archive[f"{index:05d}/epsilon"] == vector["epsilon"]
            assert archive[f"{index:05d}/axis"].tolist() == vector["axis"]
            assert archive[f"{index:05d}/mode"] == vector["mode"]
        arrays = {name for name in archive.files if name.count("/") == 2}
    assert arrays == names


def test_the_index_has_a_line_to_a_vector(folder: Path, exported: VectorFile) -> None:
    """In order, with what it expects."""
    with (folder / "index.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["id"] for line in lines] == [vector.id for vector in exported.vectors]
    assert [line["batch_mean"] == "1" for line in lines] == [
        Quantity.BATCH_MEAN in vector.expected for vector in exported.vectors
    ]


def test_the_readme_names_every_field_of_a_vector(folder: Path) -> None:
    """Whoever has the folder alone can read it."""
    text = (folder / "README.txt").read_text()
    vector = json.loads((folder / "vectors.json").read_text())["vectors"][0]
    assert not [name for name in vector if name != "id" and f"\n{name} " not in text]


def test_a_subject_without_state_expects_no_running_statistics() -> None:
    """tf.nn.batch_normalization keeps none, so its convention says nothing of them."""
    vectors = of(Conventions.of(TfNn.dialect)).vectors
    assert not [v.id for v in vectors if Quantity.RUNNING_MEAN in v.expected]
    assert {v.running_variance for v in vectors} == {None}


def test_conventions_that_the_format_cannot_declare_are_refused() -> None:
    """A file of debiased averages would look like one of plain averages."""
    with pytest.raises(ExportError, match=r"other documents zero_debiased, which bn-vectors/1"):
        of(replace(BIASED, averaging=Averaging.ZERO_DEBIASED))


def test_a_folder_that_holds_something_is_left_alone(exported: VectorFile, tmp_path: Path) -> None:
    """Nothing is overwritten, and nothing written beside it."""
    (tmp_path / "kept").touch()
    with pytest.raises(ExportError, match="not an empty folder; give a new one"):
        write(exported, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
