"""Compare arrays with their expectations, many at once: vectorised over all of their elements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ..bounds import Float64
from ..contract import Array
from ..expecting.expectation import Expectation
from ..formats import Format
from ..numbers.doubledouble import DoubleDouble
from ..numbers.exact import Rational, exact_ratio, undecided
from ..verdict import Cause, Conforms, Diverges, Measure, Verdict

Pair: TypeAlias = tuple[Array, Expectation]
"""What a subject gave, and what it must give."""

CHUNK = 2**14
"""Elements compared at once: the arrays of so many stay in a core's own cache."""


def compare(got: Array, want: Expectation) -> Verdict:
    """Whether every judged element of ``got`` is within its bound of the exact value.

    Where the exact value is not finite (NaN or infinity went in), any non-finite answer conforms
    and a finite one hides the input. Where it is finite the answer must be, even where the bound
    is vacuous and any finite answer would do. An infinity of the right sign conforms where the
    exact value is within its bound of the output format's largest, and anything where the bound
    itself is infinite.
    """
    (verdict,) = compare_all([(got, want)])
    return verdict


def compare_all(pairs: Iterable[Pair]) -> list[Verdict]:
    """The verdict of :func:`compare` on each of ``pairs``, which may differ in shape and format."""
    verdicts: list[Verdict | None] = []
    shaped: list[Pair] = []
    for got, want in pairs:
        form = _form(got, want)
        verdicts.append(form)
        if form is None:
            shaped.append((got, want))
    found = (verdict for chunk in _chunks(shaped) for verdict in _compare_chunk(chunk))
    return [next(found) if verdict is None else verdict for verdict in verdicts]


def _chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """``pairs`` in order, so many at a time that ``CHUNK`` elements are not exceeded by two."""
    chunk: list[Pair] = []
    elements = 0
    for pair in pairs:
        if chunk and elements + pair[0].size > CHUNK:
            yield chunk
            chunk, elements = [], 0
        chunk.append(pair)
        elements += pair[0].size
    if chunk:
        yield chunk


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


@dataclass(frozen=True, kw_only=True)
class _Elements:
    """All elements of several comparisons in one row; ``ends`` is where each comparison ends."""

    got: Float64
    high: Float64
    low: Float64
    bound: Float64
    vacuous: np.ndarray
    excluded: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> _Elements:
        """The elements of ``pairs`` in order."""
        wants = [want for _, want in pairs]
        return cls(
            got=_row([got.astype(np.float64) for got, _ in pairs]),
            high=_row([want.value.hi for want in wants]),
            low=_row([want.value.lo for want in wants]),
            bound=_row([want.bound for want in wants]),
            vacuous=_row([want.vacuous for want in wants]),
            excluded=_row([want.excluded for want in wants]),
            ends=np.cumsum([got.size for got, _ in pairs]),
        )

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many elements each comparison has."""
        return np.asarray(np.diff(self.ends, prepend=0))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each comparison begins."""
        return np.asarray(self.ends - self.sizes)

    def spread(self, values: Sequence[float]) -> Float64:
        """One value for each comparison, repeated for each of its elements."""
        return np.repeat(np.asarray(values, np.float64), self.sizes)

    def reduced(self, operation: np.ufunc, values: np.ndarray) -> np.ndarray:
        """``values`` of each comparison taken together, 0 where it has none."""
        found = np.zeros(self.ends.shape, values.dtype)
        # Empty comparisons take no place, so that the others still lie end to end.
        some = self.sizes > 0
        if some.any():
            found[some] = operation.reduceat(values, self.starts[some])
        return found

    def put(self, where: slice, want: Expectation) -> None:
        """Write what is expected of one comparison over what was."""
        self.high[where], self.low[where] = want.value.hi.ravel(), want.value.lo.ravel()
        self.bound[where], self.vacuous[where] = want.bound.ravel(), want.vacuous.ravel()
        self.excluded[where] = want.excluded.ravel()


