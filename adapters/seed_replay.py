"""The seeds' own programs through real ``tf.compat.v1.layers.batch_normalization``.

No subject: it answers no cases. The functions replay the blog's network and the question's calls
and hand back what TensorFlow answered, as plain numbers and messages. They need a process of their
own, prepared by :func:`prepare`, because TensorFlow reads its environment when it is imported.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import numpy as np

from bnconform.adapters.tf_layers import TfLayersUnfused
from bnconform.conformance.contract import Array

Pairs: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""A batch of the blog: x, and the function's values there."""

Declared: TypeAlias = Literal["as it comes", "tf.reshape", "set_shape"]
"""How a mini-batch of unknown size is given a static one."""

_BLOG_NAMES = ("w", "b", "gamma", "beta", "running_mean", "running_var", "w2", "b2")
_MESSAGE = re.compile(r"Incompatible shapes: .*|Input to reshape .*")


class Fate(StrEnum):
    """How far a call came."""

    ANSWERED = "answered"
    REJECTED_AT_BUILD = "rejected when the layer was built"
    REJECTED_AT_CALL = "rejected when a batch arrived"


@dataclass(frozen=True, kw_only=True)
class BlogStep:
    """One step of training; the variables by the names that the spec uses.

    ``hidden`` and ``output`` are the layer's input and its answer in inference mode, both before
    the step.
    """

    before: Mapping[str, float]
    hidden: tuple[float, ...]
    output: tuple[float, ...]
    after: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class BlogReplay:
    """All steps, and the fused kernels, of whatever kind, in the graph that was run."""

    steps: tuple[BlogStep, ...]
    kernels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One program of the question: batch norm of ``weights`` times the transposed mini-batch.

    ``x`` holds the samples; those left after whole mini-batches make a smaller last one.
    ``declared`` is what the program does about a mini-batch's unknown size, and ``optimized``
    whether TensorFlow may rewrite the graph, its default.
    """

    x: Array
    weights: Array
    batch: int
    axis: int
    declared: Declared
    optimized: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """What became of one call: one entry of ``outputs`` for each mini-batch that was answered."""

    fate: Fate
    error: str
    parameters: tuple[int, ...]
    outputs: tuple[Array, ...]
    running_mean: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Both seeds; ``unfused`` is the blog's network without fusing of graph operations."""

    version: str
    blog: BlogReplay
    unfused: BlogReplay
    attempts: tuple[Attempt, ...]


def prepare() -> None:
    """Set what TensorFlow reads when it is imported, and discard what it writes.

    Call this first, in a process that nothing else uses.
    """
    os.environ.update(TfLayersUnfused.environment)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    # The layer announces its age on every call; its age is what brings us here.
    warnings.filterwarnings("ignore", message="`tf.layers.batch_normalization` is deprecated")


def replay(batches: Sequence[Pairs], calls: Sequence[Call]) -> Replay:
    """Both seeds; ImportError where TensorFlow or its layer is absent."""
    return Replay(
        version=TfLayersUnfused().version,
        blog=replay_blog(batches),
        unfused=replay_blog(batches, remapper=False),
        attempts=tuple(attempt(call) for call in calls),
    )


