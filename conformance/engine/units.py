"""What a campaign asks of whom: subjects, the request, and the units of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..case import Case
from ..cases.malformed import PROBES, Probe
from ..cases.plan import Profile
from ..contract import Adapter
from ..experiments.experiment import Experiment
from ..experiments.registry import EXPERIMENTS
from ..topic import Topic, topic_of_experiment, topic_of_probe
from .loading import AdapterError, Target
from .process import MEMORY_LIMIT, START_LIMIT, SubjectProcess
from .worker import Described, describe_target

BLOCK_SIGNATURES = 8
"""Signatures to a unit of work: few enough to lose little, many enough for whole files."""

BLOCK_CASES = 1000
"""Cases to a unit, at most: more cases of the same signatures are more work for more workers."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An adapter class and where it came from; ``described`` is what its process said."""

    target: Target
    adapter: type[Adapter]
    described: Described

    @property
    def name(self) -> str:
        """The subject's dotted name."""
        return self.adapter.name


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of a campaign.

    ``shard`` is (I, N) with I from 1; ``memory`` the bytes that a subject's process may take.
    """

    profile: Profile
    cases: int
    seed: int
    shard: tuple[int, int]
    workers: int
    out: Path
    resume: bool
    memory: int = MEMORY_LIMIT


class Listener(Protocol):
    """Is told how a campaign gets on."""

    def started(self, subject: str, total: int) -> None:
        """A subject begins its ``total`` cases."""
        ...

    def advanced(self, subject: str, cases: int) -> None:
        """So many more cases of a subject are judged."""
        ...

    def expects(self, seconds: float, *, at_least: bool) -> None:
        """So much longer it will take; ``at_least`` while the speed of a subject is not known."""
        ...


class Quiet:
    """A listener that does not."""

    def started(self, subject: str, total: int) -> None:
        """Nothing."""

    def advanced(self, subject: str, cases: int) -> None:
        """Nothing."""

    def expects(self, seconds: float, *, at_least: bool) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work: a subject, and a block of cases or everything else that it is asked."""

    subject: Subject
    block: int
    cases: tuple[Case, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    probes: tuple[Probe, ...] = ()

    @property
    def questions(self) -> int:
        """How many there are."""
        return len(self.cases) + len(self.experiments) + len(self.probes)


def describe_subject(target: Target, adapter: type[Adapter]) -> Subject:
    """Start the subject's process once to learn its version, or why it is unavailable."""
    with SubjectProcess(target, adapter.environment) as process:
        return Subject(target=target, adapter=adapter, described=process.describe())


def describe_subjects(
    targets: Sequence[Target], adapters: Sequence[type[Adapter]]
) -> Iterator[Subject]:
    """:func:`describe_subject` of subjects that have one environment, in one process.

    To import a framework takes seconds. What is unavailable there is asked again by itself, as the
    others may be why.
    """
    with SubjectProcess(targets[0], adapters[0].environment) as process:
        found = [process.do(describe_target, (target,), START_LIMIT) for target in targets]
    for target, adapter, described in zip(targets, adapters, found, strict=True):
        if isinstance(described, Described) and described.available:
            yield Subject(target=target, adapter=adapter, described=described)
        else:
            yield describe_subject(target, adapter)


def plan_units(
    subjects: Sequence[Subject], cases: Sequence[Case], shard: tuple[int, int]
) -> list[Unit]:
    """All units of this shard: every N-th of the list that all shards agree on.

    A subject's last unit holds its experiments and the malformed calls. Raises
    :class:`AdapterError` for a subject that names an experiment which does not exist.
    """
    by_signature: dict[str, list[Case]] = {}
    for case in cases:
        by_signature.setdefault(case.signature, []).append(case)
    signatures = list(by_signature)
    together = [
        tuple(case for name in signatures[i : i + BLOCK_SIGNATURES] for case in by_signature[name])
        for i in range(0, len(signatures), BLOCK_SIGNATURES)
    ]
    blocks = [
        block[i : i + BLOCK_CASES] for block in together for i in range(0, len(block), BLOCK_CASES)
    ]
    units = [unit for subject in subjects for unit in _units_of(subject, blocks)]
    index, count = shard
    mine = units[index - 1 :: count]
    return [unit for unit in mine if unit.subject.described.available]


def _units_of(subject: Subject, blocks: Sequence[tuple[Case, ...]]) -> Iterator[Unit]:
    for block, members in enumerate(blocks):
        yield Unit(subject=subject, block=block, cases=members)
    yield Unit(
        subject=subject,
        block=len(blocks),
        experiments=_experiments_of(subject),
        probes=PROBES,
    )


def _experiments_of(subject: Subject) -> tuple[Experiment, ...]:
    named = sorted(subject.adapter.capabilities.experiments)
    strangers = [name for name in named if name not in EXPERIMENTS]
    if strangers:
        msg = (
            f"{subject.name} names experiments that do not exist: {', '.join(strangers)}; "
            f"there are: {', '.join(sorted(EXPERIMENTS)) or 'none'}"
        )
        raise AdapterError(msg)
    return tuple(EXPERIMENTS[name] for name in named)


def other_topics() -> tuple[Topic, ...]:
    """What a campaign may ask besides cases: every experiment and every malformed call."""
    return (*map(topic_of_experiment, EXPERIMENTS.values()), *map(topic_of_probe, PROBES))
