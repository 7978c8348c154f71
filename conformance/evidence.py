"""Which clause a judged quantity is evidence for: the most specific one that the case exercises."""

from __future__ import annotations

import math

from .case import Case, FillKind, Mode
from .contract import RUNNING_STATISTICS, Quantity
from .reference import EXACT_DECAYS, is_exact_lane

_GRADIENT_NUMBERS = {Quantity.DX: 1, Quantity.DGAMMA: 2, Quantity.DBETA: 3}
_NON_FINITE = frozenset({FillKind.NAN, FillKind.INF})


def clause_for(case: Case, quantity: Quantity, *, own_channel: bool = False) -> str:
    """The clause that ``quantity`` of ``case`` is evidence for.

    Cases with a NaN or an infinity are judged twice, in the channel that holds it
    (``own_channel``) and in the others.
    """
    if holds_non_finite(case):
        return "BN-EDGE-5" if own_channel else "BN-EDGE-4"
    match case.mode:
        case Mode.INFERENCE:
            return _inference(quantity)
        case Mode.FROZEN:
            return _frozen(quantity)
        case Mode.TRAIN:
            return _training(case, quantity)


def holds_non_finite(case: Case) -> bool:
    """Whether some input of ``case`` really holds a NaN or an infinity: an empty one cannot."""
    return case.fill.kind in _NON_FINITE and math.prod(case.step_shapes[-1]) > 0


def _inference(quantity: Quantity) -> str:
    if quantity in RUNNING_STATISTICS:
        return "BN-INFER-2"
    if quantity in _GRADIENT_NUMBERS:
        return f"BN-INFER-{3 + _GRADIENT_NUMBERS[quantity]}"
    return "BN-INFER-1"


def _frozen(quantity: Quantity) -> str:
    if quantity in RUNNING_STATISTICS:
        return "BN-FROZEN-2"
    return "BN-FROZEN-3" if quantity in _GRADIENT_NUMBERS else "BN-FROZEN-1"


def _training(case: Case, quantity: Quantity) -> str:
    if case.smallest_count == 0:
        return "BN-EDGE-3" if quantity in RUNNING_STATISTICS else "BN-EDGE-2"
    match quantity:
        case Quantity.Y_INFER:
            return "BN-INFER-3"
        case Quantity.RUNNING_MEAN | Quantity.RUNNING_VAR:
            return _running(case, quantity)
        case Quantity.BATCH_MEAN:
            return "BN-STAT-3" if is_exact_lane(case) else "BN-STAT-1"
        case Quantity.BATCH_VAR:
            return "BN-STAT-4" if is_exact_lane(case) else "BN-STAT-2"
        case Quantity.Y:
            return _output(case)
        case _:
            return f"BN-GRAD-{_GRADIENT_NUMBERS[quantity]}"


def _running(case: Case, quantity: Quantity) -> str:
    if case.decay is None:
        return "BN-STATE-3"
    if is_exact_lane(case) and case.decay in EXACT_DECAYS:
        return "BN-STATE-5"
    if case.last_batch < case.shape[0] and case.steps > 1:
        return "BN-STATE-4"
    return "BN-STATE-1" if quantity is Quantity.RUNNING_MEAN else "BN-STATE-2"


def _output(case: Case) -> str:
    if case.smallest_count == 1:
        return "BN-EDGE-1"
    if case.fill.kind is FillKind.CONSTANT:
        return "BN-EDGE-6"
    if len(case.channel_axes) > 1:
        return "BN-TRAIN-3"
    if any(axis < 0 for axis in case.feature_axes):
        return "BN-TRAIN-4"
    return "BN-TRAIN-1" if case.scale and case.center else "BN-TRAIN-2"
