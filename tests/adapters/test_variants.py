"""Every variant of the NumPy, PyTorch, Keras and Flax subjects against the spec in float64.

Three training steps, the last batch smaller, then inference. Every subject answers in a worker
process of its own, as in a campaign.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest

from bnconform.adapters.flax_linen import FlaxLinen
from bnconform.adapters.keras_layer import KerasJax, KerasTensorflow, KerasTorch
from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.adapters.torch_module import TorchModule
from bnconform.conformance import spec
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import Answered, Array, Outcome, Step, Unsupported
from bnconform.conformance.dialect import RunningVariance
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.formats import FORMATS, DType, compute_format
from bnconform.conformance.variant import (
    PLAIN,
    Adjusted,
    FixedGamma,
    Ghost,
    Hidden,
    Masked,
    Renorm,
    Synchronized,
    Untracked,
    VariantKind,
    Weighted,
)

Subject: TypeAlias = type[
    NumpyReference
    | TorchFunctional
    | TorchModule
    | KerasTensorflow
    | KerasTorch
    | KerasJax
    | FlaxLinen
]
TORCH: tuple[Subject, ...] = (TorchFunctional, TorchModule)
KERAS: tuple[Subject, ...] = (KerasTensorflow, KerasTorch, KerasJax)
SUBJECTS: tuple[Subject, ...] = (NumpyReference, *TORCH, *KERAS, FlaxLinen)

ROUNDINGS = {DType.FLOAT16: 16, DType.BFLOAT16: 16, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array.

The cases have at most 36 values a channel, of order one. Sums lose some tens of roundings and a
one-pass variance some hundreds; half precision rounds arrays once or twice, and statistics, where
they are kept in it, before they normalize. The wrong alternatives below are all told apart.
"""

LIMIT = 300.0
"""Seconds for one case on a busy machine: the first of a process imports its framework."""

_BASE = Case(
    shape=(12, 3, 4),
    last_batch=6,
    feature_axes=(-1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=3,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=11),
)


def _case(**changes: Any) -> Case:
    return replace(_BASE, **changes)


_UNLIMITED = Renorm(r_min=None, r_max=None, d_max=None, decay=0.5)
_MASKED = Masked(hidden=Hidden.ORDINARY)

CASES = {
    "renorm, without limits": _case(variant=_UNLIMITED),
    "renorm, within limits": _case(variant=Renorm(r_min=0.9, r_max=1.1, d_max=0.25, decay=0.5)),
    "renorm, neither gamma nor beta": _case(variant=_UNLIMITED, scale=False, center=False),
    "renorm, axis amid": _case(variant=_UNLIMITED, shape=(12, 4, 3), feature_axes=(1,)),
    "ghost": _case(variant=Ghost(size=3)),
    "ghost, plain average": _case(variant=Ghost(size=3), decay=None),
    "synchronized, equal shares": _case(variant=Synchronized(replicas=2, uneven=False)),
    "synchronized, unequal shares": _case(variant=Synchronized(replicas=3, uneven=True)),
    "masked": _case(variant=_MASKED),
    "masked, axis amid": _case(variant=_MASKED, shape=(12, 4, 3), feature_axes=(1,)),
    "masked, two axes": _case(variant=_MASKED, shape=(12, 3, 2, 2), feature_axes=(1, -1)),
    "masked, one channel": _case(variant=_MASKED, shape=(12, 3, 1)),
    "masked, one channel, axis from the front": _case(
        variant=_MASKED, shape=(12, 1), feature_axes=(1,)
    ),
    "masked, NaN hidden": _case(variant=Masked(hidden=Hidden.NAN)),
    "masked, nothing hidden": _case(variant=Masked(hidden=Hidden.ORDINARY, everything=True)),
    "masked, float64": _case(variant=_MASKED, dtype=DType.FLOAT64),
    "weighted": _case(variant=Weighted()),
    "adjusted by sample": _case(variant=Adjusted(per_sample=True)),
    "adjusted as one": _case(variant=Adjusted(per_sample=False)),
    "untracked": _case(variant=Untracked()),
    "untracked, inference": _case(
        variant=Untracked(), mode=Mode.INFERENCE, steps=1, last_batch=12
    ),
    "fixed gamma": _case(variant=FixedGamma()),
    "float16 parameters": _case(dtype=DType.FLOAT16, half_parameters=True),
    "bfloat16 parameters": _case(dtype=DType.BFLOAT16, half_parameters=True),
    "float16 parameters, renorm": _case(
        dtype=DType.FLOAT16, half_parameters=True, variant=_UNLIMITED
    ),
    "bfloat16 parameters, masked": _case(
        dtype=DType.BFLOAT16, half_parameters=True, variant=_MASKED
    ),
}  # fmt: skip

