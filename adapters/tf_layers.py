"""TensorFlow 1's layer, ``tf.compat.v1.layers.BatchNormalization``, in graph mode.

``tf.compat.v1.layers.batch_normalization`` builds this class and calls it; the class is used
because its page, unlike the function's, documents lists of axes. Epsilon, momentum and the axes are
Python values in the graph, so there is a graph for every combination of them; batches of any size
and the training switch are fed. A tensor would be accepted as momentum and spare graphs, but takes
another path through the layer's rounding than the documented float, so it is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from bnconform.adapters import tf_layers_experiments
from bnconform.adapters.exports import tf_layers_exports
from bnconform.adapters.idle import Idle
from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.second_order import tf_second
from bnconform.adapters.tf_layers_program import Plan, Program, variant_options
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
    GhostGroups,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import VariantKind

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
    capabilities: ClassVar[Capabilities]
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
        self.idle = Idle[Program](_IDLE_PROGRAMS, lambda program: program.session.close())

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer that has a graph and a session to itself for as long as it lives.

        :class:`UnsupportedError` where TensorFlow builds another implementation than the one asked
        for, which it does without a word.
        """
        plan = Plan.of(case)
        program = self.idle.take(plan) or self._program(plan)
        layer = _Layer(program, case, parameters)
        self.idle.lend(layer, plan, program)
        return layer

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run an experiment in graphs of its own; see ``tf_layers_experiments.py``."""
        if experiment in tf_layers_exports.NAMES:
            return tf_layers_exports.observe(self.tf, experiment, arrays, fused=self.fused)
        if experiment in second_order.NAMES:
            asked = second_order.request(experiment, arrays, self.capabilities)
            return tf_second.observe_layer(self.tf, asked, fused=self.fused)
        return tf_layers_experiments.observe(self.tf, experiment, arrays, fused=self.fused)

    def _program(self, plan: Plan) -> Program:
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
                **variant_options(self.tf.compat.v1, plan),
            )
            program = Program(self.tf, graph, layer, plan)
        if layer.fused is not self.fused:
            program.session.close()
            msg = f"TensorFlow built the layer with fused={layer.fused}, asked for {self.fused}"
            raise UnsupportedError(msg)
        return program


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
        experiments=tf_layers_experiments.NAMES
        | second_order.SECOND
        | second_order.VECTORIZED_REVERSE
        | tf_layers_exports.names("fused"),
        passes_on=_PASSES_ON,
        notes={
            "dtypes": "_fused_can_be_used: float64 is built unfused",
            "ranks": "build: self.fused = rank in (4, 5) and ...",
            "axes": "build: axis 1 or the last, anything else is built unfused",
            "quantities": "the layer has no output for the batch statistics",
            "cumulative": "momentum is one number",
            "variants": "_raise_if_fused_cannot_be_used: renorm, virtual batches and an adjustment"
            " are built unfused",
        },
    )


class TfLayersUnfused(_TfLayers):
    """The layer over ``tf.nn.moments`` and ``tf.nn.batch_normalization`` (``fused=False``)."""

    name: ClassVar[str] = "tf.layers.unfused"
    fused: ClassVar[bool] = False
    dialect: ClassVar[Dialect] = replace(
        _dialect(
            Claim(
                RunningVariance.BIASED,
                "tensorflow/python/ops/nn_impl.py: moments, 'sample variance, not unbiased"
                " variance'",
            ),
            Claim(
                VarianceAlgorithm.TWO_PASS,
                "https://www.tensorflow.org/api_docs/python/tf/nn/moments: the true mean is used",
            ),
        ),
        ghost_groups=Claim(
            GhostGroups.INTERLEAVED,
            _LAYER + ".call, expanded_shape = [self.virtual_batch_size, -1], reduced along axis 0",
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        variants=frozenset(
            {VariantKind.PLAIN, VariantKind.RENORM, VariantKind.GHOST, VariantKind.ADJUSTED}
        ),
        experiments=tf_layers_experiments.NAMES
        | second_order.SECOND
        | second_order.VECTORIZED_REVERSE
        | tf_layers_exports.names("unfused"),
        passes_on=_PASSES_ON,
        notes={
            "quantities": "the layer has no output for the batch statistics",
            "cumulative": "momentum is one number",
        },
    )


class _Layer:
    """A program loaded with one case's parameters."""

    def __init__(self, program: Program, case: Case, parameters: Parameters) -> None:
        self.program, self.case = program, case
        program.load(parameters)

    def train(
        self,
        x: Array,
        dy: Array,
        *,
        weights: Array | None = None,
        adjust_scale: Array | None = None,
        adjust_shift: Array | None = None,
    ) -> Step:
        """Run the graph with ``training`` true, together with the update operations, if any."""
        del weights  # Belongs to variants that the layer does not have.
        return self._call(x, dy, adjust_scale, adjust_shift, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Run the graph with ``training`` false, and no update operations."""
        return self._call(x, dy, None, None, training=False)

    def forward(self, x: Array, *, training: bool) -> Step:
        """Only the output, together with the update operations in training."""
        return self._call(x, None, None, None, training=training)

    def _call(
        self,
        x: Array,
        dy: Array | None,
        scale: Array | None,
        shift: Array | None,
        *,
        training: bool,
    ) -> Step:
        program = self.program
        fetches = (program.forward if dy is None else program.full)[training]
        more = {} if program.adjustment is None else program.adjustment.feeds(scale, shift)
        return self._step(program.run(fetches, x, dy, more, training=training))

    def _step(self, found: dict[str, Array]) -> Step:
        """Statistics of several axes have the rank of the input, like (1, 3, 2, 1)."""
        shape = self.case.feature_shape
        images = ("y", "dx")
        return Step(**{k: v if k in images else v.reshape(shape) for k, v in found.items()})
