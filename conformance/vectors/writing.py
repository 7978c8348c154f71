"""Write vectors as JSON that people can read too: one field, or one array, to a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract import Array
from .format import MODES, VECTOR_FORMAT, Vector, VectorFile


def to_json(file: VectorFile) -> str:
    """The file's text: the shortest decimals that read back to the same doubles."""
    data = {
        "format": VECTOR_FORMAT,
        "source": file.source,
        "vectors": [vector_to_dict(vector) for vector in file.vectors],
    }
    return _text(data, 0) + "\n"


def vector_to_dict(vector: Vector) -> dict[str, Any]:
    """One vector as JSON-ready data."""
    data: dict[str, Any] = {
        "id": vector.id,
        "mode": next(name for name, mode in MODES.items() if mode is vector.mode),
        "dtype": vector.dtype.value,
        "axis": list(vector.axes),
        "epsilon": vector.epsilon,
        "decay": vector.decay,
    }
    if vector.running_variance is not None:
        data["conventions"] = {"running_var": vector.running_variance.value}
    data["inputs"] = {name: _array(array) for name, array in vector.inputs.named().items()}
    data["expected"] = _arrays(vector.expected, "Infinity")
    if vector.bounds:
        data["bounds"] = _arrays(vector.bounds, None)
    if vector.rtol or vector.atol:
        data |= {"rtol": vector.rtol, "atol": vector.atol}
    return data


def _arrays(arrays: Mapping[Any, Array], infinity: str | None) -> dict[str, Any]:
    return {quantity.value: _array(array, infinity) for quantity, array in arrays.items()}


def _array(array: Array, infinity: str | None = "Infinity") -> dict[str, Any]:
    values = array.astype(np.float64).reshape(-1).tolist()
    return {"shape": list(array.shape), "data": [_number(value, infinity) for value in values]}


def _number(value: float, infinity: str | None) -> float | str | None:
    """``value``, or how the format writes what JSON has no number for."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return infinity if value > 0 else "-Infinity"
    return value


def _text(value: Any, depth: int) -> str:
    """JSON with a line to each member, but arrays and lists of scalars on one."""
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, dict) and value and "data" not in value:
        lines = [
            f"{inner}{json.dumps(key)}: {_text(each, depth + 1)}" for key, each in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [inner + _text(each, depth + 1) for each in value]
        return "[\n" + ",\n".join(lines) + f"\n{outer}]"
    return json.dumps(value, allow_nan=False)
