"""Variants as part of a case: they go through JSON, are checked, and name their clauses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from bnconform.conformance.case import Case, InvalidCaseError, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.cases.strategies import cases
from bnconform.conformance.clauses import BY_ID
from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import Averaging, TrainingStatistics
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.evidence import clause_for
from bnconform.conformance.variant import (
    PLAIN,
    Adjusted,
    FixedGamma,
    Ghost,
    Hidden,
    Masked,
    Renorm,
    Synchronized,
    Untracked,
    Variant,
    Weighted,
)

from .cases import CENTRED, plain

FREE = Renorm(r_min=None, r_max=None, d_max=None, decay=0.9)
CLIPPED = replace(FREE, r_max=2.0)


def test_a_plain_case_keeps_the_id_it_had_before_there_were_variants() -> None:
    """Neither field is written, so runs of then and now can be compared."""
    assert {"variant", "half_parameters"} & set(plain().to_dict()) == set()
    assert {"variant", "half_parameters"} <= set(
        plain(dtype=DType.FLOAT16, half_parameters=True, variant=Weighted()).to_dict()
    )


@pytest.mark.parametrize(
    "variant",
    [
        PLAIN,
        FREE,
        CLIPPED,
        Ghost(size=2),
        Synchronized(replicas=2, uneven=True),
        Masked(hidden=Hidden.NAN),
        Masked(hidden=Hidden.ORDINARY, everything=True),
        Weighted(),
        Adjusted(per_sample=True),
        Untracked(),
        FixedGamma(),
    ],
)
def test_every_variant_comes_back_from_json(variant: Variant) -> None:
    """Equal, with an id of its own."""
    case = plain(variant=variant)
    assert Case.from_json(case.to_json()) == case
    assert (case.id == plain().id) == (variant == PLAIN)
    assert (case.signature == plain().signature) == (variant == PLAIN)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": Ghost(size=3)}, "variant.size must divide every batch, got 3 for (4,)"),
        ({"variant": Ghost(size=0)}, "variant.size must divide every batch"),
        ({"variant": Synchronized(replicas=1, uneven=False)}, "replicas must be 2 or more, got 1"),
        ({"variant": Synchronized(replicas=3, uneven=False)}, "must divide every batch, got 3"),
        ({"variant": Synchronized(replicas=4, uneven=True)}, "every replica needs a sample"),
        ({"variant": replace(FREE, decay=1.5)}, "variant.decay must be in [0, 1], got 1.5"),
        ({"variant": replace(FREE, d_max=-1.0)}, "variant.d_max must be finite and >= 0"),
        ({"variant": FixedGamma(), "scale": False}, "fixed_gamma needs scale"),
        ({"variant": Ghost(size=1), "feature_axes": (0,)}, "needs samples along axis 0"),
        ({"half_parameters": True}, "half_parameters belong to half-precision inputs"),
    ],
)
def test_a_variant_that_contradicts_its_case_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    """The message names the field and what arrived."""
    with pytest.raises(InvalidCaseError) as caught:
        plain(**fields)
    assert message in str(caught.value)


def test_an_unknown_variant_in_a_file_is_an_invalid_case() -> None:
    """Not a KeyError from the depths."""
    data = json.loads(plain(variant=Ghost(size=2)).to_json())
    data["variant"] = {"kind": "spectral"}
    with pytest.raises(InvalidCaseError, match="spectral"):
        Case.from_dict(data)


@pytest.mark.parametrize(
    ("batch", "uneven", "sizes"),
    [(8, False, (4, 4)), (7, True, (2, 5)), (3, True, (1, 2))],
)
def test_a_batch_is_cut_into_shares_that_sum_to_it(
    batch: int, sizes: tuple[int, ...], *, uneven: bool
) -> None:
    """Equal, or about 1 : 2."""
    assert Synchronized(replicas=2, uneven=uneven).shard_sizes(batch) == sizes


def test_a_mask_keeps_some_and_hides_some() -> None:
    """Otherwise a case of it would be a case of something else."""
    case = plain(shape=(6, 3, 5), variant=Masked(hidden=Hidden.NAN))
    step = make_inputs(case).steps[0]
    assert step.weights is not None
    assert step.weights.shape == (6, 1, 5)
    assert 0 < step.weights.sum() < step.weights.size
    hidden = np.broadcast_to(~step.weights, step.x.shape)
    np.testing.assert_array_equal(np.isnan(step.x), hidden)


def test_weights_are_exact_in_every_format_and_never_all_zero() -> None:
    """They are inputs like any other."""
    case = plain(shape=(6, 3), variant=Weighted(), dtype=DType.FLOAT64)
    weights = make_inputs(case).steps[0].weights
    assert weights is not None
    np.testing.assert_array_equal(weights, weights.astype(np.float16))
    assert weights.min() >= 0
    assert weights.sum() > 0


@pytest.mark.parametrize(
    ("quantity", "fields", "expected"),
    [
        ("y", {"variant": FREE}, "BN-RENORM-1"),
        ("y", {"variant": CLIPPED}, "BN-RENORM-2"),
        ("y", {"variant": FREE, "steps": 2}, "BN-RENORM-3"),
        ("dx", {"variant": FREE}, "BN-RENORM-4"),
        ("dgamma", {"variant": FREE}, "BN-RENORM-5"),
        ("running_var", {"variant": FREE}, "BN-RENORM-6"),
        ("y_infer", {"variant": FREE}, "BN-INFER-3"),
        ("y", {"variant": FREE, "mode": Mode.INFERENCE}, "BN-INFER-1"),
        ("y", {"variant": Ghost(size=2)}, "BN-GHOST-1"),
        ("running_mean", {"variant": Ghost(size=2)}, "BN-GHOST-2"),
        ("dx", {"variant": Ghost(size=2)}, "BN-GHOST-3"),
        ("dbeta", {"variant": Ghost(size=2)}, "BN-GHOST-4"),
        ("y", {"variant": Synchronized(replicas=2, uneven=False)}, "BN-SYNC-1"),
        ("running_var", {"variant": Synchronized(replicas=2, uneven=False)}, "BN-SYNC-2"),
        ("dgamma", {"variant": Synchronized(replicas=2, uneven=False)}, "BN-SYNC-3"),
        ("y", {"variant": Masked(hidden=Hidden.ORDINARY)}, "BN-MASK-1"),
        ("running_mean", {"variant": Masked(hidden=Hidden.ORDINARY)}, "BN-MASK-2"),
        ("dx", {"variant": Masked(hidden=Hidden.ORDINARY)}, "BN-MASK-3"),
        ("y", {"variant": Masked(hidden=Hidden.NAN)}, "BN-MASK-4"),
        ("y", {"variant": Masked(hidden=Hidden.ORDINARY, everything=True)}, "BN-MASK-5"),
        ("dbeta", {"variant": Masked(hidden=Hidden.ORDINARY)}, "BN-GRAD-3"),
        ("y", {"variant": Weighted()}, "BN-WEIGHT-1"),
        ("running_var", {"variant": Weighted()}, "BN-WEIGHT-2"),
        ("dx", {"variant": Weighted()}, "BN-WEIGHT-3"),
        ("y", {"variant": Adjusted(per_sample=True)}, "BN-ADJUST-1"),
        ("dx", {"variant": Adjusted(per_sample=True)}, "BN-ADJUST-2"),
        ("y_infer", {"variant": Adjusted(per_sample=True)}, "BN-ADJUST-3"),
        ("y_infer", {"variant": Untracked()}, "BN-UNTRACKED-1"),
        ("y", {"variant": Untracked()}, "BN-TRAIN-1"),
        ("dx", {"variant": Untracked(), "mode": Mode.INFERENCE}, "BN-UNTRACKED-2"),
        ("y", {"variant": FixedGamma()}, "BN-FIXGAMMA-1"),
        ("dgamma", {"variant": FixedGamma()}, "BN-FIXGAMMA-2"),
        ("y", {"dtype": DType.FLOAT16, "half_parameters": True}, "BN-HALF-1"),
        ("running_var", {"dtype": DType.FLOAT16, "half_parameters": True}, "BN-HALF-2"),
        ("dgamma", {"dtype": DType.BFLOAT16, "half_parameters": True}, "BN-HALF-3"),
    ],
)
def test_what_a_variant_changes_is_evidence_for_its_own_clause(
    quantity: str, fields: dict[str, Any], expected: str
) -> None:
    """And what it leaves alone stays evidence for the plain clause."""
    assert clause_for(plain(**fields), Quantity(quantity)) == expected


@pytest.mark.parametrize(
    ("quantity", "changes", "expected"),
    [
        ("running_mean", {"averaging": Averaging.ZERO_DEBIASED}, "BN-STATE-6"),
        ("y", {"averaging": Averaging.ZERO_DEBIASED}, "BN-TRAIN-1"),
        ("y", {"training_statistics": TrainingStatistics.RUNNING}, "BN-TRAIN-5"),
        ("dx", {"training_statistics": TrainingStatistics.RUNNING}, "BN-GRAD-4"),
        ("running_mean", {"training_statistics": TrainingStatistics.RUNNING}, "BN-STATE-1"),
        ("y_infer", {"training_statistics": TrainingStatistics.RUNNING}, "BN-INFER-3"),
    ],
)
def test_conventions_of_its_own_kind_have_clauses_of_their_own(
    quantity: str, changes: dict[str, Any], expected: str
) -> None:
    """A subject is judged by what it documents, and so are the rows."""
    assert clause_for(plain(), Quantity(quantity), replace(CENTRED, **changes)) == expected


@given(cases())
def test_every_quantity_of_every_drawn_case_has_a_clause(case: Case) -> None:
    """Variants included."""
    assert all(clause_for(case, quantity) in BY_ID for quantity in Quantity)
