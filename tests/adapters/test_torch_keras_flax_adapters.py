"""The NumPy, PyTorch, Keras 3 and Flax subjects against formulae in float64, and their promises.

Every subject answers in a worker process of its own, as in a campaign: a process holds one Keras
backend, and JAX reads its environment when it is imported.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import pytest

from bnconform.adapters.flax_linen import FlaxLinen
from bnconform.adapters.keras_layer import KerasJax, KerasTensorflow, KerasTorch
from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.adapters.torch_arrays import to_numpy, to_torch
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.adapters.torch_module import TorchModule
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import StepInputs, make_inputs
from bnconform.conformance.contract import (
    Answered,
    Array,
    Outcome,
    Quantity,
    Raised,
    Step,
    Unsupported,
)
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.formats import FORMATS, DType, compute_format

Subject: TypeAlias = type[
    NumpyReference
    | TorchFunctional
    | TorchModule
    | KerasTensorflow
    | KerasTorch
    | KerasJax
    | FlaxLinen
]
SUBJECTS: tuple[Subject, ...] = (
    NumpyReference,
    TorchFunctional,
    TorchModule,
    KerasTensorflow,
    KerasTorch,
    KerasJax,
    FlaxLinen,
)
TORCH = (TorchFunctional, TorchModule)
KERAS = (KerasTensorflow, KerasTorch, KerasJax)

ROUNDINGS = {DType.FLOAT16: 4, DType.BFLOAT16: 4, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array.

The cases have at most 36 values a channel, of order one, so that sums lose some tens of roundings
and a one-pass variance some hundreds; half-precision arrays are rounded once from float32, or once
for each of the three terms that differentiation adds. A wrong convention (Bessel, sense of
momentum, place of epsilon) costs 1 % or more of float32 arrays: 1000 roundings are 0.006 %.
"""

LIMIT = 300.0
"""Seconds for one case on a busy machine: the first of a process imports its framework."""