def replay_blog(batches: Sequence[Pairs], *, remapper: bool = True) -> BlogReplay:
    """The blog's program. ``remapper`` lets TensorFlow fuse operations of the graph, its default.

    The order of the calls is the blog's: print everything, then train with the update operations.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        net = _blog_network(tf)
        names = dict(zip(_BLOG_NAMES, v1.global_variables(), strict=True))
        steps, kernels = [], set()
        with v1.Session(config=_config(tf, remapping=remapper)) as session:
            session.run(v1.global_variables_initializer())
            for x, target in batches:
                fed = {net["x"]: np.array([x]).T, net["target"]: np.array([target]).T}
                before = session.run(names)
                hidden, output = session.run([net["hidden"], net["bn"]], fed)
                kernels |= _train(tf, session, net, {**fed, net["training"]: True})
                found = BlogStep(
                    before=_numbers(before),
                    hidden=_row(hidden),
                    output=_row(output),
                    after=_numbers(session.run(names)),
                )
                steps.append(found)
    return BlogReplay(steps=tuple(steps), kernels=tuple(sorted(kernels)))


def _blog_network(tf: Any) -> dict[str, Any]:
    v1 = tf.compat.v1
    training = v1.placeholder_with_default(input=False, shape=())
    x, target = (v1.placeholder(tf.float32, (None, 1)) for _ in range(2))
    w, b = v1.Variable(tf.ones([1, 1])), v1.Variable(tf.ones([1]))
    hidden = tf.matmul(x, w) + b
    bn = v1.layers.batch_normalization(hidden, training=training, momentum=0.9)
    w2, b2 = v1.Variable(tf.ones([1, 1])), v1.Variable(tf.ones([1]))
    f = tf.sigmoid(tf.matmul(tf.sigmoid(bn), w2) + b2)
    loss = tf.reduce_mean(tf.abs(target - f))
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(updates):
        train = v1.train.GradientDescentOptimizer(0.5).minimize(loss)
    return {"training": training, "x": x, "target": target, "hidden": hidden, "bn": bn,
            "train": [train, updates]}  # fmt: skip


def _train(tf: Any, session: Any, net: Mapping[str, Any], fed: Mapping[Any, Any]) -> set[str]:
    """One step of training; the names of the fused kernels in the graph as it was run."""
    seen = tf.compat.v1.RunMetadata()
    options = tf.compat.v1.RunOptions(output_partition_graphs=True)
    session.run(net["train"], fed, options=options, run_metadata=seen)
    nodes = (node for graph in seen.partition_graphs for node in graph.node)
    return {_described(node) for node in nodes if "Fused" in node.op}


def _described(node: Any) -> str:
    parts = [part.decode() for part in node.attr["fused_ops"].list.s]
    return f"{node.op} ({', '.join(parts)})" if parts else str(node.op)


def attempt(call: Call) -> Attempt:
    """The question's layer on every mini-batch, in training mode."""
    import tensorflow as tf

    config = _config(tf, disable_meta_optimizer=not call.optimized)
    with tf.Graph().as_default():
        iterator, z = _question_input(tf, call)
        try:
            y = tf.compat.v1.layers.batch_normalization(z, axis=call.axis, training=True)
        except ValueError as error:
            return _rejected(Fate.REJECTED_AT_BUILD, error, ())
        variables = tf.compat.v1.global_variables()
        parameters = tuple(variables[0].shape.as_list())
        updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        try:
            # Without y first: beside it, it depends on the threads whether it fails or an update.
            _epoch(tf, config, iterator, [z, updates])
            answers, state = _epoch(tf, config, iterator, [y, updates])
        except tf.errors.InvalidArgumentError as error:
            return _rejected(Fate.REJECTED_AT_CALL, error, parameters)
    names = [variable.op.name.rpartition("/")[2] for variable in variables]
    return Attempt(
        fate=Fate.ANSWERED,
        error="",
        parameters=parameters,
        outputs=tuple(y for y, _ in answers),
        running_mean=_row(state[names.index("moving_mean")]),
    )


def _question_input(tf: Any, call: Call) -> tuple[Any, Any]:
    """The iterator over mini-batches, and what the layer gets of each."""
    dataset = tf.data.Dataset.from_tensor_slices(call.x).batch(call.batch)
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    rows, shape = iterator.get_next(), [call.batch, call.x.shape[1]]
    if call.declared == "tf.reshape":
        rows = tf.reshape(rows, shape)
    elif call.declared == "set_shape":
        rows.set_shape(shape)
    return iterator, tf.matmul(tf.constant(call.weights), tf.transpose(rows))


def _epoch(tf: Any, config: Any, iterator: Any, fetches: Any) -> tuple[list[Any], list[Array]]:
    """``fetches`` for every mini-batch from fresh variables, and the variables after them."""
    found = []
    with tf.compat.v1.Session(config=config) as session:
        session.run([tf.compat.v1.global_variables_initializer(), iterator.initializer])
        while True:
            try:
                found.append(session.run(fetches))
            except tf.errors.OutOfRangeError:
                return found, session.run(tf.compat.v1.global_variables())


def _config(tf: Any, *, remapping: bool = True, disable_meta_optimizer: bool = False) -> Any:
    """TensorFlow's defaults, but for the rewriting of graphs that is switched off."""
    config = tf.compat.v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.disable_meta_optimizer = disable_meta_optimizer
    if not remapping:
        rewriting.remapping = rewriting.OFF
    return config


def _rejected(fate: Fate, error: Exception, parameters: tuple[int, ...]) -> Attempt:
    """The message without the trace that TensorFlow puts around it."""
    found = _MESSAGE.search(str(error))
    text = found.group() if found else str(error).splitlines()[0]
    return Attempt(
        fate=fate, error=f"{type(error).__name__}: {text}", parameters=parameters, outputs=(),
        running_mean=(),
    )  # fmt: skip


def _numbers(values: Mapping[str, Array]) -> dict[str, float]:
    return {name: float(value.item()) for name, value in values.items()}


def _row(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values.ravel())
