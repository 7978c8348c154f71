"""The gradients of every variant against automatic differentiation of a forward written here.

The second derivation of the spec: torch, in float64, differentiates words of the papers that share
no code with ``spec.py``. Agreement to 1e-12 of the largest element: both sides round some hundred
times at 1e-16. Where a variant holds something constant (renormalization's R and D), the forward
detaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from bnconform.conformance import spec

from . import evaluation
from .evaluation import Setup, make_setup

AGREEMENT = 1e-12


@pytest.fixture(scope="module")
def torch() -> Any:
    """The differentiating framework."""
    return pytest.importorskip("torch", reason="differentiates with torch")


SHAPES = [
    pytest.param((6, 3), (0,), id="matrix"),
    pytest.param((4, 3, 5), (0, 2), id="sequence"),  # channels in the middle
    pytest.param((4, 2, 3, 2), (0, 1, 2), id="image"),  # channels last
    pytest.param((4, 2, 3), (0,), id="two feature axes"),
]


class Tensors:
    """The arrays of a setup as float64 tensors; those that gradients are taken of ask for them."""

    def __init__(self, torch: Any, setup: Setup) -> None:
        self.torch, self.setup = torch, setup

        def tensor(name: str, *, differentiable: bool = False) -> Any:
            values = torch.tensor(getattr(setup, name), dtype=torch.float64)
            return values.requires_grad_(differentiable)

        self.x = tensor("x", differentiable=True)
        self.gamma = tensor("gamma", differentiable=True)
        self.beta = tensor("beta", differentiable=True)
        self.g, self.weights = tensor("g"), tensor("weights")
        self.mean, self.var, self.stddev = tensor("mean"), tensor("var"), tensor("stddev")
        self.scale, self.shift = tensor("scale"), tensor("shift")

    def average(self, values: Any) -> Any:
        """Mean over the reduction axes, kept."""
        return values.mean(self.setup.axes, keepdim=True)

    def standardized(self, x: Any) -> Any:
        """(x - E x) / sqrt(E x^2 - (E x)^2 + eps): the variance by another formula."""
        mean = self.average(x)
        variance = self.average(x * x) - mean * mean
        return (x - mean) / self.torch.sqrt(variance + self.setup.epsilon)


def _plain(t: Tensors) -> Any:
    return t.gamma * t.standardized(t.x) + t.beta


def _inference(t: Tensors) -> Any:
    return t.gamma * (t.x - t.mean) / t.torch.sqrt(t.var + t.setup.epsilon) + t.beta


def _weighted(t: Tensors) -> Any:
    axes = t.setup.axes
    share = t.weights / t.weights.sum(axes, keepdim=True)
    mean = (share * t.x).sum(axes, keepdim=True)
    variance = (share * t.x * t.x).sum(axes, keepdim=True) - mean * mean
    return t.gamma * (t.x - mean) / t.torch.sqrt(variance + t.setup.epsilon) + t.beta


def _renorm(t: Tensors) -> Any:
    s, mean = t.setup, t.average(t.x)
    variance = t.average((t.x - mean) ** 2)
    scale = (t.torch.sqrt(variance + s.epsilon) / t.stddev).detach()
    shift = ((mean - t.mean) / t.stddev).detach()
    if s.r_min is not None or s.r_max is not None:
        scale = scale.clamp(s.r_min, s.r_max)
    if s.d_max is not None:
        shift = shift.clamp(-s.d_max, s.d_max)
    return t.gamma * (t.standardized(t.x) * scale + shift) + t.beta


def _adjusted(t: Tensors) -> Any:
    return t.gamma * (t.scale * t.standardized(t.x) + t.shift) + t.beta


def _ghost(t: Tensors) -> Any:
    y = t.torch.zeros_like(t.x)
    for samples in map(list, t.setup.groups):
        part = t.gamma * t.standardized(t.x[samples]) + t.beta
        y = y.index_put((t.torch.tensor(samples),), part)
    return y


def _synchronized(t: Tensors) -> Any:
    """Every replica sends n, sum(x) and sum(x^2); nobody sees the whole batch."""
    axes, parts = t.setup.axes, [t.x[list(samples)] for samples in t.setup.groups]
    n = sum(part.numel() for part in parts) / t.gamma.numel()
    mean = sum(part.sum(axes, keepdim=True) for part in parts) / n
    square = sum((part * part).sum(axes, keepdim=True) for part in parts) / n
    root = t.torch.sqrt(square - mean * mean + t.setup.epsilon)
    order = [sample for samples in t.setup.groups for sample in samples]
    y = t.torch.cat([t.gamma * (part - mean) / root + t.beta for part in parts])
    return y[np.argsort(order).tolist()]


def _by_updated_state(t: Tensors) -> Any:
    decay, mean = t.setup.decay, t.average(t.x)
    variance = t.average(t.x * t.x) - mean * mean
    rm = decay * t.mean + (1 - decay) * mean
    rv = decay * t.var + (1 - decay) * variance
    return t.gamma * (t.x - rm) / t.torch.sqrt(rv + t.setup.epsilon) + t.beta


FORWARDS: Mapping[str, Callable[[Tensors], Any]] = {
    "plain": _plain,
    "inference": _inference,
    "weighted": _weighted,
    "renorm": _renorm,
    "adjusted": _adjusted,
    "ghost": _ghost,
    "synchronized": _synchronized,
    "by_updated_state": _by_updated_state,
}


def _differentiated(torch: Any, name: str, setup: Setup) -> dict[str, Any]:
    """y and the gradients of sum(g y), by automatic differentiation."""
    t = Tensors(torch, setup)
    y = FORWARDS[name](t)
    gradients = torch.autograd.grad((t.g * y).sum(), [t.x, t.gamma, t.beta])
    named = dict(zip(("dx", "dgamma", "dbeta"), gradients, strict=True))
    return {key: value.detach().numpy() for key, value in ({"y": y} | named).items()}


def _by_spec(name: str, setup: Setup) -> dict[str, Any]:
    """The same quantities by the spec, in float64; groups put back where they came from."""
    found = evaluation.VARIANTS[name](setup, np.asarray)
    result = {key: found[key] for key in ("y", "dx", "dgamma", "dbeta") if key in found}
    for key in ("y", "dx"):
        if key not in result:
            result[key] = np.full_like(setup.x, np.nan)
            for k, samples in enumerate(setup.groups):
                result[key][list(samples)] = found[f"{key}/{k}"]
    return result


def _assert_agree(torch: Any, name: str, setup: Setup) -> None:
    expected, found = _differentiated(torch, name, setup), _by_spec(name, setup)
    assert expected.keys() == found.keys()
    for key, values in expected.items():
        size = np.abs(values).max()
        assert size > 1e-6, f"{key} of {name} is too small to mean anything"
        np.testing.assert_allclose(found[key], values, rtol=0, atol=AGREEMENT * size, err_msg=key)


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_every_gradient_is_that_of_automatic_differentiation(
    torch: Any, name: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """y, dx, dgamma and dbeta of every variant."""
    for seed in range(3):
        setup = make_setup(shape, axes, seed, groups=((0, 3), (1, 2)))
        if name == "ghost" and shape[0] == 6:
            setup = make_setup(shape, axes, seed, groups=((0, 2, 4), (1, 3, 5)))
        if name == "synchronized" and shape[0] == 6:
            setup = make_setup(shape, axes, seed, groups=((5,), (0, 1), (2, 3, 4)))
        _assert_agree(torch, name, setup)


@pytest.mark.parametrize(
    "limits",
    [
        {"r_min": None, "r_max": None, "d_max": None},  # nothing is clipped
        {"r_min": 5.0, "r_max": 6.0, "d_max": 0.0},  # R from below, D altogether
        {"r_min": 0.0, "r_max": 0.01, "d_max": 10.0},  # R from above, D not at all
        {"r_min": None, "r_max": 1.0, "d_max": None},  # one limit alone
        {"r_min": 1.0, "r_max": None, "d_max": 1e-3},  # the other one alone
    ],
)
def test_renormalization_holds_r_and_d_constant_clipped_or_not(
    torch: Any, limits: dict[str, Any]
) -> None:
    """The stop-gradient makes dx = R dx_BN and dgamma = R dgamma_BN + D sum(g)."""
    setup = make_setup((6, 4), (0,), 7, **limits)
    _assert_agree(torch, "renorm", setup)
    found, base = _by_spec("renorm", setup), _by_spec("plain", setup)
    correction = evaluation.renorm(setup, np.asarray)
    scale, shift = correction["R"], correction["D"]
    np.testing.assert_allclose(found["dx"], scale * base["dx"], rtol=1e-12)
    expected = scale * base["dgamma"] + shift * base["dbeta"]
    np.testing.assert_allclose(found["dgamma"], expected, rtol=1e-11)


def test_positions_without_weight_have_an_output_and_a_gradient(torch: Any) -> None:
    """dx = gamma r g there: they feel no way through the statistics."""
    setup = make_setup((8, 3), (0,), 1)
    hidden = setup.weights[:, 0] == 0
    assert 0 < hidden.sum() < 7
    _assert_agree(torch, "weighted", setup)
    t = Tensors(torch, setup)
    by_hand = setup.gamma * setup.g / _deviation(t)
    np.testing.assert_allclose(_by_spec("weighted", setup)["dx"][hidden], by_hand[hidden], 1e-12)


def _deviation(t: Tensors) -> Any:
    values, weights = t.x.detach().numpy(), t.setup.weights[:, 0]
    v = [np.cov(column, ddof=0, aweights=weights) for column in values.T]
    return np.sqrt(np.array(v) + t.setup.epsilon)


@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
def test_training_by_the_updated_state_spans_batch_and_frozen_statistics(
    torch: Any, decay: float
) -> None:
    """decay 0 is batch normalization, decay 1 is a frozen layer, and all between is neither."""
    setup = make_setup((5, 2), (0,), 3, decay=decay)
    _assert_agree(torch, "by_updated_state", setup)
    ends = {0.0: "plain", 1.0: "inference"}
    if decay in ends:
        np.testing.assert_allclose(
            _by_spec("by_updated_state", setup)["dx"], _by_spec(ends[decay], setup)["dx"], 1e-11
        )


@pytest.mark.parametrize("updates", [1, 4])
@pytest.mark.parametrize("cumulative", [False, True])
def test_the_share_of_the_batch_in_debiased_and_cumulative_averages(
    torch: Any, updates: int, *, cumulative: bool
) -> None:
    """k = (1 - decay) / (1 - decay^t), or 1 / t: what dx of such a training depends on."""
    setup = make_setup((5, 2), (0,), 4)
    decay = setup.decay
    share = 1 / updates if cumulative else (1 - decay) / (1 - decay**updates)
    t = Tensors(torch, setup)
    mean = t.average(t.x)
    variance = t.average((t.x - mean) ** 2)
    if cumulative:
        rm, rv = t.mean + (mean - t.mean) / updates, t.var + (variance - t.var) / updates
    else:
        rest = 1 - decay**updates
        rm = (decay * t.mean + (1 - decay) * mean) / rest
        rv = (decay * t.var + (1 - decay) * variance) / rest
    y = t.gamma * (t.x - rm) / torch.sqrt(rv + setup.epsilon) + t.beta
    (dx,) = torch.autograd.grad((t.g * y).sum(), [t.x])
    base = evaluation.plain(setup, np.asarray)
    r = spec.inverse_deviation(rv.detach().numpy(), setup.epsilon)
    xhat = spec.normalize(setup.x, rm.detach().numpy(), r)
    d = setup.x - base["mu"]
    found = spec.running_training_dx(setup.g, xhat, d, r, setup.gamma, share, setup.axes)
    np.testing.assert_allclose(found, dx.numpy(), rtol=1e-11, atol=1e-12)


def test_without_affine_parameters_gamma_counts_as_one_in_every_input_gradient(torch: Any) -> None:
    """Weighted training and training by the updated state, which the cases above give a gamma."""
    setup = make_setup((6, 2), (0,), 5, gamma=np.ones((1, 2)), beta=np.zeros((1, 2)))
    x, g, w = setup.x, setup.g, setup.weights
    mu = spec.weighted_mean(x, w, (0,))
    r = spec.inverse_deviation(spec.weighted_variance(x, w, mu, (0,)), setup.epsilon)
    xhat = spec.normalize(x, mu, r)
    found = spec.weighted_training_dx(g, xhat, r, None, w, (0,))
    expected = _differentiated(torch, "weighted", setup)["dx"]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    state = evaluation.by_updated_state(setup, np.asarray)
    r = spec.inverse_deviation(state["rv"], setup.epsilon)
    xhat, d = spec.normalize(x, state["rm"], r), x - evaluation.plain(setup, np.asarray)["mu"]
    found = spec.running_training_dx(g, xhat, d, r, None, 1 - setup.decay, (0,))
    expected = _differentiated(torch, "by_updated_state", setup)["dx"]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
