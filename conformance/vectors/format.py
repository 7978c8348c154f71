"""What a file of test vectors holds: the format ``bn-vectors/1``, as types.

``docs/vectors.md`` describes the file field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..case import Case, Fill, FillKind, Layout, Mode
from ..cases.fills import Float64, Inputs, StepInputs
from ..contract import Array, Parameters, Quantity
from ..dialect import RunningVariance
from ..formats import FORMATS, DType, compute_format

VECTOR_FORMAT = "bn-vectors/1"

MODES: dict[str, Mode] = {"train": Mode.TRAIN, "infer": Mode.INFERENCE}
"""A mode's name in a file, and what a case calls it."""

IMAGES = frozenset({Quantity.Y, Quantity.DX})
"""Quantities of the input's shape and format; all others have one value per channel."""

NEEDS: dict[Quantity, tuple[str, ...]] = {
    Quantity.Y: (),
    Quantity.BATCH_MEAN: (),
    Quantity.BATCH_VAR: (),
    Quantity.RUNNING_MEAN: ("running_mean",),
    Quantity.RUNNING_VAR: ("running_var",),
    Quantity.DX: ("dy",),
    Quantity.DGAMMA: ("dy", "gamma"),
    Quantity.DBETA: ("dy", "beta"),
}
"""What a vector may expect, and the inputs without which it cannot."""

TRAINING_ONLY = frozenset({Quantity.BATCH_MEAN, Quantity.BATCH_VAR})


@dataclass(frozen=True, kw_only=True)
class VectorInputs:
    """What goes in, rounded to the formats it is used in; None for what is not used.

    ``x`` and ``dy`` are in the vector's format, the rest in that of the parameters: float32 for
    half precision, else the vector's own.
    """

    x: Array
    gamma: Array | None = None
    beta: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    dy: Array | None = None

    def named(self) -> dict[str, Array]:
        """What is used, by name."""
        every = {name: getattr(self, name) for name in INPUTS}
        return {name: array for name, array in every.items() if array is not None}


INPUTS = ("x", "gamma", "beta", "running_mean", "running_var", "dy")
"""The names of all inputs, in the order of a file."""


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One call of batch normalization: what goes in, and what is said to come out.

    ``axes`` are as written, negative ones included. ``running_variance`` is None where the vector
    does not say. ``expected`` and ``bounds`` are float64, whatever the vector's format is; a bound
    of infinity judges nothing.
    """

    id: str
    mode: Mode
    dtype: DType
    axes: tuple[int, ...]
    epsilon: float
    decay: float | None
    inputs: VectorInputs
    running_variance: RunningVariance | None = None
    expected: Mapping[Quantity, Float64] = field(default_factory=dict)
    bounds: Mapping[Quantity, Float64] = field(default_factory=dict)
    rtol: float = 0.0
    atol: float = 0.0

    @cached_property
    def case(self) -> Case:
        """The vector as a case of one step; its fill is not used."""
        shape = self.inputs.x.shape
        return Case(
            shape=shape,
            last_batch=shape[0],
            feature_axes=self.axes,
            dtype=self.dtype,
            layout=Layout.CONTIGUOUS,
            upstream_layout=Layout.CONTIGUOUS,
            center=self.inputs.beta is not None,
            scale=self.inputs.gamma is not None,
            mode=self.mode,
            steps=1,
            epsilon=self.epsilon,
            decay=self.decay,
            fill=Fill(kind=FillKind.NORMAL, seed=0),
        )

    def case_inputs(self) -> Inputs:
        """The arrays for :attr:`case`, freshly allocated; what is not used is 0, or variance 1."""
        given, shape = self.inputs, self.case.feature_shape
        means, variances = np.zeros(shape), np.ones(shape)
        parameters = Parameters(
            gamma=_copy(given.gamma),
            beta=_copy(given.beta),
            running_mean=self._or(given.running_mean, means),
            running_var=self._or(given.running_var, variances),
        )
        dy = np.zeros_like(given.x) if given.dy is None else given.dy.copy()
        step = StepInputs(x=given.x.copy(), dy=dy)
        return Inputs(parameters=parameters, steps=(step,), inference=step)

    def _or(self, given: Array | None, other: Float64) -> Array:
        form = compute_format(self.dtype).numpy
        return other.astype(form) if given is None else given.copy()

    def answerable(self) -> tuple[Quantity, ...]:
        """Quantities that the inputs decide."""
        there = self.inputs.named()
        return tuple(
            quantity
            for quantity, needs in NEEDS.items()
            if all(name in there for name in needs)
            and (self.mode is Mode.TRAIN or quantity not in TRAINING_ONLY)
        )


def _copy(array: Array | None) -> Array | None:
    return None if array is None else array.copy()


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """All vectors of a file, and where they come from."""

    source: str
    vectors: tuple[Vector, ...]


def input_format(name: str, dtype: DType) -> np.dtype:
    """The NumPy format that the input ``name`` of a ``dtype`` vector is used in."""
    return (FORMATS[dtype] if name in ("x", "dy") else compute_format(dtype)).numpy
