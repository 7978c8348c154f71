"""A run says why its subjects diverge, in files that outlive an interruption."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Case
from bnconform.conformance.cases.fills import Inputs, make_many
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Hung, Outcome
from bnconform.conformance.engine import answering, judging
from bnconform.conformance.engine.bundles import bundle_id
from bnconform.conformance.engine.campaign import Request, describe_subject, run_campaign
from bnconform.conformance.engine.explaining import EXPLANATIONS, explain_subject, explained_rows
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.engine.units import Quiet
from bnconform.conformance.explanation.explanation import Explanation
from bnconform.conformance.explanation.names import Kind, Why
from bnconform.conformance.record import UNEXPECTED

PLANTED = Path(__file__).parents[1] / "explanation" / "planted.py"
TODAY = datetime.date(2026, 11, 21)


def run(out: Path, attribute: str, *, resume: bool = False) -> list[dict[str, Any]]:
    """The explanations of a short run of a planted layer."""
    target = Target(module=str(PLANTED), attribute=attribute)
    subject = describe_subject(target, load_class(target))
    request = Request(
        profile=PROFILES["quick"], cases=60, seed=0, shard=(1, 1), workers=1, out=out,
        resume=resume,
    )  # fmt: skip
    run_campaign(request, [subject], (), Quiet(), TODAY)
    found: list[dict[str, Any]] = json.loads((out / EXPLANATIONS).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a layer whose decay weighs the new value."""
    out = tmp_path_factory.mktemp("swapped") / "run"
    run(out, "Swapped")
    return out


def test_a_run_names_the_cause_and_all_that_it_accounts_for(swapped: Path) -> None:
    """Every unexpected row of a case, and the bundle that shows it."""
    found = json.loads((swapped / EXPLANATIONS).read_text(encoding="utf-8"))
    rows = pd.read_parquet(swapped / "records")
    bad = rows[rows["verdict"].isin([kind.value for kind in UNEXPECTED])]
    first = found[0]
    assert (first["kind"], first["name"]) == (Kind.CONVENTION, Why.DECAY_SWAPPED)
    assert first["rows"] >= 0.9 * (bad["quantity"] != "call").sum()
    assert sum(each["rows"] for each in found) == len(bad)
    assert first["divergences"]
    assert all((swapped / "divergences" / name).is_dir() for name in first["divergences"])


def test_a_resumed_run_explains_what_it_had_not_explained(swapped: Path) -> None:
    """With the same words, although no case is left to ask."""
    before = (swapped / EXPLANATIONS).read_bytes()
    (swapped / EXPLANATIONS).unlink()
    next((swapped / "explanations").iterdir()).unlink()
    run(swapped, "Swapped", resume=True)
    assert (swapped / EXPLANATIONS).read_bytes() == before


def test_a_clean_run_has_nothing_to_explain(tmp_path: Path) -> None:
    """The file is there and empty: it was looked, and nothing found."""
    out = tmp_path / "run"
    target = Target.parse("bnconform.adapters.miniatures.right:Right")
    subject = describe_subject(target, Right)
    request = Request(
        profile=PROFILES["quick"], cases=40, seed=0, shard=(1, 1), workers=1, out=out, resume=False
    )
    run_campaign(request, [subject], (), Quiet(), TODAY)
    assert json.loads((out / EXPLANATIONS).read_text(encoding="utf-8")) == []


