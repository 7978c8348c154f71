"""Ways out of TensorFlow 1 and back: sessions, graphs and collections with the layer in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bnconform.adapters.exports.scenes import Found, Scene, folder, travel
from bnconform.conformance.contract import Array, UnsupportedError

_SHOWN = {
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """TensorFlow, and the value of ``fused`` that the subject stands for."""

    tf: Any
    fused: bool

    @property
    def v1(self) -> Any:
        """The API of TensorFlow 1."""
        return self.tf.compat.v1

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session on a fresh graph."""
        with self.tf.Graph().as_default() as graph, self.v1.Session(graph=graph) as session:
            yield session

    def layer(
        self, scene: Scene, *, switch: bool = True, folds: bool = False, shared: bool = False
    ) -> None:
        """Build x, training and y into the graph, 2 x + 1 before the layer if it ``folds``.

        Without a ``switch`` the graph is one of inference alone; ``shared`` lets another batch norm
        use what comes before the layer, too.
        """
        tf, v1 = self.tf, self.v1
        x = v1.placeholder(scene.x.dtype, scene.x.shape, name="x")
        off = np.zeros((), bool)
        training = v1.placeholder_with_default(off, (), name="training") if switch else False
        # Without a bias the caller adds 1/2 to x.
        inputs = self.doubled(x, bias=not shared and scene.axis != 1) if folds else x
        if shared:
            sevens = np.full((4, scene.channels), 7, np.float32)
            self.v1.nn.fused_batch_norm(inputs, *sevens, is_training=False, name="other")
            # All of them are positive; the layer itself is not folded any more.
            inputs = tf.nn.relu(inputs)
        held = (scene.gamma, scene.beta, scene.mean, scene.variance)
        layer = v1.layers.BatchNormalization(
            axis=scene.axis,
            momentum=scene.decay,
            epsilon=scene.epsilon,
            center=scene.beta is not None,
            scale=scene.gamma is not None,
            fused=self.fused,
            name="layer",
            **{
                f"{name}_initializer": v1.constant_initializer(value)
                for name, value in zip(_SHOWN, held, strict=True)
                if value is not None
            },
        )
        y = layer.apply(inputs, training=training)
        if layer.fused is not self.fused:
            msg = f"TensorFlow built the layer with fused={layer.fused}, asked for {self.fused}"
            raise UnsupportedError(msg)
        tf.identity(y, name="y")
        v1.get_collection_ref(v1.GraphKeys.UPDATE_OPS)[:] = layer.updates

    def doubled(self, x: Any, *, bias: bool) -> Any:
        """2 x + 1 over the last axis; 2 x without ``bias``."""
        channels, nn = x.shape[-1], self.v1.nn
        kernel = np.float32(2) * np.eye(channels, dtype=np.float32)[None, None]
        z = nn.conv2d(x, kernel, padding="SAME")
        return nn.bias_add(z, np.ones(channels, np.float32)) if bias else z

    def start(self, session: Any, scene: Scene) -> None:
        """Initial values, and the first training step if any."""
        session.run(self.v1.global_variables_initializer())
        if scene.first is not None:
            self.train(session, scene.first)

    def train(self, session: Any, batch: Array) -> Array:
        """y of a training step, which runs what is in UPDATE_OPS."""
        updates = self.v1.get_collection(self.v1.GraphKeys.UPDATE_OPS)
        y, _ = session.run(["y:0", updates], {"x:0": batch, "training:0": True})
        found: Array = y
        return found

    def state(self, session: Any) -> Found:
        """Parameters and running statistics."""
        named = {v.op.name.rpartition("/")[2]: v for v in self.v1.global_variables()}
        values = session.run({name: named[name] for name in _SHOWN if name in named})
        return {_SHOWN[name]: value.reshape(-1) for name, value in values.items()}

    def arrived(self, session: Any, scene: Scene) -> Found:
        """What a session shows once the layer has arrived in it."""
        found = self.state(session) | {"y": session.run("y:0", {"x:0": scene.x})}
        if scene.second is None:
            return found
        y = self.train(session, scene.second)
        after = self.state(session)
        more = {"next_mean": after["running_mean"], "next_var": after["running_var"]}
        return found | {"y_train": y} | more


def _saver(bench: Bench, scene: Scene) -> Found:
    """Settings are not in it: the fresh graph gets them as the first did."""
    with folder() as at:
        with bench.session() as session:
            bench.layer(scene)
            bench.start(session, scene)
            path = bench.v1.train.Saver().save(session, str(at / "layer"))
        with bench.session() as session:
            bench.layer(scene)
            bench.v1.train.Saver().restore(session, path)
            return bench.arrived(session, scene)


