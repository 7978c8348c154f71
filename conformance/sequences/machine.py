"""Sequences of operations, drawn by Hypothesis.

``python -m bnconform.conformance.sequences.machine module:Class`` plays them on a stateful subject
and prints a short sequence that fails. It must be the first to import the subject's
framework, whose environment it sets.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ..case import Case
from ..contract import Quantity
from ..formats import DType
from .model import Operation, StatefulSubject, cases_of, operations_of
from .player import Player, SequenceError, shortened

Rule = TypeVar("Rule", bound=Callable[..., Any])

STEPS, EXAMPLES = 12, 100
"""Operations in a sequence, and sequences; both at most."""


def _of(offered: Operation) -> Callable[[Rule], Rule]:
    """Only where the subject offers it."""
    return precondition(lambda machine: offered in machine.offered)


def _after_a_call(*others: str) -> Callable[[Rule], Rule]:
    """Only after a call, or after one of ``others`` that came after a call.

    What follows the same kind of thing shows nothing new, and a sequence is short.
    """
    calls = ("train", "infer", "call")

    def allowed(machine: SequenceMachine) -> bool:
        done = [operation.name for operation in machine.player.sequence]
        *_, before, last = ["call", "build", *done]
        return last in calls or (last in others and before in calls)

    return precondition(allowed)


class SequenceMachine(RuleBasedStateMachine):
    """Any operation that the subject offers, in any order, on any of ``cases``.

    ``players`` holds the one that played last.
    """

    subject: ClassVar[StatefulSubject]
    offered: ClassVar[frozenset[Operation]]
    unjudged: ClassVar[frozenset[Quantity]]
    cases: ClassVar[tuple[Case, ...]]
    players: ClassVar[list[Player]]
    player: Player

    snapshots = Bundle("snapshots")
    machines: ClassVar = st.runner()
    batches: ClassVar = machines.flatmap(lambda self: st.sampled_from(self.player.batches))
    decays: ClassVar = machines.flatmap(lambda self: st.sampled_from(self.subject.decays))
    places: ClassVar = machines.flatmap(lambda self: st.integers(0, len(self.cases) - 1))
    seeds: ClassVar = st.integers(0, 2**16)

    @initialize(case=places, decay=decays, seed=seeds)
    def build(self, case: int, decay: float | None, seed: int) -> None:
        """A layer for one of the cases."""
        self.player = Player(
            self.subject, self.cases[case], decay, seed=seed, unjudged=self.unjudged
        )
        self.players[:] = [self.player]

    @rule(batch=batches, seed=seeds)
    def train(self, batch: int, seed: int) -> None:
        """A call in training mode."""
        self.player.train(batch, seed)

    @rule(batch=batches, seed=seeds)
    def infer(self, batch: int, seed: int) -> None:
        """A call in inference mode."""
        self.player.infer(batch, seed)

    @_of(Operation.SET_MODE)
    @_after_a_call("freeze", "set_decay", "save", "load", "move", "reset", "reject")
    @rule()
    def toggle_mode(self) -> None:
        """The layer's own mode."""
        self.player.set_mode(training=not self.player.model.training)

    @_of(Operation.SET_MODE)
    @rule(batch=batches, seed=seeds)
    def call(self, batch: int, seed: int) -> None:
        """A call in the mode that the layer is in."""
        self.player.call(batch, seed)

    @_of(Operation.SET_DECAY)
    @_after_a_call("build", "freeze", "save", "load", "move", "reset")
    @rule(decay=decays)
    def set_decay(self, decay: float | None) -> None:
        """Another decay."""
        self.player.set_decay(decay)

    @_of(Operation.FREEZE)
    @_after_a_call("build", "set_mode", "set_decay", "save", "load", "move")
    @rule()
    def toggle_frozen(self) -> None:
        """Frozen, or no longer."""
        self.player.freeze(frozen=not self.player.model.frozen)

    @_of(Operation.LOAD)
    @_after_a_call("build", "reset", "load", "freeze")
    @rule(target=snapshots)
    def save(self) -> int:
        """What can be gone back to."""
        return self.player.save()

    @_of(Operation.LOAD)
    @_after_a_call("freeze", "set_mode", "set_decay", "reset", "reject")
    @rule(snapshot=snapshots, fresh=st.booleans())
    def load(self, snapshot: int, *, fresh: bool) -> None:
        """Back to what was saved."""
        self.player.load(snapshot, fresh=fresh)

    @_of(Operation.LOAD)
    @_after_a_call("build", "freeze", "set_mode", "set_decay", "reset")
    @rule(batch=batches, seed=seeds, fresh=st.booleans())
    def go_back(self, batch: int, seed: int, *, fresh: bool) -> None:
        """As where training keeps the best weights: a step, found to be worse, is taken back."""
        snapshot = self.player.save()
        self.player.train(batch, seed)
        self.player.infer(batch, seed)
        self.player.load(snapshot, fresh=fresh)

    @_of(Operation.LOAD)
    @_after_a_call("freeze", "set_mode", "set_decay", "reset", "reject")
    @rule()
    def move(self) -> None:
        """On in another layer."""
        self.player.move()

    @_of(Operation.RESET)
    @_after_a_call("freeze", "set_mode", "set_decay", "load", "move")
    @rule()
    def reset(self) -> None:
        """From the beginning."""
        self.player.reset()

    @_of(Operation.REJECT)
    @_after_a_call("set_decay", "load", "move", "reset")
    @precondition(lambda self: self.player.can_reject)
    @rule(channels=st.booleans())
    def reject(self, *, channels: bool) -> None:
        """A call that must raise."""
        self.player.reject(channels=channels)


