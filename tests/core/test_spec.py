"""The equations, against exact arithmetic and exact differentiation of independent code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble

from .exact import Dual, Objects, Surd, by_channel, constant, derivative, surds

EVERY_RANK_AND_AXES = [
    (rank, axes)
    for rank in range(1, 6)
    for many in range(rank + 1)
    for axes in combinations(range(rank), many)
]
"""All 62 sets of reduction axes of ranks 1 to 5, none and all of them included."""


def _numbers(count: int, seed: int) -> list[Fraction]:
    """``count`` unrelated fractions, some negative, no two runs of them alike."""
    return [Fraction((seed + 7 * i) * (i + 3) % 23 - 11, 1 + (i + seed) % 4) for i in range(count)]


def _image(shape: tuple[int, ...], seed: int) -> Objects:
    return surds(np.array(_numbers(int(np.prod(shape)), seed), object).reshape(shape))


def _shape(rank: int) -> tuple[int, ...]:
    return (2, 3, 2, 2, 1)[:rank]


def _wide(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


@st.composite
def channels(draw: DrawFn, *, smallest: int = 1) -> tuple[list[Fraction], list[Fraction]]:
    """Two equally long lists of fractions, x and g of one channel; shrinks to zeros."""
    n = draw(st.integers(smallest, 5))
    number = st.fractions(-8, 8, max_denominator=6)
    values = st.lists(number, min_size=n, max_size=n)
    return draw(values), draw(values)


epsilons = st.sampled_from([0.125, 1.0, 1e-3, 2.0**-20])
"""All floats, hence exact fractions; 1e-3 is one that no short decimal equals."""


@pytest.mark.parametrize(("rank", "axes"), EVERY_RANK_AND_AXES)
def test_mean_and_variance_are_those_of_each_channel_for_any_rank_and_axes(
    rank: int, axes: tuple[int, ...]
) -> None:
    """mu = sum(x) / n and v = sum((x - mu)^2) / n, channel by channel, exactly."""
    shape = _shape(rank)
    x = _image(shape, rank)
    mu = spec.batch_mean(x, axes)
    v = spec.biased_variance(x, mu, axes)
    assert mu.shape == v.shape == _wide(shape, axes)
    for channel, positions in by_channel(shape, axes).items():
        values = [x[position].rational for position in positions]
        mean = Fraction(sum(values), len(values))
        square = Fraction(sum(value * value for value in values), len(values))
        assert mu[channel] == Surd(mean)
        assert v[channel] == Surd(square - mean * mean)
        assert spec.count(x, axes) == len(values)


@pytest.mark.parametrize(("rank", "axes"), EVERY_RANK_AND_AXES)
def test_parameter_gradients_sum_over_each_channel_for_any_rank_and_axes(
    rank: int, axes: tuple[int, ...]
) -> None:
    """dbeta = sum(g) and dgamma = sum(g xhat), channel by channel, exactly."""
    shape = _shape(rank)
    g, xhat = _image(shape, 5), _image(shape, 11)
    dbeta, dgamma = spec.dbeta(g, axes), spec.dgamma(g, xhat, axes)
    assert dbeta.shape == dgamma.shape == _wide(shape, axes)
    for channel, positions in by_channel(shape, axes).items():
        assert dbeta[channel].rational == sum(g[p].rational for p in positions)
        assert dgamma[channel].rational == sum(g[p].rational * xhat[p].rational for p in positions)


def _normalized(values: Sequence[Dual], gamma: Dual, beta: Dual, epsilon: float) -> list[Dual]:
    """Batch normalization of one channel from the words of the paper: loops over scalars."""
    n = constant(len(values))
    total = constant(0)
    for value in values:
        total = total + value
    mean = total / n
    squares = constant(0)
    for value in values:
        squares = squares + (value - mean) * (value - mean)
    deviation = (squares / n + constant(epsilon)).sqrt()
    return [gamma * (value - mean) / deviation + beta for value in values]


def _loss(g: Sequence[Any], outputs: Sequence[Dual]) -> Dual:
    total = constant(0)
    for weight, output in zip(g, outputs, strict=True):
        total = total + constant(weight) * output
    return total


def _training_loss(g: Sequence[Fraction], epsilon: float) -> Callable[[list[Dual]], Dual]:
    """sum(g y) as a function of (x_1 ... x_n, gamma, beta)."""

    def loss(arguments: list[Dual]) -> Dual:
        *x, gamma, beta = arguments
        return _loss(g, _normalized(x, gamma, beta, epsilon))

    return loss


def _inference_loss(
    g: Sequence[Fraction], mean: Fraction, var: Fraction, epsilon: float
) -> Callable[[list[Dual]], Dual]:
    """The same with statistics that are constants."""

    def loss(arguments: list[Dual]) -> Dual:
        *x, gamma, beta = arguments
        deviation = (constant(var) + constant(epsilon)).sqrt()
        outputs = [gamma * (v - constant(mean)) / deviation + beta for v in x]
        return _loss(g, outputs)

    return loss


@settings(max_examples=60, deadline=None)
@given(channels(), st.fractions(-3, 3, max_denominator=4), epsilons)
def test_training_output_and_gradients_are_the_exact_derivatives_of_the_loss(
    pair: tuple[list[Fraction], list[Fraction]], gamma: Fraction, epsilon: float
) -> None:
    """y, dx, dgamma and dbeta equal dual-number differentiation, digit for digit."""
    x, g = pair
    beta = Fraction(1, 3)
    wide_x, wide_g = surds(np.array(x, object)), surds(np.array(g, object))
    wide_gamma, wide_beta = surds(np.array([gamma], object)), surds(np.array([beta], object))
    mu = spec.batch_mean(wide_x, (0,))
    r = spec.inverse_deviation(spec.biased_variance(wide_x, mu, (0,)), epsilon)
    xhat = spec.normalize(wide_x, mu, r)
    y = spec.scale_and_shift(xhat, wide_gamma, wide_beta)
    dx = spec.training_dx(wide_g, xhat, r, wide_gamma, (0,))
    point = [*x, gamma, beta]
    outputs = _normalized([constant(v) for v in x], constant(gamma), constant(beta), epsilon)
    loss = _training_loss(g, epsilon)
    assert y.tolist() == [output.value for output in outputs]
    assert dx.tolist() == [derivative(loss, point, i) for i in range(len(x))]
    assert spec.dgamma(wide_g, xhat, (0,))[0] == derivative(loss, point, len(x))
    assert spec.dbeta(wide_g, (0,))[0] == derivative(loss, point, len(x) + 1)


@settings(max_examples=60, deadline=None)
@given(
    channels(),
    st.fractions(-3, 3, max_denominator=4),
    st.fractions(0, 9, max_denominator=4),
    epsilons,
)
def test_inference_gradients_treat_the_statistics_as_constants(
    pair: tuple[list[Fraction], list[Fraction]], gamma: Fraction, var: Fraction, epsilon: float
) -> None:
    """dx, dgamma and dbeta of the inference output, by dual numbers, digit for digit."""
    x, g = pair
    mean, beta = Fraction(5, 7), Fraction(-2)
    r = spec.inverse_deviation(surds(np.array([var], object)), epsilon)
    wide_g, wide_gamma = surds(np.array(g, object)), surds(np.array([gamma], object))
    xhat = spec.normalize(surds(np.array(x, object)), surds(np.array([mean], object)), r)
    dx = spec.inference_dx(wide_g, r, wide_gamma)
    loss, point = _inference_loss(g, mean, var, epsilon), [*x, gamma, beta]
    assert dx.tolist() == [derivative(loss, point, i) for i in range(len(x))]
    assert spec.dgamma(wide_g, xhat, (0,))[0] == derivative(loss, point, len(x))
    assert spec.dbeta(wide_g, (0,))[0] == derivative(loss, point, len(x) + 1)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 3), (0,)),  # a matrix, the usual layer
        ((2, 3), (1,)),  # the batch axis as feature axis
        ((2, 2, 2), (0, 2)),  # a sequence
        ((2, 3, 2), (1,)),  # two feature axes, apart
        ((1, 2, 2, 2), (0, 2, 3)),  # an image, channels first
        ((2, 2, 1, 2), (0, 1, 2)),  # an image, channels last
        ((1, 2, 1, 2, 2), (0, 2, 3, 4)),  # a volume
        ((2, 2), ()),  # nothing is reduced: one value per channel
        ((2, 2), (0, 1)),  # everything is reduced: one channel
    ],
)
def test_training_dx_differentiates_within_each_channel_of_an_array(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Broadcasting mixes no channels: dx equals the derivative channel by channel."""
    x, g = _image(shape, 2), _image(shape, 9)
    gamma = _image(_wide(shape, axes), 4)
    mu = spec.batch_mean(x, axes)
    r = spec.inverse_deviation(spec.biased_variance(x, mu, axes), 0.25)
    xhat = spec.normalize(x, mu, r)
    dx = spec.training_dx(g, xhat, r, gamma, axes)
    for channel, positions in by_channel(shape, axes).items():
        loss = _training_loss([g[p].rational for p in positions], 0.25)
        point = [*(x[p].rational for p in positions), gamma[channel].rational, Fraction(0)]
        for index, position in enumerate(positions):
            assert dx[position] == derivative(loss, point, index)


