"""Many cases at once: the same bits as one by one, whatever stands beside them."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance import bounds, reference
from bnconform.conformance.bounds import Precision, Statistics
from bnconform.conformance.case import Case, Fill, FillKind, Mode
from bnconform.conformance.cases import streams
from bnconform.conformance.cases.fills import Inputs, make_inputs, make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import Averaging, VarianceAlgorithm
from bnconform.conformance.expecting.expectation import Conventions, Expectation, Expected
from bnconform.conformance.expecting.stack import Stack, kind
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.numbers.exact import Rational
from bnconform.conformance.numbers.summation import total
from bnconform.conformance.reference import expect, expect_many, expect_stacks
from bnconform.conformance.variant import PLAIN, Ghost, Hidden, Masked, Renorm, Weighted

from .cases import CENTRED, plain

PLAN = plan_cases(PROFILES["quick"], cases=930, seed=0)
"""The quick plan: every variant, fill, mode and format."""


def _every_conventions() -> dict[Conventions, str]:
    """The different conventions that registered subjects declare, by one that does."""
    found: dict[Conventions, str] = {}
    for name, target in REGISTRY.items():
        module, _, adapter = target.partition(":")
        dialect = getattr(importlib.import_module(module), adapter).dialect
        found.setdefault(Conventions.of(dialect), name)
    return found


CONVENTIONS = _every_conventions()


def _each(expected: Expected) -> dict[tuple[int, Quantity], Expectation]:
    calls = [*enumerate(expected.steps), (-1, expected.inference or {})]
    return {(index, name): each for index, step in calls for name, each in step.items()}


def _difference(one: Expected, other: Expected) -> str | None:
    """The first thing that is not the same to the bit; NaN equals NaN."""
    left, right = _each(one), _each(other)
    if list(left) != list(right):
        return "other quantities"
    for key, a in left.items():
        b = right[key]
        pairs = {
            "hi": (a.value.hi, b.value.hi),
            "lo": (a.value.lo, b.value.lo),
            "bound": (a.bound, b.bound),
            "vacuous": (a.vacuous, b.vacuous),
            "excluded": (a.excluded, b.excluded),
        }
        for name, (x, y) in pairs.items():
            if x.shape != y.shape or x.dtype != y.dtype or not _same(x, y):
                return f"{key}: {name}"
        if (a.output, a.in_range, a.exact is None) != (b.output, b.in_range, b.exact is None):
            return f"{key}: output, range or exactness"
    return None


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    # array_equal holds 0 and -0 for the same, which no verdict tells apart.
    return np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


@pytest.fixture(scope="module")
def inputs() -> list[Inputs]:
    """Those of the plan."""
    return make_many(PLAN)


@pytest.mark.parametrize("conventions", CONVENTIONS, ids=CONVENTIONS.values())
def test_many_cases_give_the_bits_of_each(conventions: Conventions, inputs: list[Inputs]) -> None:
    """The quick plan under every dialect; one case of seven by itself, another one in each."""
    together = expect_many(PLAN, inputs, conventions)
    for index in range(list(CONVENTIONS).index(conventions) % 7, len(PLAN), 7):
        alone = expect(PLAN[index], inputs[index], conventions)
        difference = _difference(alone, together[index])
        assert difference is None, f"{PLAN[index].id}: {difference}"


def test_what_stands_beside_a_case_does_not_matter(
    inputs: list[Inputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In stacks of other sizes and in reverse order: the same bits."""
    usual = expect_many(PLAN, inputs, CENTRED)
    monkeypatch.setattr(reference, "STACKED_BYTES", 5_000)
    other = expect_many(PLAN[::-1], inputs[::-1], CENTRED)[::-1]
    for case, one, another in zip(PLAN, usual, other, strict=True):
        assert _difference(one, another) is None, case.id


