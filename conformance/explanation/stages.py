"""Where an error enters: the subject's own intermediate values put into the spec.

What follows from a wrong intermediate value is no error of its own: dgamma computed rightly from a
wrong mean diverges, too. So the values that an answer implies (the mean and inverse deviation that
y reveals, the running statistics that inference was given) are substituted, and what then comes
out right belongs to the stage where they went wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .. import spec
from ..bounds import Float64
from ..case import Case, Mode
from ..cases.fills import Inputs, StepInputs
from ..contract import RUNNING_STATISTICS, Answer, Quantity, Step
from ..expecting.expectation import Expectation, Expected
from .names import Stage

SLACK = 8.0
"""Bounds are for the right values; for substituted ones they hold but for a small factor."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """A stage, the quantity that shows it, and all diverging quantities that it settles.

    ``like`` is the stage that a wrong inference would be laid to if training showed it, too.
    """

    stage: Stage
    origin: Quantity
    quantities: frozenset[Quantity]
    like: Stage | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One answered case: what was asked, what was expected and what came."""

    case: Case
    inputs: Inputs
    expected: Expected
    answer: Answer


def locate(scene: Scene, diverging: frozenset[Quantity], step: int) -> Iterator[Located]:
    """The stages that account for ``diverging``; ``step`` is the first call that shows any."""
    left = set(diverging)
    for found in _stages(scene, diverging, step):
        mine = found.quantities & left
        if mine:
            left -= mine
            yield replace(found, quantities=frozenset(mine))


def _stages(scene: Scene, diverging: frozenset[Quantity], step: int) -> Iterator[Located]:
    if Quantity.Y in diverging and _by_constants(scene):
        yield _of_inference(scene, Quantity.Y)
    elif Quantity.Y in diverging:
        yield from _of_output(scene, diverging, step)
    infers = Quantity.Y_INFER in diverging
    carried = frozenset({Quantity.Y_INFER}) if infers and _by_own_state(scene) else frozenset()
    wrong_state = diverging & RUNNING_STATISTICS
    for quantity, stage in _ORIGINS.items():
        follows = carried if quantity in wrong_state else frozenset()
        if quantity is Quantity.Y_INFER and infers:
            yield _of_inference(scene, quantity)
        elif quantity in diverging:
            mine = frozenset({quantity}) | follows
            yield Located(stage=stage, origin=quantity, quantities=mine)


_ORIGINS: Mapping[Quantity, Stage] = {
    Quantity.BATCH_MEAN: Stage.MEAN,
    Quantity.BATCH_VAR: Stage.VARIANCE,
    Quantity.RUNNING_MEAN: Stage.UPDATE_MEAN,
    Quantity.RUNNING_VAR: Stage.UPDATE_VARIANCE,
    Quantity.DX: Stage.DX,
    Quantity.DGAMMA: Stage.DGAMMA,
    Quantity.DBETA: Stage.DBETA,
    Quantity.Y_INFER: Stage.INFERENCE,
}
"""Where a quantity goes wrong by itself."""


def _by_constants(scene: Scene) -> bool:
    """Whether the only call normalizes by the running statistics."""
    step = scene.expected.steps[0]
    return scene.case.mode is not Mode.TRAIN and Quantity.BATCH_MEAN not in step


def _of_inference(scene: Scene, quantity: Quantity) -> Located:
    """A wrong output of inference, and whether it looks like one of a wrong 1 / sqrt(v + eps)."""
    alone = quantity is Quantity.Y
    step = scene.answer.steps[-1] if alone else scene.answer.inference
    want = scene.expected.steps[-1] if alone else scene.expected.inference
    inputs = scene.inputs.steps[-1] if alone else scene.inputs.inference
    like = Stage.AFFINE
    if step is not None and want is not None:
        implied = _implied(scene, inputs, step.y.astype(np.float64), want[quantity])
        if implied is not None and implied.affine:
            like = Stage.INVERSE_DEVIATION
    return Located(
        stage=Stage.INFERENCE, origin=quantity, quantities=frozenset({quantity}), like=like
    )


@dataclass(frozen=True, kw_only=True)
class _Implied:
    """The mean and inverse deviation that y reveals, and whether y is affine in x at all."""

    mean: Float64
    r: Float64
    affine: bool


def _of_output(scene: Scene, diverging: frozenset[Quantity], step: int) -> Iterator[Located]:
    """The stage where a wrong y comes from, and what follows from it."""
    inputs, got = scene.inputs.steps[step], scene.answer.steps[step]
    want = scene.expected.steps[step][Quantity.Y]
    implied = _implied(scene, inputs, got.y.astype(np.float64), want)
    own = frozenset({Quantity.Y})
    if implied is None or not implied.affine:
        yield Located(stage=Stage.AFFINE, origin=Quantity.Y, quantities=own)
        return
    stage = _statistic(scene, inputs, implied, want, diverging)
    follows = {q for q in diverging if _follows(q, scene, inputs, got, implied, step)}
    if stage in (Stage.MEAN, Stage.VARIANCE):
        follows |= diverging & {_STATE_OF[stage], _BATCH_OF[stage]}
        if Quantity.Y_INFER in diverging and _by_own_state(scene):
            follows.add(Quantity.Y_INFER)
    yield Located(stage=stage, origin=Quantity.Y, quantities=own | follows)


_STATE_OF = {Stage.MEAN: Quantity.RUNNING_MEAN, Stage.VARIANCE: Quantity.RUNNING_VAR}
_BATCH_OF = {Stage.MEAN: Quantity.BATCH_MEAN, Stage.VARIANCE: Quantity.BATCH_VAR}


