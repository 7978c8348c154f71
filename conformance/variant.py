"""Variants: what a case asks for beyond plain batch normalization.

A variant is a *request*: something that a user sets on the layer or passes to the call. What a
subject does without being asked (zero-debiased averages, running statistics that normalize during
training, how it cuts a batch into groups) is a convention and belongs to its dialect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias


class VariantKind(StrEnum):
    """The names of the variants, as stored in a case's JSON."""

    PLAIN = "plain"
    RENORM = "renorm"
    GHOST = "ghost"
    SYNCHRONIZED = "synchronized"
    MASKED = "masked"
    WEIGHTED = "weighted"
    ADJUSTED = "adjusted"
    UNTRACKED = "untracked"
    FIXED_GAMMA = "fixed_gamma"


class Hidden(StrEnum):
    """What lies at the positions that a mask hides."""

    ORDINARY = "ordinary"
    NAN = "nan"


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Batch normalization as published in 2015."""

    kind: VariantKind = field(default=VariantKind.PLAIN, init=False)


@dataclass(frozen=True, kw_only=True)
class Renorm:
    """Batch renormalization (Ioffe 2017): corrected towards averages from before the update.

    ``r_min`` and ``r_max`` clip the correction of the deviation, ``d_max`` that of the mean; None
    leaves it unclipped. ``decay`` is the weight of the old value in the averages that the
    correction uses, which are apart from the running statistics.
    """

    r_min: float | None
    r_max: float | None
    d_max: float | None
    decay: float
    kind: VariantKind = field(default=VariantKind.RENORM, init=False)


@dataclass(frozen=True, kw_only=True)
class Ghost:
    """Each group of ``size`` samples is normalized by itself (``virtual_batch_size``)."""

    size: int
    kind: VariantKind = field(default=VariantKind.GHOST, init=False)


@dataclass(frozen=True, kw_only=True)
class Synchronized:
    """The batch is spread over ``replicas`` and normalized by the statistics of all of it.

    With ``uneven`` the replicas get shares of about 1 : 2 : 3 ..., else equal ones.
    """

    replicas: int
    uneven: bool
    kind: VariantKind = field(default=VariantKind.SYNCHRONIZED, init=False)

    def shard_sizes(self, batch: int) -> tuple[int, ...]:
        """Samples on each replica; they sum to ``batch``."""
        shares = [k + 1 if self.uneven else 1 for k in range(self.replicas)]
        ends = [batch * sum(shares[: k + 1]) // sum(shares) for k in range(self.replicas)]
        return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Statistics are taken over the positions that a boolean mask keeps.

    With ``everything`` the mask hides nothing, which must equal no mask at all; with ``nothing`` it
    keeps nothing, as a batch of padding alone does. With ``by_sample`` it has size 1 on every axis
    but the batch, and broadcasts against the input.
    """

    hidden: Hidden
    everything: bool = False
    nothing: bool = False
    by_sample: bool = False
    kind: VariantKind = field(default=VariantKind.MASKED, init=False)


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Statistics are weighted averages over the positions."""

    kind: VariantKind = field(default=VariantKind.WEIGHTED, init=False)


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """In training y = gamma (a xhat + b) + beta, with a and b given for each sample or for all."""

    per_sample: bool
    kind: VariantKind = field(default=VariantKind.ADJUSTED, init=False)


@dataclass(frozen=True, kw_only=True)
class Untracked:
    """No running statistics: inference normalizes by the batch as training does."""

    kind: VariantKind = field(default=VariantKind.UNTRACKED, init=False)


@dataclass(frozen=True, kw_only=True)
class FixedGamma:
    """A gamma is kept but counts as 1, and its gradient is 0."""

    kind: VariantKind = field(default=VariantKind.FIXED_GAMMA, init=False)


Variant: TypeAlias = (
    Plain | Renorm | Ghost | Synchronized | Masked | Weighted | Adjusted | Untracked | FixedGamma
)

PLAIN = Plain()
"""What a case asks for unless it says otherwise."""

_CLASSES: Mapping[VariantKind, Callable[..., Variant]] = {
    VariantKind.PLAIN: Plain,
    VariantKind.RENORM: Renorm,
    VariantKind.GHOST: Ghost,
    VariantKind.SYNCHRONIZED: Synchronized,
    VariantKind.MASKED: Masked,
    VariantKind.WEIGHTED: Weighted,
    VariantKind.ADJUSTED: Adjusted,
    VariantKind.UNTRACKED: Untracked,
    VariantKind.FIXED_GAMMA: FixedGamma,
}


def variant_from_dict(data: Mapping[str, Any]) -> Variant:
    """A variant from its fields; ValueError or TypeError for what does not fit."""
    fields = dict(data)
    kind = VariantKind(fields.pop("kind", VariantKind.PLAIN))
    if kind is VariantKind.MASKED:
        fields["hidden"] = Hidden(fields["hidden"])
    return _CLASSES[kind](**fields)


def sparse_fields(variant: Variant) -> Mapping[str, Any]:
    """The fields whose default is left out of JSON, which is older than they are."""
    return {"nothing": False, "by_sample": False} if isinstance(variant, Masked) else {}


def variant_problems(variant: Variant, batches: tuple[int, ...]) -> Iterator[str]:
    """What about ``variant`` contradicts itself or the sizes of the batches, one sentence each."""
    match variant:
        case Renorm():
            yield from _renorm_problems(variant)
        case Masked(everything=True, nothing=True):
            yield "a mask cannot keep everything and nothing"
        case Ghost(size=size):
            if size < 1 or any(batch % size for batch in batches):
                yield f"variant.size must divide every batch, got {size} for {batches}"
        case Synchronized(replicas=replicas, uneven=uneven):
            if replicas < 2:
                yield f"variant.replicas must be 2 or more, got {replicas}"
            elif any(0 in variant.shard_sizes(batch) for batch in batches):
                yield f"every replica needs a sample, got {replicas} for batches {batches}"
            elif not uneven and any(batch % replicas for batch in batches):
                yield f"variant.replicas must divide every batch, got {replicas} for {batches}"
        case _:
            return


def _renorm_problems(variant: Renorm) -> Iterator[str]:
    if not 0 <= variant.decay <= 1:
        yield f"variant.decay must be in [0, 1], got {variant.decay}"
    for name in ("r_min", "r_max", "d_max"):
        limit = getattr(variant, name)
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            yield f"variant.{name} must be finite and >= 0, or None, got {limit}"
