"""TensorFlow's fused operation, ``tf.raw_ops.FusedBatchNormV3``, called eagerly.

``tf.compat.v1.nn.fused_batch_norm`` is this operation less its three reserve outputs, two of which
hold the batch statistics; its page is where the running averages are documented. Running
statistics are the user's to keep: the adapter carries them from call to call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bnconform.adapters.exports import tf_exports
from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.second_order import tf_second
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
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

_RAW = "https://www.tensorflow.org/api_docs/python/tf/raw_ops/FusedBatchNormV3"
_DOCS = "https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/fused_batch_norm"
_KERNEL = "tensorflow/core/kernels/fused_batch_norm_op.cc: FusedBatchNorm<CPUDevice>, "


class TfFused:
    """The fused operation with its own gradient."""

    name: ClassVar[str] = "tf.fused"
    framework: ClassVar[str] = "tensorflow"
    environment: ClassVar[dict[str, str]] = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # This subject is TensorFlow on the CPU; a visible GPU would silently take the operation,
        # and cuDNN's second reserve output is not a variance.
        "CUDA_VISIBLE_DEVICES": "-1",
        # A fixed number of threads gives the same split of a reduction on every machine, and two
        # keep that split under test.
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
    }
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.RATE, _DOCS + ": exponential_avg_factor, running_mean"),
        default_momentum=Claim(1.0, _DOCS),
        default_epsilon=Claim(1e-4, _RAW),
        epsilon_floor=Claim(0.0, "tensorflow/python/ops/nn_impl.py: fused_batch_norm passes it on"),
        running_variance=Claim(RunningVariance.UNBIASED, _KERNEL + "'Bessel's correction'"),
        variance=Claim(VarianceAlgorithm.TWO_PASS, _KERNEL + "x_centered.square().sum"),
        single_value=Claim(Policy.COMPUTES, _KERNEL + "rest_size_minus_one of at least 1"),
        empty_batch=Claim(Policy.COMPUTES, _KERNEL + "'If input is empty, return NaN'"),
        frozen=Claim(FrozenPolicy.NONE, _RAW),
        half_output=Claim(HalfOutput.INPUT, _RAW + ": y has the same type as x"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32}),
        ranks=frozenset({4, 5}),
        axes=Axes.CHANNEL_OR_LAST,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity),
        # There is no axis to give, only a data format.
        passes_on=frozenset(Malformation)
        - {Malformation.AXIS_OUT_OF_RANGE, Malformation.AXIS_REPEATED},
        experiments=second_order.NAMES | tf_exports.IN_FLOAT32,
        notes={
            "dtypes": "double is not in the list of allowed values: half, bfloat16, float",
            "ranks": "input must be 4-dimensional",
            "axes": "data_format is one of NHWC, NCHW, NDHWC, NCDHW",
            "modes": "an operation has nothing to freeze",
            "cumulative": "exponential_avg_factor is one number",
        },
    )

    def __init__(self) -> None:
        """Import TensorFlow; ImportError where it is absent."""
        import tensorflow as tf

        self.tf = tf
        self.version: str = tf.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold the parameters, and the running statistics between calls."""
        return _Layer(self.tf, case, parameters)

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the operation; ways out of inference by it."""
        if experiment in tf_exports.WAYS:
            return tf_exports.observe(self.tf, tf_exports.by_fused, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        layer = self.build(asked.case, asked.parameters)

        def forward(x: Any, *affine: Any) -> Any:
            scale, offset = affine or (layer.scale, layer.offset)
            old = (layer.mean, layer.var)
            return layer.output(x, scale, offset, old, training=asked.training).y

        return tf_second.observe(self.tf, forward, asked)


class _Layer:
    def __init__(self, tf: Any, case: Case, parameters: Parameters) -> None:
        self.tf, self.case = tf, case
        self.mean = tf.constant(parameters.running_mean)
        self.var = tf.constant(parameters.running_var)
        # The operation has no switch for its two affine inputs; ones and zeros is how
        # TensorFlow's own layers leave them out.
        ones, zeros = tf.ones_like(self.mean), tf.zeros_like(self.mean)
        self.scale = ones if parameters.gamma is None else tf.constant(parameters.gamma)
        self.offset = zeros if parameters.beta is None else tf.constant(parameters.beta)
        spatial = "HW" if case.rank == 4 else "DHW"
        last = case.channel_axes[0] == case.rank - 1
        self.data_format = f"N{spatial}C" if last else f"NC{spatial}"
        # None comes with inference alone, where the factor does not matter: this is its default.
        self.factor = 1.0 if case.decay is None else 1.0 - case.decay

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch and take over the running statistics that come out."""
        # Documented: with a factor of 1.0 there is no old average to pass.
        nothing = self.tf.constant([], self.mean.dtype)
        old = (nothing, nothing) if self.factor == 1.0 else (self.mean, self.var)
        out, dx, dgamma, dbeta = self._call(x, dy, old, training=True)
        self.mean, self.var = out.batch_mean, out.batch_variance
        batch = out.reserve_space_1.numpy(), out.reserve_space_2.numpy()
        return self._step(out, dx, dgamma, dbeta, batch)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, which stay as they are."""
        old = (self.mean, self.var)
        return self._step(*self._call(x, dy, old, training=False), (None, None))

    def output(
        self, x: Any, scale: Any, offset: Any, old: tuple[Any, Any], *, training: bool
    ) -> Any:
        """All outputs of the operation."""
        return self.tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=old[0],
            variance=old[1],
            epsilon=self.case.epsilon,
            exponential_avg_factor=self.factor,
            data_format=self.data_format,
            is_training=training,
        )

    def _call(
        self, x: Array, dy: Array, old: tuple[Any, Any], *, training: bool
    ) -> tuple[Any, Any, Any, Any]:
        """All outputs of the operation, and the gradients of x, scale and offset."""
        tf = self.tf
        leaf = tf.constant(x)
        sources = [leaf, self.scale, self.offset]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            out = self.output(leaf, self.scale, self.offset, old, training=training)
        return out, *tape.gradient(out.y, sources, output_gradients=tf.constant(dy))

    def _step(
        self, out: Any, dx: Any, dgamma: Any, dbeta: Any, batch: tuple[Array | None, Array | None]
    ) -> Step:
        return Step(
            y=out.y.numpy(),
            batch_mean=batch[0],
            batch_var=batch[1],
            running_mean=self.mean.numpy(),
            running_var=self.var.numpy(),
            # Integers, were they taken, would have no gradient.
            dx=None if dx is None else dx.numpy(),
            dgamma=dgamma.numpy() if self.case.scale else None,
            dbeta=dbeta.numpy() if self.case.center else None,
        )
