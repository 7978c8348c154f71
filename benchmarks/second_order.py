"""Are the bounds of second derivatives right? Correct makes against them, and faulty ones.

    python benchmarks/second_order.py > benchmarks/RESULTS-second-order.md

Prints, for every make, mode and format, how many checks there were, the largest and the
99th-percentile error / bound, the share of elements whose bound allows anything, and how often
allclose with rtol = atol = 1e-3 would have accused the same correct results; then how many of the
faulty results each rule catches. A check is one of the three gradients of one channel.

Exit status: 0 if no correct make exceeded a bound, 1 otherwise. ``--quick`` looks at little,
and at nothing that a library differentiates.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from second_order_autodiff import library_makes
from second_order_makes import FAULTS, NUMPY_MAKES, Call, Three
from tables import markdown, percent

from bnconform.conformance import spec
from bnconform.conformance import spec_second as second
from bnconform.conformance.bounds import Float64, Precision, Statistics, rounded
from bnconform.conformance.bounds_second import (
    Inputs,
    SecondErrors,
    inference_second_errors,
    training_second_errors,
)
from bnconform.conformance.dialect import VarianceAlgorithm
from bnconform.conformance.formats import FORMATS, DType, Format
from bnconform.conformance.numbers.doubledouble import DoubleDouble

AXES = (1,)
CHANNELS = 16
SIZES = (2, 3, 5, 8, 16, 40, 100, 1000)
EASY_SIZES = (16, 24, 40)
FIXED = 1e-3
"""rtol and atol of the rule that is compared."""
OURS, ALLCLOSE = "our bounds", "allclose, 1e-3"
INTRODUCTION = """\
# The bounds of second derivatives, tried on correct and on faulty makes

Printed by `python benchmarks/second_order.py`. A check is one of the gradients of S by x, g and
gamma in one channel; *max* and *p99* are of its largest error / bound over its elements; *vacuous*
is the share of elements whose bound allows any value, which is no pass: those where a one-pass
variance may have been clamped. The last column is the share of checks in which rtol = atol = 1e-3
accuses the same result, which is correct. n is 2 to 1000, means are up to 1e4 deviations (1e6 in
float64), scales 1e-2 to 1e2.
"""
FAULTY = """\
## Faults

The share of channels in which a fault is found, on easy data: n of 16, 24 or 40, means of up to
half a deviation, scales around 1. by_gamma is a sum whose terms may cancel, so that 1e-3 of it can
be less than what rounding its terms in float32 may do.
"""


@dataclass(kw_only=True)
class Cell:
    """Checks of one make in one format."""

    ratios: list[float] = field(default_factory=list)
    accused: int = 0
    elements: int = 0
    vacuous: int = 0

    @property
    def false_alarms(self) -> int:
        """How many checks exceeded their bound."""
        return sum(ratio > 1 for ratio in self.ratios)

    def row(self) -> list[str]:
        """What is printed of it."""
        worst = np.percentile(self.ratios, 99, method="higher")
        return [
            f"{len(self.ratios):,}",
            f"{max(self.ratios):.3f}",
            f"{worst:.3f}",
            str(self.false_alarms),
            percent(self.vacuous, self.elements),
            percent(self.accused, len(self.ratios)),
        ]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Exact gradients of S, and the bounds of both classes of variance."""

    values: tuple[Float64, ...]
    bounds: Mapping[bool, tuple[Float64, ...]]

    def compare(
        self, found: Three, *, one_pass: bool
    ) -> Iterator[tuple[Float64, Float64, Float64]]:
        """For each gradient |error| / bound, whether allclose would accuse it, whether vacuous."""
        for got, want, bound in zip(found, self.values, self.bounds[one_pass], strict=True):
            with np.errstate(invalid="ignore"):
                error = np.abs(got.astype(np.float64) - want)
                ratio = np.where(np.isinf(bound), 0.0, error / bound)
            ratio = np.where(np.isfinite(got) | np.isinf(bound), ratio, np.inf)
            yield ratio, error > FIXED + FIXED * np.abs(want), np.isinf(bound)


