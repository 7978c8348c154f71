"""The variants of batch normalization in plain NumPy, for the subject ``numpy.reference``.

Training goes one way for all of them. With weights w (a mask is weights of 0 and 1), W = sum(w),
g' = a g and sums over the reduction axes

    mu = sum(w x) / W,  v = sum(w (x - mu)^2) / W,  xhat = (x - mu) / sqrt(v + epsilon),
    y = gamma (a xhat + b) + beta,
    dx = gamma (g' - (w / W) (sum(g') + xhat sum(g' xhat))) / sqrt(v + epsilon),
    dgamma = sum(g (a xhat + b)),  dbeta = sum(g),

and each variant says what w, a, b and a sum are. Half-precision arrays are computed with in float32
and rounded where they are kept. Nothing is shared with the spec that judges this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Parameters, Step
from bnconform.conformance.formats import compute_format
from bnconform.conformance.variant import Ghost, Renorm, Synchronized, VariantKind


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """One training call in the format that is computed in; w has size 1 on the feature axes."""

    x: Array
    g: Array
    w: Array
    scale: Array | float
    shift: Array | float

    def shard(self, part: slice) -> _Batch:
        """Some of the samples."""
        return _Batch(
            x=self.x[part], g=self.g[part], w=self.w[part], scale=self.scale, shift=self.shift
        )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What came of a batch; everything but y and dx has size 1 on the reduction axes."""

    y: Array
    dx: Array
    dgamma: Array
    dbeta: Array
    mu: Array
    v: Array


