"""What a fill's arrays hold, before rounding to a format: many cases at once.

``cases`` are cases of one signature: they agree in shape, axes, format, steps, variant and in
whether their fill is exact. Every array that is made of them has an axis for the cases in front, so
that NumPy is called once for each role and not once for each case. The arithmetic is element by
element and correctly rounded, hence a case's values do not depend on the cases beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ..case import Case, FillKind, Upstream
from ..contract import Array
from ..formats import FORMATS, DType
from ..variant import Adjusted, Masked, Renorm, Weighted
from . import streams

Float64: TypeAlias = npt.NDArray[np.float64]
Cases: TypeAlias = Sequence[Case]
Location: TypeAlias = tuple[Float64, Float64]
"""Mean and deviation per channel that the fills aim at, each of shape (cases, channels)."""

_TINY = {DType.FLOAT16: 1e-3, DType.FLOAT64: 1e-60}
_HUGE = {DType.FLOAT16: 1e4, DType.FLOAT64: 1e60}
_CONSTANTS = np.array([0.1, -1 / 3, 1.0, 1e-3, 1000.1, -7.7, 0.0, 12345.678])
_ODD = np.uint64(0x0000FFFF0000FFFF)
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(-4, 5)])


def roles(case: Case) -> Iterator[str]:
    """The streams that the values of ``case`` are read from."""
    exact = case.fill.kind is FillKind.EXACT
    yield from ("shift", "spread", "running_mean", "running_var")
    yield from (name for name, used in (("gamma", case.scale), ("beta", case.center)) if used)
    if case.fill.kind is FillKind.MIXED or (
        case.fill.kind is FillKind.CONSTANT and case.fill.level is None
    ):
        yield case.fill.kind.value
    if isinstance(case.variant, Renorm):
        yield from ("renorm_mean", "renorm_stddev")
    parts = [*(("mean", "pairs", "order") if exact else ("x",)), *_extra_roles(case)]
    if case.upstream is Upstream.ORDINARY:
        parts.append("dy")
    calls = ["step0"]
    if not case.same_inputs:
        calls = [*(f"step{index}" for index in range(case.steps)), "inference"]
    yield from (f"{call}.{part}" for call in calls for part in parts)


def _extra_roles(case: Case) -> tuple[str, ...]:
    match case.variant:
        case Masked(everything=False, nothing=False):
            return ("mask",)
        case Weighted():
            return ("weights",)
        case Adjusted():
            return ("adjust_scale", "adjust_shift")
        case _:
            return ()


def location_scale(cases: Cases) -> Location:
    """Mean and deviation per channel; every array of a case is about the same ones."""
    channels = math.prod(cases[0].feature_shape)
    shift = 2.0 * _uniform(cases, "shift", channels) - 1.0
    spread = np.ldexp(1.0, (_words(cases, "spread", channels) % 5).astype(np.int64) - 2)
    means, deviations = 2.0 * shift * spread, spread.copy()
    for kind, rows in _by_kind(cases).items():
        some = [cases[row] for row in rows]
        means[rows], deviations[rows] = _located(kind, some, shift[rows], spread[rows])
    return means, deviations


def _by_kind(cases: Cases) -> dict[FillKind, list[int]]:
    """Where the cases of each kind stand."""
    rows: dict[FillKind, list[int]] = {}
    for row, case in enumerate(cases):
        rows.setdefault(case.fill.kind, []).append(row)
    return rows


def _located(kind: FillKind, cases: Cases, shift: Float64, spread: Float64) -> Location:
    """:func:`location_scale` of cases whose fills are all of one ``kind``."""
    dtype, ones = cases[0].dtype, np.ones_like(spread)
    match kind:
        case FillKind.OFFSET:
            sign = np.where(shift < 0, -1.0, 1.0)
            return sign * np.array([[case.fill.offset] for case in cases]), ones
        case FillKind.CONSTANT:
            return _constants(cases, shift.shape[1]), ones
        case FillKind.TINY:
            scale = _TINY.get(dtype, 1e-9)
            return shift * scale, spread * scale
        case FillKind.HUGE:
            scale = _HUGE.get(dtype, 1e9) / 4
            return shift * scale, spread * scale / 4
        case FillKind.MIXED:
            exponents = (_words(cases, "mixed", shift.shape[1]) % 9).astype(np.int64) - 4
            if dtype is DType.FLOAT16:
                exponents //= 2
            scales = _POWERS[exponents + 4]
            return 2.0 * shift * scales, scales
        case _:
            return 2.0 * shift * spread, spread


def _constants(cases: Cases, channels: int) -> Float64:
    """The values of channels that hold one value each, of shape (cases, channels)."""
    found = np.empty((len(cases), channels))
    signs = np.where(np.arange(channels) % 2, -1.0, 1.0)
    for row, case in enumerate(cases):
        if case.fill.level is None:
            start = int(_words([case], "constant", 1)[0, 0] % len(_CONSTANTS))
            found[row] = _CONSTANTS[(start + np.arange(channels)) % len(_CONSTANTS)]
        else:
            found[row] = case.fill.level * signs * np.arange(1.0, channels + 1.0)
    return found


def parameter_values(cases: Cases, about: Location) -> dict[str, Float64]:
    """Parameters of order 1 and statistics near those of the data, so that inference is too.

    Each by its name and of shape (cases, channels).
    """
    first, (means, deviations) = cases[0], about
    channels = means.shape[1]
    if first.fill.kind is FillKind.EXACT:
        running_mean = _integers(cases, "running_mean", channels, 8)
        running_var = np.abs(_integers(cases, "running_var", channels, 8)) + 1.0
    else:
        running_mean = means + 0.5 * deviations * _normal(cases, "running_mean", channels)
        running_var = deviations**2 * (0.5 + 1.5 * _uniform(cases, "running_var", channels))
        running_var = np.maximum(running_var, FORMATS[first.dtype].smallest_normal)
        running_var = np.minimum(running_var, first.parameter_format.largest / 4)
    found = {"running_mean": running_mean, "running_var": running_var}
    if first.scale:
        found["gamma"] = _normal(cases, "gamma", channels) + 0.25
    if first.center:
        found["beta"] = _normal(cases, "beta", channels)
    if isinstance(first.variant, Renorm):
        found |= _renorm_state(cases, about, running_var)
    return found


def _renorm_state(cases: Cases, about: Location, running_var: Float64) -> dict[str, Float64]:
    """Averages near the data's, so that the correction is sometimes clipped and sometimes not."""
    means, deviations = about
    channels = means.shape[1]
    epsilon = np.array([[case.epsilon] for case in cases])
    spread = deviations * (0.5 + _uniform(cases, "renorm_stddev", channels))
    return {
        "renorm_mean": means + deviations * _normal(cases, "renorm_mean", channels),
        # Never below sqrt(epsilon), which no average of sqrt(v + epsilon) can be.
        "renorm_stddev": np.sqrt(spread**2 + epsilon),
        "running_stddev": np.sqrt(running_var + epsilon),
    }


