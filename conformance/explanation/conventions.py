"""Alternatives that are conventions: another choice, made consistently."""

from __future__ import annotations

from functools import partial

from ..case import Mode
from ..contract import RUNNING_STATISTICS
from ..dialect import (
    Averaging,
    FrozenPolicy,
    GhostGroups,
    RunningVariance,
    TrainingStatistics,
)
from ..variant import PLAIN, VariantKind
from . import equations, walks
from .alternative import FORWARD_AND_GRADIENTS, STATE, Alternative
from .names import Why
from .requests import (
    OF_INFERENCE,
    OF_RUNNING_MEAN,
    OF_RUNNING_VAR,
    asking,
    asks,
    claims,
    cumulative,
    half_parameters_of_float16,
    in_mode,
    of_variant,
    rounded_decay,
    training,
    updating,
    with_and_without_dx,
)

CONVENTIONS = (
    Alternative(
        why=Why.RUNNING_VARIANCE_UNBIASED,
        sentence="the running variance takes in the unbiased variance, v n / (n - 1)",
        quantities=OF_RUNNING_VAR,
        concerns=training,
        conventions=claims(running_variance=RunningVariance.UNBIASED),
    ),
    Alternative(
        why=Why.RUNNING_VARIANCE_BIASED,
        sentence="the running variance takes in the biased variance, v",
        quantities=OF_RUNNING_VAR,
        concerns=training,
        conventions=claims(running_variance=RunningVariance.BIASED),
    ),
    Alternative(
        why=Why.RUNNING_VARIANCE_BESSEL_AT_ONE,
        sentence="Bessel's correction divides by n - 1 without a limit: 0 / 0 for one value",
        quantities=OF_RUNNING_VAR,
        concerns=training,
        conventions=claims(running_variance=RunningVariance.UNBIASED),
        equations={"unbiased_variance": equations.bessel_at_one},
    ),
    *(
        Alternative(
            why=Why.NORMALIZED_BY_UNBIASED,
            sentence="the unbiased variance normalizes, v n / (n - 1)",
            quantities=FORWARD_AND_GRADIENTS - OF_INFERENCE,
            concerns=lambda case: case.mode is not Mode.INFERENCE,
            equations=exchanged,
        )
        for exchanged in with_and_without_dx(equations.unbiased_normalizes())
    ),
    *(
        Alternative(
            why=Why.EPSILON_OUTSIDE_ROOT,
            sentence="epsilon is added outside the root: 1 / (sqrt(v) + epsilon)",
            equations=exchanged,
        )
        for exchanged in with_and_without_dx(equations.epsilon_outside_root())
    ),
    Alternative(
        why=Why.EPSILON_OMITTED,
        sentence="epsilon is left out",
        case=asking(epsilon=0.0),
    ),
    Alternative(
        why=Why.EPSILON_DOUBLED,
        sentence="epsilon is added twice",
        case=asks(lambda case: {"epsilon": 2 * case.epsilon}),
    ),
    Alternative(
        why=Why.EPSILON_SQUARED,
        sentence="epsilon is squared",
        case=asks(lambda case: {"epsilon": case.epsilon**2}),
    ),
    *(
        Alternative(
            why=Why.EPSILON_FLOORED,
            sentence=f"epsilon is not less than {floor:g}",
            conventions=claims(epsilon_floor=floor),
        )
        for floor in (1e-8, 1e-7, 1e-6, 1e-5, 1.001e-5, 1e-4, 1e-3, 1e-2)
    ),
    *(
        Alternative(
            why=Why.EPSILON_FIXED,
            sentence=f"epsilon is {fixed:g}, whatever is given",
            case=asking(epsilon=fixed),
        )
        for fixed in (1e-5, 1e-3, 1e-12, 1e-8, 1e-7, 1e-6, 1e-4, 1e-2)
    ),
    Alternative(
        why=Why.INVERSE_DEVIATION_IN_FLOAT16,
        sentence="1 / sqrt(v + epsilon) is kept in float16, where it may be infinite",
        quantities=FORWARD_AND_GRADIENTS,
        concerns=half_parameters_of_float16,
        within={"dtype": "float16", "half_parameters": True},
        equations={"inverse_deviation": equations.inverse_deviation_in_float16},
    ),
    Alternative(
        why=Why.DECAY_SWAPPED,
        sentence="decay weighs the new value: r <- (1 - decay) r + decay b",
        quantities=STATE,
        concerns=updating,
        case=asks(lambda case: {"decay": 1.0 - (case.decay or 0.0)}),
    ),
    Alternative(
        why=Why.DECAY_SWAPPED,
        sentence="decay weighs the new value: r <- (1 - decay) r + decay b",
        quantities=STATE,
        concerns=cumulative,
        equations={"cumulative_average": equations.cumulative_swapped},
    ),
    *(
        Alternative(
            why=Why.DECAY_FIXED,
            sentence=f"decay is {fixed:g}, whatever is given",
            quantities=STATE,
            concerns=updating,
            case=asking(decay=fixed),
        )
        for fixed in (0.9, 0.99, 0.999, 0.1, 0.5)
    ),
    Alternative(
        why=Why.DECAY_IN_HALF,
        sentence="decay is rounded to the half format of parameters and state",
        concerns=lambda case: updating(case) and case.half_parameters,
        case=asks(lambda case: {"decay": rounded_decay(case)}),
        any_value=True,
    ),
    Alternative(
        why=Why.STATE_NOT_UPDATED,
        sentence="training leaves the running statistics alone",
        quantities=STATE,
        concerns=training,
        walk=walks.NotUpdated,
    ),
    Alternative(
        why=Why.STATE_REPLACED,
        sentence="the batch's statistics replace the running ones",
        quantities=STATE,
        concerns=training,
        case=asking(decay=0.0),
    ),
    Alternative(
        why=Why.STATE_MEAN_NOT_UPDATED,
        sentence="training leaves the running mean alone",
        quantities=OF_RUNNING_MEAN,
        concerns=training,
        walk=walks.MeanNotUpdated,
    ),
    Alternative(
        why=Why.STATE_VARIANCE_NOT_UPDATED,
        sentence="training leaves the running variance alone",
        quantities=OF_RUNNING_VAR,
        concerns=training,
        walk=walks.VarianceNotUpdated,
    ),
    Alternative(
        why=Why.STATE_UPDATED_TWICE,
        sentence="every training call updates the running statistics twice",
        quantities=STATE,
        concerns=training,
        walk=walks.UpdatedTwice,
    ),
    Alternative(
        why=Why.STATE_UPDATED_IN_INFERENCE,
        sentence="inference updates the running statistics",
        quantities=RUNNING_STATISTICS,
        concerns=partial(in_mode, Mode.INFERENCE),
        walk=walks.UpdatedInInference,
    ),
    Alternative(
        why=Why.STATE_VARIANCE_WITH_EPSILON,
        sentence="v + epsilon enters the running variance",
        quantities=OF_RUNNING_VAR,
        concerns=training,
        walk=walks.VarianceWithEpsilon,
    ),
    Alternative(
        why=Why.AVERAGING_ZERO_DEBIASED,
        sentence="running averages begin at 0 and are debiased",
        quantities=STATE,
        concerns=updating,
        conventions=claims(averaging=Averaging.ZERO_DEBIASED),
    ),
    Alternative(
        why=Why.AVERAGING_EXPONENTIAL,
        sentence="running averages begin at the initial value and are not debiased",
        quantities=STATE,
        concerns=updating,
        conventions=claims(averaging=Averaging.EXPONENTIAL),
    ),
    Alternative(
        why=Why.AVERAGING_CUMULATIVE_OFF_BY_ONE,
        sentence="the cumulative average divides by t + 1 at its t-th update",
        quantities=STATE,
        concerns=cumulative,
        equations={"cumulative_average": equations.cumulative_off_by_one},
    ),
    Alternative(
        why=Why.STATE_STALE_IN_INFERENCE,
        sentence="inference uses the running statistics from before the last update",
        quantities=OF_INFERENCE,
        concerns=training,
        walk=walks.StaleInInference,
    ),
    Alternative(
        why=Why.STATE_INITIAL_IN_INFERENCE,
        sentence="inference uses the running statistics that the layer began with",
        quantities=OF_INFERENCE,
        concerns=training,
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
        quantities=FORWARD_AND_GRADIENTS - OF_INFERENCE,
        concerns=training,
        walk=walks.TrainingByRunning,
    ),
    Alternative(
        why=Why.TRAINING_BY_UPDATED,
        sentence="training normalizes by the running statistics after the update",
        quantities=FORWARD_AND_GRADIENTS - OF_INFERENCE,
        concerns=training,
        conventions=claims(training_statistics=TrainingStatistics.RUNNING),
    ),
    Alternative(
        why=Why.FROZEN_BY_BATCH,
        sentence="a frozen layer normalizes by the batch in training mode",
        quantities=FORWARD_AND_GRADIENTS - OF_INFERENCE,
        concerns=partial(in_mode, Mode.FROZEN),
        conventions=claims(frozen=FrozenPolicy.BATCH_STATISTICS),
    ),
    Alternative(
        why=Why.FROZEN_BY_RUNNING,
        sentence="a frozen layer normalizes by the running statistics",
        quantities=FORWARD_AND_GRADIENTS - OF_INFERENCE,
        concerns=partial(in_mode, Mode.FROZEN),
        conventions=claims(frozen=FrozenPolicy.RUNNING_STATISTICS),
    ),
    Alternative(
        why=Why.GHOST_INTERLEAVED,
        sentence="virtual batches are interleaved: sample j, j + N / size, ...",
        concerns=partial(of_variant, VariantKind.GHOST),
        conventions=claims(ghost_groups=GhostGroups.INTERLEAVED),
    ),
    Alternative(
        why=Why.GHOST_CONTIGUOUS,
        sentence="virtual batches are contiguous",
        concerns=partial(of_variant, VariantKind.GHOST),
        conventions=claims(ghost_groups=GhostGroups.CONTIGUOUS),
    ),
    Alternative(
        why=Why.VARIANT_IGNORED,
        sentence="what the case asks for beyond plain batch normalization is not done",
        concerns=lambda case: case.variant != PLAIN,
        case=asking(variant=PLAIN),
    ),
)
