"""How much of a bound float64 lacks where it is taken for enough, and what it saves.

    python benchmarks/closeness.py [--profile P] [--cases N]

For every set of conventions that a registered subject claims: the cases that are judged by float64
values first (``reference.enough``), the largest |float64 - double-double| / bound over all elements
that are judged, as a power of two, and seconds of processor time for the same cases in both.
Derived is 2^-29 (``conformance/numbers/single.py``); exact arithmetic decides within 2^-24.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
from tables import markdown

from bnconform.adapters import REGISTRY
from bnconform.conformance.cases.fills import make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.expecting.expectation import Expectation, Expected
from bnconform.conformance.reference import Conventions, closely, enough, expect_many

COLUMNS = ("conventions of", "cases", "elements", "largest", "of", "float64 s", "double-double s")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--profile", default="nightly", choices=sorted(PROFILES))
    parser.add_argument("--cases", type=int, default=2000)
    arguments = parser.parse_args()
    cases = plan_cases(PROFILES[arguments.profile], cases=arguments.cases, seed=0)
    rows = []
    for conventions, name in _claimed().items():
        adapter = load_class(Target.parse(REGISTRY[name]))
        asked = [
            case
            for case in cases
            if enough(case) is not closely(case) and adapter.capabilities.unsupported(case) is None
        ]
        inputs = make_many(asked)
        began = time.process_time()
        quick = _held(expect_many(asked, inputs, conventions, enough))
        between = time.process_time()
        close = _held(expect_many(asked, inputs, conventions))
        ended = time.process_time()
        largest, where, elements = _lacking(quick, close)
        power = f"2^{math.log2(largest):.1f}" if largest else "0"
        rows.append(
            [
                name, f"{len(asked):,}", f"{elements:,}", power, where,
                f"{between - began:.2f}", f"{ended - between:.2f}",
            ]
        )  # fmt: skip
    print("\n".join(markdown(COLUMNS, rows)))


def _claimed() -> dict[Conventions, str]:
    """Every set of conventions, with the first subject that claims it."""
    found: dict[Conventions, str] = {}
    for name, target in REGISTRY.items():
        found.setdefault(Conventions.of(load_class(Target.parse(target)).dialect), name)
    return found


def _held(expected: Iterable[Expected]) -> list[tuple[str, Expectation]]:
    """Every expectation with its quantity, taken out."""
    return [pair for each in expected for pair in _of(each)]


def _of(expected: Expected) -> Iterator[tuple[str, Expectation]]:
    for step in (*expected.steps, *([expected.inference] if expected.inference else [])):
        yield from ((quantity.value, want) for quantity, want in step.items())


def _lacking(
    quick: Iterable[tuple[str, Expectation]], close: Iterable[tuple[str, Expectation]]
) -> tuple[float, str, int]:
    """The largest share of a bound, its quantity, and how many elements were looked at."""
    largest, where, elements = 0.0, "", 0
    for (quantity, have), (_, want) in zip(quick, close, strict=True):
        look = ~(want.vacuous | want.excluded) & np.isfinite(want.value.hi) & (want.bound > 0)
        lacks = np.abs((have.value.hi - want.value.hi) - want.value.lo)[look] / want.bound[look]
        elements += lacks.size
        if lacks.size and lacks.max() > largest:
            largest, where = float(lacks.max()), quantity
    return largest, where, elements


if __name__ == "__main__":
    main()
