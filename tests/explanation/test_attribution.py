"""Causes are named: planted slips, each by its own, and nothing by a guess."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Fill, FillKind
from bnconform.conformance.contract import Quantity
from bnconform.conformance.explanation.attribution import attribute
from bnconform.conformance.explanation.explanation import Explanation
from bnconform.conformance.explanation.findings import Findings
from bnconform.conformance.explanation.forms import OF_NOTHING, of_form
from bnconform.conformance.explanation.names import Kind, Stage, Why
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import PLAIN
from bnconform.conformance.verdict import Cause, Diverges

from . import planted


def rows_of(explanation: Explanation) -> int:
    """How many rows an explanation accounts for."""
    return len(explanation.affected)


def test_nothing_is_said_of_a_right_layer() -> None:
    """Where nothing diverges there is nothing to explain."""
    assert attribute(Right, planted.witnesses(Right)) == ()


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        pytest.param(planted.EpsilonOutside, Why.EPSILON_OUTSIDE_ROOT, id="a formula"),
        pytest.param(planted.FlooredAtOneThousandth, Why.EPSILON_FLOORED, id="a constant"),
        pytest.param(planted.Swapped, Why.DECAY_SWAPPED, id="an argument's sense"),
        pytest.param(planted.Stale, Why.STATE_STALE_IN_INFERENCE, id="an order of events"),
        pytest.param(planted.NoVarianceTerm, Why.DX_WITHOUT_VARIANCE_TERM, id="a gradient's term"),
        pytest.param(planted.OnePass, Why.VARIANCE_ONE_PASS, id="an algorithm"),
    ],
)
def test_an_alternative_that_holds_on_every_case_is_the_cause(
    adapter: type[Right], why: Why
) -> None:
    """It accounts for all divergences but a few in which bounds are all but met."""
    first, *others = attribute(adapter, planted.witnesses(adapter))
    assert (first.kind, first.name, first.where) == (Kind.CONVENTION, why, {})
    assert rows_of(first) >= 19 * sum(map(rows_of, others))


def test_an_alternative_about_some_formats_says_which() -> None:
    """Sums in half precision are no matter of other formats."""
    first, *others = attribute(planted.HalfSums, planted.witnesses(planted.HalfSums))
    assert (first.kind, first.name) == (Kind.CONVENTION, Why.SUMS_IN_HALF)
    assert first.where == {"dtype": ["bfloat16", "float16"]}
    assert rows_of(first) >= 19 * sum(map(rows_of, others))


def test_an_infinite_inverse_deviation_is_no_matter_of_the_variance() -> None:
    """Where it overflows the format of the parameters, the NaN of constant channels comes of it."""
    cases = [
        replace(case, dtype=DType.FLOAT16, half_parameters=True, epsilon=epsilon, fill=fill)
        for case in planted.some_cases()
        if case.dtype is DType.FLOAT32 and case.variant == PLAIN and case.smallest_count > 1
        for epsilon in (1e-12, 1e-3)
        for fill in (Fill(kind=FillKind.CONSTANT, seed=1), Fill(kind=FillKind.NORMAL, seed=1))
    ]
    witnesses = planted.witnesses(planted.KeptInFloat16, cases)
    causes = [judgement.verdict for each in witnesses for judgement in each.judgements]
    assert any(isinstance(v, Diverges) and v.cause is Cause.NOT_FINITE for v in causes)
    first, *others = attribute(planted.KeptInFloat16, witnesses)
    assert (first.kind, first.name) == (Kind.CONVENTION, Why.INVERSE_DEVIATION_IN_FLOAT16)
    # Every case here is such a one; a run has others, whose rows must not go here.
    assert first.where.items() >= {"dtype": "float16", "half_parameters": True}.items()
    assert rows_of(first) >= 19 * sum(map(rows_of, others))


def test_what_comes_of_nothing_is_told_apart() -> None:
    """NaN of an empty batch has another cause than NaN of values, and is called the same."""
    found = Findings(Right, planted.witnesses(Right))
    rows = {(0, "dbeta", "BN-EDGE-2")}
    of_values = of_form(found, Cause.NOT_FINITE.value, "", rows)
    of_nothing = of_form(found, Cause.NOT_FINITE.value + OF_NOTHING, "", rows)
    assert of_values.name == of_nothing.name == "not finite"
    assert of_nothing.where == {"smallest_count": 0}
    assert of_nothing.sentence == "NaN or an infinity comes of an empty batch"
    assert of_values.sentence != of_nothing.sentence


def test_the_floor_is_told() -> None:
    """Not only that there is one."""
    found = attribute(
        planted.FlooredAtOneThousandth, planted.witnesses(planted.FlooredAtOneThousandth)
    )
    assert found[0].sentence == "epsilon is not less than 0.001"


@pytest.mark.parametrize(
    ("adapter", "stage"),
    [
        pytest.param(planted.MeanOff, Stage.MEAN, id="what y, dx, and the state follow from"),
        pytest.param(planted.RootOff, Stage.INVERSE_DEVIATION, id="right statistics, wrong y"),
        pytest.param(planted.WrongInChannelsLast, Stage.DBETA, id="a gradient alone"),
    ],
)
def test_what_no_alternative_gives_is_traced_to_its_stage(
    adapter: type[Right], stage: Stage
) -> None:
    """Most rows belong to the stage where the error enters, what follows from it included."""
    first, *others = attribute(adapter, planted.witnesses(adapter))
    assert (first.kind, first.name) == (Kind.STAGE, stage)
    assert rows_of(first) > sum(map(rows_of, others))


def test_a_fact_tells_where_it_happens() -> None:
    """The layout of the upstream gradient is the only thing that all affected cases share."""
    found = attribute(planted.WrongInChannelsLast, planted.witnesses(planted.WrongInChannelsLast))
    assert found[0].where == {"upstream_layout": "channels_last"}


def test_a_wrong_form_is_no_matter_of_values() -> None:
    """It is told as the judge told it."""
    found = attribute(planted.Overwrites, planted.witnesses(planted.Overwrites))
    assert {each.kind for each in found} == {Kind.FORM}
    assert {each.name for each in found} == {"wrong format"}


def test_every_divergence_is_accounted_for_once() -> None:
    """Each diverging value is in one explanation: none is lost and none is told twice."""
    seen = planted.witnesses(planted.MeanOff)
    diverging = {
        (witness.case.id, judgement.quantity)
        for witness in seen
        for judgement in witness.judgements
        if isinstance(judgement.verdict, Diverges) and judgement.quantity in set(Quantity)
    }
    affected = [pair for each in attribute(planted.MeanOff, seen) for pair in each.affected]
    assert sorted(affected) == sorted(diverging)


def test_two_causes_are_two_rows() -> None:
    """A floor under epsilon, and a doubled dbeta in one layout."""

    class Both(planted.FlooredAtOneThousandth, planted.WrongInChannelsLast):
        """Both slips."""

    found = attribute(Both, planted.witnesses(Both))
    assert {Why.EPSILON_FLOORED, Stage.DBETA} <= {each.name for each in found}
