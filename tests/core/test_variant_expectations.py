"""The walk through cases with variants, against relations and against numerical derivatives.

The equations themselves are proven elsewhere; here it is their composition: which values enter,
what the state becomes, how groups and replicas are put together again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import Parameters, Quantity
from bnconform.conformance.dialect import Averaging, GhostGroups, TrainingStatistics
from bnconform.conformance.expecting.expectation import Conventions, Expected
from bnconform.conformance.formats import DType
from bnconform.conformance.reference import expect
from bnconform.conformance.variant import (
    PLAIN,
    Adjusted,
    FixedGamma,
    Ghost,
    Hidden,
    Masked,
    Renorm,
    Synchronized,
    Untracked,
    Variant,
    Weighted,
)

from .cases import CENTRED, plain

Q = Quantity
IMAGE: dict[str, Any] = {"shape": (6, 3, 2, 2), "dtype": DType.FLOAT64, "steps": 2, "last_batch": 4}
ALL = (Q.Y, Q.DX, Q.DGAMMA, Q.DBETA, Q.RUNNING_MEAN, Q.RUNNING_VAR)
RENORM = Renorm(r_min=None, r_max=None, d_max=None, decay=0.5)


def _values(expected: Expected, quantity: Quantity, step: int = -1) -> np.ndarray:
    return expected.steps[step][quantity].value.to_float64()


def _expect(variant: Variant, conventions: Conventions = CENTRED, **fields: Any) -> Expected:
    case = plain(**(IMAGE | fields), variant=variant)
    return expect(case, make_inputs(case), conventions)


def _with(inputs: Inputs, **arrays: Any) -> Inputs:
    """The same inputs with other arrays for the variant at every step."""
    steps = tuple(replace(step, **arrays) for step in inputs.steps)
    return replace(inputs, steps=steps)


@pytest.mark.parametrize(
    "variant",
    [
        Masked(hidden=Hidden.ORDINARY, everything=True),
        Synchronized(replicas=2, uneven=True),
        Synchronized(replicas=2, uneven=False),
    ],
)
@pytest.mark.parametrize("quantity", ALL)
def test_what_hides_nothing_and_what_only_splits_equals_the_plain_batch(
    variant: Variant, quantity: Quantity
) -> None:
    """Exactly the same mathematics, state after two steps included."""
    np.testing.assert_allclose(
        _values(_expect(variant), quantity), _values(_expect(PLAIN), quantity), rtol=1e-14
    )


@pytest.mark.parametrize("quantity", ALL)
def test_an_adjustment_by_one_and_zero_is_none(quantity: Quantity) -> None:
    """y = gamma (1 xhat + 0) + beta."""
    case = plain(**IMAGE, variant=Adjusted(per_sample=True))
    ones = np.ones((1, 3, 1, 1))
    inputs = _with(make_inputs(case), adjust_scale=ones, adjust_shift=0 * ones)
    found = expect(case, inputs, CENTRED)
    np.testing.assert_allclose(
        _values(found, quantity), _values(_expect(PLAIN), quantity), rtol=1e-14
    )


def test_renormalization_towards_the_batch_itself_changes_nothing() -> None:
    """m = mu and s = sqrt(v + epsilon) give R = 1 and D = 0."""
    case = plain(**(IMAGE | {"steps": 1, "last_batch": 6}), variant=RENORM)
    inputs = make_inputs(case)
    x = inputs.steps[0].x
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    parameters = replace(
        inputs.parameters, renorm_mean=mean, renorm_stddev=np.sqrt(var + case.epsilon)
    )
    found = expect(case, replace(inputs, parameters=parameters), CENTRED)
    same = expect(replace(case, variant=PLAIN), inputs, CENTRED)
    for quantity in (Q.Y, Q.DX, Q.DGAMMA, Q.DBETA):
        np.testing.assert_allclose(
            _values(found, quantity), _values(same, quantity), rtol=1e-12, atol=1e-13
        )


def test_renormalization_follows_its_own_averages_and_not_the_running_ones() -> None:
    """Two steps by hand: R, D and all three averages, in float64."""
    case = plain(**IMAGE, variant=replace(RENORM, r_max=1.25, d_max=0.5), decay=0.9)
    inputs = make_inputs(case)
    p = inputs.parameters
    assert p.renorm_mean is not None
    assert p.renorm_stddev is not None
    m, s, sd = p.renorm_mean, p.renorm_stddev, np.sqrt(p.running_var + case.epsilon)
    for step in inputs.steps:
        mean, sigma = step.x.mean((0, 2, 3)), np.sqrt(step.x.var((0, 2, 3)) + case.epsilon)
        big_r = np.minimum(sigma / s, 1.25)[:, None, None]
        big_d = np.clip((mean - m) / s, -0.5, 0.5)[:, None, None]
        xhat = (step.x - mean[:, None, None]) / sigma[:, None, None]
        assert p.gamma is not None
        assert p.beta is not None
        y = p.gamma[:, None, None] * (big_r * xhat + big_d) + p.beta[:, None, None]
        m, s, sd = 0.5 * m + 0.5 * mean, 0.5 * s + 0.5 * sigma, 0.9 * sd + 0.1 * sigma
    found = expect(case, inputs, CENTRED)
    np.testing.assert_allclose(_values(found, Q.Y), y, rtol=1e-12)
    np.testing.assert_allclose(_values(found, Q.RUNNING_VAR), sd**2 - case.epsilon, rtol=1e-12)


@pytest.mark.parametrize(
    ("groups", "first"),
    [(GhostGroups.CONTIGUOUS, [0, 1]), (GhostGroups.INTERLEAVED, [0, 3])],
)
def test_each_ghost_group_is_a_batch_of_its_own(groups: GhostGroups, first: list[int]) -> None:
    """The first group's samples, alone, give the same y and dx; the other samples do not matter."""
    case = plain(**(IMAGE | {"steps": 1, "last_batch": 6}), variant=Ghost(size=2))
    inputs = make_inputs(case)
    found = expect(case, inputs, replace(CENTRED, ghost_groups=groups))
    alone = replace(case, shape=(2, 3, 2, 2), last_batch=2, variant=PLAIN)
    step = StepInputs(x=inputs.steps[0].x[first], dy=inputs.steps[0].dy[first])
    part = expect(alone, replace(inputs, steps=(step,), inference=step), CENTRED)
    for quantity in (Q.Y, Q.DX):
        np.testing.assert_array_equal(_values(found, quantity)[first], _values(part, quantity))


