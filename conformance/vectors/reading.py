"""Read a ``bn-vectors/1`` file: every problem of it at once, each with its line and field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..case import Mode
from ..cases.fills import Float64
from ..contract import Array, Quantity
from ..dialect import RunningVariance
from ..formats import FORMATS, DType, Format
from .document import Constant, Document, Node, NotJSONError, Problem, shown
from .format import (
    IMAGES,
    INPUTS,
    MODES,
    NEEDS,
    TRAINING_ONLY,
    VECTOR_FORMAT,
    Vector,
    VectorFile,
    VectorInputs,
    input_format,
)

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How values that JSON has no number for are written."""

RANGE = (1e-140, 1e140)
"""Magnitudes that the spec's double-double arithmetic holds to its full precision."""

_REQUIRED = ("id", "mode", "dtype", "axis", "epsilon", "inputs", "expected")
_OPTIONAL = ("decay", "conventions", "bounds", "rtol", "atol")
_CONVENTIONS = {
    "running_var": (RunningVariance.BIASED.value, RunningVariance.UNBIASED.value),
    "momentum": ("decay",),
}


class VectorFileError(Exception):
    """A file is not ``bn-vectors/1``; ``problems`` says everything that is wrong, line by line."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        """Keep the problems; the text has one to a line."""
        super().__init__("\n".join(f"{name}:{problem}" for problem in problems))
        self.problems = problems


def read_vectors(path: Path) -> VectorFile:
    """The vectors in the file at ``path``; :class:`VectorFileError` or OSError."""
    raw = path.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(line=line, part="", message="not UTF-8")
        raise VectorFileError(str(path), (problem,)) from None
    return parse_vectors(text, str(path))


def parse_vectors(text: str, name: str) -> VectorFile:
    """The vectors in ``text``; ``name`` is what messages call the file."""
    try:
        document = Document.parse(text)
    except NotJSONError as error:
        raise VectorFileError(name, (error.problem,)) from None
    found = _file(document.top)
    if document.problems or found is None:
        # Problems are found field by field; a reader mends them from the top.
        problems = sorted(document.problems, key=lambda problem: problem.line)
        raise VectorFileError(name, tuple(problems))
    return found


def _file(top: Node) -> VectorFile | None:
    parts = top.members(("format", "source", "vectors"), ())
    if "format" in parts:
        parts["format"].one_of((VECTOR_FORMAT,))
    source = parts["source"].text() if "source" in parts else None
    nodes = (parts["vectors"].items() if "vectors" in parts else None) or []
    if "vectors" in parts and parts["vectors"].value == []:
        parts["vectors"].complain("holds no vector, so there is nothing to check")
    vectors = [_vector(node) for node in nodes]
    _check_ids(nodes)
    whole = tuple(vector for vector in vectors if vector is not None)
    if source is None or len(whole) < len(vectors):
        return None
    return VectorFile(source=source, vectors=whole)


def _check_ids(nodes: list[Node]) -> None:
    first: dict[str, Node] = {}
    for node in nodes:
        name = node.value.get("id") if isinstance(node.value, dict) else None
        if isinstance(name, str) and first.setdefault(name, node) is not node:
            line = node.document.line((*first[name].path, "id"))
            node.child("id").complain(f"{shown(name)} is already the id of line {line}")


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """A vector's scalars; None where the file has none, or has one that was complained of."""

    id: str | None
    mode: Mode | None
    dtype: DType | None
    axes: tuple[int, ...] | None
    epsilon: float | None
    decay: float | None
    rtol: float
    atol: float
    running_variance: RunningVariance | None


def _vector(node: Node) -> Vector | None:
    before = len(node.document.problems)
    parts = node.members(_REQUIRED, _OPTIONAL)
    settings = _settings(node, parts)
    inputs = _inputs(parts["inputs"], settings) if "inputs" in parts else None
    shapes = _Shapes.of(inputs, settings)
    read = {
        name: _quantities(parts[name], shapes, bounds=name == "bounds")
        for name in ("expected", "bounds")
        if name in parts
    }
    if "expected" in parts:
        _check_needs(node, settings, parts, read["expected"])
    for quantity in read.get("bounds", {}):
        if quantity not in read.get("expected", {}):
            parts["bounds"].child(quantity.value).complain("bounds a value that is not expected")
    s = settings
    if len(node.document.problems) > before or inputs is None:
        return None
    if s.id is None or s.mode is None or s.dtype is None or s.axes is None or s.epsilon is None:
        return None
    return Vector(
        id=s.id,
        mode=s.mode,
        dtype=s.dtype,
        axes=s.axes,
        epsilon=s.epsilon,
        decay=s.decay,
        running_variance=s.running_variance,
        inputs=inputs,
        expected=read["expected"],
        bounds=read.get("bounds", {}),
        rtol=s.rtol,
        atol=s.atol,
    )