def input_values(cases: Cases, about: Location, role: str, n: int) -> Float64:
    """Inputs of n values per channel, as (cases, channels, n)."""
    means, deviations = about
    channels = means.shape[1]
    if cases[0].fill.kind is FillKind.EXACT:
        return _exact(cases, role, channels, n)
    x = means[..., None] + deviations[..., None] * _normal(cases, f"{role}.x", channels, n)
    for kind, rows in _by_kind(cases).items():
        match kind:
            case FillKind.CONSTANT:
                x[rows] = means[rows, :, None]
            case FillKind.MIXED if channels and n:
                x[rows, -1] = means[rows, -1, None]
                x[rows, 0, 0] += 50 * deviations[rows, 0]
            case FillKind.NAN if channels and n:
                x[rows, 0, n // 2] = np.nan
            case FillKind.INF if channels and n:
                x[rows, 0, n // 2] = np.inf
            case _:
                pass
    return x


def _exact(cases: Cases, role: str, channels: int, n: int) -> Float64:
    """Integers m + k and m - k in a shuffled order: mean m, variance mean k^2.

    For n a power of two every partial sum of x, of (x - m)^2 and of x^2 is an integer below 2^24
    and the division by n is exact, so any order of summation gives the same, exact statistics.
    """
    m = _integers(cases, f"{role}.mean", channels, 8)[..., None]
    half = n // 2
    k = _integers(cases, f"{role}.pairs", channels * half, 8).reshape(len(cases), channels, half)
    centre = np.zeros((len(cases), channels, n - 2 * half))
    x = m + np.concatenate([k, -k, centre], axis=2)
    # One shuffle for all channels keeps pairs apart without depending on a library's shuffle.
    order = np.argsort(_words(cases, f"{role}.order", n), axis=1, kind="stable")
    return np.take_along_axis(x, order[:, None, :], axis=2)


def upstream_values(cases: Cases, role: str, size: int) -> Float64:
    """Upstream gradients of so many elements, as (cases, size), as each case asks.

    Ordinary ones are small integers in the exact lane. Where a case's upstream is its input there
    is nothing to make, and they are 0.
    """
    g = np.zeros((len(cases), size))
    ordinary = []
    for row, case in enumerate(cases):
        match case.upstream:
            case Upstream.ORDINARY:
                ordinary.append(row)
            case Upstream.SINGLE:
                g[row, size // 2 : size // 2 + 1] = 1.5
            case Upstream.UNIFORM:
                g[row] = 1.0
            case Upstream.UNUSED | Upstream.INPUT:
                pass
    if ordinary:
        g[ordinary] = _ordinary([cases[row] for row in ordinary], f"{role}.dy", size)
    return g


def _ordinary(cases: Cases, role: str, count: int) -> Float64:
    if cases[0].fill.kind is FillKind.EXACT:
        return _integers(cases, role, count, 8)
    return _normal(cases, role, count)


def extra_values(cases: Cases, role: str, shape: tuple[int, ...]) -> dict[str, Array]:
    """What the cases' variant takes with a training call; the axis for the cases, then the rest.

    Masks are boolean, everything else is float64.
    """
    first = cases[0]
    axes = first.channel_axes
    wide = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    match first.variant:
        case Masked():
            return {"weights": _mask(cases, role, wide)}
        case Weighted():
            # Multiples of 1/8 up to 2, exact in every format; some are 0, never all.
            eighths = _words(cases, f"{role}.weights", math.prod(wide)) % np.uint64(17)
            weights = eighths.astype(np.float64) / 8.0
            weights[:, :1] = 1.0
            return {"weights": weights.reshape(len(cases), *wide)}
        case Adjusted(per_sample=per_sample):
            batch = shape[0] if per_sample else 1
            inner = (shape[axis] if axis in axes else 1 for axis in range(1, len(shape)))
            sizes = (batch, *inner)
            scale = 1.0 + 0.125 * _normal(cases, f"{role}.adjust_scale", *sizes)
            shift = 0.25 * _normal(cases, f"{role}.adjust_shift", *sizes)
            return {"adjust_scale": scale, "adjust_shift": shift}
        case _:
            return {}


def _mask(cases: Cases, role: str, wide: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Keeps about two positions of three, and always the first, unless the case says otherwise."""
    variant = cast("Masked", cases[0].variant)
    if variant.by_sample:
        wide = (wide[0],) + (1,) * (len(wide) - 1)
    if variant.everything or variant.nothing:
        return np.full((len(cases), *wide), variant.everything)
    kept = _words(cases, f"{role}.mask", math.prod(wide)) % np.uint64(3) != 0
    kept[:, :1] = True
    return np.asarray(kept.reshape(len(cases), *wide), bool)


def _words(cases: Cases, role: str, count: int) -> npt.NDArray[np.uint64]:
    """The first raw 64-bit words of the streams that belong to (seed, role), (cases, count)."""
    return streams.stacked([f"{case.fill.seed}/{role}" for case in cases], count)


def _uniform(cases: Cases, role: str, count: int) -> Float64:
    """Uniform on [0, 1), multiples of 2^-53."""
    high = _words(cases, role, count) >> np.uint64(11)
    return np.asarray(high.astype(np.float64) * 2.0**-53)


def _normal(cases: Cases, role: str, *shape: int) -> Float64:
    """Nearly normal, mean 0, variance 1: the sum of four 16-bit uniforms, scaled.

    The sum is an exact integer and the scale one multiplication, hence the same bits everywhere;
    the range is +-3.46.
    """
    low = _words(cases, role, math.prod(shape))
    # In place from here on: fresh memory for every term would cost more than the arithmetic.
    high = low >> np.uint64(16)
    low &= _ODD
    high &= _ODD
    low += high
    np.right_shift(low, np.uint64(32), out=high)
    low &= np.uint64(0xFFFFFFFF)
    low += high
    total = low.astype(np.float64)
    total -= 2.0 * 65535.0
    # Four uniforms on [0, 65535] have variance 4 (65536^2 - 1) / 12, so a deviation of 37837.2.
    total *= 1.0 / 37837.2
    return total.reshape(len(cases), *shape)


def _integers(cases: Cases, role: str, count: int, limit: int) -> Float64:
    """Integers in (-limit, limit), as float64."""
    raw = _words(cases, role, count) % np.uint64(2 * limit - 1)
    return np.asarray(raw.astype(np.float64) - (limit - 1))
