"""Layers in plain NumPy whose conventions are drawn at random: black boxes to infer from.

What they declare is the dialect of ``numpy.reference``, whatever they do: inference that looked at
declarations would be caught. ``truth`` says what they do, by the dialect's names.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Axes, Capabilities, Parameters, Quantity, Step
from bnconform.conformance.dialect import Dialect
from bnconform.conformance.formats import FORMATS, DType, compute_format
from bnconform.conformance.variant import Ghost, VariantKind

Values: TypeAlias = Any
"""An array; Any, because arithmetic on typed arrays is Any too."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "momentum": ("as_given", "as_given", "as_given", "swapped"),
    "epsilon_floor": ("0", "0", "1e-07", "1.001e-05", "0.0002"),
    "running_variance": ("biased", "unbiased"),
    "variance": ("two_pass", "welford", "one_pass"),
    "single_value": ("computes", "rejects"),
    "empty_batch": ("rejects", "computes"),
    "frozen": ("running_statistics", "batch_statistics", "none"),
    "half_output": ("input", "parameters"),
    "half_gradient": ("once", "by_term"),
    "averaging": ("exponential", "zero_debiased"),
    "training_statistics": ("batch", "batch", "running"),
    "ghost_groups": ("contiguous", "interleaved"),
    "saved_statistics": ("accumulation", "parameters", "input"),
    "arithmetic": ("ieee", "ieee", "ieee", "tf32"),
}
"""What may be drawn; what stands twice is drawn more often."""

USUAL = {name: values[0] for name, values in CHOICES.items()}


def drawn(seed: int) -> dict[str, str]:
    """Conventions drawn by ``seed``."""
    source = random.Random(seed)  # noqa: S311 -- no secret
    truth = {name: source.choice(values) for name, values in CHOICES.items()}
    if truth["training_statistics"] == "running":
        # The spec defines that mode for plain averages of the biased variance.
        truth |= {"averaging": "exponential", "running_variance": "biased"}
    return truth


