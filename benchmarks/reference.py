"""What inputs, reference and bounds cost: microseconds a case, one at a time and stacked.

    python benchmarks/reference.py [--repeats N]

Every figure is the least of several repeats in one run, in processor time. 'alone' is ``expect``
of each case, to a hundred bits; the other columns are ``expect_many`` on so many cases of a
signature, as closely as judging needs, and 'opened' is what taking out every expectation of every
case costs besides. The last line is the quick plan,
whose signatures have about 13 cases each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs, make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.formats import DType
from bnconform.conformance.reference import Conventions, Expected, enough, expect, expect_many
from bnconform.conformance.variant import Ghost, Hidden, Masked, Renorm, Synchronized, Weighted

SIZES = (16, 64, 256)
ALONE = 8
"""Cases that are walked through one at a time for a figure: they take milliseconds each."""

_IMAGE = Case(
    shape=(8, 3, 4, 4),
    last_batch=8,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-3,
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=0),
)
_ROWS = replace(_IMAGE, shape=(16, 4), last_batch=16)
_MAPS = replace(_IMAGE, shape=(8, 4, 2, 4))

SIGNATURES = {
    "rows, 64 elements": _ROWS,
    "rows, float64": replace(_ROWS, dtype=DType.FLOAT64),
    "rows, 3 steps": replace(_ROWS, steps=3, last_batch=8),
    "maps, 256 elements": _MAPS,
    "maps, float64": replace(_MAPS, dtype=DType.FLOAT64),
    "maps, 3 steps": replace(_MAPS, steps=3, last_batch=4),
    "maps, inference": replace(_MAPS, mode=Mode.INFERENCE),
    "images, 384 elements": _IMAGE,
    "images, 1536 elements": replace(_IMAGE, shape=(16, 3, 8, 4), last_batch=16),
    "maps, masked": replace(_MAPS, variant=Masked(hidden=Hidden.ORDINARY)),
    "maps, weighted": replace(_MAPS, variant=Weighted()),
    "maps, ghost": replace(_MAPS, variant=Ghost(size=2)),
    "maps, renorm": replace(
        _MAPS, variant=Renorm(r_min=0.75, r_max=1.5, d_max=0.5, decay=0.5), steps=2
    ),
    "maps, synchronized": replace(_MAPS, variant=Synchronized(replicas=2, uneven=False)),
}
CONVENTIONS = Conventions.of(NumpyReference.dialect)


def main() -> None:
    """Print a line for each signature, then one for the quick plan."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    columns = ("inputs", "together", "alone", *(f"{size} cases" for size in SIZES), "opened")
    print(f"{'microseconds a case':24}" + " ".join(f"{column:>9}" for column in columns))
    for name, signature in SIGNATURES.items():
        line(name, measured(cases_of(signature, max(SIZES)), SIZES, repeats))
    plan = plan_cases(PROFILES["quick"], cases=PROFILES["quick"].cases, seed=0)
    line("the quick plan", measured(plan, (len(plan),) * len(SIZES), min(repeats, 2), len(plan)))


def cases_of(signature: Case, count: int) -> tuple[Case, ...]:
    """Cases of ``signature`` that differ in all that may differ."""
    scalars = [(1e-3, 0.9), (1e-5, 0.5), (1e-12, 1.0), (0.1, 0.99)]
    kinds = (FillKind.NORMAL, FillKind.TINY, FillKind.HUGE, FillKind.CONSTANT, FillKind.MIXED)
    return tuple(
        replace(
            signature,
            epsilon=scalars[seed % 4][0],
            decay=scalars[seed % 4][1],
            fill=Fill(kind=kinds[seed % 5], seed=seed),
        )
        for seed in range(count)
    )


def measured(
    cases: Sequence[Case], sizes: Sequence[int], repeats: int, alone: int = ALONE
) -> list[float]:
    """The columns of a line."""
    inputs = make_many(cases)

    def stacked(size: int) -> list[Expected]:
        starts = range(0, len(cases), size)
        parts = [(cases[i : i + size], inputs[i : i + size]) for i in starts]
        return [each for part in parts for each in expect_many(*part, CONVENTIONS, enough)]

    pairs = list(zip(cases[:alone], inputs[:alone], strict=True))
    found = [
        timed(lambda: [make_inputs(case) for case in cases], len(cases), repeats),
        timed(lambda: make_many(cases), len(cases), repeats),
        timed(lambda: [expect(*pair, CONVENTIONS) for pair in pairs], len(pairs), repeats),
    ]
    found += [timed(lambda n=size: stacked(n), len(cases), repeats) for size in sizes]
    fresh = [stacked(sizes[-1]) for _ in range(repeats)]
    found.append(timed(lambda: opened(fresh.pop()), len(cases), repeats))
    return found


def opened(every: Sequence[Expected]) -> None:
    """Look at every expectation."""
    for expected in every:
        for step in (*expected.steps, expected.inference or {}):
            list(step.values())


def timed(what: Callable[[], Any], count: int, repeats: int) -> float:
    """The least microseconds for one of ``count``."""
    least = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        what()
        least = min(least, time.process_time() - began)
    return least / count * 1e6


def line(name: str, figures: Sequence[float]) -> None:
    """One row of the table."""
    print(f"{name:24}" + " ".join(f"{figure:9.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
