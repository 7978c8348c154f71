"""Ways of an ONNX model: written and read, converted between opsets, optimized by ONNX Runtime.

The model has its parameters and statistics as initializers, as exporters write them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bnconform.adapters.exports.scenes import Found, Scene, folder, settings, travel
from bnconform.conformance.contract import Array

_SHOWN = {"scale": "gamma", "B": "beta", "input_mean": "running_mean", "input_var": "running_var"}
_OPSET = 15
_SHAPES = {"Transpose": [None] * 2, "Reshape": [None] * 3}
"""The output's shape, of which only the rank is said, where such a node stands before the last."""

Run = Callable[[Any, Array], Array]
"""The subject's evaluation of a model: its only output for x."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """ONNX, and what evaluates a model."""

    onnx: Any
    run: Run

    def model(
        self,
        scene: Scene,
        *,
        opset: int = _OPSET,
        before: str = "",
        between: str = "",
        training: bool = False,
    ) -> Any:
        """A model of one node; ``before`` it a Conv that is 2 x + 1, or a MatMul that is 2 x.

        ``between`` them is a Transpose, or a Reshape that adds a first axis.
        """
        onnx, helper = self.onnx, self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(scene.x.dtype)
        attributes = {"epsilon": scene.epsilon, "momentum": scene.decay}
        if training:
            attributes["training_mode"] = 1
        outputs = ["y", "mean", "var"] if training else ["y"]
        given = "t" if between else "z" if before else "x"
        nodes = [helper.make_node("BatchNormalization", [given, *_SHOWN], outputs, **attributes)]
        constants = _constants(scene)
        if before:
            linear = _linear(scene, before)
            nodes.insert(0, helper.make_node(before, ["x", *linear], ["z"]))
            constants |= linear
        if between:
            by_name = {"Transpose": helper.make_node("Transpose", ["z"], ["t"], perm=[1, 0])}
            by_name["Reshape"] = helper.make_node("Reshape", ["z", "shape"], ["t"])
            nodes.insert(1, by_name[between])
            constants["shape"] = np.array([1, scene.channels, -1])
        shape = [None, None] if before == "MatMul" else scene.x.shape
        graph = helper.make_graph(
            nodes,
            "batch_norm",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", kind, _SHAPES.get(between, shape))],
            [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        version = helper.make_opsetid("", opset)
        # From version 4 on initializers need not be inputs, which would keep them from folding.
        ir_version = max(4, helper.find_min_ir_version_for([version]))
        model = helper.make_model(graph, opset_imports=[version], ir_version=ir_version)
        onnx.checker.check_model(model)
        return model

    def arrived(self, model: Any, scene: Scene) -> Found:
        """What a model shows; what the layer is without are ones and zeros that do not count."""
        (node,) = model.graph.node
        held = {
            each.name: self.onnx.numpy_helper.to_array(each) for each in model.graph.initializer
        }
        named = {
            _SHOWN[name]: held[given] for name, given in zip(_SHOWN, node.input[1:], strict=True)
        }
        absent = {"gamma": scene.gamma is None, "beta": scene.beta is None}
        found = {name: array for name, array in named.items() if not absent.get(name, False)}
        read = {each.name: each.f for each in node.attribute}
        return found | settings(read["epsilon"], read["momentum"]) | {"y": self.run(model, scene.x)}


def _linear(scene: Scene, kind: str) -> dict[str, Array]:
    """The constants of what stands before the node."""
    eye = 2 * np.eye(scene.channels, dtype=scene.x.dtype)
    if kind == "MatMul":
        return {"weight": eye}
    return {"weight": eye[..., None, None], "bias": np.ones(scene.channels, scene.x.dtype)}


def _constants(scene: Scene) -> dict[str, Array]:
    """The node's other inputs; ones and zeros are what exporters write for nothing."""
    ones = np.ones(scene.channels, scene.x.dtype)
    held = (scene.gamma, scene.beta, scene.mean, scene.variance)
    fallback = (ones, ones * 0, ones * 0, ones)
    return {
        name: other if array is None else array
        for name, array, other in zip(_SHOWN, held, fallback, strict=True)
    }


