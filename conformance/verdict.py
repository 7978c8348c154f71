"""The Verdict on one quantity: a closed union, matched with ``match`` and ``assert_never``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from .contract import Quantity


class Cause(StrEnum):
    """What kind of divergence it is, as far as one quantity alone can tell."""

    BEYOND_BOUND = "beyond bound"
    NOT_FINITE = "not finite"
    HIDES_NON_FINITE = "hides non-finite input"
    WRONG_SHAPE = "wrong shape"
    WRONG_FORMAT = "wrong format"
    MISSING = "missing"
    STATE_CHANGED = "state changed"
    INPUT_OVERWRITTEN = "input overwritten"
    ACCEPTED = "accepted"
    GARBAGE = "garbage"
    UNCLEAR = "unclear message"


class Behaviour(StrEnum):
    """What a subject makes of a call that may, should or must be rejected."""

    REJECTS_CLEARLY = "rejects with a clear message"
    REJECTS_UNCLEARLY = "rejects unclearly"
    COMPUTES = "accepts and computes"
    GARBAGE = "accepts and returns garbage"
    CRASHES = "crashes"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The worst element of a comparison, and how much of it could be judged.

    ``ratio`` is |got - expected| / bound; ``ulp`` the error in units in the last place of the
    expected value's format; ``index`` the element's position.
    """

    ratio: float
    abs_error: float
    ulp: float
    bound: float
    expected: float
    got: float
    index: tuple[int, ...]
    judged: int
    vacuous: int


@dataclass(frozen=True, kw_only=True)
class Conforms:
    """Every judged element is within its bound; vacuous when there was none to judge."""

    measure: Measure | None = None

    @property
    def vacuous(self) -> bool:
        """Whether nothing could be judged, which is not a pass."""
        return self.measure is not None and self.measure.judged == 0


@dataclass(frozen=True, kw_only=True)
class Diverges:
    """Some element is outside its bound, or the answer has the wrong form."""

    cause: Cause
    message: str
    measure: Measure | None = None


@dataclass(frozen=True, kw_only=True)
class NotSupported:
    """The subject does not offer it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class WrongContract:
    """It raised where it must answer, or answered where it documents that it rejects."""

    message: str


@dataclass(frozen=True, kw_only=True)
class WorkerCrashed:
    """The process died."""

    exit_code: int


@dataclass(frozen=True, kw_only=True)
class WorkerHung:
    """No answer in time."""

    limit: float


@dataclass(frozen=True, kw_only=True)
class Unrepeatable:
    """The same case run again gave other bits."""

    quantities: tuple[Quantity, ...]


Verdict: TypeAlias = (
    Conforms | Diverges | NotSupported | WrongContract | WorkerCrashed | WorkerHung | Unrepeatable
)


class Judgement(NamedTuple):
    """One verdict: which clause it is evidence for, on which quantity, from which step.

    ``behaviour`` is None but where a call may be rejected.
    """

    clause: str
    quantity: str
    verdict: Verdict
    step: int = -1
    behaviour: Behaviour | None = None


CALL = "call"
"""The quantity of judgements about a call as a whole."""
