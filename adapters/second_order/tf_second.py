"""Second derivatives by TensorFlow: two tapes, or one and ``tf.autodiff.ForwardAccumulator``.

Eagerly, as the subjects do that have a function to call; and by ``tf.gradients`` twice in a graph
of TensorFlow 1, which has no forward mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnconform.adapters.second_order.request import Request
from bnconform.conformance.contract import Array


def observe(tf: Any, forward: Callable[..., Any], asked: Request) -> dict[str, Array]:
    """What ``asked`` wants to see of ``forward(x, *affine)``, a function of eager tensors."""
    sources = [tf.constant(array) for array in (asked.x, *asked.affine)]
    along = [tf.constant(array) for array in (asked.u, *asked.directions)]
    dy = tf.constant(asked.dy)
    if asked.forward:
        moved = _tangents(tf, forward, sources, along, dy)
        return asked.tangents([each.numpy() for each in moved])
    backwards = _of_vectorized if asked.vectorized else _second
    differentiate = _of_tangent if asked.over_forward else backwards
    found = differentiate(tf, forward, sources, along, dy)
    return asked.second([each.numpy() for each in found])


def _first(tf: Any, forward: Callable[..., Any], sources: list[Any], dy: Any) -> tuple[Any, Any]:
    """The output, and its gradients by x, gamma and beta."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        y = forward(*sources)
    return y, tape.gradient(y, sources, output_gradients=dy)


def _second(
    tf: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """Gradients of S by x, dy and gamma; zeros where S does not depend on one."""
    wanted = [sources[0], dy, *sources[1:2]]
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        _, first = _first(tf, forward, sources, dy)
        probe = _probe(tf, first, along)
    return tape.gradient(probe, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _of_vectorized(
    tf: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """The same, with gradients for dy and for u as rows of a Jacobian, all by one pfor."""
    wanted = [sources[0], dy, *sources[1:2]]
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        with tf.GradientTape() as inner:
            inner.watch(sources)
            y = forward(*sources)
            losses = tf.stack([tf.reduce_sum(y * each) for each in (dy, along[0])])
        rows = inner.jacobian(losses, sources, experimental_use_pfor=True)
        probe = _probe(tf, [each[0] for each in rows], along)
    return tape.gradient(probe, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _of_tangent(
    tf: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """The same, with S = sum(dy t), t the tangent of y."""
    wanted = [sources[0], dy, *sources[1:2]]
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        with tf.autodiff.ForwardAccumulator(sources, along) as accumulator:
            y = forward(*sources)
        probe = tf.reduce_sum(accumulator.jvp(y) * dy)
    return tape.gradient(probe, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _tangents(
    tf: Any, forward: Callable[..., Any], sources: list[Any], along: list[Any], dy: Any
) -> Any:
    """Tangents of y, dx and dgamma; zeros where one does not move."""
    with tf.autodiff.ForwardAccumulator(sources, along) as accumulator:
        y, first = _first(tf, forward, sources, dy)
    zero = tf.UnconnectedGradients.ZERO
    return accumulator.jvp([y, *first[:2]], unconnected_gradients=zero)


def _probe(tf: Any, first: Any, along: list[Any]) -> Any:
    """S."""
    return tf.add_n([tf.reduce_sum(g * each) for g, each in zip(first, along, strict=True)])


def observe_layer(tf: Any, asked: Request, *, fused: bool) -> dict[str, Array]:
    """The same of ``tf.compat.v1.layers.batch_normalization``, in a graph of its own."""
    v1, case, parameters = tf.compat.v1, asked.case, asked.parameters
    initial = {
        "gamma": parameters.gamma,
        "beta": parameters.beta,
        "moving_mean": parameters.running_mean,
        "moving_variance": parameters.running_var,
    }
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x, dy = tf.constant(asked.x), tf.constant(asked.dy)
        y = v1.layers.batch_normalization(
            x,
            axis=case.channel_axes[0],
            epsilon=case.epsilon,
            center=case.center,
            scale=case.scale,
            training=asked.training,
            fused=fused,
            **{
                f"{name}_initializer": v1.constant_initializer(value)
                for name, value in initial.items()
                if value is not None
            },
        )
        sources = [x, *v1.trainable_variables()]
        first = _first_in_graph(tf, y, sources, dy, asked)
        probe = _probe(tf, first, [asked.u, *asked.directions])
        wanted = [x, dy, *sources[1:2]]
        found = tf.gradients(probe, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        session.run(v1.global_variables_initializer())
        return asked.second([np.asarray(each) for each in session.run(found)])


def _first_in_graph(tf: Any, y: Any, sources: list[Any], dy: Any, asked: Request) -> Any:
    """Gradients of y by x, gamma and beta; where asked for, from one call for dy and u."""
    if not asked.vectorized:
        return tf.gradients(y, sources, grad_ys=dy)
    upstream = tf.stack([dy, tf.constant(asked.u)])
    rows = tf.vectorized_map(
        lambda each: tf.gradients(y, sources, grad_ys=each), upstream, fallback_to_while_loop=False
    )
    return [each[0] for each in rows]
