"""A portable set of vectors from the case space: JSON, NPZ, an index and a description.

Bytes depend on the arguments alone, so that two machines can compare what they were given.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Case, Layout, Mode
from ..cases.fills import Float64, Inputs, make_inputs
from ..cases.plan import PROFILES, draw_cases
from ..contract import Array, Quantity
from ..dialect import Averaging, RunningVariance, TrainingStatistics
from ..formats import DType
from ..reference import Conventions, Expectation, expect
from ..variant import PLAIN
from .format import MODES, NEEDS, VECTOR_FORMAT, Vector, VectorFile, VectorInputs
from .layout import README
from .writing import to_json

ENOUGH = 64
"""Planned cases to begin with; more are planned until enough of them can be written."""

_SMALL = replace(PROFILES["deep"], large=False)
"""Reductions of a million values are no vectors that anybody could read."""


class ExportError(Exception):
    """What was asked for cannot be written; the text says why."""


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export: ``dialect`` is the name that ``conventions`` go by."""

    cases: int
    seed: int
    dialect: str
    conventions: Conventions


def export(request: ExportRequest) -> VectorFile:
    """The vectors; :class:`ExportError` for conventions that the format cannot express."""
    _check_conventions(request)
    cases = _cases(request.cases, request.seed)
    vectors = tuple(_vector(case, request.conventions) for case in cases)
    return VectorFile(source=_source(request), vectors=vectors)


def write(file: VectorFile, folder: Path) -> list[Path]:
    """Write all parts into ``folder``, which must be new or empty; the paths written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there already and not an empty folder; give a new one"
        raise ExportError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = dict(npz_arrays(file))
    texts = {
        "vectors.json": to_json(file),
        "index.csv": _index(file),
        "README.txt": README.format(source=file.source, count=len(file.vectors)),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    _write_npz(arrays, folder / "vectors.npz")
    return [folder / name for name in (*texts, "vectors.npz")]


def _write_npz(arrays: Mapping[str, Array], path: Path) -> None:
    """What ``np.savez`` writes, without pickle, time or platform in it.

    Not compressed: a reader then needs no inflate, and zlib's version decides no byte.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.create_system = 3  # else it names the platform
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _check_conventions(request: ExportRequest) -> None:
    if request.cases < 1:
        msg = f"--cases must be at least 1, got {request.cases}"
        raise ExportError(msg)
    conventions = request.conventions
    for found, plain in (
        (conventions.averaging, Averaging.EXPONENTIAL),
        (conventions.training_statistics, TrainingStatistics.BATCH),
    ):
        if found is not plain:
            msg = (
                f"{request.dialect} documents {found}, which {VECTOR_FORMAT} cannot declare; "
                "export 'biased' or 'unbiased' vectors instead"
            )
            raise ExportError(msg)


def _source(request: ExportRequest) -> str:
    conventions = request.conventions
    return (
        f"bnconform vectors export --cases {request.cases} --seed {request.seed} "
        f"--dialect {request.dialect}; bounds of an implementation with a "
        f"{conventions.algorithm} variance, output in the format of the "
        f"{conventions.half_output}, half-precision dx rounded {conventions.half_gradient}"
    )


def _cases(number: int, seed: int) -> list[Case]:
    """The first ``number`` different plain cases of one step that the campaign's plan gives."""
    planned = ENOUGH
    while True:
        drawn = draw_cases(_SMALL, cases=planned, seed=seed)
        found = {each.id: each for each in map(_one_step, drawn) if _is_exported(each)}
        if len(found) >= number:
            return list(found.values())[:number]
        planned *= 2


def _one_step(case: Case) -> Case:
    """The first training step of ``case`` alone, its arrays in row-major order."""
    return replace(
        case,
        steps=1,
        last_batch=case.shape[0],
        layout=Layout.CONTIGUOUS,
        upstream_layout=Layout.CONTIGUOUS,
    )


def _is_exported(case: Case) -> bool:
    """Frozen layers, variants and empty batches have no place in the format."""
    plain = case.variant == PLAIN and not case.half_parameters and case.mode is not Mode.FROZEN
    return plain and math.prod(case.shape) > 0


