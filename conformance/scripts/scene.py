"""What a script is to show: one divergence, with everything that its template writes down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from ..case import Case, Mode
from ..cases.fills import StepInputs, make_inputs
from ..cases.malformed import MalformedCall, Probe, make_call
from ..contract import GRADIENTS, RUNNING_STATISTICS, Array, Parameters, Quantity
from ..dialect import Averaging, FrozenPolicy, RunningVariance, TrainingStatistics
from ..expecting.expectation import Conventions, Expectation, Expected
from ..formats import DType
from ..malformation import Malformation
from ..reference import expect
from ..variant import PLAIN, VariantKind
from ..verdict import CALL, Cause

_LONGEST = 120.0
"""Seconds for a call that may hang: a script must end before it is given up itself."""


class NoScriptError(Exception):
    """There is no script for this divergence; the text says why."""


class Check(StrEnum):
    """What a script looks at to tell whether its divergence stands."""

    VALUES = "values"
    """The answer is outside its bounds."""
    FORM = "form"
    """Its shape or number format is wrong."""
    RAISES = "raises"
    """A call that must answer raises."""
    ACCEPTS = "accepts"
    """A call that must be rejected answers."""
    UNCLEAR = "unclear"
    """A call is rejected with a message that names nothing of it."""
    SURVIVES = "survives"
    """A call kills its process, or does not return."""
    REPEATS = "repeats"
    """The same call again gives other bits."""


@dataclass(frozen=True, kw_only=True)
class Want:
    """Expected values, with bounds that say all: 0 exact, infinite where nothing is looked at.

    ``largest`` is the output format's, where an infinity of the right sign may be right; else None.
    """

    expected: Array
    bound: Array
    largest: float | None
    dtype: DType


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One divergence.

    ``steps`` are the training calls, or the one call outside training, up to the one in question;
    ``inference`` is the call that follows them, where that is in question; ``afterwards`` is that
    call in any case, None where there is none. ``backward`` says whether the subject can be
    differentiated.
    """

    divergence: Mapping[str, Any]
    case: Case
    parameters: Parameters
    steps: tuple[StepInputs, ...]
    inference: StepInputs | None
    conventions: Conventions
    check: Check
    words: tuple[str, ...]
    want: Want | None
    malformation: Malformation | None
    afterwards: StepInputs | None = None
    backward: bool = True

    @property
    def quantity(self) -> str:
        """What the script prints; the output, where a call as a whole is in question."""
        return _quantity_of(self.divergence, self.check)

    @property
    def gradient(self) -> str | None:
        """Which gradient is in question, or None."""
        if not self.backward:
            return None
        if self.check in (Check.RAISES, Check.UNCLEAR, Check.SURVIVES):
            # The error may be that of the backward pass.
            return Quantity.DX.value
        return self.quantity if self.quantity in GRADIENTS else None

    @property
    def limit(self) -> float:
        """Seconds after which a call that does not return is taken to hang."""
        found = re.search(r"within ([0-9.]+) s", str(self.divergence["message"]))
        return min(float(found[1]), _LONGEST) if found else _LONGEST

    @property
    def training(self) -> bool:
        """Whether ``steps`` are calls in training mode."""
        return self.case.mode is not Mode.INFERENCE

    @property
    def axis(self) -> int:
        """The one feature axis, as the user gave it."""
        return self.case.feature_axes[0]

    @property
    def wide(self) -> tuple[int, ...]:
        """The shape of parameters that broadcast against the input."""
        sizes = enumerate(self.case.shape)
        return tuple(size if at in self.case.channel_axes else 1 for at, size in sizes)

    @property
    def variant(self) -> str:
        """The variant's name."""
        return self.case.variant.kind.value

    @property
    def unbiased(self) -> bool:
        """Whether the running variance documented is the unbiased one."""
        return self.conventions.running_variance is RunningVariance.UNBIASED

    @property
    def debiased(self) -> bool:
        """Whether the averages documented are zero-debiased."""
        return self.conventions.averaging is Averaging.ZERO_DEBIASED

    @property
    def by_batch(self) -> bool:
        """Whether the call in question is documented to normalize by its batch."""
        if self.variant == VariantKind.UNTRACKED:
            return True
        if self.case.mode is Mode.FROZEN:
            return self.conventions.frozen is FrozenPolicy.BATCH_STATISTICS
        batch = self.conventions.training_statistics is TrainingStatistics.BATCH
        return self.training and self.inference is None and batch

    @property
    def has_formula(self) -> bool:
        """Whether a few lines of NumPy give what is expected."""
        plain = (VariantKind.PLAIN, VariantKind.UNTRACKED, VariantKind.SYNCHRONIZED)
        if self.check is not Check.VALUES or self.case.variant.kind not in plain:
            return False
        running = self.conventions.training_statistics is TrainingStatistics.RUNNING
        if running and self.case.mode is Mode.TRAIN and self.gradient:
            return False
        return self.case.smallest_count > 0


