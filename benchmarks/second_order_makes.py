"""Second derivatives of batch normalization of many makes, right and wrong.

They take (channels, n) arrays in the accumulation format and share no code with the spec. Every
make gives the gradients of S = sum(dx u) + sum(dgamma a) + sum(dbeta b) by x, g and gamma.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np

Values: TypeAlias = Any
Three: TypeAlias = tuple[Values, Values, Values]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is differentiated twice; ``mean`` and ``var`` normalize in inference, else None."""

    x: Values
    g: Values
    u: Values
    gamma: Values
    a: Values
    b: Values
    epsilon: float
    mean: Values = None
    var: Values = None

    def to(self, dtype: Any) -> Call:
        """The same in another format."""
        arrays = {
            field.name: getattr(self, field.name).astype(dtype)
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **arrays)


class Sequential:
    """The closed formula, every sum from the first value to the last."""

    one_pass = False

    def __call__(self, call: Call) -> Three:
        """By x, g and gamma."""
        r, d = self.normalizing(call)
        return self.inference(call, r, d) if call.mean is not None else self.training(call, r, d)

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return np.add.accumulate(values, axis=1)[:, -1:]

    def average(self, values: Values) -> Values:
        """Mean over axis 1, kept."""
        return self.total(values) / values.dtype.type(values.shape[1])

    def variance(self, x: Values, mean: Values) -> Values:
        """The biased variance."""
        return self.average(np.square(x - mean))

    def normalizing(self, call: Call) -> tuple[Values, Values]:
        """r and d."""
        mean, var = call.mean, call.var
        if mean is None:
            mean = self.average(call.x)
            var = self.variance(call.x, mean)
        return 1 / np.sqrt(var + var.dtype.type(call.epsilon)), call.x - mean

    def along(self, z: Values, call: Call, r: Values, d: Values) -> Values:
        """mean(z xhat)."""
        del call
        return self.average(z * (d * r))

    def kept(self, z: Values, xhat: Values, along: Values) -> Values:
        """P(z)."""
        return z - self.average(z) - xhat * along

    def covariance(self, g: Values, u: Values) -> Values:
        """C."""
        return self.average((g - self.average(g)) * u)

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx, of A and B."""
        kept, kept_u = self.kept(call.g, xhat, a), self.kept(call.u, xhat, b)
        through = xhat * (self.covariance(call.g, call.u) - a * b) + a * kept_u + b * kept
        return call.a * r * kept - call.gamma * r * r * through

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, through the batch statistics."""
        xhat = d * r
        a, b = (self.along(z, call, r, d) for z in (call.g, call.u))
        kept, kept_u = self.kept(call.g, xhat, a), self.kept(call.u, xhat, b)
        return (
            self.by_x(call, r, xhat, a, b),
            call.gamma * r * kept_u + call.a * xhat + call.b,
            r * self.total(call.u * kept),
        )

    def inference(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, with constant statistics."""
        by_g = call.gamma * r * call.u + call.a * (d * r) + call.b
        return call.a * r * call.g, by_g, r * self.total(call.g * call.u)


class Pairwise(Sequential):
    """NumPy's own sums, by halves."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        return values.sum(axis=1, keepdims=True)


class Scrambled(Sequential):
    """Sums in an order that has nothing to do with the array's."""

    def total(self, values: Values) -> Values:
        """Sum over axis 1, kept."""
        order = np.random.default_rng(values.shape[1]).permutation(values.shape[1])
        return super().total(values[:, order])


class Differentiated(Sequential):
    """Contribution by contribution, as reverse differentiation adds them, the mean's last."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx, of A and B."""
        covariance = self.average(call.g * call.u) - self.average(call.g) * self.average(call.u)
        three = a.dtype.type(3)
        square = call.gamma * r**2
        direct = call.a * r * call.g - square * (b * call.g + a * call.u)
        by_r = -call.a * r * xhat * a - call.gamma * r**3 * (covariance - three * a * b) * (
            xhat / r
        )
        return direct + by_r - self.average(direct + by_r)


class Folded(Pairwise):
    """Sums of products with x, centred afterwards; xhat as r x - r mu."""

    def along(self, z: Values, call: Call, r: Values, d: Values) -> Values:
        """mean(z xhat)."""
        del d
        centred = self.average(z * call.x) - self.average(call.x) * self.average(z)
        return r * centred

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, through the batch statistics."""
        del d
        return super().training(call, r, (call.x * r - self.average(call.x) * r) / r)

    def inference(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, with constant statistics."""
        by_x, _, by_gamma = super().inference(call, r, d)
        xhat = call.x * r - call.mean * r
        return by_x, call.gamma * r * call.u + call.a * xhat + call.b, by_gamma


class OnePass(Differentiated):
    """E[x^2] - E[x]^2, not below zero; x^2 and the mean differentiated apart."""

    one_pass = True

    def variance(self, x: Values, mean: Values) -> Values:
        """The biased variance."""
        return np.maximum(self.average(x * x) - mean * mean, x.dtype.type(0))


NUMPY_MAKES: Mapping[str, Callable[[Call], Three]] = {
    "closed formula, first to last": Sequential(),
    "closed formula, pairwise": Pairwise(),
    "closed formula, scrambled": Scrambled(),
    "term by term": Differentiated(),
    "folded": Folded(),
    "one-pass": OnePass(),
}


# Faults: each is wrong in one way that a first derivative need not show.


class SlipByX(Pairwise):
    """by_x is 1e-3 too large."""

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma."""
        x, g, gamma = super().training(call, r, d)
        return x * x.dtype.type(1.001), g, gamma


class SlipByG(Pairwise):
    """by_g is 1e-3 too large."""

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma."""
        x, g, gamma = super().training(call, r, d)
        return x, g * g.dtype.type(1.001), gamma


class SlipByGamma(Pairwise):
    """by_gamma is 1e-3 too large."""

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma."""
        x, g, gamma = super().training(call, r, d)
        return x, g, gamma * gamma.dtype.type(1.001)


class StoppedMean(Pairwise):
    """The variance is taken about a mean that is cut off from its gradient."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx, less what comes through that mean."""
        lost = a * self.average(call.u) + b * self.average(call.g)
        return super().by_x(call, r, xhat, a, b) - call.gamma * r * r * lost


class NoCovariance(Pairwise):
    """The term with C is dropped."""

    def covariance(self, g: Values, u: Values) -> Values:
        """0."""
        return self.average(g * 0) + self.average(u * 0)


class NoProduct(Pairwise):
    """C stands where C - A B must."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx without A B."""
        return super().by_x(call, r, xhat, a, b) - call.gamma * r * r * xhat * a * b


class NoTermOfU(Pairwise):
    """A P(u) is dropped."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx without A P(u)."""
        dropped = call.gamma * r * r * a * self.kept(call.u, xhat, b)
        return super().by_x(call, r, xhat, a, b) + dropped


class NoTermOfG(Pairwise):
    """B P(g) is dropped."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx without B P(g)."""
        dropped = call.gamma * r * r * b * self.kept(call.g, xhat, a)
        return super().by_x(call, r, xhat, a, b) + dropped


class NoDirectionOfGamma(Pairwise):
    """The derivative of dgamma is dropped."""

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, as if a were 0."""
        return super().training(replace(call, a=call.a * 0), r, d)


class NoGamma(Pairwise):
    """gamma counts as 1."""

    def training(self, call: Call, r: Values, d: Values) -> Three:
        """By x, g and gamma, as if gamma were 1."""
        return super().training(replace(call, gamma=call.gamma * 0 + 1), r, d)


class ConstantStatistics(Pairwise):
    """The batch statistics are constants in the second differentiation."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx of dx and dgamma with A and mean(g) given."""
        del xhat, a
        return call.a * r * call.g - call.gamma * r * r * b * call.g


class UnbiasedVariance(Pairwise):
    """r is that of the unbiased variance."""

    def variance(self, x: Values, mean: Values) -> Values:
        """Divided by n - 1."""
        n = x.shape[1]
        return super().variance(x, mean) * x.dtype.type(n / max(n - 1, 1))


class MixedVariance(Pairwise):
    """xhat has the biased variance, r beside it the unbiased one."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx with r of another convention."""
        n = call.x.shape[1]
        other = r * r.dtype.type(((n - 1) / n) ** 0.5)
        return super().by_x(call, other, xhat, a, b)


class StaleRoot(Pairwise):
    """r is that of another batch."""

    def by_x(self, call: Call, r: Values, xhat: Values, a: Values, b: Values) -> Values:
        """dS/dx with another r."""
        return super().by_x(call, r * r.dtype.type(1.05), xhat, a, b)


FAULTS: tuple[type[Pairwise], ...] = (
    SlipByX, SlipByG, SlipByGamma, StoppedMean, NoCovariance, NoProduct, NoTermOfU, NoTermOfG,
    NoDirectionOfGamma, NoGamma, ConstantStatistics, UnbiasedVariance, MixedVariance, StaleRoot,
)  # fmt: skip