def _settings(node: Node, parts: Mapping[str, Node]) -> _Settings:
    mode = parts["mode"].one_of(tuple(MODES)) if "mode" in parts else None
    dtype = parts["dtype"].one_of([each.value for each in DType]) if "dtype" in parts else None
    if mode == "train" and "decay" not in parts:
        node.complain("has no 'decay', which mode train needs; null is the cumulative average")
    cumulative = "decay" in parts and parts["decay"].value is None
    decay = None if cumulative else _number(parts, "decay", _between_0_and_1)
    return _Settings(
        id=parts["id"].text() if "id" in parts else None,
        mode=None if mode is None else MODES[mode],
        dtype=None if dtype is None else DType(dtype),
        axes=parts["axis"].integers() if "axis" in parts else None,
        epsilon=_number(parts, "epsilon", _not_negative),
        decay=decay,
        rtol=_number(parts, "rtol", _not_negative) or 0.0,
        atol=_number(parts, "atol", _not_negative) or 0.0,
        running_variance=_running_variance(parts.get("conventions")),
    )


def _number(parts: Mapping[str, Node], name: str, problem: Callable[[float], str]) -> float | None:
    """The number under ``name`` if there is one and ``problem`` finds none in it."""
    found = parts[name].number() if name in parts else None
    if found is None or not problem(found):
        return found
    parts[name].complain(f"{problem(found)}, got {shown(parts[name].value)}")
    return None


def _not_negative(value: float) -> str:
    return "must be >= 0" if value < 0 else ""


def _between_0_and_1(value: float) -> str:
    if 0 <= value <= 1:
        return ""
    return "is the weight of the old value and must be in [0, 1]"


def _running_variance(node: Node | None) -> RunningVariance | None:
    if node is None:
        return None
    parts = node.members((), tuple(_CONVENTIONS))
    chosen = {name: part.one_of(_CONVENTIONS[name]) for name, part in parts.items()}
    found = chosen.get("running_var")
    return None if found is None else RunningVariance(found)


def _inputs(node: Node, settings: _Settings) -> VectorInputs | None:
    parts = node.members(("x",), [name for name in INPUTS if name != "x"])
    arrays = {name: _array(part) for name, part in parts.items()}
    x = arrays.get("x")
    if settings.mode is Mode.INFERENCE:
        for name in ("running_mean", "running_var"):
            if name not in parts and isinstance(node.value, dict):
                node.complain(f"has no {name!r}, which mode infer normalizes by")
    if x is None or settings.dtype is None or not _axes_fit(node, x, settings.axes):
        return None
    shapes = _Shapes.of(VectorInputs(x=x), settings)
    rounded = {}
    for name, array in arrays.items():
        if array is not None and shapes.fits(parts[name], array, image=name in ("x", "dy")):
            rounded[name] = _rounded(parts[name], array, input_format(name, settings.dtype))
    return VectorInputs(**rounded) if "x" in rounded else None


def _axes_fit(node: Node, x: Float64, axes: tuple[int, ...] | None) -> bool:
    """Whether ``axes`` are axes of ``x``, and said once each."""
    if axes is None:
        return False
    rank, path = x.ndim, (*node.path[:-1], "axis")
    if not axes or any(not -rank <= axis < rank for axis in axes):
        allowed = f"must name axes of x in [-{rank}, {rank - 1}]"
        node.document.complain(path, f"{allowed}, at least one, got {list(axes)}")
        return False
    if len({axis % rank for axis in axes}) < len(axes):
        node.document.complain(path, f"must not name an axis twice, got {list(axes)}")
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class _Shapes:
    """The shapes that a vector's arrays must have; None while they are not known."""

    image: tuple[int, ...] | None = None
    features: tuple[int, ...] | None = None

    @classmethod
    def of(cls, inputs: VectorInputs | None, settings: _Settings) -> _Shapes:
        """Those that x and the feature axes decide."""
        if inputs is None or settings.axes is None:
            return cls()
        shape = inputs.x.shape
        axes = sorted(axis % len(shape) for axis in settings.axes)
        return cls(image=shape, features=tuple(shape[axis] for axis in axes))

    def fits(self, node: Node, array: Array, *, image: bool) -> bool:
        """Whether ``array`` has the shape it must have; says so if not."""
        wanted = self.image if image else self.features
        if wanted is None or array.shape == wanted:
            return True
        what = "that of x" if image else "the sizes of the axes in 'axis', ascending"
        message = f"must be {list(wanted)}, {what}; got {list(array.shape)}"
        node.child("shape").complain(message)
        return False


