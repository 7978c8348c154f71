"""Ways out of the JAX libraries and back: bytes, state dictionaries, pickles, exported programs.

A library's layer is a pair of functions of its variables (see ``jax_layers.py``), so that a program
exported by JAX is called like the layer itself.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bnconform.adapters.exports.scenes import Found, Scene, travel
from bnconform.conformance.contract import Array


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A layer under way.

    ``infer`` is x, variables -> y; ``train`` is x, variables -> (y, new variables); ``look`` gives
    the parameters and running statistics of variables by the names that are shown.
    """

    jax: Any
    variables: Any
    infer: Callable[[Any, Any], Any]
    train: Callable[[Any, Any], tuple[Any, Any]]
    look: Callable[[Any], Mapping[str, Any]]
    shows_y_train: bool = True

    def shown(self, scene: Scene) -> Found:
        """What the layer shows where it has arrived."""
        found = {"y": self.infer(scene.x, self.variables), **self.look(self.variables)}
        if scene.second is not None:
            y, after = self.train(scene.second, self.variables)
            found |= {"y_train": y} if self.shows_y_train else {}
            statistics = self.look(after)
            found["next_mean"] = statistics["running_mean"]
            found["next_var"] = statistics["running_var"]
        return {name: np.array(each) for name, each in found.items()}


Start = Callable[[Scene], Journey]
"""A fresh layer of the library with the scene's parameters and state."""


def started(start: Start, scene: Scene) -> Journey:
    """A layer that has been trained by the first batch, if there is one."""
    journey = start(scene)
    if scene.first is None:
        return journey
    _, variables = journey.train(scene.first, journey.variables)
    return replace(journey, variables=variables)


def pickled(start: Start, scene: Scene) -> Found:
    """The variables as a pickle of NumPy arrays."""
    journey = started(start, scene)
    host = journey.jax.device_get(journey.variables)
    there = pickle.loads(pickle.dumps(host))  # noqa: S301 -- made in this very line
    return replace(journey, variables=there).shown(scene)


def exported(start: Start, scene: Scene) -> Found:
    """Inference and training as programs of ``jax.export``, serialized and back."""
    journey = started(start, scene)
    there = replace(
        journey,
        infer=_program(journey, journey.infer, scene.x),
        train=_program(journey, journey.train, scene.x),
    )
    return there.shown(scene)


def _program(journey: Journey, function: Callable[..., Any], x: Array) -> Callable[..., Any]:
    export = journey.jax.export
    leaves, tree = journey.jax.tree.flatten(journey.variables)

    # Containers of a library's own would have to be registered; leaves need not.
    def of_leaves(x: Any, leaves: Any) -> Any:
        answer = function(x, journey.jax.tree.unflatten(tree, leaves))
        if not isinstance(answer, tuple):
            return answer
        y, after = answer
        return y, journey.jax.tree.leaves(after)

    made = export.export(journey.jax.jit(of_leaves))(x, leaves)
    program = export.deserialize(made.serialize())

    def call(x: Any, variables: Any) -> Any:
        answer = program.call(x, journey.jax.tree.leaves(variables))
        if not isinstance(answer, tuple):
            return answer
        y, after = answer
        return y, journey.jax.tree.unflatten(tree, after)

    return call


def flax_serialized(start: Start, scene: Scene) -> Found:
    """As MessagePack, restored over other numbers; then as a state dictionary."""
    from flax import serialization

    journey = started(start, scene)
    other = journey.jax.tree.map(lambda leaf: leaf * 0 + 7, journey.variables)
    there = serialization.from_bytes(other, serialization.to_bytes(journey.variables))
    there = serialization.from_state_dict(other, serialization.to_state_dict(there))
    return replace(journey, variables=there).shown(scene)


def equinox_leaves(start: Start, scene: Scene) -> Found:
    """Leaves in a file, read into a fresh layer of the same structure and other numbers."""
    import equinox

    journey, file = started(start, scene), io.BytesIO()
    equinox.tree_serialise_leaves(file, journey.variables)
    file.seek(0)
    fresh = start(scene).variables
    other = journey.jax.tree.map(
        lambda leaf: leaf * 0 + 7 if equinox.is_inexact_array(leaf) else leaf, fresh
    )
    there = equinox.tree_deserialise_leaves(file, other)
    return replace(journey, variables=there).shown(scene)


def equinox_modes(start: Start, scene: Scene) -> Found:
    """To inference mode, used in it, and back."""
    import equinox

    journey = started(start, scene)
    layer, state = journey.variables
    evaluating = equinox.nn.inference_mode(layer)
    journey.infer(scene.x, (evaluating, state))
    back = equinox.nn.inference_mode(evaluating, value=False)
    return replace(journey, variables=(back, state)).shown(scene)


Ways = Mapping[str, Callable[[Start, Scene], Found]]

FLAX_WAYS: Ways = {
    "export.flax.serialization": flax_serialized,
    "export.flax.jax_export": exported,
}
HAIKU_WAYS: Ways = {"export.haiku.pickle": pickled, "export.haiku.jax_export": exported}
EQUINOX_WAYS: Mapping[str, Ways] = {
    "ema": {
        "export.equinox.ema.leaves": equinox_leaves,
        "export.equinox.ema.inference_mode": equinox_modes,
    },
    "batch": {
        "export.equinox.batch.leaves": equinox_leaves,
        "export.equinox.batch.inference_mode": equinox_modes,
    },
}


def observe(start: Start, ways: Ways, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in ``ways``."""
    return travel(arrays, partial(ways[experiment], start))
