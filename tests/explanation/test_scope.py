"""Where something happens is told in the fewest facts."""

from __future__ import annotations

from typing import Any

import pytest

from bnconform.conformance.explanation.scope import find_scope, meets


def facts(**values: Any) -> dict[str, Any]:
    """A case's facts, ordinary but for ``values``."""
    return {"dtype": "float32", "rank": 4, "smallest_count": 12, "layout": "contiguous"} | values


def test_what_happens_everywhere_has_no_condition() -> None:
    """There is no case to tell it from."""
    assert find_scope([facts(), facts(rank=2)], []) == {}


@pytest.mark.parametrize(
    ("affected", "others", "where"),
    [
        pytest.param(
            [facts(dtype="float64")], [facts()], {"dtype": "float64"}, id="one value",
        ),
        pytest.param(
            [facts(dtype="float16"), facts(dtype="bfloat16")], [facts()],
            {"dtype": ["bfloat16", "float16"]}, id="two values",
        ),
        pytest.param(
            [facts(smallest_count=64), facts(smallest_count=99)], [facts()],
            {"smallest_count": {"min": 64}}, id="from a size on",
        ),
        pytest.param(
            [facts(smallest_count=1)], [facts(smallest_count=2)],
            {"smallest_count": 1}, id="a single size",
        ),
        pytest.param(
            [facts(layout="strided")], [facts(layout="strided", rank=2), facts()],
            {"layout": "strided", "rank": 4}, id="two facts together",
        ),
    ],
)  # fmt: skip
def test_a_condition_tells_the_affected_from_the_others(
    affected: list[dict[str, Any]], others: list[dict[str, Any]], where: dict[str, Any]
) -> None:
    """In the grammar of a known divergence."""
    assert find_scope(affected, others) == where
    assert all(meets(where, each) for each in affected)
    assert not any(meets(where, each) for each in others)


def test_no_condition_is_made_up() -> None:
    """The same facts on both sides have no difference."""
    assert find_scope([facts()], [facts()]) is None


def test_a_few_others_may_be_spared() -> None:
    """An error need not show in every case in which it is made."""
    others = [facts(dtype="float64"), facts()]
    assert find_scope([facts(dtype="float64")], others) is None
    assert find_scope([facts(dtype="float64")], others, spared=1) == {"dtype": "float64"}


def test_a_fact_that_is_missing_meets_nothing() -> None:
    """An experiment has no rank."""
    assert not meets({"rank": 4}, {})
    assert not meets({"rank": {"min": 2}}, {"rank": "four"})


def test_two_conditions_are_never_on_one_fact() -> None:
    """A lower and an upper limit together would fit any few cases."""
    affected, others = [{"batch": 3}, {"batch": 4}], [{"batch": 2}, {"batch": 5}]
    assert find_scope(affected, others, ("batch",)) is None