class NumpyVariant:
    """What the variants share; by itself, batch normalization with or without weights."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        """Start from these parameters and this state."""
        self.case, self.parameters, self.axes = case, parameters, case.reduction_axes
        self.compute = compute_format(case.dtype).numpy
        self.gamma, self.beta = parameters.gamma, parameters.beta
        self.mean: Array | None = parameters.running_mean
        self.var: Array | None = parameters.running_var
        self.updates = 0

    def train(
        self,
        x: Array,
        dy: Array,
        *,
        weights: Array | None = None,
        adjust_scale: Array | None = None,
        adjust_shift: Array | None = None,
    ) -> Step:
        """Normalize by the batch, differentiate through its statistics, update the state."""
        if self.case.mode is Mode.FROZEN:
            return self.infer(x, dy)
        found = self.by_batch(x, dy, weights, adjust_scale, adjust_shift)
        if weights is None or weights.any():
            self.updates += 1
            self.update(found.mu, found.v)
        return self._step(found, x.dtype, by_batch=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics, which stay as they are."""
        mu, v = self.widened(self.mean), self.widened(self.var)
        g, r = dy.astype(self.compute), 1 / np.sqrt(v + self.case.epsilon)
        xhat = (x.astype(self.compute) - mu) * r
        dgamma, dbeta = self.sum(g * xhat), self.sum(g)
        y, dx = self._affine(xhat), self._scaled(r * g)
        found = _Found(y=y, dx=dx, dgamma=dgamma, dbeta=dbeta, mu=mu, v=v)
        return self._step(found, x.dtype, by_batch=False)

    def by_batch(
        self,
        x: Array,
        dy: Array,
        weights: Array | None = None,
        adjust_scale: Array | None = None,
        adjust_shift: Array | None = None,
    ) -> _Found:
        """What a batch gives; ValueError where it is empty."""
        if self.case.count(x.shape) == 0:
            msg = f"cannot normalize an input of shape {x.shape}: no values to average"
            raise ValueError(msg)
        wide = [1 if a in self.case.channel_axes else size for a, size in enumerate(x.shape)]
        batch = _Batch(
            x=x.astype(self.compute),
            g=dy.astype(self.compute),
            w=np.broadcast_to(1.0 if weights is None else weights, wide).astype(self.compute),
            scale=1.0 if adjust_scale is None else adjust_scale.astype(self.compute),
            shift=0.0 if adjust_shift is None else adjust_shift.astype(self.compute),
        )
        return self.normalized(batch)

    def normalized(self, b: _Batch) -> _Found:
        """The equations at the top of this file."""
        # A mask that keeps nothing has no statistics; any will do, but NaN would be a nuisance.
        total = np.maximum(self.sum(b.w), np.finfo(self.compute).tiny)
        mu, v = self.statistics(b.x, b.w, total)
        scale, shift = self.transform(b, mu, v)
        r = 1 / np.sqrt(v + self.case.epsilon)
        xhat, scaled = (b.x - mu) * r, b.g * scale
        through = self.sum(scaled) + xhat * self.sum(scaled * xhat)
        moved = scale * xhat + shift
        return _Found(
            y=self._affine(moved),
            dx=self._scaled(r * (scaled - b.w / total * through)),
            dgamma=self.sum(b.g * moved),
            dbeta=self.sum(b.g),
            mu=mu,
            v=v,
        )

    def sum(self, values: Array) -> Array:
        """The sum over the reduction axes, kept with size 1."""
        total: Array = values.sum(self.axes, keepdims=True)
        return total

    def statistics(self, x: Array, w: Array, total: Array) -> tuple[Array, Array]:
        """mu and v; what has no weight is not looked at, as it may be NaN."""
        seen = np.where(w == 0, 0, x)
        mu = self.sum(w * seen) / total
        return mu, self.sum(w * np.square(seen - mu)) / total

    def transform(self, b: _Batch, mu: Array, v: Array) -> tuple[Array | float, Array | float]:
        """a and b."""
        del mu, v
        return b.scale, b.shift

    def update(self, mu: Array, v: Array) -> None:
        """Take the batch's statistics into the running ones."""
        self.mean = self.averaged(self.mean, mu, self.decay)
        self.var = self.averaged(self.var, v, self.decay)

    @property
    def decay(self) -> float:
        """The weight of the old value; that of a plain average where the case has none."""
        return 1 - 1 / self.updates if self.case.decay is None else self.case.decay

    def averaged(self, old: Array | None, value: Array, decay: float) -> Array:
        """decay old + (1 - decay) value, as it is kept."""
        new = decay * self.widened(old) + (1 - decay) * value
        return self.kept(new)

    def kept(self, wide: Array) -> Array:
        """A statistic or a gradient in the parameters' format and shape."""
        shaped: Array = wide.astype(self.case.parameter_format.numpy)
        return shaped.reshape(self.case.feature_shape)

    def widened(self, values: Array | None) -> Array:
        """A parameter or a statistic as it is computed with: size 1 on the reduction axes."""
        wide: Array = np.expand_dims(np.asarray(values), self.axes).astype(self.compute)
        return wide

    def _affine(self, normalized: Array) -> Array:
        y = self._scaled(normalized)
        return y if self.beta is None else y + self.widened(self.beta)

    def _scaled(self, values: Array) -> Array:
        return values if self.gamma is None else values * self.widened(self.gamma)

    def _step(self, found: _Found, dtype: np.dtype, *, by_batch: bool) -> Step:
        shape = self.case.feature_shape
        return Step(
            y=found.y.astype(dtype),
            batch_mean=found.mu.reshape(shape) if by_batch else None,
            batch_var=found.v.reshape(shape) if by_batch else None,
            running_mean=self.mean,
            running_var=self.var,
            dx=found.dx.astype(dtype),
            dgamma=self.dgamma(found) if self.case.scale else None,
            dbeta=self.kept(found.dbeta) if self.case.center else None,
        )

    def dgamma(self, found: _Found) -> Array:
        """The gradient of gamma, in its own format."""
        return self.kept(found.dgamma)


