"""The bounds' formulae: a second transcription, scalar by scalar, and what each must enclose.

``oracle`` derives every bound again for one channel with plain floats; it shares no code with
``bounds.py``. That no correct implementation exceeds them, and that faults do, is shown in the two
files beside this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance import bounds
from bnconform.conformance.bounds import Precision, Statistics
from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import RunningVariance, VarianceAlgorithm
from bnconform.conformance.formats import FORMATS, DType, compute_format
from bnconform.conformance.reference import Expectation, expect

from .cases import CENTRED, Data
from .datasets import ordinary_data

ONE_PASS, TWO_PASS = VarianceAlgorithm.ONE_PASS, VarianceAlgorithm.TWO_PASS
SINGLE = FORMATS[DType.FLOAT32]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One channel of one call, as plain floats; ``delta`` and ``e_v`` None: from the batch."""

    x: list[float]
    g: list[float]
    gamma: float
    beta: float
    epsilon: float
    u: float
    eta: float
    one_pass: bool

    @property
    def k(self) -> int:
        """K = n + 2 ceil(log2 n) + 6, by counting doublings."""
        doublings, power = 0, 1
        while power < len(self.x):
            doublings, power = doublings + 1, 2 * power
        return len(self.x) + 2 * doublings + 6

    def theta(self, extra: int = 0) -> float:
        """theta(K + extra)."""
        k = self.k + extra
        return k * self.u / (1 - k * self.u)

    def mean(self, values: list[float]) -> float:
        """Correctly rounded."""
        return math.fsum(values) / len(values)

    @property
    def mu(self) -> float:
        """The mean."""
        return self.mean(self.x)

    @property
    def d(self) -> list[float]:
        """x - mu."""
        return [x - self.mu for x in self.x]

    @property
    def v(self) -> float:
        """The biased variance."""
        return self.mean([d * d for d in self.d])

    @property
    def delta(self) -> float:
        """theta(K) A + eta."""
        return self.theta() * self.mean([abs(x) for x in self.x]) + self.eta

    @property
    def e_v(self) -> float:
        """E_v of the declared class."""
        delta, v = self.delta, self.v
        if self.one_pass:
            q = self.mean([x * x for x in self.x])
            return (
                self.theta() * q + 2 * abs(self.mu) * delta + delta**2 + 3 * self.u * q + self.eta
            )
        return self.theta() * v + 2 * math.sqrt(2 * v) * delta + 2 * delta**2 + self.eta


@dataclass(frozen=True, kw_only=True)
class Roots:
    """r, its largest value, and the errors of r and r^2."""

    r: float
    top: float
    error: float
    square_error: float


def roots(v: float, e_v: float, epsilon: float, u: float) -> Roots:
    """From the interval of v + eps."""
    low, high = max(v - e_v, 0.0) + epsilon * (1 - 2 * u), v + e_v + epsilon * (1 + 2 * u)
    r, top, bottom = 1 / math.sqrt(v + epsilon), 1 / math.sqrt(low), 1 / math.sqrt(high)
    return Roots(
        r=r,
        top=top,
        error=max(top - r, r - bottom) + 4 * u * top,
        square_error=max(1 / low - r * r, r * r - 1 / high) + 8 * u / low,
    )


