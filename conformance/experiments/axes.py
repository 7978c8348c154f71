"""Axes of unknown size: one that must be known, and those that need not be."""

from __future__ import annotations

from collections.abc import Mapping

from ..contract import Array
from ..expecting.expectation import Expectation
from .experiment import Experiment
from .parts import SETTINGS, Call, exact, float32, images, mean_of, variance_of

_PAIR = images((2, 4), (6, 4))
_FOUR = images((-8, 1), (0, 7), (-8, 1), (0, 7))
"""Another number of samples, again with exact statistics."""


def _rejected() -> Mapping[str, Expectation]:
    return {"rejected": exact(1.0)}


def _each() -> Mapping[str, Expectation]:
    return {"y_pair": _normalized(_PAIR), "y_four": _normalized(_FOUR)}


def _normalized(x: Array) -> Expectation:
    ones, noughts = float32([1.0, 1.0]), float32([0.0, 0.0])
    return Call(x=x, gamma=ones, beta=noughts, mean=mean_of(x), variance=variance_of(x)).y()


AXES_OF_UNKNOWN_SIZE = (
    Experiment(
        name="axis.undefined",
        parameter="axis",
        purpose="whether an input whose feature axis has no static size is rejected when built",
        clauses={"rejected": "BN-AXIS-2"},
        arrays=SETTINGS,
        expected=_rejected,
    ),
    Experiment(
        name="axis.reduced",
        parameter="inputs",
        purpose="one layer on batches of 2 and of 4, all axes but the last of unknown size",
        clauses={"y_pair": "BN-AXIS-4", "y_four": "BN-AXIS-4"},
        arrays={"pair": _PAIR, "four": _FOUR, **SETTINGS},
        expected=_each,
    ),
)
