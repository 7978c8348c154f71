"""All alternatives, in the order in which they are preferred when several fit equally well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..case import Case, Mode
from ..contract import RUNNING_STATISTICS, Parameters, Quantity
from ..dialect import (
    Arithmetic,
    Averaging,
    FrozenPolicy,
    GhostGroups,
    HalfGradient,
    RunningVariance,
    SavedStatistics,
    TrainingStatistics,
)
from ..expectation import Conventions
from ..fills import Inputs
from ..formats import DType
from ..variant import PLAIN, VariantKind
from . import equations, walks
from .alternative import EVERYTHING, FORWARD_AND_GRADIENTS, STATE, Alternative
from .names import Why

_RUNNING_VAR = frozenset({Quantity.RUNNING_VAR, Quantity.Y_INFER})
_RUNNING_MEAN = frozenset({Quantity.RUNNING_MEAN, Quantity.Y_INFER})
_INFERENCE = frozenset({Quantity.Y_INFER})
_OUTPUTS = frozenset({Quantity.Y, Quantity.Y_INFER})
_DX, _DGAMMA, _DBETA = (
    frozenset({each}) for each in (Quantity.DX, Quantity.DGAMMA, Quantity.DBETA)
)


def _training(case: Case) -> bool:
    return case.mode is Mode.TRAIN


def _updating(case: Case) -> bool:
    return case.mode is Mode.TRAIN and case.decay is not None


def _cumulative(case: Case) -> bool:
    return case.mode is Mode.TRAIN and case.decay is None


def _half(case: Case) -> bool:
    return case.dtype in (DType.FLOAT16, DType.BFLOAT16)


def _in_mode(mode: Mode, case: Case) -> bool:
    return case.mode is mode


def _of_dtype(dtype: DType, case: Case) -> bool:
    return case.dtype is dtype


def _of_variant(kind: VariantKind, case: Case) -> bool:
    return case.variant.kind is kind


def _claims(**fields: Any) -> Callable[[Conventions], Conventions]:
    return lambda conventions: replace(conventions, **fields)


def _asking(**fields: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, **fields)


def _asks(change: Callable[[Case], dict[str, Any]]) -> Callable[[Case], Case]:
    return lambda case: replace(case, **change(case))


def _with_parameters(change: Callable[[Parameters], dict[str, Any]]) -> Callable[[Inputs], Inputs]:
    return lambda inputs: replace(
        inputs, parameters=replace(inputs.parameters, **change(inputs.parameters))
    )


def _upstream_of_ones(inputs: Inputs) -> Inputs:
    steps = tuple(replace(step, dy=np.ones_like(step.dy)) for step in inputs.steps)
    last = replace(inputs.inference, dy=np.ones_like(inputs.inference.dy))
    return replace(inputs, steps=steps, inference=last)


def _gamma(change: Callable[[Any], Any]) -> Callable[[Inputs], Inputs]:
    """Inputs with another gamma, where there is one."""
    return _with_parameters(lambda p: {} if p.gamma is None else {"gamma": change(p.gamma)})


def _beta(change: Callable[[Any, Any], Any]) -> Callable[[Inputs], Inputs]:
    """Inputs with another beta, of (beta, gamma), where there are both."""

    def changed(p: Parameters) -> dict[str, Any]:
        if p.beta is None:
            return {}
        gamma = np.ones_like(p.beta) if p.gamma is None else p.gamma
        return {"beta": change(p.beta, gamma)}

    return _with_parameters(changed)


def _product(beta: Any, gamma: Any) -> Any:
    return beta.astype(np.float64) * gamma.astype(np.float64)


def _with_and_without_dx(
    exchanged: dict[str, Callable[..., Any]],
) -> tuple[dict[str, Callable[..., Any]], ...]:
    """Differentiated automatically, and by the formula for the right forward pass."""
    forward = {name: f for name, f in exchanged.items() if name != "training_dx"}
    return exchanged, forward


_CONVENTIONS = (
    Alternative(
        why=Why.RUNNING_VARIANCE_UNBIASED,
        sentence="the running variance takes in the unbiased variance, v n / (n - 1)",
        quantities=_RUNNING_VAR,
        concerns=_training,
        conventions=_claims(running_variance=RunningVariance.UNBIASED),
    ),
    Alternative(
        why=Why.RUNNING_VARIANCE_BIASED,
        sentence="the running variance takes in the biased variance, v",
        quantities=_RUNNING_VAR,
        concerns=_training,
        conventions=_claims(running_variance=RunningVariance.BIASED),
    ),
    Alternative(
        why=Why.RUNNING_VARIANCE_BESSEL_AT_ONE,
        sentence="Bessel's correction divides by n - 1 without a limit: 0 / 0 for one value",
        quantities=_RUNNING_VAR,
        concerns=_training,
        conventions=_claims(running_variance=RunningVariance.UNBIASED),
        equations={"unbiased_variance": equations.bessel_at_one},
    ),
    *(
        Alternative(
            why=Why.NORMALIZED_BY_UNBIASED,
            sentence="the unbiased variance normalizes, v n / (n - 1)",
            concerns=lambda case: case.mode is not Mode.INFERENCE,
            equations=exchanged,
        )
        for exchanged in _with_and_without_dx(equations.unbiased_normalizes())
    ),
    *(
        Alternative(
            why=Why.EPSILON_OUTSIDE_ROOT,
            sentence="epsilon is added outside the root: 1 / (sqrt(v) + epsilon)",
            equations=exchanged,
        )
        for exchanged in _with_and_without_dx(equations.epsilon_outside_root())
    ),
    Alternative(
        why=Why.EPSILON_OMITTED,
        sentence="epsilon is left out",
        case=_asking(epsilon=0.0),
    ),
    Alternative(
        why=Why.EPSILON_DOUBLED,
        sentence="epsilon is added twice",
        case=_asks(lambda case: {"epsilon": 2 * case.epsilon}),
    ),
    Alternative(
        why=Why.EPSILON_SQUARED,
        sentence="epsilon is squared",
        case=_asks(lambda case: {"epsilon": case.epsilon**2}),
    ),
    *(
        Alternative(
            why=Why.EPSILON_FLOORED,
            sentence=f"epsilon is not less than {floor:g}",
            conventions=_claims(epsilon_floor=floor),
        )
        for floor in (1e-8, 1e-7, 1e-6, 1e-5, 1.001e-5, 1e-4, 1e-3, 1e-2)
    ),
    *(
        Alternative(
            why=Why.EPSILON_FIXED,
            sentence=f"epsilon is {fixed:g}, whatever is given",
            case=_asking(epsilon=fixed),
        )
        for fixed in (1e-5, 1e-3, 1e-12, 1e-8, 1e-7, 1e-6, 1e-4, 1e-2)
    ),
    Alternative(
        why=Why.DECAY_SWAPPED,
        sentence="decay weighs the new value: r <- (1 - decay) r + decay b",
        quantities=STATE,
        concerns=_training,
        case=_asks(lambda case: {"decay": None if case.decay is None else 1.0 - case.decay}),
        equations={"cumulative_average": equations.cumulative_swapped},
    ),
    *(
        Alternative(
            why=Why.DECAY_FIXED,
            sentence=f"decay is {fixed:g}, whatever is given",
            quantities=STATE,
            concerns=_updating,
            case=_asking(decay=fixed),
        )
        for fixed in (0.9, 0.99, 0.999, 0.1, 0.5)
    ),
    Alternative(
        why=Why.STATE_NOT_UPDATED,
        sentence="training leaves the running statistics alone",
        quantities=STATE,
        concerns=_training,
        walk=walks.NotUpdated,
    ),
    Alternative(
        why=Why.STATE_REPLACED,
        sentence="the batch's statistics replace the running ones",
        quantities=STATE,
        concerns=_training,
        case=_asking(decay=0.0),
    ),
    Alternative(
        why=Why.STATE_MEAN_NOT_UPDATED,
        sentence="training leaves the running mean alone",
        quantities=_RUNNING_MEAN,
        concerns=_training,
        walk=walks.MeanNotUpdated,
    ),
    Alternative(
        why=Why.STATE_VARIANCE_NOT_UPDATED,
        sentence="training leaves the running variance alone",
        quantities=_RUNNING_VAR,
        concerns=_training,
        walk=walks.VarianceNotUpdated,
    ),
    Alternative(
        why=Why.STATE_UPDATED_TWICE,
        sentence="every training call updates the running statistics twice",
        quantities=STATE,
        concerns=_training,
        walk=walks.UpdatedTwice,
    ),
    Alternative(
        why=Why.STATE_UPDATED_IN_INFERENCE,
        sentence="inference updates the running statistics",
        quantities=RUNNING_STATISTICS,
        concerns=partial(_in_mode, Mode.INFERENCE),
        walk=walks.UpdatedInInference,
    ),
    Alternative(
        why=Why.STATE_VARIANCE_WITH_EPSILON,
        sentence="v + epsilon enters the running variance",
        quantities=_RUNNING_VAR,
        concerns=_training,
        walk=walks.VarianceWithEpsilon,
    ),
    Alternative(
        why=Why.AVERAGING_ZERO_DEBIASED,
        sentence="running averages begin at 0 and are debiased",
        quantities=STATE,
        concerns=_updating,
        conventions=_claims(averaging=Averaging.ZERO_DEBIASED),
    ),
    Alternative(
        why=Why.AVERAGING_EXPONENTIAL,
        sentence="running averages begin at the initial value and are not debiased",
        quantities=STATE,
        concerns=_updating,
        conventions=_claims(averaging=Averaging.EXPONENTIAL),
    ),
    Alternative(
        why=Why.AVERAGING_CUMULATIVE_OFF_BY_ONE,
        sentence="the cumulative average divides by t + 1 at its t-th update",
        quantities=STATE,
        concerns=_cumulative,
        equations={"cumulative_average": equations.cumulative_off_by_one},
    ),
    Alternative(
        why=Why.STATE_STALE_IN_INFERENCE,
        sentence="inference uses the running statistics from before the last update",
        quantities=_INFERENCE,
        concerns=_training,
        walk=walks.StaleInInference,
    ),
    Alternative(
        why=Why.STATE_INITIAL_IN_INFERENCE,
        sentence="inference uses the running statistics that the layer began with",
        quantities=_INFERENCE,
        concerns=_training,
        walk=walks.InitialInInference,
    ),
    Alternative(
        why=Why.INFERENCE_BY_BATCH,
        sentence="inference normalizes by the batch",
        quantities=FORWARD_AND_GRADIENTS,
        concerns=lambda case: case.mode is not Mode.FROZEN,
        walk=walks.InferenceByBatch,
    ),
    Alternative(
        why=Why.TRAINING_BY_RUNNING,
        sentence="training normalizes by the running statistics from before the update",
        quantities=FORWARD_AND_GRADIENTS - _INFERENCE,
        concerns=_training,
        walk=walks.TrainingByRunning,
    ),
    Alternative(
        why=Why.TRAINING_BY_UPDATED,
        sentence="training normalizes by the running statistics after the update",
        quantities=FORWARD_AND_GRADIENTS - _INFERENCE,
        concerns=_training,
        conventions=_claims(training_statistics=TrainingStatistics.RUNNING),
    ),
    Alternative(
        why=Why.FROZEN_BY_BATCH,
        sentence="a frozen layer normalizes by the batch in training mode",
        quantities=FORWARD_AND_GRADIENTS - _INFERENCE,
        concerns=partial(_in_mode, Mode.FROZEN),
        conventions=_claims(frozen=FrozenPolicy.BATCH_STATISTICS),
    ),
    Alternative(
        why=Why.FROZEN_BY_RUNNING,
        sentence="a frozen layer normalizes by the running statistics",
        quantities=FORWARD_AND_GRADIENTS - _INFERENCE,
        concerns=partial(_in_mode, Mode.FROZEN),
        conventions=_claims(frozen=FrozenPolicy.RUNNING_STATISTICS),
    ),
    Alternative(
        why=Why.GHOST_INTERLEAVED,
        sentence="virtual batches are interleaved: sample j, j + N / size, ...",
        concerns=partial(_of_variant, VariantKind.GHOST),
        conventions=_claims(ghost_groups=GhostGroups.INTERLEAVED),
    ),
    Alternative(
        why=Why.GHOST_CONTIGUOUS,
        sentence="virtual batches are contiguous",
        concerns=partial(_of_variant, VariantKind.GHOST),
        conventions=_claims(ghost_groups=GhostGroups.CONTIGUOUS),
    ),
    Alternative(
        why=Why.VARIANT_IGNORED,
        sentence="what the case asks for beyond plain batch normalization is not done",
        concerns=lambda case: case.variant != PLAIN,
        case=_asking(variant=PLAIN),
    ),
)

_TERMS = (
    Alternative(
        why=Why.DX_AS_IN_INFERENCE,
        sentence="dx = gamma r g in training: not differentiated through the statistics",
        quantities=_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_as_in_inference},
    ),
    Alternative(
        why=Why.DX_WITHOUT_MEAN_TERM,
        sentence="dx lacks the term of the mean: gamma r (g - xhat mean(g xhat))",
        quantities=_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_without_mean_term},
    ),
    Alternative(
        why=Why.DX_WITHOUT_VARIANCE_TERM,
        sentence="dx lacks the term of the variance: gamma r (g - mean(g))",
        quantities=_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_without_variance_term},
    ),
    Alternative(
        why=Why.DX_WITHOUT_GAMMA,
        sentence="dx lacks the factor gamma",
        quantities=_DX,
        concerns=lambda case: case.scale,
        equations={
            "training_dx": equations.training_dx_without_gamma,
            "inference_dx": equations.inference_dx_without_gamma,
        },
    ),
    Alternative(
        why=Why.DX_THROUGH_BATCH_IN_INFERENCE,
        sentence="dx is differentiated through batch statistics in inference, too",
        quantities=_DX,
        concerns=lambda case: case.mode is not Mode.TRAIN,
        walk=walks.InferenceThroughBatch,
    ),
    Alternative(
        why=Why.DX_IGNORES_UPSTREAM,
        sentence="dx is that of sum(y): as if the upstream gradient were 1",
        quantities=_DX,
        inputs=_upstream_of_ones,
    ),
    Alternative(
        why=Why.DGAMMA_UNCENTRED,
        sentence="dgamma = sum(g x r): the mean is not subtracted",
        quantities=_DGAMMA,
        walk=walks.DgammaUncentred,
    ),
    Alternative(
        why=Why.DGAMMA_UNSCALED,
        sentence="dgamma = sum(g (x - mu)): without the inverse deviation",
        quantities=_DGAMMA,
        walk=walks.DgammaUnscaled,
    ),
    Alternative(
        why=Why.DGAMMA_MEAN,
        sentence="dgamma is the mean over positions in place of the sum",
        quantities=_DGAMMA,
        equations={"dgamma": equations.dgamma_mean},
    ),
    Alternative(
        why=Why.DBETA_MEAN,
        sentence="dbeta is the mean over positions in place of the sum",
        quantities=_DBETA,
        equations={"dbeta": equations.dbeta_mean},
    ),
    Alternative(
        why=Why.DBETA_TIMES_GAMMA,
        sentence="dbeta = gamma sum(g)",
        quantities=_DBETA,
        concerns=lambda case: case.scale,
        walk=walks.DbetaTimesGamma,
    ),
    Alternative(
        why=Why.GAMMA_IGNORED,
        sentence="gamma counts as 1",
        quantities=_OUTPUTS | _DX,
        concerns=lambda case: case.scale,
        inputs=_gamma(np.ones_like),
    ),
    Alternative(
        why=Why.GAMMA_PLUS_ONE,
        sentence="gamma + 1 scales",
        quantities=_OUTPUTS | _DX,
        concerns=lambda case: case.scale,
        inputs=_gamma(lambda gamma: gamma.astype(np.float64) + 1.0),
    ),
    Alternative(
        why=Why.BETA_IGNORED,
        sentence="beta counts as 0",
        quantities=_OUTPUTS,
        concerns=lambda case: case.center,
        inputs=_beta(lambda beta, gamma: np.zeros_like(beta)),  # noqa: ARG005 -- either may count
    ),
    Alternative(
        why=Why.BETA_SCALED,
        sentence="y = gamma (xhat + beta)",
        quantities=_OUTPUTS,
        concerns=lambda case: case.center and case.scale,
        inputs=_beta(_product),
    ),
    Alternative(
        why=Why.STATISTICS_OF_FIRST_SAMPLE,
        sentence="statistics are those of the first sample",
        concerns=lambda case: _training(case) and case.variant == PLAIN and case.last_batch > 0,
        walk=walks.OfFirstSample,
    ),
    Alternative(
        why=Why.STATISTICS_WITHOUT_LAST_SAMPLE,
        sentence="statistics leave out the last sample",
        concerns=lambda case: _training(case) and case.variant == PLAIN and case.last_batch > 1,
        walk=walks.WithoutLastSample,
    ),
    Alternative(
        why=Why.STATISTICS_OVER_ALL_CHANNELS,
        sentence="statistics are those of all channels together",
        concerns=lambda case: _training(case) and case.variant == PLAIN,
        walk=walks.OverAllChannels,
    ),
    Alternative(
        why=Why.VARIANCE_ABOUT_RUNNING_MEAN,
        sentence="the variance is taken about the running mean",
        concerns=lambda case: _training(case) and case.variant == PLAIN,
        walk=walks.AboutRunningMean,
    ),
    *(
        Alternative(
            why=Why.AXIS_OTHER,
            sentence=f"axis {axis} is read as the feature axis",
            concerns=partial(lambda axis, case: _another_axis(case, axis), axis),
            case=_asking(feature_axes=(axis,)),
        )
        for axis in (1, -1, 0)
    ),
)


def _another_axis(case: Case, axis: int) -> bool:
    """Whether ``axis`` is not the feature axis, but could be mistaken for it."""
    if len(case.channel_axes) > 1 or not -case.rank <= axis < case.rank:
        return False
    own, other = case.channel_axes[0], axis % case.rank
    by_sample = case.last_batch != case.shape[0] and other == 0
    plain = case.variant == PLAIN and not by_sample
    return plain and own != other and case.shape[own] == case.shape[other]


_WIDER = (
    Alternative(
        why=Why.SUBNORMALS_FLUSHED,
        sentence="subnormal results are flushed to 0",
        walk=walks.Flushed,
        wider=True,
    ),
    Alternative(
        why=Why.BFLOAT16_TRUNCATED,
        sentence="float32 is cut off to bfloat16, not rounded",
        quantities=_OUTPUTS | _DX,
        concerns=partial(_of_dtype, DType.BFLOAT16),
        walk=walks.Truncated,
        wider=True,
    ),
    Alternative(
        why=Why.DX_ROUNDED_BY_TERM,
        sentence="each contribution to dx is rounded to the input's half format",
        quantities=_DX,
        concerns=_half,
        conventions=_claims(half_gradient=HalfGradient.BY_TERM),
        wider=True,
    ),
    Alternative(
        why=Why.AFFINE_FOLDED,
        sentence="y = x a + b with a = gamma r and b = beta - mu a, which cancels for large means",
        quantities=_OUTPUTS,
        walk=walks.AffineFolded,
        wider=True,
    ),
    Alternative(
        why=Why.AFFINE_IN_HALF,
        sentence="xhat, gamma and beta are rounded to the input's half format before y",
        quantities=_OUTPUTS,
        concerns=_half,
        walk=walks.AffineInHalf,
        wider=True,
    ),
    Alternative(
        why=Why.STATISTICS_IN_HALF,
        sentence="the batch's statistics are kept in the input's half format",
        quantities=EVERYTHING,
        concerns=_half,
        conventions=_claims(saved_statistics=SavedStatistics.INPUT),
        wider=True,
    ),
    Alternative(
        why=Why.TF32,
        sentence="products are of factors rounded to TF32",
        quantities=EVERYTHING,
        concerns=lambda case: case.dtype is not DType.FLOAT64,
        conventions=_claims(arithmetic=Arithmetic.TF32),
        wider=True,
    ),
    Alternative(
        why=Why.VARIANCE_ONE_PASS,
        sentence="the variance is E[x^2] - E[x]^2, which cancels for large means",
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        conventions=walks.one_pass,
        wider=True,
    ),
    Alternative(
        why=Why.VARIANCE_ONE_PASS_UNCLAMPED,
        sentence="the variance is E[x^2] - E[x]^2 and may come out negative: NaN",
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        conventions=walks.one_pass,
        walk=walks.OnePassUnclamped,
        wider=True,
        any_value=True,
    ),
    Alternative(
        why=Why.FLOAT64_IN_FLOAT32,
        sentence="float64 is computed in float32",
        concerns=partial(_of_dtype, DType.FLOAT64),
        walk=walks.InFloat32,
        wider=True,
    ),
    Alternative(
        why=Why.SUMS_IN_HALF,
        sentence="sums are carried out in the input's half format",
        concerns=_half,
        walk=walks.InHalf,
        wider=True,
        any_value=True,
    ),
)

ALTERNATIVES: tuple[Alternative, ...] = _CONVENTIONS + _TERMS + _WIDER
