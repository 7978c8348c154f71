"""Names, variables that calls share, and updates that nobody runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..expecting.expectation import Expectation
from ..numbers.doubledouble import DoubleDouble
from ..spec import update_running_mean, update_running_var
from .experiment import Experiment
from .parts import MOMENTUM, SETTINGS, Call, exact, float32, images, mean_of

_FIRST, _SECOND = images((2, 4), (6, 4)), images((-8, 1), (0, 7))
_SHARED = {"first": _FIRST, "second": _SECOND, **SETTINGS}

_CONSTANT = images((6, -2), (6, -2))
"""Its variance is 0, biased or not, so that what is expected is the same of every convention."""
_PROBE = images((1, 5), (-3, 2))
_UPDATED = {"x": _CONSTANT, "probe": _PROBE, **SETTINGS}
_ONES, _NOUGHTS = float32([1.0, 1.0]), float32([0.0, 0.0])


def _named() -> Mapping[str, Expectation]:
    return {"found": exact([1.0, 1.0, 1.0, 1.0]), "others": exact(0.0)}


def _shared() -> Mapping[str, Expectation]:
    after_first = update_running_mean(DoubleDouble(_NOUGHTS), mean_of(_FIRST), MOMENTUM)
    after_second = update_running_mean(after_first, mean_of(_SECOND), MOMENTUM)
    return {
        "variables": exact(4.0),
        "mean_after_first": exact(after_first),
        "mean_after_second": exact(after_second),
    }


def _rejected() -> Mapping[str, Expectation]:
    return {"rejected": exact(1.0)}


def _rejected_and_accepted() -> Mapping[str, Expectation]:
    return {"rejected": exact(1.0), "accepted": exact(1.0)}


def _updates(*, moved: bool) -> Mapping[str, Expectation]:
    mean, variance = DoubleDouble(_NOUGHTS), DoubleDouble(_ONES)
    if moved:
        mean = update_running_mean(mean, mean_of(_CONSTANT), MOMENTUM)
        variance = update_running_var(variance, DoubleDouble(np.zeros(2)), MOMENTUM)
    call = Call(x=_PROBE, gamma=_ONES, beta=_NOUGHTS, mean=mean, variance=variance)
    return {"moving_mean": exact(mean), "moving_variance": exact(variance), "y_infer": call.y()}


def _updates_run() -> Mapping[str, Expectation]:
    return _updates(moved=True)


def _updates_forgotten() -> Mapping[str, Expectation]:
    return _updates(moved=False)


_STATE = ("moving_mean", "moving_variance", "y_infer")
_SHARING = ("variables", "mean_after_first", "mean_after_second")

SHARING = (
    Experiment(
        name="name",
        parameter="name",
        purpose="whether variables are called 'named/gamma' and so on, and how many others are",
        clauses=dict.fromkeys(("found", "others"), "BN-SHARE-1"),
        arrays={"x": _FIRST, **SETTINGS},
        expected=_named,
    ),
    Experiment(
        name="reuse.true",
        parameter="reuse",
        purpose="two calls of one name, the second with reuse=True: variables and running mean",
        clauses=dict.fromkeys(_SHARING, "BN-SHARE-2"),
        arrays=_SHARED,
        expected=_shared,
    ),
    Experiment(
        name="reuse.auto",
        parameter="reuse",
        purpose="two calls of one name, both with AUTO_REUSE: variables and running mean",
        clauses=dict.fromkeys(_SHARING, "BN-SHARE-3"),
        arrays=_SHARED,
        expected=_shared,
    ),
    Experiment(
        name="reuse.forgotten",
        parameter="reuse",
        purpose="whether a second layer of the same name, without reuse, is rejected",
        clauses={"rejected": "BN-SHARE-4"},
        arrays=_SHARED,
        expected=_rejected,
    ),
    Experiment(
        name="updates.run",
        parameter="training",
        purpose="running statistics after a step that ran UPDATE_OPS, and inference with them",
        clauses=dict.fromkeys(_STATE, "BN-UPDATE-1"),
        arrays=_UPDATED,
        expected=_updates_run,
    ),
    Experiment(
        name="updates.forgotten",
        parameter="training",
        purpose="running statistics after a step that did not run UPDATE_OPS, and inference",
        clauses=dict.fromkeys(_STATE, "BN-UPDATE-2"),
        arrays=_UPDATED,
        expected=_updates_forgotten,
    ),
    Experiment(
        name="virtual_batch_size.remainder",
        parameter="virtual_batch_size",
        purpose="groups of 2: whether a batch of 3 is rejected, built or run, and one of 4 is not",
        clauses={"rejected": "BN-GHOST-5", "accepted": "BN-GHOST-5"},
        arrays={
            "remainder": images((1, 2), (3, 4), (5, 6)),
            "whole": images((1, 2), (3, 4), (5, 6), (7, 8)),
            **SETTINGS,
        },
        expected=_rejected_and_accepted,
    ),
)
