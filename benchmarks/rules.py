"""The rules that others judge by, put to the same answers as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bnconform.conformance.contract import Answer, Array, Quantity
from bnconform.conformance.formats import DType, Format
from bnconform.conformance.judging.compare import ulp
from bnconform.conformance.judging.judge import Trial
from bnconform.conformance.reference import Expectation

ASSERT_CLOSE = {
    DType.FLOAT16: (1e-3, 1e-5),
    DType.BFLOAT16: (1.6e-2, 1e-5),
    DType.FLOAT32: (1.3e-6, 1e-5),
    DType.FLOAT64: (1e-7, 1e-7),
}
"""rtol and atol that torch.testing.assert_close documents as its defaults, by format."""

FIXED_ULPS = 4


def _default(reference: Array, output: Format) -> Array:
    rtol, atol = ASSERT_CLOSE[output.dtype]
    return np.asarray(atol + rtol * np.abs(reference))


def _thousandth(reference: Array, output: Format) -> Array:
    del output
    return np.asarray(1e-3 + 1e-3 * np.abs(reference))


def _ulps(reference: Array, output: Format) -> Array:
    return np.asarray(FIXED_ULPS * ulp(reference, output))


RULES: Mapping[str, Callable[[Array, Format], Array]] = {
    "assert_close": _default,
    "1e-3": _thousandth,
    "4 ULP": _ulps,
}
"""Name -> what an element may differ from the reference, which is rounded to the output format."""


@dataclass(kw_only=True)
class Look:
    """One quantity of one case, all steps together: what there was, and who objects."""

    elements: int = 0
    vacuous: int = 0
    objections: set[str] = field(default_factory=set)


def look(trial: Trial, answer: Answer) -> dict[Quantity, Look]:
    """What every rule says of ``answer``, at the elements that our bounds can judge."""
    found: dict[Quantity, Look] = {}
    for quantity, got, want in _pairs(trial, answer):
        seen = found.setdefault(quantity, Look())
        looked = ~want.excluded
        judged = looked & ~want.vacuous
        seen.elements += int(judged.sum())
        seen.vacuous += int((looked & ~judged).sum())
        seen.objections |= set(_objections(got, want, judged))
    return found


def _pairs(trial: Trial, answer: Answer) -> Iterator[tuple[Quantity, Array, Expectation]]:
    """What was given with what was expected; wrong forms are our own judge's matter."""
    after, expected = answer.inference, trial.expected.inference
    named: list[tuple[Quantity, Array | None, Expectation]] = [
        (name, getattr(step, name.value), each)
        for step, wanted in zip(answer.steps, trial.expected.steps, strict=True)
        for name, each in wanted.items()
        if name is not Quantity.Y_INFER
    ]
    if after is not None and expected is not None:
        named.append((Quantity.Y_INFER, after.y, expected[Quantity.Y_INFER]))
    for name, got, want in named:
        if got is not None and got.shape == want.value.shape and got.dtype == want.output.numpy:
            yield name, got, want


def _objections(got: Array, want: Expectation, judged: Array) -> Iterator[str]:
    with np.errstate(all="ignore"):
        reference = want.value.to_float64().astype(want.output.numpy).astype(np.float64)
        values = got.astype(np.float64)
        same = (values == reference) | (np.isnan(values) & np.isnan(reference))
        apart = np.abs(values - reference)
        for name, allowed in RULES.items():
            close = same | (apart <= allowed(reference, want.output))
            if (judged & ~close).any():
                yield name
