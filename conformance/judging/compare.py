"""Compare arrays with their expectations, many at once: vectorised over all of their elements."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from ..bounds import Float64
from ..contract import Array
from ..expecting.expectation import Expectation
from ..expecting.together import Entry
from ..formats import Format
from ..numbers.exact import Rational, exact_ratio, undecided
from ..verdict import Cause, Conforms, Diverges, Measure, Verdict
from .elements import Block, Elements, Pair, Want, chunks, output_of, shape_of

_EXPONENT = 0x7FF0_0000_0000_0000
"""The bits of a float64 that hold its exponent."""


def compare(got: Array, want: Want) -> Verdict:
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
    found = compare_worst((pair, number) for number, pair in enumerate(pairs))
    return [verdict for verdict in found if verdict is not None]


def compare_worst(entrants: Iterable[tuple[Pair, Hashable]]) -> list[Verdict | None]:
    """Verdicts on pairs, but None for one that is not the worst of those with its label.

    Of equals the first is told. An answer of the wrong form is told whatever the others are.
    """
    verdicts: list[Verdict | None] = []
    shaped: list[Pair] = []
    numbers: list[int] = []
    labels: list[Hashable] = []
    for number, ((got, want), label) in enumerate(entrants):
        form = _form(got, want)
        verdicts.append(form)
        if form is None:
            shaped.append((got, want))
            numbers.append(number)
            labels.append(label)
    measured = _measured(shaped)
    for index in _worst(measured, labels):
        verdicts[numbers[index]] = measured[index].verdict(shape_of(shaped[index][1]))
    return verdicts


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


def _form(got: Array, want: Want) -> Diverges | None:
    """A divergence if shape or format are wrong."""
    if not isinstance(got, np.ndarray):
        message = f"must be a NumPy array, got {type(got).__name__}"
        return Diverges(cause=Cause.WRONG_FORMAT, message=message)
    shape, output = shape_of(want), output_of(want)
    if got.shape != shape:
        message = f"must have shape {shape}, got {got.shape}"
        return Diverges(cause=Cause.WRONG_SHAPE, message=message)
    if got.dtype != output.numpy:
        message = f"must be {output.dtype}, got {got.dtype}"
        return Diverges(cause=Cause.WRONG_FORMAT, message=message)
    return None


class _Measured(NamedTuple):
    """What a comparison measured, at the first of its worst elements; ``place`` is which it is."""

    ratio: float
    bound: float
    expected: float
    got: float
    abs_error: float
    ulp: float
    place: int
    judged: int
    vacuous: int

    @property
    def badness(self) -> tuple[int, float]:
        """Order of comparisons: nothing judged, conforming by ratio, diverging by ratio."""
        if not self.judged:
            return 0, 0.0
        if self.ratio <= 1.0:
            return 1, self.ratio
        # A ratio that is no number says that a bound is none.
        return 2, math.inf if math.isnan(self.ratio) else self.ratio

    def verdict(self, shape: tuple[int, ...]) -> Verdict:
        """What follows for an answer of this shape."""
        if not self.judged:
            return Conforms(measure=_nothing_judged(self.vacuous))
        measure = Measure(
            ratio=self.ratio,
            abs_error=self.abs_error,
            ulp=self.ulp,
            bound=self.bound,
            expected=self.expected,
            got=self.got,
            index=tuple(int(i) for i in np.unravel_index(self.place, shape)),
            judged=self.judged,
            vacuous=self.vacuous,
        )
        if self.ratio <= 1.0:
            return Conforms(measure=measure)
        return Diverges(cause=_cause(measure), message=_sentence(measure), measure=measure)


def _worst(measured: Sequence[_Measured], labels: Sequence[Hashable]) -> Iterable[int]:
    """The position of the worst of each label, of equals the first."""
    worst: dict[Hashable, int] = {}
    for index, label in enumerate(labels):
        best = worst.setdefault(label, index)
        if measured[index].badness > measured[best].badness:
            worst[label] = index
    return worst.values()


def _measured(pairs: Sequence[Pair]) -> list[_Measured]:
    """What each of ``pairs`` measured, in their order."""
    found: dict[int, _Measured] = {}
    for chunk in chunks(pairs):
        numbers = [number for block in chunk for number in block.numbers]
        found.update(zip(numbers, _measured_chunk(chunk), strict=True))
    return [found[number] for number in range(len(pairs))]


def _measured_chunk(blocks: Sequence[Block]) -> Iterable[_Measured]:
    elements = Elements.of(blocks)
    if not elements.got.size:
        nothing = math.nan
        return [_Measured(0.0, nothing, nothing, nothing, 0.0, 0.0, 0, 0, 0) for _ in elements.ends]
    error = _error(elements)
    ratio = _ratio(elements, error)
    settled = _arbitrated(elements, ratio)
    if settled is not None:
        error, ratio = _error(elements), settled
    impossible = np.isinf(ratio) & ~np.isfinite(elements.got) & ~elements.excluded
    return _measures(elements, error, ratio, ~elements.vacuous | impossible)


def _cause(measure: Measure) -> Cause:
    if not math.isfinite(measure.expected):
        return Cause.HIDES_NON_FINITE
    return Cause.BEYOND_BOUND if math.isfinite(measure.got) else Cause.NOT_FINITE


def _ratio(e: Elements, error: Float64) -> Float64:
    """|got - exact| / bound; 0 where a non-finite answer is right, infinite where it is not."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = error / e.bound
        np.copyto(ratio, 0.0, where=error == 0)
        if np.isfinite(ratio).all():
            # Then so are all answers and all exact values, as nearly always.
            return ratio
        largest = e.formatted(attrgetter("largest"))
        overflow = np.abs(e.high) + e.bound >= largest
        right_infinity = np.isinf(e.got) & overflow & (np.sign(e.got) == np.sign(e.high))
    got_finite, must_be_finite = np.isfinite(e.got), np.isfinite(e.high)
    ratio = np.where(must_be_finite & ~got_finite, np.inf, ratio)
    ratio = np.where(right_infinity | np.isinf(e.bound), 0.0, ratio)
    return np.where(must_be_finite, ratio, np.where(got_finite, np.inf, 0.0))


