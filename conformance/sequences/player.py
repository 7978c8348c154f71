"""Plays operations on a layer and its model side by side, and compares them after each.

>>> player = Player(subject, case, decay=0.75, seed=0)
>>> player.train(batch=4, seed=1)
>>> player.infer(batch=2, seed=2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from ..case import Case
from ..contract import Array, Quantity, Step
from ..dialect import Policy
from ..expecting.expectation import Expectations
from ..judging.compare import compare, identical
from ..verdict import Diverges
from .model import (
    Memento,
    Model,
    Operation,
    StatefulLayer,
    StatefulSubject,
    inputs_of,
    operations_of,
    parameters_of,
)

_STATE = (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR)
_UNTRAINED = (Quantity.DGAMMA, Quantity.DBETA)
"""A frozen layer, or one in inference mode, may have no gradient of these."""


class Check(StrEnum):
    """What a layer failed in."""

    ANSWER = "a call gives the output and gradients of the state that it meets"
    STATE = "the running statistics after a call are the spec's"
    STILL = "what is no update leaves every bit of the state alone"
    LOADED = "a layer that has loaded has the bits that were saved"
    CONTINUED = "a fresh layer that has loaded goes on as the one that was saved"
    RESET = "a reset gives the initial state"
    REJECTED = "what must be rejected raises"


@dataclass(frozen=True)
class Done:
    """An operation that was played: a method of :class:`Player` and its arguments."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        """As one would write the call."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


