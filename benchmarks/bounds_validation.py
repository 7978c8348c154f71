"""Are the bounds right? Correct implementations against them, and faulty ones.

    python benchmarks/bounds_validation.py > benchmarks/RESULTS-bounds.md

Prints, for implementations that follow their declared class and for every registered subject that
is installed: the largest and the 99th-percentile error / bound, false alarms, the share of elements
whose bound allows anything, and how often three other rules would have accused the same correct
results; what all four rules catch of seeded faults; the systematic-error test; accuracy grades.

Exit status: 0 if no correct implementation was accused, every class was clean of systematic errors,
and the seeded one was reported; 1 otherwise. ``--quick`` looks at little, to see that it runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from autodiff import library_makes
from bounds_report import SEEDED, Results, report, verdicts
from fault_finding import Caught, check_faults
from makes import MAKES
from seeded_faults import FAULTS, OneInTenRoots
from subjects import Findings, check_makes, check_subject, systematic_cases

from bnconform.adapters import REGISTRY
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.plan import PROFILES, Profile, draw_cases
from bnconform.conformance.formats import DType

CHUNK = 40
NIGHTLY = replace(PROFILES["nightly"], large=False)
"""A million values per channel would take all of the time."""

LIBRARY_PROFILE = Profile(name="libraries", cases=0, signatures=8, seconds_per_case=60.0)
"""Few signatures: JAX compiles every operation for each."""

SYSTEMATIC_MAKES = {**MAKES, SEEDED: OneInTenRoots}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is looked at: cases of each kind, and blocks of 128 channels."""

    makes: int
    libraries: int
    faults: int
    subjects: int
    blocks: int
    long: bool


FULL = Size(makes=900, libraries=160, faults=1000, subjects=240, blocks=32, long=True)
QUICK = Size(makes=30, libraries=0, faults=12, subjects=8, blocks=1, long=False)


def has_values(case: Case) -> bool:
    """Whether there is anything to be right about."""
    return case.smallest_count > 0 and 0 not in case.shape


def main() -> int:
    """Check, print, and say whether all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few cases, to see that it runs")
    parser.add_argument("--seed", type=int, default=0, help="of the planned cases")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--subjects", default="all", help="registered subjects: A,B, all or none")
    arguments = parser.parse_args()
    names = {"all": list(REGISTRY), "none": []}.get(
        arguments.subjects, arguments.subjects.split(",")
    )
    size = QUICK if arguments.quick else FULL
    results = collect(size, arguments.seed, names, arguments.workers)
    for line in report(results):
        print(line)
    return 0 if all(verdict.holds for verdict in verdicts(results)) else 1


def collect(size: Size, seed: int, names: Sequence[str], workers: int) -> Results:
    """Do everything, in ``workers`` processes; results do not depend on their number."""
    found = Results(
        full=size is FULL,
        makes=Findings(),
        subjects=Findings(),
        lanes=Findings(),
        faults={},
        correct=Caught(),
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: list[tuple[Future[Any], Callable[[Any], None]]] = []

        def ask(take: Callable[[Any], None], work: Callable[..., Any], *arguments: Any) -> None:
            waiting.append((pool.submit(work, *arguments), take))

        cases = make_cases(size, seed)
        for name in names:
            # The longest work first.
            ask(found.subjects.merge, check_subject, name, subject_cases(size, seed))
        for start in range(0, len(cases), CHUNK):
            ask(found.makes.merge, check_makes, MAKES, cases[start : start + CHUNK])
        for make in library_makes().items():
            ask(found.makes.merge, check_makes, dict([make]), library_cases(size, seed))
        for dtype in DType:
            lane = systematic_cases(size.blocks, (dtype,))
            ask(found.lanes.merge, check_makes, SYSTEMATIC_MAKES, lane)
        ask(_taking_faults(found), check_faults, FAULTS, fault_cases(size, seed))
        for future, take in waiting:
            take(future.result())
    return found


def _taking_faults(found: Results) -> Callable[[Any], None]:
    def take(result: tuple[dict[str, Caught], Caught]) -> None:
        found.faults, found.correct = dict(result[0]), result[1]

    return take


def make_cases(size: Size, seed: int) -> list[Case]:
    """Planned cases, then long sums, in every format and both kinds of hard data."""
    planned = draw_cases(NIGHTLY, cases=size.makes, seed=seed)
    kept = [case for case in planned if has_values(case)]
    return kept + (list(_long_cases()) if size.long else [])


def _long_cases() -> Iterator[Case]:
    offsets = {DType.FLOAT16: 100.0, DType.BFLOAT16: 100.0, DType.FLOAT32: 1e4, DType.FLOAT64: 1e6}
    for dtype, offset in offsets.items():
        for n in (1000, 4096):
            for kind in (FillKind.NORMAL, FillKind.OFFSET, FillKind.CONSTANT, FillKind.MIXED):
                place = offset if kind is FillKind.OFFSET else 0.0
                yield Case(
                    shape=(n, 4),
                    last_batch=n,
                    feature_axes=(1,),
                    dtype=dtype,
                    layout=Layout.CONTIGUOUS,
                    upstream_layout=Layout.CONTIGUOUS,
                    center=True,
                    scale=True,
                    mode=Mode.TRAIN,
                    steps=1,
                    epsilon=1e-5,
                    decay=0.9,
                    fill=Fill(kind=kind, seed=n, offset=place),
                )


def library_cases(size: Size, seed: int) -> list[Case]:
    """Cases of few signatures."""
    planned = draw_cases(LIBRARY_PROFILE, cases=size.libraries, seed=seed)
    return [case for case in planned if has_values(case)]


def fault_cases(size: Size, seed: int) -> tuple[Case, ...]:
    """Other cases than those of the correct makes."""
    return draw_cases(NIGHTLY, cases=size.faults, seed=seed + 1)


def subject_cases(size: Size, seed: int) -> list[Case]:
    """Planned cases, and those of the systematic-error test."""
    planned = draw_cases(PROFILES["quick"], cases=size.subjects, seed=seed)
    return [*(c for c in planned if has_values(c)), *systematic_cases(size.blocks)]


if __name__ == "__main__":
    sys.exit(main())