def test_a_row_that_was_not_asked_again_goes_where_it_fits() -> None:
    """By clause, quantity and the facts of its case; a sampled one where it was found."""
    cases = {case.id: case for case in plan_cases(PROFILES["quick"], cases=60, seed=0)}
    wide = next(case for case in cases.values() if case.dtype == "float64")
    other = next(case for case in cases.values() if case.dtype == "float32")

    def explanation(name: str, where: dict[str, Any], *affected: tuple[str, str]) -> Explanation:
        return Explanation(
            subject="s", kind=Kind.CONVENTION, name=name, sentence="", where=where,
            clauses=("BN-TRAIN-1",), quantities=("y",), affected=affected,
        )  # fmt: skip

    def row(case_id: str) -> dict[str, str]:
        return {
            "subject": "s", "clause": "BN-TRAIN-1", "quantity": "y", "verdict": "diverges",
            "cause": "beyond bound", "known": "", "case_id": case_id,
        }  # fmt: skip

    everywhere = explanation("everywhere", {}, (other.id, "y"))
    in_float64 = explanation("in float64", {"dtype": "float64"}, *[(f"{i}", "y") for i in range(9)])
    rows = pd.DataFrame([row(wide.id), row(other.id)])
    found = explained_rows([everywhere, in_float64], rows, cases)
    assert [(each["name"], each["affected"]) for each in found] == [
        ("everywhere", [(other.id, "y")]),
        ("in float64", [(wide.id, "y")]),
    ]
    name = bundle_id(("s", "BN-TRAIN-1", "y", "diverges", "beyond bound", ""))
    assert {tuple(each["divergences"]) for each in found} == {(name,)}


class Nobody:
    """In place of a process: notes what it is asked."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.asked: list[str] = []

    def ask(self, questions: Iterable[Question], limit: float) -> Iterator[tuple[Case, Outcome]]:
        """No answers."""
        del limit
        self.asked += [question.case.id for question in questions]
        return iter(())


def test_what_hung_is_not_asked_again() -> None:
    """It would take all its time once more, and is explained by having taken it."""
    plain = [case for case in plan_cases(PROFILES["quick"], cases=300, seed=0) if case.steps == 1]
    cases = {case.id: case for case in plain[:2]}
    hung, wrong = cases
    row = {"subject": Right.name, "clause": "BN-CALL-1", "quantity": "call", "known": ""}
    rows = pd.DataFrame(
        [
            row | {"verdict": "hung", "cause": "hang", "case_id": hung, "message": ""},
            row | {"verdict": "crashed", "cause": "crash", "case_id": wrong, "message": ""},
        ]
    )
    nobody = Nobody()
    found = explain_subject(Right, rows, cases, cast("SubjectProcess", nobody), 5.0)
    assert nobody.asked == [wrong]
    assert [(each.kind, each.affected) for each in found] == [(Kind.FORM, ((hung, "call"),))]


class Hanging(Nobody):
    """Every question takes all its time."""

    def ask(self, questions: Iterable[Question], limit: float) -> Iterator[tuple[Case, Outcome]]:
        """Hung, each of them."""
        for question in questions:
            yield question.case, Hung(limit=limit, output="")


@pytest.mark.parametrize(
    ("elements", "batches"),
    [
        pytest.param(2**20, [5], id="small ones together"),
        pytest.param(1, [1] * 5, id="as many at a time as memory has room for"),
    ],
)
def test_what_was_asked_again_is_judged_in_batches(
    monkeypatch: pytest.MonkeyPatch, elements: int, batches: list[int]
) -> None:
    """And in which makes no difference to what is found."""
    sizes: list[int] = []

    def watched(cases: Sequence[Case]) -> list[Inputs]:
        sizes.append(len(cases))
        return make_many(cases)

    monkeypatch.setattr(judging, "make_many", watched)
    monkeypatch.setattr(answering, "BATCH_ELEMENTS", elements)
    planned = plan_cases(PROFILES["quick"], cases=300, seed=0)
    cases = {case.id: case for case in planned if math.prod(case.shape)}
    cases = dict(list(cases.items())[:5])
    row = {
        "subject": Right.name, "clause": "BN-CALL-1", "quantity": "call", "known": "",
        "verdict": "crashed", "cause": "crash", "message": "",
    }  # fmt: skip
    rows = pd.DataFrame([row | {"case_id": name} for name in cases])
    (found,) = explain_subject(Right, rows, cases, cast("SubjectProcess", Hanging()), 5.0)
    assert sizes == batches
    assert {name for name, _ in found.affected} == set(cases)
