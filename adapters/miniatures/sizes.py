"""Miniatures that are wrong at some sizes only: tails, limits, and what is kept between calls."""

from __future__ import annotations

import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array
from bnconform.conformance.explanation.names import Stage, Why

_COUNTS = ("smallest_count", "largest_count", "batch", "last_batch")


@plants(Stage.MEAN, source="intel/torch-xpu-ops#1238: vectorized access without head and tail")
class TailLost(Right):
    """Values past the last full block of four along the last reduced axis are left out."""

    def batch_mean(self, x: Array) -> Array:
        """Their sum is lost and n counts them, where there is more than one block."""
        axis = self.axes()[-1]
        size = x.shape[axis]
        if size <= 4:
            return super().batch_mean(x)
        blocks = np.take(x, range(size // 4 * 4), axis)
        found: Array = self.total(blocks) / self.compute().type(self.count(x))
        return found


@plants(
    Why.STATISTICS_WITHOUT_LAST_SAMPLE,
    source="LBANN/lbann#2166: wrong statistics where very large grids are clipped",
    where=_COUNTS,
)
class LastSampleOfManyLost(Right):
    """Statistics of more than 64 values leave out the last sample."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Of x[:-1] where there are many."""
        many = self.count(x) > 64 and len(x) > 1 and 0 not in self.case.channel_axes
        return super().statistics(x[:-1] if many else x)


@plants(
    Stage.AFFINE,
    Stage.INFERENCE,
    source="pytorch/pytorch#1381: one value per channel: reject, or answer zero plus beta",
    where=_COUNTS,
)
class NothingForOneValue(Right):
    """y is 0 and not beta where a channel has one value."""

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """0, as if nothing were left of a value without its mean."""
        y = super().output(x, mu, r)
        return np.zeros_like(y) if self.count(x) == 1 else y


@plants(
    Why.BETA_IGNORED,
    source="keras-team/keras#11123: a single channel was squeezed to a scalar",
    where=("channels",),
)
class OneChannelUnshifted(Right):
    """Beta is not added to a single channel."""

    def shifted(self, values: Array) -> Array:
        """``values`` where beta has one element."""
        single = self.beta is not None and self.beta.size == 1
        return values if single else super().shifted(values)


@plants(
    Stage.MEAN,
    source="udacity/deep-learning-v2-pytorch#60: all batches taken to be of one size",
    where=("last_batch", "smaller_last_batch", "smallest_count", "steps"),
)
class CountKept(Right):
    """The mean of a smaller last batch divides by the size of a full one."""

    def batch_mean(self, x: Array) -> Array:
        """sum(x) / n of the first batch."""
        found: Array = self.total(x) / self.compute().type(self.case.count(self.case.shape))
        return found


@plants(
    Stage.UPDATE_MEAN,
    Stage.UPDATE_VARIANCE,
    source="BVLC/caffe#5975: smaller batches to count less in the moving average",
    where=("last_batch", "smaller_last_batch", "steps"),
)
class SmallBatchCountsLess(Right):
    """A smaller last batch moves the averages by less, in proportion to its size."""

    def decay(self) -> float:
        """1 - (1 - decay) share."""
        last = self.updates == self.case.steps
        share = self.case.last_batch / self.case.shape[0] if last else 1
        return 1 - (1 - super().decay()) * share


@plants(
    Stage.AFFINE,
    Stage.INFERENCE,
    source="ARM-software/ComputeLibrary#235: wrong from 256 channels on",
    where=("channels",),
)
class ChannelsPastFour(Right):
    """From the fifth channel on beta is that of the channel four before."""

    def shifted(self, values: Array) -> Array:
        """Beta is read in blocks of four."""
        if self.beta is None or self.beta.ndim > 1:
            return super().shifted(values)
        return values + self.wide(self.beta[np.arange(len(self.beta)) % 4])


@plants(
    Stage.UPDATE_MEAN,
    Stage.UPDATE_VARIANCE,
    source="apache/mxnet#21111: evaluation differs by what was run before it",
    where=("steps",),
)
class StopsUpdating(Right):
    """The state is not updated after the second training call."""

    def update(self, mu: Array, v: Array, n: int) -> None:
        """As if the update ran only while the graph was traced."""
        if self.updates <= 2:
            super().update(mu, v, n)


@plants(
    Why.RUNNING_VARIANCE_UNBIASED,
    source="tf_keras: unbiased on its fused path (rank 4 and 5), biased elsewhere; measured",
    where=("rank",),
)
class UnbiasedForImages(Right):
    """The running variance is unbiased for images, and biased for all else."""

    def averaged_variance(self, v: Array, n: int) -> Array:
        """Bessel's correction on the path for images."""
        if self.case.rank != 4:
            return super().averaged_variance(v, n)
        found: Array = v * v.dtype.type(n / max(n - 1, 1))
        return found


@plants(
    Stage.VARIANCE,
    source="keras-team/keras#9028: for two values the two estimators differ by a factor of two",
    where=_COUNTS,
)
class TwoValues(Right):
    """The variance of two values is that of a sample."""

    def batch_variance(self, x: Array, mu: Array) -> Array:
        """(x1 - x2)^2 / 2 in place of (x1 - x2)^2 / 4."""
        v = super().batch_variance(x, mu)
        return 2 * v if self.count(x) == 2 else v


@plants(
    Stage.DGAMMA,
    source="tensorflow/tensorflow#107705: an incorrect gradient of gamma, on one device",
    where=_COUNTS,
)
class DgammaOfFirstBlock(Right):
    """dgamma sums over the first eight samples."""

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """One block of the grid, where there should be several."""
        samples = slice(None) if 0 in self.case.channel_axes else slice(8)
        return super().dgamma(g[samples], x[samples], mu, r)
