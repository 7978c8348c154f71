"""Every function of the spec: double-double and float64 against exact rational arithmetic.

The judge evaluates the spec in double-double, whose operations err by 2^-103; what a whole formula
may lose on top is set against the magnitudes that enter it, worked out once below. Exact arithmetic
rounds only its roots, to 2^-256.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance import spec
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.numbers.exact import Rational

from . import evaluation
from .evaluation import VARIANTS, Setup, make_setup

PROMISED = Fraction(1, 2**100)
"""What double-double keeps of the magnitudes; float64 keeps 2^-47, 53 bits less."""

LAYOUTS = [((4, 2), (0,)), ((4, 2, 3), (0, 2)), ((4, 3, 2), (0, 1)), ((4, 2, 2), (0,))]


def _magnitudes(s: Setup) -> Mapping[str, float]:
    """What errors of each quantity are relative to, for the worst element of a setup.

    A is the largest |x| or |m|, and r the largest 1 / sqrt(v + eps) of all groups and statistics:
    mean and variance err relative to A and A^2, r relative to K = 1 + (A r)^2, its condition.
    """
    big = float(max(np.abs(s.x).max(), np.abs(s.mean).max(), s.var.max() ** 0.5, 1.0))
    least = min(
        float(np.min(v.to_float64() if isinstance(v, DoubleDouble) else v))
        for v in [*_variances(s), s.var * s.decay, s.stddev**2]
    )
    r = (least + s.epsilon) ** -0.5
    condition = 1 + (big * r) ** 2
    xhat = big * r * condition
    moved = (np.abs(s.scale).max() + r * big + 2) * xhat + np.abs(s.shift).max() + r * big
    gamma, beta = float(np.abs(s.gamma).max()), float(np.abs(s.beta).max())
    total, most = float(np.abs(s.g).sum()), float(np.abs(s.g).max())
    return {
        "mu": big,
        "v": big**2,
        "unbiased": 2 * big**2,
        "r": r * condition,
        "xhat": xhat,
        "R": r * big * condition,
        "D": r * big * condition,
        "y": gamma * moved + beta,
        "dx": gamma * r * most * moved,
        "dgamma": total * moved,
        "dbeta": total,
        "rm": big,
        "rv": 2 * big**2,
        "cumulative": big,
        "debiased": big / (1 - s.decay),
    }


def _variances(s: Setup) -> list[Any]:
    found = [evaluation.plain(s, DoubleDouble)["v"], evaluation.weighted(s, DoubleDouble)["v"]]
    groups = evaluation.ghost(s, DoubleDouble)
    return [*found, *(value for name, value in groups.items() if name.startswith("v/"))]


def _worst(found: Any, exact: Any) -> Fraction:
    pairs = zip(Rational(found).values.ravel(), exact.values.ravel(), strict=True)
    return Fraction(max(abs(a - b) for a, b in pairs))


def test_the_variants_call_every_function_of_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is added to the spec and not proven here fails this test."""
    public = {
        name
        for name, member in inspect.getmembers(spec, inspect.isfunction)
        if member.__module__ == spec.__name__
    }
    called: set[str] = set()

    def watch(name: str) -> Any:
        original = getattr(spec, name)

        def watched(*arguments: Any) -> Any:
            called.add(name)
            return original(*arguments)

        return watched

    for name in public:
        monkeypatch.setattr(spec, name, watch(name))
    for variant in VARIANTS.values():
        variant(make_setup((4, 2), (0,), 0), np.asarray)
    assert called == public


@pytest.mark.parametrize("name", VARIANTS)
@settings(deadline=None, max_examples=25)
@given(
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 5.0, 1000.0]),
    epsilon=st.sampled_from([1e-3, 1e-5, 1.0]),
    decay=st.sampled_from([0.9, 0.5, 0.0, 0.999]),
    limits=st.sampled_from([(None, None, None), (0.5, 2.0, 0.75), (1.0, 1.0, 0.0)]),
    groups=st.sampled_from([((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0,), (1, 2, 3))]),
)
def test_double_double_keeps_100_bits_and_float64_47(
    name: str,
    layout: tuple[tuple[int, ...], tuple[int, ...]],
    seed: int,
    offset: float,
    epsilon: float,
    decay: float,
    limits: tuple[float | None, float | None, float | None],
    groups: tuple[tuple[int, ...], ...],
) -> None:
    """Every quantity of every variant, relative to the magnitudes that enter it."""
    r_min, r_max, d_max = limits
    setup = make_setup(
        *layout, seed, offset=offset, epsilon=epsilon, decay=decay,
        r_min=r_min, r_max=r_max, d_max=d_max, groups=groups,
    )  # fmt: skip
    exact = VARIANTS[name](setup, Rational)
    sizes = _magnitudes(setup)
    for number, promised in ((DoubleDouble, PROMISED), (np.asarray, PROMISED * 2**53)):
        found = VARIANTS[name](setup, number)
        assert found.keys() == exact.keys()
        for key, value in found.items():
            size = Fraction(sizes[key.partition("/")[0]])
            assert value.shape == exact[key].shape
            assert _worst(value, exact[key]) <= promised * size, (key, number)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 200))
def test_sums_of_many_values_keep_100_bits_too(seed: int, size: int) -> None:
    """Statistics over up to 200 values: the tree of sums adds log2(200) roundings at most."""
    setup = make_setup((size, 1), (0,), seed, offset=3.0)
    sizes = {"mu": 10, "v": 100, "r": 1e4, "xhat": 1e6, "dbeta": 1e4, "dgamma": 1e6}
    found, exact = evaluation.plain(setup, DoubleDouble), evaluation.plain(setup, Rational)
    for key, scale in sizes.items():
        assert _worst(found[key], exact[key]) <= PROMISED * Fraction(scale), key
