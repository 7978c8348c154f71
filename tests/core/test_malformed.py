"""What a malformed call sends, and what is made of each way to take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.cases.malformed import (
    BASES,
    PROBES,
    RULES,
    Meaning,
    Probe,
    expected_of,
    make_call,
)
from bnconform.conformance.clauses import BY_ID, Level
from bnconform.conformance.contract import (
    Answer,
    Answered,
    Array,
    Capabilities,
    Crashed,
    Hung,
    Quantity,
    Raised,
    Step,
    Unsupported,
)
from bnconform.conformance.judging.judge_malformed import judge_malformed, why_not_asked
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.reference import expect
from bnconform.conformance.verdict import (
    Behaviour,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    NotSupported,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)

from .cases import CENTRED, answered

DIALECT, EVERYTHING = NumpyReference.dialect, NumpyReference.capabilities


def probe(malformation: Malformation, base: Case = BASES[1]) -> Probe:
    """A probe on rows, in training, unless another base is given."""
    return Probe(base=base, malformation=malformation)


def judged(malformation: Malformation, outcome: Any) -> dict[str, Judgement]:
    """Every judgement by its clause."""
    found = judge_malformed(make_call(probe(malformation)), outcome, DIALECT, EVERYTHING)
    return {judgement.clause: judgement for judgement in found}


def raised(message: str) -> Raised:
    """An outcome with this message."""
    first = message.splitlines()[0]
    return Raised(error=first, traceback="", seconds=0.0, output="", message=message)


def answers(**arrays: Array) -> Answered:
    """An outcome with these arrays, y among them."""
    return answered(Answer(steps=(Step(**arrays),), inference=None))


def by_the_equations(malformation: Malformation) -> dict[str, Array]:
    """What an implementation answers that computes with what it is given."""
    expected = expected_of(make_call(probe(malformation)), CENTRED)
    assert expected is not None
    shown = RULES[malformation].shows
    return {q.value: expected[q].value.to_float64().astype(np.float32) for q in shown}


def sizes(values: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shapes of arrays."""
    return {name: array.shape for name, array in values.items()}


def test_every_malformation_has_a_rule_a_probe_and_an_effect() -> None:
    """What is sent differs from the base case in the settings or in an array."""
    assert set(RULES) == set(Malformation) == {each.malformation for each in PROBES}
    for each in PROBES:
        call = make_call(each)
        # An epsilon of 0 leaves the arrays alone.
        untouched = make_call(probe(Malformation.ZERO_EPSILON, each.base)).arrays
        same_arrays = all(
            array.dtype == untouched[name].dtype and np.array_equal(array, untouched[name])
            for name, array in call.arrays.items()
        )
        same_case = call.case.to_dict() == each.base.to_dict()
        assert same_arrays is not same_case, each


def test_ids_tell_probes_apart_and_stay() -> None:
    """A record can be traced to its probe in another run."""
    assert len({each.id for each in PROBES}) == len(PROBES)
    assert probe(Malformation.ONE_CHANNEL).id == probe(Malformation.ONE_CHANNEL).id
    assert len(probe(Malformation.ONE_CHANNEL).id) == 16


def test_a_decay_is_malformed_in_training_alone() -> None:
    """Inference does not use it."""
    modes = {each.base.mode for each in PROBES if each.malformation is Malformation.DECAY_ABOVE_ONE}
    assert modes == {Mode.TRAIN}


@pytest.mark.parametrize(
    ("malformation", "name", "shape"),
    [
        pytest.param(Malformation.RANK_TOO_LOW, "x", (6,), id="one axis"),
        pytest.param(Malformation.OTHER_CHANNELS, "x", (6, 2), id="two of three channels"),
        pytest.param(Malformation.OTHER_CHANNELS, "dy", (6, 2), id="and their gradient"),
        pytest.param(Malformation.ONE_CHANNEL, "x", (6, 1), id="one of three channels"),
        pytest.param(Malformation.ONE_CHANNEL, "dy", (6, 3), id="a gradient for what broadcasts"),
        pytest.param(Malformation.GAMMA_OF_OTHER_SIZE, "gamma", (4,), id="gamma too long"),
        pytest.param(Malformation.GAMMA_OF_ONE, "gamma", (1,), id="gamma broadcasts"),
        pytest.param(Malformation.STATISTICS_OF_ONE, "running_var", (1,), id="both statistics"),
    ],
)
def test_only_the_named_array_has_another_shape(
    malformation: Malformation, name: str, shape: tuple[int, ...]
) -> None:
    """As the rule says."""
    assert sizes(make_call(probe(malformation)).arrays)[name] == shape


