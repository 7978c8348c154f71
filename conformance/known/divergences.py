"""Known divergences: data that says what is accepted, why, and until when.

``known/*.toml`` holds tables ``[[divergence]]``. An entry covers the rows of a run that match its
subject, version range, clauses, quantities, verdict, cause and ``where``. One that matches nothing
although the run looked, or whose ``review_by`` has passed, is stale and fails the run; so does one
that hides several causes and does not name them (see ``scope.py``).
"""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..case import Case
from ..clauses import BY_ID
from ..explanation.names import Kind, Stage, Why
from ..explanation.scope import meets
from ..record import UNEXPECTED, Record, VerdictKind
from ..variant import Masked
from ..verdict import Cause

WHERE_FIELDS = (
    "rank", "dtype", "fill", "mode", "layout", "upstream_layout", "layouts", "steps", "center",
    "scale",
    "epsilon", "decay", "offset", "smallest_count", "largest_count", "feature_axes",
    "channel_axis", "channels", "last_batch", "batch", "half_parameters", "variant", "mask",
    "hidden", "upstream", "same_inputs", "level", "smaller_last_batch", "malformation",
    "experiment",
)  # fmt: skip
"""What ``where`` may speak of. :func:`case_facts` gives the values for a case; a malformed call has
those of its base case and ``malformation``, an experiment has ``experiment`` alone."""


EXPLANATIONS = frozenset({
    *(name.value for names in (Why, Stage, Cause) for name in names),
    "wrong contract", "crash", "hang", "not repeatable", Kind.UNEXPLAINED.value,
})  # fmt: skip
"""The names that an Explanation may have, which ``explanation`` may list."""


class KnownDivergenceError(ValueError):
    """An entry that cannot be understood; the text names file, entry and field."""


@dataclass(frozen=True, kw_only=True)
class KnownDivergence:
    """One accepted divergence.

    ``where`` narrows it by facts of the case: a value, a list of values, or a table with ``min``
    and ``max`` (inclusive); a fact that a row does not have holds for none. ``explanations`` names
    the causes that it may hide where there are several; they are known only when a run is over, so
    they do not decide what an entry covers, but whether it covers too much. ``looked_at_least`` is
    the number of rows in scope from which on finding nothing means that the entry is stale.
    """

    id: str
    subjects: tuple[str, ...]
    versions: SpecifierSet
    devices: tuple[str, ...]
    clauses: tuple[str, ...]
    quantities: tuple[str, ...]
    verdicts: tuple[str, ...]
    causes: tuple[str, ...]
    where: Mapping[str, Any]
    reason: str
    evidence: str
    upstream: str
    date: datetime.date
    review_by: datetime.date
    explanations: tuple[str, ...] = ()
    looked_at_least: int = 10
    file: str = field(default="", compare=False)

    def in_scope(self, record: Record, facts: Mapping[str, Any]) -> bool:
        """Whether the row is one on which this entry would show, whatever its verdict."""
        return self.concerns(record.subject, record.framework_version) and self.looks_at(
            record, facts
        )

    def concerns(self, subject: str, version: str) -> bool:
        """Whether this entry speaks of ``version`` of ``subject`` at all."""
        return subject in self.subjects and version in self.versions

    def looks_at(self, record: Record, facts: Mapping[str, Any]) -> bool:
        """Whether the row, of a subject that this entry concerns, is one on which it would show."""
        return (
            _allows(self.clauses, record.clause)
            and _allows(self.quantities, record.quantity)
            and _allows(self.devices, record.device)
            and self.met_by(facts)
        )

    def met_by(self, facts: Mapping[str, Any]) -> bool:
        """Whether ``facts`` meet every condition of ``where``."""
        return meets(self.where, facts)

    def covers(self, record: Record, facts: Mapping[str, Any]) -> bool:
        """Whether this entry accepts the row's divergence."""
        return self.accepts(record) and self.in_scope(record, facts)

    def accepts(self, record: Record) -> bool:
        """Whether the row's verdict is one that this entry accepts where it looks."""
        return (
            record.verdict in UNEXPECTED
            and _allows(self.verdicts, record.verdict)
            and _allows(self.causes, record.cause)
        )


def case_facts(case: Case) -> dict[str, Any]:
    """What ``where`` can ask of a case."""
    return {
        "rank": case.rank,
        "dtype": case.dtype.value,
        "fill": case.fill.kind.value,
        "mode": case.mode.value,
        "layout": case.layout.value,
        "upstream_layout": case.upstream_layout.value,
        "layouts": f"{case.layout}/{case.upstream_layout}",
        "steps": case.steps,
        "center": case.center,
        "scale": case.scale,
        "epsilon": case.epsilon,
        "decay": "none" if case.decay is None else case.decay,
        "offset": case.fill.offset,
        "smallest_count": case.smallest_count,
        "largest_count": max(case.count(shape) for shape in case.step_shapes),
        "feature_axes": len(case.feature_axes),
        "channel_axis": case.channel_axes[-1],
        "channels": math.prod(case.feature_shape),
        "last_batch": case.last_batch,
        "batch": case.shape[0],
        "smaller_last_batch": case.last_batch < case.shape[0],
        "half_parameters": case.half_parameters,
        "variant": case.variant.kind.value,
        "upstream": case.upstream.value,
        "same_inputs": case.same_inputs,
        "level": "none" if case.fill.level is None else case.fill.level,
        **_mask_facts(case),
    }


