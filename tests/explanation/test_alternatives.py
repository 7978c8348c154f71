"""Alternatives answer for every case that they say they concern."""

from __future__ import annotations

import itertools

import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.expecting.expectation import Conventions
from bnconform.conformance.explanation.catalogue import ALTERNATIVES
from bnconform.conformance.formats import DType
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

VARIANTS: tuple[Variant, ...] = (
    PLAIN,
    Renorm(r_min=None, r_max=2.0, d_max=None, decay=0.9),
    Ghost(size=4),
    Masked(hidden=Hidden.NAN),
    Masked(hidden=Hidden.ORDINARY, nothing=True),
    Weighted(),
    Adjusted(per_sample=True),
    Untracked(),
    FixedGamma(),
    Synchronized(replicas=2, uneven=False),
)
CANNOT_BE_MISREAD = (ValueError, ZeroDivisionError, OverflowError)
"""What attribution takes for: this case cannot be misread in this way."""


def case_of(variant: Variant, mode: Mode, dtype: DType, batch: int) -> Case:
    """A small case of a channels-last matrix."""
    return Case(
        shape=(batch, 4),
        last_batch=batch,
        feature_axes=(-1,),
        dtype=dtype,
        layout=Layout.CONTIGUOUS,
        upstream_layout=Layout.CONTIGUOUS,
        center=True,
        scale=True,
        mode=mode,
        steps=2 if mode is Mode.TRAIN else 1,
        epsilon=1e-3,
        decay=0.9,
        fill=Fill(kind=FillKind.NORMAL, seed=1),
        half_parameters=dtype is DType.BFLOAT16,
        variant=variant,
    )


@pytest.mark.parametrize("mode", [pytest.param(mode, id=mode.value) for mode in Mode])
@pytest.mark.parametrize(
    ("variant", "batch"),
    [
        *(pytest.param(each, 8, id=f"{each.kind}{i}") for i, each in enumerate(VARIANTS)),
        # No replica may be empty: what comes last has no such case.
        *(
            pytest.param(each, 0, id=f"{each.kind}{i}, nothing in the batch")
            for i, each in enumerate(VARIANTS[:-1])
        ),
    ],
)
def test_every_alternative_answers_for_the_cases_that_it_concerns(
    variant: Variant, batch: int, mode: Mode
) -> None:
    """In every mode and of every variant: an error of another kind would end a campaign."""
    conventions = Conventions.of(NumpyReference.dialect)
    answered = 0
    for dtype, alternative in itertools.product((DType.FLOAT64, DType.BFLOAT16), ALTERNATIVES):
        case = case_of(variant, mode, dtype, batch)
        if not alternative.concerns(case):
            continue
        try:
            expected = alternative.expect(case, make_inputs(case), conventions)
        except CANNOT_BE_MISREAD:
            continue
        assert expected.steps
        answered += 1
    assert answered