def _vector(case: Case, conventions: Conventions) -> Vector:
    # The format has no floor of epsilon: what would be used is written.
    case = replace(case, epsilon=max(case.epsilon, conventions.epsilon_floor))
    inputs = make_inputs(case)
    vector = Vector(
        id=case.id,
        mode=case.mode,
        dtype=case.dtype,
        axes=case.feature_axes,
        epsilon=case.epsilon,
        decay=case.decay,
        running_variance=_running_variance(case, conventions),
        inputs=_vector_inputs(inputs),
    )
    want = expect(case, inputs, conventions).steps[0]
    quantities = _exported(vector, conventions)
    return replace(
        vector,
        expected={each: _double(want[each]) for each in quantities},
        bounds={each: _bound(want[each]) for each in quantities},
    )


def _running_variance(case: Case, conventions: Conventions) -> RunningVariance | None:
    kept = conventions.running_variance is not RunningVariance.NONE
    return conventions.running_variance if kept and case.mode is Mode.TRAIN else None


def _vector_inputs(inputs: Inputs) -> VectorInputs:
    parameters, step = inputs.parameters, inputs.steps[0]
    return VectorInputs(
        x=step.x,
        gamma=parameters.gamma,
        beta=parameters.beta,
        running_mean=parameters.running_mean,
        running_var=parameters.running_var,
        dy=step.dy,
    )


def _exported(vector: Vector, conventions: Conventions) -> list[Quantity]:
    """What the vector can expect; no running statistics of a dialect that keeps none."""
    running = {Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR}
    stateless = conventions.running_variance is RunningVariance.NONE
    return [each for each in vector.answerable() if not (stateless and each in running)]


def _double(want: Expectation) -> Float64:
    """The exact values, rounded; one kind of NaN, because platforms differ in its sign."""
    exact = want.value.hi
    return np.where(np.isnan(exact), np.nan, exact)


def _bound(want: Expectation) -> Float64:
    """The bound around the double that is written instead of the exact value.

    The two differ by the low part, which is added and rounded up. Infinite where nothing is judged.
    """
    low = np.abs(want.value.lo)
    wider = np.where(low > 0, np.nextafter(want.bound + low, np.inf), want.bound)
    nothing = want.vacuous | ~np.isfinite(want.value.hi) | ~np.isfinite(wider)
    return np.where(nothing, np.inf, wider)


def npz_arrays(file: VectorFile) -> Iterator[tuple[str, Array]]:
    """Every array of an NPZ archive by its name; none needs pickle."""
    yield "format", np.array(VECTOR_FORMAT)
    yield "source", np.array(file.source)
    yield "ids", np.array([vector.id for vector in file.vectors])
    for index, vector in enumerate(file.vectors):
        for name, array in _npz_vector(vector).items():
            yield f"{index:05d}/{name}", array


def _npz_vector(vector: Vector) -> dict[str, Array]:
    decay = math.nan if vector.decay is None else vector.decay
    scalars: dict[str, Any] = {
        "mode": _mode(vector),
        "dtype": vector.dtype.value,
        "axis": np.array(vector.axes, np.int64),
        "epsilon": vector.epsilon,
        "decay": decay,
        "running_var": vector.running_variance or "",
    }
    inputs = {name: _plain(array, vector) for name, array in vector.inputs.named().items()}
    groups: dict[str, Mapping[Any, Array]] = {
        "inputs": inputs,
        "expected": vector.expected,
        "bounds": vector.bounds,
    }
    return {name: np.array(value) for name, value in scalars.items()} | {
        f"{group}/{name}": array
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }


def _plain(array: Array, vector: Vector) -> Array:
    """bfloat16 is no NumPy format, so it is written as the float32 of the same value."""
    if vector.dtype is DType.BFLOAT16:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)


def _mode(vector: Vector) -> str:
    return next(name for name, mode in MODES.items() if mode is vector.mode)


def _index(file: VectorFile) -> str:
    """A table of the vectors, one to a line, in the order of both files."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(
        ["index", "id", "mode", "dtype", "shape", "axis", "epsilon", "decay", *NEEDS, "judged"]
    )
    for index, vector in enumerate(file.vectors):
        judged = sum(int(np.isfinite(bound).sum()) for bound in vector.bounds.values())
        table.writerow(
            [
                index,
                vector.id,
                _mode(vector),
                vector.dtype.value,
                "x".join(map(str, vector.inputs.x.shape)),
                " ".join(map(str, vector.axes)),
                vector.epsilon,
                "cumulative" if vector.decay is None else vector.decay,
                *(int(quantity in vector.expected) for quantity in NEEDS),
                judged,
            ]
        )
    return stream.getvalue()
