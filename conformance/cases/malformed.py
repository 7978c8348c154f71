"""Malformed calls: ordinary cases with one thing wrong, and what may become of each.

A :class:`Probe` is a base case and a :class:`~.malformation.Malformation`; :func:`make_call` gives
what is sent. Where the equations still have a meaning (an epsilon of 0, a decay of 1.5, integers),
:func:`expected_of` gives what an implementation that accepts the call must answer; elsewhere
whatever it answers is garbage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

import numpy as np

from ..case import Case, Fill, FillKind, Layout, Mode
from ..contract import RUNNING_STATISTICS, Array, Parameters, Quantity
from ..expecting.expectation import Conventions, Expectation
from ..expecting.expecter_variants import EXPECTERS
from ..expecting.stack import Stack
from ..formats import DType
from ..malformation import Malformation
from .fills import Inputs, make_inputs


class Meaning(Enum):
    """What accepting a malformed call can mean."""

    NONE = "no equation says what the answer should be"
    UNWISE = "the equations can be evaluated, but nobody can want that"
    FINE = "the equations hold, so computing is as good as rejecting"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is known of one malformation.

    A message is clear that holds one of ``words``, as the beginning of a word: the argument's
    usual names, or what arrived. ``what`` is told in reports. ``shows`` are the quantities in
    which an answer to such a call is looked at: those that its argument enters first, so that an
    error elsewhere is not laid at its door.
    """

    clause: str
    what: str
    words: tuple[str, ...]
    meaning: Meaning = Meaning.NONE
    modes: frozenset[Mode] = frozenset({Mode.TRAIN, Mode.INFERENCE})
    shows: tuple[Quantity, ...] = (Quantity.Y,)


_CHANNELS = (
    "channel", "feature", "axis", "shape", "size", "element", "dimension", "running", "moving",
    "mean", "gamma", "weight", "scale",
)  # fmt: skip
_GAMMA = ("gamma", "weight", "scale", "parameter", "shape", "size", "element")
_STATISTICS = (
    "running", "moving", "mean", "var", "average", "statistic", "shape", "size", "element",
)  # fmt: skip
_DECAY = ("decay", "momentum", "rate", "average", "exponential_avg_factor")
_TRAIN = frozenset({Mode.TRAIN})
_STATE = (Quantity.Y, Quantity.RUNNING_MEAN)