def _quantities(node: Node, shapes: _Shapes, *, bounds: bool) -> dict[Quantity, Float64]:
    parts = node.members((), [quantity.value for quantity in NEEDS])
    found = {}
    for name, part in parts.items():
        quantity = Quantity(name)
        array = _array(part, null=math.inf if bounds else None)
        if array is None or not shapes.fits(part, array, image=quantity in IMAGES):
            continue
        if bounds and not (array >= 0).all():
            part.child("data").complain("a bound must be >= 0, or null where nothing is judged")
        found[quantity] = array
    return found


def _check_needs(
    node: Node,
    settings: _Settings,
    parts: Mapping[str, Node],
    expected: Mapping[Quantity, Float64],
) -> None:
    """Every expected quantity needs the inputs and conventions that decide it."""
    for quantity in expected:
        place = parts["expected"].child(quantity.value)
        missing = [f"inputs.{name}" for name in NEEDS[quantity] if not _said(node, "inputs", name)]
        if missing:
            place.complain(f"needs {' and '.join(missing)}")
        if quantity in TRAINING_ONLY and settings.mode is Mode.INFERENCE:
            place.complain("belongs to mode train: inference takes no statistics of the batch")
    told = settings.running_variance is not None or _said(node, "conventions", "running_var")
    if Quantity.RUNNING_VAR in expected and settings.mode is Mode.TRAIN and not told:
        place = parts["expected"].child("running_var")
        place.complain("needs conventions.running_var: 'biased' or 'unbiased'")


def _said(node: Node, *keys: str) -> bool:
    """Whether the file has something under ``keys``, be it valid or not."""
    value = node.value
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _array(node: Node, null: float | None = None) -> Float64 | None:
    """An array as the file has it, in float64; ``null`` is what null stands for, if anything."""
    parts = node.members(("shape", "data"), ())
    shape = parts["shape"].integers() if "shape" in parts else None
    if shape is not None and (not shape or min(shape) < 0):
        parts["shape"].complain(f"must be one or more sizes >= 0, got {list(shape)}")
        shape = None
    values = _values(parts["data"], null) if "data" in parts else None
    if shape is None or values is None:
        return None
    if values.size != math.prod(shape):
        parts["data"].complain(f"{values.size} numbers for shape {list(shape)}")
        return None
    return values.reshape(shape)


def _values(node: Node, null: float | None) -> Float64 | None:
    if not isinstance(node.value, list):
        node.complain(f"must be a list of numbers, row by row, got {shown(node.value)}")
        return None
    read = [_value(each, null) for each in node.value]
    wrong = [index for index, value in enumerate(read) if value is None]
    if wrong:
        more = f" (and {len(wrong) - 1} more in this list)" if len(wrong) > 1 else ""
        bad = node.child(wrong[0])
        bad.complain(f"{_complaint(bad.value, null)}{more}")
        return None
    return np.array(read, np.float64)


def _value(given: object, null: float | None) -> float | None:
    """A number, or None for what is none."""
    if type(given) is float:
        # 1e999 is JSON, but no number that a double holds.
        return given if math.isfinite(given) else None
    if type(given) is int:
        return float(given) if abs(given) < 2**1023 else None
    if isinstance(given, str):
        return SPECIAL.get(given)
    return null if given is None else None


def _complaint(given: object, null: float | None) -> str:
    if isinstance(given, Constant):
        return shown(given)
    if type(given) in (int, float):
        return 'too large for a double; write "Infinity" where that is meant'
    special = ", ".join(f'"{name}"' for name in SPECIAL)
    also = ", null" if null is not None else ""
    return f"must be a number, {special}{also}, got {shown(given)}"


def _rounded(node: Node, array: Float64, form: np.dtype) -> Array:
    """``array`` in the format it is used in; says so where that does not hold it."""
    with np.errstate(over="ignore"):
        rounded = array.astype(form)
    lost = np.isfinite(array) & ~np.isfinite(rounded.astype(np.float64))
    size, (least, most) = np.abs(array), RANGE
    strange = np.isfinite(array) & ((size > most) | ((size > 0) & (size < least)))
    if form.itemsize == 8 and strange.any():
        where = int(np.argmax(strange))
        message = f"beyond what the spec is computed in, magnitudes of {least:g} to {most:g}"
        node.child("data").child(where).complain(message)
    if lost.any():
        where = int(np.argmax(lost))
        largest = _format_of(form).largest
        message = f"beyond the largest {_format_of(form).dtype}, {largest:g}"
        node.child("data").child(where).complain(message)
    return rounded


def _format_of(form: np.dtype) -> Format:
    return next(each for each in FORMATS.values() if each.numpy == form)
