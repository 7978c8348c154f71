"""Miniatures that answer in the wrong form: shapes, formats, errors, side effects."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from bnconform.adapters.miniatures.layer import Found
from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array, Step
from bnconform.conformance.explanation.names import Why
from bnconform.conformance.formats import NUMPY_DTYPES, DType
from bnconform.conformance.selftest.planted import Form
from bnconform.conformance.verdict import Cause


@plants(
    Cause.WRONG_SHAPE,
    source="rwth-i6/returnn#170: statistics kept in a shape that broadcasts, and loaded in another",
)
class StatisticsKeepAxes(Right):
    """Batch statistics keep the axes that were reduced, with size 1."""

    def exposed(self, wide: Array) -> Array:
        """As they broadcast."""
        return wide


@plants(
    Cause.WRONG_SHAPE,
    source="keras-team/keras#11123: squeeze makes a scalar of one channel",
    where=("channels",),
)
class OneChannelSqueezed(Right):
    """Gradients of the parameters of a single channel lose their axis."""

    def gradient(self, wide: Array) -> Array:
        """Squeezed, which for one channel is a scalar."""
        right = super().gradient(wide)
        return right.reshape(()) if right.shape == (1,) else right


@plants(
    Cause.WRONG_FORMAT,
    source="FluxML/Flux.jl#260: the output has another format than the input",
    where=("dtype",),
)
class HalfGivesFloat(Right):
    """The output of a half-precision input stays in float32, though documented otherwise."""

    def rounded(self, values: Array, dtype: np.dtype[Any]) -> Array:
        """As it was computed."""
        return values if dtype.itemsize == 2 else super().rounded(values, dtype)


@plants(
    Cause.WRONG_FORMAT,
    Why.FLOAT64_IN_FLOAT32,
    source="keras-team/keras#11198: float64 layers where float32 is taken for granted",
    where=("dtype",),
)
class StateInFloat32(Right):
    """Statistics and gradients of a float64 layer are given out in float32."""

    def kept(self, wide: Array) -> Array:
        """Never more than 32 bits."""
        right = super().kept(wide)
        return right.astype(np.float32) if right.dtype.itemsize == 8 else right


@plants(
    Cause.INPUT_OVERWRITTEN,
    source="PaddlePaddle/Paddle#9420: batch normalization in place by default",
)
class WritesIntoInput(Right):
    """The input is centred in place once y is known."""

    def train(self, x: Array, dy: Array) -> Step:
        """Its buffer served for xhat."""
        step = super().train(x, dy)
        x[...] = x - x.dtype.type(1)
        return step


@plants(
    Cause.INPUT_OVERWRITTEN,
    source="nntrainer/nntrainer#810: buffers of inputs and outputs used again",
)
class WritesIntoUpstream(Right):
    """dx is written over the upstream gradient."""

    def train(self, x: Array, dy: Array) -> Step:
        """Its buffer is not needed any more, or so it seems."""
        step = super().train(x, dy)
        dy[...] = step.dx
        return step


@plants(
    Cause.INPUT_OVERWRITTEN,
    source="pytorch/pytorch#46808: running_mean is declared const and modified in place",
)
class WritesIntoState(Right):
    """The running mean is updated inside the array that the caller gave."""

    def updated_mean(self, mu: Array) -> Array:
        """A view of what came in, not a copy."""
        self.mean[...] = super().updated_mean(mu)
        return self.mean


@plants(
    Form.WRONG_CONTRACT,
    source="pytorch/pytorch#7716: one value per channel is rejected; other frameworks answer",
)
class RejectsOneValue(Right):
    """One value per channel is rejected, though documented otherwise."""

    def check(self, x: Array) -> None:
        """ValueError for one value, too."""
        super().check(x)
        if self.count(x) == 1:
            msg = f"expected more than 1 value per channel, got an input of shape {x.shape}"
            raise ValueError(msg)


@plants(
    Form.WRONG_CONTRACT, source="pytorch/pytorch#12013: an empty batch left NaN in the running mean"
)
class AnswersEmptyBatch(Right):
    """An empty batch is answered with NaN, though documented otherwise."""

    def check(self, x: Array) -> None:
        """Anything goes."""


@plants(
    Form.WRONG_CONTRACT, source="tensorflow/tfjs#2504: not implemented for rank 5", where=("rank",)
)
class RejectsVolumes(Right):
    """A volume is rejected, though rank 5 is among the capabilities."""

    def read(self, x: Array) -> Array:
        """ValueError for rank 5."""
        if x.ndim == 5:
            msg = f"expected an input of at most 4 dimensions, got shape {x.shape}"
            raise ValueError(msg)
        return super().read(x)


@plants(
    Why.STATE_UPDATED_IN_INFERENCE,
    Cause.STATE_CHANGED,
    source="PaddlePaddle/Paddle-Lite#79: each inference gives another result",
)
class RoundsStateInInference(Right):
    """Inference rounds the running mean it used to half precision, and keeps it."""

    def inference_statistics(self, x: Array) -> tuple[Array, Array]:
        """What was used first, and cast in place afterwards."""
        right = super().inference_statistics(x)
        self.mean = self.mean.astype(np.float16).astype(self.mean.dtype)
        return right


@plants(
    Cause.MISSING, source="apache/mxnet#18499: the gradients of gamma and beta were not assigned"
)
class NoDbeta(Right):
    """The gradient of beta is missing."""

    def step(self, found: Found, x: Array, batch: tuple[Array, Array] | None) -> Step:
        """None in its place."""
        return replace(super().step(found, x, batch), dbeta=None)


@plants(
    Cause.MISSING, source="PaddlePaddle/CINN#1150: outputs missing in one mode", where=("dtype",)
)
class NoStatisticsForHalf(Right):
    """Batch statistics of a half-precision input are missing."""

    def step(self, found: Found, x: Array, batch: tuple[Array, Array] | None) -> Step:
        """None in their place."""
        half = NUMPY_DTYPES[self.case.dtype].itemsize == 2
        return super().step(found, x, None if half else batch)


@plants(Form.CRASH, source="pytorch/pytorch#29578: floating point exception for an empty batch")
class DiesOfEmptyBatch(Right):
    """An empty batch ends the process."""

    def check(self, x: Array) -> None:
        """As a division by zero in compiled code does."""
        if self.count(x) == 0:
            os._exit(136)


@plants(
    Cause.HIDES_NON_FINITE,
    source="FluxML/Flux.jl#2071: NaN in, 0 out, on one device",
    where=("fill",),
)
class HidesNan(Right):
    """NaN in the input counts as 0."""

    def read(self, x: Array) -> Array:
        """Cleaned."""
        return np.nan_to_num(super().read(x), nan=0.0, posinf=np.inf, neginf=-np.inf)


@plants(
    Why.STATISTICS_IN_HALF,
    Cause.NOT_FINITE,
    source="pytorch/pytorch#126525: var_sum overflowed in half precision",
    where=("dtype",),
)
class OverflowsInHalf(Right):
    """The variance of a float16 input is infinite where float16 has no number for it."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """Infinite from a deviation of 256 on."""
        v = super().batch_variance(x, mu)
        largest = np.float32(65504)
        return np.where(v > largest, np.inf, v) if self.case.dtype is DType.FLOAT16 else v