def oracle(c: Channel) -> dict[Quantity, list[float]]:
    """Bounds of a training call before the rounding of the output, one for each element."""
    n, u, delta, mu, theta = len(c.x), c.u, c.delta, c.mu, c.theta()
    f = roots(c.v, c.e_v, c.epsilon, u)
    big_g, gbar = c.mean([abs(g) for g in c.g]), c.mean(c.g)
    pairs = list(zip(c.x, c.d, c.g, strict=True))
    corr = c.mean([g * d for _, d, g in pairs])
    e_c = delta * (abs(gbar) + theta * big_g)
    e_c += c.theta(4) * c.mean([abs(g) * (abs(d) + delta) for _, d, g in pairs])
    e_c += c.theta(4) * (c.mean([abs(g * x) for x, _, g in pairs]) + (abs(mu) + delta) * big_g)
    size = abs(corr) + e_c
    y, dx = [], []
    for x, d, g in pairs:
        w = abs(d) + delta
        value = c.gamma * d * f.r + c.beta
        centred = f.top * delta + w * f.error + 5 * u * f.top * w
        folded = f.top * u * (3 * abs(x) + 4 * (abs(mu) + delta))
        y.append(abs(c.gamma) * (centred + folded) + 2 * u * (abs(c.beta) + abs(value)))
        vanishing = 2 * delta + theta * (c.mean([abs(v) for v in c.d]) + delta)
        e_3 = f.top**2 * (vanishing * size + abs(d) * e_c) + abs(d * corr) * f.square_error
        e_3 += 8 * u * f.top**2 * w * size
        if c.one_pass:
            apart = 6 * u * (abs(x) + abs(mu)) + 2 * theta * c.mean([abs(v) for v in c.x])
            e_3 += f.top**2 * size * apart
        t = d * f.r**2 * corr
        sums = theta * big_g + e_3
        rounding = 6 * u * (abs(g) + abs(gbar) + abs(t))
        dx.append(abs(c.gamma) * (f.top * (sums + rounding) + f.error * (abs(g - gbar - t) + sums)))
    return {
        Quantity.Y: y,
        Quantity.DX: dx,
        Quantity.BATCH_MEAN: [delta],
        Quantity.BATCH_VAR: [c.e_v],
        Quantity.DGAMMA: [n * (f.error * abs(corr) + f.top * e_c + 4 * u * f.top * size)],
        Quantity.DBETA: [n * theta * big_g],
    }


def _channel(data: Data, step: int, index: int, *, one_pass: bool) -> Channel:
    inputs, fmt = data.inputs.steps[step], compute_format(data.case.dtype)
    gamma, beta = data.inputs.parameters.gamma, data.inputs.parameters.beta
    assert gamma is not None
    assert beta is not None
    return Channel(
        x=[float(value) for value in inputs.x[:, index]],
        g=[float(value) for value in inputs.dy[:, index]],
        gamma=float(gamma[index]),
        beta=float(beta[index]),
        epsilon=data.case.epsilon,
        u=fmt.unit_roundoff,
        eta=fmt.smallest_normal,
        one_pass=one_pass,
    )


def _bounds(expectation: Expectation, index: int) -> list[float]:
    """Of one channel of an image or a statistic."""
    return [float(value) for value in np.atleast_1d(expectation.bound[..., index])]


def _rounded(errors: list[float], values: Any, dtype: DType) -> list[float]:
    """E (1 + u_o) + u_o |result| + eta_o."""
    fmt = FORMATS[dtype]
    eta = fmt.smallest_subnormal if dtype is DType.FLOAT16 else fmt.smallest_normal
    u, flat = fmt.unit_roundoff, np.atleast_1d(values).tolist()
    return [(1 + u) * e + u * abs(value) + eta for e, value in zip(errors, flat, strict=True)]


