"""Bounds of second derivatives: no correct make exceeds them, and every fault does."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.bounds import Precision
from bnconform.conformance.bounds_second import Carried, Inputs, Rounding, training_second_errors
from bnconform.conformance.dialect import VarianceAlgorithm
from bnconform.conformance.formats import FORMATS, DType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MAKES = (
    "closed formula, first to last", "closed formula, pairwise", "closed formula, scrambled",
    "term by term", "folded", "one-pass",
)  # fmt: skip
FAULTS = (
    "SlipByX", "SlipByG", "StoppedMean", "NoCovariance", "NoProduct", "NoTermOfU", "NoTermOfG",
    "NoDirectionOfGamma", "NoGamma", "ConstantStatistics", "UnbiasedVariance", "MixedVariance",
    "StaleRoot",
)  # fmt: skip
"""All but a slip of by_gamma, a sum that may cancel: it is 1e-3 of what is left, not of terms."""
WIDE = (DType.FLOAT32, DType.FLOAT64)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's modules; they import one another as scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("second_order", "second_order_makes")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def test_every_make_and_fault_of_the_benchmark_is_tried_here(benchmark: Any) -> None:
    """None is left out by its name."""
    makes = benchmark.second_order_makes
    assert tuple(makes.NUMPY_MAKES) == MAKES
    assert {fault.__name__ for fault in makes.FAULTS} == {*FAULTS, "SlipByGamma"}


@pytest.mark.parametrize("make", MAKES)
def test_a_correct_make_stays_within_every_bound(make: str, benchmark: Any) -> None:
    """2,400 channels in training and 800 in inference, half of each in float32.

    n from 2 to 1000, means to 1e4 deviations (1e6 in float64), g and u that cancel.
    """
    makes = benchmark.second_order_makes.NUMPY_MAKES
    cells = benchmark.second_order.check({make: makes[make]}, rounds=100, seed=5)
    assert {key[1:]: cell.false_alarms for key, cell in cells.items()} == {
        (mode, dtype.value): 0 for mode in ("training", "inference") for dtype in WIDE
    }


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_exceeds_a_bound_wherever_data_are_easy(
    fault: str, dtype: DType, benchmark: Any
) -> None:
    """In every one of 160 channels: a slip of 1e-3, a term dropped, another convention."""
    faulty = getattr(benchmark.second_order_makes, fault)()
    caught, shown = benchmark.second_order.caught(faulty, 10, dtype)["our bounds"]
    assert (caught, shown) == (160, 160)


def test_a_slip_of_a_float64_sum_exceeds_its_bound(benchmark: Any) -> None:
    """by_gamma, too, however its terms cancel."""
    faulty = benchmark.second_order_makes.SlipByGamma()
    found = benchmark.second_order.caught(faulty, 10, DType.FLOAT64)
    assert found["our bounds"] == (160, 160)


def _inputs(x: np.ndarray) -> Inputs:
    ones = np.ones((len(x), 1))
    along = np.linspace(-1, 2, x.size).reshape(x.shape)
    return Inputs(x=x, g=along, u=along[:, ::-1], gamma=ones, a=ones, b=ones)


def test_nothing_is_promised_where_a_one_pass_variance_may_be_clamped() -> None:
    """Its derivatives may be missing there; two passes have them everywhere."""
    x = np.array([[1e4, 1e4 + 1, 1e4 + 2], [0.0, 1.0, 2.0]])
    for algorithm, vacuous in (
        (VarianceAlgorithm.ONE_PASS, [True, False]),
        (VarianceAlgorithm.TWO_PASS, [False, False]),
    ):
        p = Precision(accumulation=FORMATS[DType.FLOAT32], algorithm=algorithm)
        errors = training_second_errors(_inputs(x), (1,), 1e-3, p)
        for bound in (errors.by_x, errors.by_g, errors.by_gamma):
            assert np.isinf(bound).any(axis=1).tolist() == vacuous


ROUNDING = Rounding(
    p=Precision(accumulation=FORMATS[DType.FLOAT32], algorithm=VarianceAlgorithm.TWO_PASS),
    axes=(0,),
    n=4,
)
U = 2.0**-24


def _carried(value: float, error: float) -> Carried:
    return Carried(np.full((4, 1), value), np.full((4, 1), error), ROUNDING)


@pytest.mark.parametrize(
    ("found", "value", "error"),
    [
        pytest.param(_carried(3, 1) + _carried(-2, 0.5), 1, 1.5 + 6.5 * U, id="sum"),
        pytest.param(_carried(3, 1) - _carried(2, 0.5), 1, 1.5 + 6.5 * U, id="difference"),
        pytest.param(_carried(3, 1) * _carried(-2, 0.5), -6, 4 + 20 * U, id="product"),
        pytest.param(-_carried(3, 1), -3, 1, id="negative"),
        pytest.param(_carried(3, 1).off_by(np.ones((4, 1))), 3, 2, id="more"),
    ],
)
def test_an_operation_carries_the_errors_of_its_operands_and_adds_its_own(
    found: Carried, value: float, error: float
) -> None:
    """As the module's first lines say."""
    assert found.value == pytest.approx(np.full((4, 1), value))
    assert found.error == pytest.approx(np.full((4, 1), error), rel=1e-12)


def test_a_mean_carries_the_mean_of_the_errors_and_its_own_rounding() -> None:
    """theta(K + 4) of the terms' sizes; K = 4 + 2 * 2 + 6. A sum is n times that."""
    mean, total = _carried(3, 1).mean(), _carried(3, 1).sum()
    theta = 18 * U / (1 - 18 * U)
    assert mean.value.tolist() == [[3.0]]
    assert mean.error.ravel() == pytest.approx([1 + 4 * theta], rel=1e-12)
    assert total.value.tolist() == [[12.0]]
    assert total.error.ravel() == pytest.approx([4 + 16 * theta], rel=1e-12)
