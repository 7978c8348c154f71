"""Comparisons with what a stack of cases must give, taken out of it or not: the same verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bnconform.conformance.cases.fills import make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Array
from bnconform.conformance.expecting.expectation import Expectation
from bnconform.conformance.expecting.together import Opened
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.judging import elements
from bnconform.conformance.judging.compare import compare, compare_all, compare_worst
from bnconform.conformance.judging.elements import Pair
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.reference import expect_many
from bnconform.conformance.verdict import Conforms, Diverges, Measure, Verdict

from .cases import CENTRED

Twin = tuple[Pair, Pair]
"""The same comparison, with a place on a sheet and with an expectation of its own."""


def _twins() -> list[Twin]:
    """Answers off by nothing, a little, or much, some of the wrong form, from a whole plan."""
    cases = plan_cases(PROFILES["quick"], cases=500, seed=0)
    values = np.random.default_rng(3)
    found: list[Twin] = []
    for expected in expect_many(cases, make_many(cases), CENTRED):
        for step in (*expected.steps, expected.inference or {}):
            for name, want in step.items():
                assert isinstance(step, Opened)
                got = _answer(want, values)
                found.append(((got, step.entry(name)), (got, want)))
    return found


def _answer(want: Expectation, values: np.random.Generator) -> Array:
    with np.errstate(all="ignore"):
        off = values.choice([0.0, 0.3, 0.999, 1.5, 40.0]) * np.nan_to_num(want.bound)
        got: Array = (want.value.hi + off).astype(want.output.numpy)
    if got.size and values.random() < 0.05:
        got.flat[values.integers(got.size)] = np.nan
    if values.random() < 0.02:
        got = got[..., :-1]
    return got


TWINS = _twins()


def _told(verdicts: Sequence[Verdict]) -> list[str]:
    # By text, because NaN is not equal to itself.
    return [repr(verdict) for verdict in verdicts]


@pytest.mark.parametrize("seed", [None, 1], ids=["in order", "shuffled, one in three"])
def test_a_place_on_a_sheet_is_as_good_as_an_expectation(seed: int | None) -> None:
    """All members of a sheet or a few, in any order, between those of others."""
    twins = TWINS
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(TWINS))
        twins = [TWINS[i] for i in order[: len(TWINS) // 3]]
    verdicts = compare_all(folded for folded, _ in twins)
    assert _told(verdicts) == _told(compare_all(taken for _, taken in twins))
    kinds = {type(verdict) for verdict in verdicts}
    assert kinds == {Conforms, Diverges}


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a sheet does not fit into one."""
    every = [folded for folded, _ in TWINS]
    whole = _told(compare_all(every))
    monkeypatch.setattr(elements, "CHUNK", 50)
    assert _told(compare_all(every)) == whole


def _want(bound: float) -> Expectation:
    return Expectation(
        value=DoubleDouble(np.zeros(1)),
        bound=np.array([bound]),
        vacuous=np.array([np.isinf(bound)]),
        excluded=np.zeros(1, bool),
        output=FORMATS[DType.FLOAT64],
    )


def _pair(error: float, bound: float = 1.0) -> Pair:
    return np.array([error]), _want(bound)


def _ratios(verdicts: Sequence[Verdict | None]) -> list[float | None]:
    measures: list[Measure | None] = [
        each.measure if isinstance(each, (Conforms, Diverges)) else None for each in verdicts
    ]
    return [None if measure is None else measure.ratio for measure in measures]


def test_of_each_label_only_the_worst_is_told() -> None:
    """Of equals the first; labels do not meddle with each other."""
    entrants = [
        (_pair(0.5), "a"),
        (_pair(3.0), "a"),
        (_pair(0.25), "b"),
        (_pair(3.0), "a"),
        (_pair(0.75), "b"),
    ]
    assert _ratios(compare_worst(entrants)) == [None, 3.0, None, None, 0.75]


def test_what_could_not_be_judged_is_told_only_if_nothing_was() -> None:
    """A vacuous comparison is less than one that conforms with an error of nothing."""
    nothing = _pair(0.5, np.inf)
    (first, second, third) = compare_worst([(nothing, "a"), (_pair(0.0), "a"), (nothing, "b")])
    assert first is None
    assert isinstance(second, Conforms)
    assert not second.vacuous
    assert isinstance(third, Conforms)
    assert third.vacuous


def test_a_bound_that_is_no_number_is_worse_than_any_error() -> None:
    """It says that the bound is wrong, which nothing else may hide."""
    found = compare_worst([(_pair(0.5, np.nan), "a"), (_pair(1e30), "a")])
    assert found[1] is None
    assert isinstance(found[0], Diverges)


def test_a_wrong_form_is_told_whatever_else_there_is() -> None:
    """It is about the call, not about one quantity of one step."""
    wrong: Pair = (np.zeros((2, 2)), _want(1.0))
    assert compare_worst([(_pair(9.0), "a"), (wrong, "a")]) == [
        compare(*_pair(9.0)),
        compare(*wrong),
    ]