class _Renorm(NumpyVariant):
    """a = clip(sigma / s) and b = clip((mu - m) / s), constants for differentiation."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        super().__init__(case, parameters)
        self.variant = cast("Renorm", case.variant)
        self.m, self.s = parameters.renorm_mean, parameters.renorm_stddev
        self.stddev = parameters.running_stddev

    def transform(self, b: _Batch, mu: Array, v: Array) -> tuple[Array | float, Array | float]:
        """By the averages as they are before this call."""
        del b
        variant, s = self.variant, self.widened(self.s)
        limit = np.inf if variant.d_max is None else variant.d_max
        scale = np.sqrt(v + self.case.epsilon) / s
        scale = np.maximum(scale, 0 if variant.r_min is None else variant.r_min)
        scale = np.minimum(scale, np.inf if variant.r_max is None else variant.r_max)
        shift = np.clip((mu - self.widened(self.m)) / s, -limit, limit)
        return scale.astype(self.compute), shift.astype(self.compute)

    def update(self, mu: Array, v: Array) -> None:
        """The running variance follows the running deviation."""
        sigma = np.sqrt(v + self.case.epsilon)
        self.m = self.averaged(self.m, mu, self.variant.decay)
        self.s = self.averaged(self.s, sigma, self.variant.decay)
        self.mean = self.averaged(self.mean, mu, self.decay)
        # Squared before it is rounded for keeping: the variance is rounded once, not twice.
        stddev = self.decay * self.widened(self.stddev) + (1 - self.decay) * sigma
        self.stddev = self.kept(stddev)
        self.var = self.kept(np.maximum(np.square(stddev) - self.case.epsilon, 0))


class _Ghost(NumpyVariant):
    """Each group of samples, one after the other, is a batch of its own."""

    def normalized(self, b: _Batch) -> _Found:
        """The groups' results put together, with the means of their statistics."""
        size = cast("Ghost", self.case.variant).size
        starts = range(0, len(b.x), size)
        found = [super(_Ghost, self).normalized(b.shard(slice(k, k + size))) for k in starts]
        return _Found(
            y=np.concatenate([each.y for each in found]),
            dx=np.concatenate([each.dx for each in found]),
            dgamma=np.sum([each.dgamma for each in found], axis=0),
            dbeta=np.sum([each.dbeta for each in found], axis=0),
            mu=np.mean([each.mu for each in found], axis=0),
            v=np.mean([each.v for each in found], axis=0),
        )


class _Synchronized(NumpyVariant):
    """Replicas hold shares of the batch; only sums and merged statistics pass between them."""

    def sum(self, values: Array) -> Array:
        """The sum of the replicas' sums."""
        sums = [share.sum(self.axes, keepdims=True) for share in self._shares(values)]
        return np.asarray(np.sum(sums, axis=0))

    def statistics(self, x: Array, w: Array, total: Array) -> tuple[Array, Array]:
        """Merged by the rule of Chan, Golub and LeVeque, one replica after the other."""
        del w, total
        n, mu, squares = 0, np.zeros(1, self.compute), np.zeros(1, self.compute)
        for share in self._shares(x):
            k = self.case.count(share.shape)
            own = share.mean(self.axes, keepdims=True)
            apart = own - mu
            mu = mu + apart * (k / (n + k))
            squares = squares + np.square(share - own).sum(self.axes, keepdims=True)
            squares = squares + np.square(apart) * (n * k / (n + k))
            n += k
        return mu, squares / n

    def _shares(self, values: Array) -> list[Array]:
        sizes = cast("Synchronized", self.case.variant).shard_sizes(len(values))
        return np.split(values, np.cumsum(sizes)[:-1])


class _Untracked(NumpyVariant):
    """No running statistics: inference normalizes as training does."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        super().__init__(case, parameters)
        self.mean = self.var = None

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch."""
        return self._step(self.by_batch(x, dy), x.dtype, by_batch=True)

    def update(self, mu: Array, v: Array) -> None:
        """There is nothing to update."""


class _FixedGamma(NumpyVariant):
    """gamma counts as 1 and is not trained."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        super().__init__(case, parameters)
        self.gamma = None

    def dgamma(self, found: _Found) -> Array:
        """0, whatever gamma's gradient would be."""
        return self.kept(np.zeros_like(found.dgamma))


VARIANTS: Mapping[VariantKind, type[NumpyVariant]] = {
    VariantKind.RENORM: _Renorm,
    VariantKind.GHOST: _Ghost,
    VariantKind.SYNCHRONIZED: _Synchronized,
    VariantKind.MASKED: NumpyVariant,
    VariantKind.WEIGHTED: NumpyVariant,
    VariantKind.ADJUSTED: NumpyVariant,
    VariantKind.UNTRACKED: _Untracked,
    VariantKind.FIXED_GAMMA: _FixedGamma,
}
"""The layer of each variant; a plain layer is ``numpy_reference.py``'s own."""
