"""The registry of clauses, and which clause a judged quantity is evidence for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bnconform.conformance import spec, spec_second
from bnconform.conformance.case import FillKind, Mode
from bnconform.conformance.clauses import (
    BY_ID,
    CLAUSES,
    Clause,
    Level,
    UnknownClauseError,
    clause,
)
from bnconform.conformance.contract import GRADIENTS, RUNNING_STATISTICS, Quantity
from bnconform.conformance.document import equation
from bnconform.conformance.judging.evidence import clause_for

from .cases import fill, plain

EXACT = {"fill": fill(FillKind.EXACT), "decay": 0.5}
EVERY_CLAUSE = pytest.mark.parametrize("entry", CLAUSES, ids=lambda entry: entry.id)


def test_clause_ids_are_unique_and_numbered_from_one_without_gaps() -> None:
    """BN-<SECTION>-<NUMBER>, in order."""
    numbers: dict[str, list[int]] = {}
    for entry in CLAUSES:
        match = re.fullmatch(r"BN-([A-Z]+)-(\d+)", entry.id)
        assert match, entry.id
        numbers.setdefault(match[1], []).append(int(match[2]))
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    assert len(BY_ID) == len(CLAUSES)


def test_a_section_of_the_text_is_a_prefix_of_the_ids() -> None:
    """One heading for each prefix."""
    pairs = {(entry.section, entry.id.rsplit("-", 1)[0]) for entry in CLAUSES}
    assert len(pairs) == len({section for section, _ in pairs}) == len({p for _, p in pairs})


@EVERY_CLAUSE
def test_a_clause_is_one_sentence_with_a_source_and_an_equation_that_exists(entry: Clause) -> None:
    """What a reader, and a report, relies on."""
    assert entry.statement.endswith(".")
    assert entry.source
    assert isinstance(entry.level, Level)
    assert not entry.equation or callable(equation(entry.equation))


def test_every_equation_of_the_spec_is_cited_by_a_clause() -> None:
    """Except those that only serve another one."""
    equations = {
        name
        for module in (spec, spec_second)
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    }
    helpers = {"count", "unbiased_variance", "mean", "projected"}
    assert equations - helpers == {entry.equation for entry in CLAUSES if entry.equation}


def test_a_clause_is_found_by_its_id() -> None:
    """The same object as in the registry."""
    assert clause("BN-GRAD-1") is BY_ID["BN-GRAD-1"]


def test_an_unknown_clause_is_refused_with_where_to_look() -> None:
    """The message names what arrived and how to list what there is."""
    with pytest.raises(UnknownClauseError) as caught:
        clause("BN-GRAD-99")
    assert str(caught.value) == f"no clause 'BN-GRAD-99'; `bnconform spec` lists all {len(CLAUSES)}"


@pytest.mark.parametrize(
    ("quantity", "fields", "expected"),
    [
        ("y", {}, "BN-TRAIN-1"),
        ("y", {"scale": False}, "BN-TRAIN-2"),
        ("y", {"center": False}, "BN-TRAIN-2"),
        ("y", {"shape": (4, 3, 2), "feature_axes": (1, 2)}, "BN-TRAIN-3"),
        ("y", {"feature_axes": (-1,)}, "BN-TRAIN-4"),
        ("y", {"feature_axes": (0,)}, "BN-AXIS-1"),  # what the axis keeps may be the batch
        ("y", {"shape": (1, 3)}, "BN-EDGE-1"),
        ("y", {"steps": 2, "last_batch": 1}, "BN-EDGE-1"),  # one of the steps has one value
        ("y", {"shape": (0, 3)}, "BN-EDGE-2"),
        ("y", {"fill": fill(FillKind.CONSTANT)}, "BN-EDGE-6"),
        ("y", {"fill": fill(FillKind.NAN)}, "BN-EDGE-4"),
        ("y", {"fill": fill(FillKind.INF)}, "BN-EDGE-4"),
        ("y", {"mode": Mode.INFERENCE}, "BN-INFER-1"),
        ("y", {"mode": Mode.FROZEN}, "BN-FROZEN-1"),
        ("y_infer", {}, "BN-INFER-3"),
        ("batch_mean", {}, "BN-STAT-1"),
        ("batch_mean", EXACT, "BN-STAT-3"),
        ("batch_mean", EXACT | {"shape": (3, 3)}, "BN-STAT-1"),  # 3 is no power of two
        ("batch_var", {}, "BN-STAT-2"),
        ("batch_var", EXACT, "BN-STAT-4"),
        ("running_mean", {}, "BN-STATE-1"),
        ("running_var", {}, "BN-STATE-2"),
        ("running_mean", {"decay": None}, "BN-STATE-3"),
        ("running_var", {"decay": None}, "BN-STATE-3"),
        ("running_var", {"steps": 2, "last_batch": 2}, "BN-STATE-4"),
        ("running_var", {"last_batch": 2}, "BN-STATE-2"),  # the only batch is the last one
        ("running_mean", EXACT, "BN-STATE-5"),
        ("running_mean", EXACT | {"decay": 0.9}, "BN-STATE-1"),  # 0.9 rounds
        ("running_mean", {"shape": (0, 3)}, "BN-EDGE-3"),
        ("running_mean", {"mode": Mode.INFERENCE}, "BN-INFER-2"),
        ("running_var", {"mode": Mode.FROZEN}, "BN-FROZEN-2"),
        ("dx", {}, "BN-GRAD-1"),
        ("dgamma", {}, "BN-GRAD-2"),
        ("dbeta", {}, "BN-GRAD-3"),
        ("dx", {"mode": Mode.INFERENCE}, "BN-INFER-4"),
        ("dgamma", {"mode": Mode.INFERENCE}, "BN-INFER-5"),
        ("dbeta", {"mode": Mode.INFERENCE}, "BN-INFER-6"),
        ("dx", {"mode": Mode.FROZEN}, "BN-FROZEN-3"),
        ("dbeta", {"shape": (0, 3)}, "BN-EDGE-2"),
    ],
)
def test_a_quantity_is_evidence_for_the_most_specific_clause(
    quantity: str, fields: dict[str, Any], expected: str
) -> None:
    """Which clause, from what the case exercises."""
    assert clause_for(plain(**fields), Quantity(quantity)) == expected


def test_the_channel_that_holds_the_nan_has_a_clause_of_its_own() -> None:
    """Propagation there, containment elsewhere."""
    case = plain(fill=fill(FillKind.NAN))
    assert clause_for(case, Quantity.Y, own_channel=True) == "BN-EDGE-5"
    assert clause_for(case, Quantity.Y, own_channel=False) == "BN-EDGE-4"


def test_an_empty_batch_has_no_nan_to_contain() -> None:
    """Its fill says NaN, but there is no value."""
    case = plain(shape=(0, 3), fill=fill(FillKind.NAN))
    assert clause_for(case, Quantity.Y) == "BN-EDGE-2"
    assert clause_for(case, Quantity.RUNNING_MEAN) == "BN-EDGE-3"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", FillKind)
@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (0, 3)])
def test_every_quantity_of_every_kind_of_case_has_a_clause_that_exists(
    mode: Mode, kind: FillKind, shape: tuple[int, ...]
) -> None:
    """No judgement can name a clause that the standard does not have."""
    case = plain(shape=shape, mode=mode, fill=fill(kind, 0, 10.0 if kind is FillKind.OFFSET else 0))
    for quantity in {Quantity.Y} | GRADIENTS | RUNNING_STATISTICS:
        assert clause_for(case, quantity) in BY_ID
