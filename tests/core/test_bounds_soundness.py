"""No correct implementation exceeds its bound, however it sums and however hard the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Mode
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Answer, Quantity
from bnconform.conformance.dialect import HalfGradient, Policy, RunningVariance, VarianceAlgorithm
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.judging.compare import compare
from bnconform.conformance.judging.judge import judge
from bnconform.conformance.reference import Expected, expect
from bnconform.conformance.verdict import Conforms, Diverges, Measure

from .cases import CENTRED, Data, answered, dialect, make_trial
from .datasets import clamping_data, hard_data, ordinary_data
from .implementations import (
    Answers,
    ByTerm,
    ByTermOnePass,
    Chan,
    Differentiated,
    Folded,
    OnePass,
    OnePassClamped,
    OnePassPairwise,
    Pairwise,
    Reversed,
    ScaledByN,
    Sequential,
    Welford,
    answers,
)

SIZES = (1, 2, 3, 4, 7, 16, 33, 128, 1000, 4096)

MAKES = [
    Sequential,  # the longest chain of roundings
    Pairwise,  # the shortest
    Reversed,  # another order, and a product with 1 / n
    Welford,  # divides at every value
    Chan,  # merges blocks, the last one short
    ScaledByN,  # cancels n g against sum g
    Folded,  # cancels a x against b, and sum g x against mu sum g
    Differentiated,  # r^3, and the vanishing sum of deviations
    OnePass,  # its own class of bound; x^2 and mu^2 differentiated apart
    OnePassPairwise,  # the same class, other gradients
]


def _algorithm(make: type[Sequential]) -> VarianceAlgorithm:
    return VarianceAlgorithm.ONE_PASS if issubclass(make, OnePass) else VarianceAlgorithm.TWO_PASS


@cache
def _expected(n: int, dtype: DType, algorithm: VarianceAlgorithm) -> Expected:
    """By an unbiased running variance for odd n, a biased one for even n."""
    kept = RunningVariance.UNBIASED if n % 2 else RunningVariance.BIASED
    data = hard_data(n, dtype)
    conventions = replace(CENTRED, algorithm=algorithm, running_variance=kept)
    return expect(data.case, data.inputs, conventions)


def _measures(
    steps: list[Answers], after: Answers, expected: Expected
) -> Iterator[tuple[Quantity, Measure]]:
    """Every quantity of every step, and of the inference call with its own gradients."""
    assert expected.inference is not None
    for found, want in (*zip(steps, expected.steps, strict=True), (after, expected.inference)):
        for quantity, array in found.items():
            verdict = compare(array, want[quantity])
            assert isinstance(verdict, Conforms | Diverges)
            assert verdict.measure is not None
            yield quantity, verdict.measure


def _worst(make: type[Sequential], n: int, dtype: DType) -> Mapping[Quantity, float]:
    data = hard_data(n, dtype)
    steps, after = answers(make(), data, unbiased=bool(n % 2))
    worst: dict[Quantity, float] = defaultdict(float)
    for quantity, measure in _measures(steps, after, _expected(n, dtype, _algorithm(make))):
        worst[quantity] = max(worst[quantity], measure.ratio)
    return worst


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("make", MAKES)
def test_a_correct_implementation_stays_within_every_bound(
    make: type[Sequential], dtype: DType
) -> None:
    """About 600 channels each: n from 1 to 4096, mean / deviation to 1e6, constant channels."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        beyond = {
            (n, quantity): ratio
            for n in SIZES
            for quantity, ratio in _worst(make, n, dtype).items()
            if ratio > 1.0
        }
    assert beyond == {}


