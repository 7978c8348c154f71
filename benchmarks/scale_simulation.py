"""The campaign's own scheduler with simulated workers, nodes and clock.

The scheduler is the real one. Two things are handed to it: a clock that shows simulated time, and
in place of its condition one that raises where a thread would have to wait. Whoever would wait has
given back what it held by then, so asking again once something is done comes to the same as being
woken; and as asking changes nothing unless a unit is given, the first who must wait again speaks
for all behind it. Everything else follows ``engine/cluster.py``: a thread of the harness for each
worker, an outpost for one subject after another, a lost one replaced and asked the same again.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, cast

from bnconform.conformance.engine.scheduling import Scheduler
from bnconform.conformance.engine.units import Unit

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Named:
    """A subject as far as the scheduler looks at it."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A unit as far as the scheduler looks at it, and the seconds that it takes.

    ``handing`` is what the harness's one process does for it, one unit after the other;
    ``together`` says that it does so while the outpost works, and not afterwards.
    """

    subject: Named
    block: int
    questions: int
    compiling: float = 0.0
    working: float = 0.0
    handing: float = 0.0
    together: bool = False


@dataclass(frozen=True, kw_only=True)
class Machines:
    """``failures`` is the chance of a node to fail within an hour; it is back after ``repair``."""

    nodes: int
    cores: int
    failures: float = 0.0
    repair: float = 600.0
    seed: int = 0

    @property
    def workers(self) -> int:
        """One for each core."""
        return self.nodes * self.cores


@dataclass(kw_only=True)
class Spent:
    """What a simulated campaign took; all but ``makespan`` are seconds of workers, added up.

    ``waited`` is spent until the scheduler can tell what is worth helping with, ``blocked`` until
    the harness has taken an answer; ``handed`` is what the harness's process worked. ``losses``
    counts outposts that were lost, ``worst`` the most over one question, ``starts`` those that were
    placed.
    """

    workers: int
    makespan: float = 0.0
    starting: float = 0.0
    compiling: float = 0.0
    working: float = 0.0
    attributing: float = 0.0
    lost: float = 0.0
    waited: float = 0.0
    blocked: float = 0.0
    handed: float = 0.0
    done: list[tuple[str, int]] = field(default_factory=list)
    starts: int = 0
    losses: int = 0
    worst: int = 0

    @property
    def whole(self) -> float:
        """Seconds that there were."""
        return self.workers * self.makespan

    @property
    def utilisation(self) -> float:
        """The share in which a worker did something, lost or not."""
        busy = self.starting + self.compiling + self.working + self.attributing + self.lost
        return busy / self.whole if self.whole else 0.0

    def share(self, seconds: float) -> float:
        """``seconds`` of all that there were."""
        return seconds / self.whole if self.whole else 0.0


class _MustWaitError(Exception):
    """A thread would have to wait here."""


class _NobodyWaits:
    """A condition for threads that are simulated one at a time."""

    def __enter__(self) -> None:
        """There is nobody else."""

    def __exit__(self, *exception: object) -> None:
        """There is nobody else."""

    def wait(self) -> None:
        """Raise instead."""
        raise _MustWaitError

    def notify_all(self) -> None:
        """The simulation asks for those who wait whenever a unit is done."""


@dataclass(kw_only=True, eq=False)
class _Hand:
    """A thread of the harness and its outpost: where that is, and whether it has started."""

    piece: Piece | None = None
    node: int | None = None
    started: bool = False
    doing: str = ""
    since: float = 0.0
    turn: int = 0
    lost: int = 0


class Simulation:
    """One campaign; :meth:`run` gives what it took."""

    def __init__(
        self,
        pieces: Mapping[str, Sequence[Piece]],
        machines: Machines,
        *,
        startup: Mapping[str, float],
        attribution: Mapping[str, float],
        known: bool = False,
    ) -> None:
        """Queue all pieces, by subject; nothing starts yet.

        ``known`` asks what if the scheduler knew from an earlier run how fast every subject is.
        """
        self._now, self._order = 0.0, 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduler = Scheduler(
            clock=lambda: self._now, _changed=cast("Condition", _NobodyWaits())
        )
        for name, mine in pieces.items():
            self._scheduler.add(name, cast("Sequence[Unit]", mine))
            if known:
                queue = self._scheduler._queues[name]  # noqa: SLF001 -- it takes no such hint yet
                queue.questions_done = 1
                queue.seconds = _seconds(mine) / sum(piece.questions for piece in mine)
        self._machines, self._startup, self._attribution = machines, startup, attribution
        self._chance = random.Random(machines.seed)  # noqa: S311 -- nothing is secret
        # Spread over the nodes, as the cluster asks Ray to.
        self._free = deque(node for _ in range(machines.cores) for node in range(machines.nodes))
        self._idle: deque[_Hand] = deque(_Hand() for _ in range(machines.workers))
        self._placing: deque[_Hand] = deque()
        self._placed: dict[int, set[_Hand]] = {node: set() for node in range(machines.nodes)}
        self._at_work = 0
        self._harness_free = 0.0
        self.spent = Spent(workers=machines.workers)

    def run(self) -> Spent:
        """Play it to the end."""
        for node in range(self._machines.nodes):
            self._expect_failure(node)
        self._wake()
        while self._at_work:
            self._now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.spent.makespan = self._now
        return self.spent

    def _at(self, moment: float, action: Callable[..., None], *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, action, arguments))

    def _wake(self) -> None:
        """Everybody who waits asks again, as when a unit is done."""
        while self._idle:
            try:
                unit = self._scheduler.take(None)
            except _MustWaitError:
                return
            if unit is None:  # and none for those behind it: nothing has changed
                self.spent.waited += sum(self._now - hand.since for hand in self._idle)
                self._idle.clear()
                return
            hand = self._idle.popleft()
            self.spent.waited += self._now - hand.since
            self._at_work += 1
            self._asks(hand, cast("Piece", unit))

    def _seek(self, hand: _Hand) -> None:
        """One that has nothing to do asks."""
        hand.since = self._now
        try:
            unit = self._scheduler.take(None)
        except _MustWaitError:
            self._idle.append(hand)
            return
        if unit is not None:
            self._at_work += 1
            self._asks(hand, cast("Piece", unit))

    def _asks(self, hand: _Hand, piece: Piece) -> None:
        hand.piece, hand.lost = piece, 0
        self._go_on(hand, "working")

    def _go_on(self, hand: _Hand, doing: str) -> None:
        """Do something that needs an outpost, as soon as there is one."""
        hand.doing = doing
        if hand.node is None:
            self._placing.append(hand)
            self._place()
        else:
            self._begin(hand)

    def _place(self) -> None:
        while self._placing and self._free:
            hand = self._placing.popleft()
            hand.node = self._free.popleft()
            self._placed[hand.node].add(hand)
            self.spent.starts += 1
            self._begin(hand)

    def _begin(self, hand: _Hand) -> None:
        piece = _held(hand)
        seconds = 0.0 if hand.started else self._startup[piece.subject.name]
        if hand.doing == "working":
            seconds += piece.compiling + piece.working
            if piece.together:
                self._hand_in(piece)
        else:
            seconds += self._attribution[piece.subject.name]
        hand.since = self._now
        self._at(self._now + seconds, self._finished, hand, hand.turn)

    def _hand_in(self, piece: Piece) -> None:
        self._harness_free = max(self._harness_free, self._now) + piece.handing
        self.spent.handed += piece.handing

    def _finished(self, hand: _Hand, turn: int) -> None:
        """The outpost is done with what it was asked; unless it was lost since."""
        if turn != hand.turn:
            return
        piece, spent = _held(hand), self.spent
        if not hand.started:
            spent.starting += self._startup[piece.subject.name]
            hand.started = True
        if hand.doing == "attributing":
            spent.attributing += self._attribution[piece.subject.name]
            self._next(hand)
            return
        spent.compiling += piece.compiling
        spent.working += piece.working
        if not piece.together:
            self._hand_in(piece)
        hand.doing = "handing in"
        taken = max(self._harness_free, self._now)
        spent.blocked += taken - self._now
        self._at(taken, self._kept, hand)

    def _kept(self, hand: _Hand) -> None:
        """The rows of its unit are written."""
        piece = _held(hand)
        self.spent.done.append((piece.subject.name, piece.block))
        if self._scheduler.done(cast("Unit", piece)):
            hand.lost = 0
            self._go_on(hand, "attributing")
        else:
            self._next(hand)
        self._wake()

    def _next(self, hand: _Hand) -> None:
        unit = self._scheduler.more(_held(hand).subject.name)
        if unit is not None:
            self._asks(hand, cast("Piece", unit))
            return
        self._leave(hand)
        self._at_work -= 1
        self._seek(hand)

    def _leave(self, hand: _Hand) -> None:
        if hand.node is not None:
            self._placed[hand.node].discard(hand)
            self._free.append(hand.node)
        hand.node, hand.started = None, False
        self._place()

    def _expect_failure(self, node: int) -> None:
        if self._machines.failures:
            after = self._chance.expovariate(self._machines.failures / HOUR)
            self._at(self._now + after, self._fails, node)

    def _fails(self, node: int) -> None:
        """All that was on the node is lost, and asked again elsewhere."""
        self._free = deque(each for each in self._free if each != node)
        for hand in sorted(self._placed[node], key=lambda each: each.since):
            hand.node, hand.started = None, False
            hand.turn += 1
            self.spent.losses += 1
            if hand.doing == "handing in":  # what it answered is here already
                continue
            hand.lost += 1
            self.spent.worst = max(self.spent.worst, hand.lost)
            self.spent.lost += self._now - hand.since
            self._go_on(hand, hand.doing)
        self._placed[node].clear()
        self._at(self._now + self._machines.repair, self._returns, node)

    def _returns(self, node: int) -> None:
        self._free.extend([node] * self._machines.cores)
        self._place()
        self._expect_failure(node)


def _seconds(pieces: Sequence[Piece]) -> float:
    return sum(piece.compiling + piece.working for piece in pieces)


def _held(hand: _Hand) -> Piece:
    if hand.piece is None:
        msg = "a worker without a unit was asked what it does"
        raise RuntimeError(msg)
    return hand.piece