class Synthetic:
    """A layer that follows ``truth``."""

    name: ClassVar[str] = "synthetic"
    framework: ClassVar[str] = "numpy"
    environment: ClassVar[Mapping[str, str]] = {}
    dialect: ClassVar[Dialect] = NumpyReference.dialect
    truth: ClassVar[Mapping[str, str]] = USUAL
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(2, 6)),
        axes=Axes.ANY_ONE,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity),
        variants=frozenset({VariantKind.PLAIN, VariantKind.GHOST}),
        half_parameters=True,
    )

    def __init__(self) -> None:
        """There is nothing to import."""
        self.version, self.device = np.__version__, "cpu"

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A layer for ``case``."""
        return Layer(self.truth, case, parameters)


def synthetic(truth: Mapping[str, str]) -> type[Synthetic]:
    """An adapter that follows ``truth``, and ``USUAL`` in what that leaves open."""
    whole = {**USUAL, **truth}
    modes, variants = frozenset(Mode), Synthetic.capabilities.variants
    if whole["frozen"] == "none":
        modes -= {Mode.FROZEN}
    if whole["training_statistics"] == "running":
        # The spec does not say which groups' statistics would be averaged first.
        variants -= {VariantKind.GHOST}
    offered = replace(Synthetic.capabilities, modes=modes, variants=variants)
    return type("Drawn", (Synthetic,), {"truth": whole, "capabilities": offered})


class Layer:
    """Parameters and state."""

    def __init__(self, truth: Mapping[str, str], case: Case, parameters: Parameters) -> None:
        """Begin with ``parameters``."""
        self.truth, self.case, self.parameters = truth, case, parameters
        self.compute = compute_format(case.dtype).numpy
        self.epsilon = max(case.epsilon, float(truth["epsilon_floor"]))
        self.mean, self.var = parameters.running_mean, parameters.running_var
        self.hidden = [np.zeros_like(self.mean, self.compute) for _ in range(2)]
        self.updates = 0

    def train(self, x: Array, dy: Array) -> Step:
        """One training call."""
        n = self.case.count(x.shape)
        if self.case.mode is Mode.FROZEN and self.truth["frozen"] == "running_statistics":
            return self.infer(x, dy)
        for count, name in ((0, "empty_batch"), (1, "single_value")):
            if n == count and self.truth[name] == "rejects":
                msg = f"too few values: {n}"
                raise ValueError(msg)
        if n == 0:
            return self.empty(x, dy)
        groups = self.groups(len(x))
        found = [
            [self.saved(s) for s in self.statistics(x[k].astype(self.compute))] for k in groups
        ]
        if self.case.mode is not Mode.FROZEN:
            mu, v = (np.mean(each, axis=0) for each in zip(*found, strict=True))
            self.update(mu, v, n // len(groups))
        parts = [
            self.one_batch(x[each], dy[each], mu, v)
            for each, (mu, v) in zip(groups, found, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        back = np.argsort(np.concatenate(groups))
        return Step(
            running_mean=self.mean,
            running_var=self.var,
            y=np.concatenate([part.y for part in parts])[back],
            dx=np.concatenate([part.dx for part in parts])[back],
            dgamma=np.sum([part.dgamma for part in parts if part.dgamma is not None], axis=0),
            dbeta=np.sum([part.dbeta for part in parts if part.dbeta is not None], axis=0),
        )

    def groups(self, batch: int) -> list[Array]:
        """The samples that are normalized together."""
        if not isinstance(self.case.variant, Ghost):
            return [np.arange(batch)]
        size = self.case.variant.size
        if self.truth["ghost_groups"] == "interleaved":
            return [np.arange(k, batch, batch // size) for k in range(batch // size)]
        return [np.arange(k, k + size) for k in range(0, batch, size)]

    def one_batch(self, x: Array, dy: Array, mu: Values, v: Values) -> Step:
        """A batch, or a group of one, with its statistics."""
        if self.truth["training_statistics"] == "running" and self.case.mode is Mode.TRAIN:
            share = 1 - self.decay
            return self.call(x, dy, self.wide(self.mean), self.wide(self.var), mu, share)
        return self.call(x, dy, mu, v, mu, 1.0)

    def empty(self, x: Array, dy: Array) -> Step:
        """Nothing happens to nothing."""
        zero = np.zeros(self.case.feature_shape, self.case.parameter_format.numpy)
        output = self.output(x)
        return Step(
            y=np.zeros(x.shape, output), dx=np.zeros_like(dy), dgamma=zero, dbeta=zero,
            running_mean=self.mean, running_var=self.var,
        )  # fmt: skip

    def infer(self, x: Array, dy: Array) -> Step:
        """A call by the running statistics."""
        return self.call(x, dy, self.wide(self.mean), self.wide(self.var), None, 0.0)

    def product(self, a: Values, b: Values) -> Values:
        """a b to be summed, of rounded factors in TF32."""
        if self.truth["arithmetic"] == "tf32" and self.compute == np.float32:
            a, b = (self.rounded(np.asarray(each)) for each in (a, b))
        return (a * b).astype(self.compute)

    def rounded(self, values: Array) -> Array:
        """``values`` to 11 significant bits."""
        fraction, exponent = np.frexp(values.astype(np.float64))
        found: Array = np.ldexp(np.rint(np.ldexp(fraction, 11)), exponent - 11)
        return found.astype(self.compute)

    def statistics(self, x: Array) -> tuple[Values, Values]:
        """Mean and biased variance by the algorithm drawn."""
        axes = self.case.reduction_axes
        mu = x.mean(axes, keepdims=True)
        if self.truth["variance"] == "two_pass":
            return mu, self.product(x - mu, x - mu).mean(axes, keepdims=True)
        if self.truth["variance"] == "one_pass":
            squares = self.product(x, x).mean(axes, keepdims=True)
            return mu, np.maximum(squares - self.product(mu, mu), self.compute.type(0))
        return self.welford(x)

    def welford(self, x: Array) -> tuple[Values, Values]:
        """A running mean and a running sum of squares, sample by sample."""
        mu = np.zeros_like(x[:1].mean(self.case.reduction_axes, keepdims=True))
        squares = np.zeros_like(mu)
        for k, value in enumerate(np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]), start=1):
            before = value.reshape(mu.shape) - mu
            mu = mu + before / self.compute.type(k)
            squares = squares + self.product(before, value.reshape(mu.shape) - mu)
        return mu, squares / self.compute.type(k)

    def saved(self, values: Values) -> Values:
        """Statistics as they are kept before they normalize."""
        half = self.case.dtype in (DType.FLOAT16, DType.BFLOAT16)
        kept = self.truth["saved_statistics"]
        lower = (kept == "input" and half) or (kept == "parameters" and self.case.half_parameters)
        if not lower:
            return values
        return values.astype(FORMATS[self.case.dtype].numpy).astype(self.compute)

    @property
    def decay(self) -> float:
        """Weight of the old value."""
        assert self.case.decay is not None
        swapped = self.truth["momentum"] == "swapped"
        return 1 - self.case.decay if swapped else self.case.decay

    def update(self, mu: Values, v: Values, n: int) -> None:
        """Take a batch into the running statistics."""
        if self.truth["running_variance"] == "unbiased":
            v = v * self.compute.type(n / max(n - 1, 1))
        new = [each.reshape(self.case.feature_shape) for each in (mu, v)]
        self.updates += 1
        d, of = self.decay, self.compute.type
        if self.truth["averaging"] == "zero_debiased":
            self.hidden = [
                of(d) * old + of(1 - d) * each for old, each in zip(self.hidden, new, strict=True)
            ]
            found = [each / of(1 - d**self.updates) for each in self.hidden]
        else:
            old = [each.astype(self.compute) for each in (self.mean, self.var)]
            found = [of(d) * a + of(1 - d) * b for a, b in zip(old, new, strict=True)]
        self.mean, self.var = (each.astype(self.case.parameter_format.numpy) for each in found)

    def wide(self, values: Array) -> Values:
        """``values`` so that they broadcast against x."""
        return np.expand_dims(values.astype(self.compute), self.case.reduction_axes)

    def output(self, x: Array) -> np.dtype:
        """The format of y."""
        affine = self.case.center or self.case.scale
        promoted = self.truth["half_output"] == "parameters" and affine
        return self.case.parameter_format.numpy if promoted else x.dtype

    def call(
        self, x: Array, dy: Array, mean: Values, var: Values, mu: Values | None, share: float
    ) -> Step:
        """y and gradients; ``mu`` is the batch's own mean, whose ``share`` in ``mean`` counts."""
        axes, times, of = self.case.reduction_axes, self.product, self.compute.type
        g, wide_x = dy.astype(self.compute), x.astype(self.compute)
        one = np.ones((1,) * x.ndim, self.compute)
        gamma = one if self.parameters.gamma is None else self.wide(self.parameters.gamma)
        beta = 0 * one if self.parameters.beta is None else self.wide(self.parameters.beta)
        r = 1 / np.sqrt(var + of(self.epsilon))
        xhat = (wide_x - mean) * r
        dgamma, dbeta = times(g, xhat).sum(axes, keepdims=True), g.sum(axes, keepdims=True)
        terms = [gamma * r * g]
        if mu is not None:
            n, of_batch = of(self.case.count(x.shape)), of(share) * (wide_x - mu) * r
            terms.append(-(gamma * r * of(share) * dbeta / n + np.zeros_like(g)))
            terms.append(-(gamma * r * of_batch * (dgamma / n)))
        kept = self.case.parameter_format.numpy
        shape = self.case.feature_shape
        batch = {} if mu is None or share != 1.0 else {"batch_mean": mu, "batch_var": var}
        return Step(
            y=(xhat * gamma + beta).astype(self.output(x)),
            dx=self.total(terms, x.dtype),
            dgamma=dgamma.reshape(shape).astype(kept) if self.case.scale else None,
            dbeta=dbeta.reshape(shape).astype(kept) if self.case.center else None,
            running_mean=self.mean,
            running_var=self.var,
            **{name: each.reshape(shape) for name, each in batch.items()},
        )

    def total(self, terms: list[Values], half: np.dtype) -> Array:
        """The contributions to dx together."""
        if self.truth["half_gradient"] == "once" or half.itemsize > 2:
            whole: Array = np.sum(terms, axis=0).astype(half)
            return whole
        found = np.zeros_like(terms[0], half)
        for term in terms:
            found = (found + term.astype(half)).astype(half)
        return found