def test_ghost_groups_sum_their_gradients_and_average_their_statistics() -> None:
    """dgamma is the sum over the groups, rm' takes the mean of the means, rv' of the variances."""
    case = plain(**(IMAGE | {"steps": 1, "last_batch": 6}), variant=Ghost(size=3), decay=0.9)
    inputs = make_inputs(case)
    found = expect(case, inputs, CENTRED)
    parts = []
    for samples in (slice(0, 3), slice(3, 6)):
        step = StepInputs(x=inputs.steps[0].x[samples], dy=inputs.steps[0].dy[samples])
        alone = replace(case, shape=(3, 3, 2, 2), last_batch=3, variant=PLAIN)
        parts.append(expect(alone, replace(inputs, steps=(step,), inference=step), CENTRED))
    for quantity in (Q.DGAMMA, Q.DBETA):
        total = sum(_values(part, quantity) for part in parts)
        np.testing.assert_allclose(_values(found, quantity), total, rtol=1e-13)
    for quantity in (Q.RUNNING_MEAN, Q.RUNNING_VAR):
        mean = sum(_values(part, quantity) for part in parts) / 2
        np.testing.assert_allclose(_values(found, quantity), mean, rtol=1e-13)


def test_a_layer_without_tracking_treats_inference_as_training() -> None:
    """The same values, and no running statistics at all."""
    case = plain(**(IMAGE | {"steps": 1, "last_batch": 6}), variant=Untracked())
    inputs = make_inputs(case)
    trained = expect(case, inputs, CENTRED)
    inferred = expect(replace(case, mode=Mode.INFERENCE), inputs, CENTRED)
    for quantity in (Q.Y, Q.DX, Q.DGAMMA):
        np.testing.assert_array_equal(_values(trained, quantity), _values(inferred, quantity))
    assert {Q.RUNNING_MEAN, Q.RUNNING_VAR} & set(trained.steps[0]) == set()


def test_a_fixed_gamma_is_one_and_its_gradient_zero_without_tolerance() -> None:
    """Whatever gamma holds."""
    found = _expect(FixedGamma())
    same = _expect(PLAIN, scale=False)
    np.testing.assert_array_equal(_values(found, Q.Y), _values(same, Q.Y))
    np.testing.assert_array_equal(_values(found, Q.DGAMMA), np.zeros(3))
    np.testing.assert_array_equal(found.steps[-1][Q.DGAMMA].bound, np.zeros(3))


def test_a_zero_debiased_average_forgets_where_it_began() -> None:
    """After one step it is the batch's mean whatever the initial state and the decay."""
    conventions = replace(CENTRED, averaging=Averaging.ZERO_DEBIASED)
    fields = {"steps": 1, "last_batch": 6, "decay": 0.99}
    found = _expect(PLAIN, conventions, **fields)
    case = plain(**(IMAGE | fields))
    x = make_inputs(case).steps[0].x
    np.testing.assert_allclose(_values(found, Q.RUNNING_MEAN), x.mean((0, 2, 3)), rtol=1e-12)


