"""Arrays from a case's fill: the same values on every machine and with every NumPy.

Values come from the raw 64-bit stream of PCG64 (whose stream NumPy guarantees, unlike that of its
distributions) through integer sums and correctly rounded operations only; no logarithm and no
square root, which libraries round differently.

=========  =====================================================================================
kind       what it stresses
=========  =====================================================================================
normal     ordinary data: deviations 1/4 to 4, means up to 2 deviations away
offset     |mean| / deviation as given, up to 1e6: cancellation
constant   one value per channel, most of them not exactly summable: v = 0 up to rounding; a case
           may say which, and subnormal or large ones are among those that it may
tiny       magnitudes near 1e-9 (float16: 1e-3, float64: 1e-60): epsilon dominates
huge       magnitudes near 1e9 (float16: 1e4, float64: 1e60): epsilon vanishes
mixed      scales 1e-4 to 1e4 across channels, an outlier inside one, a constant one
exact      small integers in pairs around an integer mean: sums exact in any order
nan, inf   ordinary, with one non-finite value in channel 0
=========  =====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..case import Case, FillKind, Layout, Upstream
from ..contract import Array, Parameters
from ..formats import FORMATS
from ..variant import Hidden, Masked
from . import fill_values, streams
from .fill_values import Cases, Float64, Location

__all__ = ["Float64", "Inputs", "StepInputs", "make_inputs", "make_many", "with_layout"]

_TOGETHER = 2**15
"""Elements of a full batch that are made at once: what the arrays of a role may take of memory."""


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """Input and upstream gradient of one call, in the case's format and memory layout.

    The rest belongs to variants, see :class:`~.contract.VariantLayer`, and is None elsewhere.
    """

    x: Array
    dy: Array
    weights: Array | None = None
    adjust_scale: Array | None = None
    adjust_shift: Array | None = None

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays by name."""
        return {"x": self.x, "dy": self.dy, **self.extras}

    @property
    def extras(self) -> dict[str, Array]:
        """What the variant takes with every training call, by name."""
        named = {
            "weights": self.weights,
            "adjust_scale": self.adjust_scale,
            "adjust_shift": self.adjust_shift,
        }
        return {name: array for name, array in named.items() if array is not None}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All arrays of a case: parameters, one pair for each training step, one for inference."""

    parameters: Parameters
    steps: tuple[StepInputs, ...]
    inference: StepInputs


def make_inputs(case: Case) -> Inputs:
    """All arrays of ``case``, freshly allocated; only what it asks to be shared is."""
    return make_many([case])[0]


def make_many(cases: Sequence[Case]) -> list[Inputs]:
    """:func:`make_inputs` of every case: the same values, sooner the more cases are alike."""
    names = [f"{case.fill.seed}/{role}" for case in cases for role in fill_values.roles(case)]
    found: dict[int, Inputs] = {}
    with streams.prepared(names):
        for rows in _groups(cases):
            found.update(zip(rows, _made([cases[row] for row in rows]), strict=True))
    return [found[row] for row in range(len(cases))]


def _groups(cases: Cases) -> Iterator[list[int]]:
    """Where the cases of one signature stand, as many as are made at once."""
    alike: dict[Hashable, list[int]] = {}
    for row, case in enumerate(cases):
        alike.setdefault(_signature(case), []).append(row)
    for rows in alike.values():
        size = max(1, _TOGETHER // max(1, math.prod(cases[rows[0]].shape)))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _signature(case: Case) -> Hashable:
    """What cases must agree in to be made at once: all but what single elements depend on."""
    return (
        case.shape,
        case.last_batch,
        case.channel_axes,
        case.dtype,
        case.half_parameters,
        case.layout,
        case.upstream_layout,
        case.center,
        case.scale,
        case.steps,
        case.same_inputs,
        case.variant,
        case.fill.kind is FillKind.EXACT,
    )


def _made(cases: Cases) -> list[Inputs]:
    """The inputs of cases of one signature."""
    first, about = cases[0], fill_values.location_scale(cases)
    calls = [_calls(cases, about, "step0", first.step_shapes[0])]
    if first.same_inputs:
        calls *= first.steps + 1
    else:
        later = enumerate(first.step_shapes[1:], start=1)
        calls += [_calls(cases, about, f"step{index}", shape) for index, shape in later]
        calls.append(_calls(cases, about, "inference", first.shape))
    return [
        Inputs(parameters=parameters, steps=of_case[:-1], inference=of_case[-1])
        for parameters, of_case in zip(
            _parameters(cases, about), zip(*calls, strict=True), strict=True
        )
    ]


def _parameters(cases: Cases, about: Location) -> Iterator[Parameters]:
    """Each case's parameters and state."""
    shape, dtype = cases[0].feature_shape, cases[0].parameter_format.numpy
    made: dict[str, Sequence[Any]] = dict.fromkeys(("gamma", "beta"), [None] * len(cases))
    for name, values in fill_values.parameter_values(cases, about).items():
        made[name] = [np.array(each, dtype).reshape(shape) for each in values]
    for row in range(len(cases)):
        yield Parameters(**{name: arrays[row] for name, arrays in made.items()})