def _implied(scene: Scene, inputs: StepInputs, y: Float64, want: Expectation) -> _Implied | None:
    """The least-squares line through (x, y) of each channel, read as gamma r (x - mean) + beta."""
    axes = scene.case.reduction_axes
    x = inputs.x.astype(np.float64)
    if x.size == 0:
        return None
    finite = (np.isfinite(x) & np.isfinite(y)).all(axis=axes, keepdims=True)
    x, y = np.where(finite, x, 0.0), np.where(finite, y, 0.0)
    gamma, beta = _affine(scene)
    with np.errstate(all="ignore"):
        middle, level = x.mean(axis=axes, keepdims=True), y.mean(axis=axes, keepdims=True)
        spread = np.square(x - middle).sum(axis=axes, keepdims=True)
        slope = ((x - middle) * (y - level)).sum(axis=axes, keepdims=True) / spread
        known = np.isfinite(slope) & (slope != 0)
        slope = np.where(known, slope, 0.0)
        residual = np.abs(y - (level + slope * (x - middle)))
        affine = bool(((residual <= SLACK * want.bound) | ~finite).all())
        mean = np.where(known, middle - (level - beta) / np.where(known, slope, 1.0), np.nan)
        r = np.where(known, slope / gamma, np.nan)
    return _Implied(mean=mean, r=r, affine=affine)


def _affine(scene: Scene) -> tuple[Float64, Float64]:
    """gamma and beta in wide shape; ones and zeros where there are none."""
    wide = [
        size if axis in scene.case.channel_axes else 1 for axis, size in enumerate(scene.case.shape)
    ]
    p = scene.inputs.parameters
    gamma = np.ones(wide) if p.gamma is None else p.gamma.astype(np.float64).reshape(wide)
    beta = np.zeros(wide) if p.beta is None else p.beta.astype(np.float64).reshape(wide)
    return gamma, beta


def _statistic(
    scene: Scene,
    inputs: StepInputs,
    implied: _Implied,
    want: Expectation,
    diverging: frozenset[Quantity],
) -> Stage:
    """Which statistic a wrong but affine y was normalized by."""
    axes = scene.case.reduction_axes
    x = inputs.x.astype(np.float64)
    gamma, _ = _affine(scene)
    with np.errstate(all="ignore"):
        mu = spec.batch_mean(x, axes)
        v = spec.biased_variance(x, mu, axes)
        r = spec.inverse_deviation(v, scene.case.epsilon)
        shift = np.abs(gamma * r * (implied.mean - mu))
        stretch = np.abs(gamma * (implied.r - r) * (x - mu))
        shifted = bool((shift > SLACK * want.bound.max(axis=axes, keepdims=True)).any())
        stretched = bool((stretch > SLACK * want.bound).any())
    # The mean that a line implies is as uncertain as its slope; so a wrong slope comes first.
    if stretched and not (shifted and Quantity.RUNNING_MEAN in diverging):
        wrong = {Quantity.RUNNING_VAR, Quantity.BATCH_VAR} & diverging
        return Stage.VARIANCE if wrong else Stage.INVERSE_DEVIATION
    exposed = scene.answer.steps[0].running_mean is not None
    moved = {Quantity.RUNNING_MEAN, Quantity.BATCH_MEAN} & diverging
    return Stage.MEAN if moved or not exposed else Stage.AFFINE


def _follows(
    quantity: Quantity, scene: Scene, inputs: StepInputs, got: Step, implied: _Implied, step: int
) -> bool:
    """Whether a gradient is right for the mean and inverse deviation that y reveals."""
    if quantity not in (Quantity.DX, Quantity.DGAMMA):
        return False
    axes = scene.case.reduction_axes
    x, g = inputs.x.astype(np.float64), inputs.dy.astype(np.float64)
    gamma, _ = _affine(scene)
    with np.errstate(all="ignore"):
        xhat = spec.normalize(x, implied.mean, implied.r)
        if quantity is Quantity.DX:
            right = spec.training_dx(g, xhat, implied.r, gamma, axes)
        else:
            right = spec.dgamma(g, xhat, axes).reshape(scene.case.feature_shape)
    answer = getattr(got, quantity.value)
    return answer is not None and _near(answer, right, scene.expected.steps[step][quantity])


def _by_own_state(scene: Scene) -> bool:
    """Whether inference is right for the running statistics that the subject showed before it."""
    last, answer = scene.answer.steps[-1], scene.answer.inference
    want = None if scene.expected.inference is None else scene.expected.inference
    if last.running_mean is None or last.running_var is None or answer is None or want is None:
        return False
    gamma, beta = _affine(scene)
    with np.errstate(all="ignore"):
        mean = last.running_mean.astype(np.float64).reshape(gamma.shape)
        var = last.running_var.astype(np.float64).reshape(gamma.shape)
        r = spec.inverse_deviation(var, scene.case.epsilon)
        right = gamma * (scene.inputs.inference.x.astype(np.float64) - mean) * r + beta
    return _near(answer.y, right, want[Quantity.Y])


def _near(answer: np.ndarray, right: np.ndarray, want: Expectation) -> bool:
    """Whether ``answer`` is within the bound of ``right``, as far as a substitution can say."""
    with np.errstate(all="ignore"):
        size = np.abs(right) / np.maximum(np.abs(want.value.hi), 1e-300)
        bound = SLACK * want.bound * np.maximum(size, 1.0)
        close = np.abs(answer.astype(np.float64) - right) <= bound
    return bool((close | want.vacuous | ~np.isfinite(right)).all())
