"""Shards of a campaign: together the whole, each unit in one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.units import Subject, Unit, plan_units
from bnconform.conformance.engine.worker import Described

CASES = plan_cases(PROFILES["quick"], cases=80, seed=3)


def _subject(number: int) -> Subject:
    """A subject that nobody starts."""
    here = Described(available=True, reason="", version="1", device="cpu")
    named = type(f"Number{number}", (NumpyReference,), {"name": f"numpy.number{number}"})
    target = Target(module="nowhere", attribute=f"Number{number}")
    return Subject(target=target, adapter=named, described=here)


SUBJECTS = [_subject(number) for number in range(3)]


def _asked(units: list[Unit]) -> list[tuple[str, str]]:
    """Subject and what it is asked, for all that the units ask."""
    return [
        (unit.subject.name, name)
        for unit in units
        for name in (
            *(case.id for case in unit.cases),
            *(experiment.id for experiment in unit.experiments),
            *(probe.id for probe in unit.probes),
        )
    ]


WHOLE = plan_units(SUBJECTS, CASES, (1, 1))


@given(count=st.integers(1, len(WHOLE) + 5), subjects=st.integers(1, len(SUBJECTS)))
def test_any_number_of_shards_asks_everything_once(count: int, subjects: int) -> None:
    """No question twice and none missing, also with more shards than there are units."""
    chosen = SUBJECTS[:subjects]
    parts = [
        pair
        for index in range(1, count + 1)
        for pair in _asked(plan_units(chosen, CASES, (index, count)))
    ]
    assert sorted(parts) == sorted(_asked(plan_units(chosen, CASES, (1, 1))))
    assert len(parts) == len(set(parts))


@given(count=st.integers(1, len(WHOLE)))
def test_shards_are_of_nearly_equal_size(count: int) -> None:
    """None has two units more than another, so none is left for the night alone."""
    sizes = [len(plan_units(SUBJECTS, CASES, (index, count))) for index in range(1, count + 1)]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_beyond_the_units_is_empty() -> None:
    """It is a run like any other, with nothing in it."""
    assert plan_units(SUBJECTS, CASES, (len(WHOLE) + 1, len(WHOLE) + 1)) == []


def test_a_subject_that_is_unavailable_here_does_not_move_the_units_of_others() -> None:
    """Machines of a matrix need not have the same frameworks to agree on who does what."""
    absent = Described(available=False, reason="no", version="", device="")
    first = SUBJECTS[0]
    without = [Subject(target=first.target, adapter=first.adapter, described=absent), *SUBJECTS[1:]]
    for index in (1, 2, 3):
        here = _asked(plan_units(without, CASES, (index, 3)))
        there = _asked(plan_units(SUBJECTS, CASES, (index, 3)))
        assert here == [pair for pair in there if pair[0] != first.name]
