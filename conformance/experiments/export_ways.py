"""What a way of conversion or export must keep, scene by scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from .. import spec
from ..bounds import Float64, Precision, Statistics, output_error, rounded
from ..bounds_variants import Average, debiased_error
from ..contract import Array
from ..dialect import VarianceAlgorithm
from ..expecting.expectation import Expectation, expectation, rearranged
from ..formats import FORMATS, DType, Format, compute_format
from ..numbers.doubledouble import DoubleDouble
from .experiment import Experiment
from .export_scenes import SCENES, Scene

_AXES = (0, 1, 2)
_COUNT = 2
"""Values per channel of every batch: Bessel's correction is then a factor of 2, which is exact."""

_NOTHING = np.zeros(())

CLAUSES = {
    "y": "BN-PORT-1",
    "y_folded": "BN-PORT-5",
    "gamma": "BN-PORT-2",
    "beta": "BN-PORT-2",
    "running_mean": "BN-PORT-2",
    "running_var": "BN-PORT-2",
    "y_train": "BN-PORT-3",
    "next_mean": "BN-PORT-3",
    "next_var": "BN-PORT-3",
    "epsilon": "BN-PORT-4",
    "decay": "BN-PORT-4",
}
"""What may be observed after the journey, less its scene -> the clause."""

OUTPUT = ("y",)
PARAMETERS = ("gamma", "beta")
STATE = ("running_mean", "running_var")
NEXT = ("y_train", "next_mean", "next_var")
"""Output and running statistics of one more training step."""
KEPT = (*OUTPUT, *PARAMETERS, *STATE, *NEXT)
SETTINGS = ("epsilon", "decay")


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way out of a framework and back.

    ``shows`` are keys of :data:`CLAUSES`; ``axis`` is the feature axis where a scene does not say;
    ``folds`` says that a linear layer z = 2 x + 1 before is merged with it, ``unbiased`` and
    ``debiased`` how its framework averages.
    """

    name: str
    parameter: str
    purpose: str
    shows: tuple[str, ...]
    scenes: tuple[Scene, ...]
    axis: int = -1
    folds: bool = False
    unbiased: bool = False
    debiased: bool = False

    def experiment(self) -> Experiment:
        """The experiment that takes every scene this way."""
        legs = [_Leg(way=self, scene=scene) for scene in self.scenes]
        arrays = {name: array for leg in legs for name, array in leg.arrays()}
        scenes = "; ".join(SCENES[scene.name] for scene in self.scenes)
        return Experiment(
            name=f"export.{self.name}",
            parameter=self.parameter,
            purpose=f"{self.purpose}: {scenes}",
            clauses={place: CLAUSES[what] for leg in legs for what, place in leg.places()},
            arrays=arrays,
            expected=cache(partial(_expected, legs)),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Used:
    """Statistics that normalize, exact, and the bounds of a subject's errors in them."""

    mean: DoubleDouble
    var: DoubleDouble
    e_mean: Float64
    e_var: Float64


