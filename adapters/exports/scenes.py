"""What the experiments on conversion and export hand over, put together again.

Arrays are called ``x``, ``gamma`` and so on for the first layer, and ``x_float64`` or the like for
one more each. A way takes one layer on its journey; what it finds goes back under such names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnconform.conformance.contract import Array

Found = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One layer, what it is trained with, and what inference is asked of it.

    None is what the layer is without; ``first`` and ``second`` are the training batches before and
    after the journey. ``decay`` is None for a cumulative average, ``mean`` and ``variance`` for no
    running statistics.
    """

    x: Array
    axis: int
    epsilon: float
    decay: float | None
    gamma: Array | None
    beta: Array | None
    mean: Array | None
    variance: Array | None
    first: Array | None
    second: Array | None

    @property
    def channels(self) -> int:
        """How many features there are."""
        return int(self.x.shape[self.axis])


Way = Callable[[Scene], Mapping[str, Array]]
"""Takes a layer there and back, and observes."""

_FIELDS = ("x", "gamma", "beta", "mean", "variance", "first", "second")


def travel(arrays: Mapping[str, Array], way: Way) -> Found:
    """Everything that ``way`` finds, scene by scene."""
    found: Found = {}
    for name in arrays:
        if name == "x" or name.startswith("x_"):
            suffix = name[1:]
            answers = way(_scene(arrays, suffix))
            found |= {f"{what}{suffix}": array for what, array in answers.items()}
    return found


def _scene(arrays: Mapping[str, Array], suffix: str) -> Scene:
    decay = arrays.get(f"decay{suffix}")
    return Scene(
        axis=int(arrays[f"axis{suffix}"]),
        epsilon=float(arrays[f"epsilon{suffix}"]),
        decay=None if decay is None else float(decay),
        **{field: arrays.get(f"{field}{suffix}") for field in _FIELDS},  # type: ignore[arg-type]
    )


def settings(epsilon: float, decay: float | None) -> Found:
    """What a layer says of itself."""
    read = {"epsilon": epsilon, "decay": decay}
    return {name: np.asarray(each, np.float64) for name, each in read.items() if each is not None}


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bnconform-export-") as name:
        yield Path(name)
