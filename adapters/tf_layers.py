"""TensorFlow 1's layer, ``tf.compat.v1.layers.BatchNormalization``, in graph mode.

``tf.compat.v1.layers.batch_normalization`` builds this class and calls it; the class is used
because its page, unlike the function's, documents lists of axes. Epsilon, momentum and the axes are
Python values in the graph, so there is a graph for every combination of them; batches of any size
and the training switch are fed. A tensor would be accepted as momentum and spare graphs, but takes
another path through the layer's rounding than the documented float, so it is not used.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    BATCH_STATISTICS,
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation

_DOCS = "https://www.tensorflow.org/api_docs/python/tf/compat/v1/layers/BatchNormalization"
_LAYER = "tf_keras/src/layers/normalization/batch_normalization.py: BatchNormalizationBase"
_IDLE_PROGRAMS = 32
"""Programs kept for the next layer of the same plan. A campaign asks the cases of one signature in
a row; building a program costs far more than running it, and keeping one takes megabytes."""


_PASSES_ON = frozenset(
    {
        Malformation.RANK_TOO_LOW,
        Malformation.OTHER_CHANNELS,
        Malformation.ONE_CHANNEL,
        Malformation.AXIS_OUT_OF_RANGE,
        Malformation.AXIS_REPEATED,
        Malformation.NEGATIVE_EPSILON,
        Malformation.ZERO_EPSILON,
        Malformation.DECAY_ABOVE_ONE,
        Malformation.NEGATIVE_DECAY,
    }
)
"""Variables get their shape from the layer, and the dtype of the input is that of the plan."""


def _dialect(running: Claim[RunningVariance], variance: Claim[VarianceAlgorithm]) -> Dialect:
    """What both implementations document, and the two claims in which they differ."""
    return Dialect(
        momentum=Claim(MomentumSense.DECAY, _LAYER + ", 'moving_mean * momentum + ...'"),
        default_momentum=Claim(0.99, _DOCS),
        default_epsilon=Claim(1e-3, _DOCS),
        epsilon_floor=Claim(0.0, _DOCS + ": small float added to variance"),
        running_variance=running,
        variance=variance,
        single_value=Claim(Policy.COMPUTES, _LAYER + ", no check of the count"),
        empty_batch=Claim(Policy.COMPUTES, _LAYER + ", no check of the count"),
        frozen=Claim(
            FrozenPolicy.BATCH_STATISTICS,
            _LAYER + "._get_training_value without version 2 behavior;"
            " tf_keras/src/engine/base_layer_v1.py: Layer.updates",
        ),
        half_output=Claim(HalfOutput.INPUT, _LAYER + ".call, cast(outputs, inputs_dtype)"),
    )


class _TfLayers:
    """What both implementations of the layer have in common."""

    fused: ClassVar[bool]
    framework: ClassVar[str] = "tensorflow"
    environment: ClassVar[dict[str, str]] = {
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # These subjects are TensorFlow on the CPU; a visible GPU would silently take the graph.
        "CUDA_VISIBLE_DEVICES": "-1",
        # A fixed number of threads gives the same split of a reduction on every machine, and two
        # keep that split under test.
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
    }

    def __init__(self) -> None:
        """Import TensorFlow and the layer; ImportError where either is absent."""
        import tensorflow as tf

        try:
            self.layer_class = tf.compat.v1.layers.BatchNormalization
        except AttributeError as error:
            msg = "tf.compat.v1.layers needs tf_keras and, before the import, TF_USE_LEGACY_KERAS=1"
            raise ImportError(msg) from error
        self.tf = tf
        self.version: str = tf.__version__
        self.device = "cpu"
        self._idle: dict[_Plan, _Program] = {}

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer that has a graph and a session to itself for as long as it lives.

        :class:`UnsupportedError` where TensorFlow builds another implementation than the one asked
        for, which it does without a word.
        """
        plan = _Plan.of(case)
        program = self._idle.pop(plan, None) or self._program(plan)
        layer = _Layer(program, case, parameters)
        weakref.finalize(layer, self._give_back, plan, program).atexit = False
        return layer

    def _program(self, plan: _Plan) -> _Program:
        axes = plan.axes[0] if len(plan.axes) == 1 else list(plan.axes)
        graph = self.tf.Graph()
        with graph.as_default():
            layer = self.layer_class(
                axis=axes,
                momentum=plan.momentum,
                epsilon=plan.epsilon,
                center=plan.center,
                scale=plan.scale,
                trainable=plan.trainable,
                fused=self.fused,
            )
            program = _Program(self.tf, graph, layer, plan)
        if layer.fused is not self.fused:
            program.session.close()
            msg = f"TensorFlow built the layer with fused={layer.fused}, asked for {self.fused}"
            raise UnsupportedError(msg)
        return program

    def _give_back(self, plan: _Plan, program: _Program) -> None:
        """Keep ``program`` for the next layer of this plan, and close the one kept longest."""
        if plan in self._idle:
            program.session.close()
            return
        self._idle[plan] = program
        if len(self._idle) > _IDLE_PROGRAMS:
            self._idle.pop(next(iter(self._idle))).session.close()


