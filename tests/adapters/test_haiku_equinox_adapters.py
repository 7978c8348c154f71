"""The Haiku and Equinox subjects against the equations of the spec in float64.

They are what the clauses on zero-debiased averages and on training by running statistics are shown
with. Every subject answers in a worker process of its own, as in a campaign.
"""

from __future__ import annotations

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

from bnconform.adapters.equinox_layer import EquinoxBatch, EquinoxEma
from bnconform.adapters.haiku_layer import HaikuBatchNorm
from bnconform.conformance import spec
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import StepInputs, make_inputs
from bnconform.conformance.contract import (
    Answered,
    Array,
    Outcome,
    Quantity,
    Step,
    Unsupported,
)
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.variant import Synchronized, Untracked

Subject: TypeAlias = type[HaikuBatchNorm | EquinoxBatch | EquinoxEma]
SUBJECTS: tuple[Subject, ...] = (HaikuBatchNorm, EquinoxBatch, EquinoxEma)
EQUINOX = (EquinoxBatch, EquinoxEma)

ROUNDINGS = {DType.FLOAT16: 32, DType.BFLOAT16: 32, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array.

The cases have at most 36 values a channel, of order one. Half-precision input has its statistics
rounded, and everything after them computed, in half precision: some tens of roundings. A wrong
convention (a missing debiasing, another share of the batch) costs 10 % or more, which is 200
roundings of float16 and 25 of bfloat16, but thousands of float32.
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
    steps=2,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


_MATRIX = _case(6, 4, feature_axes=(-1,), steps=3, last_batch=5)
_FRESH = Fill(kind=FillKind.NORMAL, seed=6)

CASES = {
    "matrix, the last batch short": _MATRIX,
    "the same signature, other scalars": replace(_MATRIX, epsilon=0.1, decay=0.9, fill=_FRESH),
    "image, gaps in memory": _case(
        4, 3, 3, 2, layout=Layout.STRIDED, upstream_layout=Layout.CHANNELS_LAST
    ),
    "image, channels last": _case(4, 3, 3, 2, feature_axes=(-1,), layout=Layout.CHANNELS_LAST),
    "sequence": _case(5, 4, 3),
    "volume, feature axis amid, neither gamma nor beta": _case(
        2, 3, 2, 3, 3, feature_axes=(2,), scale=False, center=False
    ),
    "batch axis as feature axis": _case(5, 4, 3, feature_axes=(0,)),
    "two feature axes, unsorted": _case(4, 3, 5, feature_axes=(-1, 1)),
    "gamma alone": _case(6, 4, center=False),
    "beta alone": _case(6, 4, scale=False),
    "only the new batch counts": replace(_MATRIX, decay=0.0),
    "float64": _case(5, 4, 3, dtype=DType.FLOAT64),
    "float16": _case(4, 3, 3, 2, dtype=DType.FLOAT16),
    "bfloat16, parameters too": _case(4, 3, 3, 2, dtype=DType.BFLOAT16, half_parameters=True),
    "float16, parameters too": _case(6, 4, dtype=DType.FLOAT16, half_parameters=True),
    "bfloat16, decay nearly one": _case(6, 4, dtype=DType.BFLOAT16, steps=1, decay=0.999),
    "inference": _case(4, 3, 3, 2, mode=Mode.INFERENCE, steps=1),
    "frozen": _case(4, 3, 3, 2, mode=Mode.FROZEN, steps=1, feature_axes=(-1,)),
    "float16 inference, neither gamma nor beta": _case(
        6, 4, dtype=DType.FLOAT16, mode=Mode.INFERENCE, steps=1, scale=False, center=False
    ),
    "one value per channel": _case(1, 5, steps=1),
    "empty batch": _case(0, 4, steps=1),
    "equal shares on two replicas": _case(
        4, 3, 3, 2, variant=Synchronized(replicas=2, uneven=False)
    ),
    "nothing tracked": _case(4, 3, 3, 2, variant=Untracked()),
    "cumulative average": replace(_MATRIX, decay=None),
}
"""What is asked of every subject; the tables below say where one does not give the equations."""

REFUSED = {
    "only the old average counts": replace(_MATRIX, decay=1.0),
    "unequal shares on two replicas": _case(6, 4, variant=Synchronized(replicas=2, uneven=True)),
}
"""Refused by every subject when the layer is built."""

UNSUPPORTED: dict[tuple[Subject, str], str] = {
    **{(subject, "cumulative average"): "no cumulative average" for subject in SUBJECTS},
    **{(subject, "two feature axes, unsorted"): "one feature axis only" for subject in EQUINOX},
    **{(subject, "nothing tracked"): "no variant 'untracked'" for subject in EQUINOX},
    **{
        (subject, name): "gamma and beta only both or neither"
        for subject in EQUINOX
        for name in ("gamma alone", "beta alone")
    },
}
"""Declared out of reach, and the declared reason."""

OUTSIDE: dict[tuple[Subject, str], str] = {
    (EquinoxBatch, "only the new batch counts"): "no momentum of 0: 'between 0 and 1 exclusive'",
    (EquinoxEma, "only the new batch counts"): "no momentum of 0: 'between 0 and 1 exclusive'",
    (HaikuBatchNorm, "only the old average counts"): "no decay of 1 in training",
    (EquinoxBatch, "only the old average counts"): "no momentum of 1",
    (EquinoxEma, "only the old average counts"): "no momentum of 1",
    **{
        (subject, "unequal shares on two replicas"): "no replicas with unequal shares"
        for subject in SUBJECTS
    },
}
"""Outside the documented domain, and how the reason begins."""

FOUND: dict[tuple[Subject, str], str] = {
    **{(subject, "empty batch"): "averages the NaN mean of nothing" for subject in SUBJECTS},
    (HaikuBatchNorm, "bfloat16, decay nearly one"): "0.999 is 1 in bfloat16: 0 / (1 - 1)",
    (EquinoxEma, "float16"): "lax.select refuses float32 averages and float16 statistics",
    (EquinoxEma, "bfloat16, decay nearly one"): "lax.select refuses two formats",
    **{
        (subject, "float16 inference, neither gamma nor beta"): "float32 statistics promote y"
        for subject in EQUINOX
    },
}
"""Wrong answers of these frameworks. They are found here, and mended nowhere."""


def _rows(names: Iterable[str], subjects: Iterable[Subject] = SUBJECTS) -> list[Any]:
    """(subject, name) of every case that must be answered; known wrong answers as strict xfail."""
    rows = []
    for key in [(subject, name) for subject in subjects for name in names]:
        if key in UNSUPPORTED or key in OUTSIDE:
            continue
        marks = [pytest.mark.xfail(strict=True, reason=FOUND[key])] if key in FOUND else []
        rows.append(pytest.param(*key, id=f"{key[0].name}: {key[1]}", marks=marks))
    return rows


Outcomes: TypeAlias = Callable[[Subject, str], Outcome]


@pytest.fixture(scope="session")
def outcome_of() -> Outcomes:
    """Gives the outcome of a subject and a case; a subject runs all its cases when first asked."""
    found: dict[Subject, dict[str, Outcome]] = {}

    def outcome(subject: Subject, name: str) -> Outcome:
        if subject not in found:
            cases = {
                each: case
                for each, case in (CASES | REFUSED).items()
                if (subject, each) not in UNSUPPORTED
            }
            target = Target(module=subject.__module__, attribute=subject.__name__)
            with SubjectProcess(target, subject.environment) as process:
                questions = [Question(case=case, repeat=True) for case in cases.values()]
                answers = [answer for _, answer in process.ask(questions, LIMIT)]
            found[subject] = dict(zip(cases, answers, strict=True))
        return found[subject][name]

    return outcome


def _answered(outcome: Outcome) -> Answered:
    assert isinstance(outcome, Answered), outcome
    return outcome


def _calls(outcome: Outcome) -> list[Step]:
    answer = _answered(outcome).answer
    return [*answer.steps, *([answer.inference] if answer.inference else [])]


@pytest.mark.parametrize(("subject", "name"), _rows(CASES))
def test_every_quantity_agrees_with_the_equations(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """All that a subject exposes has the right shape and format, and the spec's value.

    What Equinox's mode "batch" makes of its variance is left to the tests below.
    """
    case = CASES[name]
    calls = _calls(outcome_of(subject, name))
    wanted = _equations(case, subject)
    assert len(calls) == len(wanted)
    for index, (call, want) in enumerate(zip(calls, wanted, strict=True)):
        assert _exposed(call) == set(want)
        for field in set(want) - _of_the_wrong_variance(subject, case, index):
            _assert_close(case, field, getattr(call, field), want[field])


_VARIANCE = [
    pytest.param(name, id=name)
    for name in ("matrix, the last batch short", "image, gaps in memory", "float64")
]


@pytest.mark.xfail(strict=True, reason="hidden_var starts at 1 and is divided as if it were 0")
@pytest.mark.parametrize("name", _VARIANCE)
def test_equinox_debiases_its_variance(name: str, outcome_of: Outcomes) -> None:
    """The variance that inference uses is the zero-debiased average that the source announces."""
    want = _equations(CASES[name], EquinoxBatch)
    for call, wanted in zip(_calls(outcome_of(EquinoxBatch, name)), want, strict=True):
        assert call.running_var is not None
        _assert_close(CASES[name], "running_var", call.running_var, wanted["running_var"])


@pytest.mark.parametrize("name", _VARIANCE)
def test_the_variance_of_equinox_is_too_large_by_what_its_start_leaves(
    name: str, outcome_of: Outcomes
) -> None:
    """Biased and debiased, plus decay^t / (1 - decay^t): the hidden variance began at 1."""
    case = CASES[name]
    assert case.decay is not None
    hidden = np.ones(case.feature_shape)
    calls = _calls(outcome_of(EquinoxBatch, name))
    for t, (call, step) in enumerate(zip(calls, make_inputs(case).steps, strict=False), 1):
        x = step.x.astype(float)
        hidden = case.decay * hidden + (1 - case.decay) * x.var(axis=case.reduction_axes)
        assert call.running_var is not None
        want = (hidden / (1 - case.decay**t)).astype(call.running_var.dtype)
        _assert_close(case, "running_var", call.running_var, want)


def test_inference_of_equinox_uses_the_statistics_that_the_adapter_shows(
    outcome_of: Outcomes,
) -> None:
    """y = gamma (x - rm) / sqrt(rv + epsilon) + beta with the running statistics of the step."""
    case = CASES["matrix, the last batch short"]
    inputs = make_inputs(case)
    after = _calls(outcome_of(EquinoxBatch, "matrix, the last batch short"))[-1]
    assert after.running_mean is not None
    assert after.running_var is not None
    p = inputs.parameters
    assert p.gamma is not None
    r = 1 / np.sqrt(after.running_var.astype(float) + case.epsilon)
    y = p.gamma * (inputs.inference.x.astype(float) - after.running_mean) * r + p.beta
    _assert_close(case, "y", after.y, y.astype(np.float32))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_subject_does_not_offer_is_declared_with_its_reason(subject: Subject) -> None:
    """Capabilities rule out exactly the cases of the table, and say why."""
    reasons = {name: subject.capabilities.unsupported(case) for name, case in CASES.items()}
    assert {(subject, name): reason for name, reason in reasons.items() if reason} == {
        key: reason for key, reason in UNSUPPORTED.items() if key[0] is subject
    }


@pytest.mark.parametrize(
    ("subject", "name"),
    [pytest.param(*key, id=f"{key[0].name}: {key[1]}") for key in OUTSIDE],
)
def test_what_lies_outside_the_documented_domain_is_refused_with_its_reason(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """A decay that the documentation excludes, and shares that a vmap cannot have."""
    outcome = outcome_of(subject, name)
    assert isinstance(outcome, Unsupported), outcome
    assert outcome.reason.startswith(OUTSIDE[subject, name])


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_inputs_are_left_alone_and_a_second_layer_gives_the_same_bits(
    subject: Subject, outcome_of: Outcomes
) -> None:
    """No subject writes into the caller's arrays or remembers an earlier layer."""
    rows = [row.values for row in _rows(CASES, (subject,)) if tuple(row.values) not in FOUND]
    assert len(rows) > 10
    for name in (str(row[1]) for row in rows):
        answered = _answered(outcome_of(subject, name))
        assert answered.mutated == ()
        assert answered.unrepeatable == ()


@pytest.mark.parametrize(("subject", "name"), _rows(("inference", "frozen")))
def test_a_call_that_does_not_train_leaves_the_state_alone_to_the_bit(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """Inference mode reads the statistics that the case gives, and writes none."""
    (step,) = _answered(outcome_of(subject, name)).answer.steps
    parameters = make_inputs(CASES[name]).parameters
    np.testing.assert_array_equal(step.running_mean, parameters.running_mean, strict=True)
    np.testing.assert_array_equal(step.running_var, parameters.running_var, strict=True)


def _printed_by(script: str) -> Any:
    """What a script prints as JSON, in a process of its own: JAX reads its environment once."""
    run = subprocess.run(
        [sys.executable, "-c", "import inspect, json\n" + script],
        env=os.environ | HaikuBatchNorm.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


def test_declared_defaults_are_those_of_the_signatures() -> None:
    """Haiku's decay has no default; the others are what the dialects say."""
    found = _printed_by(
        "import haiku, equinox\n"
        "layers = [haiku.BatchNorm, equinox.nn.BatchNorm]\n"
        "empty = inspect.Parameter.empty\n"
        "print(json.dumps([{name: None if each.default is empty else each.default"
        " for name, each in inspect.signature(layer.__init__).parameters.items()"
        " if name in ('eps', 'decay_rate', 'momentum')} for layer in layers]))"
    )
    haiku, equinox = HaikuBatchNorm.dialect, EquinoxBatch.dialect
    assert found == [
        {"decay_rate": haiku.default_momentum.value, "eps": haiku.default_epsilon.value},
        {"eps": equinox.default_epsilon.value, "momentum": equinox.default_momentum.value},
    ]


def test_training_of_mode_batch_starts_from_the_constructors_state() -> None:
    """Counter 0, hidden mean 0 and hidden variance 1, which the adapter writes down again."""
    found = _printed_by(
        "import equinox\n"
        "layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(2, 'b', mode='batch')\n"
        "mean, var = state.get(layer.batch_state_index)\n"
        "print(json.dumps([state.get(layer.batch_counter).item(), mean.tolist(), var.tolist()]))"
    )
    assert found == [0, [0.0, 0.0], [1.0, 1.0]]


def test_a_haiku_layer_that_tracks_nothing_updates_no_average() -> None:
    """test_local_stats normalizes by the batch, and the counter of the averages stays at 0."""
    found = _printed_by(
        f"from {HaikuBatchNorm.__module__} import {HaikuBatchNorm.__name__} as Adapter\n"
        "from bnconform.conformance.case import Case\n"
        "from bnconform.conformance.cases.fills import make_inputs\n"
        f"case = Case.from_json({CASES['nothing tracked'].to_json()!r})\n"
        "inputs = make_inputs(case)\n"
        "layer = Adapter().build(case, inputs.parameters)\n"
        "layer.train(inputs.steps[0].x, inputs.steps[0].dy)\n"
        "print(json.dumps({name: each['counter'].item() for name, each in layer.state.items()}))"
    )
    assert found == {"bn/~/mean_ema": 0, "bn/~/var_ema": 0}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_other_scalars_compile_nothing_new(subject: Subject) -> None:
    """Epsilon and decay are traced: what the first pair of them compiled serves the others."""
    found = _printed_by(
        f"from {subject.__module__} import {subject.__name__} as Adapter\n"
        "from dataclasses import replace\n"
        "from bnconform.conformance.case import Case\n"
        "from bnconform.conformance.cases.fills import make_inputs\n"
        f"case, adapter = Case.from_json({_MATRIX.to_json()!r}), Adapter()\n"
        "sizes = []\n"
        "for epsilon, decay in [(1e-3, 0.5), (1e-5, 0.9), (0.1, 0.99)]:\n"
        "    other = replace(case, epsilon=epsilon, decay=decay)\n"
        "    inputs = make_inputs(other)\n"
        "    layer = adapter.build(other, inputs.parameters)\n"
        "    for _ in range(2):\n"
        "        layer.train(inputs.steps[0].x, inputs.steps[0].dy)\n"
        "    layer.infer(inputs.inference.x, inputs.inference.dy)\n"
        "    sizes.append(adapter.step._cache_size())\n"
        "print(json.dumps(sizes))"
    )
    assert found == found[:1] * 3


def _equations(case: Case, subject: Subject) -> list[dict[str, Array]]:
    """Every call of ``case`` by the spec in float64, in the format it must be answered in."""
    inputs, axes = make_inputs(case), case.reduction_axes
    p = inputs.parameters
    state: Pair = tuple(
        np.expand_dims(each.astype(float), axes) for each in (p.running_mean, p.running_var)
    )
    hidden: Pair = (np.zeros_like(state[0]), np.zeros_like(state[1]))
    untracked = isinstance(case.variant, Untracked)
    calls = []
    for t, step in enumerate(inputs.steps, 1):
        x = step.x.astype(float)
        if not x.size or not (case.mode is Mode.TRAIN or untracked):
            calls.append(_one_call(case, step, state, "constants") | _shown(state))
            continue
        mu = spec.batch_mean(x, axes)
        batch = (mu, spec.biased_variance(x, mu, axes))
        if untracked:
            calls.append(_one_call(case, step, batch, "batch"))
            continue
        assert case.decay is not None
        if subject is EquinoxEma:
            state = _updated(state, batch, case.decay)
            calls.append(_one_call(case, step, state, "share") | _shown(state))
            continue
        n = spec.count(x, axes)
        kept = spec.unbiased_variance(batch[1], n) if subject is EquinoxBatch else batch[1]
        hidden = _updated(hidden, (mu, kept), case.decay)
        state = tuple(spec.debiased_average(each, case.decay, t) for each in hidden)
        calls.append(_one_call(case, step, batch, "batch") | _shown(state))
    if case.mode is Mode.TRAIN and untracked:
        x = inputs.inference.x.astype(float)
        mu = spec.batch_mean(x, axes)
        batch = (mu, spec.biased_variance(x, mu, axes))
        calls.append(_one_call(case, inputs.inference, batch, "batch"))
    elif case.mode is Mode.TRAIN:
        calls.append(_one_call(case, inputs.inference, state, "constants") | _shown(state))
    return [_as_answered(case, call) for call in calls]


Pair: TypeAlias = tuple[Array, ...]


def _updated(old: Pair, new: Pair, decay: float) -> Pair:
    return (
        spec.update_running_mean(old[0], new[0], decay),
        spec.update_running_var(old[1], new[1], decay),
    )


def _shown(state: Pair) -> dict[str, Array]:
    return {"running_mean": state[0], "running_var": state[1]}


def _one_call(case: Case, step: StepInputs, by: Pair, through: str) -> dict[str, Array]:
    """y and the gradients of sum(y dy), normalized ``by`` a mean and a variance.

    ``through`` says how they depend on x: they are those of the batch, the running ones that the
    batch has its share in, or constants.
    """
    axes, p = case.reduction_axes, make_inputs(case).parameters
    x, g = step.x.astype(float), step.dy.astype(float)
    gamma = None if p.gamma is None else np.expand_dims(p.gamma.astype(float), axes)
    beta = None if p.beta is None else np.expand_dims(p.beta.astype(float), axes)
    r = spec.inverse_deviation(by[1], case.epsilon)
    xhat = spec.normalize(x, by[0], r)
    if through == "batch":
        dx = spec.training_dx(g, xhat, r, gamma, axes)
    elif through == "share":
        assert case.decay is not None
        d = x - spec.batch_mean(x, axes)
        dx = spec.running_training_dx(g, xhat, d, r, gamma, 1 - case.decay, axes)
    else:
        dx = spec.inference_dx(g, r, gamma)
    found = {"y": spec.scale_and_shift(xhat, gamma, beta), "dx": dx}
    found |= {"dgamma": spec.dgamma(g, xhat, axes)} if case.scale else {}
    return found | ({"dbeta": spec.dbeta(g, axes)} if case.center else {})


def _as_answered(case: Case, call: dict[str, Array]) -> dict[str, Array]:
    """``call`` in the shapes and formats that a subject must answer in."""
    image, parameters = FORMATS[case.dtype].numpy, case.parameter_format.numpy
    formats = {"y": parameters if case.scale or case.center else image, "dx": image}
    return {
        name: value.astype(formats[name])
        if name in formats
        else value.astype(parameters).reshape(case.feature_shape)
        for name, value in call.items()
    }


def _of_the_wrong_variance(subject: Subject, case: Case, index: int) -> set[str]:
    """What follows from the variance that Equinox's mode "batch" averages."""
    if subject is not EquinoxBatch or case.mode is not Mode.TRAIN or 0 in case.shape:
        return set()
    return {"running_var"} if index < case.steps else {"running_var", "y", "dx", "dgamma"}


def _exposed(call: Step) -> set[str]:
    names = {quantity.value for quantity in Quantity} - {"y_infer"}
    return {name for name in names if getattr(call, name) is not None}


def _assert_close(case: Case, name: str, got: Array, want: Array) -> None:
    """``got`` has the shape and format of ``want`` and is within ROUNDINGS of it."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), name
    half = case.dtype in (DType.FLOAT16, DType.BFLOAT16)
    own = DType.BFLOAT16 if got.dtype == ml_dtypes.bfloat16 else DType(got.dtype.name)
    dtype = case.dtype if half else own
    exact = want.astype(float)
    # The fills are of order one, and so is what cancels where the result is 0.
    size = max(np.abs(exact).max(initial=0.0), 1.0)
    worst = np.abs(got.astype(float) - exact).max(initial=0.0)
    allowed = ROUNDINGS[dtype] * FORMATS[dtype].unit_roundoff * size
    assert worst <= allowed, f"{name} is off by {worst}, allowed {allowed}"
