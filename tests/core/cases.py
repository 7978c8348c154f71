"""Short ways to cases, conventions and arrays for the tests of the numerical core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import (
    RUNNING_STATISTICS,
    Answer,
    Answered,
    Array,
    Parameters,
    Quantity,
    Step,
)
from bnconform.conformance.dialect import Claim, Dialect
from bnconform.conformance.formats import FORMATS, DType, compute_format
from bnconform.conformance.judging.judge import Trial
from bnconform.conformance.reference import Conventions, Expectation, expect

PLAIN = Case(
    shape=(4, 3),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-3,
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=0),
)
"""The plainest case: one training step on a float32 matrix."""

CENTRED = Conventions.of(NumpyReference.dialect)
"""Two passes, biased running variance, frozen layers by running statistics, no epsilon floor."""


def plain(**changes: Any) -> Case:
    """``PLAIN`` with some fields changed; ``last_batch`` follows the shape unless it is given."""
    if "shape" in changes:
        changes.setdefault("last_batch", changes["shape"][0])
    return replace(PLAIN, **changes)


def fill(kind: FillKind, seed: int = 0, offset: float = 0.0) -> Fill:
    """A fill in one line."""
    return Fill(kind=kind, seed=seed, offset=offset)


@dataclass(frozen=True, kw_only=True)
class Data:
    """A case of shape (n, channels) with arrays that no fill gives."""

    case: Case
    inputs: Inputs


def matrix_data(
    steps: list[tuple[np.ndarray, np.ndarray]], dtype: DType, parameters: Parameters, **fields: Any
) -> Data:
    """Training steps of the pairs (x, g), each (n, channels), rounded to ``dtype``."""
    stored = FORMATS[dtype].numpy
    pairs = tuple(StepInputs(x=x.astype(stored), dy=g.astype(stored)) for x, g in steps)
    case = plain(
        shape=pairs[0].x.shape,
        last_batch=pairs[-1].x.shape[0],
        steps=len(pairs),
        dtype=dtype,
        **fields,
    )
    return Data(case=case, inputs=Inputs(parameters=parameters, steps=pairs, inference=pairs[0]))


def parameters_like(gamma: Any, beta: Any, mean: Any, var: Any, dtype: DType) -> Parameters:
    """Parameters from anything array-like, in the format that belongs to ``dtype``."""

    def stored(values: Any) -> Array:
        return np.asarray(values, compute_format(dtype).numpy)

    return Parameters(
        gamma=stored(gamma), beta=stored(beta), running_mean=stored(mean), running_var=stored(var)
    )


def dialect(**claims: Any) -> Dialect:
    """The NumPy reference's dialect with some claims replaced by these values."""
    wrapped = {name: Claim(value, "this test") for name, value in claims.items()}
    return replace(NumpyReference.dialect, **wrapped)


def make_trial(case: Case, conventions: Conventions = CENTRED) -> Trial:
    """The case, its arrays, and what they must give."""
    inputs = make_inputs(case)
    return Trial(case=case, inputs=inputs, expected=expect(case, inputs, conventions))


def perfect_answer(trial: Trial) -> Answer:
    """The exact values, rounded once to the format that each must have."""
    steps = tuple(_perfect_step(want) for want in trial.expected.steps)
    inference = trial.expected.inference
    if inference is None:
        return Answer(steps=steps, inference=None)
    kept = {name: getattr(steps[-1], name) for name in RUNNING_STATISTICS}
    after = _perfect_step({q: inference[q] for q in (Quantity.Y, Quantity.DX)})
    return Answer(steps=steps, inference=replace(after, **kept))


def _perfect_step(want: Mapping[Quantity, Expectation]) -> Step:
    arrays = {
        quantity.value: expectation.value.to_float64().astype(expectation.output.numpy)
        for quantity, expectation in want.items()
    }
    return Step(**arrays)


def answered(answer: Answer, **fields: Any) -> Answered:
    """An outcome that holds ``answer``; not run twice and nothing overwritten unless given."""
    rest = {"seconds": 0.0, "unrepeatable": None, "mutated": (), "output": ""}
    return Answered(answer=answer, **(rest | fields))
