"""Second derivatives: exact differentiation digit for digit, autodiff in float64, and symmetry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance import spec
from bnconform.conformance import spec_second as second
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.numbers.exact import Rational

from .exact import Surd, surds

AGREEMENT = 1e-12
"""Of the largest element: both sides round some hundred times at 1e-16."""

PROMISED = Fraction(1, 2**95)
"""What double-double keeps of the largest element here, where nothing is badly conditioned."""


def _exactly(value: Any) -> Surd:
    return value if isinstance(value, Surd) else Surd(Fraction(value))


@dataclass(frozen=True)
class Twice:
    """f + f1 h + f2 k + f12 h k with h^2 = k^2 = 0: f12 is the mixed second derivative, exact."""

    f: Surd
    f1: Surd
    f2: Surd
    f12: Surd

    def __add__(self, other: Twice) -> Twice:
        """Sum."""
        return Twice(self.f + other.f, self.f1 + other.f1, self.f2 + other.f2, self.f12 + other.f12)

    def __sub__(self, other: Twice) -> Twice:
        """Difference."""
        return self + other * moving(-1)

    def __mul__(self, other: Twice) -> Twice:
        """Product."""
        mixed = self.f1 * other.f2 + self.f2 * other.f1
        return Twice(
            self.f * other.f,
            self.f * other.f1 + self.f1 * other.f,
            self.f * other.f2 + self.f2 * other.f,
            self.f * other.f12 + self.f12 * other.f + mixed,
        )

    def root(self) -> Twice:
        """Square root."""
        value = self.f.sqrt()
        return self._mapped(value, _exactly(1) / (value * 2), _exactly(-1) / (value * self.f * 4))

    def inverse(self) -> Twice:
        """1 / f."""
        value = _exactly(1) / self.f
        return self._mapped(value, -(value * value), value * value * value * 2)

    def _mapped(self, value: Surd, slope: Surd, curvature: Surd) -> Twice:
        mixed = slope * self.f12 + curvature * self.f1 * self.f2
        return Twice(value, slope * self.f1, slope * self.f2, mixed)


def moving(value: Any, along: Any = 0, *, alone: bool = False) -> Twice:
    """A number that moves by ``along`` in the first direction, and by 1 in the second if alone."""
    return Twice(_exactly(value), _exactly(along), _exactly(int(alone)), _exactly(0))


def _total(values: Sequence[Twice]) -> Twice:
    total = moving(0)
    for value in values:
        total = total + value
    return total


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One channel with directions, in exact numbers; running statistics in inference."""

    x: Sequence[Fraction]
    g: Sequence[Fraction]
    u: Sequence[Fraction]
    gamma: Fraction
    a: Fraction
    b: Fraction
    epsilon: float
    running: tuple[Fraction, Fraction] | None

    def derivative(self, name: str, index: int) -> Surd:
        """dS/d(name)_index: the mixed second derivative of sum(g y), by the words of the paper."""
        x = [
            moving(v, along, alone=name == "x" and i == index)
            for i, (v, along) in enumerate(zip(self.x, self.u, strict=True))
        ]
        g = [moving(v, alone=name == "g" and i == index) for i, v in enumerate(self.g)]
        gamma, beta = (
            moving(self.gamma, self.a, alone=name == "gamma"),
            moving(Fraction(1, 3), self.b),
        )
        y = self._normalized(x, gamma, beta)
        return _total([each * output for each, output in zip(g, y, strict=True)]).f12

    def _normalized(self, x: list[Twice], gamma: Twice, beta: Twice) -> list[Twice]:
        share = moving(Fraction(1, len(x)))
        if self.running is None:
            mean = _total(x) * share
            variance = _total([(v - mean) * (v - mean) for v in x]) * share
        else:
            mean, variance = map(moving, self.running)
        r = (variance + moving(self.epsilon)).root().inverse()
        return [gamma * (v - mean) * r + beta for v in x]

    def by_spec(self) -> tuple[Any, Any, Any]:
        """The same by ``spec_second.py``, in the same field."""
        x, g, u = (surds(np.array(each, object)) for each in (self.x, self.g, self.u))
        gamma, a, b = (surds(np.array([each], object)) for each in (self.gamma, self.a, self.b))
        axes = (0,)
        if self.running is None:
            mu = spec.batch_mean(x, axes)
            v = spec.biased_variance(x, mu, axes)
        else:
            mu, v = (surds(np.array([each], object)) for each in self.running)
        r = spec.inverse_deviation(v, self.epsilon)
        xhat = spec.normalize(x, mu, r)
        if self.running is None:
            return (
                second.training_second_dx(g, u, xhat, r, gamma, a, axes),
                second.training_second_dg(u, xhat, r, gamma, a, b, axes),
                second.training_second_dgamma(g, u, xhat, r, axes),
            )
        return (
            second.inference_second_dx(g, r, a),
            second.inference_second_dg(u, xhat, r, gamma, a, b),
            second.inference_second_dgamma(g, u, r, axes),
        )


