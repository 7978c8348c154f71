"""Shrinking: every planted defect ends in the case that a person would write down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.formats import DType
from bnconform.conformance.search.distinct import distinct
from bnconform.conformance.search.examining import Examiner
from bnconform.conformance.search.searching import Collection
from bnconform.conformance.search.shrinking import CALLS, Shrunk, shrink
from bnconform.conformance.search.simplicity import SIMPLIFICATIONS, complexity, simpler
from bnconform.conformance.variant import PLAIN, Renorm, VariantKind

from . import planted
from .planted import examiner_of

COMPLICATED = Case(
    shape=(8, 5, 3, 2),
    last_batch=3,
    feature_axes=(-3,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CHANNELS_LAST,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=4,
    epsilon=1e-7,
    decay=0.99,
    fill=Fill(kind=FillKind.MIXED, seed=987654321),
)
PLAINEST: dict[str, Any] = {
    "shape": (1, 1),
    "last_batch": 1,
    "feature_axes": (1,),
    "dtype": DType.FLOAT32,
    "layout": Layout.CONTIGUOUS,
    "upstream_layout": Layout.CONTIGUOUS,
    "center": False,
    "scale": False,
    "mode": Mode.INFERENCE,
    "steps": 1,
    "epsilon": 1e-3,
    "decay": 0.5,
    "variant": PLAIN,
    "half_parameters": False,
}
RENORM = Renorm(r_min=0.5, r_max=2.0, d_max=1.0, decay=0.9)


def _shrunk(adapter: type[NumpyReference], case: Case, quantity: str, calls: int = CALLS) -> Shrunk:
    examine = examiner_of(adapter)
    signature = next(s for s in examine(case).signatures if s.quantity == quantity)
    return shrink(examine, signature, case, calls=calls)


@pytest.mark.parametrize(
    ("adapter", "quantity", "start", "kept"),
    [
        pytest.param(
            planted.SmallEpsilon, "y", {}, {"epsilon": 1e-7}, id="epsilon is kept, no more"
        ),
        pytest.param(
            planted.MixedLayouts,
            "dx",
            {},
            {"mode": Mode.TRAIN, "upstream_layout": Layout.CHANNELS_LAST},
            id="one of two layouts is kept",
        ),
        pytest.param(
            planted.ThirdStep,
            "running_var",
            {},
            {"mode": Mode.TRAIN, "steps": 3},
            id="three steps are the fewest",
        ),
        pytest.param(
            planted.WideFloat64,
            "dgamma",
            {"dtype": DType.FLOAT64},
            {"dtype": DType.FLOAT64, "shape": (1, 4), "scale": True},
            id="a size that is no smallest one, and a format",
        ),
        pytest.param(
            planted.Renormed,
            "y",
            {"variant": RENORM},
            {"mode": Mode.TRAIN, "variant": replace(RENORM, r_min=None, r_max=None, d_max=None,
                                                    decay=0.5)},
            id="a variant, its clipping given up",
        ),
    ],
)  # fmt: skip
def test_a_planted_defect_shrinks_to_what_it_needs(
    adapter: type[NumpyReference], quantity: str, start: dict[str, Any], kept: dict[str, Any]
) -> None:
    """Everything that the defect does not need is gone; what it needs is there."""
    shrunk = _shrunk(adapter, replace(COMPLICATED, **start), quantity)
    want = {**PLAINEST, **kept}
    want["last_batch"] = want["shape"][0]
    assert {name: getattr(shrunk.case, name) for name in want} == want
    assert shrunk.case.fill == Fill(kind=FillKind.EXACT, seed=0) or (
        shrunk.case.variant.kind is VariantKind.RENORM
        and shrunk.case.fill == Fill(kind=FillKind.NORMAL, seed=0)
    )


@pytest.mark.parametrize(
    "adapter",
    [
        pytest.param(planted.SmallEpsilon, id="forward"),
        pytest.param(planted.MixedLayouts, id="gradient"),
        pytest.param(planted.ThirdStep, id="state"),
    ],
)
def test_a_shrunk_case_still_shows_the_divergence(adapter: type[NumpyReference]) -> None:
    """Asked afresh, the shrunk case gives the record that the result carries."""
    examine = examiner_of(adapter)
    for signature in [each for each in examine(COMPLICATED).signatures if each.leading]:
        shrunk = shrink(examine, signature, COMPLICATED)
        again = examiner_of(adapter)(shrunk.case).signatures
        assert again[shrunk.shows] == shrunk.record
        assert complexity(shrunk.case) < complexity(COMPLICATED)


def test_shrinking_is_deterministic() -> None:
    """Twice the same result, in the same number of calls."""
    first, second = (_shrunk(planted.MixedLayouts, COMPLICATED, "dx") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("calls", [0, 1, 7, 30])
def test_shrinking_keeps_to_its_calls(calls: int) -> None:
    """Never more questions than allowed; what was reached by then is returned."""
    examine = examiner_of(planted.ThirdStep)
    signature = next(iter(examine(COMPLICATED).signatures))
    before = examine.calls
    shrunk = shrink(examine, signature, COMPLICATED, calls=calls)
    assert examine.calls - before == shrunk.calls <= calls
    assert shrunk.record is not None


def test_what_does_not_show_again_is_returned_as_it_was() -> None:
    """A divergence that comes and goes has no smallest case, and is said to have none."""
    planted.Moody.asked = 0
    case = replace(COMPLICATED, steps=1, last_batch=8)
    signature = next(iter(examiner_of(planted.Moody)(case).signatures))
    shrunk = shrink(examiner_of(planted.Moody), signature, case)
    assert (shrunk.case, shrunk.record) == (case, None)


def test_one_defect_does_not_slip_into_another_while_shrinking() -> None:
    """Two causes that spoil y keep apart, though each case of one lies near the other's."""
    examine = examiner_of(planted.Three)
    ends = {}
    for dtype in (DType.FLOAT32, DType.FLOAT64):
        epsilon = 1e-7 if dtype is DType.FLOAT32 else 0.1
        case = replace(COMPLICATED, dtype=dtype, epsilon=epsilon)
        signature = next(s for s in examine(case).signatures if s.quantity == "y")
        ends[dtype] = shrink(examine, signature, case).case
    assert ends[DType.FLOAT32].epsilon == 1e-7
    assert (ends[DType.FLOAT64].dtype, ends[DType.FLOAT64].rank) == (DType.FLOAT64, 4)
    assert ends[DType.FLOAT64].epsilon == 1e-3


