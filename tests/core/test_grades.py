"""Accuracy grades: tiers by the length of the sums, and what a subject's grade is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnconform.conformance.bounds import sum_length
from bnconform.conformance.judging.grades import (
    MEANINGS,
    Grade,
    grade_of,
    is_graded,
    random_ratio,
    report_of,
    tree_ratio,
)
from bnconform.conformance.record import VerdictKind

LONG = 4096


@pytest.mark.parametrize(
    ("ratio", "ulps", "n", "grade"),
    [
        pytest.param(0.0, 0.0, 16, Grade.A, id="exact"),
        pytest.param(0.99, 1.0, LONG, Grade.A, id="within 1 ULP, whatever the ratio"),
        pytest.param(13 / sum_length(LONG), 9.0, LONG, Grade.A, id="at the limit of a tree"),
        pytest.param(13.1 / sum_length(LONG), 9.0, LONG, Grade.B, id="just past it"),
        pytest.param(4 / sum_length(LONG) ** 0.5, 9.0, LONG, Grade.B, id="at four deviations"),
        pytest.param(4.1 / sum_length(LONG) ** 0.5, 9.0, LONG, Grade.C, id="past them"),
        pytest.param(1.0, 9.0, LONG, Grade.C, id="at the bound"),
        pytest.param(1.0, 9.0, 4, Grade.B, id="at the bound of a short sum"),
        pytest.param(1.001, 0.6, 16, Grade.D, id="beyond the bound, though within 1 ULP"),
        pytest.param(math.inf, 0.0, 16, Grade.D, id="infinitely far"),
        pytest.param(math.nan, math.nan, 16, Grade.D, id="not a number"),
    ],
)
def test_a_result_gets_the_best_tier_that_it_reaches(
    ratio: float, ulps: float, n: int, grade: Grade
) -> None:
    """At 4096 values K is 4126: a tree may use 13 of that, random roundings 4 sqrt(4126)."""
    assert grade_of(ratio, ulps, n) is grade


@pytest.mark.parametrize("n", [1, 2, 3, 16, 1000, 2**20])
def test_the_tiers_are_ordered(n: int) -> None:
    """A tree promises more than random roundings, and these more than the worst case."""
    assert 0 < tree_ratio(n) < random_ratio(n) <= 1


def test_sums_by_halves_reach_the_first_tier_and_sequential_sums_do_not() -> None:
    """The tiers tell summation orders apart: n = 4096 positive values in float32."""
    n, u = LONG, 2.0**-24
    values = np.random.default_rng(1).uniform(1, 2, (40, n)).astype(np.float32)
    exact = values.astype(np.float64).sum(axis=1)
    bound = sum_length(n) * u * exact
    sequential = np.add.accumulate(values, axis=1)[:, -1]
    halves = values
    while halves.shape[1] > 1:
        halves = halves[:, ::2] + halves[:, 1::2]
    graded = [
        {grade_of(ratio, 99.0, n) for ratio in np.abs(found - exact) / bound}
        for found in (halves[:, 0], sequential)
    ]
    assert graded[0] == {Grade.A}
    assert Grade.B in graded[1]
    assert Grade.C not in graded[1]


def test_a_subject_has_the_grade_that_99_of_100_results_reach() -> None:
    """One outlier in a hundred is forgiven, three in two hundred are not."""
    one = report_of([Grade.A] * 99 + [Grade.D])
    two = report_of([Grade.A] * 197 + [Grade.C] * 3)
    assert (one.grade, two.grade) == (Grade.A, Grade.C)
    assert one.counts == {Grade.A: 99, Grade.B: 0, Grade.C: 0, Grade.D: 1}


def test_a_subject_that_is_often_beyond_its_bounds_gets_the_last_grade() -> None:
    """Known divergences are results too."""
    assert report_of([Grade.A] * 90 + [Grade.D] * 10).grade is Grade.D


def test_without_a_result_there_is_no_grade() -> None:
    """Absence is never a pass."""
    report = report_of([])
    assert report.results == 0
    assert report.grade is None


@pytest.mark.parametrize(
    ("verdict", "judged", "n", "graded"),
    [
        pytest.param(VerdictKind.CONFORMS, 3, 8, True, id="compared"),
        pytest.param(VerdictKind.DIVERGES, 3, 8, True, id="compared and beyond"),
        pytest.param(VerdictKind.CONFORMS, 0, 8, False, id="vacuous"),
        pytest.param(VerdictKind.CONFORMS, 3, 0, False, id="an empty batch, or an experiment"),
        pytest.param(VerdictKind.CRASHED, 3, 8, False, id="no numbers"),
        pytest.param(VerdictKind.UNSUPPORTED, 3, 8, False, id="nothing was asked"),
    ],
)
def test_only_results_with_judged_numbers_are_graded(
    verdict: VerdictKind, judged: int, n: int, *, graded: bool
) -> None:
    """A vacuous row is no evidence of accuracy."""
    assert is_graded(verdict.value, judged, n) is graded


def test_every_grade_has_a_meaning() -> None:
    """The report explains what it prints."""
    assert list(MEANINGS) == list(Grade)