numbers = st.fractions(-3, 3, max_denominator=4)


@st.composite
def channels(draw: st.DrawFn, *, training: bool) -> Channel:
    """Two to four values and their directions; shrinks towards few values and zeros."""
    size = draw(st.integers(2, 4))

    def several() -> list[Fraction]:
        return draw(st.lists(numbers, min_size=size, max_size=size))

    statistics = (draw(numbers), draw(st.fractions(0, 4, max_denominator=4)))
    return Channel(
        x=several(), g=several(), u=several(), gamma=draw(numbers), a=draw(numbers),
        b=draw(numbers), epsilon=draw(st.sampled_from([0.25, 1.0, 0.5])),
        running=None if training else statistics,
    )  # fmt: skip


def _agrees(channel: Channel) -> None:
    by_x, by_g, by_gamma = channel.by_spec()
    places = range(len(channel.x))
    assert list(by_x) == [channel.derivative("x", i) for i in places]
    assert list(by_g) == [channel.derivative("g", i) for i in places]
    assert by_gamma[0] == channel.derivative("gamma", 0)


@settings(max_examples=40, deadline=None)
@given(channels(training=True))
def test_in_training_they_are_the_exact_second_derivatives_of_the_loss(channel: Channel) -> None:
    """By x, g and gamma, through the batch statistics, digit for digit."""
    _agrees(channel)


@settings(max_examples=40, deadline=None)
@given(channels(training=False))
def test_in_inference_they_take_the_statistics_as_constants(channel: Channel) -> None:
    """By x, g and gamma, digit for digit."""
    _agrees(channel)


# Arrays.


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """A batch with directions, in float64; ``gamma``, ``a`` and ``b`` are wide or None."""

    axes: tuple[int, ...]
    x: Any
    g: Any
    u: Any
    gamma: Any
    a: Any
    b: Any
    epsilon: float = 0.1

    def training(self, kind: Any = np.asarray, u: Any = None) -> tuple[Any, Any, Any]:
        """By x, g and gamma, in the number system ``kind``; ``u`` in place of the direction."""
        x, g = kind(self.x), kind(self.g)
        u = kind(self.u if u is None else u)
        gamma, a, b = (
            None if each is None else kind(each) for each in (self.gamma, self.a, self.b)
        )
        mu = spec.batch_mean(x, self.axes)
        r = spec.inverse_deviation(spec.biased_variance(x, mu, self.axes), self.epsilon)
        xhat = spec.normalize(x, mu, r)
        return (
            second.training_second_dx(g, u, xhat, r, gamma, a, self.axes),
            second.training_second_dg(u, xhat, r, gamma, a, b, self.axes),
            second.training_second_dgamma(g, u, xhat, r, self.axes),
        )


SHAPES = [
    pytest.param((6, 3), (1,), id="matrix"),
    pytest.param((4, 3, 5), (1,), id="sequence"),  # channels in the middle
    pytest.param((4, 2, 3, 2), (3,), id="image"),  # channels last
    pytest.param((4, 2, 3), (1, 2), id="two feature axes"),
]
ALL = pytest.mark.parametrize(("shape", "features"), SHAPES)