def test_a_stack_is_bounded_in_bytes(inputs: list[Inputs], monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of a stack exceeds the limit only where one case alone does."""
    limit = 20_000
    monkeypatch.setattr(reference, "STACKED_BYTES", limit)
    for together in expect_stacks(PLAN, inputs, CENTRED):
        size = 8 * math.prod(together.stack.case.shape)
        assert len(together.members) == 1 or size * len(together.members) <= limit


def test_every_case_is_in_one_stack_with_others_of_its_kind(inputs: list[Inputs]) -> None:
    """None is lost and none asked twice; a stack holds one kind, most of them many cases."""
    stacks = [each.members for each in expect_stacks(PLAN, inputs, CENTRED)]
    assert sorted(index for members in stacks for index in members) == list(range(len(PLAN)))
    assert all(len({kind(PLAN[index]) for index in members}) == 1 for members in stacks)
    assert len(stacks) < len(PLAN) / 4


def _ordinary(**changes: Any) -> Case:
    return plain(**({"shape": (4, 3, 2), "steps": 2, "last_batch": 2} | changes))


ONE_STEP = {"steps": 1, "last_batch": 4}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"epsilon": 1e-3}, {"epsilon": 1e-5}, True),  # scalars are data
        ({"decay": 0.9}, {"decay": 1.0}, True),
        ({"decay": 0.9}, {"decay": None}, False),  # another equation
        ({"fill": Fill(kind=FillKind.NAN, seed=1)}, {}, True),  # values are data
        ({"fill": Fill(kind=FillKind.EXACT, seed=1)}, {}, False),  # bounds of zero
        ({"feature_axes": (2,)}, {"feature_axes": (-1,)}, True),  # the same axis
        ({"feature_axes": (1,)}, {"shape": (4, 2, 3), "feature_axes": (-1,)}, False),  # moved
        ({"feature_axes": (1,)}, {"feature_axes": (-1,)}, False),  # other counts
        ({"last_batch": 1}, {}, False),  # another shape
        ({"dtype": DType.FLOAT64}, {}, False),  # another precision
        ({"scale": False}, {}, False),
        ({"mode": Mode.FROZEN, **ONE_STEP}, {"mode": Mode.INFERENCE, **ONE_STEP}, False),
        ({"variant": Weighted()}, {}, False),
    ],
)  # fmt: skip
def test_a_kind_is_what_a_walk_depends_on(
    one: dict[str, Any],
    other: dict[str, Any],
    alike: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Cases of one kind differ in values and scalars and in where their axes stand."""
    assert (kind(_ordinary(**one)) == kind(_ordinary(**other))) == alike


MIXED = [
    _ordinary(epsilon=epsilon, decay=decay, fill=Fill(kind=fill_kind, seed=seed))
    for seed, (epsilon, decay, fill_kind) in enumerate(
        [
            (1e-3, 0.9, FillKind.NORMAL),  # an ordinary case
            (1e-5, 1.0, FillKind.NAN),  # one that is undefined, and never averages
            (1e-12, 0.0, FillKind.CONSTANT),  # one without variance that keeps nothing
            (0.1, 0.5, FillKind.HUGE),
        ]
    )
]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            {"shape": (4, 3, 3, 3), "feature_axes": (1,)},
            {"shape": (4, 3, 3, 3), "feature_axes": (3,)},
            id="any axis would do, so that nothing but the values tells",
        ),
        pytest.param(
            {"shape": (4, 3, 2, 2), "feature_axes": (1,)},
            {"shape": (4, 2, 2, 3), "feature_axes": (-1,)},
            id="the same axes in another order",
        ),
    ],
)
def test_cases_whose_features_lie_elsewhere_do_not_meet(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Each has the expectations that it has alone, whatever is asked beside it."""
    cases = [_ordinary(**one), _ordinary(**other)]
    inputs = make_many(cases)
    for case, given, found in zip(cases, inputs, expect_many(cases, inputs, CENTRED), strict=True):
        assert _difference(expect(case, given, CENTRED), found) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},  # plain
        {"variant": Ghost(size=2)},  # groups become an axis
        {"variant": Masked(hidden=Hidden.NAN)},  # other positions in every case
        {"variant": Renorm(r_min=0.75, r_max=1.5, d_max=0.5, decay=0.5)},  # clipped here and there
    ],
)
@pytest.mark.parametrize("averaging", Averaging)
def test_cases_of_a_stack_keep_their_own_scalars_and_values(
    changes: dict[str, Any], averaging: Averaging
) -> None:
    """A NaN, a decay of 1 and a variance of 0 stay with the case they belong to."""
    variant = changes.get("variant", PLAIN)
    cases = [replace(case, variant=variant) for case in MIXED]
    if isinstance(variant, Masked):
        cases = [case for case in cases if case.fill.kind is not FillKind.NAN]
    conventions = replace(CENTRED, averaging=averaging)
    given = make_many(cases)
    assert len(list(expect_stacks(cases, given, conventions))) == 1
    for case, arrays, found in zip(
        cases, given, expect_many(cases, given, conventions), strict=True
    ):
        assert _difference(expect(case, arrays, conventions), found) is None, case.fill


def test_masks_that_keep_nothing_are_walked_apart() -> None:
    """A call without any weight takes another way."""
    case = _ordinary(variant=Masked(hidden=Hidden.ORDINARY), steps=1, last_batch=4)
    some, none = make_inputs(case), make_inputs(case)
    step = none.steps[0]
    assert step.weights is not None
    none = replace(none, steps=(replace(step, weights=np.zeros_like(step.weights)),))
    found = expect_many([case, case], [some, none], CENTRED)
    assert Quantity.BATCH_MEAN in found[0].steps[0]
    assert Quantity.BATCH_MEAN not in found[1].steps[0]


def test_exact_values_are_each_cases_own() -> None:
    """The exact walk belongs to the case that asks for it, and is close to what was found."""
    cases = [case for case in MIXED if case.fill.kind is FillKind.NORMAL]
    cases.append(replace(cases[0], epsilon=1e-5, fill=Fill(kind=FillKind.NORMAL, seed=9)))
    for expected in expect_many(cases, make_many(cases), CENTRED):
        for key, each in _each(expected).items():
            assert each.exact is not None
            exact = each.exact()
            assert isinstance(exact.value, Rational)
            np.testing.assert_allclose(each.value.hi, exact.value.hi, rtol=1e-15, err_msg=str(key))
            np.testing.assert_array_equal(each.bound, exact.bound)


def test_values_out_of_range_and_not_finite_are_told_case_by_case() -> None:
    """One float64 case of huge values and one with a NaN mark no other."""
    wide = [
        _ordinary(dtype=DType.FLOAT64, fill=Fill(kind=fill_kind, seed=1))
        for fill_kind in (FillKind.NORMAL, FillKind.NAN)
    ]
    given = make_many([*wide, wide[0]])
    far = given[2].steps[0].x * 1e200
    given[2] = replace(given[2], steps=(replace(given[2].steps[0], x=far), given[2].steps[1]))
    found = [each.steps[0][Quantity.Y] for each in expect_many([*wide, wide[0]], given, CENTRED)]
    assert [each.in_range for each in found] == [True, True, False]
    assert [each.exact is None for each in found] == [False, True, False]


def test_a_stack_holds_the_cases_arrays_feature_axes_last() -> None:
    """Reduction axes, feature axes, cases; parameters without the first."""
    cases = [_ordinary(fill=Fill(kind=FillKind.NORMAL, seed=seed)) for seed in range(5)]
    given = make_many(cases)
    stack = Stack.of(cases)
    stacked = stack.inputs(given)
    assert stacked.steps[0].x.shape == (4, 2, 3, 5)
    assert stacked.parameters.running_mean.shape == (3, 5)
    for place, each in enumerate(given):
        moved = np.moveaxis(each.steps[1].x, 1, -1)
        np.testing.assert_array_equal(stacked.steps[1].x[..., place], moved)


def test_a_sum_has_the_same_bits_however_the_array_lies() -> None:
    """Transposed, strided, alone or among others; and no fewer digits than NumPy's."""
    values = np.random.default_rng(0).standard_normal((7, 5, 6))
    usual = total(values, (0, 2))
    assert usual.shape == (1, 5, 1)
    np.testing.assert_allclose(usual, values.sum(axis=(0, 2), keepdims=True), rtol=1e-13)
    others = np.stack([values, values[::-1], 3 * values], axis=-1)
    np.testing.assert_array_equal(total(others, (0, 2))[..., 0], usual)
    np.testing.assert_array_equal(total(np.asfortranarray(values), (0, 2)), usual)
    np.testing.assert_array_equal(total(values[:, :1], (0, 2)), usual[:, :1])
    np.testing.assert_array_equal(total(np.zeros((0, 3)), (0,)), np.zeros((1, 3)))


def test_the_enclosure_of_r_is_right_where_float64_would_cancel() -> None:
    """In float64 it is a few units in the last place wide: its width to twelve digits."""
    p = Precision(accumulation=FORMATS[DType.FLOAT64], algorithm=VarianceAlgorithm.TWO_PASS)
    v, epsilon, e_v = 1.37, 1e-3, 3.1e-16
    zero = np.array(0.0)
    s = Statistics(mu=zero, v=np.array(v), delta=zero, e_v=np.array(e_v))
    exact = v + epsilon
    down = e_v + 2 * p.u * epsilon
    # (exact - down)^(-1/2) - exact^(-1/2) to second order; the third is 1e-32 of it.
    fall = exact**-1.5 * down / 2 * (1 + 0.75 * down / exact)
    found = bounds.deviation(s, epsilon, p)
    assert found.e_r == pytest.approx(fall + 4 * p.u * exact**-0.5, rel=1e-12)
    assert found.e_r2 == pytest.approx(down / exact**2 + 8 * p.u / exact, rel=1e-12)


def test_streams_are_those_of_numpys_own_seeding() -> None:
    """State and increment of PCG64 for a thousand names, and its words."""
    names = [f"{seed}/step0.x" for seed in range(1000)]
    for name, state in zip(names, streams.states(names), strict=True):
        bits = np.random.PCG64(streams.seed(name))
        assert bits.state["state"] == {"state": state[0], "inc": state[1]}
        assert (streams.raw(name, 3) == bits.random_raw(3)).all()


def test_arrays_made_together_are_those_made_alone() -> None:
    """Every array of a part of the plan, bit for bit and as it lies in memory."""
    cases = PLAN[::7]
    for case, together in zip(cases, make_many(cases), strict=True):
        alone = make_inputs(case)
        for one, other in zip(
            (*alone.steps, alone.inference), (*together.steps, together.inference), strict=True
        ):
            for name, array in one.arrays.items():
                assert array.tobytes() == other.arrays[name].tobytes(), (case.id, name)
                assert array.strides == other.arrays[name].strides


def test_the_enclosure_of_r_is_its_own_size_where_the_variance_may_be_anything() -> None:
    """With an infinite E_v r lies between 0 and 1 / sqrt(epsilon)."""
    p = Precision(accumulation=FORMATS[DType.FLOAT32], algorithm=VarianceAlgorithm.TWO_PASS)
    zero = np.array(0.0)
    s = Statistics(mu=zero, v=np.array(1.0), delta=zero, e_v=np.array(np.inf))
    found = bounds.deviation(s, 1e-2, p)
    assert found.e_r == pytest.approx(10.0 - 1.01**-0.5, rel=1e-5)
    steep = bounds.deviation(replace(s, v=np.array(1e-6)), 1e6, p)
    assert steep.e_r == pytest.approx(1e-3, rel=1e-5), "all of r where v is nothing to epsilon"


def test_an_average_of_nothing_stays_what_it_was_beside_one_that_moves() -> None:
    """Debiased with a decay of 1: the initial state, not looked at; its neighbour is."""
    cases = [replace(MIXED[0], decay=decay) for decay in (1.0, 0.5)]
    given = make_many(cases)
    still, moved = expect_many(cases, given, replace(CENTRED, averaging=Averaging.ZERO_DEBIASED))
    for name in (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR):
        initial = getattr(given[0].parameters, name.value).astype(np.float64)
        np.testing.assert_array_equal(still.steps[-1][name].value.hi, initial)
        assert still.steps[-1][name].excluded.all()
        assert not moved.steps[-1][name].excluded.any()
        assert (moved.steps[-1][name].value.hi != initial).all()