def test_malformed_settings_pass_a_case_that_would_refuse_them() -> None:
    """They are there as a user would write them."""
    found = {each: make_call(probe(each)).case for each in Malformation}
    assert found[Malformation.AXIS_OUT_OF_RANGE].feature_axes == (2,)
    assert found[Malformation.AXIS_REPEATED].feature_axes == (1, 1)
    assert found[Malformation.NEGATIVE_EPSILON].epsilon < 0
    assert found[Malformation.DECAY_ABOVE_ONE].decay == 1.5
    assert found[Malformation.NEGATIVE_DECAY].decay == -0.5


def test_the_equations_are_evaluated_with_the_malformed_values() -> None:
    """Against NumPy in float64: epsilon -0.001 and a decay of 1.5."""
    call = make_call(probe(Malformation.DECAY_ABOVE_ONE))
    expected = expected_of(call, CENTRED)
    assert expected is not None
    x, old = call.x.astype(np.float64), call.parameters.running_mean.astype(np.float64)
    want = expected[Quantity.RUNNING_MEAN]
    np.testing.assert_allclose(want.value.to_float64(), 1.5 * old - 0.5 * x.mean(0), rtol=1e-12)
    # Half of the batch's own error enters, so that twice the whole of it is enough.
    unit = replace(call.probe.base, decay=0.0)
    whole = expect(unit, make_inputs(unit), CENTRED).steps[0][Quantity.RUNNING_MEAN]
    np.testing.assert_array_equal(want.bound, 2 * whole.bound)
    call = make_call(probe(Malformation.NEGATIVE_EPSILON))
    expected = expected_of(call, CENTRED)
    assert expected is not None
    assert call.parameters.gamma is not None
    assert call.parameters.beta is not None
    xhat = (x - x.mean(0)) / np.sqrt(x.var(0) - 1e-3)
    y = call.parameters.gamma.astype(np.float64) * xhat + call.parameters.beta.astype(np.float64)
    np.testing.assert_allclose(expected[Quantity.Y].value.to_float64(), y, rtol=1e-12)


def test_no_equation_speaks_of_shapes_that_do_not_fit() -> None:
    """Where there is no meaning there is no expectation."""
    for malformation, rule in RULES.items():
        expected = expected_of(make_call(probe(malformation)), CENTRED)
        assert (expected is None) == (rule.meaning is Meaning.NONE)


@pytest.mark.parametrize(
    ("malformation", "message"),
    [
        pytest.param(
            Malformation.OTHER_CHANNELS, "running_mean should contain 2 elements not 3",
            id="an argument's name",
        ),
        pytest.param(Malformation.NEGATIVE_EPSILON, "got -0.001", id="the value that arrived"),
        pytest.param(Malformation.RANK_TOO_LOW, "Oops.\nexpected 4D, got 1D", id="a later line"),
        pytest.param(Malformation.NEGATIVE_DECAY, "bad MOMENTUM", id="in capitals"),
    ],
)  # fmt: skip
def test_a_message_is_clear_that_names_what_is_wrong(
    malformation: Malformation, message: str
) -> None:
    """The demanded rejection, its message and the process all conform."""
    found = judged(malformation, raised(message))
    assert [*found] == [RULES[malformation].clause, "BN-REJECT-10", "BN-REJECT-11"]
    assert {j.verdict for j in found.values()} == {Conforms()}
    assert found[RULES[malformation].clause].behaviour is Behaviour.REJECTS_CLEARLY


@pytest.mark.parametrize(
    ("malformation", "message"),
    [
        pytest.param(Malformation.RANK_TOO_LOW, "tuple index out of range", id="an accident"),
        pytest.param(Malformation.NEGATIVE_EPSILON, "too many steps", id="eps inside a word"),
        pytest.param(Malformation.DECAY_ABOVE_ONE, "11.5 is no such thing", id="inside a number"),
    ],
)
def test_a_message_is_unclear_that_does_not(malformation: Malformation, message: str) -> None:
    """Only the clause about messages diverges."""
    found = judged(malformation, raised(message))
    clause = RULES[malformation].clause
    assert found[clause].verdict == Conforms()
    assert found[clause].behaviour is Behaviour.REJECTS_UNCLEARLY
    verdict = found["BN-REJECT-10"].verdict
    assert isinstance(verdict, Diverges)
    assert verdict.cause is Cause.UNCLEAR
    assert message in verdict.message


