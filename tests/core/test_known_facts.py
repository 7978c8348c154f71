"""What a known divergence can ask of a case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode, Upstream
from bnconform.conformance.formats import DType
from bnconform.conformance.known.divergences import WHERE_FIELDS, case_facts
from bnconform.conformance.variant import Hidden, Masked, Renorm

_CASE = Case(
    shape=(4, 3, 2),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT16,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=2,
    epsilon=1e-3,
    decay=None,
    fill=Fill(kind=FillKind.CONSTANT, seed=1, level=3.0),
)
_BY_SAMPLE = Masked(hidden=Hidden.NAN, by_sample=True)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        pytest.param({}, {"upstream": "ordinary", "same_inputs": False}, id="as usual"),
        pytest.param({"upstream": Upstream.UNUSED}, {"upstream": "unused"}, id="upstream"),
        pytest.param({"same_inputs": True}, {"same_inputs": True}, id="one buffer"),
        pytest.param({"half_parameters": True}, {"half_parameters": True}, id="half state"),
        pytest.param({}, {"level": 3.0}, id="the constant's level"),
        pytest.param(
            {"fill": Fill(kind=FillKind.NORMAL, seed=1)}, {"level": "none"}, id="no level"
        ),
        pytest.param({}, {"mask": "", "hidden": "", "variant": "plain"}, id="no mask"),
        pytest.param(
            {"variant": Masked(hidden=Hidden.ORDINARY)},
            {"mask": "some", "hidden": "ordinary"},
            id="a mask that hides some",
        ),
        pytest.param(
            {"variant": Masked(hidden=Hidden.NAN, everything=True)},
            {"mask": "everything", "hidden": "nan"},
            id="a mask that keeps everything",
        ),
        pytest.param(
            {"variant": Masked(hidden=Hidden.ORDINARY, nothing=True)},
            {"mask": "nothing"},
            id="a mask that keeps nothing",
        ),
        pytest.param({"variant": _BY_SAMPLE}, {"mask": "some, by sample"}, id="whole samples"),
        pytest.param(
            {"variant": replace(_BY_SAMPLE, nothing=True)},
            {"mask": "nothing"},
            id="a mask of nothing is that, however it broadcasts",
        ),
        pytest.param(
            {"variant": Renorm(r_min=None, r_max=None, d_max=None, decay=0.5)},
            {"mask": "", "variant": "renorm"},
            id="another variant",
        ),
    ],
)
def test_a_fact_says_what_the_case_asks_for(changes: dict[str, Any], facts: dict[str, Any]) -> None:
    """By the values that an entry writes."""
    found = case_facts(replace(_CASE, **changes))
    assert {name: found[name] for name in facts} == facts


def test_every_fact_of_a_case_may_be_asked_for_and_the_reverse() -> None:
    """But for the two that are of other topics."""
    assert set(case_facts(_CASE)) == set(WHERE_FIELDS) - {"malformation", "experiment"}