def _beyond_dx(make: type[ByTerm], data: Data, gradient: HalfGradient) -> int:
    """In how many steps dx, rounded term by term, exceeds the bound of the class ``gradient``."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps, _ = answers(make(FORMATS[data.case.dtype].numpy), data)
    conventions = replace(CENTRED, algorithm=_algorithm(make), half_gradient=gradient)
    wanted = expect(data.case, data.inputs, conventions).steps
    verdicts = [compare(f[Quantity.DX], w[Quantity.DX]) for f, w in zip(steps, wanted, strict=True)]
    return sum(isinstance(verdict, Diverges) for verdict in verdicts)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
@pytest.mark.parametrize("make", [ByTerm, ByTermOnePass])
def test_a_gradient_rounded_term_by_term_conforms_where_that_is_declared(
    make: type[ByTerm], dtype: DType
) -> None:
    """On ordinary data; the same answers exceed the bound of a gradient that is rounded once."""
    data = ordinary_data(dtype, n=256)
    assert _beyond_dx(make, data, HalfGradient.BY_TERM) == 0
    assert _beyond_dx(make, data, HalfGradient.ONCE) == 3


@pytest.mark.parametrize(
    "dtype",
    [
        DType.BFLOAT16,
        DType.FLOAT16,
    ],
)
@pytest.mark.parametrize("make", [ByTerm, ByTermOnePass])
def test_a_gradient_rounded_term_by_term_conforms_on_hard_data(
    make: type[ByTerm], dtype: DType
) -> None:
    """Where terms cancel, and where they are larger than the format's largest value."""
    beyond = [n for n in SIZES if _beyond_dx(make, hard_data(n, dtype), HalfGradient.BY_TERM)]
    assert beyond == []


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize(
    ("algorithm", "least"),
    [
        (VarianceAlgorithm.TWO_PASS, 0.7),  # not where the mean is 1e6 deviations away
        (VarianceAlgorithm.ONE_PASS, 0.45),  # nor where it is 1e3
    ],
)
def test_most_of_the_hard_data_can_be_judged(
    algorithm: VarianceAlgorithm, least: float, dtype: DType
) -> None:
    """The bounds above do not hold because they say nothing."""
    judged = total = 0
    for n in SIZES:
        for step in _expected(n, dtype, algorithm).steps:
            for want in step.values():
                judged += int((~want.vacuous).sum())
                total += want.vacuous.size
    assert judged >= least * total


@pytest.mark.parametrize("quantity", [Quantity.BATCH_MEAN, Quantity.DX, Quantity.Y, Quantity.DBETA])
def test_a_sequential_sum_comes_within_a_factor_of_the_bound(quantity: Quantity) -> None:
    """The bounds are not far above what correct code does: at least a 20th of them is reached."""
    reached = max(_worst(Sequential, n, DType.FLOAT32)[quantity] for n in SIZES)
    assert reached > 0.05


def test_a_clamped_one_pass_variance_stays_within_its_bound() -> None:
    """Where the variance may round below zero and is set to zero, differentiated as written."""
    _assert_clamping_conforms(OnePass())


def test_a_differentiated_clamp_stays_within_its_bound() -> None:
    """max(0, E[x^2] - E[x]^2) has no gradient where it is zero: dx then lacks its third term."""
    _assert_clamping_conforms(OnePassClamped())


def _assert_clamping_conforms(subject: Sequential) -> None:
    data: Data = clamping_data()
    conventions = replace(CENTRED, algorithm=VarianceAlgorithm.ONE_PASS)
    expected = expect(data.case, data.inputs, conventions)
    steps, _ = answers(subject, data)
    ratios = {q: compare(array, expected.steps[0][q]) for q, array in steps[0].items()}
    assert [q for q, verdict in ratios.items() if not isinstance(verdict, Conforms)] == []


def test_the_numpy_reference_conforms_on_the_planned_cases() -> None:
    """Every rank, format, mode and fill, through the same judge as any subject."""
    reference = NumpyReference()
    claims = dialect(single_value=Policy.COMPUTES)
    for case in plan_cases(PROFILES["quick"], cases=200, seed=3):
        if case.smallest_count == 0 or reference.capabilities.unsupported(case) is not None:
            continue
        trial = make_trial(case)
        layer: Any = reference.build(case, trial.inputs.parameters)
        call = layer.infer if case.mode is Mode.INFERENCE else layer.train
        with np.errstate(all="ignore"):
            steps = tuple(call(step.x, step.dy, **step.extras) for step in trial.inputs.steps)
            after = None
            if case.mode is Mode.TRAIN:
                after = layer.infer(trial.inputs.inference.x, trial.inputs.inference.dy)
        outcome = answered(Answer(steps=steps, inference=after))
        for judgement in judge(trial, outcome, claims, reference.capabilities):
            assert isinstance(judgement.verdict, Conforms), (case.to_json(), judgement)