def scene_of(
    divergence: Mapping[str, Any], arrays: Mapping[str, Array], conventions: Conventions
) -> Scene:
    """The scene of a bundle; :class:`NoScriptError` where there is none to be shown."""
    if "malformation" in divergence["case"]:
        return _malformed(divergence, conventions)
    return _ordinary(divergence, arrays, conventions)


def without_history(scene: Scene) -> Scene:
    """The same with the one call in question, where what it answers depends on no earlier one."""
    stateful = scene.quantity in (*RUNNING_STATISTICS, Quantity.Y_INFER) or (
        scene.variant == VariantKind.RENORM
        or scene.conventions.training_statistics is TrainingStatistics.RUNNING
        or scene.check is not Check.VALUES
    )
    return scene if stateful else replace(scene, steps=scene.steps[-1:])


def only_inference(scene: Scene) -> tuple[Scene, ...]:
    """The scene of the inference that follows the training steps, if that is where a call raised.

    It starts from the parameters of the case: what a call raises or dies of is hardly ever what
    the steps have left. There is none where inference is no plain one.
    """
    if scene.afterwards is None or not _in_inference(scene.divergence):
        return ()
    case = replace(scene.case, mode=Mode.INFERENCE, steps=1, last_batch=scene.case.shape[0])
    if case.variant.kind is not VariantKind.UNTRACKED:
        case = replace(case, variant=PLAIN)
    parameters = replace(
        scene.parameters, renorm_mean=None, renorm_stddev=None, running_stddev=None
    )
    step = StepInputs(x=scene.afterwards.x, dy=scene.afterwards.dy)
    return (replace(scene, case=case, parameters=parameters, steps=(step,), afterwards=None),)


def _in_inference(divergence: Mapping[str, Any]) -> bool:
    """Whether the call was not seen to fail in training: its traceback, if any, is kept."""
    return "layer.train(" not in str(divergence.get("output", ""))


def _malformed(divergence: Mapping[str, Any], conventions: Conventions) -> Scene:
    told = divergence["case"]
    probe = Probe(
        base=Case.from_dict(told["base"]), malformation=Malformation(told["malformation"])
    )
    call: MalformedCall = make_call(probe)
    return Scene(
        divergence=divergence,
        case=call.case,
        parameters=call.parameters,
        steps=(StepInputs(x=call.x, dy=call.dy),),
        inference=None,
        conventions=conventions,
        check=_check_of(divergence),
        words=probe.rule.words,
        want=None,
        malformation=probe.malformation,
    )


def _ordinary(
    divergence: Mapping[str, Any], arrays: Mapping[str, Array], conventions: Conventions
) -> Scene:
    case = Case.from_dict(divergence["case"])
    check, inputs = _check_of(divergence), make_inputs(case)
    after = _quantity_of(divergence, check) == Quantity.Y_INFER
    step = int(divergence["step"])
    last = len(inputs.steps) - 1 if step < 0 or after else step
    stored = divergence["quantity"] == Quantity.Y_INFER
    _check_arrays(inputs.inference if stored else inputs.steps[max(step, 0)], arrays)
    return Scene(
        divergence=divergence,
        case=case,
        parameters=inputs.parameters,
        steps=inputs.steps[: last + 1],
        inference=inputs.inference if after and case.mode is Mode.TRAIN else None,
        conventions=conventions,
        check=check,
        words=(),
        want=_want(divergence, arrays, expect(case, inputs, conventions), case)
        if check in (Check.VALUES, Check.FORM)
        else None,
        malformation=None,
        afterwards=inputs.inference
        if check in (Check.RAISES, Check.SURVIVES) and case.mode is Mode.TRAIN
        else None,
    )


