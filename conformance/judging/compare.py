"""Compare one array with its expectation: vectorised, and the worst element only at the end."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..contract import Array
from ..expecting.expectation import Expectation
from ..formats import Format
from ..numbers.exact import Rational, exact_ratio, undecided
from ..verdict import Cause, Conforms, Diverges, Measure, Verdict


def compare(got: Array, want: Expectation) -> Verdict:
    """Whether every judged element of ``got`` is within its bound of the exact value.

    Where the exact value is not finite (NaN or infinity went in), any non-finite answer conforms
    and a finite one hides the input. Where it is finite the answer must be, even where the bound
    is vacuous and any finite answer would do. An infinity of the right sign conforms where the
    exact value is within its bound of the output format's largest, and anything where the bound
    itself is infinite.
    """
    form = _form(got, want)
    if form is not None:
        return form
    values = got.astype(np.float64)
    ratio = _ratio(values, want)
    if want.exact is not None:
        want, ratio = _arbitrated(values, ratio, want, want.exact)
    exact = want.value.hi
    judged = ~want.vacuous | (np.isinf(ratio) & ~np.isfinite(values) & ~want.excluded)
    measure = _measure(values, want, ratio, judged)
    if not judged.any() or not measure.ratio > 1.0:
        return Conforms(measure=measure)
    expected = exact[measure.index]
    if not math.isfinite(expected):
        cause = Cause.HIDES_NON_FINITE
    elif not math.isfinite(measure.got):
        cause = Cause.NOT_FINITE
    else:
        cause = Cause.BEYOND_BOUND
    return Diverges(cause=cause, message=_sentence(measure), measure=measure)


def identical(got: Array, before: Array) -> Verdict:
    """Whether state that must not change still has the same bits, and the same format."""
    if got.dtype != before.dtype:
        message = f"changed from {before.dtype} to {got.dtype}"
        return Diverges(cause=Cause.STATE_CHANGED, message=message)
    measure = _exact_measure(got, before)
    if measure.ratio <= 1.0:
        return Conforms(measure=measure)
    message = f"changed from {measure.expected!r} to {measure.got!r} at {list(measure.index)}"
    return Diverges(cause=Cause.STATE_CHANGED, message=message, measure=measure)


def _form(got: Array, want: Expectation) -> Diverges | None:
    """A divergence if shape or format are wrong."""
    if not isinstance(got, np.ndarray):
        message = f"must be a NumPy array, got {type(got).__name__}"
        return Diverges(cause=Cause.WRONG_FORMAT, message=message)
    if got.shape != want.value.shape:
        message = f"must have shape {want.value.shape}, got {got.shape}"
        return Diverges(cause=Cause.WRONG_SHAPE, message=message)
    if got.dtype != want.output.numpy:
        message = f"must be {want.output.dtype}, got {got.dtype}"
        return Diverges(cause=Cause.WRONG_FORMAT, message=message)
    return None


def _ratio(values: np.ndarray, want: Expectation) -> np.ndarray:
    """|got - exact| / bound; 0 where a non-finite answer is right, infinite where it is not."""
    exact = want.value.hi
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # (got - hi) is exact when the two are close, so the low part still counts.
        error = np.abs((values - exact) - want.value.lo)
        ratio = np.where(error == 0, 0.0, error / want.bound)
        overflow = np.abs(exact) + want.bound >= want.output.largest
        right_infinity = np.isinf(values) & overflow & (np.sign(values) == np.sign(exact))
    got_finite, must_be_finite = np.isfinite(values), np.isfinite(exact)
    ratio = np.where(must_be_finite & ~got_finite, np.inf, ratio)
    ratio = np.where(right_infinity | np.isinf(want.bound), 0.0, ratio)
    return np.where(must_be_finite, ratio, np.where(got_finite, np.inf, 0.0))


def _arbitrated(
    values: np.ndarray, ratio: np.ndarray, want: Expectation, exact: Callable[[], Expectation]
) -> tuple[Expectation, np.ndarray]:
    """By exact arithmetic, where double-double cannot decide an element that is looked at."""
    open_ = undecided(ratio, want.value, in_range=want.in_range) & np.isfinite(values)
    if not (open_ & ~want.excluded).any():
        return want, ratio
    settled = exact().without(want.excluded)
    if not isinstance(settled.value, Rational):
        msg = f"an exact expectation must hold rationals, got {type(settled.value).__name__}"
        raise TypeError(msg)
    decided = exact_ratio(values, settled.value, settled.bound)
    return settled, np.where(open_ & ~np.isnan(decided), decided, ratio)


def _measure(
    values: np.ndarray, want: Expectation, ratio: np.ndarray, judged: np.ndarray
) -> Measure:
    vacuous = int(judged.size - judged.sum())
    if not judged.any():
        nothing = math.nan
        return Measure(
            ratio=0.0, abs_error=0.0, ulp=0.0, bound=nothing, expected=nothing, got=nothing,
            index=(), judged=0, vacuous=vacuous,
        )  # fmt: skip
    flat = int(np.argmax(np.where(judged, ratio, -1.0)))
    index = tuple(int(i) for i in np.unravel_index(flat, ratio.shape))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs((values - want.value.hi) - want.value.lo)
        comparable = judged & np.isfinite(error)
        error = np.where(comparable, error, 0.0)
        # An error of 1e300 where 0 was expected has no finite number of ulps.
        ulps = error / ulp(want.value.hi, want.output)
    return Measure(
        ratio=float(ratio[index]),
        abs_error=float(error.max(initial=0.0)),
        ulp=float(ulps.max(initial=0.0)),
        bound=float(want.bound[index]),
        expected=float(want.value.hi[index]),
        got=float(values[index]),
        index=index,
        judged=int(judged.sum()),
        vacuous=vacuous,
    )


def _exact_measure(got: Array, before: Array) -> Measure:
    new, old = got.astype(np.float64), before.astype(np.float64)
    equal = (new == old) & (np.signbit(new) == np.signbit(old))
    same = equal | (np.isnan(new) & np.isnan(old))
    flat = int(np.argmin(same)) if same.size else 0
    index = tuple(int(i) for i in np.unravel_index(flat, same.shape)) if same.size else ()
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(new - old))
    return Measure(
        ratio=0.0 if bool(same.all()) else math.inf,
        abs_error=float(np.nan_to_num(error).max(initial=0.0)),
        ulp=0.0,
        bound=0.0,
        expected=float(old[index]) if same.size else math.nan,
        got=float(new[index]) if same.size else math.nan,
        index=index,
        judged=int(same.size),
        vacuous=0,
    )


def ulp(values: np.ndarray, fmt: Format) -> np.ndarray:
    """Unit in the last place of ``values`` in ``fmt``, at least its smallest subnormal."""
    finite = np.where(np.isfinite(values), values, 1.0)
    _, exponent = np.frexp(finite)
    # x = m 2^e with m in [1/2, 1), and u = 2^-p: one ulp is 2^(e - p). Zero has no exponent.
    spacing = np.where(finite == 0, 0.0, np.ldexp(fmt.unit_roundoff, exponent))
    return np.maximum(spacing, fmt.smallest_subnormal)


def _sentence(measure: Measure) -> str:
    return (
        f"expected {measure.expected:.9g}, got {measure.got:.9g} at {list(measure.index)}: "
        f"{measure.ratio:.3g} times the bound {measure.bound:.3g}"
    )
