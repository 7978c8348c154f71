"""How a layer is switched: training or not, trainable or not, fused or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..expecting.expectation import Expectation, expectation
from ..numbers.doubledouble import DoubleDouble
from ..spec import unbiased_variance, update_running_mean, update_running_var
from .experiment import Experiment
from .parts import FLOAT32, MOMENTUM, SETTINGS, Call, exact, float32, images, mean_of, variance_of

_X = images((1, 6), (3, 10))
"""Two values a channel: the unbiased variance is twice the biased one."""
_GAMMA, _BETA = float32([2.0, -1.0]), float32([1.0, 0.5])
_MEAN, _VARIANCE = float32([-2.0, 4.0]), float32([13.0, 1.0])
_ARRAYS = {
    "x": _X,
    "initial_gamma": _GAMMA,
    "initial_beta": _BETA,
    "initial_moving_mean": _MEAN,
    "initial_moving_variance": _VARIANCE,
    **SETTINGS,
}


def _by_the_batch() -> Expectation:
    return Call(x=_X, gamma=_GAMMA, beta=_BETA, mean=mean_of(_X), variance=variance_of(_X)).y()


def _by_the_running_statistics() -> Expectation:
    mean, variance = DoubleDouble(_MEAN), DoubleDouble(_VARIANCE)
    return Call(x=_X, gamma=_GAMMA, beta=_BETA, mean=mean, variance=variance).y()


_TRAINING_WAYS = ("bool", "tensor", "fed")
_INFERENCE_WAYS = ("bool_false", "tensor_false", "unfed")


def _training() -> Mapping[str, Expectation]:
    moved = exact(update_running_mean(DoubleDouble(_MEAN), mean_of(_X), MOMENTUM))
    trained, inferred = _by_the_batch(), _by_the_running_statistics()
    return {
        **{f"y_{way}": trained for way in _TRAINING_WAYS},
        **{f"mean_{way}": moved for way in _TRAINING_WAYS},
        **{f"y_{way}": inferred for way in _INFERENCE_WAYS},
        **{f"mean_{way}": exact(_MEAN) for way in _INFERENCE_WAYS},
    }


_VIRTUAL_X = images((1, 8), (3, 2), (-5, 0), (7, 4))
_TWICE = 2 * 128 * FLOAT32.unit_roundoff
"""How far two right outputs can be apart, whichever two samples make a group.

Values and means are at most 8, r < 0.6 and |xhat| <= 1, so that ``bounds.output_error`` is at most
u (9 r 8 + r (3 + 4) 8 + 2) < 128 u for either.
"""


def _virtual() -> Mapping[str, Expectation]:
    nothing = DoubleDouble(np.zeros(_VIRTUAL_X.shape))
    return {"difference": expectation(nothing, np.full(nothing.shape, _TWICE), None, FLOAT32)}


def _omitted() -> Mapping[str, Expectation]:
    return {
        "y": _by_the_running_statistics(),
        "moving_mean": exact(_MEAN),
        "moving_variance": exact(_VARIANCE),
    }


def _trainable() -> Mapping[str, Expectation]:
    return {"trainable": exact(2.0), "frozen": exact(0.0), "variables_of_frozen": exact(4.0)}


def _fused() -> Mapping[str, Expectation]:
    old, biased = DoubleDouble(_VARIANCE), variance_of(_X)
    unbiased = unbiased_variance(biased, len(_X))
    with_bessel = exact(update_running_var(old, unbiased, MOMENTUM))
    return {
        "variance_none": with_bessel,
        "variance_true": with_bessel,
        "variance_false": exact(update_running_var(old, biased, MOMENTUM)),
        "built_fused": exact(np.array([1.0, 1.0, 0.0])),
    }


SWITCHES = (
    Experiment(
        name="training.forms",
        parameter="training",
        purpose="training as a Python bool, a tensor, and a placeholder with a default, fed or not",
        clauses={
            f"{what}_{way}": "BN-SWITCH-1"
            for what in ("y", "mean")
            for way in _TRAINING_WAYS + _INFERENCE_WAYS
        },
        arrays=_ARRAYS,
        expected=_training,
    ),
    Experiment(
        name="training.virtual_batches",
        parameter="virtual_batch_size",
        purpose="groups of 2: the output with training=True fed, less that with a Python bool",
        clauses={"difference": "BN-SWITCH-1"},
        arrays={"x": _VIRTUAL_X, **SETTINGS},
        expected=_virtual,
    ),
    Experiment(
        name="training.omitted",
        parameter="training",
        purpose="a call that does not say training, and all updates that it asks for",
        clauses=dict.fromkeys(("y", "moving_mean", "moving_variance"), "BN-SWITCH-2"),
        arrays=_ARRAYS,
        expected=_omitted,
    ),
    Experiment(
        name="trainable",
        parameter="trainable",
        purpose="how many variables an optimizer is given, with trainable=True and False",
        clauses=dict.fromkeys(("trainable", "frozen", "variables_of_frozen"), "BN-SWITCH-3"),
        arrays={"x": _X, **SETTINGS},
        expected=_trainable,
    ),
    Experiment(
        name="fused",
        parameter="fused",
        purpose="the running variance after one step, and what was built, for each value of fused",
        clauses=dict.fromkeys(
            ("variance_none", "variance_true", "variance_false", "built_fused"), "BN-SWITCH-4"
        ),
        arrays=_ARRAYS,
        expected=_fused,
    ),
)