RULES: Mapping[Malformation, Rule] = {
    Malformation.RANK_TOO_LOW: Rule(
        clause="BN-REJECT-1",
        what="input and upstream gradient of rank 1, (6,), with features on axis 1",
        words=("rank", "ndim", "dim", "axis", "shape", "1d", "1-d"),
    ),
    Malformation.OTHER_CHANNELS: Rule(
        clause="BN-REJECT-2",
        what="2 channels where parameters and statistics have 3",
        words=_CHANNELS,
    ),
    Malformation.ONE_CHANNEL: Rule(
        clause="BN-AXIS-3",
        what="1 channel where parameters and statistics have 3",
        words=_CHANNELS,
    ),
    Malformation.AXIS_OUT_OF_RANGE: Rule(
        clause="BN-REJECT-3",
        what="the axis is the input's rank",
        words=("axis", "axes", "dim", "rank"),
    ),
    Malformation.AXIS_REPEATED: Rule(
        clause="BN-REJECT-4",
        what="the axes are (1, 1)",
        words=("axis", "axes", "dim", "duplicate", "repeat", "unique", "twice"),
        meaning=Meaning.UNWISE,
    ),
    Malformation.GAMMA_OF_OTHER_SIZE: Rule(
        clause="BN-REJECT-5", what="gamma has 4 values for 3 channels", words=_GAMMA
    ),
    Malformation.GAMMA_OF_ONE: Rule(
        clause="BN-REJECT-5", what="gamma has 1 value for 3 channels", words=_GAMMA
    ),
    Malformation.STATISTICS_OF_OTHER_SIZE: Rule(
        clause="BN-REJECT-5",
        what="the running statistics have 4 values for 3 channels",
        words=_STATISTICS,
    ),
    Malformation.STATISTICS_OF_ONE: Rule(
        clause="BN-REJECT-5",
        what="the running statistics have 1 value for 3 channels",
        words=_STATISTICS,
    ),
    Malformation.NEGATIVE_EPSILON: Rule(
        clause="BN-REJECT-6",
        what="epsilon is -0.001, the variances are larger",
        words=("eps", "-0.001", "-1e-03"),
        meaning=Meaning.UNWISE,
    ),
    Malformation.ZERO_EPSILON: Rule(
        clause="BN-REJECT-7",
        what="epsilon is 0, the variances are not",
        words=("eps",),
        meaning=Meaning.FINE,
    ),
    Malformation.DECAY_ABOVE_ONE: Rule(
        clause="BN-REJECT-8",
        what="the old value weighs 1.5, the new one -0.5",
        words=(*_DECAY, "1.5", "-0.5"),
        meaning=Meaning.UNWISE,
        modes=_TRAIN,
        shows=_STATE,
    ),
    Malformation.NEGATIVE_DECAY: Rule(
        clause="BN-REJECT-8",
        what="the old value weighs -0.5, the new one 1.5",
        words=(*_DECAY, "1.5", "-0.5"),
        meaning=Meaning.UNWISE,
        modes=_TRAIN,
        shows=_STATE,
    ),
    Malformation.INTEGER_INPUT: Rule(
        clause="BN-REJECT-9",
        what="the input is of format int32",
        words=("dtype", "int", "float", "type"),
        meaning=Meaning.FINE,
    ),
}
"""Every malformation with its rule."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One malformed call: ``base`` with one thing wrong."""

    base: Case
    malformation: Malformation

    @property
    def id(self) -> str:
        """Sixteen hex digits of a hash of both."""
        text = f"malformed/{self.malformation}/{self.base.id}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def rule(self) -> Rule:
        """What is known of its malformation."""
        return RULES[self.malformation]


@dataclass(frozen=True, kw_only=True)
class _UncheckedCase(Case):
    """A case whose fields may contradict one another."""

    def __post_init__(self) -> None:
        """Accept what a case must not say: that is what the call is to send."""


