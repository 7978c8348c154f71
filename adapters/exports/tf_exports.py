"""Ways out of TensorFlow 2 and back, of functions whose variables the user keeps in a module."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bnconform.adapters.exports.scenes import Found, Scene, folder, travel
from bnconform.conformance.contract import Array, UnsupportedError

Normalize = Callable[[Any, Any, Any, Scene], Any]
"""TensorFlow, x, a module with gamma, beta, mean and variance, and settings -> y in inference."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """TensorFlow, and the subject's function."""

    tf: Any
    normalize: Normalize

    def module(self, scene: Scene, *, folds: bool = False) -> Any:
        """A ``tf.Module`` with ``infer``; before it 2 x + 1 as a convolution if it ``folds``."""
        tf = self.tf
        module = tf.Module()
        ones = np.ones(scene.channels, scene.x.dtype)
        module.gamma = tf.Variable(ones if scene.gamma is None else scene.gamma)
        module.beta = tf.Variable(ones * 0 if scene.beta is None else scene.beta)
        module.mean, module.variance = tf.Variable(scene.mean), tf.Variable(scene.variance)

        def infer(x: Any) -> Any:
            return self.normalize(tf, _doubled(tf, x) if folds else x, module, scene)

        shape = (None, *scene.x.shape[1:])
        module.infer = tf.function(infer, input_signature=[tf.TensorSpec(shape, scene.x.dtype)])
        return module

    def arrived(self, module: Any, scene: Scene) -> Found:
        """Output and variables of a module; what the layer is without is not shown."""
        held = {
            "gamma": None if scene.gamma is None else module.gamma,
            "beta": None if scene.beta is None else module.beta,
            "running_mean": module.mean,
            "running_var": module.variance,
        }
        found = {name: variable.numpy() for name, variable in held.items() if variable is not None}
        return found | {"y": module.infer(self.tf.constant(scene.x)).numpy()}

    def frozen(self, module: Any) -> Any:
        """The function with its variables as constants."""
        from tensorflow.python.framework import convert_to_constants

        freeze = convert_to_constants.convert_variables_to_constants_v2
        return freeze(module.infer.get_concrete_function())


def _doubled(tf: Any, x: Any) -> Any:
    kernel = np.float32(2) * np.eye(x.shape[-1], dtype=np.float32)[None, None]
    return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), np.ones(x.shape[-1], np.float32))


def _saved_model(bench: Bench, scene: Scene) -> Found:
    with folder() as at:
        bench.tf.saved_model.save(bench.module(scene), str(at))
        return bench.arrived(bench.tf.saved_model.load(str(at)), scene)


def _checkpoint(bench: Bench, scene: Scene) -> Found:
    """Settings are not in it: the fresh module gets them as the first did."""
    tf = bench.tf
    with folder() as at:
        path = tf.train.Checkpoint(module=bench.module(scene)).write(str(at / "layer"))
        fresh = bench.module(scene)
        for variable in fresh.variables:
            variable.assign(variable * 0 + 7)
        tf.train.Checkpoint(module=fresh).read(path).assert_consumed()
        return bench.arrived(fresh, scene)


def _frozen(bench: Bench, scene: Scene) -> Found:
    (y,) = bench.frozen(bench.module(scene))(bench.tf.constant(scene.x))
    return {"y": y.numpy()}


def _graph(bench: Bench, scene: Scene) -> tuple[Any, Any]:
    """A frozen function with a convolution before the layer, and its graph in writing."""
    function = bench.frozen(bench.module(scene, folds=True))
    return function, function.graph.as_graph_def()


def _run(bench: Bench, graph: Any, function: Any, x: Array) -> Found:
    """The output of a graph that an optimizer rewrote, run as it is."""
    left = {node.op for node in graph.node} & {"FusedBatchNormV3", "Rsqrt"}
    if left:
        msg = f"the optimizer left {', '.join(left)} where it was"
        raise UnsupportedError(msg)
    v1 = bench.tf.compat.v1
    options = v1.ConfigProto()
    options.graph_options.rewrite_options.disable_meta_optimizer = True
    with bench.tf.Graph().as_default() as made, v1.Session(graph=made, config=options) as session:
        bench.tf.import_graph_def(graph, name="")
        feeds = {function.inputs[0].name: x}
        return {"y_folded": session.run(function.outputs[0].name, feeds)}


