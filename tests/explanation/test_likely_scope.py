"""What all affected cases share counts as where they lie only if that is no accident."""

from __future__ import annotations

from typing import Any

from bnconform.conformance.explanation.scope import likely_scope

LAYOUTS = ("contiguous", "channels_last", "strided")


def facts(number: int, **values: Any) -> dict[str, Any]:
    """A case's facts: the layout goes round, and the sizes tell structures apart."""
    usual = {
        "dtype": "float32",
        "layout": LAYOUTS[number % 3],
        "smallest_count": 10 + number,
        "mode": "train",
        "epsilon": 1e-3,
    }
    return usual | values


ALL = [facts(number) for number in range(60)]
LAST = [each for each in ALL if each["layout"] == "channels_last"]
REST = [each for each in ALL if each["layout"] != "channels_last"]


def test_an_error_need_not_show_wherever_it_is_made() -> None:
    """Five cases of the layout conform, but fifteen of fifteen have it."""
    assert likely_scope(LAST[:15], [*REST, *LAST[15:]]) == {"layout": "channels_last"}


def test_what_most_others_share_too_says_nothing() -> None:
    """Everything is trained, and nothing else is common."""
    affected = [facts(number, layout=LAYOUTS[number % 2]) for number in range(0, 30, 2)]
    others = [facts(number, layout=LAYOUTS[number % 2]) for number in range(1, 31, 2)]
    affected = [each | {"layout": "strided"} for each in affected]
    others = [each | {"layout": "strided"} for each in others]
    assert likely_scope(affected, others) is None


def test_a_few_cases_may_share_a_fact_by_accident() -> None:
    """Two of a layout that a third of all cases have."""
    assert likely_scope(LAST[:2], [*REST, *LAST[2:]]) is None


def test_cases_of_one_structure_count_once() -> None:
    """Many values of one structure are no evidence about structures."""
    same = [facts(1, epsilon=1e-3 * number) for number in range(1, 31)]
    assert likely_scope(same, [*REST, *LAST[2:]]) is None


def test_a_structure_that_shows_the_error_with_some_values_is_affected() -> None:
    """That it conforms with others does not count against the condition."""
    others = [*REST, *(each | {"epsilon": 1.0} for each in LAST)]
    assert likely_scope(LAST, others) == {"layout": "channels_last"}


def test_a_value_is_preferred_to_a_limit_that_fits_as_well() -> None:
    """A limit is set to fit, so it counts for less."""
    affected = [facts(number, channels=1, dtype="float16") for number in range(20)]
    others = [facts(number, channels=2) for number in range(20)]
    assert likely_scope(affected, others) == {"dtype": "float16"}
    low = [facts(number, channels=1 + number % 2) for number in range(20)]
    high = [facts(number, channels=3 + number % 5) for number in range(40)]
    assert likely_scope(low, high) == {"channels": {"max": 2}}
