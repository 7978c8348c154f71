"""float64 is enough to judge what accumulates in float32, and nothing diverges on its word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, FillKind
from bnconform.conformance.cases.fills import make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Adapter, Quantity
from bnconform.conformance.dialect import HalfGradient, VarianceAlgorithm
from bnconform.conformance.engine.judging import judged_cases
from bnconform.conformance.expecting.expectation import Expectation, Expected
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.compare import compare
from bnconform.conformance.judging.judge import Trial
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.numbers.exact import Rational
from bnconform.conformance.numbers.single import Single
from bnconform.conformance.reference import Conventions, closely, enough, expect_many
from bnconform.conformance.verdict import Conforms, Diverges

from .cases import CENTRED, answered, make_trial, perfect_answer, plain

CASES = [
    case
    for case in plan_cases(PROFILES["quick"], cases=400, seed=3)
    if enough(case) is not closely(case)
]
CLAIMS = [
    CENTRED,
    replace(CENTRED, algorithm=VarianceAlgorithm.WELFORD),
    replace(CENTRED, algorithm=VarianceAlgorithm.ONE_PASS, half_gradient=HalfGradient.BY_TERM),
]


def _arrays(expected: Iterable[Expected]) -> Iterator[Expectation]:
    for each in expected:
        for step in (*each.steps, *([each.inference] if each.inference else [])):
            yield from step.values()


@pytest.mark.parametrize("conventions", CLAIMS, ids=lambda each: str(each.algorithm.value))
def test_what_float64_lacks_is_far_below_every_bound(conventions: Conventions) -> None:
    """Below 2^-29 of it, as derived; four times that is allowed here, an eighth of DECIDED."""
    inputs = make_many(CASES)
    close = expect_many(CASES, inputs, conventions)
    quick = expect_many(CASES, inputs, conventions, enough)
    looked = 0
    for want, have in zip(_arrays(close), _arrays(quick), strict=True):
        assert isinstance(have.value, Single)
        np.testing.assert_array_equal(have.vacuous, want.vacuous)
        np.testing.assert_array_equal(have.excluded, want.excluded)
        look = ~(want.vacuous | want.excluded) & np.isfinite(want.value.hi)
        lacking = np.abs((have.value.hi - want.value.hi) - want.value.lo)[look]
        assert (lacking <= 2.0**-27 * want.bound[look]).all()
        np.testing.assert_allclose(have.bound[look], want.bound[look], rtol=2.0**-27)
        looked += lacking.size
    assert looked > 100_000


@pytest.mark.parametrize(
    ("case", "number"),
    [
        pytest.param(plain(), Single, id="float32"),
        pytest.param(plain(dtype=DType.BFLOAT16), Single, id="bfloat16, which sums in float32"),
        pytest.param(plain(dtype=DType.FLOAT64), DoubleDouble, id="float64"),
        pytest.param(
            plain(fill=replace(plain().fill, kind=FillKind.EXACT)), DoubleDouble,
            id="the exact lane, where bounds are zero",
        ),
    ],
)  # fmt: skip
def test_it_is_enough_where_bounds_are_coarse(case: Case, number: type) -> None:
    """Elsewhere all digits are needed."""
    assert enough(case) is number
    assert closely(case) is DoubleDouble


def test_an_error_of_nearly_one_bound_is_decided_by_exact_arithmetic() -> None:
    """float64 cannot tell which side of the bound it is on."""
    (given,) = make_many([plain()])
    ((*_, want),) = [list(_arrays(expect_many([plain()], [given], CENTRED, enough)))]
    asked = []

    def exactly() -> Expectation:
        asked.append(True)
        return replace(want, value=Rational(want.value.hi), exact=None)

    for nearness, consulted in ((2.0**-20, False), (2.0**-26, True)):
        got = want.value.hi.astype(np.float32)
        # Whatever the format of the answer, its error is that part of the bound.
        error = np.abs(got - want.value.hi)
        near = replace(want, bound=error / (1 - nearness), exact=exactly)
        asked.clear()
        compare(got, near)
        assert bool(asked) is consulted


def test_what_diverges_is_told_with_all_digits() -> None:
    """The evidence of a divergence is what double-double says, not what was enough to see it."""
    case = plain(shape=(6, 3), fill=replace(plain().fill, kind=FillKind.MIXED))
    trial = make_trial(case)
    right = perfect_answer(trial)
    (step,) = right.steps
    assert step.dx is not None
    wrong = replace(right, steps=(replace(step, dx=step.dx * np.float32(2)),))
    for answer, diverges in ((right, False), (wrong, True)):
        (found,) = judged_cases([(case, answered(answer))], cast("type[Adapter]", NumpyReference))
        (judgement,) = [each for each in found.judgements if each.quantity == "dx"]
        verdict = judgement.verdict
        assert isinstance(verdict, Diverges if diverges else Conforms)
        assert verdict.measure is not None
        exhibit = found.exhibit
        assert exhibit is not None
        assert isinstance(exhibit.asked, Trial)
        told = exhibit.asked.expected.steps[0][Quantity.DX].value
        assert isinstance(told, DoubleDouble if diverges else Single)
        assert verdict.measure.expected == told.hi[verdict.measure.index]
    close = trial.expected.steps[0][Quantity.DX].value
    np.testing.assert_array_equal(told.lo, close.lo)
    assert close.lo.any()