@dataclass(frozen=True, kw_only=True)
class _Leg:
    """One scene on one way."""

    way: Way
    scene: Scene

    @property
    def trains(self) -> bool:
        """Whether there is a training step before the journey and, where it shows, after it."""
        return bool({"next_mean", "y_train"} & set(self.way.shows)) and self.scene.trains

    @property
    def axis(self) -> int:
        return self.way.axis if self.scene.axis is None else self.scene.axis

    def places(self) -> Iterator[tuple[str, str]]:
        """What is shown, and its name with the scene."""
        absent = {
            "gamma": self.scene.gamma is None,
            "beta": self.scene.beta is None,
            "decay": self.scene.decay is None,
            **dict.fromkeys(STATE, not self.scene.tracked),
            **dict.fromkeys(NEXT, not self.trains),
        }
        for what in self.way.shows:
            if not absent.get(what, False):
                yield what, self.named(what)

    def named(self, what: str) -> str:
        return f"{what}_{self.scene.name}" if self.scene.name else what

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """What the subject is handed; a missing name is what the layer is without."""
        scene = self.scene
        held = {
            "x": self._laid_out(scene.x),
            "gamma": scene.parameter(scene.gamma),
            "beta": scene.parameter(scene.beta),
            "epsilon": np.float64(scene.epsilon),
            "axis": np.int64(self.axis),
            "decay": None if scene.decay is None else np.float64(scene.decay),
        }
        if scene.tracked:
            held["mean"], held["variance"] = map(scene.statistic, (scene.mean, scene.variance))
        if self.trains:
            held |= {"first": self._laid_out(scene.first), "second": self._laid_out(scene.second)}
        for what, array in held.items():
            if array is not None:
                yield self.named(what), np.asarray(array)

    def expected(self) -> Iterator[tuple[str, Expectation]]:
        for what, place in self.places():
            yield place, self._expected(what)

    def _expected(self, what: str) -> Expectation:
        scene = self.scene
        match what:
            case "gamma" | "beta":
                return _exact(_parameter(scene, what), scene.format)
            case "epsilon" | "decay":
                return _exact(getattr(scene, what), FORMATS[DType.FLOAT64])
            case "running_mean" | "running_var":
                return self._statistic(int(self.trains), what)
            case "next_mean" | "next_var":
                return self._statistic(2, what)
            case "y_train":
                # Half-precision layers may keep the batch's statistics in half, too.
                return self._output(scene.second, self._batch(scene.second), scene.format)
            case _:
                x = scene.x * 2 + 1 if self.way.folds else scene.x
                used = self._state(int(self.trains)) if scene.tracked else self._batch(x)
                # A folded weight is kept in the layer's own format.
                form = scene.format if self.way.folds else compute_format(scene.dtype)
                return self._output(x, used, form)

    def _laid_out(self, images: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(images, -1, self.axis))

    def _batch(self, x: Array) -> Used:
        mean, var = self._moments(x)
        return Used(mean=mean, var=var, e_mean=_NOTHING, e_var=_NOTHING)

    def _moments(self, x: Array) -> tuple[DoubleDouble, DoubleDouble]:
        wide = DoubleDouble(x.astype(np.float64))
        mu = spec.batch_mean(wide, _AXES)
        return mu.reshape(-1), spec.biased_variance(wide, mu, _AXES).reshape(-1)

    def _averages(self, steps: int) -> tuple[DoubleDouble, DoubleDouble]:
        """Mean and variance averaged over so many steps, exact in the scene's format."""
        scene, way = self.scene, self.way
        mean, var = (
            DoubleDouble(scene.statistic(row).astype(np.float64))
            for row in (scene.mean, scene.variance)
        )
        if steps and way.debiased:
            mean, var = mean * 0.0, var * 0.0
        for t, batch in enumerate((scene.first, scene.second)[:steps], start=1):
            mu, v = self._moments(batch)
            v = spec.unbiased_variance(v, _COUNT) if way.unbiased else v
            if scene.decay is None:
                mean = spec.cumulative_average(mean, mu, t)
                var = spec.cumulative_average(var, v, t)
            else:
                mean = spec.update_running_mean(mean, mu, scene.decay)
                var = spec.update_running_var(var, v, scene.decay)
        return mean, var

    def _state(self, steps: int) -> Used:
        """The running mean and variance after so many steps, and the bounds of their errors."""
        mean, var = self._averages(steps)
        decay = self.scene.decay
        if not steps or not self.way.debiased or decay is None:
            return Used(mean=mean, var=var, e_mean=_NOTHING, e_var=_NOTHING)
        p = _precision(compute_format(self.scene.dtype))
        errors = [
            debiased_error(Average(value=h.hi, error=_NOTHING), decay, steps, p)
            for h in (mean, var)
        ]
        mean, var = (spec.debiased_average(h, decay, steps) for h in (mean, var))
        return Used(mean=mean, var=var, e_mean=errors[0], e_var=errors[1])

    def _statistic(self, steps: int, what: str) -> Expectation:
        state, form = self._state(steps), self.scene.format
        value, error = (state.var, state.e_var) if "var" in what else (state.mean, state.e_mean)
        return expectation(value, np.broadcast_to(error, value.shape), None, form)

    def _output(self, x: Array, used: Used, computed: Format) -> Expectation:
        scene, form = self.scene, self.scene.format
        p = _precision(computed)
        gamma, beta = _parameter(scene, "gamma"), _parameter(scene, "beta")
        r = spec.inverse_deviation(used.var, scene.epsilon)
        xhat = spec.normalize(DoubleDouble(x.astype(np.float64)), used.mean, r)
        y = spec.scale_and_shift(xhat, DoubleDouble(gamma), DoubleDouble(beta))
        s = Statistics(mu=used.mean.hi, v=used.var.hi, delta=used.e_mean, e_v=used.e_var)
        size = y.to_float64()
        error = output_error(x.astype(np.float64), size, gamma, beta, s, scene.epsilon, p)
        bound = rounded(error, size, form, p.accumulation)

        def order(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.moveaxis(values, -1, self.axis)

        return expectation(rearranged(y, order), order(bound), None, form)


def _precision(form: Format) -> Precision:
    return Precision(accumulation=form, algorithm=VarianceAlgorithm.TWO_PASS)


def _parameter(scene: Scene, what: str) -> npt.NDArray[np.float64]:
    """gamma or beta in float64; 1 or 0 where there is none."""
    held = scene.parameter(getattr(scene, what))
    if held is None:
        return np.full(len(scene.mean), 1.0 if what == "gamma" else 0.0)
    return held.astype(np.float64)


def _exact(value: npt.ArrayLike | DoubleDouble, form: Format) -> Expectation:
    number = value if isinstance(value, DoubleDouble) else DoubleDouble(np.asarray(value, float))
    return expectation(number, np.zeros(number.shape), None, form)


def _expected(legs: list[_Leg]) -> Mapping[str, Expectation]:
    return {place: want for leg in legs for place, want in leg.expected()}