def _meta_graph(bench: Bench, scene: Scene) -> Found:
    """The collection UPDATE_OPS must come along, or nobody trains."""
    with folder() as at:
        with bench.session() as session:
            bench.layer(scene)
            bench.start(session, scene)
            path = bench.v1.train.Saver().save(session, str(at / "layer"))
        with bench.session() as session:
            bench.v1.train.import_meta_graph(f"{path}.meta").restore(session, path)
            return bench.arrived(session, scene)


def _saved_model(bench: Bench, scene: Scene) -> Found:
    saved = bench.v1.saved_model
    with folder() as parent:
        at = str(Path(parent) / "model")
        with bench.session() as session:
            bench.layer(scene)
            bench.start(session, scene)
            with _deprecated():
                builder = saved.Builder(at)
                builder.add_meta_graph_and_variables(session, [saved.tag_constants.SERVING])
                builder.save()
        with bench.session() as session, _deprecated():
            saved.load(session, [saved.tag_constants.SERVING], at)
            return bench.arrived(session, scene)


def _frozen(bench: Bench, scene: Scene) -> Found:
    with bench.session() as session:
        bench.layer(scene)
        bench.start(session, scene)
        graph = _constants(bench, session, ["y"])
    return {"y": _run(bench, graph, scene.x)}


def _frozen_inference(
    bench: Bench, scene: Scene, *, folds: bool = False, shared: bool = False
) -> Found:
    """The usual way: the trained variables are restored into a graph of inference alone."""
    with folder() as at:
        with bench.session() as session:
            bench.layer(scene)
            bench.start(session, scene)
            path = bench.v1.train.Saver().save(session, str(at / "layer"))
        with bench.session() as session:
            bench.layer(scene, switch=False, folds=folds, shared=shared)
            bench.v1.train.Saver().restore(session, path)
            ends = ["y", "other"] if shared else ["y"]
            graph = _constants(bench, session, ends)
    graph = _optimized(bench, graph, ends) if folds else graph
    x = scene.x + np.float32(0.5) if shared else scene.x
    return {"y_folded" if folds else "y": _run(bench, graph, x)}


def _layouts(bench: Bench, scene: Scene) -> Found:
    """A convolution over the last axis before a layer over axis 1, which is as long."""
    x = np.repeat(scene.x, scene.channels, axis=-1) + np.float32(0.5)
    with bench.session() as session:
        bench.layer(replace(scene, x=x), switch=False, folds=True)
        bench.start(session, scene)
        return {"y_folded": session.run("y:0", {"x:0": x})[..., :1]}


def _optimized(bench: Bench, graph: Any, ends: list[str]) -> Any:
    from tensorflow.python.tools import optimize_for_inference_lib

    kind = bench.tf.float32.as_datatype_enum
    with _deprecated():
        graph = optimize_for_inference_lib.optimize_for_inference(graph, ["x"], ends, kind)
    left = [node.name for node in graph.node if node.op == "FusedBatchNormV3"]
    if len(left) == len(ends):
        msg = f"optimize_for_inference left {', '.join(left)} where it was"
        raise UnsupportedError(msg)
    return graph


def _constants(bench: Bench, session: Any, ends: list[str]) -> Any:
    """The graph up to its ``ends`` with its variables as constants."""
    graph = session.graph.as_graph_def()
    with _deprecated():
        return bench.v1.graph_util.convert_variables_to_constants(session, graph, ends)


def _run(bench: Bench, graph: Any, x: Array) -> Array:
    """The output of a graph."""
    with bench.session() as session:
        bench.tf.import_graph_def(graph, name="")
        found: Array = session.run("y:0", {"x:0": x})
        return found


@contextmanager
def _deprecated() -> Iterator[None]:
    """All of TensorFlow 1 is, which is no reason to be wrong."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


_WAYS: Mapping[str, Callable[[Bench, Scene], Found]] = {
    "saver": _saver,
    "meta_graph": _meta_graph,
    "saved_model": _saved_model,
    "frozen": _frozen,
    "frozen_inference": _frozen_inference,
    "layouts": _layouts,
    "optimized": partial(_frozen_inference, folds=True),
    "optimized_shared": partial(_frozen_inference, folds=True, shared=True),
}


NAMES = frozenset(f"export.tf.layers.{k}.{w}" for k in ("fused", "unfused") for w in _WAYS)
"""Every experiment of either implementation."""


def names(kind: str) -> frozenset[str]:
    """The experiments of one implementation, 'fused' or 'unfused'.

    ``optimize_for_inference`` folds the fused operation and no other.
    """
    known = _WAYS.keys() - ({"optimized", "optimized_shared"} if kind == "unfused" else set())
    return frozenset(f"export.tf.layers.{kind}.{name}" for name in known)


def observe(tf: Any, experiment: str, arrays: Mapping[str, Array], *, fused: bool) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :func:`names`."""
    way = _WAYS[experiment.rpartition(".")[2]]
    return travel(arrays, partial(way, Bench(tf=tf, fused=fused)))