def test_accepting_what_must_be_rejected_breaks_the_contract() -> None:
    """The message says what was accepted and what came back."""
    found = judged(Malformation.ONE_CHANNEL, answers(y=np.zeros((6, 3), np.float32)))
    verdict = found["BN-AXIS-3"].verdict
    assert isinstance(verdict, WrongContract)
    assert "1 channel where parameters and statistics have 3" in verdict.message
    assert "y of shape (6, 3)" in verdict.message
    assert found["BN-AXIS-3"].behaviour is Behaviour.GARBAGE
    assert found["BN-REJECT-11"].verdict == Conforms()


def test_an_axis_that_is_named_twice_may_count_once() -> None:
    """Still a breach, but not garbage."""
    arrays = by_the_equations(Malformation.AXIS_REPEATED)
    found = judged(Malformation.AXIS_REPEATED, answers(**arrays))["BN-REJECT-4"]
    assert isinstance(found.verdict, WrongContract)
    assert found.behaviour is Behaviour.COMPUTES


@pytest.mark.parametrize(
    ("malformation", "conforms"),
    [
        pytest.param(Malformation.NEGATIVE_EPSILON, False, id="SHOULD be rejected"),
        pytest.param(Malformation.DECAY_ABOVE_ONE, False, id="SHOULD, in the state"),
        pytest.param(Malformation.NEGATIVE_DECAY, False, id="SHOULD, the other side"),
        pytest.param(Malformation.ZERO_EPSILON, True, id="MAY be rejected"),
        pytest.param(Malformation.INTEGER_INPUT, True, id="SHOULD, or be computed"),
    ],
)
def test_computing_by_the_equations_is_told_from_garbage(
    malformation: Malformation, *, conforms: bool
) -> None:
    """Right values conform only where the clause allows them; wrong ones never do."""
    clause = RULES[malformation].clause
    arrays = by_the_equations(malformation)
    right = judged(malformation, answers(**arrays))[clause]
    assert right.behaviour is Behaviour.COMPUTES
    if conforms:
        assert right.verdict == Conforms()
    else:
        assert isinstance(right.verdict, Diverges)
        assert right.verdict.cause is Cause.ACCEPTED
    last = RULES[malformation].shows[-1].value
    spoilt = judged(malformation, answers(**(arrays | {last: arrays[last] + 0.01})))[clause]
    assert spoilt.behaviour is Behaviour.GARBAGE
    assert isinstance(spoilt.verdict, Diverges)
    assert spoilt.verdict.cause is Cause.GARBAGE


def test_integers_may_become_another_real_format_but_not_stay_integers() -> None:
    """No clause says which."""
    y = by_the_equations(Malformation.INTEGER_INPUT)["y"]
    wide = judged(Malformation.INTEGER_INPUT, answers(y=y.astype(np.float64)))
    assert wide["BN-REJECT-9"].behaviour is Behaviour.COMPUTES
    narrow = judged(Malformation.INTEGER_INPUT, answers(y=y.astype(np.float16)))["BN-REJECT-9"]
    assert "times the bound" in getattr(narrow.verdict, "message", "")
    whole = judged(Malformation.INTEGER_INPUT, answers(y=y.astype(np.int32)))
    assert whole["BN-REJECT-9"].behaviour is Behaviour.GARBAGE


def test_an_error_elsewhere_is_not_laid_at_the_malformed_arguments_door() -> None:
    """A wrong running variance says nothing about an epsilon of 0."""
    arrays = by_the_equations(Malformation.ZERO_EPSILON)
    spoilt = arrays | {"running_var": np.full(3, 7.0, np.float32)}
    found = judged(Malformation.ZERO_EPSILON, answers(**spoilt))
    assert found["BN-REJECT-7"].verdict == Conforms()


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        pytest.param(Crashed(exit_code=-11, output=""), WorkerCrashed(exit_code=-11), id="crash"),
        pytest.param(Hung(limit=60.0, output=""), WorkerHung(limit=60.0), id="hang"),
    ],
)
def test_a_call_that_never_comes_back_breaks_one_clause(
    outcome: Crashed | Hung, verdict: WorkerCrashed | WorkerHung
) -> None:
    """BN-REJECT-11; whether it would have been rejected, nobody knows."""
    found = judged(Malformation.ONE_CHANNEL, outcome)
    assert list(found) == ["BN-REJECT-11"]
    assert found["BN-REJECT-11"].verdict == verdict
    assert found["BN-REJECT-11"].behaviour is Behaviour.CRASHES