def _row(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _compare_chunk(pairs: Sequence[Pair]) -> Iterator[Verdict]:
    elements, wants = _Elements.of(pairs), [want for _, want in pairs]
    if not elements.got.size:
        yield from (Conforms(measure=_nothing_judged(0)) for _ in pairs)
        return
    ratio = _ratio(elements, elements.spread([want.output.largest for want in wants]))
    ratio = _arbitrated(elements, ratio, wants)
    impossible = np.isinf(ratio) & ~np.isfinite(elements.got) & ~elements.excluded
    judged = ~elements.vacuous | impossible
    for measure in _measures(elements, ratio, judged, wants):
        if measure.judged == 0 or measure.ratio <= 1.0:
            yield Conforms(measure=measure)
        else:
            yield Diverges(cause=_cause(measure), message=_sentence(measure), measure=measure)


def _cause(measure: Measure) -> Cause:
    if not math.isfinite(measure.expected):
        return Cause.HIDES_NON_FINITE
    return Cause.BEYOND_BOUND if math.isfinite(measure.got) else Cause.NOT_FINITE


def _ratio(e: _Elements, largest: Float64) -> Float64:
    """|got - exact| / bound; 0 where a non-finite answer is right, infinite where it is not."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = _error(e)
        ratio = np.where(error == 0, 0.0, error / e.bound)
        overflow = np.abs(e.high) + e.bound >= largest
        right_infinity = np.isinf(e.got) & overflow & (np.sign(e.got) == np.sign(e.high))
    got_finite, must_be_finite = np.isfinite(e.got), np.isfinite(e.high)
    ratio = np.where(must_be_finite & ~got_finite, np.inf, ratio)
    ratio = np.where(right_infinity | np.isinf(e.bound), 0.0, ratio)
    return np.where(must_be_finite, ratio, np.where(got_finite, np.inf, 0.0))


def _error(e: _Elements) -> Float64:
    # (got - high) is exact when the two are close, so the low part still counts.
    return np.abs((e.got - e.high) - e.low)


def _arbitrated(e: _Elements, ratio: Float64, wants: Sequence[Expectation]) -> Float64:
    """By exact arithmetic, where double-double cannot decide an element that is looked at.

    Comparisons that were arbitrated expect the exact values from then on.
    """
    open_ = undecided(ratio, DoubleDouble(e.high, e.low)) & np.isfinite(e.got)
    out_of_range = e.spread([not want.in_range for want in wants]) > 0
    open_ |= out_of_range & np.isfinite(e.got)
    result = ratio.copy()
    for index in map(int, np.flatnonzero(e.reduced(np.logical_or, open_ & ~e.excluded))):
        exact = wants[index].exact
        if exact is not None:
            where = slice(e.starts[index], e.ends[index])
            settled = exact().without(wants[index].excluded)
            decided = _decided(e.got[where], settled)
            use = open_[where] & ~np.isnan(decided)
            result[where] = np.where(use, decided, ratio[where])
            e.put(where, settled)
    return result


def _decided(got: Float64, settled: Expectation) -> Float64:
    """Error / bound of each element, worked out in rational numbers."""
    if not isinstance(settled.value, Rational):
        msg = f"an exact expectation must hold rationals, got {type(settled.value).__name__}"
        raise TypeError(msg)
    return exact_ratio(got, settled.value.reshape(-1), settled.bound.ravel())


def _measures(
    e: _Elements, ratio: Float64, judged: np.ndarray, wants: Sequence[Expectation]
) -> Iterator[Measure]:
    """What each comparison measured, at the first of its worst elements."""
    # A ratio that is no number says that a bound is none, which must not pass for agreement.
    known = np.where(np.isnan(ratio), np.inf, ratio)
    worst = _first_of_largest(e, np.where(judged, known, -1.0))
    errors = [e.reduced(np.maximum, error) for error in _errors(e, judged, wants)]
    counts = e.reduced(np.add, judged.astype(np.int64))
    at_worst = [values[worst] for values in (ratio, e.bound, e.high, e.got)]
    columns = [*at_worst, *errors, worst - e.starts, counts, e.sizes - counts]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for want, row in zip(wants, rows, strict=True):
        worst_ratio, bound, expected, got, abs_error, ulps, place, count, vacuous = row
        if not count:
            yield _nothing_judged(vacuous)
            continue
        yield Measure(
            ratio=worst_ratio,
            abs_error=abs_error,
            ulp=ulps,
            bound=bound,
            expected=expected,
            got=got,
            index=tuple(int(i) for i in np.unravel_index(place, want.value.shape)),
            judged=count,
            vacuous=vacuous,
        )


def _nothing_judged(vacuous: int) -> Measure:
    nothing = math.nan
    return Measure(
        ratio=0.0, abs_error=0.0, ulp=0.0, bound=nothing, expected=nothing, got=nothing,
        index=(), judged=0, vacuous=vacuous,
    )  # fmt: skip


def _first_of_largest(e: _Elements, values: Float64) -> np.ndarray:
    """Where the largest of each comparison's values stands first; anywhere if it has none."""
    largest = np.repeat(e.reduced(np.maximum, values), e.sizes)
    hits = np.flatnonzero(values == largest)
    first = np.searchsorted(hits, e.starts)
    return hits[np.minimum(first, hits.size - 1)]


def _errors(
    e: _Elements, judged: np.ndarray, wants: Sequence[Expectation]
) -> tuple[Float64, Float64]:
    """|got - exact| of each judged element, as it is and in units in the last place."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = _error(e)
        error = np.where(judged & np.isfinite(error), error, 0.0)
        unit = e.spread([want.output.unit_roundoff for want in wants])
        least = e.spread([want.output.smallest_subnormal for want in wants])
        # An error of 1e300 where 0 was expected has no finite number of ulps.
        return error, error / _spacing(e.high, unit, least)


def _exact_measure(got: Array, before: Array) -> Measure:
    if got.size and got.tobytes() == before.tobytes():
        return _unchanged(before)
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


def _unchanged(before: Array) -> Measure:
    """What is measured of an array with the same bits, as nearly all that is kept has."""
    first = (0,) * before.ndim
    value = float(before[first])
    return Measure(
        ratio=0.0, abs_error=0.0, ulp=0.0, bound=0.0, expected=value, got=value, index=first,
        judged=int(before.size), vacuous=0,
    )  # fmt: skip


def ulp(values: np.ndarray, fmt: Format) -> np.ndarray:
    """Unit in the last place of ``values`` in ``fmt``, at least its smallest subnormal."""
    unit, least = np.asarray(fmt.unit_roundoff), np.asarray(fmt.smallest_subnormal)
    return _spacing(values, unit, least)


def _spacing(values: Float64, unit: Float64, least: Float64) -> Float64:
    """2 ``unit`` times the power of two at or below each value, and not less than ``least``."""
    finite = np.where(np.isfinite(values), values, 1.0)
    _, exponent = np.frexp(finite)
    # x = m 2^e with m in [1/2, 1), and u = 2^-p: one ulp is 2^(e - p). Zero has no exponent.
    spacing = np.where(finite == 0, 0.0, np.ldexp(unit, exponent))
    return np.maximum(spacing, least)


def _sentence(measure: Measure) -> str:
    return (
        f"expected {measure.expected:.9g}, got {measure.got:.9g} at {list(measure.index)}: "
        f"{measure.ratio:.3g} times the bound {measure.bound:.3g}"
    )
