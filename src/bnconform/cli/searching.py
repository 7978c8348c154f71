"""``bnconform search``."""

from __future__ import annotations

import datetime
import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from hypothesis.configuration import set_hypothesis_home_dir

from bnconform.adapters import REGISTRY
from bnconform.cli.case_words import case_in_words
from bnconform.cli.errors import UsageError, user_errors
from bnconform.cli.progress import Reporter
from bnconform.cli.subjects import describe_all
from bnconform.conformance.corpus import CorpusError, read_entries, write_entries
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.units import Subject
from bnconform.conformance.known.divergences import KnownDivergence, load_known
from bnconform.conformance.search.distinct import Distinct, distinct
from bnconform.conformance.search.examining import examiner, subject_info
from bnconform.conformance.search.freezing import entries_of
from bnconform.conformance.search.searching import (
    Budget,
    Collection,
    search,
    static_signatures,
)
from bnconform.conformance.search.shrinking import CALLS
from bnconform.conformance.search.signature import Signature

SECONDS_PER_CASE = 60.0
"""Limit of one case, compilation included, as in a quick campaign."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a search of one subject ended with."""

    subject: Subject
    calls: int
    collection: Collection
    distinct: tuple[Distinct, ...]

    @property
    def unexpected(self) -> int:
        """Divergences that no known one covers, as they were seen."""
        return sum(not each.known for each in self.collection.sightings)


def search_subjects(
    subjects: Annotated[
        list[str], typer.Argument(help="Registered names, FILE.py:Class or module:Class.")
    ],
    calls: Annotated[int, typer.Option("--calls", help="Cases to ask of each subject.")] = 400,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="End each subject's search by then.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed looks elsewhere.")] = 0,
    shrink_calls: Annotated[
        int, typer.Option("--shrink-calls", help="Calls to shrink each signature, at most.")
    ] = CALLS,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Corpus file (.jsonl) to add the shrunk cases to."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for divergences that are not known yet, and shrink each to its simplest case.

    Every divergence is collected; none ends the search. Exit status 0: all that was found is
    covered by known divergences. 1: something is not. 2: the call or the harness is at fault.
    """
    with user_errors(CorpusError):
        budget = _budget(calls, seconds)
        kept = read_entries(out) if out is not None and out.exists() else ()
        targets = [_target(name) for name in dict.fromkeys(subjects)]
        known = load_known()
        with tempfile.TemporaryDirectory() as folder, Reporter() as reporter:
            # Hypothesis writes what it learns of the running program into the working directory.
            set_hypothesis_home_dir(folder)
            described = describe_all(targets, os.cpu_count() or 1, reporter.described)
            _need_all(described)
            found = [
                _search(subject, known, budget, seed, shrink_calls, reporter)
                for subject in described
            ]
        if out is not None:
            today = datetime.datetime.now(datetime.UTC).date()
            new = (
                entry
                for each in found
                for entry in entries_of(each.distinct, subject_info(each.subject), today)
            )
            write_entries(out, [*new, *kept])
    _print(found, as_json=as_json)
    raise typer.Exit(int(any(each.unexpected for each in found)))


def _target(name: str) -> Target:
    if name not in REGISTRY and ":" not in name:
        msg = f"no subject {name!r}; give FILE.py:Class, or one of {', '.join(REGISTRY)}"
        raise UsageError(msg)
    return Target.parse(REGISTRY.get(name, name))


def _budget(calls: int, seconds: float | None) -> Budget:
    for option, given in (("--calls", calls), ("--seconds", seconds)):
        if given is not None and not given > 0:
            msg = f"{option} must be more than 0, got {given}"
            raise UsageError(msg)
    return Budget(calls=calls, seconds=math.inf if seconds is None else seconds)


def _need_all(subjects: Iterable[Subject]) -> None:
    for subject in subjects:
        if not subject.described.available:
            msg = f"{subject.name} is not available: {subject.described.reason}"
            raise UsageError(msg)


def _search(
    subject: Subject,
    known: Sequence[KnownDivergence],
    budget: Budget,
    seed: int,
    shrink_calls: int,
    reporter: Reporter,
) -> _Found:
    with examiner(subject, known, SECONDS_PER_CASE) as examine:
        signatures = static_signatures(examine, seed)
        reporter.started(subject.name, budget.calls)
        collection = search(
            examine,
            signatures,
            budget,
            seed=seed,
            advanced=lambda calls: reporter.advanced(subject.name, calls),
        )
        reporter.advanced(subject.name, max(budget.calls - examine.calls, 0))
        looked = examine.calls
        shrinking = f"{subject.name}, shrinking"
        leading = collection.leading
        if leading:
            reporter.started(shrinking, len(leading))
        found = distinct(
            examine,
            leading,
            calls=shrink_calls,
            advanced=lambda done: reporter.advanced(shrinking, done),
        )
    return _Found(subject=subject, calls=looked, collection=collection, distinct=found)


def _print(found: Sequence[_Found], *, as_json: bool) -> None:
    if as_json:
        data = [_to_dict(each) for each in found]
        typer.echo(json.dumps(data, indent=1, allow_nan=False))
        return
    for each in found:
        _print_one(each)


def _print_one(found: _Found) -> None:
    signatures = found.collection.sightings
    typer.echo(
        f"{found.subject.name}: {found.calls} calls, {len(signatures)} signatures, "
        f"{len(found.distinct)} distinct, {found.unexpected} signatures not known"
    )
    for number, each in enumerate(found.distinct, start=1):
        shows = each.shrunk.shows
        typer.echo(f"{number:3}. {shows}: {_worst(each.worst_ratio)}")
        typer.echo(f"     {f'known: {each.known}' if each.known else 'NOT KNOWN'}")
        for line in case_in_words(each.shrunk.case):
            typer.echo(f"     {line}")
        if each.shrunk.record is None:
            typer.echo("     it did not show again, and so was not shrunk")
        others = [signature for signature in each.seen_as if signature != shows]
        for signature in others:
            typer.echo(f"     also {signature}")
    for sighting in found.collection.following:
        signature = sighting.signature
        typer.echo(f"  -  {signature}: only where {signature.first} diverges too")


def _worst(ratio: float) -> str:
    if ratio == 0.0:
        return "no matter of values"
    return f"up to {ratio:.3g} times the bound" if math.isfinite(ratio) else "not finite"


def _to_dict(found: _Found) -> dict[str, Any]:
    return {
        "subject": found.subject.name,
        "version": found.subject.described.version,
        "calls": found.calls,
        "unexpected": found.unexpected,
        "distinct": [
            {
                **_parts(each.shrunk.shows),
                "case": each.shrunk.case.to_dict(),
                "times": each.times,
                "worst_ratio": _number(each.worst_ratio),
                "shrunk": each.shrunk.record is not None,
                "seen_as": [_parts(signature) for signature in each.seen_as],
            }
            for each in found.distinct
        ],
        "following": [_parts(each.signature) for each in found.collection.following],
    }


def _parts(signature: Signature) -> dict[str, str]:
    names = ("clause", "quantity", "verdict", "cause", "known", "first", "dtype", "mode", "variant")
    return {name: getattr(signature, name) for name in names}


def _number(ratio: float) -> float | str:
    return ratio if math.isfinite(ratio) else repr(ratio)
