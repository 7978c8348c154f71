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

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from ..case import Case, FillKind, Layout, Upstream
from ..contract import Array, Parameters
from ..formats import FORMATS, DType
from ..variant import Adjusted, Hidden, Masked, Renorm, Weighted
from . import streams

Float64 = npt.NDArray[np.float64]

_TINY = {DType.FLOAT16: 1e-3, DType.FLOAT64: 1e-60}
_HUGE = {DType.FLOAT16: 1e4, DType.FLOAT64: 1e60}
_CONSTANTS = (0.1, -1 / 3, 1.0, 1e-3, 1000.1, -7.7, 0.0, 12345.678)


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
    """:func:`make_inputs` of every case: the same values, sooner."""
    names = [f"{case.fill.seed}/{role}" for case in cases for role in _roles(case)]
    with streams.prepared(names):
        return [_made(case) for case in cases]


def _roles(case: Case) -> Iterator[str]:
    """The streams that nearly every array of ``case`` begins; it may begin others."""
    exact = case.fill.kind is FillKind.EXACT
    yield from ("shift", "spread", "running_mean", "running_var", "gamma", "beta")
    calls = ["step0"]
    if not case.same_inputs:
        calls = [*(f"step{index}" for index in range(case.steps)), "inference"]
    for role in calls:
        yield from (f"{role}.{part}" for part in (_EXACT_PARTS if exact else ("x", "dy")))


_EXACT_PARTS = ("mean", "pairs", "order", "dy")


def _made(case: Case) -> Inputs:
    if case.same_inputs:
        only = _step_inputs(case, case.shape, "step0")
        return Inputs(parameters=_parameters(case), steps=(only,) * case.steps, inference=only)
    return Inputs(
        parameters=_parameters(case),
        steps=tuple(
            _step_inputs(case, shape, f"step{index}")
            for index, shape in enumerate(case.step_shapes)
        ),
        inference=_step_inputs(case, case.shape, "inference"),
    )


def with_layout(values: Array, layout: Layout) -> Array:
    """A fresh array equal to ``values`` that lies in memory as ``layout`` says."""
    if layout is Layout.CONTIGUOUS or values.ndim < 2:
        return np.array(values, order="C")
    if layout is Layout.CHANNELS_LAST:
        # Axis 1 varies fastest, as in an NHWC buffer seen through NCHW indices.
        return np.moveaxis(np.array(np.moveaxis(values, 1, -1), order="C"), -1, 1)
    strided = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    strided[..., ::2] = values
    return strided[..., ::2]


def _step_inputs(case: Case, shape: tuple[int, ...], role: str) -> StepInputs:
    by_channel = _x_by_channel(case, shape, role)
    dtype = FORMATS[case.dtype].numpy
    x = _to_shape(case, shape, by_channel).astype(dtype)
    dy = _to_shape(case, shape, _upstream(case, by_channel.shape, role)).astype(dtype)
    extras = _extras(case, shape, role)
    if isinstance(case.variant, Masked) and case.variant.hidden is Hidden.NAN:
        x = np.where(extras["weights"], x, np.array(np.nan, dtype))
    laid_out = with_layout(x, case.layout)
    same = case.upstream is Upstream.INPUT
    return StepInputs(
        x=laid_out,
        dy=laid_out if same else with_layout(dy, case.upstream_layout),
        **extras,
    )


def _extras(case: Case, shape: tuple[int, ...], role: str) -> dict[str, Array]:
    """What the case's variant takes with a training call."""
    wide = tuple(1 if axis in case.channel_axes else size for axis, size in enumerate(shape))
    dtype = case.parameter_format.numpy
    match case.variant:
        case Masked():
            return {"weights": _mask(case, wide, role)}
        case Weighted():
            # Multiples of 1/8 up to 2, exact in every format; some are 0, never all.
            eighths = _raw(case, f"{role}.weights", math.prod(wide)) % np.uint64(17)
            weights = (eighths.astype(np.float64) / 8.0).reshape(wide)
            weights.reshape(-1)[:1] = 1.0
            return {"weights": weights.astype(dtype)}
        case Adjusted(per_sample=per_sample):
            sizes = (
                shape[0] if per_sample else 1,
                *(
                    size if axis in case.channel_axes else 1
                    for axis, size in enumerate(shape[1:], start=1)
                ),
            )
            scale = 1.0 + 0.125 * _normal(case, f"{role}.adjust_scale", *sizes)
            shift = 0.25 * _normal(case, f"{role}.adjust_shift", *sizes)
            return {"adjust_scale": scale.astype(dtype), "adjust_shift": shift.astype(dtype)}
        case _:
            return {}


