"""Measuring: intervals of numbers that answers allow."""

from __future__ import annotations

import math

import pytest

from bnconform.conformance.inference.measuring import (
    DECAY_GRID,
    Interval,
    allowed,
    allowed_epsilons,
)


@pytest.mark.parametrize(
    ("centre", "width"),
    [
        (0.9, 1e-6),  # between two numbers of the grid
        (0.5, 1e-6),  # on one
        (0.3, 0.2),  # over several
    ],
)
def test_an_interval_is_found_wherever_it_lies(centre: float, width: float) -> None:
    """Both ends come out to a hundredth of its width."""
    found = allowed(lambda number: abs(number - centre) / width, DECAY_GRID)
    assert found is not None
    assert found.low == pytest.approx(centre - width, abs=1e-2 * width)
    assert found.high == pytest.approx(centre + width, abs=1e-2 * width)


def test_nothing_is_allowed_where_the_least_ratio_is_above_one() -> None:
    """A number that no value explains has no interval."""
    assert allowed(lambda number: 2.0 + abs(number - 0.4), DECAY_GRID) is None


def test_a_quantity_that_is_not_shown_allows_nothing() -> None:
    """NaN is no ratio."""
    assert allowed(lambda _: math.nan, DECAY_GRID) is None


@pytest.mark.parametrize("epsilon", [1.001e-5, 1e-12, 1e-3])
def test_epsilon_is_found_over_all_its_magnitudes(epsilon: float) -> None:
    """The interval is as wide as the answer allows, relative to epsilon."""
    found = allowed_epsilons(lambda number: abs(number - epsilon) / (1e-6 * epsilon))
    assert found is not None
    assert epsilon in found
    assert found.high - found.low < 3e-6 * epsilon


def test_an_epsilon_of_zero_is_in_the_interval_that_reaches_down_to_it() -> None:
    """What is too small to be seen may be nothing at all."""
    found = allowed_epsilons(lambda number: number / 1e-20)
    assert found is not None
    assert found.low == 0.0
    assert found.high == pytest.approx(1e-20, rel=1e-2)


@pytest.mark.parametrize(
    ("interval", "plainest"),
    [
        (Interval(low=1.0009e-5, high=1.0011e-5), 1.001e-5),  # as few digits as it takes
        (Interval(low=0.0999, high=0.1001), 0.1),  # one digit
        (Interval(low=0.0, high=1e-9), 0.0),  # nothing is the plainest
    ],
)
def test_the_plainest_number_is_what_somebody_would_have_written(
    interval: Interval, plainest: float
) -> None:
    """The fewest decimal digits that stay inside."""
    assert interval.plainest == plainest


def test_intervals_that_do_not_meet_have_nothing_in_common() -> None:
    """Their intersection is None."""
    assert Interval(low=0.0, high=1.0) & Interval(low=2.0, high=3.0) is None
