"""State as a sequence: what a layer must give however its calls follow one another.

A campaign's case is a few training steps and an inference call. Here training, inference, changes
of the settings, saving and loading come in any order, and after every one of them the layer is
compared with a :class:`Model` that carries the exact running statistics and their bounds along.
``player.py`` does that, ``machine.py`` draws the sequences; ``docs/sequences.md``
says what is exercised and how to add a subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Protocol

import numpy as np

from ..bounds import Float64
from ..bounds_variants import Average, debiased_error
from ..case import Case, Fill, FillKind, Layout, Mode
from ..cases.fills import StepInputs, make_inputs
from ..contract import Array, Capabilities, Parameters, Step
from ..dialect import Averaging, Dialect, FrozenPolicy
from ..expecting.expectation import Conventions, Expectations
from ..expecting.expecter import Expecter
from ..expecting.running_state import RunningState, State
from ..expecting.stack import Stack
from ..formats import DType
from ..spec import debiased_average


class Operation(StrEnum):
    """What may come between calls, where a subject offers it."""

    SET_DECAY = "set_decay"
    SET_MODE = "set_mode"
    FREEZE = "freeze"
    LOAD = "load"
    RESET = "reset"
    REJECT = "reject"
    """A training call that must raise."""


class StatefulLayer(Protocol):
    """A framework's own layer, with the operations that the framework gives it.

    Only what the subject does not decline is called. Arrays that it gives away must not change in
    later calls.
    """

    def train(self, x: Array, dy: Array) -> Step:
        """Put the layer in training mode, call it and differentiate sum(y * dy)."""
        ...

    def infer(self, x: Array, dy: Array) -> Step:
        """Put the layer in inference mode, call it and differentiate sum(y * dy)."""
        ...

    def call(self, x: Array, dy: Array) -> Step:
        """Call in the mode that the layer is in; belongs to 'set_mode'."""
        ...

    def set_mode(self, *, training: bool) -> None:
        """Switch the layer's own mode, which is training at first."""
        ...

    def set_decay(self, decay: float | None) -> None:
        """Change the weight of the old value from the next update on."""
        ...

    def freeze(self, *, frozen: bool) -> None:
        """Mark the layer as frozen, or no longer, in the framework's own way."""
        ...

    def reset(self) -> None:
        """The framework's own reset: a running mean of 0, a variance of 1, no updates so far."""
        ...

    def save(self) -> bytes:
        """Parameters and state as the framework's own means store them."""
        ...

    def load(self, saved: bytes) -> None:
        """Take parameters and state from what :meth:`save` of such a layer gave.

        Settings (decay, mode, frozen or not) are not stored and stay as they are.
        """
        ...

    def state(self) -> Mapping[str, Array]:
        """All that lasts from call to call, without calling the layer.

        ``running_mean`` and ``running_var``, of ``feature_shape``, are what inference would use;
        further names are the subject's own.
        """
        ...


class StatefulSubject(Protocol):
    """A layer with a state, as its framework's users handle it.

    ``declines`` maps each operation that the framework does not offer to the reason; ``decays``
    are those that it documents to take.
    """

    name: ClassVar[str]
    environment: ClassVar[Mapping[str, str]]
    dialect: ClassVar[Dialect]
    capabilities: ClassVar[Capabilities]
    declines: ClassVar[Mapping[str, str]]
    decays: ClassVar[tuple[float | None, ...]]

    def build(self, case: Case, parameters: Parameters) -> StatefulLayer:
        """A fresh layer for ``case`` with these parameters and this state."""
        ...


_MATRIX = Case(
    shape=(6, 3),
    last_batch=6,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=0),
)
CASES = (
    _MATRIX,
    replace(_MATRIX, shape=(4, 2, 3, 2), last_batch=4, epsilon=1e-5),
    replace(_MATRIX, dtype=DType.FLOAT64),
)
"""What sequences are played on: small, as it is the order of calls that is under test."""


def cases_of(
    subject: StatefulSubject, dtypes: frozenset[DType] = frozenset(DType)
) -> tuple[Case, ...]:
    """Those of :data:`CASES`, of ``dtypes``, that ``subject`` can be built for; never empty."""
    offered = subject.capabilities
    found = tuple(
        case for case in CASES if case.dtype in dtypes and offered.unsupported(case) is None
    )
    if not found:
        msg = f"{subject.name} can be built for none of the cases that sequences are played on"
        raise ValueError(msg)
    return found


def parameters_of(case: Case, dialect: Dialect, seed: int) -> Parameters:
    """Parameters and state from ``seed``.

    A debiased average has nothing to start from, so its statistics are those of an untrained layer.
    """
    drawn = make_inputs(replace(case, fill=Fill(kind=FillKind.NORMAL, seed=seed))).parameters
    if dialect.averaging.value is Averaging.EXPONENTIAL:
        return drawn
    return replace(
        drawn,
        running_mean=np.zeros_like(drawn.running_mean),
        running_var=np.ones_like(drawn.running_var),
    )