def _mask(case: Case, wide: tuple[int, ...], role: str) -> npt.NDArray[np.bool_]:
    """Keeps about two positions of three, and always the first, unless the case says otherwise."""
    variant = cast("Masked", case.variant)
    if variant.by_sample:
        wide = (wide[0],) + (1,) * (len(wide) - 1)
    if variant.everything or variant.nothing:
        return np.full(wide, variant.everything)
    kept = _raw(case, f"{role}.mask", math.prod(wide)) % np.uint64(3) != 0
    kept[:1] = True
    return np.asarray(kept.reshape(wide), bool)


def _parameters(case: Case) -> Parameters:
    """Parameters of order 1 and statistics near those of the data, so that inference is too."""
    channels = math.prod(case.feature_shape)
    dtype = case.parameter_format.numpy
    means, deviations = _location_scale(case, channels)
    if case.fill.kind is FillKind.EXACT:
        running_mean = _integers(case, "running_mean", channels, 8)
        running_var = np.abs(_integers(case, "running_var", channels, 8)) + 1.0
    else:
        running_mean = means + 0.5 * deviations * _normal(case, "running_mean", channels)
        running_var = deviations**2 * (0.5 + 1.5 * _uniform(case, "running_var", channels))
        running_var = np.maximum(running_var, FORMATS[case.dtype].smallest_normal)
        running_var = np.minimum(running_var, case.parameter_format.largest / 4)
    gamma = _normal(case, "gamma", channels) + 0.25
    beta = _normal(case, "beta", channels)

    def shaped(values: Float64) -> Array:
        return values.astype(dtype).reshape(case.feature_shape)

    return Parameters(
        gamma=shaped(gamma) if case.scale else None,
        beta=shaped(beta) if case.center else None,
        running_mean=shaped(running_mean),
        running_var=shaped(running_var),
        **(_renorm_state(case, shaped, means, deviations, running_var)),
    )


def _renorm_state(
    case: Case,
    shaped: Callable[[Float64], Array],
    means: Float64,
    deviations: Float64,
    running_var: Float64,
) -> dict[str, Array]:
    """Averages near the data's, so that the correction is sometimes clipped and sometimes not."""
    if not isinstance(case.variant, Renorm):
        return {}
    channels = len(means)
    spread = deviations * (0.5 + _uniform(case, "renorm_stddev", channels))
    return {
        "renorm_mean": shaped(means + deviations * _normal(case, "renorm_mean", channels)),
        # Never below sqrt(epsilon), which no average of sqrt(v + epsilon) can be.
        "renorm_stddev": shaped(np.sqrt(spread**2 + case.epsilon)),
        "running_stddev": shaped(np.sqrt(running_var + case.epsilon)),
    }


def _to_shape(case: Case, shape: tuple[int, ...], by_channel: Float64) -> Float64:
    """(channels, n) values as an array of ``shape``."""
    axes = (*case.channel_axes, *case.reduction_axes)
    return np.transpose(by_channel.reshape([shape[axis] for axis in axes]), np.argsort(axes))


@functools.lru_cache(maxsize=8)
def _location_scale(case: Case, channels: int) -> tuple[Float64, Float64]:
    """Mean and deviation per channel that the fill aims at, each of shape (channels,).

    Every array of a case is about the same ones.
    """
    ones = np.ones(channels)
    shift = 2.0 * _uniform(case, "shift", channels) - 1.0
    spread = np.ldexp(1.0, (_raw(case, "spread", channels) % 5).astype(np.int64) - 2)
    match case.fill.kind:
        case FillKind.OFFSET:
            sign = np.where(shift < 0, -1.0, 1.0)
            return sign * case.fill.offset * ones, ones
        case FillKind.CONSTANT if case.fill.level is not None:
            signs = np.where(np.arange(channels) % 2, -1.0, 1.0)
            return case.fill.level * signs * np.arange(1.0, channels + 1.0), ones
        case FillKind.CONSTANT:
            start = int(_raw(case, "constant", 1)[0] % len(_CONSTANTS))
            chosen = [_CONSTANTS[(start + c) % len(_CONSTANTS)] for c in range(channels)]
            return np.array(chosen), ones
        case FillKind.TINY:
            scale = _TINY.get(case.dtype, 1e-9)
            return shift * scale, spread * scale
        case FillKind.HUGE:
            scale = _HUGE.get(case.dtype, 1e9) / 4
            return shift * scale, spread * scale / 4
        case FillKind.MIXED:
            exponents = (_raw(case, "mixed", channels) % 9).astype(np.int64) - 4
            if case.dtype is DType.FLOAT16:
                exponents = exponents // 2
            scales = np.array([float(f"1e{exponent}") for exponent in exponents])
            return 2.0 * shift * scales, scales
        case _:
            return 2.0 * shift * spread, spread