def _arrays(shape: tuple[int, ...], features: tuple[int, ...], *, affine: bool = True) -> Arrays:
    values = np.random.default_rng([7, *shape])
    wide = [size if axis in features else 1 for axis, size in enumerate(shape)]
    x, g, u = (scale * values.normal(size=shape) + 0.5 for scale in (2.0, 1.0, 1.5))
    gamma, a, b = (values.normal(size=wide) if affine else None for _ in range(3))
    axes = tuple(axis for axis in range(len(shape)) if axis not in features)
    return Arrays(axes=axes, x=x, g=g, u=u, gamma=gamma, a=a, b=b)


def _differentiated(torch: Any, arrays: Arrays) -> list[Any]:
    """By x, g and, where there is one, gamma: torch differentiates twice a forward written here."""

    def variable(values: Any) -> Any:
        return torch.tensor(values, requires_grad=True)

    x, g = variable(arrays.x), variable(arrays.g)
    affine = [] if arrays.gamma is None else [variable(arrays.gamma), variable(arrays.b * 0)]
    mean = x.mean(arrays.axes, keepdim=True)
    variance = (x * x).mean(arrays.axes, keepdim=True) - mean * mean
    y = (x - mean) / torch.sqrt(variance + arrays.epsilon)
    y = affine[0] * y + affine[1] if affine else y
    first = torch.autograd.grad(y, [x, *affine], g, create_graph=True)
    along = [arrays.u] + ([arrays.a, arrays.b] if affine else [])
    probe = sum((d * torch.tensor(each)).sum() for d, each in zip(first, along, strict=True))
    return list(torch.autograd.grad(probe, [x, g, *affine[:1]]))


@pytest.mark.parametrize("affine", [True, False], ids=["gamma and beta", "neither"])
@ALL
def test_they_agree_with_differentiating_the_gradient_automatically(
    shape: tuple[int, ...], features: tuple[int, ...], *, affine: bool
) -> None:
    """In float64, whatever the axes; a missing gamma counts as 1."""
    torch = pytest.importorskip("torch", reason="differentiates with torch")
    arrays = _arrays(shape, features, affine=affine)
    expected = [each.numpy() for each in _differentiated(torch, arrays)]
    for found, want in zip(arrays.training(), expected, strict=False):
        assert found.shape == want.shape
        assert np.abs(found - want).max() <= AGREEMENT * np.abs(want).max()


@ALL
def test_the_hessian_is_symmetric(shape: tuple[int, ...], features: tuple[int, ...]) -> None:
    """sum(w H u) = sum(u H w) for directions of x alone."""
    arrays = _arrays(shape, features)
    alone = Arrays(**(vars(arrays) | {"a": None, "b": None}))
    w = np.random.default_rng(3).normal(size=shape)
    once, again = (w * alone.training()[0]).sum(), (arrays.u * alone.training(u=w)[0]).sum()
    assert once == pytest.approx(again, rel=AGREEMENT)


@ALL
def test_by_x_sums_to_zero(shape: tuple[int, ...], features: tuple[int, ...]) -> None:
    """Shifting a channel changes none of its gradients."""
    arrays = _arrays(shape, features)
    by_x = arrays.training()[0]
    assert np.abs(by_x.sum(axis=arrays.axes)).max() <= AGREEMENT * np.abs(by_x).sum()


@ALL
def test_double_double_gives_the_exact_values(
    shape: tuple[int, ...], features: tuple[int, ...]
) -> None:
    """The judge's numbers agree with rationals, whose roots err by 2^-256."""
    arrays = _arrays(shape, features)
    pairs = zip(arrays.training(DoubleDouble), arrays.training(Rational), strict=True)
    for found, exact in pairs:
        error = np.abs(Rational(found).values - exact.values).max()
        assert error <= PROMISED * np.abs(exact.values).max()
