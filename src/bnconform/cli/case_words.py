"""A case told to a person: what is called, on what, with which settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bnconform.conformance.case import Case, Fill, Layout, Mode, Upstream
from bnconform.conformance.variant import PLAIN, Variant

_MODES = {
    Mode.TRAIN: "training",
    Mode.INFERENCE: "one call in inference mode",
    Mode.FROZEN: "one call in training mode of a layer that is not trainable",
}
_UPSTREAMS = {
    Upstream.UNUSED: "0 everywhere",
    Upstream.SINGLE: "0 but for one element",
    Upstream.UNIFORM: "1 everywhere",
    Upstream.INPUT: "the input itself, the same buffer",
}


def told_in_words(told: Mapping[str, Any]) -> tuple[str, ...]:
    """What a bundle's ``case`` asks, a phrase to a line: a case, malformed call or experiment."""
    if "experiment" in told:
        return f"experiment {told['experiment']}", str(told["purpose"])
    if "malformation" in told:
        base = tuple(case_in_words(Case.from_dict(told["base"])))
        return f"malformed: {told['what']}", *base
    return tuple(case_in_words(Case.from_dict(told)))


def case_in_words(case: Case) -> Iterator[str]:
    """One phrase for each matter."""
    yield _calls(case)
    axes = ", ".join(map(str, case.feature_axes))
    noun = "axis" if len(case.feature_axes) == 1 else "axes"
    yield f"{case.dtype} input of shape {case.shape}, features on {noun} {axes}"
    counts = sorted({case.count(shape) for shape in case.step_shapes})
    yield f"{' or '.join(map(str, counts))} values per channel, {_fill(case.fill)}"
    yield f"epsilon {case.epsilon!r}, {_decay(case)}, {_affine(case)}"
    if case.half_parameters:
        yield f"parameters and state in {case.dtype}, too"
    if case.variant != PLAIN:
        settings = ", ".join(_settings(case.variant))
        yield f"variant {case.variant.kind}" + (f": {settings}" if settings else "")
    if case.layout is not Layout.CONTIGUOUS or case.upstream_layout is not Layout.CONTIGUOUS:
        yield f"in memory: input {_words(case.layout)}, gradient {_words(case.upstream_layout)}"
    if case.upstream in _UPSTREAMS:
        yield f"upstream gradient: {_UPSTREAMS[case.upstream]}"
    if case.same_inputs:
        yield "every call gets the same buffers"


def _settings(variant: Variant) -> Iterator[str]:
    """What the variant sets; what it leaves off or open is not told."""
    for name, value in asdict(variant).items():
        if name != "kind" and value is not None and value is not False:
            yield name if value is True else f"{name} {value}"


def _calls(case: Case) -> str:
    if case.mode is not Mode.TRAIN:
        return _MODES[case.mode]
    if case.steps == 1:
        return "one training step, then inference"
    text = f"{case.steps} training steps, then inference"
    smaller = case.last_batch != case.shape[0]
    return text + (f"; the last step has a batch of {case.last_batch}" if smaller else "")


def _fill(fill: Fill) -> str:
    extra = f", mean / deviation {fill.offset:g}" if fill.offset else ""
    if fill.level is not None:
        extra = f" at multiples of {fill.level!r}"
    return f"values '{fill.kind}'{extra} (seed {fill.seed})"


def _decay(case: Case) -> str:
    if case.decay is None:
        return "cumulative average" if case.mode is Mode.TRAIN else "no decay"
    return f"decay {case.decay!r}"


def _affine(case: Case) -> str:
    match case.scale, case.center:
        case True, True:
            return "gamma and beta"
        case True, False:
            return "gamma alone"
        case False, True:
            return "beta alone"
        case _:
            return "neither gamma nor beta"


def _words(layout: Layout) -> str:
    return layout.value.replace("_", " ")


def facts_in_words(where: Mapping[str, Any]) -> str:
    """A condition on facts of cases, in the grammar of ``where``."""
    return ", ".join(f"{name} {_fact(value)}" for name, value in where.items())


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        low, high = value.get("min"), value.get("max")
        return (
            f"{low} to {high}"
            if low is not None and high is not None
            else (f"at least {low}" if high is None else f"at most {high}")
        )
    return "= " + (" or ".join(map(str, value)) if isinstance(value, list) else str(value))
