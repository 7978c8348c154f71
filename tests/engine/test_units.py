"""How a campaign is cut into units of work."""

from __future__ import annotations

import pytest

from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine import units as units_module
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.units import Subject, plan_units
from bnconform.conformance.engine.worker import Described

CASES = plan_cases(PROFILES["quick"], cases=600, seed=0)


def _subject() -> Subject:
    target = Target.parse("bnconform.adapters.numpy_reference:NumpyReference")
    described = Described(available=True, reason="", version="1", device="cpu")
    return Subject(target=target, adapter=load_class(target), described=described)


@pytest.mark.parametrize("most", [7, 50, 10**6])
def test_every_case_is_in_one_unit_and_no_unit_is_larger_than_allowed(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """However many cases a signature has: they are the work of more than one worker."""
    monkeypatch.setattr(units_module, "BLOCK_CASES", most)
    units = plan_units([_subject()], CASES, (1, 1))
    assert sorted(case.id for unit in units for case in unit.cases) == sorted(
        case.id for case in CASES
    )
    assert max(len(unit.cases) for unit in units) <= most
    assert [unit.block for unit in units] == list(range(len(units)))


def test_a_unit_holds_few_signatures() -> None:
    """A subject that compiles pays for each of them."""
    for unit in plan_units([_subject()], CASES, (1, 1)):
        assert len({case.signature for case in unit.cases}) <= units_module.BLOCK_SIGNATURES
