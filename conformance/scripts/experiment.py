"""The script of an experiment: what was tried, in the framework's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract import Array
from ..experiments.registry import EXPERIMENTS
from ..verdict import CALL, Cause
from .data import array_lines
from .recipes import Recipe
from .scene import Check, NoScriptError
from .writing import frame, written

_TRIED = frozenset({
    "axis.undefined", "axis.reduced", "training.forms", "training.virtual_batches",
    "training.omitted", "trainable", "fused", "name", "reuse.true", "reuse.auto",
    "reuse.forgotten", "updates.run", "updates.forgotten", "virtual_batch_size.remainder",
    *(f"initializer.{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    *(f"{kind}.{name}" for kind in ("regularizer", "constraint") for name in ("gamma", "beta")),
})  # fmt: skip
"""The experiments that the templates hold."""

_VALUES = (Cause.BEYOND_BOUND, Cause.NOT_FINITE, Cause.HIDES_NON_FINITE)


def render_experiment(
    divergence: Mapping[str, Any], arrays: Mapping[str, Array], recipe: Recipe
) -> str:
    """The script for the bundle of an experiment.

    :class:`NoScriptError` where there is no template for it, where it shows something else than
    values or an error, or where this version of bnconform would try something else.
    """
    name, quantity = str(divergence["case"]["experiment"]), str(divergence["quantity"])
    if recipe.experiments is None or name not in _TRIED:
        msg = f"no script for the experiment {name!r} of {divergence['subject']} yet"
        raise NoScriptError(msg)
    check, experiment = _check_of(divergence), EXPERIMENTS[name]
    _check_arrays(arrays, experiment.arrays)
    wanted = ""
    shown = next(iter(experiment.clauses)) if quantity == CALL else quantity
    if check is Check.VALUES:
        want = experiment.expected()[quantity]
        wanted = array_lines({"expected": want.value.to_float64(), "bound": want.bound})
    data = array_lines(experiment.arrays)
    context = {
        **frame(divergence, recipe, quantity=shown, data=data, wanted=wanted),
        "experiment": name,
        "initial": [each for each in experiment.arrays if each.startswith("initial_")],
        "check": check.value,
        "largest": None,
        "formula": "",
    }
    return written(recipe.experiments, context)


def _check_of(divergence: Mapping[str, Any]) -> Check:
    verdict, cause = divergence["verdict"], divergence["cause"]
    if verdict == "wrong_contract":
        return Check.RAISES
    if verdict == "diverges" and cause in _VALUES:
        return Check.VALUES
    msg = f"no script for this kind of divergence yet: {verdict}, {cause or 'no cause'}"
    raise NoScriptError(msg)


def _check_arrays(stored: Mapping[str, Array], made: Mapping[str, Array]) -> None:
    """What the run handed over must be what the script hands over."""
    for name, array in made.items():
        if name in stored and not np.array_equal(stored[name], array):
            msg = "no script: this version of bnconform tries this with other arrays than the run"
            raise NoScriptError(msg)
