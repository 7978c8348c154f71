"""An Explanation: one cause of divergences of one subject, and all that it accounts for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..case import Case
from ..contract import Outcome
from ..verdict import Judgement
from .names import Kind


@dataclass(frozen=True, kw_only=True)
class Witness:
    """One case that the subject answered, and how that was judged."""

    case: Case
    outcome: Outcome
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One cause.

    ``name`` is a member of ``Why`` or ``Stage``, or for Kind.FORM what the verdict says (a
    ``verdict.Cause``, 'wrong contract', 'crash', 'hang', 'not repeatable'); ``where`` the facts
    (see ``known.case_facts``) that all affected cases share and that no unaffected one has, empty
    when every case that could show it does; ``affected`` pairs of (case id, quantity) that it
    accounts for; ``clauses`` and ``quantities`` those of the judgements among them.
    """

    subject: str
    kind: Kind
    name: str
    sentence: str
    where: Mapping[str, Any]
    clauses: tuple[str, ...]
    quantities: tuple[str, ...]
    affected: tuple[tuple[str, str], ...]
