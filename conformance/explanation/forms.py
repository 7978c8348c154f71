"""Divergences that are no matter of values: told as the judge told them."""

from __future__ import annotations

from ..verdict import (
    Cause,
    Diverges,
    Unrepeatable,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)
from .explanation import Explanation, Witness
from .findings import VALUES, Findings
from .names import Kind, Why
from .scope import find_scope, likely_scope

OF_NOTHING = ", empty batch"
"""Ends the name of a form whose cases have no values at all."""

_SENTENCES = {
    Cause.NOT_FINITE.value + OF_NOTHING: "NaN or an infinity comes of an empty batch",
    Cause.NOT_FINITE.value: "NaN or an infinity comes of finite input, which no alternative gives",
    Cause.HIDES_NON_FINITE.value: "a finite value comes of NaN or an infinity",
}
"""Of values that no alternative accounts for."""


def of_form(
    found: Findings, name: str, clause: str, rows: set[tuple[int, str, str]]
) -> Explanation:
    """The explanation of rows of one form.

    ``rows`` are positions of witnesses with quantity and clause; ``clause`` is '' where one form
    breaks several.
    """
    indices = {index for index, _, _ in rows}
    empty = name.endswith(OF_NOTHING)
    others = [
        found.facts[i]
        for i, witness in enumerate(found.witnesses)
        if i not in indices and any(j.clause == (clause or j.clause) for j in witness.judgements)
    ]
    affected = [found.facts[i] for i in sorted(indices)]
    where = likely_scope(affected, others) or find_scope(affected, others)
    if empty:
        where = {"smallest_count": 0}
    kind, why = (
        (Kind.CONVENTION, Why.STATE_UPDATED_IN_INFERENCE.value)
        if name == Cause.STATE_CHANGED.value
        else (Kind.FORM, name.removesuffix(OF_NOTHING))
    )
    messages = sorted({_message(found.witnesses[i], name) for i in indices}, key=len)
    return Explanation(
        subject=found.adapter.name,
        kind=kind,
        name=why,
        sentence=messages[0] or _SENTENCES.get(name, name),
        where=where or {},
        clauses=tuple(sorted({broken for _, _, broken in rows})),
        quantities=tuple(sorted({quantity for _, quantity, _ in rows})),
        affected=tuple(sorted((found.witnesses[i].case.id, q) for i, q, _ in rows)),
    )


def form_of(verdict: Verdict) -> str | None:
    """What a verdict that is no matter of values is called; None for all others."""
    match verdict:
        case Diverges(cause=cause) if cause not in VALUES:
            return cause.value
        case WrongContract():
            return "wrong contract"
        case WorkerCrashed():
            return "crash"
        case WorkerHung():
            return "hang"
        case Unrepeatable():
            return "not repeatable"
        case _:
            return None


def _message(witness: Witness, name: str) -> str:
    """What the judge said of a form of divergence."""
    for judgement in witness.judgements:
        if form_of(judgement.verdict) == name:
            return str(getattr(judgement.verdict, "message", ""))
    return ""
