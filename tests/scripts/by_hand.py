"""Bundles made by hand: what a run would have kept, of a case and of what the spec expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnconform.adapters import REGISTRY
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.cases.malformed import PROBES
from bnconform.conformance.contract import Array, Quantity
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.expecting.expectation import Conventions
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.formats import DType
from bnconform.conformance.reference import expect
from bnconform.conformance.topic import topic_of_probe


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What ``render_script`` takes."""

    divergence: Mapping[str, Any]
    arrays: Mapping[str, Array]
    conventions: Conventions


def plain_case(**changes: Any) -> Case:
    """A small case that every subject takes, two steps long, with a smaller last batch."""
    fields: dict[str, Any] = {
        "shape": (4, 3, 2, 2),
        "last_batch": 3,
        "feature_axes": (1,),
        "dtype": DType.FLOAT32,
        "layout": Layout.CONTIGUOUS,
        "upstream_layout": Layout.CONTIGUOUS,
        "center": True,
        "scale": True,
        "mode": Mode.TRAIN,
        "steps": 2,
        "epsilon": 1e-3,
        "decay": 0.75,
        "fill": Fill(kind=FillKind.NORMAL, seed=5),
    }
    return Case(**(fields | changes))


def _divergence(subject: str, told: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    usual = {
        "id": "0123456789ab",
        "subject": subject,
        "clause": "BN-TRAIN-1",
        "quantity": "y",
        "verdict": "diverges",
        "cause": "beyond bound",
        "known": "",
        "count": 1,
        "case": dict(told),
        "case_id": "fedcba9876543210",
        "simplicity": [2, 48, 4, "fedcba9876543210"],
        "step": 0,
        "message": "made by hand",
        "versions": {"numpy": "2", "torch": "2", "pandas": "3"},
    }
    return usual | fields


def conventions_of(subject: str) -> Conventions:
    """What a registered subject documents."""
    return Conventions.of(load_class(Target.parse(REGISTRY[subject])).dialect)


def bundle(
    subject: str,
    case: Case | None = None,
    *,
    quantity: Quantity = Quantity.Y,
    shift: float = 0.0,
    **fields: Any,
) -> Bundle:
    """A bundle of the last step; ``shift`` is added to what the spec expects: nobody gives that."""
    case, conventions = case or plain_case(), conventions_of(subject)
    inputs, last = make_inputs(case), (case or plain_case()).steps - 1
    expected = expect(case, inputs, conventions)
    after = quantity is Quantity.Y_INFER
    found = expected.inference if after else expected.steps[last]
    assert found is not None
    call = inputs.inference if after else inputs.steps[last]
    arrays = {"x": call.x.astype(np.float64) if call.x.dtype.name == "bfloat16" else call.x}
    if quantity in found:
        want = found[quantity]
        arrays |= {"expected": want.value.to_float64() + shift, "bound": want.bound}
    told = {"quantity": quantity.value, "step": last, "output": ""} | fields
    return Bundle(
        divergence=_divergence(subject, case.to_dict(), **told),
        arrays=arrays,
        conventions=conventions,
    )


def malformed(subject: str, malformation: str, **fields: Any) -> Bundle:
    """A bundle of a malformed call in training."""
    probe = next(each for each in PROBES if each.malformation == malformation)
    usual = {"clause": "BN-REJECT-8", "quantity": "call", "cause": "accepted", "step": -1}
    return Bundle(
        divergence=_divergence(subject, topic_of_probe(probe).told, **(usual | fields)),
        arrays={},
        conventions=conventions_of(subject),
    )


def experiment(subject: str, name: str, quantity: str, **fields: Any) -> Bundle:
    """A bundle of an experiment; what it is given is known of those that there are."""
    told = {"experiment": name, "purpose": "made by hand", "parameter": "axis"}
    known = EXPERIMENTS.get(name)
    clause = known.clauses.get(quantity, "BN-CALL-1") if known else "BN-AXIS-1"
    usual = {"clause": clause, "quantity": quantity, "step": -1}
    return Bundle(
        divergence=_divergence(subject, told, **(usual | fields)),
        arrays=dict(known.arrays) if known else {},
        conventions=conventions_of(subject),
    )