class TfLayersFused(_TfLayers):
    """The layer over the fused operation (``fused=True``)."""

    name: ClassVar[str] = "tf.layers.fused"
    fused: ClassVar[bool] = True
    dialect: ClassVar[Dialect] = _dialect(
        Claim(
            RunningVariance.UNBIASED,
            _LAYER + "._fused_batch_norm, 'computed by fused batch norm is with Bessel's'",
        ),
        Claim(
            VarianceAlgorithm.TWO_PASS,
            "tensorflow/core/kernels/fused_batch_norm_op.cc: FusedBatchNorm<CPUDevice>",
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32}),
        ranks=frozenset({4, 5}),
        axes=Axes.CHANNEL_OR_LAST,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        passes_on=_PASSES_ON,
        notes={
            "dtypes": "_fused_can_be_used: float64 is built unfused",
            "ranks": "build: self.fused = rank in (4, 5) and ...",
            "axes": "build: axis 1 or the last, anything else is built unfused",
            "quantities": "the layer has no output for the batch statistics",
            "cumulative": "momentum is one number",
        },
    )


class TfLayersUnfused(_TfLayers):
    """The layer over ``tf.nn.moments`` and ``tf.nn.batch_normalization`` (``fused=False``)."""

    name: ClassVar[str] = "tf.layers.unfused"
    fused: ClassVar[bool] = False
    dialect: ClassVar[Dialect] = _dialect(
        Claim(
            RunningVariance.BIASED,
            "tensorflow/python/ops/nn_impl.py: moments, 'sample variance, not unbiased variance'",
        ),
        Claim(
            VarianceAlgorithm.TWO_PASS,
            "https://www.tensorflow.org/api_docs/python/tf/nn/moments: the true mean is used",
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        passes_on=_PASSES_ON,
        notes={
            "quantities": "the layer has no output for the batch statistics",
            "cumulative": "momentum is one number",
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a graph is built for: all of a case but values, layouts and the size of the batch."""

    shape: tuple[int | None, ...]
    axes: tuple[int, ...]
    dtype: DType
    center: bool
    scale: bool
    trainable: bool
    epsilon: float
    momentum: float

    @classmethod
    def of(cls, case: Case) -> _Plan:
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
        )


class _Program:
    """A graph around one layer, and the session that holds its variables."""

    def __init__(self, tf: Any, graph: Any, layer: Any, plan: _Plan) -> None:
        v1 = tf.compat.v1
        self.x, self.dy = (v1.placeholder(plan.dtype.value, None) for _ in range(2))
        self.training = v1.placeholder(tf.bool, [])
        # What comes from an input pipeline has the shape that the program says, unchecked. Feeding
        # a placeholder of that shape would check it before the layer sees it.
        x, dy = tf.identity(self.x), tf.identity(self.dy)
        x.set_shape(plan.shape)
        dy.set_shape(plan.shape)
        y = layer(x, training=self.training)
        sources = {"dx": x, "dgamma": layer.gamma, "dbeta": layer.beta}
        sources = {name: source for name, source in sources.items() if source is not None}
        gradients = tf.gradients(y, list(sources.values()), grad_ys=dy)
        call = {"y": y, **dict(zip(sources, gradients, strict=True))}
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        self.infer = self._then_state(tf, layer, call, [])
        self.train = self._then_state(tf, layer, call, updates)
        self.forward = {
            training: self._then_state(tf, layer, {"y": y}, updates if training else [])
            for training in (True, False)
        }
        variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
        self.values = [None if v is None else v1.placeholder(v.dtype, v.shape) for v in variables]
        pairs = zip(variables, self.values, strict=True)
        self.assign = tf.group([v.assign(value) for v, value in pairs if v is not None])
        self.session = v1.Session(graph=graph)

    @staticmethod
    def _then_state(tf: Any, layer: Any, call: dict[str, Any], updates: list[Any]) -> Any:
        """What to fetch: the call, and the running statistics as they are when all else is done."""
        with tf.control_dependencies([*call.values(), *updates]):
            mean, var = layer.moving_mean.read_value(), layer.moving_variance.read_value()
        return {**call, "running_mean": mean, "running_var": var}

    def load(self, parameters: Parameters) -> None:
        """Set the variables; this adds nothing to the graph."""
        p = parameters
        values = zip(self.values, (p.gamma, p.beta, p.running_mean, p.running_var), strict=True)
        feeds = {at: v.reshape(at.shape) for at, v in values if at is not None and v is not None}
        self.session.run(self.assign, feeds)

    def run(
        self, fetches: Any, x: Array, dy: Array | None, *, training: bool
    ) -> dict[str, Array]:
        """One call of the session; without ``dy``, the fetches must not need it."""
        feeds = {self.x: x, self.training: training} | ({} if dy is None else {self.dy: dy})
        found: dict[str, Array] = self.session.run(fetches, feeds)
        return found


class _Layer:
    """A program loaded with one case's parameters."""

    def __init__(self, program: _Program, case: Case, parameters: Parameters) -> None:
        self.program, self.case = program, case
        program.load(parameters)

    def train(self, x: Array, dy: Array) -> Step:
        """Run the graph with ``training`` true, together with the update operations, if any."""
        return self._step(self.program.run(self.program.train, x, dy, training=True))

    def infer(self, x: Array, dy: Array) -> Step:
        """Run the graph with ``training`` false, and no update operations."""
        return self._step(self.program.run(self.program.infer, x, dy, training=False))

    def forward(self, x: Array, *, training: bool) -> Step:
        """Only the output, together with the update operations in training."""
        fetches = self.program.forward[training]
        return self._step(self.program.run(fetches, x, None, training=training))

    def _step(self, found: dict[str, Array]) -> Step:
        """Statistics of several axes have the rank of the input, like (1, 3, 2, 1)."""
        shape = self.case.feature_shape
        images = ("y", "dx")
        return Step(**{k: v if k in images else v.reshape(shape) for k, v in found.items()})
