"""Search: nothing stops it, everything is collected, and it keeps to its budget."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import hypothesis
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.cases.case_space import draw_case
from bnconform.conformance.cases.plan import Stream
from bnconform.conformance.contract import Outcome
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.units import describe_subject
from bnconform.conformance.formats import DType
from bnconform.conformance.search.distinct import distinct
from bnconform.conformance.search.examining import examiner
from bnconform.conformance.search.searching import (
    Budget,
    Collection,
    search,
    static_signatures,
)
from bnconform.conformance.search.simplicity import complexity

from . import planted
from .planted import examiner_of

FILE = Path(__file__).parent / "planted.py"


def _search(adapter: type[NumpyReference], calls: int = 150, seed: int = 0) -> Collection:
    examine = examiner_of(adapter)
    return search(examine, static_signatures(examine, 0), Budget(calls=calls), seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_three_planted_causes_are_all_found(seed: int) -> None:
    """Small epsilon, float64 images and the third step, though the first two both spoil y."""
    examine = examiner_of(planted.Three)
    found = search(examine, static_signatures(examine, 0), Budget(calls=150), seed=seed)
    ends = {
        (each.shrunk.shows.quantity, each.shrunk.case.epsilon < 1e-6, each.shrunk.case.dtype)
        for each in distinct(examine, found.leading, calls=80)
    }
    assert ends >= {
        ("y", True, DType.FLOAT32),
        ("y", False, DType.FLOAT64),
        ("running_var", False, DType.FLOAT32),
    }


def test_a_right_adapter_shows_nothing() -> None:
    """No signature, and every ratio that was seen is below 1."""
    found = _search(planted.Sound)
    assert found.sightings == {}
    assert 0.01 < max(found.ratios.values()) < 1


def test_the_number_of_calls_is_kept() -> None:
    """Neither more nor fewer: the divergences on the way do not end the search."""
    examine = examiner_of(planted.Everything)
    search(examine, static_signatures(examine, 0), Budget(calls=70))
    assert examine.calls == 70


def test_the_seconds_are_kept() -> None:
    """A search without end in calls ends in time."""
    examine = examiner_of(planted.Sound)
    began = time.monotonic()
    search(examine, static_signatures(examine, 0), Budget(calls=10**6, seconds=0.5))
    assert time.monotonic() - began < 10
    assert examine.calls >= 1


def test_a_search_draws_from_few_static_signatures() -> None:
    """A compiling subject pays for each, so a search over five asks for no sixth."""
    examine = examiner_of(planted.Everything)
    few = static_signatures(examine, 0, number=5)
    asked: set[str] = set()
    ask = examine.ask

    def watched(case: Case, *, repeat: bool) -> Outcome:
        asked.add(case.signature)
        return ask(case, repeat=repeat)

    examine.ask = watched
    search(examine, few, Budget(calls=120))
    assert len(few) == 5
    assert 2 <= len(asked) <= 5


def test_only_what_the_subject_offers_is_drawn() -> None:
    """A limited subject's calls are not spent on what is out of its reach."""
    adapter = load_class(Target.parse("bnconform.adapters.tf_fused:TfFused"))
    examine = examiner_of(planted.Sound)
    examine.adapter = adapter
    drawn = static_signatures(examine, 0, number=30)
    assert len(drawn) == 30
    assert {len(signature.shape) for signature in drawn} <= set(adapter.capabilities.ranks)


def test_the_same_seed_finds_the_same() -> None:
    """On one version of Hypothesis a search can be repeated; another seed looks elsewhere."""
    first, again, other = (_search(planted.Three, 60, seed) for seed in (4, 4, 5))
    assert first == again
    assert first.ratios != other.ratios


def test_the_score_is_the_logarithm_of_the_worst_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """One score for each quantity and format of a case, as Hypothesis is told to climb it."""
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(hypothesis, "target", lambda score, *, label: told.append((label, score)))
    examine = examiner_of(planted.Everything)
    found = search(examine, static_signatures(examine, 0), Budget(calls=40), drawn=0.0)
    best = {label: max(s for name, s in told if name == label) for label, _ in told}
    assert {"y float32", "dx float32"} <= set(best)
    for label, score in best.items():
        assert score == pytest.approx(math.log(min(max(found.ratios[label], 1e-30), 1e30)))


def test_without_targets_hypothesis_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the benchmark compares with."""
    monkeypatch.setattr(hypothesis, "target", lambda *_, **__: pytest.fail("was told a score"))
    examine = examiner_of(planted.Everything)
    search(examine, static_signatures(examine, 0), Budget(calls=20), drawn=0.0, targeted=False)


@pytest.mark.parametrize("drawn", [0.0, 0.5, 1.0])
def test_drawn_and_climbed_cases_share_the_calls(drawn: float) -> None:
    """Whatever the share, the number of calls is the same."""
    examine = examiner_of(planted.Sound)
    climbed: list[Case] = []
    offers = examine.offers
    few = static_signatures(examine, 0, number=20)

    def watched(case: Case) -> bool:
        climbed.append(case)
        return offers(case)

    examine.offers = watched  # type: ignore[method-assign]  # to see what is generated
    search(examine, few, Budget(calls=20), drawn=drawn)
    ours = {draw_case(stream, stream.pick(few)) for stream in map(_stream, range(20))}
    assert examine.calls == 20
    assert len(ours & set(climbed)) >= round(20 * drawn)
    # One more is generated before the budget is seen to be spent.
    assert (len(set(climbed) - ours) <= 1) == (drawn == 1.0)


def _stream(index: int) -> Stream:
    return Stream(f"search/0/{index}")


def test_a_sighting_keeps_every_case_and_the_worst_ratio() -> None:
    """Shrinking begins from the simplest; a second cause may lie in the others."""
    found = _search(planted.Everything, 80)
    sighting = max(found.leading, key=lambda each: len(each.shown))
    assert len(sighting.cases) == len(sighting.shown) > 1
    assert complexity(sighting.cases[0]) <= complexity(sighting.cases[-1])
    ratios = [record.error_ratio for record in sighting.shown.values()]
    assert sighting.worst_ratio == max(ratios) > min(ratios) > 1
    assert all(record.case_id == case.id for case, record in sighting.shown.items())


def test_a_subject_that_dies_is_searched_and_shrunk_all_the_same() -> None:
    """In its own process a crash is one more divergence, with a smallest case."""
    target = Target(module=str(FILE), attribute="Dies")
    subject = describe_subject(target, load_class(target))
    with examiner(subject, (), 60.0) as examine:
        wide = [each for each in static_signatures(examine, 0) if each.dtype is DType.FLOAT64]
        found = search(examine, wide[:1], Budget(calls=2))
        (crash,) = itertools.islice(distinct(examine, found.leading, calls=12), 1)
    assert crash.shrunk.shows.cause == "crash, exit code 3"
    assert (crash.shrunk.case.dtype, crash.shrunk.case.shape[0]) == (DType.FLOAT64, 2)
