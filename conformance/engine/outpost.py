"""A subject on another machine: its process, the judging of its answers, and their causes.

Nothing here knows what brought it there. What comes back is what a campaign writes down: rows, the
simplest example of each divergence, and explanations; answers and references stay where they are.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..case import Case
from ..cases.malformed import Probe
from ..experiments.registry import EXPERIMENTS
from ..known.divergences import KnownDivergence
from ..record import UNEXPECTED, Record
from .answering import answers
from .bundles import BundleKey, Exhibit, bundle_key
from .crew import Found, info_of
from .explaining import explain_subject, explained_rows
from .judging import Judged
from .loading import Target, load_class
from .manifest import recorded_versions
from .process import SubjectProcess
from .recording import Labels, SubjectInfo, make_records
from .units import Subject, Unit
from .worker import Described


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What an outpost must know of its subject.

    ``source`` is the text of an adapter that is a file, which other machines need not have.
    """

    target: Target
    source: bytes | None
    known: tuple[KnownDivergence, ...]
    limit: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """Who answers, and where: versions of all recorded packages there, and the machine's name."""

    described: Described
    versions: Mapping[str, str]
    host: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """A unit without its subject; experiments by their names."""

    block: int
    cases: tuple[Case, ...]
    experiments: tuple[str, ...]
    probes: tuple[Probe, ...]

    @classmethod
    def of(cls, unit: Unit) -> Order:
        """What an outpost of the unit's subject needs to be told."""
        return cls(
            block=unit.block,
            cases=unit.cases,
            experiments=tuple(experiment.name for experiment in unit.experiments),
            probes=unit.probes,
        )


class Outpost:
    """One subject, for as long as it has units. Call :meth:`introduce` first."""

    def __init__(self, brief: Brief) -> None:
        """Nothing starts yet: what goes wrong is to be the answer to a question."""
        self._brief = brief
        self._labels = Labels(entries=brief.known)

    def introduce(self) -> Introduction:
        """Start the subject's process; raises :class:`AdapterError` where there is no adapter."""
        brief = self._brief
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-")
        target = _placed(brief.target, brief.source, Path(self._folder.name))
        adapter = load_class(target)
        self._process = SubjectProcess(target, adapter.environment, memory=brief.memory)
        described = self._process.describe()
        self._subject = Subject(target=target, adapter=adapter, described=described)
        return Introduction(described=described, versions=recorded_versions(), host=platform.node())

    def work(self, order: Order) -> Found:
        """What becomes of a unit; it may be asked again, here or elsewhere, with equal rows."""
        unit = Unit(
            subject=self._subject,
            block=order.block,
            cases=order.cases,
            experiments=tuple(EXPERIMENTS[name] for name in order.experiments),
            probes=order.probes,
        )
        info = info_of(self._subject)
        rows: list[Record] = []
        examples: dict[BundleKey, tuple[Record, Exhibit]] = {}
        for judged in answers(unit, self._process, self._brief.limit):
            found = _rows(judged, info, self._labels)
            rows += found
            _keep_simplest(examples, found, judged.exhibit)
        self._process.refresh()
        return Found(rows=tuple(rows), exhibits=tuple(examples.values()))

    def explain(self, rows: pd.DataFrame, cases: Mapping[str, Case]) -> list[dict[str, Any]]:
        """The causes of what diverges in ``rows``, all rows of the subject."""
        found = explain_subject(
            self._subject.adapter, rows, cases, self._process, self._brief.limit
        )
        return explained_rows(found, rows, cases)

    def leave(self) -> None:
        """End the subject's process."""
        self._process.__exit__(None, None, None)
        self._folder.cleanup()


def _rows(judged: Judged, info: SubjectInfo, labels: Labels) -> list[Record]:
    return make_records(info, judged.topic, judged.outcome, judged.judgements, labels)


def _keep_simplest(
    examples: dict[BundleKey, tuple[Record, Exhibit]],
    rows: Sequence[Record],
    exhibit: Exhibit | None,
) -> None:
    """Of each divergence the first of the simplest, as :class:`Bundles` would choose."""
    for row in rows:
        if exhibit is None or row.verdict not in UNEXPECTED:
            continue
        held = examples.get(bundle_key(row))
        if held is None or exhibit.topic.rank_of_example < held[1].topic.rank_of_example:
            examples[bundle_key(row)] = row, exhibit


def _placed(target: Target, source: bytes | None, folder: Path) -> Target:
    """``target``, its file written to ``folder`` where this machine does not have the same one."""
    path = Path(target.module)
    if source is None or (path.is_file() and path.read_bytes() == source):
        return target
    copy = folder / path.name
    copy.write_bytes(source)
    return replace(target, module=str(copy))