_HALVES = ("float16 parameters", "bfloat16 parameters")
_KERAS_OFFERS = (
    "renorm, without limits", "renorm, within limits", "renorm, neither gamma nor beta",
    "renorm, axis amid", "masked", "masked, one channel",
    "masked, one channel, axis from the front", "masked, NaN hidden", "masked, nothing hidden",
    "masked, float64", *_HALVES, "float16 parameters, renorm", "bfloat16 parameters, masked",
)  # fmt: skip
OFFERED: Mapping[Subject, tuple[str, ...]] = {
    NumpyReference: tuple(CASES),
    **dict.fromkeys(TORCH, ("untracked", "untracked, inference", *_HALVES)),
    **dict.fromkeys(KERAS, _KERAS_OFFERS),
    FlaxLinen: (
        "synchronized, equal shares", "masked", "masked, axis amid", "masked, two axes",
        "masked, one channel", "masked, one channel, axis from the front", "masked, NaN hidden",
        "masked, nothing hidden", "masked, float64",
    ),
}  # fmt: skip
"""What each subject must answer."""

REFUSED: Mapping[tuple[Subject, str], str] = {
    **{(subject, "masked, axis amid"): "a mask has no feature axis" for subject in KERAS},
    (FlaxLinen, "synchronized, unequal shares"): "no replicas with unequal shares",
}
"""What a subject's capabilities admit and its adapter refuses, and how the reason begins."""

FOUND: Mapping[tuple[Subject, str], str] = {
    **{
        (subject, "masked, one channel"): "IndexError: ops.squeeze takes the only channel, too"
        for subject in (KerasTorch, KerasJax)
    },
    **{
        (subject, "masked, one channel, axis from the front"): "the same IndexError"
        for subject in KERAS
    },
    (KerasTensorflow, "masked, float64"): "divides by W + 1e-7",
    **{
        (subject, "masked, float64"): "computes in float32, whatever dtype says"
        for subject in (KerasTorch, KerasJax)
    },
}
"""Wrong answers of these frameworks. They are found here, and mended nowhere."""

Calls: TypeAlias = list[dict[str, Array]]
Outcomes: TypeAlias = Callable[[Subject, str], Outcome]


def _rows() -> list[Any]:
    """(subject, name) of every case that must be answered; known wrong answers as strict xfail."""
    rows = []
    for key in ((subject, name) for subject, names in OFFERED.items() for name in names):
        marks = [pytest.mark.xfail(strict=True, reason=FOUND[key])] if key in FOUND else []
        rows.append(pytest.param(*key, id=f"{key[0].name}: {key[1]}", marks=marks))
    return rows


@pytest.fixture(scope="session")
def outcome_of() -> Outcomes:
    """Gives the outcome of a subject and a case; a subject runs all its cases when first asked."""
    found: dict[Subject, dict[str, Outcome]] = {}

    def outcome(subject: Subject, name: str) -> Outcome:
        if subject not in found:
            names = [n for n, case in CASES.items() if not subject.capabilities.unsupported(case)]
            questions = [Question(case=CASES[each], repeat=True) for each in names]
            target = Target(module=subject.__module__, attribute=subject.__name__)
            with SubjectProcess(target, subject.environment) as process:
                answers = [answer for _, answer in process.ask(questions, LIMIT)]
            found[subject] = dict(zip(names, answers, strict=True))
        return found[subject][name]

    return outcome