@pytest.mark.parametrize("algorithm", [TWO_PASS, ONE_PASS])
@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("ratio", [0.0, 3.0, 50.0])
def test_every_bound_of_a_training_step_is_the_derived_one(
    algorithm: VarianceAlgorithm, dtype: DType, ratio: float
) -> None:
    """Every element of every quantity, to 8 digits, against the scalar transcription."""
    data = ordinary_data(dtype, ratio=ratio, n=12)
    expected = expect(data.case, data.inputs, replace(CENTRED, algorithm=algorithm))
    for step, index in ((0, 0), (1, 3), (2, 7)):
        derived = oracle(_channel(data, step, index, one_pass=algorithm is ONE_PASS))
        for quantity, errors in derived.items():
            want = expected.steps[step][quantity]
            image = quantity in {Quantity.Y, Quantity.DX}
            output = dtype if image else compute_format(dtype).dtype
            exact = want.value.to_float64()[..., index]
            assert _bounds(want, index) == pytest.approx(
                _rounded(errors, exact, output), rel=1e-8
            ), quantity


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("decay", [0.9, 0.5, 0.0, None])
def test_the_running_bounds_carry_the_error_of_every_earlier_step(
    decay: float | None, *, unbiased: bool
) -> None:
    """E' = decay E + m b (E_v + u v) + 5u (rv + E + b v), step after step, and so for the mean."""
    data = ordinary_data(decay=decay, n=12)
    kept = RunningVariance.UNBIASED if unbiased else RunningVariance.BIASED
    expected = expect(data.case, data.inputs, replace(CENTRED, running_variance=kept))
    parameters, u = data.inputs.parameters, SINGLE.unit_roundoff
    rm, rv = float(parameters.running_mean[2]), float(parameters.running_var[2])
    e_m = e_v = 0.0
    for step in range(3):
        c = _channel(data, step, 2, one_pass=False)
        weight = 1 - 1 / (step + 1) if decay is None else decay
        b = len(c.x) / (len(c.x) - 1) if unbiased else 1.0
        e_m = weight * e_m + (1 - weight) * (c.delta + u * abs(c.mu)) + 4 * u * (
            abs(rm) + e_m + abs(c.mu)
        )  # fmt: skip
        e_v = weight * e_v + (1 - weight) * b * (c.e_v + u * c.v) + 5 * u * (rv + e_v + b * c.v)
        rm, rv = weight * rm + (1 - weight) * c.mu, weight * rv + (1 - weight) * b * c.v
        for quantity, error, value in (
            (Quantity.RUNNING_MEAN, e_m, rm),
            (Quantity.RUNNING_VAR, e_v, rv),
        ):
            found = _bounds(expected.steps[step][quantity], 2)
            assert found == pytest.approx(_rounded([error], value, DType.FLOAT32), rel=1e-8)
    _assert_inference_uses(expected.inference, data, rm, rv, e_m, e_v)


def _assert_inference_uses(
    inference: Any, data: Data, rm: float, rv: float, e_m: float, e_v: float
) -> None:
    """y and gradients after training, with the running statistics' errors for delta and E_v."""
    c = _channel(data, 0, 2, one_pass=False)
    f, u = roots(rv, e_v, c.epsilon, c.u), c.u
    errors, dx = [], []
    for x, g in zip(c.x, c.g, strict=True):
        d = x - rm
        w = abs(d) + e_m
        value = c.gamma * d * f.r + c.beta
        centred = f.top * e_m + w * f.error + 5 * u * f.top * w
        folded = f.top * u * (3 * abs(x) + 4 * (abs(rm) + e_m))
        errors.append(abs(c.gamma) * (centred + folded) + 2 * u * (abs(c.beta) + abs(value)))
        dx.append(abs(c.gamma * g) * (f.error + 4 * u * f.top))
    for quantity, found in ((Quantity.Y_INFER, errors), (Quantity.Y, errors), (Quantity.DX, dx)):
        want = inference[quantity]
        exact = want.value.to_float64()[:, 2]
        expected = _rounded(found, exact, DType.FLOAT32)
        assert _bounds(want, 2) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("n", "length"),
    [(1, 7), (2, 10), (3, 13), (4, 14), (5, 17), (1024, 1050), (1025, 1053)],
)
def test_the_length_of_a_sum_counts_values_merges_and_six_more(n: int, length: int) -> None:
    """K = n + 2 ceil(log2 n) + 6."""
    assert bounds.sum_length(n) == length


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_theta_is_k_roundings_compounded(dtype: DType) -> None:
    """theta(k) >= (1 + u)^k - 1 and not much more."""
    p = Precision(accumulation=FORMATS[dtype], algorithm=TWO_PASS)
    for k in (1, 10, 1000):
        compounded = math.expm1(k * math.log1p(p.u))
        assert compounded <= p.theta(k) <= compounded * (1 + 2 * k * p.u)


def test_theta_knows_nothing_of_sums_longer_than_the_format_can_count() -> None:
    """2^24 values in float32: no bound is left, which is not a bound below zero."""
    p = Precision(accumulation=SINGLE, algorithm=TWO_PASS)
    assert p.theta(2.0**24) == math.inf
    assert p.theta(2.0**25) == math.inf


