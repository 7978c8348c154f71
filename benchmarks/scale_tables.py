"""The tables of docs/scale.md that need no simulation: costs, growth, nights and records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scale_constants import Constants
from scale_costs import RunCost, SubjectCost
from scale_load import Cost, Load, whole_cost
from tables import markdown

from bnconform.conformance.engine.units import BLOCK_CASES, BLOCK_SIGNATURES

NIGHT = 8 * 3600.0
HOUR = 3600.0
NIGHTS = (10**6, 10**9)
WIDE = 10_000
"""Signatures of the wider plan that is looked at beside the run's own."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured."""

    run: RunCost
    constants: Constants

    @property
    def signatures(self) -> int:
        """Those of the run that grow with the plan."""
        subject = self.run.subjects[0]
        return len(subject.growing or subject.signatures)

    def whole(self, load: Load) -> Cost:
        """What a load costs, all subjects together."""
        total = Cost()
        for subject in self.run.subjects:
            total += whole_cost(subject, load, self.constants)
        return total

    def serial(self, load: Load, units: int) -> dict[str, float]:
        """Seconds of the one process that plans, hands out, writes and closes."""
        constants, whole = self.constants, self.whole(load)
        return {
            "planning": load.cases * constants.planning,
            "receiving and writing rows": whole.handing,
            "opening and syncing parts": units * constants.writing_part,
            "closing": whole.rows * constants.closing + units * constants.closing_part,
        }

    def units(self, load: Load) -> int:
        """Units as the engine makes them, with those of the rare signatures and the rest."""
        rare = len(self.run.subjects[0].rare)
        most = max(-(-load.signatures // BLOCK_SIGNATURES), math.ceil(load.cases / BLOCK_CASES))
        return len(self.run.subjects) * (most + -(-rare // BLOCK_SIGNATURES) + 1)


def costs(measured: Measured) -> Iterator[str]:
    """What a case costs, subject by subject."""
    run, constants = measured.run, measured.constants
    yield (
        f"A run of {run.cases:,} cases with {run.signatures:,} signatures and "
        f"{len(run.subjects)} subjects, {run.seconds:,.0f} s on {run.machine['cores']} cores; "
        f"constants from {constants.machine['cores']} cores, Python "
        f"{constants.machine['python']}, at a load of {constants.machine['load']}."
    )
    yield ""
    headings = (
        "subject", "start-up s", "asked", "compile s/signature", "of that first call",
        "repeat ms", "harness ms/case", "rows/case", "bytes/case", "attribution s",
    )  # fmt: skip
    yield from markdown(headings, [_cost_row(each, constants) for each in run.subjects])


def _cost_row(subject: SubjectCost, constants: Constants) -> list[str]:
    asked = sum(each.asked for each in subject.signatures)
    first = sum(each.first for each in subject.signatures)
    once = sum(each.once for each in subject.signatures)
    repeat = sum(each.asked * each.repeat for each in subject.signatures)
    compiled = sum(each.asked > 0 for each in subject.signatures)
    beyond = constants.carrying + constants.judging
    beyond += subject.rows_of_asked * (constants.labelling + constants.writing)
    return [
        subject.name,
        f"{constants.startup.get(subject.name, 0.0):.1f}",
        f"{asked:,}",
        f"{once / max(compiled, 1):.3f}",
        f"{first / once:.0%}" if once else "-",
        f"{1e3 * repeat / max(asked, 1):.2f}",
        f"{1e3 * beyond:.2f}",
        f"{subject.records / subject.cases:.1f}",
        f"{subject.bytes / subject.cases:.0f}",
        f"{subject.attribution:.0f}",
    ]


def harness(measured: Measured) -> Iterator[str]:
    """The constants, in microseconds."""
    constants = measured.constants
    rows = {
        "planning a case, in the harness of every shard": constants.planning,
        "a case to its subject and back, beyond the subject's own time": constants.carrying,
        "judging a case: inputs, reference, bounds, verdicts": constants.judging,
        "both for a case of the few that are large": constants.rare,
        "making and labelling a row": constants.labelling,
        "unpickling a row that was judged on another node": constants.fetching,
        "writing a row": constants.writing,
        "writing a part, rows aside": constants.writing_part,
        "closing, for a row": constants.closing,
        "closing, for a part": constants.closing_part,
    }
    yield from markdown(
        ("what", "µs"), [(name, f"{1e6 * took:,.2f}") for name, took in rows.items()]
    )


def growth(measured: Measured) -> Iterator[str]:
    """Core-hours by cases and signatures, and each subject's part in them."""
    own = measured.signatures
    rows = []
    for cases in (10**4, 10**5, 10**6, 10**9):
        for signatures in sorted({own, WIDE} if cases > WIDE else {own}):
            whole = measured.whole(Load(cases=cases, signatures=signatures))
            rows.append(
                (
                    f"{cases:,}",
                    f"{signatures:,}",
                    f"{whole.parallel / HOUR:,.2f}",
                    _percent(whole.compiling, whole.parallel),
                    _percent(whole.framework, whole.parallel),
                    _percent(whole.harness, whole.parallel),
                )
            )
    headings = ("cases", "signatures", "core hours", "compiling", "frameworks", "harness")
    yield from markdown(headings, rows)
    yield "What each subject adds to 1,000,000 cases:"
    yield ""
    yield from markdown(
        ("subject", "core hours", "compiling", "frameworks", "harness"), _by_subject(measured)
    )


def _by_subject(measured: Measured) -> Iterator[Sequence[str]]:
    load = Load(cases=10**6, signatures=measured.signatures)
    costs = {
        each.name: whole_cost(each, load, measured.constants) for each in measured.run.subjects
    }
    for name in sorted(costs, key=lambda name: -costs[name].parallel):
        cost = costs[name]
        yield (
            name,
            f"{cost.parallel / HOUR:.2f}",
            _percent(cost.compiling, cost.parallel),
            _percent(cost.framework, cost.parallel),
            _percent(cost.harness, cost.parallel),
        )


def nights(measured: Measured) -> Iterator[str]:
    """What fits in a night: the parallel part in cores, the serial part in hours."""
    rows = [_night(measured, cases, _signatures(measured, cases)) for cases in NIGHTS]
    names = list(rows[0])
    yield from markdown(
        ("", *(f"{cases:,} cases" for cases in NIGHTS)),
        [(name, *(row[name] for row in rows)) for name in names],
    )


def _signatures(measured: Measured, cases: int) -> int:
    return measured.signatures if cases <= 10**6 else WIDE


def _night(measured: Measured, cases: int, signatures: int) -> Mapping[str, str]:
    load = Load(cases=cases, signatures=signatures)
    whole, units = measured.whole(load), measured.units(load)
    serial = measured.serial(load, units)
    longest = max(serial, key=lambda name: serial[name])
    cores = whole.parallel / NIGHT
    central = whole.harness / NIGHT
    constants, run = measured.constants, measured.run
    largest = max(subject.records / subject.cases for subject in run.subjects)
    return {
        "signatures": f"{signatures:,}",
        "units of eight signatures": f"{units:,}",
        "core hours of subjects and judging": f"{whole.parallel / HOUR:,.1f}",
        "cores for them in 8 h, none idle": f"{cores:,.1f}",
        "of those, cores that judge": f"{central:,.2f}",
        "nodes of 2 cores": f"{cores / 2:,.1f}",
        **{f"one process, h: {name}": f"{took / HOUR:,.2f}" for name, took in serial.items()},
        "one process, h: all of that": f"{sum(serial.values()) / HOUR:,.2f}",
        "most of it": longest,
        "GB of its memory: the plan": f"{cases * constants.planned_bytes / 1e9:,.1f}",
        "GB of its memory: rows of one subject, for their causes": (
            f"{cases * largest * constants.row_bytes / 1e9:,.1f}"
        ),
        "GB of its memory: rows that diverge, to close": (
            f"{whole.rows * run.diverging * constants.row_bytes / 1e9:,.1f}"
        ),
        "GB of its memory: facts of the cases, to close": (
            f"{cases * constants.fact_bytes / 1e9:,.1f} or more"
        ),
    }


def records(measured: Measured) -> Iterator[str]:
    """What is kept, and how large it is."""
    run, constants = measured.run, measured.constants
    stored = sum(each.bytes for each in run.subjects) / run.records
    rows: list[Sequence[str]] = []
    for cases in (10**4, *NIGHTS):
        whole = measured.whole(Load(cases=cases, signatures=_signatures(measured, cases)))
        merged, zstd = constants.merged["snappy"], constants.merged["zstd"]
        rows.append(
            (
                f"{cases:,}",
                f"{whole.rows:,.3g}",
                f"{whole.rows * stored / 1e9:,.2f}",
                f"{whole.rows * merged / 1e9:,.2f}",
                f"{whole.rows * zstd / 1e9:,.2f}",
                f"{whole.rows * zstd / 1e9 * 365:,.0f}",
                f"{cases * run.case_bytes / 1e9:,.2f}",
            )
        )
    yield from markdown(
        ("cases", "rows", "GB as written", "GB in large parts", "GB, those with Zstandard",
         "GB of a year of such nights", "GB of cases.jsonl"), rows,
    )  # fmt: skip
    yield (
        f"A row takes {stored:.1f} bytes in the run's {run.parts:,} parts, "
        f"{constants.merged['snappy']:.1f} in one large file, {constants.merged['zstd']:.1f} with "
        f"Zstandard there, and {constants.row_bytes:.0f} in memory; on its way from another node "
        f"{constants.fetched_bytes:.0f}. The examples of divergences take "
        f"{run.divergence_bytes / 1e6:.1f} MB, one for each kind, so that they hardly grow."
    )
    yield ""


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"
