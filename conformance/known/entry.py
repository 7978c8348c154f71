"""A strict known divergence, drafted from a divergence of a run.

It covers the rows that are meant and no other row of that run, or there is none. Where the run
names the cause, all rows of the subject with that cause are meant, else those of one divergence.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from ..explanation.names import Kind
from ..explanation.row_causes import Facts
from ..explanation.scope import FACTS, STRUCTURE, find_scope, meets
from ..record import VerdictKind
from .divergences import EXPLANATIONS, KnownDivergence
from .scope import covered, in_scope

REVIEW_AFTER = datetime.timedelta(days=180)
"""How long an entry stands where nobody says otherwise."""

UNREPORTED = "not reported yet"

_TOPIC = ("malformation", "experiment")

_USES_DECAY = {"running_mean", "running_var", "y_infer", "call"}
"""A decay that cases share by chance says nothing of the other quantities."""

_MOST_SHARED = 3
_LEAST_TOLD_APART = 0.25
"""A shared fact that keeps fewer of the unaffected cases out says little."""


class EntryError(ValueError):
    """No strict entry can be written; the text says what it would hide, or what to do."""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """What identifies a divergence of a run; see ``bundles.bundle_key``."""

    id: str
    subject: str
    clause: str
    quantity: str
    verdict: str
    cause: str
    known: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The rows of a run; ``causes`` and ``kinds`` say what explains them.

    ``frame`` holds records, ``causes`` the name of each row's explanation or '', ``kinds`` the
    :class:`Kind` and ``wheres`` the scope of each name, where there is only one.
    """

    frame: pd.DataFrame
    facts: Facts
    causes: pd.Series[str]
    kinds: Mapping[str, str]
    wheres: Mapping[str, Mapping[str, Any]]


def meant_rows(
    run: Measured, divergence: Divergence, name: str = "", *, only: bool = False
) -> pd.Series[bool]:
    """Which rows of the run an entry for ``divergence`` must cover.

    ``name`` chooses one of several explanations; ``only`` leaves out other divergences of the same
    cause. Raises :class:`EntryError`.
    """
    if divergence.known:
        msg = f"{divergence.id} is known already, as {divergence.known}"
        raise EntryError(msg)
    open_rows = (run.frame["subject"] == divergence.subject) & (run.frame["known"] == "")
    own = open_rows.copy()
    for column in ("clause", "quantity", "verdict", "cause"):
        own &= run.frame[column] == getattr(divergence, column)
    chosen = _chosen_cause(divergence, run.causes[own], name)
    # A form ("not finite") may stand for several matters, and so may what nothing explains.
    if not only and run.kinds.get(chosen) in (Kind.CONVENTION, Kind.STAGE):
        return open_rows & (run.causes == chosen)
    return own & (run.causes == chosen)


def _chosen_cause(divergence: Divergence, causes: pd.Series[str], name: str) -> str:
    names = sorted(set(causes))
    told = ", ".join(
        f"{each or 'no explanation'} ({_plural(int((causes == each).sum()), 'row')})"
        for each in names
    )
    if not names:
        msg = f"{divergence.id}: the run holds no row of it; run it again"
        raise EntryError(msg)
    if name and name not in names:
        msg = f"{divergence.id} is not explained by {name!r} but by {told}"
        raise EntryError(msg)
    if not name and len(names) > 1:
        msg = (
            f"{divergence.id} has {len(names)} causes: {told}; "
            "write an entry for each, choosing it with --explanation NAME"
        )
        raise EntryError(msg)
    return name or names[0]


def draft_entry(
    run: Measured,
    meant: pd.Series[bool],
    *,
    reason: str,
    today: datetime.date,
    upstream: str = UNREPORTED,
    review_by: datetime.date | None = None,
    taken: Collection[str] = (),
) -> KnownDivergence:
    """The narrowest entry that covers the rows ``meant``, with an id that is not ``taken``.

    Its range of versions begins with the one that was measured and ends before the next minor
    release: a patch release is not expected to change results, and what a minor release brings
    must be measured again. Raises :class:`EntryError` if it would cover another row, too.
    """
    rows = run.frame[meant]
    causes = sorted(set(run.causes[meant]) & EXPLANATIONS)
    wide = KnownDivergence(
        id="",
        subjects=_values(rows["subject"]),
        versions=SpecifierSet(version_range(str(rows["framework_version"].max()))),
        # What runs on another device is another subject, but where the name does not say it.
        devices=tuple(each for each in _values(rows["device"]) if each != "cpu"),
        clauses=_values(rows["clause"]),
        quantities=_values(rows["quantity"]),
        verdicts=_values(rows["verdict"]),
        causes=_values(rows["cause"]),
        explanations=tuple(causes),
        where={},
        reason=reason,
        evidence=evidence_of(rows),
        upstream=upstream,
        date=today,
        review_by=review_by or today + REVIEW_AFTER,
    )
    entry = replace(wide, where=_where(wide, run, meant), id=_new_id(wide, taken))
    check_covers(entry, run, meant)
    looked = int(in_scope(entry, run.frame, run.facts).sum())
    return replace(entry, looked_at_least=min(entry.looked_at_least, looked))


