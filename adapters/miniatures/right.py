"""The miniatures without a defect, as adapters: all others are theirs but for one method.

A miniature is adapter and layer in one: :meth:`Right.build` gives a fresh object of its own class,
so that a defect is one class with one method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from bnconform.adapters.miniatures.layer import Layer
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Axes, Capabilities, Parameters, Quantity, Step
from bnconform.conformance.dialect import (
    Averaging,
    Claim,
    Dialect,
    FrozenPolicy,
    HalfGradient,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType

_LAYER = "adapters/miniatures/layer.py: "
_HERE = "adapters/miniatures/right.py: "


class Right(Layer):
    """No defect, and the conventions of the paper with biased running variance."""

    name: ClassVar[str] = "miniature.right"
    framework: ClassVar[str] = "numpy"
    environment: ClassVar[Mapping[str, str]] = {}
    version: str = np.__version__
    device: str = "cpu"
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _LAYER + "moved weighs the old value by decay"),
        default_momentum=Claim(None, _LAYER + "decay comes with every case"),
        default_epsilon=Claim(None, _LAYER + "epsilon comes with every case"),
        epsilon_floor=Claim(0.0, _LAYER + "inverse_deviation adds epsilon as it is"),
        running_variance=Claim(RunningVariance.BIASED, _LAYER + "averaged_variance is v itself"),
        variance=Claim(VarianceAlgorithm.TWO_PASS, _LAYER + "batch_variance"),
        single_value=Claim(Policy.COMPUTES, _LAYER + "check asks for one value"),
        empty_batch=Claim(Policy.REJECTS, _LAYER + "check raises ValueError"),
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _LAYER + "frozen hands over to infer"),
        half_output=Claim(HalfOutput.INPUT, _LAYER + "rounded casts y at the end"),
        half_gradient=Claim(HalfGradient.ONCE, _LAYER + "rounded casts dx at the end"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset(range(1, 7)),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity),
        cumulative=True,
        half_parameters=True,
    )

    def __init_subclass__(cls, **settings: Any) -> None:
        """Name every miniature after its class: EpsilonOutside is miniature.epsilon_outside."""
        super().__init_subclass__(**settings)
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__)
        cls.name = f"miniature.{words.lower()}"

    def build(self, case: Case, parameters: Parameters) -> Self:
        """A layer that starts from these parameters and this state."""
        layer = type(self)()
        layer.begin(case, parameters)
        return layer


class RightOtherwise(Right):
    """No defect either, and the other choice wherever two conventions are in use.

    Unbiased running variance, zero-debiased averages, and a frozen layer that normalizes by the
    batch: what a defect of these needs to start from.
    """

    dialect: ClassVar[Dialect] = replace(
        Right.dialect,
        running_variance=Claim(RunningVariance.UNBIASED, _HERE + "averaged_variance corrects v"),
        averaging=Claim(Averaging.ZERO_DEBIASED, _HERE + "update divides by 1 - decay^t"),
        frozen=Claim(FrozenPolicy.BATCH_STATISTICS, _HERE + "frozen takes the batch's"),
    )

    def averaged_variance(self, v: Array, n: int) -> Array:
        """Bessel's correction, v n / max(n - 1, 1)."""
        found: Array = v * v.dtype.type(n / max(n - 1, 1))
        return found

    def begin(self, case: Case, parameters: Parameters) -> None:
        """Start the hidden averages at 0."""
        super().begin(case, parameters)
        self.hidden = (np.zeros_like(self.wide(self.mean)), np.zeros_like(self.wide(self.var)))

    def update(self, mu: Array, v: Array, n: int) -> None:
        """h <- decay h + (1 - decay) z from h = 0 on, given out as h / (1 - decay^t)."""
        decay = self.decay()
        if self.case.decay is None or decay == 1.0:
            super().update(mu, v, n)
            return
        values = (mu, self.averaged_variance(v, n))
        mean, var = (decay * h + (1 - decay) * z for h, z in zip(self.hidden, values, strict=True))
        self.hidden, share = (mean, var), 1 - decay**self.updates
        self.mean, self.var = self.kept(mean / share), self.kept(var / share)

    def frozen(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch and leave the running statistics alone."""
        self.check(x)
        values, g = self.read(x), self.read_upstream(x, dy)
        mu, v = self.statistics(values)
        return self.step(self.by_batch(values, g, mu, v), x, (mu, v))
