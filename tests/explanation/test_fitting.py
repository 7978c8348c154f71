"""An alternative explains what it fits, unless something that is right speaks against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Fill, FillKind, Mode
from bnconform.conformance.contract import Quantity
from bnconform.conformance.explanation.catalogue import ALTERNATIVES
from bnconform.conformance.explanation.findings import Findings
from bnconform.conformance.explanation.fitting import Fitting
from bnconform.conformance.explanation.names import Why
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import PLAIN
from bnconform.conformance.verdict import Cause, Conforms, Diverges, Judgement

from . import planted

OMITTED = next(i for i, each in enumerate(ALTERNATIVES) if each.why is Why.EPSILON_OMITTED)
FITS, REFUTED = {Quantity.Y: 0.5}, {Quantity.Y: 5.0}
WRONG = 3


def fitting(rights: int) -> Fitting:
    """Cases of one structure, of which the first three are wrong; the alternative fits them all."""
    base = next(
        case
        for case in planted.some_cases()
        if case.mode is Mode.TRAIN
        and case.dtype is DType.FLOAT32
        and case.variant == PLAIN
        and case.smallest_count > 1
    )
    cases = [
        replace(base, fill=Fill(kind=FillKind.NORMAL, seed=seed)) for seed in range(WRONG + rights)
    ]
    found = Findings(Right, planted.witnesses(Right, cases))
    y = next(each for each in found.witnesses[0].judgements if each.quantity == Quantity.Y)
    assert isinstance(y.verdict, Conforms)
    assert y.verdict.measure is not None
    far = Diverges(
        cause=Cause.BEYOND_BOUND, message="", measure=replace(y.verdict.measure, ratio=1e3)
    )
    wrong = Judgement(clause=y.clause, quantity=y.quantity, verdict=far)
    found.wrong = {(index, Quantity.Y): wrong for index in range(WRONG)}
    found.left = set(found.wrong)
    found.right = {(index, Quantity.Y) for index in range(WRONG, len(cases))}
    tried = Fitting(found)
    tried.known.update(((OMITTED, index), FITS) for index in range(len(cases)))
    return tried


def test_what_nothing_contradicts_explains_all_that_it_fits() -> None:
    """Everywhere, so that there is no condition."""
    tried = fitting(12)
    assert tried.probed([OMITTED]) == [OMITTED]
    assert tried.offers([OMITTED]) == [(OMITTED, tried.found.left, {})]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(WRONG, id="among the first that are looked at"),
        pytest.param(WRONG + 11, id="among the last"),
    ],
)
def test_one_right_row_that_it_would_change_is_enough_against_it(place: int) -> None:
    """Wherever that stands among all: no fact tells those cases from the others."""
    tried = fitting(12)
    tried.known[OMITTED, place] = REFUTED
    assert tried.offers([OMITTED]) == [(OMITTED, set(), {})]


def test_what_fits_none_of_a_few_rows_is_given_up() -> None:
    """The first, the middle and the last one are tried."""
    tried = fitting(0)
    tried.known.update(((OMITTED, index), REFUTED) for index in range(WRONG))
    assert tried.probed([OMITTED]) == []
    tried.known[OMITTED, 1] = FITS
    assert tried.probed([OMITTED]) == [OMITTED]
