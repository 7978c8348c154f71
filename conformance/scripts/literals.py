"""Arrays as Python source that gives the same bits back."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import numpy as np

from ..contract import Array

LARGEST_LIST = 64
"""Elements up to which an array is written out as numbers; above, as the base64 of its bytes."""

_SHORT = 4
"""Elements up to which equal numbers are written out."""

_WIDTH = 92
_NAMES = {"nan": "np.nan", "inf": "np.inf", "-inf": "-np.inf"}


def array_source(array: Array) -> str:
    """An expression that evaluates, with NumPy as ``np``, to ``array``, contiguous.

    Small arrays are readable numbers; large ones, and those whose bits no decimal number gives,
    are base64, for which the expression needs the module base64.
    """
    array = np.asarray(array, order="C")
    candidates = [_filled(array)] if array.size > _SHORT else []
    if array.size <= LARGEST_LIST:
        candidates.append(_numbers(array))
    return next((each for each in candidates if _evaluates_to(each, array)), _bytes(array))


def needs_base64(sources: str) -> bool:
    """Whether a script with these expressions must import base64."""
    return "base64." in sources


def _filled(array: Array) -> str:
    """The first value everywhere."""
    first = _number(array.reshape(-1)[0].item(), array.dtype)
    return f"np.full({array.shape}, {first}, {_dtype(array)})"


def _numbers(array: Array) -> str:
    """Nested lists of the shortest decimals that name each value."""
    if array.size == 0:
        # Lists cannot say (0, 3): there is no row to count.
        return f"np.zeros({array.shape}, {_dtype(array)})"
    lines = _nested(array)
    return f"np.array({lines}, {_dtype(array)})"


def _nested(array: Array, room: int = _WIDTH - 24) -> str:
    """Nested lists; ``room`` is the width of a line, the first of which begins with a name."""
    if array.ndim == 0:
        return _number(array.item(), array.dtype)
    parts = [_nested(each, _WIDTH - 8) for each in array]
    joined = ", ".join(parts)
    if "\n" not in joined and len(joined) < room:
        return f"[{joined}]"
    if array.ndim == 1:
        return "[\n" + textwrap.indent(textwrap.fill(joined, _WIDTH - 8), "    ") + ",\n]"
    return "[\n" + "".join(textwrap.indent(f"{part},\n", "    ") for part in parts) + "]"


def _number(value: Any, dtype: np.dtype[Any]) -> str:
    if dtype.kind != "f":
        return str(value)
    # The shortest text in the array's own format: 0.1 for float32, not 0.10000000149.
    text = str(dtype.type(value))
    return _NAMES.get(text, text)


def _bytes(array: Array) -> str:
    text = base64.b64encode(array.tobytes()).decode()
    wrapped = "\n".join(f'    "{line}"' for line in textwrap.wrap(text, _WIDTH - 6))
    little = array.dtype.newbyteorder("<").str
    return (
        f'np.frombuffer(base64.b64decode(\n{wrapped}\n), "{little}").reshape({array.shape}).copy()'
    )


def _dtype(array: Array) -> str:
    return "np.bool_" if array.dtype == bool else f"np.{array.dtype.name}"


def _evaluates_to(source: str, array: Array) -> bool:
    """Whether ``source`` gives every bit of ``array``: a decimal may be rounded twice."""
    found = eval(source, {"np": np, "__builtins__": {}})  # noqa: S307 -- written just above
    same = found.shape == array.shape and found.dtype == array.dtype
    return bool(same and found.tobytes() == array.tobytes())
