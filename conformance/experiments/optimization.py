"""What training sees beside the output: losses of the parameters, and limits after the step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..expecting.expectation import Expectation, expectation
from ..numbers.doubledouble import DoubleDouble
from .experiment import Experiment
from .parts import FLOAT32, SETTINGS, Call, exact, float32, images, mean_of, variance_of

_X = images((1, 3, -1), (3, 1, 1), (1, 5, -1), (3, 7, 1))
_DY = images((1, 0, 2), (-1, 1, 0), (2, 2, 1), (0, -1, 1))
_GAMMA = float32([2.0, -1.0, 4.0])
_BETA = float32([1.0, 4.0, -2.0])
_STRENGTH = 0.5
_REGULARIZED = {
    "x": _X,
    "dy": _DY,
    "initial_gamma": _GAMMA,
    "initial_beta": _BETA,
    "strength": float32(_STRENGTH),
    **SETTINGS,
}

_CALL = Call(x=_X, gamma=_GAMMA, beta=_BETA, mean=mean_of(_X), variance=variance_of(_X))
_DBETA = _DY.sum(axis=(0, 1, 2))
_NOTHING = np.zeros_like(_GAMMA)


def _term(parameter: np.ndarray) -> float:
    """strength sum(w^2), whose gradient is 2 strength w = w."""
    return _STRENGTH * float(np.square(parameter).sum())


def _regularized_gamma() -> Mapping[str, Expectation]:
    return {
        "loss": exact(_term(_GAMMA)),
        "gradient": _CALL.dgamma(_DY, 2 * _STRENGTH * _GAMMA),
        "gradient_without": _CALL.dgamma(_DY, _NOTHING),
        "y": _CALL.y(),
    }


def _regularized_beta() -> Mapping[str, Expectation]:
    return {
        "loss": exact(_term(_BETA)),
        "gradient": exact(_DBETA + 2 * _STRENGTH * _BETA),
        "gradient_without": exact(_DBETA),
        "y": _CALL.y(),
    }


_REGULARIZER_CLAUSES = {
    "gradient": "BN-REG-3",
    "gradient_without": "BN-REG-3",
    "y": "BN-REG-3",
}

_RATE = 0.5
_BETA_OUTSIDE = float32([-1.0, 1.0, 3.0])
"""The first is outside from the start, the second leaves with the step, the third stays inside."""
_BETA_DY = images((-1, 1, 1), (0, 1, 0), (0, 1, 2), (0, 1, -1))

_GAMMA_OUTSIDE = float32([-1.0, 1.0, 3.0])
_GAMMA_X = images((-1, -1, -1), (1, 1, 1), (-1, -1, -1), (1, 1, 1))
_GAMMA_DY = images((0, -4, 0), (0, 4, 1), (0, -4, 0), (0, 4, 1))
"""x has mean 0 and variance 1, so that xhat = x / 2 and dgamma = (0, 8, 1)."""


def _constrained_beta() -> Mapping[str, Expectation]:
    moved = _BETA_OUTSIDE - _RATE * _BETA_DY.sum(axis=(0, 1, 2))
    return {"before": exact(_BETA_OUTSIDE), "after": exact(np.maximum(moved, 0))}


def _constrained_gamma() -> Mapping[str, Expectation]:
    call = Call(
        x=_GAMMA_X,
        gamma=_GAMMA_OUTSIDE,
        beta=_NOTHING,
        mean=mean_of(_GAMMA_X),
        variance=variance_of(_GAMMA_X),
    )
    # gamma - rate dgamma is linear in dgamma, and so is its bound: the rate goes into dy. What the
    # constraint cuts off is 0 exactly; elsewhere it changes nothing.
    moved = call.dgamma(-_RATE * _GAMMA_DY, _GAMMA_OUTSIDE)
    values = moved.value.to_float64()
    after = DoubleDouble(np.maximum(values, 0.0))
    bound = np.where(values > 0, moved.bound, 0.0)
    return {"before": exact(_GAMMA_OUTSIDE), "after": expectation(after, bound, None, FLOAT32)}


OPTIMIZATION = (
    Experiment(
        name="regularizer.beta",
        parameter="beta_regularizer",
        purpose="the loss that strength sum(beta^2) adds, its gradient, and the output",
        clauses={"loss": "BN-REG-1", **_REGULARIZER_CLAUSES},
        arrays=_REGULARIZED,
        expected=_regularized_beta,
    ),
    Experiment(
        name="regularizer.gamma",
        parameter="gamma_regularizer",
        purpose="the loss that strength sum(gamma^2) adds, its gradient, and the output",
        clauses={"loss": "BN-REG-2", **_REGULARIZER_CLAUSES},
        arrays=_REGULARIZED,
        expected=_regularized_gamma,
    ),
    Experiment(
        name="constraint.beta",
        parameter="beta_constraint",
        purpose="beta >= 0 as the constraint: beta before and after one step of gradient descent",
        clauses={"before": "BN-CONSTRAINT-1", "after": "BN-CONSTRAINT-1"},
        arrays={
            "x": _X, "dy": _BETA_DY, "initial_beta": _BETA_OUTSIDE, "rate": float32(_RATE),
            **SETTINGS,
        },
        expected=_constrained_beta,
    ),
    Experiment(
        name="constraint.gamma",
        parameter="gamma_constraint",
        purpose="gamma >= 0 as the constraint: gamma before and after one step of gradient descent",
        clauses={"before": "BN-CONSTRAINT-2", "after": "BN-CONSTRAINT-2"},
        arrays={
            "x": _GAMMA_X, "dy": _GAMMA_DY, "initial_gamma": _GAMMA_OUTSIDE,
            "rate": float32(_RATE), **SETTINGS,
        },
        expected=_constrained_gamma,
    ),
)  # fmt: skip