def _x_by_channel(case: Case, shape: tuple[int, ...], role: str) -> Float64:
    """Input values as (channels, n) float64, before rounding to the case's format."""
    channels, n = math.prod(shape[axis] for axis in case.channel_axes), case.count(shape)
    if case.fill.kind is FillKind.EXACT:
        return _exact(case, channels, n, role)
    means, deviations = _location_scale(case, channels)
    x = means[:, None] + deviations[:, None] * _normal(case, f"{role}.x", channels, n)
    match case.fill.kind:
        case FillKind.CONSTANT:
            x = np.repeat(means[:, None], n, axis=1)
        case FillKind.MIXED if channels and n:
            x[-1, :] = means[-1]
            x[0, 0] += 50 * deviations[0]
        case FillKind.NAN if channels and n:
            x[0, n // 2] = np.nan
        case FillKind.INF if channels and n:
            x[0, n // 2] = np.inf
        case _:
            pass
    return x


def _exact(case: Case, channels: int, n: int, role: str) -> Float64:
    """Integers m + k and m - k in a shuffled order: mean m, variance mean k^2.

    For n a power of two every partial sum of x, of (x - m)^2 and of x^2 is an integer below 2^24
    and the division by n is exact, so any order of summation gives the same, exact statistics.
    """
    m = _integers(case, f"{role}.mean", channels, 8)[:, None]
    half = n // 2
    k = _integers(case, f"{role}.pairs", channels * half, 8).reshape(channels, half)
    centre = np.zeros((channels, n - 2 * half))
    x = m + np.concatenate([k, -k, centre], axis=1)
    # One shuffle for all channels keeps pairs apart without depending on a library's shuffle.
    order = np.argsort(_raw(case, f"{role}.order", n), kind="stable")
    return np.asarray(x[:, order])


def _upstream(case: Case, shape: tuple[int, ...], role: str) -> Float64:
    """Upstream gradient, as the case asks; ordinary ones are small integers in the exact lane."""
    match case.upstream:
        case Upstream.UNUSED:
            return np.zeros(shape)
        case Upstream.SINGLE:
            single = np.zeros(math.prod(shape))
            middle = len(single) // 2
            single[middle : middle + 1] = 1.5
            return single.reshape(shape)
        case Upstream.UNIFORM:
            return np.ones(shape)
        case Upstream.ORDINARY | Upstream.INPUT:
            pass
    if case.fill.kind is FillKind.EXACT:
        return _integers(case, f"{role}.dy", math.prod(shape), 8).reshape(shape)
    return _normal(case, f"{role}.dy", *shape)


def _raw(case: Case, role: str, count: int) -> npt.NDArray[np.uint64]:
    """``count`` raw 64-bit words of the stream that belongs to (seed, role)."""
    return streams.raw(f"{case.fill.seed}/{role}", count)


def _uniform(case: Case, role: str, count: int) -> Float64:
    """Uniform on [0, 1), multiples of 2^-53."""
    high = _raw(case, role, count) >> np.uint64(11)
    return np.asarray(high.astype(np.float64) * 2.0**-53)


def _normal(case: Case, role: str, *shape: int) -> Float64:
    """Nearly normal, mean 0, variance 1: the sum of four 16-bit uniforms, scaled.

    The sum is an exact integer and the scale one multiplication, hence the same bits everywhere;
    the range is +-3.46.
    """
    raw = _raw(case, role, math.prod(shape))
    odd = np.uint64(0x0000FFFF0000FFFF)
    pairs = (raw & odd) + ((raw >> np.uint64(16)) & odd)
    fields = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))
    total = fields.astype(np.float64) - 2.0 * 65535.0
    # Four uniforms on [0, 65535] have variance 4 (65536^2 - 1) / 12, so a deviation of 37837.2.
    return np.asarray(total * (1.0 / 37837.2)).reshape(shape)


def _integers(case: Case, role: str, count: int, limit: int) -> Float64:
    """Integers in (-limit, limit), as float64."""
    raw = _raw(case, role, count) % np.uint64(2 * limit - 1)
    return raw.astype(np.float64) - (limit - 1)
