"""Miniatures that misread where values lie: memory layouts, ranks and axes."""

from __future__ import annotations

import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Layout
from bnconform.conformance.contract import Array
from bnconform.conformance.explanation.names import Stage, Why


def _as_it_lies(values: Array) -> Array:
    """The elements in the order of memory, as if that were the order of indices."""
    return np.ravel(values, order="K").reshape(values.shape)


def _without_strides(values: Array) -> Array:
    """As many elements as there are from the first on, gaps included."""
    strides = np.empty(values.shape, values.dtype).strides
    return np.lib.stride_tricks.as_strided(values, values.shape, strides)


@plants(
    Stage.MEAN,
    source="pytorch/pytorch#62594: wrong output for a channels-last float16 input",
    where=("layout", "layouts"),
)
class ChannelsLastMisread(Right):
    """An input that is channels-last in memory is read as if it were contiguous."""

    def read(self, x: Array) -> Array:
        """Without its strides."""
        if self.case.layout is Layout.CHANNELS_LAST and x.ndim > 2:
            return super().read(_as_it_lies(x))
        return super().read(x)


@plants(
    Stage.MEAN,
    source="pytorch/pytorch#175189: wrong gradients for non-contiguous inputs",
    where=("layout", "layouts"),
)
class StridedMisread(Right):
    """An input with gaps in memory is read without them."""

    def read(self, x: Array) -> Array:
        """From the first element on, gaps and all."""
        if self.case.layout is Layout.STRIDED and x.ndim > 1 and x.size:
            return super().read(_without_strides(x))
        return super().read(x)


@plants(
    Stage.DX,
    Stage.DGAMMA,
    Stage.DBETA,
    source="pytorch/pytorch#1866: an upstream gradient that was not contiguous",
    where=("upstream_layout", "layouts"),
)
class UpstreamMisread(Right):
    """An upstream gradient that is channels-last in memory is read as if it were contiguous."""

    def read_upstream(self, x: Array, dy: Array) -> Array:
        """Without its strides."""
        if self.case.upstream_layout is Layout.CHANNELS_LAST and dy.ndim > 2:
            return super().read_upstream(x, _as_it_lies(dy))
        return super().read_upstream(x, dy)


@plants(
    Stage.DX,
    Stage.DGAMMA,
    Stage.DBETA,
    source="pytorch/pytorch#175189: gradients wrong for channels-last inputs",
    where=("layouts",),
)
class UpstreamReadAsInput(Right):
    """The upstream gradient of a channels-last input is taken to be channels-last, too."""

    def read_upstream(self, x: Array, dy: Array) -> Array:
        """A contiguous gradient through the strides of a channels-last one."""
        mixed = (self.case.layout, self.case.upstream_layout) == (
            Layout.CHANNELS_LAST,
            Layout.CONTIGUOUS,
        )
        if not mixed or dy.ndim < 3:
            return super().read_upstream(x, dy)
        order = (dy.shape[0], *dy.shape[2:], dy.shape[1])
        return super().read_upstream(x, np.moveaxis(np.ravel(dy).reshape(order), -1, 1))


@plants(
    Stage.DX,
    source="torch/nn#345 (Mean): the backward pass took the upstream gradient for contiguous",
    where=("upstream_layout", "layouts"),
)
class DxOfStridedUpstream(Right):
    """dx alone misreads an upstream gradient that has gaps in memory."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """Every other element, twice."""
        if self.case.upstream_layout is Layout.STRIDED and g.ndim > 1:
            g = np.repeat(g[..., ::2], 2, axis=-1)[..., : g.shape[-1]]
        return super().dx(g, xhat, r)


@plants(
    Stage.AFFINE,
    Stage.INFERENCE,
    source="pytorch/pytorch#62594: strides of the output differ from what was written",
    where=("layout", "layouts"),
)
class OutputWrittenInOrder(Right):
    """y of a channels-last input is written in the order of indices, and read in that of memory."""

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """Elements of different channels change places."""
        y = super().output(x, mu, r)
        if self.case.layout is Layout.CHANNELS_LAST and y.ndim > 2:
            order = (y.shape[0], *y.shape[2:], y.shape[1])
            return np.moveaxis(np.ravel(y).reshape(order), -1, 1)
        return y


@plants(
    Why.AXIS_OTHER,
    source="chainer/chainer#8497: reductions over the wrong axes for NHWC without cuDNN",
    where=("channel_axis",),
)
class ReadsAxisOne(Right):
    """Axis 1 of an image is taken for the feature axis, whatever is given."""

    def axes(self) -> tuple[int, ...]:
        """All but axis 1, where it is as long as the feature axis and no shape gives it away."""
        right, (*others, axis), shape = super().axes(), self.case.channel_axes, self.case.shape
        mistaken = len(shape) == 4 and not others and axis > 0 and shape[1] == shape[axis]
        return (0, 2, 3) if mistaken else right


@plants(
    Stage.VARIANCE,
    source="Nico-Curti/NumPyNet#7: each position of an image normalized by itself",
    where=("channel_axis", "rank"),
)
class ImagesRowByRow(Right):
    """The variance of an image whose channels come last is that of its first row."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """Of x[:, :1], as if axis 1 were reduced already."""
        last = x.ndim == 4 and self.case.channel_axes == (3,)
        return super().batch_variance(x[:, :1] if last else x, mu)


@plants(
    Stage.MEAN,
    source="apache/mxnet#5211: five dimensions where four were provided for",
    where=("rank",),
)
class VolumeAsImages(Right):
    """The mean of a volume is that of its first slice."""

    def batch_mean(self, x: Array) -> Array:
        """Of four of five dimensions."""
        if x.ndim != 5 or 2 in self.case.channel_axes:
            return super().batch_mean(x)
        return super().batch_mean(x[:, :, :1])


@plants(
    Stage.INVERSE_DEVIATION,
    source="chainer/chainer#2370: several channel axes were not handled",
    where=("feature_axes",),
)
class TwoAxesTransposed(Right):
    """The variance over two feature axes is read with these exchanged when it normalizes."""

    def normalizing_variance(self, x: Array, v: Array) -> Array:
        """The elements in the order of the other axis."""
        del x
        if len(self.case.channel_axes) < 2:
            return v
        return np.reshape(v.reshape(self.case.feature_shape).T, v.shape)


@plants(
    Stage.VARIANCE,
    source="tensorflow/swift-apis#1: which axis the argument axis means",
    where=("channel_axis",),
)
class BatchAxisReduced(Right):
    """A feature axis that is the batch's is reduced for the variance."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """The mean over samples, for each of them."""
        right = super().batch_variance(x, mu)
        if 0 not in self.case.channel_axes:
            return right
        found: Array = np.zeros_like(right) + right.mean(0, keepdims=True)
        return found
