"""Ways out of Keras and back: files, weights, configurations, exported programs.

A layer travels as a model of its own, which is what Keras saves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bnconform.adapters.exports.scenes import Found, Scene, folder, settings, travel
from bnconform.adapters.exports.tf_exports import run_lite
from bnconform.adapters.torch_arrays import to_numpy
from bnconform.conformance.contract import Array, UnsupportedError

_VARIABLES = {
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Keras on its backend."""

    keras: Any

    def model(self, scene: Scene) -> Any:
        """The layer with the scene's parameters and state, trained by the first batch if any."""
        dtype = scene.x.dtype.name
        layer = self.keras.layers.BatchNormalization(
            axis=scene.axis,
            epsilon=scene.epsilon,
            momentum=scene.decay,
            center=scene.beta is not None,
            scale=scene.gamma is not None,
            dtype=dtype,
        )
        model = self.keras.Sequential([self.keras.Input(scene.x.shape[1:], dtype=dtype), layer])
        held = (scene.gamma, scene.beta, scene.mean, scene.variance)
        for name, value in zip(_VARIABLES, held, strict=True):
            if value is not None:
                getattr(layer, name).assign(value)
        if scene.first is not None:
            self.call(model, scene.first, training=True)
        return model

    def call(self, model: Any, x: Array, *, training: bool) -> Array:
        """What the model answers."""
        return self.numpy(model(self.keras.ops.convert_to_tensor(x), training=training))

    def numpy(self, tensor: Any) -> Array:
        """The tensor's values in its own format."""
        if self.keras.backend.backend() == "torch":
            import torch

            return to_numpy(torch, tensor)
        array: Array = self.keras.ops.convert_to_numpy(tensor).copy()
        return array

    def state(self, model: Any) -> Found:
        """Parameters and running statistics."""
        held = {shown: getattr(model.layers[-1], name) for name, shown in _VARIABLES.items()}
        return {name: self.numpy(v.value) for name, v in held.items() if v is not None}

    def arrived(self, model: Any, scene: Scene) -> Found:
        """What a model shows once it has arrived."""
        layer = model.layers[-1]
        found = self.state(model) | settings(layer.epsilon, layer.momentum)
        found["y"] = self.call(model, scene.x, training=False)
        if scene.second is None:
            return found
        found["y_train"] = self.call(model, scene.second, training=True)
        after = self.state(model)
        return found | {"next_mean": after["running_mean"], "next_var": after["running_var"]}


def _file(bench: Bench, scene: Scene, *, name: str) -> Found:
    with folder() as at:
        bench.model(scene).save(at / name)
        return bench.arrived(bench.keras.saving.load_model(at / name), scene)


def _weights(bench: Bench, scene: Scene) -> Found:
    """Epsilon and momentum are not in it: the fresh model gets them as the first did."""
    with folder() as at:
        bench.model(scene).save_weights(at / "layer.weights.h5")
        fresh = bench.model(replace(scene, first=None))
        fresh.set_weights([weight * 0 + 7 for weight in fresh.get_weights()])
        fresh.load_weights(at / "layer.weights.h5")
        return bench.arrived(fresh, scene)


def _configuration(bench: Bench, scene: Scene) -> Found:
    """By JSON, by configuration and as a clone, one after the other; the weights as arrays."""
    model = bench.model(scene)
    made = bench.keras.models.model_from_json(model.to_json())
    made = type(made).from_config(made.get_config())
    made = bench.keras.models.clone_model(made)
    made.set_weights(model.get_weights())
    return bench.arrived(made, scene)


def _saved_model(bench: Bench, scene: Scene) -> Found:
    """A program of TensorFlow, of inference alone."""
    if bench.keras.backend.backend() == "torch" and find_spec("torch_xla") is None:
        msg = "Model.export to a SavedModel needs torch_xla where the backend is PyTorch"
        raise UnsupportedError(msg)
    import tensorflow as tf

    with folder() as at:
        bench.model(scene).export(str(at), format="tf_saved_model", verbose=False)
        loaded = tf.saved_model.load(str(at))
        return {"y": loaded.serve(tf.constant(scene.x)).numpy()}


def _onnx(bench: Bench, scene: Scene) -> Found:
    import onnxruntime

    with folder() as at, warnings.catch_warnings():
        # The PyTorch backend goes by its exporter of old.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        model = bench.model(scene)
        # Keras asks for a call before it exports.
        bench.call(model, scene.x, training=False)
        _export(model, at / "layer.onnx", "onnx")
        session = onnxruntime.InferenceSession(
            at / "layer.onnx", providers=["CPUExecutionProvider"]
        )
    (y,) = session.run(None, {session.get_inputs()[0].name: scene.x})
    return {"y": y}


def _litert(bench: Bench, scene: Scene) -> Found:
    with folder() as at:
        _export(bench.model(scene), at / "layer.tflite", "litert")
        content = (at / "layer.tflite").read_bytes()
    import tensorflow as tf

    return {"y": run_lite(tf, content, scene.x)}


def _export(model: Any, at: Path, form: str) -> None:
    """What Keras says of a package that it misses or a backend that it does not serve."""
    try:
        model.export(str(at), format=form, verbose=False)
    except ImportError as error:
        raise UnsupportedError(str(error)) from error
    except ValueError as error:
        if "backend" not in str(error):
            raise
        raise UnsupportedError(str(error)) from error


WAYS: Mapping[str, Callable[[Bench, Scene], Found]] = {
    "export.keras.file": partial(_file, name="layer.keras"),
    "export.keras.h5": partial(_file, name="layer.h5"),
    "export.keras.h5_bfloat16": partial(_file, name="layer.h5"),
    "export.keras.weights": _weights,
    "export.keras.configuration": _configuration,
    "export.keras.saved_model": _saved_model,
    "export.keras.onnx": _onnx,
    "export.keras.litert": _litert,
}
"""By the experiment's name."""


def observe(keras: Any, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`WAYS`."""
    return travel(arrays, partial(WAYS[experiment], Bench(keras=keras)))