@pytest.mark.parametrize(("subject", "name"), _rows())
def test_every_quantity_of_a_variant_agrees_with_the_spec(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """All that a subject exposes has the right shape and format, and the spec's value."""
    outcome = outcome_of(subject, name)
    assert isinstance(outcome, Answered), outcome
    answer = outcome.answer
    calls = [*answer.steps, *([answer.inference] if answer.inference else [])]
    wanted = _expected(CASES[name], subject)
    assert len(calls) == len(wanted)
    for call, want in zip(calls, wanted, strict=True):
        assert _exposed(call) == set(want)
        for field, value in want.items():
            _assert_close(CASES[name], field, getattr(call, field), value)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_capabilities_admit_what_the_subject_offers_and_what_it_refuses_itself(
    subject: Subject,
) -> None:
    """Everything else is ruled out by the declaration alone."""
    admitted = {name for name, case in CASES.items() if not subject.capabilities.unsupported(case)}
    refused = {name for other, name in REFUSED if other is subject}
    assert admitted == set(OFFERED[subject]) | refused


@pytest.mark.parametrize(
    ("subject", "name"),
    [pytest.param(*key, id=f"{key[0].name}: {key[1]}") for key in REFUSED],
)
def test_what_a_framework_cannot_do_with_a_variant_is_refused_with_the_reason(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """A shape that the framework does not offer is no divergence and no pass."""
    outcome = outcome_of(subject, name)
    assert isinstance(outcome, Unsupported), outcome
    assert outcome.reason.startswith(REFUSED[subject, name])


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_inputs_of_a_variant_are_left_alone_and_a_second_layer_gives_the_same_bits(
    subject: Subject, outcome_of: Outcomes
) -> None:
    """Masks, weights and adjustments are not written into either."""
    for name in OFFERED[subject]:
        outcome = outcome_of(subject, name)
        if (subject, name) not in FOUND:
            assert isinstance(outcome, Answered)
            assert outcome.mutated == ()
            assert outcome.unrepeatable == ()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_limit_on_variants_has_its_source(subject: Subject) -> None:
    """Where a subject lacks a variant or half-precision parameters, a note says why."""
    notes = subject.capabilities.notes
    assert subject.capabilities.variants == frozenset(VariantKind) or notes["variants"]
    assert subject.capabilities.half_parameters or notes["half_parameters"]


# What the tolerance must tell apart.

_SAME_AS_PLAIN = {"synchronized, equal shares", "synchronized, unequal shares",
                  "masked, nothing hidden"}  # fmt: skip


# Where NaN is hidden, a plain layer gives nothing else.
_TELLING = [n for n in CASES if CASES[n].variant not in (PLAIN, Masked(hidden=Hidden.NAN))]


@pytest.mark.parametrize("name", _TELLING)
def test_the_tolerance_tells_a_variant_from_plain_batch_normalization(name: str) -> None:
    """A subject that ignores the variant would be seen; two variants equal a plain layer."""
    case = CASES[name]
    inputs = make_inputs(case)
    bare = replace(
        inputs, steps=tuple(StepInputs(x=step.x, dy=step.dy) for step in inputs.steps)
    )  # fmt: skip
    plain = _expected(replace(case, variant=PLAIN), NumpyReference, bare)
    assert _alike(case, _expected(case, NumpyReference), plain) == (name in _SAME_AS_PLAIN)


def test_the_tolerance_tells_merged_statistics_from_averaged_ones() -> None:
    """The mean of the replicas' variances, which forgets the distance of their means, is seen."""
    case = CASES["synchronized, unequal shares"]
    right = _expected(case, NumpyReference)
    wrong = _expected(replace(case, variant=Ghost(size=2), last_batch=6), NumpyReference)
    for field in ("y", "running_var"):
        difference = np.abs(right[0][field] - wrong[0][field]).max()
        assert difference > 10 * _allowed(case, right[0][field])


def test_renorm_is_tried_with_limits_that_bind_and_with_limits_that_do_not() -> None:
    """Both corrections are clipped in some channel and left alone in another."""
    case = CASES["renorm, within limits"]
    assert isinstance(case.variant, Renorm)
    inputs = make_inputs(case)
    x, p = inputs.steps[0].x.astype(float), inputs.parameters
    assert p.renorm_mean is not None
    assert p.renorm_stddev is not None
    mu, sigma = x.mean((0, 1)), np.sqrt(x.var((0, 1)) + case.epsilon)
    ratio, offset = sigma / p.renorm_stddev, np.abs(mu - p.renorm_mean) / p.renorm_stddev
    assert case.variant.d_max is not None
    for beyond in ((ratio < 0.9) | (ratio > 1.1), offset > case.variant.d_max):
        assert beyond.any()
        assert not beyond.all()


# Reasons that the adapters give, and faults that no case reaches.


def test_a_synchronized_pytorch_module_takes_no_cpu_tensor(tmp_path: Any) -> None:
    """Which is why torch.module declares no replicas."""
    script = (
        "import sys, torch\n"
        "torch.distributed.init_process_group("
        "'gloo', init_method='file://' + sys.argv[1], rank=0, world_size=1)\n"
        "try:\n"
        "    torch.nn.SyncBatchNorm(3)(torch.ones(4, 3))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    printed = _run(script, str(tmp_path / "store"))
    reason = "expected input tensor to be on GPU or XPU"
    assert reason in printed
    assert reason in TorchModule.capabilities.notes["variants"]


def test_flax_keeps_its_averages_in_float32_whatever_its_parameters_are() -> None:
    """Which is why flax.linen declares no parameters and state in half precision."""
    script = (
        "import jax, json\n"
        "from flax import linen\n"
        "half = jax.numpy.float16\n"
        "layer = linen.BatchNorm(use_running_average=False, param_dtype=half)\n"
        "x = jax.numpy.ones((4, 3), half)\n"
        "cast = jax.tree_util.tree_map(\n"
        "    lambda leaf: leaf.astype(half), layer.init(jax.random.key(0), x))\n"
        "_, new = layer.apply(cast, x, mutable=['batch_stats'])\n"
        "print(json.dumps([str(new['batch_stats'][name].dtype) for name in ('mean', 'var')]))\n"
    )
    assert json.loads(_run(script)) == ["float32", "float32"]


@pytest.mark.xfail(strict=True, reason="1 / sqrt(epsilon), kept in float16, is infinite: 0 inf")
def test_a_constant_channel_is_beta_in_half_precision_on_pytorch() -> None:
    """Epsilon is there for this; in float32, and with float32 parameters, y is beta."""
    import torch

    module = torch.nn.BatchNorm1d(3, eps=1e-12, dtype=torch.float16)
    y = module(torch.ones(8, 3, dtype=torch.float16))
    assert bool((y == module.bias).all())


def _run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


# The spec, in float64.


class _Walk:
    """The calls of one case in order."""

    def __init__(self, case: Case, inputs: Inputs, subject: Subject) -> None:
        self.case, self.axes = case, case.reduction_axes
        p = inputs.parameters
        self.gamma, self.beta = self.widen(p.gamma), self.widen(p.beta)
        self.mean, self.var = self.widen(p.running_mean), self.widen(p.running_var)
        self.m, self.s = self.widen(p.renorm_mean), self.widen(p.renorm_stddev)
        self.stddev = self.widen(p.running_stddev)
        self.unbiased = subject.dialect.running_variance.value is RunningVariance.UNBIASED
        if isinstance(case.variant, FixedGamma):
            self.gamma = None

    def widen(self, values: Array | None) -> Any:
        return None if values is None else np.expand_dims(values.astype(float), self.axes)

    def train(self, step: StepInputs, update: int) -> dict[str, Array]:
        """One training call and the state after it."""
        found = self.ghost(step) if isinstance(self.case.variant, Ghost) else self.by_batch(step)
        self.update(found["batch_mean"], found["batch_var"], step.x.shape, update)
        return found | self.state()

    def ghost(self, step: StepInputs) -> dict[str, Array]:
        """The groups in turn; what belongs to a channel as sums or as means over them."""
        assert isinstance(self.case.variant, Ghost)
        groups = len(step.x) // self.case.variant.size
        parts = [
            self.by_batch(StepInputs(x=x, dy=dy))
            for x, dy in zip(np.split(step.x, groups), np.split(step.dy, groups), strict=True)
        ]
        joined = {name: [part[name] for part in parts] for name in parts[0]}
        found = {name: np.concatenate(joined[name]) for name in ("y", "dx")}
        found |= {name: np.sum(joined[name], 0) for name in ("dgamma", "dbeta")}
        return found | {name: np.mean(joined[name], 0) for name in ("batch_mean", "batch_var")}

    def by_batch(self, step: StepInputs) -> dict[str, Array]:
        """A call that normalizes by the batch."""
        x, g = step.x.astype(float), step.dy.astype(float)
        w = None if step.weights is None else step.weights.astype(float)
        mu, v = self.statistics(x, w)
        scale, shift = self.transform(step, mu, v)
        r = spec.inverse_deviation(v, self.case.epsilon)
        xhat = spec.normalize(x, mu, r)
        moved = spec.transform(xhat, scale, shift)
        if w is None:
            dx = spec.training_dx(g * scale, xhat, r, self.gamma, self.axes)
        else:
            dx = spec.weighted_training_dx(g, xhat, r, self.gamma, w, self.axes)
        return {**self.outputs(g, moved, dx), "batch_mean": mu, "batch_var": v}

    def statistics(self, x: Array, w: Array | None) -> tuple[Array, Array]:
        """mu and v of the case's variant."""
        variant = self.case.variant
        if w is not None:
            seen = np.where(w == 0, 0.0, x)
            mu = spec.weighted_mean(seen, w, self.axes)
            return mu, spec.weighted_variance(seen, w, mu, self.axes)
        if isinstance(variant, Synchronized):
            shards = np.split(x, np.cumsum(variant.shard_sizes(len(x)))[:-1])
            counts = [self.case.count(shard.shape) for shard in shards]
            means = [spec.batch_mean(shard, self.axes) for shard in shards]
            pairs = zip(shards, means, strict=True)
            variances = [spec.biased_variance(shard, mean, self.axes) for shard, mean in pairs]
            merged = spec.merged_variance(variances, means, counts)
            return spec.merged_mean(means, counts), merged
        mu = spec.batch_mean(x, self.axes)
        return mu, spec.biased_variance(x, mu, self.axes)

    def transform(self, step: StepInputs, mu: Array, v: Array) -> tuple[Any, Any]:
        """What comes between xhat and gamma."""
        variant = self.case.variant
        if isinstance(variant, Renorm):
            scale = spec.renorm_scale(v, self.s, self.case.epsilon, variant.r_min, variant.r_max)
            return scale, spec.renorm_shift(mu, self.m, self.s, variant.d_max)
        if step.adjust_scale is not None and step.adjust_shift is not None:
            return step.adjust_scale.astype(float), step.adjust_shift.astype(float)
        return 1.0, 0.0

    def infer(self, step: StepInputs) -> dict[str, Array]:
        """A call in inference mode; what it normalizes by stays as it is."""
        if isinstance(self.case.variant, Untracked):
            return self.by_batch(StepInputs(x=step.x, dy=step.dy)) | self.state()
        x, g = step.x.astype(float), step.dy.astype(float)
        r = spec.inverse_deviation(self.var, self.case.epsilon)
        xhat = spec.normalize(x, self.mean, r)
        return self.outputs(g, xhat, spec.inference_dx(g, r, self.gamma)) | self.state()

    def outputs(self, g: Array, normalized: Array, dx: Array) -> dict[str, Array]:
        """y and the gradients."""
        found = {"y": spec.scale_and_shift(normalized, self.gamma, self.beta), "dx": dx}
        found["dgamma"] = spec.dgamma(g, normalized, self.axes)
        if isinstance(self.case.variant, FixedGamma):
            found["dgamma"] = 0 * found["dgamma"]
        return found | {"dbeta": spec.dbeta(g, self.axes)}

    def update(self, mu: Array, v: Array, shape: tuple[int, ...], update: int) -> None:
        """Take the batch's statistics into the running ones."""
        decay = 1 - 1 / update if self.case.decay is None else self.case.decay
        stored = spec.unbiased_variance(v, self.case.count(shape)) if self.unbiased else v
        self.mean = spec.update_running_mean(self.mean, mu, decay)
        self.var = spec.update_running_var(self.var, stored, decay)
        if isinstance(self.case.variant, Renorm):
            sigma, own = np.sqrt(v + self.case.epsilon), self.case.variant.decay
            self.m = spec.update_running_mean(self.m, mu, own)
            self.s = spec.update_running_mean(self.s, sigma, own)
            self.stddev = spec.update_running_mean(self.stddev, sigma, decay)
            self.var = spec.renorm_running_var(self.stddev, self.case.epsilon)

    def state(self) -> dict[str, Array]:
        """The running statistics, if the case keeps any."""
        if isinstance(self.case.variant, Untracked):
            return {}
        return {"running_mean": self.mean, "running_var": self.var}


def _expected(case: Case, subject: Subject, inputs: Inputs | None = None) -> Calls:
    """Every call of ``case`` by the spec, in the formats and shapes that it must be answered in."""
    inputs = inputs or make_inputs(case)
    walk = _Walk(case, inputs, subject)
    if case.mode is Mode.INFERENCE:
        calls = [walk.infer(inputs.steps[0])]
    else:
        calls = [walk.train(step, update) for update, step in enumerate(inputs.steps, start=1)]
        calls.append(walk.infer(inputs.inference))
    return [_as_answered(case, call, subject) for call in calls]


def _as_answered(case: Case, call: dict[str, Array], subject: Subject) -> dict[str, Array]:
    """What the subject exposes of ``call``; NaN hidden by a mask spoils sums over all outputs."""
    unknown = {"batch_mean", "batch_var"} - {each.value for each in subject.capabilities.quantities}
    unknown |= {
        name for name, there in (("dgamma", case.scale), ("dbeta", case.center)) if not there
    }
    statistics, accumulation = case.parameter_format.numpy, compute_format(case.dtype).numpy
    wanted = {}
    for name, value in call.items():
        if name in unknown:
            continue
        if name in {"y", "dx"}:
            wanted[name] = value.astype(FORMATS[case.dtype].numpy)
        elif name in {"batch_mean", "batch_var"}:
            wanted[name] = value.reshape(case.feature_shape).astype(accumulation)
        else:
            wanted[name] = value.reshape(case.feature_shape).astype(statistics)
    return wanted


def _exposed(call: Step) -> set[str]:
    return {name for name, value in vars(call).items() if value is not None}


def _allowed(case: Case, want: Array) -> float:
    """How far an answer may be from ``want``."""
    largest = np.abs(np.nan_to_num(want.astype(float))).max()
    return float(ROUNDINGS[case.dtype] * FORMATS[case.dtype].unit_roundoff * max(largest, 1e-30))


def _assert_close(case: Case, field: str, got: Array, want: Array) -> None:
    assert got.shape == want.shape, field
    assert got.dtype == want.dtype, field
    if field in {"dx", "dgamma"} and case.variant == Masked(hidden=Hidden.NAN):
        return
    np.testing.assert_allclose(
        got.astype(float), want.astype(float), rtol=0, atol=_allowed(case, want), err_msg=field
    )


def _alike(case: Case, one: Calls, other: Calls) -> bool:
    """Whether no quantity of two answers is further apart than the tolerance."""
    for mine, theirs in zip(one, other, strict=True):
        for field in mine.keys() & theirs.keys():
            a, b = mine[field].astype(float), theirs[field].astype(float)
            if np.abs(a - b).max() > _allowed(case, mine[field]):
                return False
    return True
