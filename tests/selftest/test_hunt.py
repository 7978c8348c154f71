"""The hunt: defects are found, the right ones are not, and the sums say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from bnconform.adapters.miniatures import CONTROLS, DEFECTS
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Case
from bnconform.conformance.cases.corners import corners_of
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Adapter
from bnconform.conformance.engine.answering import repeats
from bnconform.conformance.explanation.explanation import Explanation, Witness
from bnconform.conformance.explanation.names import Kind, Stage, Why
from bnconform.conformance.selftest import hunt as hunting
from bnconform.conformance.selftest.hunt import Hunted, hunt
from bnconform.conformance.selftest.order import diverse_first, traits
from bnconform.conformance.selftest.planted import Form, Planted
from bnconform.conformance.selftest.runner import Tally, planned, selftest

QUICK = PROFILES["quick"]


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    """The cases of the self-test, in its order."""
    return planned(list(CONTROLS.values()), seed=0)


def nothing(adapter: type[Adapter], witnesses: Sequence[Witness]) -> tuple[Explanation, ...]:
    """An attribution that names nothing."""
    del adapter, witnesses
    return ()


def explained(name: str, kind: Kind = Kind.CONVENTION, **where: object) -> Explanation:
    """An explanation of that name."""
    return Explanation(
        subject="s", kind=kind, name=name, sentence="", where=where, clauses=(), quantities=(),
        affected=(),
    )  # fmt: skip


@pytest.mark.parametrize("control", [pytest.param(p, id=n) for n, p in CONTROLS.items()])
def test_a_right_one_stays_clean(control: Planted, cases: tuple[Case, ...]) -> None:
    """Forty cases of all corners; the command asks them all."""
    hunted = hunt(control, cases[:40], nothing)
    assert not hunted.found, hunted.first
    assert hunted.passed
    assert hunted.cases == 40


@pytest.mark.parametrize(
    ("name", "within"),
    [
        pytest.param("epsilon_doubled", 10, id="a term: shows in ordinary values"),
        pytest.param("stale_in_inference", 10, id="state: shows after training alone"),
        pytest.param("bessel_at_one", 20, id="state: shows for one value, under other conventions"),
        pytest.param("sums_in_half", 30, id="precision: shows in half precision"),
        pytest.param("channels_last_misread", 20, id="layout: shows in images"),
        pytest.param("count_kept", 20, id="sizes: shows in a smaller last batch"),
        pytest.param("without_mean_term", 10, id="gradients: the forward pass is right"),
        pytest.param("writes_into_state", 10, id="contract: every value is right"),
        pytest.param("dies_of_empty_batch", 80, id="contract: the process ends"),
        pytest.param("gradient_now_and_then", 20, id="nondeterminism: most answers are right"),
    ],
)
def test_a_defect_is_found_early(name: str, within: int, cases: tuple[Case, ...]) -> None:
    """In the first cases of the order, by case number and with the clause that tells."""
    hunted = hunt(DEFECTS[f"miniature.{name}"], cases[:within], nothing)
    assert hunted.found
    assert hunted.passed
    assert hunted.case_number is not None
    assert 1 <= hunted.case_number <= within
    assert hunted.first.startswith("BN-")
    assert hunted.seconds is not None
    assert 0 < hunted.seconds <= hunted.total_seconds


def test_a_right_one_posing_as_planted_is_not_found(cases: tuple[Case, ...]) -> None:
    """What does not exist is not found, and that fails."""
    posing = replace(CONTROLS[Right.name], causes=(Why.EPSILON_DOUBLED,))
    hunted = hunt(posing, cases[:20], nothing)
    assert not hunted.found
    assert not hunted.passed
    assert not hunted.cause_right
    assert hunted.case_number is hunted.seconds is None


def test_a_defect_posing_as_right_is_found(
    cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control that is not clean fails, and is asked every case even once it is explained."""
    monkeypatch.setattr(hunting, "CHECKPOINTS", (5,))
    posing = replace(DEFECTS["miniature.epsilon_doubled"], causes=())
    hunted = hunt(posing, cases[:20], lambda _adapter, _witnesses: (SWAPPED,))
    assert hunted.found
    assert not hunted.passed
    assert hunted.cases == 20


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        pytest.param(Kind.CONVENTION, 5, id="explained at the first checkpoint"),
        pytest.param(Kind.UNEXPLAINED, 15, id="never explained: all cases are asked"),
    ],
)
def test_a_hunt_ends_once_everything_is_explained(
    kind: Kind, asked: int, cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Causes are asked for at checkpoints and at the end, of all witnesses so far."""
    monkeypatch.setattr(hunting, "CHECKPOINTS", (5, 10))
    seen: list[int] = []

    def attribute(adapter: type[Adapter], witnesses: Sequence[Witness]) -> tuple[Explanation, ...]:
        assert adapter.name == "miniature.epsilon_doubled"
        seen.append(len(witnesses))
        return (explained("any", kind),)

    hunted = hunt(DEFECTS["miniature.epsilon_doubled"], cases[:15], attribute)
    assert hunted.cases == asked
    assert seen == [count for count in (5, 10, 15) if count <= asked]
    assert hunted.named == ("any",)


def test_nothing_is_explained_where_nothing_is_found(cases: tuple[Case, ...]) -> None:
    """A clean miniature is not attributed to anything."""
    asked: list[str] = []

    def attribute(adapter: type[Adapter], witnesses: Sequence[Witness]) -> tuple[Explanation, ...]:
        asked.append(f"{adapter.name}, {len(witnesses)} cases")
        return ()

    assert hunt(CONTROLS[Right.name], cases[:5], attribute).explanations == ()
    assert not asked


def test_some_cases_are_run_twice(cases: tuple[Case, ...]) -> None:
    """About one in eight, and always the same ones."""
    twice = [case for case in cases if repeats(case)]
    assert len(cases) / 16 < len(twice) < len(cases) / 4
    assert twice == [case for case in cases if repeats(Case.from_json(case.to_json()))]


def hunted_with(
    *explanations: Explanation,
    planted: tuple[str, ...] = (Why.DECAY_SWAPPED,),
    where: tuple[str, ...] = (),
    found: bool = True,
) -> Hunted:
    """A result without a hunt."""
    return Hunted(
        name="miniature.x", planted=planted, where=where, sentence="", source="", found=found,
        first="", case_number=1 if found else None, seconds=1.0 if found else None, cases=9,
        total_seconds=2.0, explanations=explanations,
    )  # fmt: skip


SWAPPED, DX = explained(Why.DECAY_SWAPPED), explained(Stage.DX, Kind.STAGE)
REST = explained(Kind.UNEXPLAINED, Kind.UNEXPLAINED)
CHANGES = (Form.NOT_REPEATABLE, Stage.DX)


@pytest.mark.parametrize(
    ("hunted", "right", "alone"),
    [
        pytest.param(hunted_with(SWAPPED), True, True, id="the planted cause"),
        pytest.param(hunted_with(SWAPPED, DX), True, False, id="first, and another beside it"),
        pytest.param(hunted_with(DX, SWAPPED), False, False, id="another explains more"),
        pytest.param(hunted_with(DX), False, False, id="another alone"),
        pytest.param(hunted_with(SWAPPED, REST), False, False, id="something is left over"),
        pytest.param(hunted_with(), False, False, id="nothing is named"),
        pytest.param(hunted_with(SWAPPED, planted=()), False, False, id="nothing was planted"),
        pytest.param(hunted_with(DX, planted=CHANGES), False, False, id="a consequence alone"),
        pytest.param(
            hunted_with(DX, explained(Form.NOT_REPEATABLE, Kind.FORM), planted=CHANGES),
            True,
            True,
            id="a consequence that shows more often, and its cause",
        ),
    ],
)
def test_when_a_cause_is_right(hunted: Hunted, right: bool, alone: bool) -> None:  # noqa: FBT001 -- a column of the table
    """The planted cause explains most and nothing is left over; alone: nothing else is named."""
    assert hunted.cause_right is right
    assert hunted.cause_alone is alone


@pytest.mark.parametrize(
    ("hunted", "told"),
    [
        pytest.param(hunted_with(SWAPPED), True, id="shows everywhere"),
        pytest.param(
            hunted_with(explained(Why.DECAY_SWAPPED, rank=4), where=("rank", "layout")),
            True,
            id="one of the facts",
        ),
        pytest.param(
            hunted_with(explained(Why.DECAY_SWAPPED, steps=1), where=("rank",)),
            False,
            id="another fact",
        ),
        pytest.param(
            hunted_with(SWAPPED, explained(Stage.DX, rank=4), where=("rank",)),
            False,
            id="a fact of another cause",
        ),
    ],
)
def test_when_it_is_told_where_a_defect_shows(hunted: Hunted, told: bool) -> None:  # noqa: FBT001 -- a column of the table
    """The explanation of the planted cause is limited by a fact that the defect depends on."""
    assert hunted.told_where is told


@pytest.mark.parametrize(
    ("results", "passed"),
    [
        pytest.param([hunted_with(SWAPPED)] * 9 + [hunted_with(DX)], True, id="nine of ten"),
        pytest.param([hunted_with(SWAPPED)] * 8 + [hunted_with(DX)], False, id="eight of nine"),
        pytest.param(
            [hunted_with(SWAPPED)] * 99 + [hunted_with(found=False)], False, id="one is not found"
        ),
        pytest.param(
            [hunted_with(SWAPPED), hunted_with(planted=(), found=False)], True, id="a clean control"
        ),
        pytest.param(
            [hunted_with(SWAPPED), hunted_with(planted=())], False, id="a control that is not clean"
        ),
        pytest.param([], False, id="nothing was looked for"),
    ],
)
def test_when_the_self_test_passes(results: list[Hunted], passed: bool) -> None:  # noqa: FBT001 -- a column of the table
    """Every defect is found, every control is clean, nine causes of ten are right."""
    assert Tally(hunted=tuple(results)).passed is passed


def test_the_sums_leave_the_controls_out() -> None:
    """A control is no defect that was missed, and has no time to its discovery."""
    slow = replace(hunted_with(DX), seconds=3.0)
    clean, dirty = hunted_with(planted=(), found=False), replace(slow, planted=(), seconds=9.0)
    tally = Tally(hunted=(hunted_with(SWAPPED), slow, clean, dirty))
    assert (tally.found, tally.clean, tally.causes_right, tally.causes_alone) == (2, 1, 1, 1)
    assert tally.median_seconds == 2.0
    assert Tally(hunted=()).median_seconds is None


def test_an_attribution_that_fails_ends_the_self_test() -> None:
    """It is the suite that is at fault then, and no miniature: the error is not swallowed."""
    done: list[Hunted] = []
    with pytest.raises(TypeError, match="len\\(\\) takes exactly one argument"):
        selftest(
            [DEFECTS["miniature.epsilon_doubled"]],
            seed=0,
            workers=1,
            done=done.append,
            attribute=len,  # type: ignore[arg-type]  # it can be sent to another process, and fails
        )
    assert not done


def test_diverse_cases_come_first(cases: tuple[Case, ...]) -> None:
    """The same cases in another order, whose first ten lie in more corners than the plan's."""
    plan = [
        case
        for case in plan_cases(QUICK, cases=QUICK.cases, seed=0)
        if Right.capabilities.unsupported(case) is None
    ]
    assert sorted(case.id for case in cases) == sorted(case.id for case in plan)

    def corners(some: Sequence[Case]) -> int:
        return len({corner for case in some for corner in corners_of(case)})

    assert corners(cases[:10]) > corners(plan[:10])


def test_the_next_case_adds_most(cases: tuple[Case, ...]) -> None:
    """No other case that is left has more pairs of traits that none before it had."""
    pairs = {case.id: frozenset(combinations(sorted(traits(case)), 2)) for case in cases}
    seen: set[tuple[str, str]] = set()
    for place, case in enumerate(cases[:12]):
        adds = {other.id: len(pairs[other.id] - seen) for other in cases[place:]}
        assert adds[case.id] == max(adds.values())
        seen |= pairs[case.id]
    assert diverse_first(cases[:1]) == cases[:1]