class SequenceError(AssertionError):
    """A layer left its model; ``check`` says in what, ``sequence`` after which operations."""

    def __init__(self, check: Check, message: str, sequence: Sequence[Done]) -> None:
        """Say what was expected, what happened, and after what."""
        self.check, self.message, self.sequence = check, message, tuple(sequence)
        super().__init__("\n".join([f"{check}: {message}", "after", *self.script]))

    @property
    def script(self) -> list[str]:
        """The operations as calls of a :class:`Player`."""
        return [f"player.{operation}" for operation in self.sequence]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a layer saved, what its state was then, and what the model makes of it."""

    saved: bytes
    state: Mapping[str, Array]
    memento: Memento


class Player:
    """A layer, its model, and what has been done to both.

    ``unjudged`` quantities are not compared with the model, only bit for bit where they must not
    change.
    """

    def __init__(
        self,
        subject: StatefulSubject,
        case: Case,
        decay: float | None,
        *,
        seed: int,
        unjudged: frozenset[Quantity] = frozenset(),
    ) -> None:
        """Build the layer, with parameters and state from ``seed``."""
        case = replace(case, decay=decay)
        self.subject, self.case, self.unjudged = subject, case, unjudged
        self.has_mode = Operation.SET_MODE in operations_of(subject)
        parameters = parameters_of(case, subject.dialect, seed)
        self.layer: StatefulLayer = subject.build(case, parameters)
        self.model = Model(case, parameters, subject.dialect)
        self.twin: StatefulLayer | None = None
        self.sequence: list[Done] = []
        self.snapshots: dict[int, Snapshot] = {}
        self.seed = seed
        self._compare_state()

    @property
    def batches(self) -> tuple[int, ...]:
        """Sizes of batch that the subject documents to train on, 1 and 2 where it does."""
        return tuple(sorted({2 if self._one_is_too_few else 1, 2, self.case.shape[0]}))

    @property
    def can_reject(self) -> bool:
        """Whether there are calls that must raise: a frozen layer may be content with less."""
        return not self.model.frozen

    @property
    def _one_is_too_few(self) -> bool:
        single = self.case.count((1, *self.case.shape[1:])) == 1
        return single and self.subject.dialect.single_value.value is Policy.REJECTS

    # Calls.

    def train(self, batch: int, seed: int) -> None:
        """A call in training mode, which on a frozen layer is no update."""
        self._note("train", batch=batch, seed=seed)
        self.model.training = True
        self._call(lambda layer, x, dy: layer.train(x, dy), batch, seed)

    def infer(self, batch: int, seed: int) -> None:
        """A call in inference mode."""
        self._note("infer", batch=batch, seed=seed)
        self.model.training = False
        self._call(lambda layer, x, dy: layer.infer(x, dy), batch, seed)

    def call(self, batch: int, seed: int) -> None:
        """A call in the mode that the layer is in."""
        self._note("call", batch=batch, seed=seed)
        self._call(lambda layer, x, dy: layer.call(x, dy), batch, seed)

    def _call(
        self, how: Callable[[StatefulLayer, Array, Array], Step], batch: int, seed: int
    ) -> None:
        inputs = inputs_of(self.case, batch, seed)
        twin, self.twin = self.twin, None
        if self.model.moves:
            step = how(self.layer, inputs.x, inputs.dy)
        else:
            with self._still(self.layer):
                step = how(self.layer, inputs.x, inputs.dy)
        self._compare(Check.ANSWER, step.__dict__, self.model.call(inputs))
        self._compare_state()
        if twin is not None:
            other = how(twin, inputs.x, inputs.dy)
            self._same(Check.CONTINUED, _arrays(step.__dict__), _arrays(other.__dict__))
            self._same(Check.CONTINUED, self.layer.state(), twin.state())

    def reject(self, *, channels: bool) -> None:
        """A training call that must raise: too many channels, or too few values for each."""
        channels = channels or not self._one_is_too_few
        self._note("reject", channels=channels)
        self.twin, case = None, self.case
        if channels:
            shape = list(case.shape)
            shape[case.channel_axes[0]] += 2
            case = replace(case, shape=tuple(shape))
        inputs = inputs_of(case, case.shape[0] if channels else 1, 0)
        self.model.training = True
        with self._still(self.layer):
            try:
                self.layer.train(inputs.x, inputs.dy)
            except Exception:  # noqa: BLE001  # frameworks raise what they like
                return
            self._fail(Check.REJECTED, f"an input of shape {inputs.x.shape} was taken")

    # Settings.

    def set_mode(self, *, training: bool) -> None:
        """Switch the layer's own mode."""
        self._note("set_mode", training=training)
        self._change(lambda layer: layer.set_mode(training=training))
        self.model.training = training

    def set_decay(self, decay: float | None) -> None:
        """Change the decay; the state stays what it is."""
        self._note("set_decay", decay=decay)
        self._change(lambda layer: layer.set_decay(decay))
        self.model.decay = decay

    def freeze(self, *, frozen: bool) -> None:
        """Mark the layer as frozen, or no longer."""
        self._note("freeze", frozen=frozen)
        self._change(lambda layer: layer.freeze(frozen=frozen))
        self.model.frozen = frozen

    def _change(self, how: Callable[[StatefulLayer], None]) -> None:
        """Another setting, also of the twin, which leaves their state alone."""
        for layer in (self.layer, self.twin):
            if layer is not None:
                with self._still(layer):
                    how(layer)

    # Saving, loading, beginning again.

    def save(self, name: int | None = None) -> int:
        """Store the layer, which changes nothing; what :meth:`load` knows it by is given."""
        name = len(self.snapshots) if name is None else name
        self._note("save", name=name)
        self.snapshots[name] = self._saved()
        return name

    def load(self, name: int, *, fresh: bool) -> None:
        """Go back to a snapshot, in this layer or in a fresh one with the same settings."""
        self._note("load", name=name, fresh=fresh)
        self._load(self.snapshots[name], fresh=fresh)

    def move(self) -> None:
        """Go on in a fresh layer that loads what this one saves; this one answers once more."""
        self._note("move")
        layer = self.layer
        self._load(self._saved(), fresh=True)
        self.twin = layer

    def _saved(self) -> Snapshot:
        with self._still(self.layer) as state:
            saved = self.layer.save()
        return Snapshot(saved=saved, state=state, memento=self.model.save())

    def _load(self, snapshot: Snapshot, *, fresh: bool) -> None:
        self.twin = None
        if fresh:
            self.layer = self._fresh()
        self.layer.load(snapshot.saved)
        self.model.load(snapshot.memento)
        self._same(Check.LOADED, self.layer.state(), snapshot.state)
        self._compare_state()

    def reset(self) -> None:
        """The framework's own reset."""
        self._note("reset")
        self.twin = None
        self.layer.reset()
        self.model.reset()
        self._compare(Check.RESET, self.layer.state(), self.model.state())

    def _fresh(self) -> StatefulLayer:
        """A layer that shares nothing with this one but the settings."""
        case = replace(self.case, decay=self.model.decay)
        layer = self.subject.build(case, parameters_of(case, self.subject.dialect, 2**31))
        if self.model.frozen:
            layer.freeze(frozen=True)
        if self.has_mode:
            layer.set_mode(training=self.model.training)
        return layer

    # Comparisons.

    def _note(self, operation: str, /, **arguments: Any) -> None:
        self.sequence.append(Done(operation, arguments))

    def _fail(self, check: Check, message: str) -> None:
        raise SequenceError(check, message, self.sequence)

    @contextmanager
    def _still(self, layer: StatefulLayer) -> Iterator[Mapping[str, Array]]:
        """Nothing within may change a bit of the layer's state, which is given."""
        before = {name: np.array(array) for name, array in layer.state().items()}
        yield before
        self._same(Check.STILL, layer.state(), before)

    def _same(self, check: Check, got: Mapping[str, Array], want: Mapping[str, Array]) -> None:
        if got.keys() != want.keys():
            self._fail(check, f"expected {sorted(want)}, got {sorted(got)}")
        for name, array in want.items():
            if got[name].shape != array.shape:
                self._fail(check, f"{name}: expected {array.shape}, got {got[name].shape}")
            verdict = identical(got[name], array)
            if isinstance(verdict, Diverges):
                self._fail(check, f"{name} {verdict.message}")

    def _compare_state(self) -> None:
        self._compare(Check.STATE, self.layer.state(), self.model.state())

    def _compare(self, check: Check, got: Mapping[str, Any], want: Expectations) -> None:
        """Every judged quantity of ``want`` within its bound."""
        for quantity, expectation in want.items():
            exposed = quantity in self.subject.capabilities.quantities
            if quantity in self.unjudged or not exposed:
                continue
            # What a step says of the state is not asked: the layer is.
            if check is Check.ANSWER and quantity in _STATE:
                continue
            array = got.get(quantity.value)
            if array is None and quantity in _UNTRAINED and not self.model.moves:
                continue
            if array is None:
                self._fail(check, f"no {quantity.value}")
                return
            verdict = compare(array, expectation)
            if isinstance(verdict, Diverges):
                self._fail(check, f"{quantity.value} {verdict.message}")