_BASE = Case(
    shape=(4, 3, 3, 2),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


_MATRIX = _case(6, 4, feature_axes=(-1,), steps=3, last_batch=5)

CASES = {
    "matrix, the last batch short": _MATRIX,
    "the same signature, other scalars": replace(
        _MATRIX, epsilon=0.1, decay=0.9, fill=Fill(kind=FillKind.NORMAL, seed=6)
    ),
    "only the new batch counts": replace(_MATRIX, decay=0.0),
    "image, gaps in memory, gamma alone": _case(
        4, 3, 3, 2, layout=Layout.STRIDED, upstream_layout=Layout.CHANNELS_LAST, center=False
    ),
    "image, channels last, only the old average counts": _case(
        4, 3, 3, 2, feature_axes=(-1,), layout=Layout.CHANNELS_LAST, decay=1.0
    ),
    "volume, feature axis amid, neither gamma nor beta": _case(
        2, 3, 2, 3, 3, feature_axes=(2,), scale=False, center=False
    ),
    "sequence, batch axis as feature axis": _case(5, 4, 3, feature_axes=(0,)),
    "sums that are exact": _case(4, 3, 4, 2, fill=Fill(kind=FillKind.EXACT, seed=1)),
    "float16": _case(4, 3, 3, 2, dtype=DType.FLOAT16),
    "bfloat16, layouts differ": _case(
        4, 3, 3, 2, dtype=DType.BFLOAT16, upstream_layout=Layout.CHANNELS_LAST
    ),
    "bfloat16 without parameters": _case(6, 4, dtype=DType.BFLOAT16, scale=False, center=False),
    "float64": _case(5, 4, 3, dtype=DType.FLOAT64),
    "inference": _case(4, 3, 3, 2, mode=Mode.INFERENCE, layout=Layout.CHANNELS_LAST),
    "float16 inference": _case(6, 4, mode=Mode.INFERENCE, dtype=DType.FLOAT16),
    "frozen": _case(4, 3, 3, 2, mode=Mode.FROZEN, feature_axes=(-1,)),
    "beta alone": _case(6, 4, scale=False),
    "one value per channel": _case(1, 5),
    "empty batch": _case(0, 4),
    "cumulative average": replace(_MATRIX, decay=None),
    "two feature axes, unsorted": _case(4, 3, 5, feature_axes=(-1, 1)),
}
"""What is asked of every subject; the tables below say where one does not give the formulae."""

EXTREMES = {
    # Its variance is rounding noise, which no formula predicts.
    "one constant per channel": _case(6, 4, fill=Fill(kind=FillKind.CONSTANT, seed=1)),
    # Deviations of 2,500 over 1,024 values: sums pass float16's largest value, 65,504.
    "float16, wide, layouts differ": _case(
        16, 2, 8, 8, dtype=DType.FLOAT16, layout=Layout.CHANNELS_LAST,
        fill=Fill(kind=FillKind.HUGE, seed=4),
    ),
}  # fmt: skip
"""Asked of every subject too, but only to see that the answers are finite."""

UNSUPPORTED: dict[tuple[Subject, str], str] = {
    (TorchFunctional, "frozen"): "no frozen mode",
    **{
        (subject, "cumulative average"): "no cumulative average"
        for subject in (TorchFunctional, *KERAS, FlaxLinen)
    },
    **{
        (subject, "two feature axes, unsorted"): "one feature axis only"
        for subject in (*TORCH, *KERAS)
    },
}
"""Declared out of reach, and the declared reason."""

REJECTED: dict[tuple[Subject, str], str] = {
    (TorchFunctional, "one value per channel"): "ValueError: Expected more than 1 value",
    (TorchModule, "one value per channel"): "ValueError: Expected more than 1 value",
    (NumpyReference, "empty batch"): "ValueError: cannot normalize",
}
"""Documented to raise, and how the message begins."""

FOUND: dict[tuple[Subject, str], str] = {
    **{
        (subject, "bfloat16, layouts differ"): "sums the upstream gradient in bfloat16"
        for subject in TORCH
    },
    **{
        (subject, "empty batch"): "averages the NaN mean of nothing"
        for subject in (*KERAS, FlaxLinen)
    },
    **{
        (subject, "float64"): "computes in float32, whatever dtype says"
        for subject in (KerasTorch, KerasJax)
    },
    (KerasTorch, "one constant per channel"): "E[x^2] - E[x]^2 comes out below -epsilon",
    **{
        (subject, "float16, wide, layouts differ"): "rounds the sum of (x - mu) dy to float16: inf"
        for subject in TORCH
    },
}
"""Wrong answers of these frameworks. They are found here, and mended nowhere."""

_BETA_ALONE = (TorchModule, "beta alone")


def _rows(names: Iterable[str]) -> list[Any]:
    """(subject, name) of every case that must be answered; known wrong answers as strict xfail."""
    rows = []
    for key in itertools.product(SUBJECTS, names):
        if key in UNSUPPORTED or key in REJECTED or key == _BETA_ALONE:
            continue
        marks = [pytest.mark.xfail(strict=True, reason=FOUND[key])] if key in FOUND else []
        rows.append(pytest.param(*key, id=f"{key[0].name}: {key[1]}", marks=marks))
    return rows


def _process(subject: Subject, environment: dict[str, str] | None = None) -> SubjectProcess:
    target = Target(module=subject.__module__, attribute=subject.__name__)
    return SubjectProcess(target, environment or subject.environment)


Outcomes: TypeAlias = Callable[[Subject, str], Outcome]


@pytest.fixture(scope="session")
def outcome_of() -> Outcomes:
    """Gives the outcome of a subject and a case; a subject runs all its cases when first asked."""
    found: dict[Subject, dict[str, Outcome]] = {}

    def outcome(subject: Subject, name: str) -> Outcome:
        if subject not in found:
            cases = CASES | EXTREMES
            names = [each for each in cases if (subject, each) not in UNSUPPORTED]
            questions = [Question(case=cases[each], repeat=True) for each in names]
            with _process(subject) as process:
                answers = [answer for _, answer in process.ask(questions, LIMIT)]
            found[subject] = dict(zip(names, answers, strict=True))
        return found[subject][name]

    return outcome


def _answered(outcome: Outcome) -> Answered:
    assert isinstance(outcome, Answered), outcome
    return outcome


@pytest.mark.parametrize(("subject", "name"), _rows(CASES))
def test_every_quantity_agrees_with_the_formulae(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """All that a subject exposes has the right shape and format, and the textbook's value."""
    answer = _answered(outcome_of(subject, name)).answer
    calls = [*answer.steps, *([answer.inference] if answer.inference else [])]
    wanted = _formulae(CASES[name], subject)
    assert len(calls) == len(wanted)
    for call, want in zip(calls, wanted, strict=True):
        assert _exposed(call) == set(want)
        for field, value in want.items():
            _assert_close(field, getattr(call, field), value)


@pytest.mark.parametrize(("subject", "name"), _rows(EXTREMES))
def test_extreme_but_finite_input_gives_a_finite_answer(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """Neither a variance that is nothing but rounding nor a large sum makes infinity or NaN."""
    (step,) = _answered(outcome_of(subject, name)).answer.steps
    assert np.isfinite(step.y.astype(float)).all()
    assert step.dx is not None
    assert np.isfinite(step.dx.astype(float)).all()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_subject_does_not_offer_is_declared_with_its_reason(subject: Subject) -> None:
    """Capabilities rule out exactly the cases of the table, and say why."""
    reasons = {name: subject.capabilities.unsupported(case) for name, case in CASES.items()}
    assert {(subject, name): reason for name, reason in reasons.items() if reason} == {
        key: reason for key, reason in UNSUPPORTED.items() if key[0] is subject
    }


@pytest.mark.parametrize(
    ("subject", "name"),
    [pytest.param(*key, id=f"{key[0].name}: {key[1]}") for key in REJECTED],
)
def test_too_few_values_are_rejected_where_that_is_documented(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """The framework's own exception comes through."""
    outcome = outcome_of(subject, name)
    assert isinstance(outcome, Raised), outcome
    assert outcome.error.startswith(REJECTED[subject, name])


def test_a_pytorch_module_cannot_have_beta_without_gamma(outcome_of: Outcomes) -> None:
    """affine=False switches off both and bias=False beta, so that this is out of reach."""
    outcome = outcome_of(*_BETA_ALONE)
    assert isinstance(outcome, Unsupported), outcome
    assert "no argument switches off gamma alone" in outcome.reason


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_inputs_are_left_alone_and_a_second_layer_gives_the_same_bits(
    subject: Subject, outcome_of: Outcomes
) -> None:
    """No subject writes into the caller's arrays or remembers an earlier layer."""
    outcomes = [outcome_of(*row.values) for row in _rows(CASES) if row.values[0] is subject]
    assert len(outcomes) > 12
    for outcome in outcomes:
        assert _answered(outcome).mutated == ()
        assert _answered(outcome).unrepeatable == ()


@pytest.mark.parametrize(("subject", "name"), _rows(("frozen", "inference", "float16 inference")))
def test_a_call_that_does_not_train_leaves_the_state_alone_to_the_bit(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """A frozen layer in training mode, or any layer in inference mode, updates nothing."""
    (step,) = _answered(outcome_of(subject, name)).answer.steps
    parameters = make_inputs(CASES[name]).parameters
    np.testing.assert_array_equal(step.running_mean, parameters.running_mean, strict=True)
    np.testing.assert_array_equal(step.running_var, parameters.running_var, strict=True)


def test_a_subject_is_unavailable_where_keras_runs_on_another_backend() -> None:
    """One process holds one backend, and the reason says how to choose it."""
    with _process(KerasJax, {"KERAS_BACKEND": "torch"}) as process:
        described = process.describe()
    assert not described.available
    assert described.reason.startswith("ImportError: this process runs Keras on torch, not on jax")
    assert "KERAS_BACKEND=jax" in described.reason


def test_declared_defaults_are_those_of_the_signatures() -> None:
    """Epsilon and momentum that a dialect calls defaults are the framework's."""
    script = (
        "import inspect, json, torch, keras, flax.linen\n"
        "functions = [torch.nn.functional.batch_norm, torch.nn.BatchNorm2d,"
        " keras.layers.BatchNormalization, flax.linen.BatchNorm]\n"
        "defaults = [{name: parameter.default"
        " for name, parameter in inspect.signature(function).parameters.items()"
        " if name in ('eps', 'epsilon', 'momentum')} for function in functions]\n"
        "print(json.dumps(defaults))"
    )
    environment = os.environ | KerasTorch.environment
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(run.stdout)
    subjects = (TorchFunctional, TorchModule, KerasTorch, FlaxLinen)
    assert found == [
        {
            "momentum": subject.dialect.default_momentum.value,
            "eps" if subject in TORCH else "epsilon": subject.dialect.default_epsilon.value,
        }
        for subject in subjects
    ]


@pytest.mark.parametrize("dtype", list(DType))
def test_a_tensor_shares_memory_and_strides_with_its_array(dtype: DType) -> None:
    """The memory layout of a case reaches PyTorch's kernels, in bfloat16 too."""
    import torch

    array = np.arange(24).reshape(2, 3, 4).astype(FORMATS[dtype].numpy)[:, ::2].transpose(2, 0, 1)
    tensor = to_torch(torch, array)
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.data_ptr() == array.ctypes.data
    assert [size * array.itemsize for size in tensor.stride()] == list(array.strides)
    assert tensor.double().tolist() == array.astype(float).tolist()


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.BFLOAT16])
def test_an_array_made_of_a_tensor_does_not_follow_it(dtype: DType) -> None:
    """PyTorch updates running statistics in place; an answer must not change with them."""
    import torch

    tensor = torch.tensor([1.0, 2.5], dtype=getattr(torch, dtype))
    array = to_numpy(torch, tensor)
    tensor.zero_()
    np.testing.assert_array_equal(array, np.array([1.0, 2.5], FORMATS[dtype].numpy), strict=True)


def _formulae(case: Case, subject: Subject) -> list[dict[str, Array]]:
    """Every call of ``case`` in float64, rounded to the format it must be answered in."""
    inputs = make_inputs(case)
    p = inputs.parameters
    channels = int(np.prod(case.feature_shape))
    mean = p.running_mean.astype(float).reshape(channels)
    var = p.running_var.astype(float).reshape(channels)
    gamma = np.ones(channels) if p.gamma is None else p.gamma.astype(float).reshape(channels)
    beta = np.zeros(channels) if p.beta is None else p.beta.astype(float).reshape(channels)
    calls = []
    for update, call in enumerate(inputs.steps, 1):
        by_batch = case.mode is Mode.TRAIN
        x = _by_channel(case, call.x)
        mu, v = (x.mean(1), x.var(1)) if by_batch and x.size else (mean, var)
        found = _one_call(case, call, gamma, beta, mu, v, by_batch=by_batch)
        if by_batch and x.size:
            n = x.shape[1]
            new = 1 / update if case.decay is None else 1 - case.decay
            stored = v * n / (n - 1) if subject in TORCH else v
            mean, var = mean + new * (mu - mean), var + new * (stored - var)
        calls.append(found | {"running_mean": mean, "running_var": var})
    if case.mode is Mode.TRAIN:
        found = _one_call(case, inputs.inference, gamma, beta, mean, var, by_batch=False)
        calls.append(found | {"running_mean": mean, "running_var": var})
    return [_as_answered(case, call, subject) for call in calls]


def _by_channel(case: Case, values: Array) -> Array:
    """``values`` as (channels, n) in float64."""
    order = (*case.channel_axes, *case.reduction_axes)
    flat = values.astype(float).transpose(order)
    return flat.reshape(int(np.prod(case.feature_shape)), case.count(values.shape))


def _like_input(case: Case, shape: tuple[int, ...], by_channel: Array) -> Array:
    """(channels, n) values as an array of ``shape``."""
    order = (*case.channel_axes, *case.reduction_axes)
    return by_channel.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def _one_call(
    case: Case, call: StepInputs, gamma: Array, beta: Array, mu: Array, v: Array, *, by_batch: bool
) -> dict[str, Array]:
    """y = gamma (x - mu) r + beta and the gradients of sum(y dy), through mu and v if by batch."""
    x, g = _by_channel(case, call.x), _by_channel(case, call.dy)
    r = 1 / np.sqrt(v + case.epsilon)
    xhat = (x - mu[:, None]) * r[:, None]
    dgamma, dbeta = (g * xhat).sum(1), g.sum(1)
    through = 0.0
    if by_batch and x.size:
        through = (dbeta[:, None] + xhat * dgamma[:, None]) / x.shape[1]
    dx = (gamma * r)[:, None] * (g - through)
    y = gamma[:, None] * xhat + beta[:, None]
    found = {"dgamma": dgamma, "dbeta": dbeta}
    found |= {"batch_mean": mu, "batch_var": v} if by_batch else {}
    return found | {name: _like_input(case, call.x.shape, z) for name, z in (("y", y), ("dx", dx))}


def _as_answered(case: Case, call: dict[str, Array], subject: Subject) -> dict[str, Array]:
    """What ``subject`` must expose of ``call``, in the shapes and formats it must answer in."""
    absent = set() if case.scale else {"dgamma"}
    absent |= set() if case.center else {"dbeta"}
    if subject is KerasTorch and case.mode is Mode.FROZEN:
        absent |= {"dgamma", "dbeta"}  # trainable=False clears requires_grad
    image, parameters = FORMATS[case.dtype].numpy, compute_format(case.dtype).numpy
    widens = subject is FlaxLinen and (case.scale or case.center)
    formats = {"y": parameters if widens else image, "dx": image}
    return {
        name: value.astype(formats[name])
        if name in formats
        else value.astype(parameters).reshape(case.feature_shape)
        for name, value in call.items()
        if name in subject.capabilities.quantities and name not in absent
    }


def _exposed(call: Step) -> set[str]:
    names = {quantity.value for quantity in Quantity} - {"y_infer"}
    return {name for name in names if getattr(call, name) is not None}


def _assert_close(name: str, got: Array, want: Array) -> None:
    """``got`` has the shape and format of ``want`` and is within ROUNDINGS of it."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), name
    dtype = DType.BFLOAT16 if got.dtype == ml_dtypes.bfloat16 else DType(got.dtype.name)
    exact = want.astype(float)
    # The fills are of order one, and so is what cancels where the result is 0.
    scale = max(np.abs(exact).max(initial=0.0), 1.0)
    worst = np.abs(got.astype(float) - exact).max(initial=0.0)
    allowed = ROUNDINGS[dtype] * FORMATS[dtype].unit_roundoff * scale
    assert worst <= allowed, f"{name} is off by {worst}, allowed {allowed}"
