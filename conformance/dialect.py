"""The Dialect: the conventions that a subject *documents*, each with where it says so.

A dialect is a claim to be tested and never a correction: the judge expects what the dialect
claims, so a subject that does something else diverges, whatever its documentation says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class MomentumSense(StrEnum):
    """What the subject's ``momentum`` argument weighs."""

    DECAY = "decay"
    """The old value: r <- momentum r + (1 - momentum) b."""
    RATE = "rate"
    """The new value: r <- (1 - momentum) r + momentum b."""
    NONE = "none"
    """The subject keeps no running statistics."""


class RunningVariance(StrEnum):
    """Which variance enters the running average."""

    BIASED = "biased"
    """The batch's own v = sum (x - mu)^2 / n."""
    UNBIASED = "unbiased"
    """Bessel's correction, v n / max(n - 1, 1)."""
    NONE = "none"
    """No running variance is kept."""


class VarianceAlgorithm(StrEnum):
    """How the variance is computed: this, not the result, decides the error bound."""

    TWO_PASS = "two_pass"
    """sum (x - mean)^2 / n after the mean is known."""
    WELFORD = "welford"
    """A running mean and sum of squares, or Chan's merge of partial ones."""
    ONE_PASS = "one_pass"
    """E[x^2] - E[x]^2, whose error grows with (mean / deviation)^2."""


class Policy(StrEnum):
    """What happens to an input that has too few values per channel."""

    COMPUTES = "computes"
    REJECTS = "rejects"


class FrozenPolicy(StrEnum):
    """Which statistics a layer uses in training mode once it is marked as not trainable."""

    RUNNING_STATISTICS = "running_statistics"
    BATCH_STATISTICS = "batch_statistics"
    """Normalizes by the batch and leaves the running statistics alone."""
    NONE = "none"
    """The subject has no such mark."""


class HalfOutput(StrEnum):
    """Format of the output when the input is half precision and the parameters are float32.

    Without gamma and beta there is nothing to promote to: the output has the input's format.
    """

    INPUT = "input"
    PARAMETERS = "parameters"


class HalfGradient(StrEnum):
    """How dx of a half-precision input is put together."""

    ONCE = "once"
    """In the accumulation format, and rounded to the input's format once."""
    BY_TERM = "by_term"
    """As a sum of contributions that are each rounded to the input's format: what automatic
    differentiation does where the input is widened at several places."""


class Averaging(StrEnum):
    """How a running average begins."""

    EXPONENTIAL = "exponential"
    """r <- decay r + (1 - decay) b, from the initial value on."""
    ZERO_DEBIASED = "zero_debiased"
    """The same from 0, and divided by 1 - decay^t after t updates; the initial value is unused."""


class TrainingStatistics(StrEnum):
    """What normalizes in training."""

    BATCH = "batch"
    RUNNING = "running"
    """The running statistics after the update, differentiated through the batch's share."""


class GhostGroups(StrEnum):
    """Which samples of a batch of N form a group of the variant 'ghost'."""

    CONTIGUOUS = "contiguous"
    """0 .. size - 1, then size .. 2 size - 1, and so on."""
    INTERLEAVED = "interleaved"
    """j, j + N / size, j + 2 N / size, and so on."""


class SavedStatistics(StrEnum):
    """The format in which batch statistics are kept before they normalize."""

    ACCUMULATION = "accumulation"
    INPUT = "input"
    """Rounded to the input's format: for half precision that costs most of their digits."""
    PARAMETERS = "parameters"
    """Rounded to the parameters' format: half precision only where they are in it, too."""


class Arithmetic(StrEnum):
    """What multiplications are carried out in."""

    IEEE = "ieee"
    TF32 = "tf32"
    """Factors are rounded to 11 significant bits first, products summed in float32."""


@dataclass(frozen=True)
class Claim(Generic[T]):
    """One documented convention and where it is documented."""

    value: T
    source: str

    def __post_init__(self) -> None:
        """Refuse a claim that nobody could check."""
        if not self.source:
            msg = f"the claim {self.value!r} needs a source: where is it documented?"
            raise ValueError(msg)


_ASSUMED = "assumed: nothing else is documented"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """All conventions of one subject.

    ``default_momentum`` is in the subject's own sense; ``epsilon_floor`` is the least epsilon it
    uses whatever it is given (0 for none).
    """

    momentum: Claim[MomentumSense]
    default_momentum: Claim[float | None]
    default_epsilon: Claim[float | None]
    epsilon_floor: Claim[float]
    running_variance: Claim[RunningVariance]
    variance: Claim[VarianceAlgorithm]
    single_value: Claim[Policy]
    empty_batch: Claim[Policy]
    frozen: Claim[FrozenPolicy]
    half_output: Claim[HalfOutput]
    half_gradient: Claim[HalfGradient] = Claim(HalfGradient.ONCE, "assumed: none is documented")
    averaging: Claim[Averaging] = Claim(Averaging.EXPONENTIAL, _ASSUMED)
    training_statistics: Claim[TrainingStatistics] = Claim(TrainingStatistics.BATCH, _ASSUMED)
    ghost_groups: Claim[GhostGroups] = Claim(GhostGroups.CONTIGUOUS, _ASSUMED)
    saved_statistics: Claim[SavedStatistics] = Claim(SavedStatistics.ACCUMULATION, _ASSUMED)
    arithmetic: Claim[Arithmetic] = Claim(Arithmetic.IEEE, _ASSUMED)

    def claims(self) -> dict[str, Claim[object]]:
        """The claims by field name, in declaration order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