def _error(e: Elements) -> Float64:
    # (got - high) is exact when the two are close, so the low part still counts.
    with np.errstate(invalid="ignore", over="ignore"):
        error = e.got - e.high
        error -= e.low
        return np.abs(error, out=error)


def _arbitrated(e: Elements, ratio: Float64) -> Float64 | None:
    """By exact arithmetic, where an element that is looked at is not known closely enough.

    Comparisons that were arbitrated expect the exact values from then on. None if none was.
    """
    open_ = undecided(ratio, e.high, e.decided) & np.isfinite(e.got)
    outside = [out for block in e.blocks for out in block.out_of_range()]
    if any(outside):
        open_ |= e.spread(outside) & np.isfinite(e.got)
    if not open_.any():
        return None
    result, wants = ratio.copy(), e.wants
    for index in map(int, np.flatnonzero(e.reduced(np.logical_or, open_ & ~e.excluded))):
        want = _taken_out(wants[index])
        if want.exact is not None:
            where = slice(e.starts[index], e.ends[index])
            settled = want.exact().without(want.excluded)
            decided = _decided(e.got[where], settled)
            use = open_[where] & ~np.isnan(decided)
            result[where] = np.where(use, decided, ratio[where])
            e.put(where, settled)
    return result


def _taken_out(want: Want) -> Expectation:
    return want.sheet.opened(want.place) if isinstance(want, Entry) else want


def _decided(got: Float64, settled: Expectation) -> Float64:
    """Error / bound of each element, worked out in rational numbers."""
    if not isinstance(settled.value, Rational):
        msg = f"an exact expectation must hold rationals, got {type(settled.value).__name__}"
        raise TypeError(msg)
    return exact_ratio(got, settled.value.reshape(-1), settled.bound.ravel())


def _measures(
    e: Elements, error: Float64, ratio: Float64, judged: np.ndarray
) -> Iterator[_Measured]:
    # A ratio that is no number says that a bound is none, which must not pass for agreement.
    known = np.where(np.isnan(ratio), np.inf, ratio)
    worst = e.first_of_largest(np.where(judged, known, -1.0))
    errors = [e.reduced(np.maximum, each) for each in _errors(e, error, judged)]
    counts = e.reduced(np.add, judged.astype(np.int64))
    at_worst = [values[worst] for values in (ratio, e.bound, e.high, e.got)]
    columns = [*at_worst, *errors, worst - e.starts, counts, e.sizes - counts]
    return map(_Measured, *(column.tolist() for column in columns))


def _nothing_judged(vacuous: int) -> Measure:
    nothing = math.nan
    return Measure(
        ratio=0.0, abs_error=0.0, ulp=0.0, bound=nothing, expected=nothing, got=nothing,
        index=(), judged=0, vacuous=vacuous,
    )  # fmt: skip


def _errors(e: Elements, error: Float64, judged: np.ndarray) -> tuple[Float64, Float64]:
    """|got - exact| of each judged element, as it is and in units in the last place."""
    error = np.where(judged & np.isfinite(error), error, 0.0)
    unit = e.formatted(attrgetter("unit_roundoff"))
    least = e.formatted(attrgetter("smallest_subnormal"))
    with np.errstate(over="ignore"):
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
    return _spacing(np.where(np.isfinite(values), values, 1.0), unit, least)


def _spacing(values: Float64, unit: Float64, least: Float64) -> Float64:
    """2 ``unit`` times the power of two at or below each value, and not less than ``least``.

    That of a value that is not finite is infinite.
    """
    # The exponent's bits alone are that power, or 0 for zero and what float64 holds below its
    # normal numbers, where the smallest subnormal of every format is larger or as large.
    powers = (np.ascontiguousarray(values, np.float64).view(np.int64) & _EXPONENT).view(np.float64)
    return np.maximum(powers * (2.0 * unit), least)


def _sentence(measure: Measure) -> str:
    return (
        f"expected {measure.expected:.9g}, got {measure.got:.9g} at {list(measure.index)}: "
        f"{measure.ratio:.3g} times the bound {measure.bound:.3g}"
    )
