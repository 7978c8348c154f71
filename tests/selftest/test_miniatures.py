"""The miniatures: each has one defect, which is named, and they are no subjects."""

from __future__ import annotations

from types import ModuleType

import pytest

from bnconform.adapters import REGISTRY
from bnconform.adapters.miniatures import CONTROLS, DEFECTS, FAMILIES
from bnconform.adapters.miniatures.planting import planted_in
from bnconform.adapters.miniatures.right import Right, RightOtherwise
from bnconform.conformance.engine.loading import load_class
from bnconform.conformance.explanation.names import Stage, Why
from bnconform.conformance.selftest.planted import Form, Planted
from bnconform.conformance.verdict import Cause

NAMES = {*Why, *Stage, *Cause, *Form}

NOT_PLANTED = {
    Why.AFFINE_FOLDED: "within the bound of y, which admits the folded form on purpose",
    Why.GHOST_INTERLEAVED: "the miniatures take no variants",
    Why.GHOST_CONTIGUOUS: "the miniatures take no variants",
    Why.VARIANT_IGNORED: "the miniatures take no variants",
}
"""Names that no miniature has, and why."""

EVERY = [pytest.param(planted, id=planted.name) for planted in DEFECTS.values()]

MARKS = {"name", "planted", "__module__", "__doc__", "__qualname__", "__firstlineno__",
         "__static_attributes__", "__annotations__"}  # fmt: skip
"""What a class has of itself, defect or not; the last three by version of Python."""


def test_there_are_enough_defects() -> None:
    """The issue asks for sixty; every family has its share."""
    assert len(DEFECTS) >= 60
    assert min(len(planted_in(family)) for family in FAMILIES.values()) >= 5
    assert sum(len(planted_in(family)) for family in FAMILIES.values()) == len(DEFECTS)


@pytest.mark.parametrize("family", [pytest.param(m, id=name) for name, m in FAMILIES.items()])
def test_every_miniature_of_a_family_is_in_the_table(family: ModuleType) -> None:
    """A class that lacks its mark would never be looked for."""
    classes = {
        found
        for found in vars(family).values()
        if isinstance(found, type) and issubclass(found, Right)
    }
    own = {found for found in classes if found.__module__ == family.__name__}
    assert own == {planted.adapter for planted in planted_in(family).values()}


@pytest.mark.parametrize("planted", EVERY)
def test_a_miniature_differs_from_a_right_one_in_one_method(planted: Planted) -> None:
    """One override, of something the right one has; whatever else is found is its consequence."""
    (base,) = planted.adapter.__bases__
    assert base in (Right, RightOtherwise)
    own = set(vars(planted.adapter)) - MARKS
    assert len(own) == 1, own
    (method,) = own
    assert hasattr(base, method)


@pytest.mark.parametrize("planted", EVERY)
def test_what_is_planted_is_told(planted: Planted) -> None:
    """A sentence, a real defect of the class, and causes from the vocabulary of explanations."""
    assert planted.sentence.endswith(".")
    assert ": " in planted.source
    assert planted.causes
    assert set(planted.causes) <= NAMES


def test_every_known_cause_is_planted() -> None:
    """A name that nobody plants is a name that nobody has seen given."""
    planted = {cause for each in DEFECTS.values() for cause in each.causes}
    assert set(Why) - planted == set(NOT_PLANTED)
    assert set(Stage) <= planted


def test_two_miniatures_never_share_a_name() -> None:
    """The table is by name, so that of two the second would hide the first."""
    adapters = [planted.adapter for planted in (*CONTROLS.values(), *DEFECTS.values())]
    assert len({adapter.name for adapter in adapters}) == len(set(adapters)) == len(adapters)


def test_a_worker_finds_every_miniature() -> None:
    """Module and class name lead to the class, and what it declares is usable."""
    for planted in (*CONTROLS.values(), *DEFECTS.values()):
        assert load_class(planted.target) is planted.adapter


def test_no_miniature_is_a_subject() -> None:
    """They have no place in a campaign or in a list of subjects."""
    assert not any("miniature" in f"{name} {where}" for name, where in REGISTRY.items())


def test_a_fact_that_no_case_has_is_refused() -> None:
    """An explanation could never name it."""
    with pytest.raises(ValueError, match="no facts \\['colour'\\]; there are rank"):
        Planted(adapter=Right, causes=("x",), where=("colour",), sentence="", source="")
