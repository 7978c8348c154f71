"""Shards that are given together: which are missing, and which do not belong together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bnconform.reports.columns import rows
from bnconform.reports.frames import Runs


@dataclass(frozen=True, kw_only=True, order=True)
class _Shard:
    """One run as part of a campaign; ``asked`` are its arguments but for the index, as JSON.

    Whoever was asked for other subjects, or cut in another number, cut another list of units.
    """

    asked: str
    kind: str
    index: int
    count: int
    run: int


def gaps(runs: Runs) -> tuple[str, ...]:
    """What keeps ``runs`` from being whole campaigns, a sentence each; empty if nothing does."""
    shards = sorted(_shard(row) for row in rows(runs.runs))
    return tuple(
        sentence
        for asked, group in groupby(shards, key=lambda shard: shard.asked)
        for sentence in _gaps_of(asked, list(group), runs)
    )


def missing_shards(runs: Runs) -> str:
    """``2/3 missing``, for each campaign that lacks some; '' where all are there."""
    shards = sorted(_shard(row) for row in rows(runs.runs))
    found = []
    for _, group in groupby(shards, key=lambda shard: shard.asked):
        members = list(group)
        lacking = _lacking(members)
        if lacking:
            found.append(f"{_listed(lacking, members[0].count)} missing")
    return "; ".join(found)


def _shard(run: object) -> _Shard:
    told = {name: getattr(run, name) for name in ("run", "shard", "arguments", "versions", "host")}
    index, count = map(int, str(told["shard"]).split("/"))
    asked = json.loads(told["arguments"]) | {"shard": count}
    versions = json.loads(told["versions"])
    # Its patch level judges nothing, and differs between machines that are alike otherwise.
    versions.pop("python", None)
    return _Shard(
        asked=json.dumps(asked, sort_keys=True),
        kind=json.dumps([told["host"], versions], sort_keys=True),
        index=index,
        count=count,
        run=int(told["run"]),
    )


def _lacking(shards: Sequence[_Shard]) -> list[int]:
    """Indices of the campaign that none of its shards has."""
    return sorted({*range(1, shards[0].count + 1)} - {shard.index for shard in shards})


def _gaps_of(asked: str, shards: Sequence[_Shard], runs: Runs) -> Iterator[str]:
    """Sentences about the shards of one list of units."""
    count, name = shards[0].count, _named(asked)
    lacking = _lacking(shards)
    if lacking:
        yield f"{_shards(lacking, count)} of {name} {_is(lacking)} missing"
    kinds = [list(group) for _, group in groupby(shards, key=lambda shard: shard.kind)]
    if len(kinds) > 1 and any(_lacking(kind) for kind in kinds):
        found = sorted({shard.index for shard in shards})
        differing = "; ".join(_differing([json.loads(kind[0].kind) for kind in kinds]))
        yield f"{_shards(found, count)} of {name} differ in {differing}"
    for kind in kinds:
        times = Counter(shard.index for shard in kind)
        twice = [index for index in times if times[index] > 1 and count > 1]
        if twice:
            yield f"{_shards(twice, count)} of {name} {_is(twice)} given more than once"
    yield from _absent(shards, runs)


def _absent(shards: Sequence[_Shard], runs: Runs) -> Iterator[str]:
    """Subjects that are in some of the shards only: another version, or unavailable elsewhere."""
    index_of = {shard.run: shard.index for shard in shards}
    subjects = runs.subjects[runs.subjects["run"].isin(list(index_of)) & runs.subjects["available"]]
    there = {shard.index for shard in shards}
    for entry, group in subjects.groupby("entry"):
        absent = sorted(there - {index_of[run] for run in group["run"]})
        if absent:
            yield f"{entry} has no part in {_shards(absent, shards[0].count)}"


def _named(asked: str) -> str:
    told = json.loads(asked)
    return f"the run '{told['profile']}, {told['cases']} cases, seed {told['seed']}'"


def _differing(kinds: Sequence[tuple[str, dict[str, str]]]) -> Iterator[str]:
    """What is not the same: the machine, or versions of packages."""
    hosts = {host for host, _ in kinds}
    if len(hosts) > 1:
        yield f"machine ({_joined(sorted(hosts))})"
    packages = sorted({name for _, versions in kinds for name in versions})
    for name in packages:
        found = {versions.get(name, "none") for _, versions in kinds}
        if len(found) > 1:
            yield f"{name} ({_joined(sorted(found))})"


def _shards(indices: Sequence[int], count: int) -> str:
    return f"shard{'s' * (len(indices) > 1)} {_listed(indices, count)}"


def _listed(indices: Iterable[int], count: int) -> str:
    return _joined([f"{index}/{count}" for index in indices])


def _is(indices: Sequence[int]) -> str:
    return "are" if len(indices) > 1 else "is"


def _joined(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