def play(
    subject: StatefulSubject,
    *,
    without: frozenset[Operation] = frozenset(),
    unjudged: frozenset[Quantity] = frozenset(),
    dtypes: frozenset[DType] = frozenset(DType),
    examples: int = EXAMPLES,
    shrink: bool = True,
) -> SequenceError | None:
    """What a sequence ran into, made as short as leaving out makes it (or not ``shrink``), or None.

    Sequences have none of the operations ``without`` and cases of ``dtypes`` alone; see
    :class:`Player` for ``unjudged``.
    """
    attributes = {
        "subject": subject,
        "offered": operations_of(subject) - without,
        "unjudged": unjudged,
        "cases": cases_of(subject, dtypes),
        "players": [],
    }
    machine: Any = type("SequenceMachine", (SequenceMachine,), attributes)
    budget = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        # Operations are left out one by one instead: that takes seconds where shrinking what they
        # were drawn from takes minutes.
        phases=[Phase.generate],
        # The first call into a framework may compile for seconds.
        suppress_health_check=[HealthCheck.too_slow],
    )
    try:
        run_state_machine_as_test(machine, settings=budget)
    except SequenceError as error:
        return shortened(machine.players[-1], error) if shrink else error
    return None


def main(arguments: list[str]) -> int:
    """Play on the subject that the command line names; 1 if a sequence fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", help="module:Class")
    parser.add_argument("--without", nargs="*", default=[], choices=[*Operation])
    parser.add_argument("--unjudged", nargs="*", default=[], choices=[*Quantity])
    parser.add_argument("--dtypes", nargs="*", default=[*DType], choices=[*DType])
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    asked = parser.parse_args(arguments)
    module, _, name = asked.subject.partition(":")
    kind = getattr(importlib.import_module(module), name)
    os.environ.update(kind.environment)
    error = play(
        kind(),
        without=frozenset(map(Operation, asked.without)),
        unjudged=frozenset(map(Quantity, asked.unjudged)),
        dtypes=frozenset(map(DType, asked.dtypes)),
        examples=asked.examples,
        shrink=asked.shrink,
    )
    if error is None:
        return 0
    found = {"check": error.check.name, "message": error.message, "script": error.script}
    sys.stdout.write(json.dumps(found) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
