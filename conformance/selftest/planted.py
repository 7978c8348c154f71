"""What is planted in a miniature, and what the suite must say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..contract import Adapter
from ..engine.loading import Target
from ..known.divergences import WHERE_FIELDS


class Form(StrEnum):
    """Names of explanations that are no matter of values, beside those of ``verdict.Cause``."""

    WRONG_CONTRACT = "wrong contract"
    CRASH = "crash"
    HANG = "hang"
    NOT_REPEATABLE = "not repeatable"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A miniature adapter and its defect.

    ``causes`` are the names that the defect may be explained by: members of ``Why`` or ``Stage``, a
    ``verdict.Cause`` or a :class:`Form`; a control, which has no defect, has none. ``where`` names
    facts of a case (see ``known.case_facts``) of which an explanation must narrow at least one,
    because the defect shows only there. ``source`` is the real defect of this class.
    """

    adapter: type[Adapter]
    causes: tuple[str, ...]
    where: tuple[str, ...]
    sentence: str
    source: str

    def __post_init__(self) -> None:
        """Refuse facts that no case has."""
        strangers = sorted(set(self.where) - set(WHERE_FIELDS))
        if strangers:
            msg = f"{self.name}: no facts {strangers}; there are {', '.join(WHERE_FIELDS)}"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """The adapter's name."""
        return self.adapter.name

    @property
    def is_control(self) -> bool:
        """Whether nothing is planted."""
        return not self.causes

    @property
    def target(self) -> Target:
        """Where a worker process finds the adapter."""
        return Target(module=self.adapter.__module__, attribute=self.adapter.__name__)