def _written(bench: Bench, scene: Scene) -> Found:
    """After shape inference, in every format in turn, and with its constants in another file."""
    onnx = bench.onnx
    model = onnx.shape_inference.infer_shapes(bench.model(scene), strict_mode=True)
    with folder() as at, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The onnxtxt format is experimental", UserWarning)
        for form in ("protobuf", "textproto", "json", "onnxtxt"):
            onnx.save_model(model, at / form, format=form)
            model = onnx.load_model(at / form, format=form)
        onnx.save_model(
            model, str(at / "model"), save_as_external_data=True, size_threshold=0, location="data"
        )
        return bench.arrived(onnx.load_model(str(at / "model")), scene)


def _converted(bench: Bench, scene: Scene) -> Found:
    """From opset 9 to 7, and from there to 15; there is no way down from 14."""
    model = bench.model(scene, opset=9)
    for opset in (7, 15):
        model = bench.onnx.version_converter.convert_version(model, opset)
    bench.onnx.checker.check_model(model)
    return bench.arrived(model, scene)


def _optimized(bench: Bench, scene: Scene, *, level: str) -> Found:
    return {"y": _by_runtime(bench.model(scene), scene.x, level)}


def _folded(bench: Bench, scene: Scene, *, level: str) -> Found:
    return {"y_folded": _by_runtime(bench.model(scene, before="Conv"), scene.x, level)}


def _multiplied(bench: Bench, scene: Scene, *, level: str) -> Found:
    """A MatMul has no bias: 2 (x + 1/2) is 2 x + 1."""
    x = scene.x.reshape(scene.x.shape[:2]) + np.float32(0.5)
    y = _by_runtime(bench.model(scene, before="MatMul"), x, level)
    return {"y_folded": y.reshape(scene.x.shape)}


def _turned(bench: Bench, scene: Scene, *, between: str) -> Found:
    """Features are the rows of the MatMul, which has as many columns, and become axis 1 later."""
    samples = scene.x.reshape(scene.x.shape[:2])
    rows = np.concatenate([samples, samples[:1]]).T + np.float32(0.5)
    model = bench.model(scene, before="MatMul", between=between)
    y = _by_runtime(model, np.ascontiguousarray(rows), "ALL")
    y = y if between == "Transpose" else y[0].T
    return {"y_folded": np.ascontiguousarray(y[: len(samples)]).reshape(scene.x.shape)}


def _by_runtime(model: Any, x: Array, level: str) -> Array:
    """Optimized by ONNX Runtime, written, and run as it then is."""
    import onnxruntime

    levels, providers = onnxruntime.GraphOptimizationLevel, ["CPUExecutionProvider"]
    with folder() as at:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(levels, f"ORT_ENABLE_{level}")
        options.optimized_model_filepath = str(at / "optimized")
        # It warns that the most thorough level writes what only this machine can read.
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        plain = onnxruntime.SessionOptions()
        plain.graph_optimization_level = levels.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(at / "optimized"), plain, providers=providers)
    found: Array = session.run(None, {"x": x})[0]
    return found


def _in_training(bench: Bench, scene: Scene) -> Found:
    """Of a node in training mode only y is used."""
    model = bench.model(scene, training=True)
    return {"y_train": bench.run(model, scene.second if scene.second is not None else scene.x)}


Ways = Mapping[str, Callable[[Bench, Scene], Found]]

WAYS: Ways = {
    "export.onnx.written": _written,
    "export.onnx.converted": _converted,
    "export.onnx.equal_constants": _in_training,
}
"""By the experiment's name; for every evaluator."""

RUNTIME_WAYS: Ways = {
    **WAYS,
    "export.onnx.optimized": partial(_optimized, level="ALL"),
    "export.onnx.conv_basic": partial(_folded, level="BASIC"),
    "export.onnx.conv_extended": partial(_folded, level="EXTENDED"),
    "export.onnx.conv_all": partial(_folded, level="ALL"),
    "export.onnx.matmul": partial(_multiplied, level="ALL"),
    "export.onnx.matmul_transposed": partial(_turned, between="Transpose"),
    "export.onnx.matmul_reshaped": partial(_turned, between="Reshape"),
}
"""The same and those of ONNX Runtime."""


def observe(onnx: Any, run: Run, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`RUNTIME_WAYS`."""
    return travel(arrays, partial(RUNTIME_WAYS[experiment], Bench(onnx=onnx, run=run)))
