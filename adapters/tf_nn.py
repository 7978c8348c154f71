"""TensorFlow's ``tf.nn.moments`` and ``tf.nn.batch_normalization``, called eagerly.

Weights and masks go to ``tf.nn.weighted_moments``, in place of ``moments``.

The two functions keep no state: running statistics go in where the user has them (inference) and
never come out. Eager on purpose: a new shape costs nothing, while ``tf.function`` traces each anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bnconform.adapters.exports import tf_exports
from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.second_order import tf_second
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    RUNNING_STATISTICS,
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
from bnconform.conformance.variant import VariantKind

_DOCS = "https://www.tensorflow.org/api_docs/python/tf/nn/"
_SOURCE = "tensorflow/python/ops/nn_impl.py: "
_HALF = frozenset({DType.FLOAT16, DType.BFLOAT16})


class TfNn:
    """``batch_normalization`` over ``moments``, differentiated by ``tf.GradientTape``."""

    name: ClassVar[str] = "tf.nn"
    framework: ClassVar[str] = "tensorflow"
    environment: ClassVar[dict[str, str]] = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # This subject is TensorFlow on the CPU; a visible GPU would silently take the operations.
        "CUDA_VISIBLE_DEVICES": "-1",
        # A fixed number of threads gives the same split of a reduction on every machine, and two
        # keep that split under test.
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
    }
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.NONE, _DOCS + "batch_normalization"),
        default_momentum=Claim(None, _DOCS + "batch_normalization"),
        default_epsilon=Claim(None, _DOCS + "batch_normalization: variance_epsilon is required"),
        epsilon_floor=Claim(0.0, _SOURCE + "batch_normalization, variance + variance_epsilon"),
        running_variance=Claim(RunningVariance.NONE, _DOCS + "batch_normalization"),
        variance=Claim(VarianceAlgorithm.TWO_PASS, _DOCS + "moments: the true mean is used"),
        single_value=Claim(Policy.COMPUTES, _SOURCE + "moments, no check of the count"),
        empty_batch=Claim(Policy.COMPUTES, _SOURCE + "moments, no check of the count"),
        frozen=Claim(FrozenPolicy.NONE, _DOCS + "batch_normalization"),
        half_output=Claim(HalfOutput.INPUT, _SOURCE + "batch_normalization, cast(..., x.dtype)"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity) - RUNNING_STATISTICS - {Quantity.Y_INFER},
        variants=frozenset({VariantKind.PLAIN, VariantKind.MASKED, VariantKind.WEIGHTED}),
        # The function takes neither axes nor a momentum, and parameters of any shape that fits.
        passes_on=frozenset(
            {
                Malformation.RANK_TOO_LOW,
                Malformation.OTHER_CHANNELS,
                Malformation.ONE_CHANNEL,
                Malformation.NEGATIVE_EPSILON,
                Malformation.ZERO_EPSILON,
                Malformation.INTEGER_INPUT,
            }
        ),
        experiments=second_order.NAMES.union(tf_exports.WAYS),
        notes={
            "dtypes": "half precision in inference only: cannot compute Mul as input #1(zero-based)"
            " was expected to be a half tensor but is a float tensor",
            "modes": "stateless: nothing to freeze",
            "variants": "a mask is passed as frequency_weights of weighted_moments; stateless, so"
            " that there are no running statistics to correct towards or to leave out",
            "quantities": "stateless: no running statistics, hence no inference after training",
        },
    )

    def __init__(self) -> None:
        """Import TensorFlow; ImportError where it is absent."""
        import tensorflow as tf

        self.tf = tf
        self.version: str = tf.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold the parameters and the statistics that inference is to use.

        :class:`UnsupportedError` for half-precision training, see the notes in ``capabilities``.
        """
        if case.mode is Mode.TRAIN and case.dtype in _HALF:
            msg = (
                f"tf.nn.moments answers in {case.dtype} for {case.dtype} input, and"
                " tf.nn.batch_normalization does not mix those with float32 parameters"
            )
            raise UnsupportedError(msg)
        return _Layer(self.tf, case, parameters)

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the two functions; ways out of inference by them."""
        if experiment in tf_exports.WAYS:
            return tf_exports.observe(self.tf, tf_exports.by_nn, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        layer = self.build(asked.case, asked.parameters)

        def forward(x: Any, *affine: Any) -> Any:
            wide = [layer.widened(each) for each in affine]
            return layer.output(x, *(wide or (None, None)), by_batch=asked.training)

        return tf_second.observe(self.tf, forward, asked)


class _Layer:
    """The parameters as constants that broadcast against the input."""

    def __init__(self, tf: Any, case: Case, parameters: Parameters) -> None:
        self.tf, self.case = tf, case
        self.gamma = self._wide(parameters.gamma)
        self.beta = self._wide(parameters.beta)
        self.mean = self._wide(parameters.running_mean)
        self.var = self._wide(parameters.running_var)

    def train(
        self,
        x: Array,
        dy: Array,
        *,
        weights: Array | None = None,
        adjust_scale: Array | None = None,
        adjust_shift: Array | None = None,
    ) -> Step:
        """Normalize by the moments of ``x`` and differentiate through them."""
        del adjust_scale, adjust_shift  # They belong to a variant that tf.nn does not have.
        return self._call(x, dy, weights, by_batch=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the statistics that were given, which are constants."""
        return self._call(x, dy, None, by_batch=False)

    def _wide(self, values: Array | None) -> Any:
        """A constant with size 1 on every reduction axis: the general form that tf.nn documents."""
        return None if values is None else self.widened(self.tf.constant(values))

    def widened(self, tensor: Any) -> Any:
        """The same for a tensor."""
        sizes = enumerate(self.case.shape)
        wide = [size if axis in self.case.channel_axes else 1 for axis, size in sizes]
        return self.tf.reshape(tensor, wide)

    def output(self, x: Any, gamma: Any, beta: Any, *, by_batch: bool) -> Any:
        """The output, by the moments of ``x`` or by the statistics that were given."""
        mean, var = self._moments(x, None) if by_batch else (self.mean, self.var)
        return self.tf.nn.batch_normalization(x, mean, var, beta, gamma, self.case.epsilon)

    def _moments(self, x: Any, weights: Array | None) -> tuple[Any, Any]:
        """Wide mean and variance; a mask is cast to the input's format by TensorFlow."""
        axes, nn = self.case.reduction_axes, self.tf.nn
        if weights is None:
            mean, var = nn.moments(x, axes, keepdims=True)
        else:
            mean, var = nn.weighted_moments(x, axes, weights, keepdims=True)
        return mean, var

    def _call(self, x: Array, dy: Array, weights: Array | None, *, by_batch: bool) -> Step:
        tf, mean, var = self.tf, self.mean, self.var
        sources = {"x": tf.constant(x), "gamma": self.gamma, "beta": self.beta}
        sources = {name: source for name, source in sources.items() if source is not None}
        with tf.GradientTape() as tape:
            tape.watch(list(sources.values()))
            if by_batch:
                mean, var = self._moments(sources["x"], weights)
            y = tf.nn.batch_normalization(
                sources["x"], mean, var, self.beta, self.gamma, self.case.epsilon
            )
        found = tape.gradient(y, sources, output_gradients=tf.constant(dy))
        return Step(
            y=y.numpy(),
            batch_mean=self._narrow(mean) if by_batch else None,
            batch_var=self._narrow(var) if by_batch else None,
            # Integers have no gradient.
            dx=None if found["x"] is None else found["x"].numpy(),
            dgamma=self._narrow(found.get("gamma")),
            dbeta=self._narrow(found.get("beta")),
        )

    def _narrow(self, values: Any) -> Array | None:
        """A wide tensor without the reduction axes, all of size 1."""
        return None if values is None else values.numpy().squeeze(self.case.reduction_axes)