def draw(
    values: np.random.Generator, dtype: DType, *, easy: bool = False, training: bool = True
) -> Call:
    """Channels of one size: means to 1e4 (1e6) deviations, scales from 1e-2 to 1e2.

    Easy ones have a mean of up to half a deviation and a scale around 1. Gradients have a mean, or
    go along with xhat, so that they cancel. Everything is rounded to the format.
    """
    n, wide = int(values.choice(EASY_SIZES if easy else SIZES)), (CHANNELS, 1)
    most = 6 if dtype is DType.FLOAT64 else 4
    ratio = values.uniform(0, 0.5, wide) if easy else 10.0 ** values.uniform(-1, most, wide)
    scale = 10.0 ** values.uniform(-0.3 if easy else -2, 0.3 if easy else 2, wide)
    spread = values.standard_normal((CHANNELS, n))
    spread = (spread - spread.mean(1, keepdims=True)) / spread.std(1, keepdims=True)
    gathered = values.choice([0.3, 1.0] if easy else [0.0, 1.0, 30.0])
    along = values.choice([0.5, -0.5] if easy else [0.0, -0.5, 10.0])
    g = values.standard_normal((CHANNELS, n)) + gathered + along * spread
    u = values.standard_normal((CHANNELS, n)) - gathered + values.choice([0.6, -0.4]) * spread
    size = values.uniform(0.5, 2, (3, CHANNELS, 1)) * values.choice([-1, 1], (3, CHANNELS, 1))
    statistics = {} if training else {"mean": ratio * scale, "var": scale**2}
    drawn = Call(
        x=(spread + ratio * values.choice([-1, 1], wide)) * scale, g=g, u=u, gamma=size[0],
        a=size[1], b=size[2], epsilon=float(np.float32(10.0 ** values.uniform(-8, -1))),
        **statistics,
    )  # fmt: skip
    return drawn.to(FORMATS[dtype].numpy).to(np.float64)


def truth(call: Call, fmt: Format) -> Truth:
    """Exact values by double-double."""
    x, g, u, gamma, a, b = map(DoubleDouble, (call.x, call.g, call.u, call.gamma, call.a, call.b))
    inference = call.mean is not None
    mu = DoubleDouble(call.mean) if inference else spec.batch_mean(x, AXES)
    v = DoubleDouble(call.var) if inference else spec.biased_variance(x, mu, AXES)
    r = spec.inverse_deviation(v, call.epsilon)
    xhat = spec.normalize(x, mu, r)
    if inference:
        exact = (
            second.inference_second_dx(g, r, a),
            second.inference_second_dg(u, xhat, r, gamma, a, b),
            second.inference_second_dgamma(g, u, r, AXES),
        )
    else:
        exact = (
            second.training_second_dx(g, u, xhat, r, gamma, a, AXES),
            second.training_second_dg(u, xhat, r, gamma, a, b, AXES),
            second.training_second_dgamma(g, u, xhat, r, AXES),
        )
    values = tuple(each.to_float64() for each in exact)
    classes = {False: VarianceAlgorithm.TWO_PASS, True: VarianceAlgorithm.ONE_PASS}
    bounds = {}
    for one_pass, algorithm in classes.items():
        errors = _errors(call, Precision(accumulation=fmt, algorithm=algorithm))
        each = (errors.by_x, errors.by_g, errors.by_gamma)
        bounds[one_pass] = tuple(
            rounded(error, value, fmt, fmt) for error, value in zip(each, values, strict=True)
        )
    return Truth(values=values, bounds=bounds)