def _grappler(bench: Bench, scene: Scene) -> Found:
    """The optimizer that every function passes before it runs."""
    from tensorflow.python.grappler import tf_optimizer

    function, graph = _graph(bench, scene)
    v1 = bench.tf.compat.v1
    meta = v1.train.export_meta_graph(graph_def=graph, graph=function.graph)
    kept = [tensor.name for tensor in (*function.inputs, *function.outputs)]
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return _run(bench, tf_optimizer.OptimizeGraph(v1.ConfigProto(), meta), function, scene.x)


def _function(bench: Bench, scene: Scene) -> Found:
    """A convolution and the layer as one function, which is rewritten before it runs."""
    tf = bench.tf
    kernel = tf.Variable(np.float32(2) * np.eye(scene.channels, dtype=np.float32)[None, None])
    module = bench.module(scene)
    infer = tf.function(
        lambda x: bench.normalize(tf, tf.nn.conv2d(x, kernel, 1, "SAME"), module, scene)
    )
    return {"y_folded": infer(tf.constant(scene.x + np.float32(0.5))).numpy()}


def _layouts(bench: Bench, scene: Scene) -> Found:
    """A convolution over the last axis before a layer over axis 1, which is as long, in a graph."""
    tf = bench.tf
    kernel = np.float32(2) * np.eye(scene.channels, dtype=np.float32)[None, None]
    x = np.repeat(scene.x, scene.channels, axis=-1) + np.float32(0.5)
    wide = replace(scene, x=x)
    module = bench.module(wide)

    def infer(x: Any) -> Any:
        return bench.normalize(tf, tf.nn.conv2d(x, kernel, 1, "SAME"), module, wide)

    module.infer = tf.function(infer, input_signature=[tf.TensorSpec(x.shape, x.dtype)])
    (y,) = bench.frozen(module)(tf.constant(x))
    return {"y_folded": y.numpy()[..., :1]}


def _lite(bench: Bench, scene: Scene, *, folds: bool) -> Found:
    module = bench.module(scene, folds=folds)
    functions = [module.infer.get_concrete_function()]
    model = bench.tf.lite.TFLiteConverter.from_concrete_functions(functions, module).convert()
    return {"y_folded" if folds else "y": run_lite(bench.tf, model, scene.x)}


def run_lite(tf: Any, model: bytes, x: Array) -> Array:
    """The output of a TensorFlow Lite model for ``x``."""
    with warnings.catch_warnings():
        # TensorFlow refers to the package ai_edge_litert, and still ships this one.
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(model_content=model, num_threads=1)
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    found: Array = interpreter.get_tensor(answer["index"])
    return found


WAYS: Mapping[str, Callable[[Bench, Scene], Found]] = {
    "export.tf.saved_model": _saved_model,
    "export.tf.saved_model_float64": _saved_model,
    "export.tf.checkpoint": _checkpoint,
    "export.tf.frozen": _frozen,
    "export.tf.frozen_float64": _frozen,
    "export.tf.grappler": _grappler,
    "export.tf.function": _function,
    "export.tf.layouts": _layouts,
    "export.tf.lite": partial(_lite, folds=False),
    "export.tf.lite_folded": partial(_lite, folds=True),
}
"""By the experiment's name."""

IN_FLOAT32 = frozenset(name for name in WAYS if "float64" not in name)
"""Those of them that need no float64."""


def observe(tf: Any, normalize: Normalize, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`WAYS`."""
    return travel(arrays, partial(WAYS[experiment], Bench(tf=tf, normalize=normalize)))


def by_nn(tf: Any, x: Any, module: Any, scene: Scene) -> Any:
    """Inference by ``tf.nn.batch_normalization``."""
    wide = [1] * scene.x.ndim
    wide[scene.axis] = scene.channels
    mean, variance, beta, gamma = (
        None if absent else tf.reshape(variable, wide)
        for variable, absent in (
            (module.mean, False),
            (module.variance, False),
            (module.beta, scene.beta is None),
            (module.gamma, scene.gamma is None),
        )
    )
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, scene.epsilon)


def by_fused(tf: Any, x: Any, module: Any, scene: Scene) -> Any:
    """Inference by ``tf.raw_ops.FusedBatchNormV3``, which takes ones and zeros for nothing."""
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=module.gamma,
        offset=module.beta,
        mean=module.mean,
        variance=module.variance,
        epsilon=scene.epsilon,
        data_format="NCHW" if scene.axis == 1 else "NHWC",
        is_training=False,
    ).y
