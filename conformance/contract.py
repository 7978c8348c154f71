"""The contract between the harness and an implementation under test.

An *adapter* declares what it is (name, dialect, capabilities) without importing its framework,
imports the framework in its constructor, and builds *layers*. A layer takes NumPy arrays and gives
NumPy arrays; every cast, transpose and device transfer happens inside it. What comes back from a
worker process is an *outcome*: an answer, or the way in which there was none.

To write an adapter, copy ``adapters/numpy_reference.py``; ``bnconform smoke FILE.py:Class`` then
checks the least it must do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy.typing as npt

from .case import Case, Mode
from .dialect import Dialect
from .formats import DType
from .malformation import Malformation
from .variant import VariantKind

Array: TypeAlias = npt.NDArray[Any]


class Quantity(StrEnum):
    """What is judged."""

    Y = "y"
    BATCH_MEAN = "batch_mean"
    BATCH_VAR = "batch_var"
    RUNNING_MEAN = "running_mean"
    RUNNING_VAR = "running_var"
    DX = "dx"
    DGAMMA = "dgamma"
    DBETA = "dbeta"
    Y_INFER = "y_infer"


FORWARD = frozenset({Quantity.Y, Quantity.Y_INFER})
BATCH_STATISTICS = frozenset({Quantity.BATCH_MEAN, Quantity.BATCH_VAR})
RUNNING_STATISTICS = frozenset({Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR})
GRADIENTS = frozenset({Quantity.DX, Quantity.DGAMMA, Quantity.DBETA})


class Axes(StrEnum):
    """Which sets of feature axes a subject takes."""

    CHANNEL = "channel"
    """Axis 1."""
    CHANNEL_OR_LAST = "channel_or_last"
    """One axis: 1 or the last."""
    ANY_ONE = "any_one"
    """Any single axis."""
    ANY_SET = "any_set"
    """Any set of axes."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a subject can be asked at all. Anything else is ``Unsupported``, with the reason.

    ``quantities`` are those it exposes; ``ranks`` the input ranks it accepts; ``cumulative``
    whether it has a cumulative average (``decay=None``); ``partial_affine`` whether scale and
    center can be switched off one by one; ``variants`` what it offers beyond plain batch
    normalization; ``half_parameters`` whether parameters and state may be in half precision;
    ``experiments`` the names of those it can run (see :class:`Observer`); ``passes_on`` the
    malformed values that reach the framework as they are, so that its answer is the framework's
    and not the adapter's.
    """

    dtypes: frozenset[DType]
    ranks: frozenset[int]
    axes: Axes
    modes: frozenset[Mode]
    quantities: frozenset[Quantity]
    cumulative: bool = False
    partial_affine: bool = True
    variants: frozenset[VariantKind] = frozenset({VariantKind.PLAIN})
    half_parameters: bool = False
    experiments: frozenset[str] = frozenset()
    passes_on: frozenset[Malformation] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)
    """Capability name -> where its limit comes from (an error message, a signature)."""

    def unsupported(self, case: Case) -> str | None:
        """Why ``case`` is out of reach, or None when it is within it."""
        if case.dtype not in self.dtypes:
            return f"no {case.dtype} input with parameters in the matching format"
        if case.rank not in self.ranks:
            return f"no input of rank {case.rank}"
        if case.mode not in self.modes:
            return f"no {case.mode} mode"
        if case.decay is None and case.mode is Mode.TRAIN and not self.cumulative:
            return "no cumulative average"
        if case.center != case.scale and not self.partial_affine:
            return "gamma and beta only both or neither"
        if case.variant.kind not in self.variants:
            return f"no variant '{case.variant.kind}'"
        if case.half_parameters and not self.half_parameters:
            return "no parameters and state in half precision"
        return self._unsupported_axes(case)

    def _unsupported_axes(self, case: Case) -> str | None:
        axes = case.channel_axes
        if len(axes) > 1 and self.axes is not Axes.ANY_SET:
            return "one feature axis only"
        if self.axes is Axes.CHANNEL and axes[0] != 1:
            return f"feature axis {axes[0]} of rank {case.rank}: only axis 1"
        if self.axes is Axes.CHANNEL_OR_LAST and axes[0] not in (1, case.rank - 1):
            return f"feature axis {axes[0]} of rank {case.rank}: only axis 1 or the last"
        return None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Parameters and state a layer starts from, all of the case's ``feature_shape``.

    Their format is the case's ``parameter_format``. ``gamma`` is None when the case has no scale,
    ``beta`` when it has no center. The last three belong to the variant 'renorm' and are None
    elsewhere: the averages that it corrects towards, and the running deviation
    sqrt(running_var + epsilon), which it averages in place of the running variance.
    """

    gamma: Array | None
    beta: Array | None
    running_mean: Array
    running_var: Array
    renorm_mean: Array | None = None
    renorm_stddev: Array | None = None
    running_stddev: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a layer answered to one call; None for what it does not expose.

    ``y`` and ``dx`` have the input's shape; everything else has the case's ``feature_shape``. The
    running statistics are those *after* the call.
    """

    y: Array
    batch_mean: Array | None = None
    batch_var: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    dx: Array | None = None
    dgamma: Array | None = None
    dbeta: Array | None = None


class Layer(Protocol):
    """One batch-norm layer with its state."""

    def train(self, x: Array, dy: Array) -> Step:
        """Call in training mode, differentiate sum(y * dy), and update the state."""
        ...

    def infer(self, x: Array, dy: Array) -> Step:
        """Call in inference mode and differentiate sum(y * dy)."""
        ...


class VariantLayer(Protocol):
    """A layer whose variant takes arrays with every training call.

    ``weights`` belongs to 'masked' (boolean) and 'weighted' (the parameters' format), and has the
    input's shape with size 1 on every feature axis, or a shape that broadcasts against that;
    ``adjust_scale`` and ``adjust_shift`` belong to
    'adjusted' and broadcast against the input.
    """

    def train(
        self,
        x: Array,
        dy: Array,
        *,
        weights: Array | None = None,
        adjust_scale: Array | None = None,
        adjust_shift: Array | None = None,
    ) -> Step:
        """Call in training mode; what the variant does not use stays None."""
        ...


class ForwardLayer(Protocol):
    """A layer that can be called without being differentiated.

    Malformed calls use that where there is one. It is needed only where a framework computes output
    and gradients in one go, so that an error in the gradients would hide an answer.
    """

    def forward(self, x: Array, *, training: bool) -> Step:
        """The output and the state after the call."""
        ...


class Adapter(Protocol):
    """One implementation under test.

    The class attributes are read without constructing; the constructor imports the framework and
    may raise ImportError, which makes the subject unavailable. ``environment`` is set in the
    worker process before the adapter's framework is imported.
    """

    name: ClassVar[str]
    framework: ClassVar[str]
    dialect: ClassVar[Dialect]
    capabilities: ClassVar[Capabilities]
    environment: ClassVar[Mapping[str, str]]

    version: str
    device: str

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A fresh layer for ``case`` with these parameters and this state."""
        ...


class Observer(Protocol):
    """An adapter that can also run experiments: what no single layer call shows.

    ``conformance/experiments`` holds them by name, with the arrays each is given and what must be
    observed; an adapter names those it can run in ``capabilities.experiments``.
    """

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """What the experiment observes, by the names that the experiment expects."""
        ...


class UnsupportedError(Exception):
    """Raised by an adapter for a case that its framework does not offer; the text says why.

    For what can be said without running, use :class:`Capabilities`.
    """


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All steps of a case in order, then the inference call that follows training."""

    steps: tuple[Step, ...]
    inference: Step | None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The subject answered.

    ``unrepeatable`` names quantities that differed bitwise when the case was run again, None when
    it was not; ``mutated`` names inputs that the subject overwrote.
    """

    answer: Answer
    seconds: float
    unrepeatable: tuple[Quantity, ...] | None
    mutated: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """The subject does not offer this; never counted as a pass."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Raised:
    """The subject raised an exception."""

    error: str
    """Type and message, one line."""
    traceback: str
    seconds: float
    output: str
    message: str = ""
    """The message in full, as far as it is kept."""


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """The worker process died; ``exit_code`` is negative for a signal."""

    exit_code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class Hung:
    """No answer within ``limit`` seconds."""

    limit: float
    output: str


Outcome: TypeAlias = Answered | Unsupported | Raised | Crashed | Hung


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What an experiment showed, by name."""

    arrays: Mapping[str, Array]
    seconds: float
    output: str


Observation: TypeAlias = Observed | Unsupported | Raised | Crashed | Hung
"""What became of an experiment."""
