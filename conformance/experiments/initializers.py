"""What parameters and state are before the first step: by default, and as they were told to be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..expecting.expectation import Expectation
from .experiment import Experiment
from .parts import SETTINGS, exact, float32, images

_GIVEN = float32([-2.0, 0.5, 3.0])
_DEFAULTS = {"beta": 0.0, "gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0}


def _expected(default: float) -> Mapping[str, Expectation]:
    return {"default": exact([default] * 3), "given": exact(_GIVEN)}


def _experiment(number: int, variable: str, default: float) -> Experiment:
    parameter = f"{variable}_initializer"
    clause = f"BN-INIT-{number}"
    return Experiment(
        name=f"initializer.{variable}",
        parameter=parameter,
        purpose=f"{variable} before the first step, without {parameter} and with a constant one",
        clauses={"default": clause, "given": clause},
        arrays={"x": images((1, 2, 3), (3, 2, 1)), "initial": _GIVEN, **SETTINGS},
        expected=partial(_expected, default),
    )


INITIALIZERS = tuple(
    _experiment(number, variable, default)
    for number, (variable, default) in enumerate(_DEFAULTS.items(), start=1)
)