def _errors(call: Call, p: Precision) -> SecondErrors:
    inputs = Inputs(x=call.x, g=call.g, u=call.u, gamma=call.gamma, a=call.a, b=call.b)
    if call.mean is None:
        return training_second_errors(inputs, AXES, call.epsilon, p)
    nothing = np.zeros_like(call.mean)
    kept = Statistics(mu=call.mean, v=call.var, delta=nothing, e_v=nothing)
    return inference_second_errors(inputs, kept, AXES, call.epsilon, p)


def check(
    makes: Mapping[str, Callable[[Call], Three]], rounds: int, seed: int = 0
) -> dict[tuple[str, str, str], Cell]:
    """Every make on ``rounds`` draws of each format, one in four of them in inference.

    By make, mode and format.
    """
    cells: dict[tuple[str, str, str], Cell] = {}
    for dtype in (DType.FLOAT32, DType.FLOAT64):
        values, fmt = np.random.default_rng([seed, fmt_bits(dtype)]), FORMATS[dtype]
        for number in range(rounds):
            training = number % 4 != 3
            call, mode = (
                draw(values, dtype, training=training),
                "training" if training else "inference",
            )
            wanted = truth(call, fmt)
            for name, make in makes.items():
                with np.errstate(all="ignore"):
                    found = make(call.to(fmt.numpy))
                cell = cells.setdefault((name, mode, dtype.value), Cell())
                for part in wanted.compare(found, one_pass=getattr(make, "one_pass", False)):
                    _take(cell, *part)
    return cells


def fmt_bits(dtype: DType) -> int:
    """Size of the format's values, in bits."""
    return FORMATS[dtype].numpy.itemsize * 8


def _take(cell: Cell, ratio: Float64, accused: Float64, vacuous: Float64) -> None:
    cell.ratios += ratio.max(axis=1).tolist()
    cell.accused += int(accused.any(axis=1).sum())
    cell.elements += vacuous.size
    cell.vacuous += int(vacuous.sum())


def caught(fault: Any, rounds: int, dtype: DType, seed: int = 1) -> dict[str, tuple[int, int]]:
    """(caught, shown) of a fault by rule: channels that show it, on easy draws."""
    values, fmt = np.random.default_rng(seed), FORMATS[dtype]
    counts = {OURS: 0, ALLCLOSE: 0}
    shown = 0
    for _ in range(rounds):
        call = draw(values, dtype, easy=True)
        parts = list(truth(call, fmt).compare(fault(call.to(fmt.numpy)), one_pass=False))
        shown += CHANNELS
        counts[OURS] += int(np.any([(ratio > 1).any(1) for ratio, _, _ in parts], axis=0).sum())
        counts[ALLCLOSE] += int(np.any([far.any(1) for _, far, _ in parts], axis=0).sum())
    return {rule: (count, shown) for rule, count in counts.items()}


def main() -> int:
    """Check, print, and say whether all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws, to see that it runs")
    quick = parser.parse_args().quick
    rounds = 4 if quick else 120
    makes = NUMPY_MAKES if quick else {**NUMPY_MAKES, **library_makes()}
    cells = check(makes, rounds)
    print(INTRODUCTION)
    print("## Correct makes\n")
    headings = (
        "make",
        "mode",
        "format",
        "checks",
        "max",
        "p99",
        "false alarms",
        "vacuous",
        ALLCLOSE,
    )
    for line in markdown(headings, [[*key, *cell.row()] for key, cell in cells.items()]):
        print(line)
    print(FAULTY)
    for line in markdown(("fault", "format", OURS, ALLCLOSE), _fault_rows(max(rounds // 10, 1))):
        print(line)
    return int(any(cell.false_alarms for cell in cells.values()))


def _fault_rows(rounds: int) -> Iterator[list[str]]:
    for fault in FAULTS:
        for dtype in (DType.FLOAT32, DType.FLOAT64):
            found = caught(fault(), rounds, dtype)
            words = (fault.__doc__ or fault.__name__).rstrip(".")
            yield [words, dtype.value, *(percent(*found[rule]) for rule in (OURS, ALLCLOSE))]


if __name__ == "__main__":
    sys.exit(main())