def shortened(player: Player, error: SequenceError) -> SequenceError:
    """The same check failed by fewer operations on smaller batches, as far as leaving out goes.

    ``error`` is what ``player`` ran into.
    """
    progress = True
    while progress:
        progress = False
        for shorter in _simpler(error.sequence, min(player.batches)):
            found = _replayed(player, shorter)
            if found is not None and found.check is error.check:
                error, progress = found, True
                break
    return error


def _simpler(sequence: Sequence[Done], least: int) -> Iterator[list[Done]]:
    """``sequence`` without one operation, then with one of them on the least batch and seed."""
    for index in range(len(sequence)):
        yield [*sequence[:index], *sequence[index + 1 :]]
    for index, done in enumerate(sequence):
        simple = Done(done.name, {"batch": least, "seed": 0})
        if "batch" in done.arguments and done != simple:
            yield [*sequence[:index], simple, *sequence[index + 1 :]]


def _replayed(player: Player, sequence: Sequence[Done]) -> SequenceError | None:
    """What a player like ``player`` runs into; None also where a load misses its save."""
    case, unjudged = player.case, player.unjudged
    again = Player(player.subject, case, case.decay, seed=player.seed, unjudged=unjudged)
    try:
        for done in sequence:
            if done.name == "reject" and not again.can_reject:
                return None
            if done.name == "load" and done.arguments["name"] not in again.snapshots:
                return None
            getattr(again, done.name)(**done.arguments)
    except SequenceError as error:
        return error
    return None


def _arrays(named: Mapping[str, Array | None]) -> dict[str, Array]:
    return {name: array for name, array in named.items() if array is not None}
