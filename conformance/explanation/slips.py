"""Alternatives that are slips: a term, a factor or some of the values are left out."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..case import Mode
from ..variant import PLAIN
from . import equations, walks
from .alternative import Alternative
from .names import Why
from .requests import (
    OF_DBETA,
    OF_DGAMMA,
    OF_DX,
    OF_OUTPUTS,
    another_axis,
    asking,
    other_beta,
    other_gamma,
    product,
    training,
    training_samples,
    untransformed,
    upstream_of_ones,
)

SLIPS = (
    Alternative(
        why=Why.DX_AS_IN_INFERENCE,
        sentence="dx = gamma r g in training: not differentiated through the statistics",
        quantities=OF_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_as_in_inference},
    ),
    Alternative(
        why=Why.DX_WITHOUT_MEAN_TERM,
        sentence="dx lacks the term of the mean: gamma r (g - xhat mean(g xhat))",
        quantities=OF_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_without_mean_term},
    ),
    Alternative(
        why=Why.DX_WITHOUT_VARIANCE_TERM,
        sentence="dx lacks the term of the variance: gamma r (g - mean(g))",
        quantities=OF_DX,
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        equations={"training_dx": equations.dx_without_variance_term},
    ),
    Alternative(
        why=Why.DX_WITHOUT_GAMMA,
        sentence="dx lacks the factor gamma",
        quantities=OF_DX,
        concerns=lambda case: case.scale,
        equations={
            "training_dx": equations.training_dx_without_gamma,
            "inference_dx": equations.inference_dx_without_gamma,
        },
    ),
    Alternative(
        why=Why.DX_THROUGH_BATCH_IN_INFERENCE,
        sentence="dx is differentiated through batch statistics in inference, too",
        quantities=OF_DX,
        concerns=lambda case: case.mode is not Mode.TRAIN,
        walk=walks.InferenceThroughBatch,
    ),
    Alternative(
        why=Why.DX_IGNORES_UPSTREAM,
        sentence="dx is that of sum(y): as if the upstream gradient were 1",
        quantities=OF_DX,
        inputs=upstream_of_ones,
    ),
    Alternative(
        why=Why.DGAMMA_UNCENTRED,
        sentence="dgamma = sum(g x r): the mean is not subtracted",
        quantities=OF_DGAMMA,
        concerns=untransformed,
        walk=walks.DgammaUncentred,
    ),
    Alternative(
        why=Why.DGAMMA_UNSCALED,
        sentence="dgamma = sum(g (x - mu)): without the inverse deviation",
        quantities=OF_DGAMMA,
        concerns=untransformed,
        walk=walks.DgammaUnscaled,
    ),
    Alternative(
        why=Why.DGAMMA_MEAN,
        sentence="dgamma is the mean over positions in place of the sum",
        quantities=OF_DGAMMA,
        equations={"dgamma": equations.dgamma_mean},
    ),
    Alternative(
        why=Why.DBETA_MEAN,
        sentence="dbeta is the mean over positions in place of the sum",
        quantities=OF_DBETA,
        equations={"dbeta": equations.dbeta_mean},
    ),
    Alternative(
        why=Why.DBETA_TIMES_GAMMA,
        sentence="dbeta = gamma sum(g)",
        quantities=OF_DBETA,
        concerns=lambda case: case.scale,
        walk=walks.DbetaTimesGamma,
    ),
    Alternative(
        why=Why.GAMMA_IGNORED,
        sentence="gamma counts as 1",
        quantities=OF_OUTPUTS | OF_DX,
        concerns=lambda case: case.scale,
        inputs=other_gamma(np.ones_like),
    ),
    Alternative(
        why=Why.GAMMA_PLUS_ONE,
        sentence="gamma + 1 scales",
        quantities=OF_OUTPUTS | OF_DX,
        concerns=lambda case: case.scale,
        inputs=other_gamma(lambda gamma: gamma.astype(np.float64) + 1.0),
    ),
    Alternative(
        why=Why.BETA_IGNORED,
        sentence="beta counts as 0",
        quantities=OF_OUTPUTS,
        concerns=lambda case: case.center,
        inputs=other_beta(lambda beta, gamma: np.zeros_like(beta)),  # noqa: ARG005 -- either may count
    ),
    Alternative(
        why=Why.BETA_SCALED,
        sentence="y = gamma (xhat + beta)",
        quantities=OF_OUTPUTS,
        concerns=lambda case: case.center and case.scale,
        inputs=other_beta(product),
    ),
    Alternative(
        why=Why.STATISTICS_OF_FIRST_SAMPLE,
        sentence="statistics are those of the first sample",
        concerns=lambda case: training_samples(case) and case.last_batch > 0,
        walk=walks.OfFirstSample,
    ),
    Alternative(
        why=Why.STATISTICS_WITHOUT_LAST_SAMPLE,
        sentence="statistics leave out the last sample",
        concerns=lambda case: training_samples(case) and case.last_batch > 1,
        walk=walks.WithoutLastSample,
    ),
    Alternative(
        why=Why.STATISTICS_OVER_ALL_CHANNELS,
        sentence="statistics are those of all channels together",
        concerns=lambda case: training(case) and case.variant == PLAIN,
        walk=walks.OverAllChannels,
    ),
    Alternative(
        why=Why.VARIANCE_ABOUT_RUNNING_MEAN,
        sentence="the variance is taken about the running mean",
        concerns=lambda case: training(case) and case.variant == PLAIN,
        walk=walks.AboutRunningMean,
    ),
    *(
        Alternative(
            why=Why.AXIS_OTHER,
            sentence=f"axis {axis} is read as the feature axis",
            concerns=partial(lambda axis, case: another_axis(case, axis), axis),
            case=asking(feature_axes=(axis,)),
        )
        for axis in (1, -1, 0)
    ),
)