def inputs_of(case: Case, batch: int, seed: int) -> StepInputs:
    """Input and upstream gradient of one call on ``batch`` samples."""
    fill = Fill(kind=FillKind.NORMAL, seed=seed)
    called = replace(case, shape=(batch, *case.shape[1:]), last_batch=batch, steps=1, fill=fill)
    return make_inputs(called).steps[0]


class _Averages(RunningState):
    """Running statistics whose decay may change between updates.

    A debiased average divides by the sum of the weights, 1 - decay_1 ... decay_t. For one decay
    that is 1 - decay^t; for several it is what keeps the average of equal values equal to them.
    """

    product = 1.0

    def _debiased(self, decay: Float64, updates: int) -> State:
        self.product *= float(decay[0])
        h, product = self.hidden, self.product
        # In float64 the product is off by t roundings, which the bounds of decay^t cover.
        return State(
            mean=debiased_average(h.mean, product, 1),
            var=debiased_average(h.var, product, 1),
            e_mean=self._error(h.mean.hi, h.e_mean, updates),
            e_var=self._error(h.var.hi, h.e_var, updates),
        )

    def _error(self, hidden: Float64, error: Float64, updates: int) -> Float64:
        """As for the one decay whose power is the product."""
        decay = self.product ** (1.0 / updates)
        average = Average(value=hidden, error=error)
        return debiased_error(average, decay, updates, self.precision)


@dataclass(frozen=True, kw_only=True)
class Memento:
    """What a layer's saved state stands for in the model."""

    state: State
    hidden: State
    product: float
    updates: int


class Model:
    """What a layer must give, call by call: the spec, the bounds and a count of updates."""

    def __init__(self, case: Case, parameters: Parameters, dialect: Dialect) -> None:
        """Begin with ``parameters``, in training mode and not frozen."""
        self.conventions = Conventions.of(dialect)
        self.stack = Stack.of([case], self.conventions.epsilon_floor)
        stacked = self.stack.parameters([parameters])
        self.expecter = Expecter(self.stack, stacked, self.conventions)
        self.running = _Averages(self.stack, stacked, self.conventions, self.expecter.number)
        self.expecter.running = self.running
        self.updates = 0
        self.training, self.frozen = True, False

    @property
    def decay(self) -> float | None:
        """The weight of the old value in the next update."""
        decay = self.expecter.stack.decay
        return None if decay is None else float(decay[0])

    @decay.setter
    def decay(self, decay: float | None) -> None:
        given = None if decay is None else np.array([decay])
        self.expecter.stack = self.running.stack = replace(self.expecter.stack, decay=given)

    @property
    def moves(self) -> bool:
        """Whether a call in the present mode updates the running statistics."""
        return self.training and not self.frozen

    def call(self, inputs: StepInputs) -> Expectations:
        """What a call in the present mode gives; the state after it is :meth:`state`."""
        stacked = self.stack.step([inputs])
        by_batch = self.conventions.frozen is FrozenPolicy.BATCH_STATISTICS
        if self.moves:
            self.updates += 1
            found = self.expecter.train(stacked, self.updates)
        elif self.training and by_batch:
            found = self.expecter.by_batch(stacked)
        else:
            found = self.expecter.infer(stacked)
        return self.stack.opened(found)[0]

    def state(self) -> Expectations:
        """The running statistics as they stand."""
        return self.stack.opened(self.expecter.state_expectations())[0]

    def save(self) -> Memento:
        """The state as it stands."""
        now = self.running
        return Memento(
            state=now.state, hidden=now.hidden, product=now.product, updates=self.updates
        )

    def load(self, saved: Memento) -> None:
        """Go on from ``saved``; the settings stay."""
        self.running.state, self.running.hidden = saved.state, saved.hidden
        self.running.product, self.updates = saved.product, saved.updates

    def reset(self) -> None:
        """Begin again: a running mean of 0 and a variance of 1, both exact."""
        zero, number = np.zeros(self.expecter.wide), self.expecter.number
        self.running.state = State(
            mean=number(zero), var=number(zero + 1.0), e_mean=zero, e_var=zero
        )
        self.running.hidden = replace(self.running.state, var=number(zero))
        self.running.product, self.updates = 1.0, 0


def operations_of(subject: StatefulSubject) -> frozenset[Operation]:
    """What ``subject`` does not decline; ValueError where it declines what there is not."""
    unknown = set(subject.declines) - set(Operation)
    if unknown:
        msg = f"{subject.name} declines {sorted(unknown)}; operations are {[*map(str, Operation)]}"
        raise ValueError(msg)
    return frozenset(Operation) - {Operation(name) for name in subject.declines}
