"""The case space: every corner is reached, and a plan is the same everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from bnconform.conformance.case import Case, FillKind, Layout, Mode
from bnconform.conformance.cases.case_space import MAX_ELEMENTS
from bnconform.conformance.cases.corners import CORNERS, NOT_IN_QUICK, corners_of
from bnconform.conformance.cases.coverage import cases_per_clause
from bnconform.conformance.cases.plan import PROFILES, Stream, plan_cases
from bnconform.conformance.cases.strategies import cases
from bnconform.conformance.corpus import load_corpus
from bnconform.conformance.formats import DType
from bnconform.conformance.reference import is_exact_lane

QUICK = PROFILES["quick"]
IN_QUICK = [corner for corner in CORNERS if corner not in NOT_IN_QUICK]


def test_quick_runs_leave_out_large_reductions_alone() -> None:
    """The list of corners that a quick run never looks at, by name."""
    assert sorted(NOT_IN_QUICK) == [
        "large reduction, channels_last",
        "large reduction, contiguous",
        "large reduction, strided",
    ]


@pytest.mark.parametrize("corner", [each for each in IN_QUICK if each != "a hundred steps"])
def test_the_strategy_reaches_each_named_corner(corner: str) -> None:
    """Hypothesis finds a case in the corner."""
    generous = settings(
        max_examples=20_000,
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # What it shrinks to is another test's question.
        suppress_health_check=list(HealthCheck),
    )
    case = find(cases(), CORNERS[corner], settings=generous)
    assert corner in corners_of(case)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_every_quick_plan_reaches_every_corner(seed: int) -> None:
    """Whatever the seed, a quick run looks everywhere at least three times."""
    reached = Counter(
        corner
        for case in plan_cases(QUICK, cases=QUICK.cases, seed=seed)
        for corner in corners_of(case)
    )
    assert {corner: reached[corner] for corner in IN_QUICK if reached[corner] < 3} == {}


@pytest.mark.parametrize("profile", ["nightly", "deep"])
def test_longer_profiles_reach_every_corner(profile: str) -> None:
    """Large reductions, too, and these with few cases: each costs seconds."""
    planned = plan_cases(PROFILES[profile], cases=1_500, seed=0)
    reached = Counter(corner for case in planned for corner in corners_of(case))
    assert {corner: reached[corner] for corner in CORNERS if not reached[corner]} == {}
    assert max(reached[corner] for corner in NOT_IN_QUICK) <= 4


def test_every_clause_is_exercised_by_a_quick_run() -> None:
    """A clause that no case looks at would be an empty promise."""
    assert [clause for clause, count in cases_per_clause().items() if count == 0] == []


def test_the_plan_is_the_same_on_every_machine() -> None:
    """Frozen hash of the quick plan's ids: a change here changes every published run."""
    ids = ",".join(case.id for case in plan_cases(QUICK, cases=QUICK.cases, seed=0))
    assert hashlib.sha256(ids.encode()).hexdigest()[:16] == "8651531aa4255f67"


def test_a_longer_plan_begins_with_the_shorter_one() -> None:
    """Asking for more cases keeps those already run."""
    assert plan_cases(QUICK, cases=50, seed=7) == plan_cases(QUICK, cases=90, seed=7)[:50]


def test_a_plan_holds_no_case_twice_and_few_signatures() -> None:
    """Different cases: the corpus, then over at most the profile's number of signatures."""
    planned, corpus = plan_cases(QUICK, cases=QUICK.cases, seed=0), load_corpus()
    assert planned[: len(corpus)] == corpus
    assert len({case.id for case in planned}) == QUICK.cases >= 500
    assert len({case.signature for case in planned[len(corpus) :]}) <= QUICK.signatures


def test_another_seed_gives_other_cases() -> None:
    """No case of one seed appears under another, but for the corpus."""
    first, second = (set(plan_cases(QUICK, cases=200, seed=seed)) for seed in (0, 1))
    assert first & second == set(load_corpus())


@given(cases())
def test_every_case_survives_json_and_stays_small(case: Case) -> None:
    """Round trip without loss, and no input beyond the limit."""
    assert Case.from_json(case.to_json()) == case
    assert all(_size(shape) <= MAX_ELEMENTS for shape in case.step_shapes)


@given(cases(kind=FillKind.EXACT))
def test_the_exact_lane_is_exact_wherever_it_is_drawn(case: Case) -> None:
    """An exact fill has power-of-two counts at every step, or no values at all."""
    assert case.fill.kind is not FillKind.EXACT or is_exact_lane(case) or case.smallest_count == 0


@given(cases(mode=Mode.FROZEN, dtype=DType.BFLOAT16, rank=3))
def test_what_is_asked_of_the_strategy_holds(case: Case) -> None:
    """Keyword arguments restrict; the rest is drawn."""
    assert (case.mode, case.dtype, case.rank) == (Mode.FROZEN, DType.BFLOAT16, 3)


def test_the_strategy_shrinks_to_a_plain_matrix() -> None:
    """The simplest case is ordinary in every respect."""
    case = find(cases(mode=Mode.TRAIN), lambda _: True, settings=settings(database=None))
    assert (case.rank, case.feature_axes, case.dtype) == (2, (1,), DType.FLOAT32)
    assert (case.steps, case.epsilon, case.decay) == (1, 1e-3, 0.9)
    assert (case.fill.kind, case.layout) == (FillKind.NORMAL, Layout.CONTIGUOUS)


def test_a_stream_repeats_itself_and_differs_by_name() -> None:
    """Decisions depend on the stream's name alone."""

    def draw(name: str) -> list[int]:
        stream = Stream(name)
        return [stream.integer(0, 1000) for _ in range(20)]

    assert draw("a") == draw("a") != draw("b")


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