def _calls(cases: Cases, about: Location, role: str, shape: tuple[int, ...]) -> list[StepInputs]:
    """Each case's input, upstream gradient and what its variant takes with one call."""
    first = cases[0]
    n, dtype = first.count(shape), FORMATS[first.dtype].numpy
    x = _to_shape(first, shape, fill_values.input_values(cases, about, role, n))
    dy = _to_shape(first, shape, fill_values.upstream_values(cases, role, math.prod(shape)))
    extras = fill_values.extra_values(cases, role, shape)
    if isinstance(first.variant, Masked) and first.variant.hidden is Hidden.NAN:
        x = np.where(extras["weights"], x, np.nan)
    made = {"x": _laid_out(x, first.layout, dtype)}
    made["dy"] = [
        given if case.upstream is Upstream.INPUT else own
        for case, given, own in zip(
            cases, made["x"], _laid_out(dy, first.upstream_layout, dtype), strict=True
        )
    ]
    for name, values in extras.items():
        stored = values.dtype if values.dtype == bool else first.parameter_format.numpy
        made[name] = _laid_out(values, Layout.CONTIGUOUS, stored)
    return [
        StepInputs(**{name: arrays[row] for name, arrays in made.items()})
        for row in range(len(cases))
    ]


def with_layout(values: Array, layout: Layout) -> Array:
    """A fresh array equal to ``values`` that lies in memory as ``layout`` says."""
    return _laid_out(values[None], layout, values.dtype)[0]


def _laid_out(stack: Array, layout: Layout, dtype: np.dtype) -> list[Array]:
    """The arrays along axis 0 of ``stack``, each in fresh memory of its own."""
    rank = stack.ndim - 1
    if layout is Layout.CONTIGUOUS or rank < 2:
        return [np.array(values, dtype, order="C") for values in stack]
    if layout is Layout.CHANNELS_LAST:
        # Axis 1 varies fastest, as in an NHWC buffer seen through NCHW indices.
        back = (0, rank - 1, *range(1, rank - 1))
        moved = np.moveaxis(stack, 2, -1)
        return [np.array(values, dtype, order="C").transpose(back) for values in moved]
    return [_strided(values, dtype) for values in stack]


def _strided(values: Array, dtype: np.dtype) -> Array:
    """Every second element of an array that is twice as wide."""
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


def _to_shape(case: Case, shape: tuple[int, ...], by_channel: Float64) -> Float64:
    """(cases, channels, n) values as arrays of ``shape`` behind an axis for the cases."""
    axes = (*case.channel_axes, *case.reduction_axes)
    apart = by_channel.reshape([len(by_channel), *(shape[axis] for axis in axes)])
    return np.transpose(apart, (0, *(np.argsort(axes) + 1)))