def test_what_does_not_reach_the_framework_is_not_asked() -> None:
    """And is recorded on the clause that it would have been evidence for."""
    one = probe(Malformation.ONE_CHANNEL)
    deaf: Capabilities = replace(EVERYTHING, passes_on=frozenset())
    assert why_not_asked(one, EVERYTHING) is None
    assert why_not_asked(one, deaf) == "does not reach the framework: one channel"
    assert why_not_asked(one, replace(EVERYTHING, ranks=frozenset({4}))) == "no input of rank 2"
    found = judged(Malformation.ONE_CHANNEL, Unsupported(reason="why"))
    assert found["BN-AXIS-3"].verdict == NotSupported(reason="why")
    assert found["BN-AXIS-3"].behaviour is None


def test_meanings_agree_with_levels() -> None:
    """Where a clause lets computing pass, it says so; a MUST never does."""
    for rule in RULES.values():
        if BY_ID[rule.clause].level is Level.MUST:
            assert rule.meaning is not Meaning.FINE
        else:
            assert rule.meaning is not Meaning.NONE
    assert BY_ID["BN-REJECT-7"].level is Level.MAY


def test_the_base_cases_are_ordinary() -> None:
    """Plain float32 with three channels, more samples than channels, all switched on."""
    for base in BASES:
        assert (base.shape[1], base.shape[0], base.center, base.scale) == (3, 6, True, True)
    assert {base.rank for base in BASES} == {2, 4}


def test_the_message_tells_a_right_answer_from_a_wrong_one() -> None:
    """After what was accepted: that it follows the equations, or where it does not."""
    rule = RULES[Malformation.DECAY_ABOVE_ONE]
    arrays = by_the_equations(Malformation.DECAY_ABOVE_ONE)
    accepted = f"accepted the call ({rule.what}), and answered y of shape {arrays['y'].shape}"
    right = judged(Malformation.DECAY_ABOVE_ONE, answers(**arrays))[rule.clause].verdict
    assert right == Diverges(cause=Cause.ACCEPTED, message=f"{accepted} by the equations")
    arrays["running_mean"] = arrays["running_mean"] + 1
    wrong = judged(Malformation.DECAY_ABOVE_ONE, answers(**arrays))[rule.clause].verdict
    assert isinstance(wrong, Diverges)
    assert wrong.cause is Cause.GARBAGE
    assert wrong.message.startswith(f"{accepted}; running_mean: expected ")


@pytest.mark.parametrize(
    ("exposed", "behaviour"),
    [
        pytest.param(Quantity.RUNNING_MEAN, Behaviour.GARBAGE, id="the state, which is wrong"),
        pytest.param(Quantity.Y, Behaviour.COMPUTES, id="the output, which is right"),
    ],
)
def test_what_a_subject_does_not_expose_is_not_compared(
    exposed: Quantity, behaviour: Behaviour
) -> None:
    """It neither counts nor hides what comes after it."""
    malformation = Malformation.DECAY_ABOVE_ONE
    arrays = by_the_equations(malformation)
    arrays["running_mean"] = arrays["running_mean"] + 1
    capabilities = replace(EVERYTHING, quantities=frozenset({exposed}))
    call = make_call(probe(malformation))
    verdict, *_ = judge_malformed(call, answers(**arrays), DIALECT, capabilities)
    assert verdict.behaviour is behaviour


def test_what_is_no_real_number_stays_what_it_is() -> None:
    """Integers in answer to integers are of the wrong format, even if a cast would do."""
    arrays = {
        name: np.rint(values).astype(np.int64)
        for name, values in by_the_equations(Malformation.INTEGER_INPUT).items()
    }
    clause = RULES[Malformation.INTEGER_INPUT].clause
    found = judged(Malformation.INTEGER_INPUT, answers(**arrays))[clause]
    assert "int64" in getattr(found.verdict, "message", "")