def test_epsilon_stands_inside_the_root() -> None:
    """v = 3 and epsilon = 1 give 1/2, not 1 / (sqrt 3 + 1)."""
    assert spec.inverse_deviation(surds([3]), 1.0)[0] == Surd(Fraction(1, 2))


def test_normalize_multiplies_the_centred_value_by_r() -> None:
    """xhat = (x - mu) r, on exact numbers."""
    xhat = spec.normalize(surds([5, -1]), surds([2]), surds(np.array([Fraction(1, 3)], object)))
    assert [v.rational for v in xhat] == [1, -1]


@pytest.mark.parametrize(
    ("gamma", "beta", "expected"),
    [
        (None, None, 3),  # neither: xhat itself
        (5, None, 15),  # scale alone
        (None, 7, 10),  # shift alone
        (5, 7, 22),  # both
    ],
)
def test_a_missing_gamma_counts_as_one_and_a_missing_beta_as_zero(
    gamma: int | None, beta: int | None, expected: int
) -> None:
    """y for xhat = 3."""
    wide = (None if p is None else surds([p]) for p in (gamma, beta))
    assert spec.scale_and_shift(surds([3]), *wide)[0].rational == expected


def test_a_missing_gamma_counts_as_one_in_both_input_gradients() -> None:
    """dx without gamma is dx with gamma = 1, in training and in inference."""
    g, xhat, r = _image((4, 2), 3), _image((4, 2), 8), _image((1, 2), 1)
    one = surds([[1, 1]])
    with_one = spec.training_dx(g, xhat, r, one, (0,))
    assert (spec.training_dx(g, xhat, r, None, (0,)) == with_one).all()
    assert (spec.inference_dx(g, r, None) == spec.inference_dx(g, r, one)).all()


