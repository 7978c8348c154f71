"""The parts that alternatives are put together from: whom they concern, and what they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..case import Case, Mode
from ..cases.fills import Inputs
from ..contract import Parameters, Quantity
from ..expecting.expectation import Conventions
from ..formats import DType
from ..variant import PLAIN, VariantKind

OF_RUNNING_VAR = frozenset({Quantity.RUNNING_VAR, Quantity.Y_INFER})
OF_RUNNING_MEAN = frozenset({Quantity.RUNNING_MEAN, Quantity.Y_INFER})
OF_INFERENCE = frozenset({Quantity.Y_INFER})
OF_OUTPUTS = frozenset({Quantity.Y, Quantity.Y_INFER})
OF_DX, OF_DGAMMA, OF_DBETA = (
    frozenset({each}) for each in (Quantity.DX, Quantity.DGAMMA, Quantity.DBETA)
)


def training(case: Case) -> bool:
    """A training case."""
    return case.mode is Mode.TRAIN


def training_samples(case: Case) -> bool:
    """A plain training case whose first axis is a batch to reduce over, not features."""
    return training(case) and case.variant == PLAIN and 0 in case.reduction_axes


def updating(case: Case) -> bool:
    """A training case with an exponential average."""
    return case.mode is Mode.TRAIN and case.decay is not None


def cumulative(case: Case) -> bool:
    """A training case with a cumulative average."""
    return case.mode is Mode.TRAIN and case.decay is None


def half(case: Case) -> bool:
    """A half-precision input."""
    return case.dtype in (DType.FLOAT16, DType.BFLOAT16)


def half_parameters_of_float16(case: Case) -> bool:
    """Parameters and state in float16, and not in float32."""
    return case.half_parameters and case.dtype is DType.FLOAT16


def in_mode(mode: Mode, case: Case) -> bool:
    """A case in ``mode``."""
    return case.mode is mode


def of_dtype(dtype: DType, case: Case) -> bool:
    """An input of ``dtype``."""
    return case.dtype is dtype


def of_variant(kind: VariantKind, case: Case) -> bool:
    """A case of the variant ``kind``."""
    return case.variant.kind is kind


def untransformed(case: Case) -> bool:
    """A case in which gamma multiplies xhat itself."""
    return case.variant.kind not in (VariantKind.RENORM, VariantKind.ADJUSTED)


def claims(**fields: Any) -> Callable[[Conventions], Conventions]:
    """Other conventions: these fields changed."""
    return lambda conventions: replace(conventions, **fields)


def asking(**fields: Any) -> Callable[[Case], Case]:
    """Another request: these fields changed."""
    return lambda case: replace(case, **fields)


def asks(change: Callable[[Case], dict[str, Any]]) -> Callable[[Case], Case]:
    """Another request, of the case: the fields that ``change`` gives."""
    return lambda case: replace(case, **change(case))


def with_parameters(change: Callable[[Parameters], dict[str, Any]]) -> Callable[[Inputs], Inputs]:
    """Other parameters: those that ``change`` gives."""
    return lambda inputs: replace(
        inputs, parameters=replace(inputs.parameters, **change(inputs.parameters))
    )


def upstream_of_ones(inputs: Inputs) -> Inputs:
    """The same with an upstream gradient of 1 everywhere."""
    steps = tuple(replace(step, dy=np.ones_like(step.dy)) for step in inputs.steps)
    last = replace(inputs.inference, dy=np.ones_like(inputs.inference.dy))
    return replace(inputs, steps=steps, inference=last)


def other_gamma(change: Callable[[Any], Any]) -> Callable[[Inputs], Inputs]:
    """Inputs with another gamma, where there is one."""
    return with_parameters(lambda p: {} if p.gamma is None else {"gamma": change(p.gamma)})


def other_beta(change: Callable[[Any, Any], Any]) -> Callable[[Inputs], Inputs]:
    """Inputs with another beta, of (beta, gamma), where there are both."""

    def changed(p: Parameters) -> dict[str, Any]:
        if p.beta is None:
            return {}
        gamma = np.ones_like(p.beta) if p.gamma is None else p.gamma
        return {"beta": change(p.beta, gamma)}

    return with_parameters(changed)


def product(beta: Any, gamma: Any) -> Any:
    """beta gamma, in float64."""
    return beta.astype(np.float64) * gamma.astype(np.float64)


def with_and_without_dx(
    exchanged: dict[str, Callable[..., Any]],
) -> tuple[dict[str, Callable[..., Any]], ...]:
    """Differentiated automatically, and by the formula for the right forward pass."""
    forward = {name: f for name, f in exchanged.items() if name != "training_dx"}
    return exchanged, forward


def rounded_decay(case: Case) -> float:
    """The decay in the format of parameters and state."""
    return float(np.asarray(case.decay, case.parameter_format.numpy))


def another_axis(case: Case, axis: int) -> bool:
    """Whether ``axis`` is not the feature axis, but could be mistaken for it."""
    if len(case.channel_axes) > 1 or not -case.rank <= axis < case.rank:
        return False
    own, other = case.channel_axes[0], axis % case.rank
    by_sample = case.last_batch != case.shape[0] and other == 0
    plain = case.variant == PLAIN and not by_sample
    return plain and own != other and case.shape[own] == case.shape[other]
