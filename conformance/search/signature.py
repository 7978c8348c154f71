"""The signature of a divergence: what makes two sightings the same one.

A signature names the subject, the clause, the quantity, the verdict and its cause, the known
divergence that covers it, and coarsely where it shows: the input's format, the mode, the kind of
variant, and the part of the computation that diverges first. Sizes, values, epsilon, decay and
layouts are left out, so that one cause does not have a thousand signatures. The exception that a
subject raised and the code that it died with are part of the cause, and so is the waiver: two
defects are not merged because both end in an error, or because only one of them is accepted.

A divergence that another of the same call explains (``y_infer`` after a wrong ``running_var``) is
a *follower*: its ``first`` is not its own part. A second defect that shows only behind a first
one is a follower too, until the first is mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..case import Case
from ..contract import Quantity
from ..record import UNEXPECTED, Record, VerdictKind
from ..verdict import CALL, Cause


class Part(StrEnum):
    """Parts of a call, in the order of the computation."""

    CALL = "call"
    STATISTICS = "statistics"
    OUTPUT = "output"
    STATE = "state"
    INFERENCE = "inference"
    GRADIENTS = "gradients"


_PARTS: Mapping[str, Part] = {
    CALL: Part.CALL,
    Quantity.BATCH_MEAN: Part.STATISTICS,
    Quantity.BATCH_VAR: Part.STATISTICS,
    Quantity.Y: Part.OUTPUT,
    Quantity.RUNNING_MEAN: Part.STATE,
    Quantity.RUNNING_VAR: Part.STATE,
    Quantity.Y_INFER: Part.INFERENCE,
    Quantity.DX: Part.GRADIENTS,
    Quantity.DGAMMA: Part.GRADIENTS,
    Quantity.DBETA: Part.GRADIENTS,
}

_STATISTICS = (Quantity.BATCH_MEAN, Quantity.BATCH_VAR)
_STATE = (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR)
_SOURCES: Mapping[str, tuple[Quantity, ...]] = {
    Quantity.BATCH_VAR: (Quantity.BATCH_MEAN,),
    Quantity.Y: _STATISTICS,
    Quantity.RUNNING_MEAN: (Quantity.BATCH_MEAN,),
    Quantity.RUNNING_VAR: _STATISTICS,
    Quantity.Y_INFER: (*_STATISTICS, Quantity.Y, *_STATE),
    Quantity.DX: (*_STATISTICS, Quantity.Y),
    Quantity.DGAMMA: (*_STATISTICS, Quantity.Y),
}
"""Quantities whose error enters another; dbeta sums the upstream gradient and needs none."""


@dataclass(frozen=True, kw_only=True, order=True)
class Signature:
    """What makes two sightings of a divergence the same one; see the module's text."""

    subject: str
    quantity: str
    clause: str
    verdict: str
    cause: str
    known: str
    first: str
    dtype: str
    mode: str
    variant: str

    @property
    def kernel(self) -> tuple[str, ...]:
        """The signature without clause, format, mode and variant: what goes wrong."""
        return self.subject, self.quantity, self.verdict, self.cause, self.known, self.first

    @property
    def leading(self) -> bool:
        """Whether nothing that diverges earlier in the computation explains it."""
        return self.first == _part(self.quantity)

    def __str__(self) -> str:
        """As a terminal shows it."""
        where = f"{self.dtype} {self.mode}"
        where += "" if self.variant == "plain" else f" {self.variant}"
        return f"{self.quantity} {self.clause} {self.cause}, {where}"


def signatures_of(case: Case, records: Iterable[Record]) -> dict[Signature, Record]:
    """The signatures that the records of one ``case`` show, each with its worst record."""
    bad = [record for record in records if record.verdict in UNEXPECTED]
    # What inference does to the state comes after everything else, and explains none of it.
    values = {record.quantity for record in bad if record.cause != Cause.STATE_CHANGED}
    found: dict[Signature, Record] = {}
    for record in bad:
        signature = Signature(
            subject=record.subject,
            quantity=record.quantity,
            clause=record.clause,
            verdict=record.verdict,
            cause=_cause(record),
            known=record.known,
            first=_first(record, values),
            dtype=case.dtype.value,
            mode=case.mode.value,
            variant=case.variant.kind.value,
        )
        if signature not in found or record.error_ratio > found[signature].error_ratio:
            found[signature] = record
    return found


def _first(record: Record, diverging: set[str]) -> str:
    if record.cause != Cause.STATE_CHANGED:
        for source in _SOURCES.get(record.quantity, ()):
            if source in diverging:
                return _part(source)
    return _part(record.quantity)


def _part(quantity: str) -> str:
    """The part that ``quantity`` belongs to; one that we do not know stands for itself."""
    return _PARTS.get(quantity, quantity)


def _cause(record: Record) -> str:
    """The record's cause, with the type of an exception or the code of an exit."""
    if record.verdict == VerdictKind.WRONG_CONTRACT:
        return record.message.split(":", maxsplit=1)[0]
    if record.verdict == VerdictKind.CRASHED:
        return f"crash, {record.message.rpartition(' with ')[2]}"
    return record.cause