def test_a_zero_debiased_average_of_nothing_is_not_looked_at() -> None:
    """With a decay of 1 it is 0 / 0, of which nothing can be expected."""
    found = _expect(PLAIN, replace(CENTRED, averaging=Averaging.ZERO_DEBIASED), decay=1.0)
    assert found.steps[-1][Q.RUNNING_MEAN].excluded.all()
    assert found.inference is not None
    assert found.inference[Q.Y_INFER].excluded.all()
    assert not found.steps[-1][Q.Y].excluded.any()


def test_what_a_mask_hides_does_not_change_what_it_keeps() -> None:
    """Not even when it is NaN; the hidden places themselves are not looked at."""
    hidden_nan, ordinary = (
        _expect(Masked(hidden=hidden)) for hidden in (Hidden.NAN, Hidden.ORDINARY)
    )
    looked_at = ~hidden_nan.steps[-1][Q.Y].excluded
    assert 0 < looked_at.sum() < looked_at.size
    np.testing.assert_array_equal(
        _values(hidden_nan, Q.Y)[looked_at], _values(ordinary, Q.Y)[looked_at]
    )
    np.testing.assert_array_equal(
        _values(hidden_nan, Q.RUNNING_VAR), _values(ordinary, Q.RUNNING_VAR)
    )


def _running(case: Case, parameters: Parameters, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    assert case.decay is not None
    mean = case.decay * parameters.running_mean + (1 - case.decay) * x.mean((0, 2, 3))
    var = case.decay * parameters.running_var + (1 - case.decay) * x.var((0, 2, 3))
    return mean, var


def _forward(case: Case, inputs: Inputs, *, running: bool) -> Callable[[np.ndarray], np.ndarray]:
    """y of the first step as a function of x, written out for differentiation by differences."""
    p, step = inputs.parameters, inputs.steps[0]
    assert p.gamma is not None
    assert p.beta is not None
    gamma, beta = p.gamma[:, None, None], p.beta[:, None, None]
    w = np.ones(step.x.shape) if step.weights is None else step.weights + np.zeros(step.x.shape)
    a = 1.0 if step.adjust_scale is None else step.adjust_scale
    b = 0.0 if step.adjust_shift is None else step.adjust_shift

    def forward(x: np.ndarray) -> np.ndarray:
        axes = (0, 2, 3)
        mu = (w * x).sum(axes, keepdims=True) / w.sum(axes, keepdims=True)
        v = (w * (x - mu) ** 2).sum(axes, keepdims=True) / w.sum(axes, keepdims=True)
        return np.asarray(gamma * (a * (x - mu) / np.sqrt(v + case.epsilon) + b) + beta)

    def by_running(x: np.ndarray) -> np.ndarray:
        mean, var = (values[:, None, None] for values in _running(case, p, x))
        return np.asarray(gamma * (x - mean) / np.sqrt(var + case.epsilon) + beta)

    return by_running if running else forward


@pytest.mark.parametrize(
    ("variant", "running"),
    [
        (Weighted(), False),
        (Masked(hidden=Hidden.ORDINARY), False),
        (Adjusted(per_sample=True), False),
        (Adjusted(per_sample=False), False),
        (Untracked(), False),
        (PLAIN, True),
    ],
)
def test_dx_is_the_derivative_of_the_output_by_differences(
    variant: Variant, *, running: bool
) -> None:
    """Second-order central differences of sum(y g), of an output written out here."""
    case = plain(**(IMAGE | {"steps": 1, "last_batch": 6}), variant=variant, decay=0.75)
    inputs = make_inputs(case)
    conventions = CENTRED
    if running:
        conventions = replace(CENTRED, training_statistics=TrainingStatistics.RUNNING)
    found = expect(case, inputs, conventions)
    forward = _forward(case, inputs, running=running)
    x, g = inputs.steps[0].x, inputs.steps[0].dy
    np.testing.assert_allclose(_values(found, Q.Y), forward(x), rtol=1e-12, atol=1e-13)
    h = 1e-5
    for index in [(0, 0, 0, 0), (3, 1, 1, 0), (5, 2, 1, 1)]:
        step = np.zeros_like(x)
        step[index] = h
        slope = ((forward(x + step) - forward(x - step)) * g).sum() / (2 * h)
        np.testing.assert_allclose(_values(found, Q.DX)[index], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_a_state_in_half_precision_has_a_bound_of_its_format(dtype: DType) -> None:
    """Between one and a few units of the last place of what is kept."""
    case = plain(dtype=dtype, half_parameters=True)
    found = expect(case, make_inputs(case), CENTRED).steps[0][Q.RUNNING_MEAN]
    assert found.output.dtype is dtype
    units = found.bound / (found.output.unit_roundoff * np.abs(found.value.hi))
    assert (units >= 1).all()
    assert (units < 20).all()