def _quantity_of(divergence: Mapping[str, Any], check: Check) -> str:
    """The quantity to print: of a call as a whole the output, or the first that changed."""
    name = str(divergence["quantity"])
    if name == CALL and check is Check.REPEATS:
        return str(divergence["message"]).partition(" differed")[0].partition(", ")[0]
    return "y" if name == CALL else name


def _check_arrays(made: StepInputs, arrays: Mapping[str, Array]) -> None:
    """A bundle holds one call; the others are made again, which must give that one, too."""
    stored = arrays.get("x")
    if stored is None:
        return
    same = stored.shape == made.x.shape and np.array_equal(
        stored.astype(np.float64), made.x.astype(np.float64), equal_nan=True
    )
    if not same:
        msg = "no script: this version of bnconform does not make the arrays that the run had"
        raise NoScriptError(msg)


_CHECKS = {
    Cause.BEYOND_BOUND: Check.VALUES,
    Cause.NOT_FINITE: Check.VALUES,
    Cause.HIDES_NON_FINITE: Check.VALUES,
    Cause.WRONG_SHAPE: Check.FORM,
    Cause.WRONG_FORMAT: Check.FORM,
    Cause.ACCEPTED: Check.ACCEPTS,
    Cause.GARBAGE: Check.ACCEPTS,
    Cause.UNCLEAR: Check.UNCLEAR,
}


_BY_VERDICT = {
    "crashed": Check.SURVIVES,
    "hung": Check.SURVIVES,
    "unrepeatable": Check.REPEATS,
}


def _check_of(divergence: Mapping[str, Any]) -> Check:
    verdict, cause = divergence["verdict"], divergence["cause"]
    if verdict == "wrong_contract":
        raised = "raised " in divergence["message"].split(",")[0] or (
            divergence["message"].startswith("documented to compute")
        )
        return Check.RAISES if raised else Check.ACCEPTS
    if verdict in _BY_VERDICT:
        return _BY_VERDICT[verdict]
    if verdict != "diverges" or cause not in _CHECKS:
        msg = f"no script for this kind of divergence yet: {verdict}, {cause or 'no cause'}"
        raise NoScriptError(msg)
    return _CHECKS[Cause(cause)]


def _want(
    divergence: Mapping[str, Any],
    arrays: Mapping[str, Array],
    expected: Expected,
    case: Case,
) -> Want:
    quantity, step = Quantity(divergence["quantity"]), max(int(divergence["step"]), 0)
    if quantity is Quantity.Y_INFER and expected.inference is not None:
        want = expected.inference[quantity]
    else:
        want = expected.steps[step][quantity]
    value = np.asarray(arrays.get("expected", want.value.hi), np.float64)
    bound = np.asarray(arrays.get("bound", want.bound), np.float64)
    excluded = want.excluded | _other_channels(divergence, case, want)
    # What any finite answer satisfies gets the largest bound there is: finite answers pass.
    bound = np.where(want.vacuous & np.isfinite(bound), np.finfo(np.float64).max, bound)
    bound = np.where(excluded, np.inf, bound)
    with np.errstate(invalid="ignore"):
        overflows = bool((np.abs(value) + bound >= want.output.largest)[~excluded].any())
    return Want(
        expected=value,
        bound=bound,
        largest=want.output.largest if overflows else None,
        dtype=want.output.dtype,
    )


def _other_channels(divergence: Mapping[str, Any], case: Case, want: Expectation) -> np.ndarray:
    """What belongs to another clause: a case with a NaN is judged by channel."""
    shape = want.value.shape
    if divergence["clause"] not in ("BN-EDGE-4", "BN-EDGE-5"):
        return np.zeros(shape, bool)
    first = np.zeros(shape, bool)
    image = len(shape) == case.rank and shape != case.feature_shape
    axes = case.channel_axes if image else range(len(shape))
    first[tuple(0 if at in axes else slice(None) for at in range(len(shape)))] = True
    return first if divergence["clause"] == "BN-EDGE-4" else ~first
