"""Which clause a judged quantity is evidence for: the most specific one that the case exercises."""

from __future__ import annotations

import math

from ..case import Case, FillKind, Mode
from ..contract import GRADIENTS, RUNNING_STATISTICS, Quantity
from ..dialect import Averaging, TrainingStatistics
from ..expecting.expectation import EXACT_DECAYS, Conventions, is_exact_lane
from ..variant import Hidden, Masked, Renorm, VariantKind

_GRADIENT_NUMBERS = {Quantity.DX: 1, Quantity.DGAMMA: 2, Quantity.DBETA: 3}
_OF_THE_STATE = RUNNING_STATISTICS | {Quantity.Y_INFER}
_NON_FINITE = frozenset({FillKind.NAN, FillKind.INF})


def clause_for(
    case: Case,
    quantity: Quantity,
    conventions: Conventions | None = None,
    *,
    own_channel: bool = False,
) -> str:
    """The clause that ``quantity`` of ``case`` is evidence for.

    ``conventions`` matter where a subject documents averages or training statistics of its own
    kind. Cases with a NaN or an infinity are judged twice, in the channel that holds it
    (``own_channel``) and in the others.
    """
    if holds_non_finite(case):
        return "BN-EDGE-5" if own_channel else "BN-EDGE-4"
    if case.variant.kind is not VariantKind.PLAIN:
        found = _of_variant(case, quantity)
        if found is not None:
            return found
    if case.half_parameters:
        return _half(quantity)
    if conventions is not None and case.mode is Mode.TRAIN and case.smallest_count > 0:
        found = _of_conventions(conventions, quantity)
        if found is not None:
            return found
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


def _of_conventions(conventions: Conventions, quantity: Quantity) -> str | None:
    """The clause about what a subject documents to do its own way."""
    if conventions.averaging is Averaging.ZERO_DEBIASED and quantity in RUNNING_STATISTICS:
        return "BN-STATE-6"
    if conventions.training_statistics is TrainingStatistics.RUNNING:
        if quantity is Quantity.Y:
            return "BN-TRAIN-5"
        if quantity in GRADIENTS:
            return "BN-GRAD-4"
    return None


def _half(quantity: Quantity) -> str:
    if quantity in RUNNING_STATISTICS:
        return "BN-HALF-2"
    return "BN-HALF-3" if quantity in GRADIENTS else "BN-HALF-1"


def _of_variant(case: Case, quantity: Quantity) -> str | None:
    """The variant's own clause, or None where it changes nothing of a plain layer."""
    if case.variant.kind is VariantKind.UNTRACKED:
        return _untracked(case, quantity)
    if case.mode is not Mode.TRAIN:
        return None
    if isinstance(case.variant, Renorm) and quantity is Quantity.Y:
        return _renorm_output(case.variant, case.steps)
    if isinstance(case.variant, Masked) and case.variant.nothing and quantity in _OF_THE_STATE:
        return "BN-EDGE-3"
    if isinstance(case.variant, Masked) and quantity in (Quantity.Y, *RUNNING_STATISTICS):
        if case.variant.everything:
            return "BN-MASK-5"
        if case.variant.hidden is Hidden.NAN:
            return "BN-MASK-4"
    return _VARIANTS[case.variant.kind].get(quantity)


def _untracked(case: Case, quantity: Quantity) -> str | None:
    if case.mode is Mode.INFERENCE:
        return "BN-UNTRACKED-2" if quantity in GRADIENTS else "BN-UNTRACKED-1"
    return "BN-UNTRACKED-1" if quantity is Quantity.Y_INFER else None


def _renorm_output(variant: Renorm, steps: int) -> str:
    if any(limit is not None for limit in (variant.r_min, variant.r_max, variant.d_max)):
        return "BN-RENORM-2"
    return "BN-RENORM-3" if steps > 1 else "BN-RENORM-1"


def _rows(
    y: str, state: str, dx: str, dgamma: str, dbeta: str, y_infer: str = ""
) -> dict[Quantity, str]:
    """Clauses by quantity; '' where the variant changes nothing."""
    rows = {
        Quantity.Y: y,
        Quantity.RUNNING_MEAN: state,
        Quantity.RUNNING_VAR: state,
        Quantity.DX: dx,
        Quantity.DGAMMA: dgamma,
        Quantity.DBETA: dbeta,
        Quantity.Y_INFER: y_infer,
    }
    return {quantity: clause for quantity, clause in rows.items() if clause}


_VARIANTS = {
    VariantKind.RENORM: _rows("", "BN-RENORM-6", "BN-RENORM-4", "BN-RENORM-5", "BN-RENORM-5"),
    VariantKind.GHOST: _rows("BN-GHOST-1", "BN-GHOST-2", "BN-GHOST-3", "BN-GHOST-4", "BN-GHOST-4"),
    VariantKind.SYNCHRONIZED: _rows(
        "BN-SYNC-1", "BN-SYNC-2", "BN-SYNC-3", "BN-SYNC-3", "BN-SYNC-3"
    ),
    VariantKind.MASKED: _rows("BN-MASK-1", "BN-MASK-2", "BN-MASK-3", "BN-MASK-3", ""),
    VariantKind.WEIGHTED: _rows("BN-WEIGHT-1", "BN-WEIGHT-2", "BN-WEIGHT-3", "", ""),
    VariantKind.ADJUSTED: _rows("BN-ADJUST-1", "", "BN-ADJUST-2", "BN-ADJUST-2", "", "BN-ADJUST-3"),
    VariantKind.UNTRACKED: {},
    VariantKind.FIXED_GAMMA: _rows("BN-FIXGAMMA-1", "", "", "BN-FIXGAMMA-2", "", "BN-FIXGAMMA-1"),
}
"""What each variant's quantities are evidence for."""


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
    if 0 in case.channel_axes:
        return "BN-AXIS-1"
    if len(case.channel_axes) > 1:
        return "BN-TRAIN-3"
    if any(axis < 0 for axis in case.feature_axes):
        return "BN-TRAIN-4"
    return "BN-TRAIN-1" if case.scale and case.center else "BN-TRAIN-2"
