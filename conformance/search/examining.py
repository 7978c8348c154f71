"""Asking one subject about one case, and reading every divergence out of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..case import Case
from ..contract import Adapter, Outcome, Unsupported
from ..engine.judging import judged_case
from ..engine.process import Question, SubjectProcess
from ..engine.recording import Labels, SubjectInfo, make_records
from ..engine.units import Subject
from ..known.divergences import KnownDivergence
from ..record import Record
from .signature import Signature, signatures_of


class Ask(Protocol):
    """A way to a subject: its own process in earnest, a call in this one in tests."""

    def __call__(self, case: Case, *, repeat: bool) -> Outcome:
        """What became of ``case``, run twice if ``repeat``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All records of one case, and the divergences among them."""

    case: Case
    records: tuple[Record, ...]
    signatures: Mapping[Signature, Record]


@dataclass(kw_only=True)
class Examiner:
    """Asks one subject, judges its answers and remembers them; ``calls`` counts what was asked."""

    info: SubjectInfo
    adapter: type[Adapter]
    ask: Ask
    known: Sequence[KnownDivergence] = ()
    calls: int = 0
    _memory: dict[tuple[str, bool], Examination] = field(default_factory=dict)

    def offers(self, case: Case) -> bool:
        """Whether the subject can be asked about ``case`` at all."""
        return self.adapter.capabilities.unsupported(case) is None

    def knows(self, case: Case, *, repeat: bool = False) -> bool:
        """Whether the answer is remembered, so that asking again costs nothing."""
        return (case.id, repeat) in self._memory

    def __call__(self, case: Case, *, repeat: bool = False) -> Examination:
        """What ``case`` shows; the same case is asked once."""
        key = case.id, repeat
        if key not in self._memory:
            self._memory[key] = self._examine(case, repeat=repeat)
        return self._memory[key]

    def _examine(self, case: Case, *, repeat: bool) -> Examination:
        outcome = self._outcome(case, repeat=repeat)
        if isinstance(outcome, Unsupported):
            return Examination(case=case, records=(), signatures={})
        judged = judged_case(case, outcome, self.adapter)
        labels = Labels(entries=self.known)
        rows = make_records(self.info, judged.topic, outcome, judged.judgements, labels)
        return Examination(case=case, records=tuple(rows), signatures=signatures_of(case, rows))

    def _outcome(self, case: Case, *, repeat: bool) -> Outcome:
        reason = self.adapter.capabilities.unsupported(case)
        if reason is not None:
            return Unsupported(reason=reason)
        self.calls += 1
        return self.ask(case, repeat=repeat)


@contextmanager
def examiner(
    subject: Subject, known: Sequence[KnownDivergence], limit: float
) -> Iterator[Examiner]:
    """An examiner of ``subject`` in a process of its own, ``limit`` seconds for each case."""
    with SubjectProcess(subject.target, subject.adapter.environment) as process:

        def ask(case: Case, *, repeat: bool) -> Outcome:
            question = Question(case=case, repeat=repeat)
            return next(outcome for _, outcome in process.ask([question], limit))

        yield Examiner(info=subject_info(subject), adapter=subject.adapter, ask=ask, known=known)


def subject_info(subject: Subject) -> SubjectInfo:
    """What every record says of ``subject``."""
    return SubjectInfo(
        name=subject.name,
        framework=subject.adapter.framework,
        version=subject.described.version,
        device=subject.described.device,
    )
