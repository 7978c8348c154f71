"""Every single fault exceeds a bound, in the quantities that it spoils and in no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import RunningVariance, VarianceAlgorithm
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.compare import compare
from bnconform.conformance.reference import expect
from bnconform.conformance.verdict import Cause, Diverges

from . import faults
from .cases import CENTRED, Data
from .datasets import ordinary_data
from .implementations import OnePass, Pairwise, Sequential, answers

Y, DX, DGAMMA, DBETA = Quantity.Y, Quantity.DX, Quantity.DGAMMA, Quantity.DBETA
MEAN, VAR = Quantity.BATCH_MEAN, Quantity.BATCH_VAR
RUNNING_MEAN, RUNNING_VAR, AFTER = Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR, Quantity.Y_INFER
NORMALIZED = {Y, DX, DGAMMA, AFTER}
EVERYTHING = set(Quantity)

ORDINARY: dict[str, Any] = {}
TINY: dict[str, Any] = {"scale": 1e-3, "epsilon": 1e-5}
"""Deviations below the root of epsilon: epsilon decides."""


def _diverging(
    subject: Sequential,
    data: Data,
    algorithm: VarianceAlgorithm = VarianceAlgorithm.TWO_PASS,
    *,
    unbiased: bool = False,
    **options: Any,
) -> dict[Quantity, Cause]:
    """Quantities of ``subject`` beyond their bounds in any step or in inference after training."""
    kept = RunningVariance.UNBIASED if unbiased else RunningVariance.BIASED
    conventions = replace(CENTRED, algorithm=algorithm, running_variance=kept)
    expected = expect(data.case, data.inputs, conventions)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        steps, after = answers(subject, data, unbiased=unbiased, **options)
    assert expected.inference is not None
    pairs = [
        (array, want[quantity], quantity)
        for found, want in zip(steps, expected.steps, strict=True)
        for quantity, array in found.items()
    ]
    pairs.append((after[AFTER], expected.inference[AFTER], AFTER))
    found = {}
    for array, want_one, quantity in pairs:
        verdict = compare(array, want_one)
        if isinstance(verdict, Diverges):
            found[quantity] = verdict.cause
    return found


@pytest.mark.parametrize(
    ("fault", "fields", "spoilt"),
    [
        (faults.EpsilonOutside, ORDINARY, NORMALIZED),
        (faults.EpsilonTwice, ORDINARY, NORMALIZED),
        (faults.EpsilonForgotten, ORDINARY, NORMALIZED),
        (faults.EpsilonSquared, ORDINARY, NORMALIZED),
        (faults.EpsilonTwice, {"epsilon": 1e-5}, NORMALIZED - {DGAMMA}),  # 5 parts in a million
        (faults.EpsilonFloored, TINY, NORMALIZED),  # a thousandth of epsilon
        (faults.CoarseRoot, ORDINARY, NORMALIZED),
        (faults.BesselEverywhere, ORDINARY, NORMALIZED | {VAR, RUNNING_VAR}),
        (faults.BesselEverywhere, {"n": 1024}, {Y, DX, AFTER, VAR, RUNNING_VAR}),  # a thousandth
        (faults.LastValueForgotten, ORDINARY, EVERYTHING - {DBETA}),
        (faults.HalfSums, ORDINARY, EVERYTHING),
        (faults.TruncatedProducts, ORDINARY, EVERYTHING),
        (faults.MeanOfGForgotten, ORDINARY, {DX}),
        (faults.VarianceForgotten, ORDINARY, {DX}),
        (faults.ConstantStatistics, ORDINARY, {DX}),
        (faults.GammaSquared, ORDINARY, {DX}),
        (faults.GammaForgotten, ORDINARY, {DX}),
        (faults.NoCorrectionInDx, ORDINARY, {DX}),
        (faults.RawDgamma, ORDINARY, {DGAMMA}),
        (faults.AveragedDbeta, ORDINARY, {DBETA}),
        (faults.BetaForgotten, ORDINARY, {Y, AFTER}),
        (faults.BetaScaled, ORDINARY, {Y, AFTER}),
        (faults.ChannelsShifted, ORDINARY, {Y, AFTER}),
        (faults.DecaySwapped, ORDINARY, {RUNNING_MEAN, RUNNING_VAR, AFTER}),
        (faults.SmallBatchCountsLess, ORDINARY, {RUNNING_MEAN, RUNNING_VAR, AFTER}),
        (faults.CountsFromZero, {"decay": None}, {RUNNING_MEAN, RUNNING_VAR, AFTER}),
        (faults.DeviationKept, ORDINARY, {RUNNING_VAR, AFTER}),
        (faults.OtherBessel, ORDINARY, {RUNNING_VAR, AFTER}),
        (faults.OtherBessel, {"n": 512, "decay": 0.999}, {RUNNING_VAR, AFTER}),  # 2 millionths
        (faults.LastUpdateLost, ORDINARY, {AFTER}),
        (faults.NoUpdates, ORDINARY, {AFTER}),
        (faults.ThroughHalf, ORDINARY, {Y, DX, AFTER}),
        (faults.Truncated, {"dtype": DType.BFLOAT16}, {Y, DX, AFTER}),  # at most 1 ulp off
    ],
)
def test_a_single_fault_is_flagged_where_it_acts_and_nowhere_else(
    fault: type[Sequential], fields: dict[str, Any], spoilt: set[Quantity]
) -> None:
    """On ordinary data: no trap is needed to find it, and the correct twin passes on the same."""
    data = ordinary_data(**fields)
    assert _diverging(Pairwise(), data) == {}
    assert set(_diverging(fault(), data)) == spoilt


def test_the_biased_running_variance_is_flagged_where_the_unbiased_one_is_documented() -> None:
    """And the other way round; each passes under its own convention."""
    data = ordinary_data()
    assert _diverging(Pairwise(), data, unbiased=True) == {}
    assert set(_diverging(faults.OtherBessel(), data, unbiased=True)) == {RUNNING_VAR, AFTER}


def test_float64_that_is_computed_in_float32_is_flagged_in_everything() -> None:
    """The format of the result says float64; its bits do not."""
    data = ordinary_data(DType.FLOAT64)
    assert _diverging(Pairwise(), data) == {}
    narrow = _diverging(Pairwise(), data, accumulate=np.dtype(np.float32))
    assert set(narrow) == EVERYTHING


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_half_inputs_that_are_accumulated_in_float16_are_flagged(dtype: DType) -> None:
    """Statistics belong in float32."""
    data = ordinary_data(dtype)
    assert _diverging(Pairwise(), data) == {}
    half = _diverging(Pairwise(), data, accumulate=np.dtype(np.float16))
    assert {MEAN, VAR, Y, RUNNING_MEAN} <= set(half)


def test_a_one_pass_variance_is_flagged_where_a_centred_one_is_claimed() -> None:
    """At 1000 deviations from zero it has lost half its digits; under its own class it conforms."""
    data = ordinary_data(ratio=1e3)
    assert _diverging(Pairwise(), data) == {}
    assert {VAR, Y} <= set(_diverging(OnePass(), data))
    assert _diverging(OnePass(), data, VarianceAlgorithm.ONE_PASS) == {}


def test_a_one_pass_variance_is_not_flagged_where_it_does_no_harm() -> None:
    """At one deviation from zero nobody can tell: the bound is on results."""
    assert _diverging(OnePass(), ordinary_data(ratio=1.0)) == {}


def test_a_variance_below_zero_is_flagged_when_it_makes_nan() -> None:
    """Even where the one-pass bound says nothing of the value."""
    data = ordinary_data(ratio=1e4, epsilon=1e-7)
    assert _diverging(OnePass(), data, VarianceAlgorithm.ONE_PASS) == {}
    found = _diverging(faults.UnclampedOnePass(), data, VarianceAlgorithm.ONE_PASS)
    assert found[Y] is Cause.NOT_FINITE