@dataclass(frozen=True, kw_only=True)
class MalformedCall:
    """What is sent: a layer is built from ``case`` and ``parameters``, and called on x and dy."""

    probe: Probe
    case: Case
    parameters: Parameters
    x: Array
    dy: Array

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays by name."""
        named = {"x": self.x, "dy": self.dy}
        for field in fields(Parameters):
            value = getattr(self.parameters, field.name)
            if value is not None:
                named[field.name] = value
        return named


_BASE = Case(
    shape=(6, 3, 4, 5),
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
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=0),
)

BASES = (
    _BASE,
    replace(_BASE, shape=(6, 3)),
    replace(_BASE, mode=Mode.INFERENCE),
)
"""Images with channels first, and rows, in training; images in inference."""

PROBES = tuple(
    Probe(base=base, malformation=malformation)
    for base in BASES
    for malformation, rule in RULES.items()
    if base.mode in rule.modes
)
"""Every malformed call of a campaign."""


def make_call(probe: Probe) -> MalformedCall:
    """The arrays of the base case with the one thing wrong, freshly allocated."""
    inputs = make_inputs(probe.base)
    call = MalformedCall(
        probe=probe,
        case=probe.base,
        parameters=inputs.parameters,
        x=inputs.steps[0].x,
        dy=inputs.steps[0].dy,
    )
    return _SPOIL[probe.malformation](call)


def expected_of(
    call: MalformedCall, conventions: Conventions
) -> Mapping[Quantity, Expectation] | None:
    """What the equations give for ``call``, None where they say nothing."""
    if call.probe.rule.meaning is Meaning.NONE:
        return None
    if call.probe.malformation is Malformation.AXIS_REPEATED:
        return _evaluated(call, call.probe.base, conventions)  # as if it were named once
    expected = _evaluated(call, call.case, conventions)
    if call.probe.malformation not in (Malformation.DECAY_ABOVE_ONE, Malformation.NEGATIVE_DECAY):
        return expected
    # The bounds are derived for weights in [0, 1]. Every term of theirs is at most linear in one
    # of the two weights, which are below 2 here: twice what a decay of 0 may be off by suffices.
    unit = _evaluated(call, _altered(call.case, decay=0.0), conventions)
    return {
        quantity: replace(want, bound=2 * unit[quantity].bound)
        if quantity in RUNNING_STATISTICS
        else want
        for quantity, want in expected.items()
    }


def _evaluated(
    call: MalformedCall, case: Case, conventions: Conventions
) -> Mapping[Quantity, Expectation]:
    inputs = make_inputs(call.probe.base)
    # Integers are meant as the real numbers that they stand for.
    step = replace(inputs.steps[0], x=call.x.astype(inputs.steps[0].x.dtype), dy=call.dy)
    given = Inputs(parameters=call.parameters, steps=(step,), inference=inputs.inference)
    stack = Stack.of([case], conventions.epsilon_floor)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        stacked = stack.inputs([given])
        expecter = EXPECTERS[case.variant.kind](stack, stacked.parameters, conventions)
        return stack.only(expecter.run(stacked)).steps[0]


def _altered(case: Case, **changes: Any) -> Case:
    """``case`` with fields that need not fit the others."""
    kept = {field.name: getattr(case, field.name) for field in fields(Case)}
    return _UncheckedCase(**(kept | changes))


def _case(**changes: Any) -> Callable[[MalformedCall], MalformedCall]:
    return lambda call: replace(call, case=_altered(call.case, **changes))


def _axis_out_of_range(call: MalformedCall) -> MalformedCall:
    return replace(call, case=_altered(call.case, feature_axes=(call.case.rank,)))


def _two_channels(call: MalformedCall) -> MalformedCall:
    x, dy = (np.ascontiguousarray(array[:, :2]) for array in (call.x, call.dy))
    return replace(call, x=x, dy=dy)


def _one_channel(call: MalformedCall) -> MalformedCall:
    # Where the channel broadcasts, the output has all of them, and so has its gradient: one of the
    # input's shape would be what is rejected, and not the call.
    return replace(call, x=np.ascontiguousarray(call.x[:, :1]))


def _rank_too_low(call: MalformedCall) -> MalformedCall:
    x, dy = (array.reshape(len(array), -1)[:, 0].copy() for array in (call.x, call.dy))
    return replace(call, x=x, dy=dy)


def _resized(count: int, *names: str) -> Callable[[MalformedCall], MalformedCall]:
    """The named parameters with ``count`` values."""

    def spoil(call: MalformedCall) -> MalformedCall:
        sized = {name: np.resize(getattr(call.parameters, name), count) for name in names}
        return replace(call, parameters=replace(call.parameters, **sized))

    return spoil


def _integers(call: MalformedCall) -> MalformedCall:
    return replace(call, x=np.rint(4.0 * call.x).astype(np.int32))


_SPOIL: Mapping[Malformation, Callable[[MalformedCall], MalformedCall]] = {
    Malformation.RANK_TOO_LOW: _rank_too_low,
    Malformation.OTHER_CHANNELS: _two_channels,
    Malformation.ONE_CHANNEL: _one_channel,
    Malformation.AXIS_OUT_OF_RANGE: _axis_out_of_range,
    Malformation.AXIS_REPEATED: _case(feature_axes=(1, 1)),
    Malformation.GAMMA_OF_OTHER_SIZE: _resized(4, "gamma"),
    Malformation.GAMMA_OF_ONE: _resized(1, "gamma"),
    Malformation.STATISTICS_OF_OTHER_SIZE: _resized(4, "running_mean", "running_var"),
    Malformation.STATISTICS_OF_ONE: _resized(1, "running_mean", "running_var"),
    Malformation.NEGATIVE_EPSILON: _case(epsilon=-1e-3),
    Malformation.ZERO_EPSILON: _case(epsilon=0.0),
    Malformation.DECAY_ABOVE_ONE: _case(decay=1.5),
    Malformation.NEGATIVE_DECAY: _case(decay=-0.5),
    Malformation.INTEGER_INPUT: _integers,
}