@settings(deadline=None, max_examples=200)
@given(
    st.floats(1e-6, 1e6),
    st.floats(0.0, 2.0),
    st.sampled_from([1e-12, 1e-5, 1e-3, 1.0]),
    st.floats(-1.0, 1.0),
    st.floats(-1.0, 1.0),
)
def test_the_deviation_encloses_every_variance_within_its_error(
    v: float, share: float, epsilon: float, where: float, nudge: float
) -> None:
    """r' and r'^2 of any v' >= 0 within E_v of v and any rounding of eps are enclosed."""
    p = Precision(accumulation=SINGLE, algorithm=TWO_PASS)
    s = Statistics(mu=np.zeros(1), v=np.array([v]), delta=np.zeros(1), e_v=np.array([share * v]))
    dev = bounds.deviation(s, epsilon, p)
    total = max(v + where * share * v, 0.0) + epsilon * (1 + nudge * p.u)
    r = 1 / math.sqrt(total) * (1 + nudge * 3 * p.u)
    assert abs(r - dev.r[0]) <= dev.e_r[0]
    assert abs(r * r - dev.r[0] ** 2) <= dev.e_r2[0]
    assert r <= dev.r_max[0] * (1 + 4 * p.u)


def test_the_deviation_is_unbounded_where_v_and_epsilon_may_both_vanish() -> None:
    """Infinity, which the reference takes for "nothing known", and no warning."""
    p = Precision(accumulation=SINGLE, algorithm=TWO_PASS)
    zero = np.zeros(1)
    dev = bounds.deviation(Statistics(mu=zero, v=zero, delta=zero, e_v=zero), 0.0, p)
    assert not np.isfinite(dev.e_r).any()


@pytest.mark.parametrize("dtype", DType)
@settings(deadline=None, max_examples=200)
@given(st.floats(-1.0, 1.0), st.integers(-160, 15))
def test_rounding_to_the_output_format_is_within_the_bound(
    dtype: DType, mantissa: float, exponent: int
) -> None:
    """A result without error of its own, subnormal and flushed results included."""
    value = math.ldexp(mantissa, exponent)
    output = FORMATS[dtype]
    stored = float(np.float64(value).astype(output.numpy))
    allowed = bounds.rounded(np.zeros(1), np.array([value]), output, compute_format(dtype))
    assert abs(stored - value) <= allowed[0]
    if dtype is not DType.FLOAT16 and abs(value) < output.smallest_normal:
        assert abs(value) <= allowed[0]


def test_rounding_to_float16_does_not_excuse_flushed_subnormals() -> None:
    """They are ordinary values there: half the smallest normal may not become 0."""
    value = np.array([FORMATS[DType.FLOAT16].smallest_normal / 2])
    allowed = bounds.rounded(np.zeros(1), value, FORMATS[DType.FLOAT16], SINGLE)
    assert allowed[0] < value[0] / 100


def test_an_existing_error_grows_by_the_output_roundoff() -> None:
    """(1 + u_o) E."""
    output = FORMATS[DType.BFLOAT16]
    allowed = bounds.rounded(np.array([8.0]), np.zeros(1), output, SINGLE)
    assert allowed[0] == 8.0 * (1 + 2.0**-8) * 1.0 + output.smallest_normal


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_wider_formats_have_no_roundings_by_term(dtype: DType) -> None:
    """There is nothing narrower than the accumulation to round to."""
    assert not _by_term(dtype, g=1.0).any()


def test_by_term_does_not_excuse_a_float16_gradient_that_vanished() -> None:
    """A dx of 1e-4 is an ordinary value there and may not be answered by 0."""
    assert _by_term(DType.FLOAT16, g=1e-4).max() < 1e-5


def _by_term(dtype: DType, g: float) -> Any:
    """Of a channel of unit deviation whose upstream gradient is +-g."""
    x, upstream = np.array([[-1.0], [1.0]]), np.array([[g], [-g]])
    s = Statistics(
        mu=np.zeros((1, 1)), v=np.ones((1, 1)), delta=np.zeros((1, 1)), e_v=np.zeros((1, 1))
    )
    p = Precision(accumulation=compute_format(dtype), algorithm=TWO_PASS)
    up = bounds.upstream(x, upstream, (0,), 2, s, p)
    return bounds.by_term_dx_error(x, upstream, np.ones((1, 1)), up, s, 1e-3, p, FORMATS[dtype])
