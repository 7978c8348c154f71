"""The graph and the session around one ``tf.compat.v1.layers.BatchNormalization``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Parameters
from bnconform.conformance.formats import DType, compute_format
from bnconform.conformance.variant import Adjusted, Ghost, Renorm, Variant

_NOT_IN_TRAINING = 3.0
"""What an adjustment multiplies by and adds in inference, where nobody should see it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a graph is built for: all of a case but values, layouts and the size of the batch."""

    shape: tuple[int | None, ...]
    axes: tuple[int, ...]
    dtype: DType
    center: bool
    scale: bool
    trainable: bool
    epsilon: float
    momentum: float
    variant: Variant

    @classmethod
    def of(cls, case: Case) -> Plan:
        """The plan of ``case``."""
        batch = case.shape[0] if 0 in case.channel_axes else None
        return cls(
            shape=(batch, *case.shape[1:]),
            axes=case.feature_axes,
            dtype=case.dtype,
            center=case.center,
            scale=case.scale,
            trainable=case.mode is not Mode.FROZEN,
            epsilon=case.epsilon,
            # Without updates the momentum does not matter, and any number will do.
            momentum=1.0 if case.decay is None else case.decay,
            variant=case.variant,
        )


class Adjustment:
    """The callable that the layer asks for a scale and a shift: placeholders, fed at each call."""

    def __init__(self, v1: Any, plan: Plan) -> None:
        """Placeholders in the format of the parameters; call within the graph."""
        self.rank = len(plan.shape)
        self.format = compute_format(plan.dtype).numpy
        self.scale, self.shift = (v1.placeholder(self.format, [None] * self.rank) for _ in range(2))

    def __call__(self, _shape: Any) -> tuple[Any, Any]:
        """What the layer multiplies by and adds, whatever the shape of the input."""
        return self.scale, self.shift

    def feeds(self, scale: Array | None, shift: Array | None) -> dict[Any, Array]:
        """Values of both; None, in inference, stands for ones that would be noticed."""
        noticed = np.full([1] * self.rank, _NOT_IN_TRAINING, self.format)
        return {
            self.scale: noticed if scale is None else scale,
            self.shift: noticed if shift is None else shift,
        }


def variant_options(v1: Any, plan: Plan) -> dict[str, Any]:
    """The layer's arguments for the plan's variant; call within the graph."""
    match plan.variant:
        case Renorm(r_min=r_min, r_max=r_max, d_max=d_max, decay=decay):
            limits = {"rmin": r_min, "rmax": r_max, "dmax": d_max}
            given = {name: limit for name, limit in limits.items() if limit is not None}
            return {"renorm": True, "renorm_clipping": given, "renorm_momentum": decay}
        case Ghost(size=size):
            return {"virtual_batch_size": size}
        case Adjusted():
            return {"adjustment": Adjustment(v1, plan)}
        case _:
            return {}


class Program:
    """A graph around one layer, and the session that holds its variables."""

    def __init__(self, tf: Any, graph: Any, layer: Any, plan: Plan) -> None:
        """Build the calls, their gradients and what sets the variables; call within the graph."""
        v1 = tf.compat.v1
        self.x, self.dy = (v1.placeholder(plan.dtype.value, None) for _ in range(2))
        self.training = v1.placeholder(tf.bool, [])
        # What comes from an input pipeline has the shape that the program says, unchecked. Feeding
        # a placeholder of that shape would check it before the layer sees it.
        x, dy = tf.identity(self.x), tf.identity(self.dy)
        x.set_shape(plan.shape)
        dy.set_shape(plan.shape)
        self.adjustment: Adjustment | None = layer.adjustment
        outputs = self._outputs(layer, x, plan)
        # Once where training and inference are one tensor.
        different = dict.fromkeys(y.ref() for y in outputs.values())
        calls = {y: _differentiated(tf, layer, x, y.deref(), dy) for y in different}
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        self.full, self.forward = (
            {
                training: _then_state(tf, layer, fetched, updates if training else [])
                for training, fetched in fetches.items()
            }
            for fetches in (
                {training: calls[y.ref()] for training, y in outputs.items()},
                {training: {"y": y} for training, y in outputs.items()},
            )
        )
        variables = [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]
        if isinstance(plan.variant, Renorm):
            variables += [layer.renorm_mean, layer.renorm_stddev, layer.moving_stddev]
        self.values = [None if v is None else v1.placeholder(v.dtype, v.shape) for v in variables]
        pairs = zip(variables, self.values, strict=True)
        self.assign = tf.group([v.assign(value) for v, value in pairs if v is not None])
        self.session = v1.Session(graph=graph)

    def _outputs(self, layer: Any, x: Any, plan: Plan) -> dict[bool, Any]:
        """The output in training and in inference: one tensor, switched by what is fed.

        Virtual batches are there only where ``training`` is known when the graph is built, so that
        such a layer is called twice; see the experiment 'training.virtual_batches'.
        """
        if isinstance(plan.variant, Ghost):
            return {training: layer(x, training=training) for training in (True, False)}
        return dict.fromkeys((True, False), layer(x, training=self.training))

    def load(self, parameters: Parameters) -> None:
        """Set the variables; this adds nothing to the graph."""
        p = parameters
        arrays = [p.gamma, p.beta, p.running_mean, p.running_var]
        arrays += [p.renorm_mean, p.renorm_stddev, p.running_stddev]
        values = zip(self.values, arrays[: len(self.values)], strict=True)
        feeds = {at: v.reshape(at.shape) for at, v in values if at is not None and v is not None}
        self.session.run(self.assign, feeds)

    def run(
        self, fetches: Any, x: Array, dy: Array | None, more: dict[Any, Array], *, training: bool
    ) -> dict[str, Array]:
        """One call of the session; without ``dy``, the fetches must not need it."""
        feeds = {self.x: x, self.training: training, **more}
        found: dict[str, Array] = self.session.run(
            fetches, feeds if dy is None else feeds | {self.dy: dy}
        )
        return found


def _differentiated(tf: Any, layer: Any, x: Any, y: Any, dy: Any) -> dict[str, Any]:
    """The output and the gradients of sum(y dy)."""
    sources = {"dx": x, "dgamma": layer.gamma, "dbeta": layer.beta}
    sources = {name: source for name, source in sources.items() if source is not None}
    gradients = tf.gradients(y, list(sources.values()), grad_ys=dy)
    return {"y": y, **dict(zip(sources, gradients, strict=True))}


def _then_state(tf: Any, layer: Any, call: dict[str, Any], updates: list[Any]) -> Any:
    """What to fetch: the call, and the running statistics as they are when all else is done."""
    with tf.control_dependencies([*call.values(), *updates]):
        mean, var = layer.moving_mean.read_value(), layer.moving_variance.read_value()
    return {**call, "running_mean": mean, "running_var": var}