def test_shrinking_never_goes_on_with_another_quantity() -> None:
    """In float32 something else is wrong: the case about y stays in float64."""
    case = replace(COMPLICATED, dtype=DType.FLOAT64)
    shrunk = _shrunk(planted.TwoQuantities, case, "y")
    assert (shrunk.case.dtype, shrunk.shows.quantity) == (DType.FLOAT64, "y")
    assert shrunk.case.shape == (2, 1)


def test_a_cause_of_single_values_does_not_hide_another() -> None:
    """Though one value per channel is the simplest case there is, five channels need their own."""
    examine = examiner_of(planted.SingleOrWide)
    seen = Collection()
    for shape in ((1, 2), (6, 5)):
        case = replace(COMPLICATED, shape=shape, last_batch=shape[0], feature_axes=(1,), steps=1)
        seen.add(examine(case))
    leading = [sighting for sighting in seen.leading if sighting.signature.clause == "BN-STATE-2"]
    assert [len(sighting.cases) for sighting in leading] == [2]
    assert {each.shrunk.case.shape for each in distinct(examine, leading)} == {(1, 1), (2, 4)}


def test_equal_ends_are_one_even_where_neither_was_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two signatures shrunk by themselves that end in one case are one divergence."""
    monkeypatch.setattr(
        "bnconform.conformance.search.distinct.accounts_for", lambda *_, **__: False
    )
    examine = examiner_of(planted.SmallEpsilon)
    seen = Collection()
    for dtype in (DType.FLOAT32, DType.FLOAT64):
        seen.add(examine(replace(COMPLICATED, dtype=dtype)))
    leading = [sighting for sighting in seen.leading if sighting.signature.quantity == "y"]
    assert [len(each.seen_as) for each in distinct(examine, leading)] == [2]


def test_signatures_that_shrink_to_one_are_put_together() -> None:
    """One defect seen in three formats is one divergence, seen in three ways."""
    examine = examiner_of(planted.SmallEpsilon)
    seen = Collection()
    for dtype in (DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16):
        seen.add(examine(replace(COMPLICATED, dtype=dtype)))
    leading = [sighting for sighting in seen.leading if sighting.signature.quantity == "y"]
    found = distinct(examine, leading)
    assert [(each.shrunk.case.dtype, len(each.seen_as), each.times) for each in found] == [
        (DType.FLOAT32, 3, 3)
    ]


def test_every_simplification_only_ever_simplifies() -> None:
    """From any case on the way, what a simplification offers is strictly simpler."""
    case: Case | None = replace(COMPLICATED, variant=RENORM, dtype=DType.BFLOAT16)
    walked = 0
    while case is not None:
        offered = [each for move in SIMPLIFICATIONS for each in simpler(move, case)]
        assert all(complexity(each) < complexity(case) for each in offered)
        case = max(offered, key=complexity, default=None)
        walked += 1
    assert walked > 20


def test_nothing_is_simpler_than_the_plainest_case() -> None:
    """Shrinking ends somewhere."""
    plainest = Case(**PLAINEST, fill=Fill(kind=FillKind.EXACT, seed=0))
    assert [each for move in SIMPLIFICATIONS for each in simpler(move, plainest)] == []


def test_remembered_answers_cost_no_call() -> None:
    """Asking about the same case twice asks the subject once."""
    examine: Examiner = examiner_of(planted.Sound)
    assert examine(COMPLICATED) is examine(COMPLICATED)
    assert examine.calls == 1