def _mask_facts(case: Case) -> dict[str, str]:
    """Which positions a mask keeps, and what lies at those that it hides; '' without a mask."""
    variant = case.variant
    if not isinstance(variant, Masked):
        return {"mask": "", "hidden": ""}
    kinds = {"everything": variant.everything, "nothing": variant.nothing}
    kept = next((name for name, held in kinds.items() if held), "some")
    return {
        "mask": "some, by sample" if variant.by_sample and kept == "some" else kept,
        "hidden": variant.hidden.value,
    }


def load_known(folder: Path | None = None) -> tuple[KnownDivergence, ...]:
    """All entries under ``folder`` (the package's own by default), sorted by id.

    Raises :class:`KnownDivergenceError` for a malformed file, field or repeated id.
    """
    root: Traversable = folder or resources.files(__package__)
    files = sorted(
        (path for path in root.iterdir() if path.name.endswith(".toml")), key=lambda p: p.name
    )
    entries = [entry for path in files for entry in parse_known(path.read_text("utf-8"), path.name)]
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            msg = f"{entry.file}: the id {entry.id!r} is used twice; ids must be unique"
            raise KnownDivergenceError(msg)
        seen.add(entry.id)
    return tuple(sorted(entries, key=lambda entry: entry.id))


def stale(
    entries: Iterable[KnownDivergence],
    matched: Mapping[str, int],
    looked: Mapping[str, int],
    today: datetime.date,
) -> tuple[str, ...]:
    """One sentence for each entry that must be looked at again.

    ``matched`` counts the rows that an entry covered, ``looked`` those in its scope.
    """
    problems = []
    for entry in entries:
        if looked.get(entry.id, 0) == 0:
            continue
        if today > entry.review_by:
            problems.append(f"{entry.id}: its review_by {entry.review_by} has passed")
        elif not matched.get(entry.id, 0) and looked[entry.id] >= entry.looked_at_least:
            problems.append(
                f"{entry.id}: matched nothing in {looked[entry.id]} rows of its scope; "
                "if it is fixed, limit its versions or remove it"
            )
    return tuple(problems)


def parse_known(text: str, file: str) -> list[KnownDivergence]:
    """The entries of a file's text; errors name it as ``file``.

    Raises :class:`KnownDivergenceError`.
    """
    try:
        tables = tomllib.loads(text).get("divergence", [])
    except tomllib.TOMLDecodeError as error:
        msg = f"{file}: not TOML: {error}"
        raise KnownDivergenceError(msg) from error
    return [_entry(table, file) for table in tables]


def _entry(table: dict[str, Any], file: str) -> KnownDivergence:
    name = table.get("id", "an entry without id")
    try:
        entry = KnownDivergence(
            id=table["id"],
            subjects=_strings(table["subject"]),
            versions=SpecifierSet(table["versions"]),
            devices=_strings(table.get("device", [])),
            clauses=_strings(table["clause"]),
            quantities=_strings(table.get("quantity", [])),
            verdicts=_strings(table.get("verdict", VerdictKind.DIVERGES.value)),
            causes=_strings(table.get("cause", [])),
            explanations=_strings(table.get("explanation", [])),
            where=table.get("where", {}),
            reason=table["reason"],
            evidence=table["evidence"],
            upstream=table["upstream"],
            date=table["date"],
            review_by=table["review_by"],
            looked_at_least=table.get("looked_at_least", 10),
            file=file,
        )
    except KeyError as error:
        msg = f"{file}: {name} lacks {error}; see conformance/known/divergences.py"
        raise KnownDivergenceError(msg) from error
    except InvalidSpecifier as error:
        msg = f"{file}: {name}: versions: {error}"
        raise KnownDivergenceError(msg) from error
    _check(entry, set(table))
    return entry


_FIELDS = frozenset({
    "id", "subject", "versions", "device", "clause", "quantity", "verdict", "cause", "explanation",
    "where", "reason", "evidence", "upstream", "date", "review_by", "looked_at_least",
})  # fmt: skip


def _check(entry: KnownDivergence, given: set[str]) -> None:
    strangers = sorted(given - _FIELDS)
    unknown_facts = sorted(set(entry.where) - set(WHERE_FIELDS))
    unknown_clauses = [clause for clause in entry.clauses if clause not in BY_ID]
    unknown_names = sorted(set(entry.explanations) - EXPLANATIONS)
    verdicts = {kind.value for kind in UNEXPECTED}
    problem = ""
    if strangers:
        problem = f"unknown fields {strangers}; the fields are {sorted(_FIELDS)}"
    elif unknown_facts:
        problem = f"where: unknown {unknown_facts}; it may speak of {', '.join(WHERE_FIELDS)}"
    elif unknown_clauses or not entry.clauses:
        problem = f"clause: unknown {unknown_clauses}; `bnconform spec` lists them"
    elif unknown_names:
        problem = f"explanation: unknown {unknown_names}; see conformance/explanation/names.py"
    elif not set(entry.verdicts) <= verdicts:
        problem = f"verdict: must be among {sorted(verdicts)}, got {entry.verdicts}"
    elif not isinstance(entry.date, datetime.date) or not isinstance(
        entry.review_by, datetime.date
    ):
        problem = "date and review_by must be dates like 2026-11-21"
    if problem:
        msg = f"{entry.file}: {entry.id}: {problem}"
        raise KnownDivergenceError(msg)


def _strings(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _allows(allowed: tuple[str, ...], value: str) -> bool:
    """An empty list allows everything."""
    return not allowed or value in allowed
