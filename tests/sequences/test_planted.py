"""The machine finds each planted fault, says which check it failed, and shrinks it."""

from __future__ import annotations

from collections import Counter

import pytest

from bnconform.adapters.stateful.numpy_layer import Layer, NumpyLayer
from bnconform.conformance.sequences.machine import SequenceMachine, play
from bnconform.conformance.sequences.player import Check

from . import planted

EXAMPLES = 1_500
"""What Hypothesis draws depends on which modules are imported: enough for any."""
"""The rarest fault needs a cumulative average, a reset and two updates, in this order."""


@pytest.mark.parametrize(
    ("kind", "check", "longest"),
    [
        pytest.param(planted.ForgetsDecay, Check.STATE, 2, id="forgets a change of decay"),
        pytest.param(planted.DecayOneStepLate, Check.STATE, 2, id="a decay one step late"),
        pytest.param(planted.DecayInRetrospect, Check.STILL, 2, id="a decay in retrospect"),
        pytest.param(planted.ResetsMeanOnly, Check.RESET, 1, id="resets the mean alone"),
        pytest.param(planted.CountsAcrossReset, Check.STATE, 4, id="counts on after a reset"),
        pytest.param(planted.UpdatesWhileFrozen, Check.STILL, 2, id="updates while frozen"),
        pytest.param(planted.SavesBeforeFlushing, Check.LOADED, 2, id="saves before flushing"),
        pytest.param(planted.LoadsAllButTheVariance, Check.LOADED, 1, id="a stale buffer"),
        pytest.param(planted.ThawsOnLoad, Check.STILL, 3, id="trains once it has loaded"),
        pytest.param(planted.ForgetsTheDecayOnLoad, Check.STATE, 6, id="loses its decay"),
        pytest.param(planted.StaleFolding, Check.ANSWER, 6, id="a stale fold, three steps deep"),
        pytest.param(planted.CountsRejected, Check.STILL, 1, id="counts what it rejects"),
        pytest.param(planted.SavesTheMode, Check.STILL, 5, id="a mode that is loaded"),
        pytest.param(planted.Wavers, Check.CONTINUED, 3, id="a state that is not saved"),
        pytest.param(planted.MovesInInference, Check.STILL, 1, id="inference moves one bit"),
    ],
)
def test_a_planted_fault_is_found_and_shrunk(kind: type[Layer], check: Check, longest: int) -> None:
    """Each fault fails the check that is about it, after few operations."""
    error = play(planted.Planted(kind), examples=EXAMPLES)
    assert error is not None
    assert error.check is check, error
    assert len(error.sequence) <= longest, error


def test_a_sound_layer_passes() -> None:
    """The control: the reference, which the planted layers differ from in one thing each."""
    assert play(planted.Planted(Layer)) is None


def test_a_failure_is_told_as_a_script() -> None:
    """What is shown can be typed in, and fails again."""
    error = play(planted.Planted(planted.LoadsAllButTheVariance), examples=EXAMPLES)
    assert error is not None
    assert error.script == ["player.move()"]
    assert str(error).splitlines()[1:] == ["after", *error.script]


def test_every_operation_is_played_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that is hardly ever drawn would pass for the wrong reason."""
    played: Counter[str] = Counter()

    def count(machine: SequenceMachine) -> None:
        played.update(operation.name for operation in machine.player.sequence)

    monkeypatch.setattr(SequenceMachine, "teardown", count)
    assert play(NumpyLayer()) is None
    operations = (
        "train", "infer", "call", "set_mode", "set_decay", "freeze", "save", "load", "move",
        "reset", "reject",
    )  # fmt: skip
    assert set(played) == set(operations)
    assert min(played[operation] for operation in operations) >= 25, played