def check_covers(entry: KnownDivergence, run: Measured, meant: pd.Series[bool]) -> None:
    """Raise :class:`EntryError` unless ``entry`` covers the rows ``meant`` and no others."""
    found = covered(entry, run.frame, run.facts)
    missed = int((meant & ~found).sum())
    if missed:
        hit = int((meant & found).sum())
        msg = f"the entry would cover {hit} of the rows that it means and miss {missed}"
        raise EntryError(msg)
    other = found & ~meant
    if not other.any():
        return
    hidden = run.frame[other].assign(explanation=run.causes[other])
    columns = ["clause", "quantity", "cause", "explanation", "known"]
    told = [
        f"{len(group)} of {clause} {quantity} ({explanation or cause or 'no cause'}"
        f"{f', known as {known}' if known else ''})"
        for (clause, quantity, cause, explanation, known), group in hidden.groupby(columns)
    ]
    msg = (
        f"no fact of the cases tells these rows from others: the entry would also hide "
        f"{_plural(len(hidden), 'row')}: {'; '.join(told)}"
    )
    raise EntryError(msg)


def version_range(version: str) -> str:
    """From ``version``, without its local part, to before the next minor release.

    Of 0.0.17 that is 0.0.18: while the first two numbers are 0, the third one counts as the minor.
    Raises :class:`EntryError` for what is no version.
    """
    try:
        measured = Version(version)
    except InvalidVersion as error:
        msg = f"a range of versions cannot be made of {version!r}: {error}; write the entry by hand"
        raise EntryError(msg) from error
    major, minor, patch = (*measured.release, 0, 0, 0)[:3]
    following = f"{major}.{minor + 1}" if (major, minor) != (0, 0) else f"0.0.{patch + 1}"
    return f">={measured.public},<{following}"


def evidence_of(rows: pd.DataFrame) -> str:
    """One sentence about the worst of ``rows``, records of one subject."""
    order = rows.assign(size=rows["error_ratio"].fillna(-math.inf))
    worst = order.sort_values(["size", "case_id"], ascending=[False, True]).iloc[0]
    counted = (
        f"worst of {_plural(len(rows), 'row')} in {_plural(rows['case_id'].nunique(), 'case')}"
    )
    about = (
        f"{worst['framework']} {worst['framework_version']}, {worst['clause']}, "
        f"{worst['quantity']}, case {worst['case_id']}, {counted}: "
    )
    if math.isnan(worst["error_ratio"]):
        return f"{about}{worst['message']}"
    step = f" of step {worst['step'] + 1}" if worst["step"] >= 0 else ""
    return (
        f"{about}expected {float(worst['expected'])!r}, got {float(worst['got'])!r} at "
        f"[{worst['worst_index']}]{step}; bound {worst['bound']:.3g}, "
        f"error / bound {worst['error_ratio']:.3g}."
    )


def _where(wide: KnownDivergence, run: Measured, meant: pd.Series[bool]) -> Mapping[str, Any]:
    """The facts that the affected cases share and no unaffected one has.

    What the explanation says is preferred; then what keeps all unaffected cases out; then facts
    that all affected cases share. Cases that diverge for another cause must be kept out anyway.
    """
    scope = in_scope(wide, run.frame, run.facts)
    affected_ids = set(run.frame["case_id"][meant])
    hidden_ids = set(run.frame["case_id"][covered(wide, run.frame, run.facts) & ~meant])
    fine = scope & (run.frame["verdict"] == VerdictKind.CONFORMS) & ~run.frame["vacuous"]
    fine_ids = set(run.frame["case_id"][fine])
    affected, hidden, conforming = (
        _distinct(run.facts, ids)
        for ids in (affected_ids, hidden_ids - affected_ids, fine_ids - affected_ids)
    )
    said = [dict(run.wheres[name]) for name in wide.explanations if run.wheres.get(name)]
    usable = [name for name in FACTS if name != "decay" or _USES_DECAY & set(wide.quantities)]
    others = [*hidden, *conforming]
    attempts: list[Callable[[], Mapping[str, Any] | None]] = [
        *(lambda said=each: said for each in said),
        lambda: find_scope(affected, others, (*_TOPIC, *STRUCTURE)),
        lambda: find_scope(affected, others, (*_TOPIC, *usable)),
        lambda: _shared(affected, others, (*_TOPIC, *usable)),
        lambda: find_scope(affected, hidden, (*_TOPIC, *usable)),
    ]
    for attempt in attempts:
        where = attempt()
        if where is not None and _separates(where, affected, hidden):
            return where
    return {}


def _distinct(facts: Facts, ids: Collection[str]) -> list[Mapping[str, Any]]:
    """The facts of these cases, each combination once, in a fixed order."""
    found = {repr(sorted(facts[name].items())): facts[name] for name in ids}
    return [found[key] for key in sorted(found)]


def _separates(
    where: Mapping[str, Any],
    affected: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
) -> bool:
    return all(meets(where, each) for each in affected) and not any(
        meets(where, each) for each in others
    )


def _shared(
    affected: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], facts: Sequence[str]
) -> dict[str, Any] | None:
    """Facts that all affected cases share, as long as each keeps out many of the others."""
    where: dict[str, Any] = {}
    left = others
    shared = {
        name: affected[0][name]
        for name in facts
        if all(name in each and each[name] == affected[0].get(name) for each in affected)
    }
    while left and shared and len(where) < _MOST_SHARED:
        out = {
            name: sum(each.get(name) != value for each in left) for name, value in shared.items()
        }
        best = max(out, key=lambda name: out[name])
        if out[best] < _LEAST_TOLD_APART * len(left):
            break
        where[best] = shared.pop(best)
        left = [each for each in left if each.get(best) == where[best]]
    return where or None


def _values(column: pd.Series[str]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in column} - {""}))


def _new_id(entry: KnownDivergence, taken: Collection[str]) -> str:
    """Subject, and cause or what is wrong with which quantity; numbered if it is taken."""
    what = (
        entry.explanations[0] if entry.explanations else f"{entry.quantities[0]} {entry.causes[0]}"
    )
    wanted = re.sub(r"[^a-z0-9]+", "-", f"{entry.subjects[0]} {what}".lower()).strip("-")
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
