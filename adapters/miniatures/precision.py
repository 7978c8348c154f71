"""Miniatures with less precision than their formats promise."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array
from bnconform.conformance.explanation.names import Why
from bnconform.conformance.formats import FORMATS, NUMPY_DTYPES


@plants(
    Why.FLOAT64_IN_FLOAT32,
    source="google/flax#612 (layer norm): the input is cast to float32 whatever its format",
)
class Float64InFloat32(Right):
    """float64 is computed in float32."""

    def compute(self) -> np.dtype[Any]:
        """float32, always."""
        return np.dtype(np.float32)


@plants(
    Why.SUMS_IN_HALF,
    source="pytorch/pytorch#195701: batch_norm_backward_reduce sums in half precision",
)
class SumsInHalf(Right):
    """Sums of a half-precision input are carried out in its own format."""

    def total(self, values: Array) -> Array:
        """One value after another, rounded each time."""
        half = NUMPY_DTYPES[self.case.dtype]
        if half.itemsize > 2 or not values.size:
            return super().total(values)
        kept = [axis for axis in range(values.ndim) if axis not in self.axes()]
        shape = [values.shape[axis] if axis in kept else 1 for axis in range(values.ndim)]
        rows = np.transpose(values, (*kept, *self.axes())).astype(half)
        rows = rows.reshape(*(values.shape[axis] for axis in kept), -1)
        summed = rows[..., 0]
        for index in range(1, rows.shape[-1]):
            summed = summed + rows[..., index]
        return summed.reshape(shape).astype(self.compute())


@plants(
    Why.STATISTICS_IN_HALF,
    source="apple/coreai-torch#54: parameters and statistics cast down to float16",
)
class StatisticsInHalf(Right):
    """Mean and variance of a half-precision input are kept in its own format."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Rounded before they are used."""
        dtype = NUMPY_DTYPES[self.case.dtype]
        mu, v = super().statistics(x)
        return mu.astype(dtype).astype(self.compute()), v.astype(dtype).astype(self.compute())


@plants(
    Why.INVERSE_DEVIATION_IN_FLOAT16,
    source="PyTorch 2.13 on CPU: 1 / sqrt(epsilon), kept in float16 with its parameters, is inf",
    where=("dtype", "half_parameters"),
)
class InverseDeviationInFloat16(Right):
    """The inverse deviation is kept in float16 where the parameters are."""

    def inverse_deviation(self, v: Array) -> Array:
        """Infinite where v + epsilon is below 2.4e-10."""
        r = super().inverse_deviation(v)
        if self.case.parameter_format.numpy != np.dtype(np.float16):
            return r
        return r.astype(np.float16).astype(v.dtype)


@plants(
    Why.BFLOAT16_TRUNCATED,
    source="ROCm/aiter#5151 (RMS norm): bfloat16 cut off, so that errors never cancel",
)
class Truncated(Right):
    """Results are cut off to bfloat16, not rounded."""

    def rounded(self, values: Array, dtype: np.dtype[Any]) -> Array:
        """The upper 16 of 32 bits."""
        if dtype != np.dtype(ml_dtypes.bfloat16):
            return super().rounded(values, dtype)
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32) >> np.uint32(16)
        return bits.astype(np.uint16).view(dtype)


@plants(Why.TF32, source="microsoft/onnxruntime#19288: products in TF32 where float32 was expected")
class TensorFloat(Right):
    """Factors are rounded to 11 bits before they are multiplied."""

    def times(self, a: Array, b: Array) -> Array:
        """The product of two TF32 numbers, but in float64."""
        if self.compute() != np.dtype(np.float32):
            return super().times(a, b)
        return super().times(_eleven_bits(a), _eleven_bits(b))


def _eleven_bits(values: Array) -> Array:
    """float32 values rounded to 11 significant bits, half to even but for ties."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(values), rounded.view(np.float32), values)


@plants(
    Why.SUBNORMALS_FLUSHED, source="FasterAI-Labs/fasterai#82: subnormal folded parameters set to 0"
)
class Flushed(Right):
    """Subnormal results become 0."""

    def rounded(self, values: Array, dtype: np.dtype[Any]) -> Array:
        """What is below the smallest normal number of its format is lost."""
        right = super().rounded(values, dtype)
        least = FORMATS[self.case.dtype].smallest_normal
        return np.where(np.abs(right.astype(np.float64)) < least, np.zeros_like(right), right)


@plants(
    Why.AFFINE_IN_HALF, source="apple/coreai-torch#54: gamma, beta and epsilon cast down to float16"
)
class AffineInHalf(Right):
    """gamma xhat + beta is computed in the format of a half-precision input."""

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """Every factor and summand rounded first."""
        dtype, xhat = NUMPY_DTYPES[self.case.dtype], self.normalized(x, mu, r)
        y = xhat.astype(dtype)
        if self.gamma is not None:
            y = y * self.wide(self.gamma).astype(dtype)
        return y if self.beta is None else y + self.wide(self.beta).astype(dtype)


@plants(
    Why.VARIANCE_ONE_PASS, source="google/objax#182: E[x^2] - E[x]^2 in place of E[(x - E[x])^2]"
)
class OnePass(Right):
    """The variance is mean(x^2) - mean(x)^2, but no less than 0."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """A difference of large numbers where the mean is large."""
        found: Array = np.maximum(self.average(np.square(x)) - np.square(mu), 0)
        return found


@plants(
    Why.VARIANCE_ONE_PASS_UNCLAMPED,
    source="google/flax#1491: the variance came out negative, and then NaN",
)
class OnePassUnclamped(Right):
    """The variance is mean(x^2) - mean(x)^2 as it comes, below 0 too."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """A difference of large numbers where the mean is large, and NaN after the root."""
        return self.average(np.square(x)) - np.square(mu)


@plants(
    Why.VARIANCE_ONE_PASS,
    source="tenstorrent/tt-metal#45968: E[x^2] - E[x]^2 in bfloat16",
    where=("dtype",),
)
class OnePassForHalf(Right):
    """The variance of a half-precision input is mean(x^2) - mean(x)^2."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """Where the squares of half-precision numbers fit, so that nothing seems to be lost."""
        if NUMPY_DTYPES[self.case.dtype].itemsize > 2:
            return super().batch_variance(x, mu)
        found: Array = np.maximum(self.average(np.square(x)) - np.square(mu), 0)
        return found


@plants(
    Why.DX_ROUNDED_BY_TERM,
    source="pytorch/pytorch#147303: NaN in the backward pass of float16 alone",
)
class DxByTerm(Right):
    """The terms of dx are rounded to a half-precision input's format one by one."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """A sum of three arrays that were already given out."""
        dtype = NUMPY_DTYPES[self.case.dtype]
        terms = (g, -self.mean_term(g) + np.zeros_like(g), -self.variance_term(g, xhat))
        first, second, third = (self.scaled(r * term).astype(dtype) for term in terms)
        found: Array = (first + second + third).astype(self.compute())
        return found