@pytest.mark.parametrize(
    ("n", "factor"),
    [
        (1, Fraction(1)),  # max(n - 1, 1): no division by zero
        (2, Fraction(2)),  # the largest correction
        (5, Fraction(5, 4)),  # an ordinary one
    ],
)
def test_bessels_correction_divides_by_n_minus_one_but_never_by_zero(
    n: int, factor: Fraction
) -> None:
    """V = v n / max(n - 1, 1)."""
    assert spec.unbiased_variance(surds([6]), n)[0].rational == 6 * factor


def test_the_variance_of_one_value_is_zero_corrected_or_not() -> None:
    """n = 1 gives v = 0, V = 0 and r = 1 / sqrt(epsilon)."""
    x = surds([[7]])
    v = spec.biased_variance(x, spec.batch_mean(x, (0,)), (0,))
    assert v[0, 0].rational == spec.unbiased_variance(v, 1)[0, 0].rational == 0
    assert spec.inverse_deviation(v, 0.25)[0, 0].rational == 2


@pytest.mark.parametrize("update", [spec.update_running_mean, spec.update_running_var])
@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (0.0, Fraction(10)),  # nothing of the old value
        (1.0, Fraction(2)),  # nothing of the new one
        (0.75, Fraction(4)),  # the old value is the one that decay weighs
        (0.9, Fraction(0.9) * 2 + (1 - Fraction(0.9)) * 10),  # the float 0.9, exactly
    ],
)
def test_decay_is_the_weight_of_the_old_value(
    update: Callable[[Objects, Objects, float], Objects], decay: float, expected: Fraction
) -> None:
    """From 2 towards 10."""
    assert update(surds([2]), surds([10]), decay)[0].rational == expected


@given(st.lists(st.fractions(-9, 9, max_denominator=8), min_size=1, max_size=6))
def test_the_cumulative_average_is_the_plain_mean_whatever_it_started_from(
    values: list[Fraction],
) -> None:
    """After t updates from an arbitrary start, (z_1 + ... + z_t) / t."""
    average = surds([99])
    for updates, value in enumerate(values, start=1):
        average = spec.cumulative_average(average, surds(np.array([value], object)), updates)
    assert average[0].rational == Fraction(sum(values), len(values))


@pytest.mark.parametrize("updates", [0, -1])
def test_a_cumulative_average_that_counts_from_zero_is_refused(updates: int) -> None:
    """The message says what counts from what and what arrived."""
    with pytest.raises(ValueError, match=f"updates counts from 1.*got {updates}"):
        spec.cumulative_average(surds([1]), surds([2]), updates)


def test_one_minus_decay_is_not_rounded_in_double_double() -> None:
    """1 - 0.1 is no float64; the update still equals the exact one to 30 digits."""
    one, three = DoubleDouble([1.0]), DoubleDouble([3.0])
    exact = Fraction(0.1) * 1 + (1 - Fraction(0.1)) * 3
    for update in (spec.update_running_mean, spec.update_running_var):
        found = update(one, three, 0.1)
        error = Fraction(float(found.hi[0])) + Fraction(float(found.lo[0])) - exact
        assert abs(error) < Fraction(1, 2**100)
