"""Checks of makes in this process, and of the registered subjects in processes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from implementations import OutOfClassError, TwoPass
from layers import answer, dialect_of
from rules import Look, look
from tables import Cell, Table, group_of

from bnconform.adapters import REGISTRY
from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Answered, Quantity
from bnconform.conformance.dialect import Averaging, Dialect, HalfGradient, VarianceAlgorithm
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.engine.recording import Labels, SubjectInfo, make_records
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.grades import Grade, grade_of, is_graded
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.judging.systematic import Tally, signed_errors
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.record import UNEXPECTED, Record
from bnconform.conformance.reference import Conventions, expect
from bnconform.conformance.topic import topic_of_case
from bnconform.conformance.variant import VariantKind
from bnconform.conformance.verdict import Conforms, Diverges, Judgement

UNCHANGED_STATE = frozenset({"BN-INFER-2", "BN-FROZEN-2"})
"""Clauses whose judgement is whether bits are the same: no bound is tried, so no check counts."""

SECONDS_PER_CASE = 120.0


@dataclass(kw_only=True)
class Findings:
    """All that checks add up to. Keys of ``table``: name, format, group of quantities, variant."""

    table: Table = field(default_factory=Table)
    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    grades: dict[tuple[str, str], Counter[Grade]] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    about: dict[str, str] = field(default_factory=dict)

    def merge(self, other: Findings) -> None:
        """Take ``other`` in."""
        self.table.merge(other.table)
        for key, tally in other.tallies.items():
            self.tallies[key] = self.tallies.get(key, Tally()) + tally
        for pair, grades in other.grades.items():
            self.grades.setdefault(pair, Counter()).update(grades)
        self.alarms += other.alarms
        self.counts += other.counts
        self.about |= other.about

    def add_tallies(self, name: str, case: Case, found: Mapping[Quantity, Tally]) -> None:
        """Signed errors of one case."""
        for tally in found.values():
            key = (name, case.dtype.value, case.mode.value)
            self.tallies[key] = self.tallies.get(key, Tally()) + tally


class Bench:
    """One case, with what it must give under any conventions."""

    def __init__(self, case: Case) -> None:
        """Make the arrays of ``case``."""
        self.case, self.inputs = case, make_inputs(case)
        self.trial = cache(self._trial)

    def _trial(self, conventions: Conventions) -> Trial:
        expected = expect(self.case, self.inputs, conventions)
        return Trial(case=self.case, inputs=self.inputs, expected=expected)


EVERYTHING = replace(
    NumpyReference.capabilities,
    variants=frozenset(VariantKind),
    half_parameters=True,
)

HALVES = (DType.FLOAT16, DType.BFLOAT16)
CLASSES = {
    VarianceAlgorithm.TWO_PASS: "two-pass",
    VarianceAlgorithm.WELFORD: "Welford, Chan",
    VarianceAlgorithm.ONE_PASS: "one-pass",
}


def class_of(dialect: Dialect, case: Case) -> str:
    """The declared class in a few words, as far as it matters to ``case``."""
    conventions = Conventions.of(dialect)
    precision = conventions.precision(case)
    words = [CLASSES[conventions.algorithm]]
    if precision.saved:
        words.append("statistics saved in half")
    if precision.factors:
        words.append("TF32")
    if conventions.half_gradient is HalfGradient.BY_TERM and case.dtype in HALVES:
        words.append("dx by term")
    if conventions.averaging is Averaging.ZERO_DEBIASED:
        words.append("zero-debiased")
    return ", ".join(words)


def check_makes(makes: Mapping[str, type[TwoPass]], cases: Iterable[Case]) -> Findings:
    """Every make on every case."""
    found = Findings()
    with np.errstate(all="ignore"):
        for case in cases:
            bench = Bench(case)
            for name, make in makes.items():
                _check_make(found, name, make, bench)
    return found


def _check_make(found: Findings, name: str, make: type[TwoPass], bench: Bench) -> None:
    dialect, case = dialect_of(make), bench.case
    outcome = answer(make, case, bench.inputs)
    if isinstance(outcome, OutOfClassError):
        found.counts["calls outside the class"] += 1
        return
    trial = bench.trial(Conventions.of(dialect))
    judgements = judge(trial, outcome, dialect, EVERYTHING)
    looks = look(trial, outcome.answer)
    for judgement, seen in _checks(judgements, looks):
        key = (class_of(dialect, case), case.dtype.value, group_of(Quantity(judgement.quantity)))
        wrong = _add(found.table.at(*key, _variant(case)), judgement, seen)
        if wrong:
            found.alarms.append(f"{name}: {describe(case, judgement)}")
    found.add_tallies(name, case, signed_errors(trial, outcome))


def _variant(case: Case) -> str:
    half = ", half parameters" if case.half_parameters else ""
    return case.variant.kind.value + half


def _checks(
    judgements: Iterable[Judgement], looks: Mapping[Quantity, Look]
) -> Iterator[tuple[Judgement, Look]]:
    """Each judgement about numbers, with what the other rules say of its quantity.

    Where a case with a non-finite value is judged in two parts, the elements go to the first.
    """
    seen: set[str] = set()
    for judgement in judgements:
        numbers = judgement.quantity in set(Quantity) and judgement.clause not in UNCHANGED_STATE
        if not numbers or not isinstance(judgement.verdict, (Conforms, Diverges)):
            continue
        first = judgement.quantity not in seen
        seen.add(judgement.quantity)
        yield judgement, looks.get(Quantity(judgement.quantity), Look()) if first else Look()


def _add(cell: Cell, judgement: Judgement, seen: Look) -> bool:
    """Take one check in; whether it diverges."""
    cell.elements += seen.elements
    cell.vacuous += seen.vacuous
    verdict = judgement.verdict
    measure = verdict.measure if isinstance(verdict, (Conforms, Diverges)) else None
    if isinstance(verdict, Diverges):
        cell.alarms += 1
    if measure is not None and measure.judged:
        cell.ratios.append(measure.ratio)
        cell.others.update(seen.objections)
    return isinstance(verdict, Diverges)


def describe(case: Case, judgement: Judgement) -> str:
    """One line on a judgement that should not be."""
    message = getattr(judgement.verdict, "message", "")
    return f"{judgement.clause} {judgement.quantity}: {message} ({case.to_json()})"


# The registered subjects.


def check_subject(name: str, cases: Iterable[Case]) -> Findings:
    """A registered subject on every case that it supports, in a process of its own."""
    found = Findings()
    adapter = load_class(Target.parse(REGISTRY[name]))
    labels = Labels(entries=load_known())
    with SubjectProcess(Target.parse(REGISTRY[name]), adapter.environment) as process:
        described = process.describe()
        if not described.available:
            found.about[name] = f"unavailable: {described.reason}"
            return found
        info = SubjectInfo(
            name=name,
            framework=adapter.framework,
            version=described.version,
            device=described.device,
        )
        found.about[name] = f"{adapter.framework} {described.version}"
        supported = [case for case in cases if adapter.capabilities.unsupported(case) is None]
        questions = (Question(case=case, repeat=False) for case in supported)
        with np.errstate(all="ignore"):
            for case, outcome in process.ask(questions, SECONDS_PER_CASE):
                trial = Bench(case).trial(Conventions.of(adapter.dialect))
                judgements = judge(trial, outcome, adapter.dialect, adapter.capabilities)
                records = make_records(info, topic_of_case(case), outcome, judgements, labels)
                judged = list(zip(judgements, records, strict=True))
                if isinstance(outcome, Answered):
                    _add_answer(found, trial, outcome, judged)
                else:
                    _add_refusal(found, case, judged)
    return found


def _add_refusal(found: Findings, case: Case, judged: list[tuple[Judgement, Record]]) -> None:
    """A case without an answer: an alarm where it must have one and nobody knows why not."""
    for judgement, record in judged:
        found.counts[f"{record.subject}: not answered"] += 1
        if record.verdict in UNEXPECTED and not record.known:
            found.alarms.append(f"{record.subject}: {describe(case, judgement)}")


def _add_answer(
    found: Findings, trial: Trial, outcome: Answered, judged: list[tuple[Judgement, Record]]
) -> None:
    """A subject's answer, without the quantities that a known divergence covers."""
    case = trial.case
    faulty = {record.quantity for _, record in judged if record.known}
    looks = look(trial, outcome.answer)
    by_judgement = {id(judgement): record for judgement, record in judged}
    name = judged[0][1].subject if judged else ""
    for judgement, seen in _checks((judgement for judgement, _ in judged), looks):
        record = by_judgement[id(judgement)]
        if is_graded(record.verdict, record.judged_elements, record.smallest_count):
            grade = grade_of(record.error_ratio, record.max_ulp, record.smallest_count)
            found.grades.setdefault((name, record.dtype), Counter())[grade] += 1
        if record.quantity in faulty:
            found.counts[f"{name}: known divergences"] += bool(record.known)
            continue
        key = (name, record.dtype, group_of(Quantity(record.quantity)), _variant(case))
        if _add(found.table.at(*key), judgement, seen):
            found.alarms.append(f"{name}: {describe(case, judgement)}")
    if "y" not in faulty:
        found.add_tallies(name, case, signed_errors(trial, outcome))


def systematic_cases(blocks: int, dtypes: Iterable[DType] = tuple(DType)) -> list[Case]:
    """Cases of 128 channels of 16 values, without gamma and beta, in training and inference.

    Epsilon is a power of two, hence exact in every format.
    """
    return [
        Case(
            shape=(16, 128),
            last_batch=16,
            feature_axes=(1,),
            dtype=dtype,
            layout=Layout.CONTIGUOUS,
            upstream_layout=Layout.CONTIGUOUS,
            center=False,
            scale=False,
            mode=mode,
            steps=1,
            epsilon=2.0**-10,
            decay=0.5,
            fill=Fill(kind=FillKind.NORMAL, seed=seed),
        )
        for dtype in dtypes
        for mode in (Mode.TRAIN, Mode.INFERENCE)
        for seed in range(blocks)
    ]
