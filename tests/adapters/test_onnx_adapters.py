"""The ONNX subjects against formulae in float64, and their claims against the operator's text.

Every subject answers in a worker process of its own, as in a campaign. What an evaluator cannot do
at all is shown by models that are written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest

from bnconform.adapters.onnx_model import batch_norm_model
from bnconform.adapters.onnx_reference import OnnxReference, OnnxReferenceOpset9
from bnconform.adapters.onnx_runtime import OnnxRuntime, OnnxRuntimeOpset7, OnnxRuntimeOpset9
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Answered, Array, Outcome, Step, Unsupported
from bnconform.conformance.engine.loading import Target
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.formats import FORMATS, DType, compute_format

Subject: TypeAlias = type[OnnxRuntime | OnnxReference]
RUNTIME: tuple[Subject, ...] = (OnnxRuntime, OnnxRuntimeOpset9, OnnxRuntimeOpset7)
SUBJECTS: tuple[Subject, ...] = (*RUNTIME, OnnxReference, OnnxReferenceOpset9)
OPSET_9: tuple[Subject, ...] = (OnnxRuntimeOpset9, OnnxRuntimeOpset7, OnnxReferenceOpset9)

ROUNDINGS = {DType.FLOAT16: 4, DType.BFLOAT16: 4, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array.

The cases have at most 36 values a channel, of order one: sums lose some tens of roundings, and
half-precision arrays are rounded once from float32. A wrong convention (Bessel, sense of momentum,
place of epsilon) costs 1 % or more.
"""

LIMIT = 300.0
"""Seconds for one case on a busy machine."""

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
    # Both are float32 numbers, as ONNX attributes are.
    epsilon=2.0**-10,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


_MATRIX = _case(6, 4, feature_axes=(-1,), steps=3, last_batch=5)
_HALVES: dict[str, Any] = {"dtype": DType.FLOAT16, "half_parameters": True}

CASES = {
    "matrix, the last batch short": _MATRIX,
    "the same signature, other scalars": replace(
        _MATRIX, epsilon=1e-3, decay=0.9, fill=Fill(kind=FillKind.NORMAL, seed=6)
    ),
    "only the new batch counts": replace(_MATRIX, decay=0.0),
    "image, gaps in memory, gamma alone": _case(4, 3, 3, 2, layout=Layout.STRIDED, center=False),
    "image, channels last in memory, beta alone": _case(
        4, 3, 3, 2, layout=Layout.CHANNELS_LAST, scale=False
    ),
    "sequence": _case(5, 4, 3),
    "volume, neither gamma nor beta": _case(2, 3, 2, 3, 3, scale=False, center=False),
    "rank 7": _case(2, 3, 1, 2, 1, 2, 2),
    "float16": _case(4, 3, 3, 2, dtype=DType.FLOAT16),
    "float16, parameters too": _case(4, 3, 3, 2, **_HALVES),
    "float16, parameters too, inference": _case(6, 4, mode=Mode.INFERENCE, **_HALVES),
    "float16 inference": _case(6, 4, dtype=DType.FLOAT16, mode=Mode.INFERENCE),
    "bfloat16 inference": _case(6, 4, dtype=DType.BFLOAT16, mode=Mode.INFERENCE),
    "bfloat16": _case(4, 3, 3, 2, dtype=DType.BFLOAT16),
    "float64": _case(5, 4, 3, dtype=DType.FLOAT64),
    "float64, epsilon not a float32": _case(5, 4, 3, dtype=DType.FLOAT64, epsilon=1e-3),
    "float64, decay not a float32": _case(5, 4, 3, dtype=DType.FLOAT64, decay=0.9),
    "float64 inference": _case(5, 4, 3, dtype=DType.FLOAT64, mode=Mode.INFERENCE),
    "inference": _case(4, 3, 3, 2, mode=Mode.INFERENCE, layout=Layout.CHANNELS_LAST),
    "inference, no decay": _case(4, 3, 3, 2, mode=Mode.INFERENCE, decay=None),
    "one value per channel": _case(1, 5),
    "empty batch": _case(0, 4),
    "axis last": _case(4, 3, 3, 2, feature_axes=(-1,)),
    "batch as feature axis": _case(5, 4, 3, feature_axes=(0,)),
    "inference, all axes but the batch": _case(
        4, 3, 3, 2, feature_axes=(1, 2, 3), mode=Mode.INFERENCE
    ),
    "inference, two axes": _case(4, 3, 3, 2, feature_axes=(1, 2), mode=Mode.INFERENCE),
    "all axes but the batch": _case(4, 3, 3, 2, feature_axes=(1, 2, 3)),
    "cumulative average": replace(_MATRIX, decay=None),
    "frozen": _case(4, 3, 3, 2, mode=Mode.FROZEN),
}
"""What is asked of every subject; the tables below say where one does not give the formulae."""

_MANY_AXES = [name for name, case in CASES.items() if len(case.feature_axes) > 1]
_TRAINING = [name for name, case in CASES.items() if case.mode is Mode.TRAIN]
_MIXED = [
    name for name, case in CASES.items() if case.dtype is DType.FLOAT16 and not case.half_parameters
]
_BFLOAT16 = [name for name, case in CASES.items() if case.dtype is DType.BFLOAT16]
_SINGLE: tuple[Subject, ...] = tuple(each for each in SUBJECTS if each is not OnnxRuntimeOpset7)

UNSUPPORTED: dict[tuple[Subject, str], str] = {
    **{(subject, name): "one feature axis only" for subject in _SINGLE for name in _MANY_AXES},
    **{(each, "axis last"): "feature axis 3 of rank 4: only axis 1" for each in _SINGLE},
    **{
        (each, "batch as feature axis"): "feature axis 0 of rank 3: only axis 1" for each in _SINGLE
    },
    **{(each, "cumulative average"): "no cumulative average" for each in SUBJECTS},
    **{(OnnxReferenceOpset9, name): "no train mode" for name in _TRAINING},
    **{(each, "frozen"): "no frozen mode" for each in SUBJECTS},
    **{
        (subject, name): "no bfloat16 input with parameters in the matching format"
        for subject in (*RUNTIME, OnnxReferenceOpset9)
        for name in _BFLOAT16
    },
}
"""Declared out of reach, and the declared reason."""

OUTSIDE: dict[tuple[Subject, str], str] = {
    **{
        (subject, name): "opset [79] has one type for X, scale and B"
        for subject in OPSET_9
        for name in _MIXED
    },
    **{
        (OnnxRuntimeOpset7, name): "spatial is 1 for axis 1 or 0 for every axis but the batch"
        for name in ("axis last", "batch as feature axis", "inference, two axes")
    },
    (OnnxRuntimeOpset7, "all axes but the batch"): "spatial is 0: 'Training mode only supports",
}
"""Refused when the layer is built or called, and how the reason begins."""

FOUND: dict[tuple[Subject, str], str] = {
    **{
        (subject, name): "attributes are float32"
        for subject in (*RUNTIME, OnnxReference)
        for name in ("float64, epsilon not a float32", "float64, decay not a float32")
    },
    **{
        (subject, "empty batch"): "averages the NaN mean of nothing"
        for subject in (*RUNTIME, OnnxReference)
    },
    (OnnxReference, "float16"): "running statistics in the format of X",
    (OnnxReference, "bfloat16"): "running statistics in the format of X",
    **{
        (OnnxReferenceOpset9, name): "inference by running statistics with the batch in them"
        for name, case in CASES.items()
        if case.mode is Mode.INFERENCE
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
            names = [each for each in CASES if (subject, each) not in UNSUPPORTED]
            questions = [Question(case=CASES[each], repeat=True) for each in names]
            target = Target(module=subject.__module__, attribute=subject.__name__)
            with SubjectProcess(target, subject.environment) as process:
                answers = [answer for _, answer in process.ask(questions, LIMIT)]
            found[subject] = dict(zip(names, answers, strict=True))
        return found[subject][name]

    return outcome


def _answered(outcome: Outcome) -> Answered:
    assert isinstance(outcome, Answered), outcome
    return outcome


def _calls(outcome: Outcome) -> list[Step]:
    answer = _answered(outcome).answer
    return [*answer.steps, *([answer.inference] if answer.inference else [])]


@pytest.mark.parametrize(("subject", "name"), _rows(CASES))
def test_every_quantity_agrees_with_the_formulae(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """All that a subject exposes has the right shape and format, and the textbook's value.

    What ONNX Runtime gives as saved_var is left to the tests below.
    """
    case = CASES[name]
    calls, wanted = _calls(outcome_of(subject, name)), _formulae(case)
    assert len(calls) == len(wanted)
    for call, want in zip(calls, wanted, strict=True):
        exposed = {field for field in want if field in subject.capabilities.quantities}
        assert {field for field in vars(call) if getattr(call, field) is not None} == exposed
        for field in exposed - {"batch_var"}:
            _assert_close(case, field, getattr(call, field), want[field])


_BATCH_VAR = [
    pytest.param(subject, name, id=f"{subject.name}: {name}")
    for subject in (OnnxRuntimeOpset9, OnnxRuntimeOpset7)
    for name in ("matrix, the last batch short", "float16, parameters too", "float64")
]


@pytest.mark.xfail(strict=True, reason="saved_var is the inverse deviation")
@pytest.mark.parametrize(("subject", "name"), _BATCH_VAR)
def test_saved_var_is_the_variance(subject: Subject, name: str, outcome_of: Outcomes) -> None:
    """The fifth output is what its description says."""
    case = CASES[name]
    for call, want in zip(_calls(outcome_of(subject, name)), _formulae(case), strict=True):
        if call.batch_var is not None:
            _assert_close(case, "batch_var", call.batch_var, want["batch_var"])


@pytest.mark.parametrize(("subject", "name"), _BATCH_VAR)
def test_saved_var_of_onnx_runtime_is_the_inverse_deviation(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """The fifth output is 1 / sqrt(v + epsilon)."""
    case = CASES[name]
    call, want = _calls(outcome_of(subject, name))[0], _formulae(case)[0]
    inverse = 1 / np.sqrt(want["batch_var"].astype(float) + case.epsilon)
    assert call.batch_var is not None
    _assert_close(case, "saved_var", call.batch_var, inverse.astype(call.batch_var.dtype))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_subject_does_not_offer_is_declared_with_its_reason(subject: Subject) -> None:
    """Capabilities rule out exactly the cases of the table, and say why."""
    reasons = {name: subject.capabilities.unsupported(case) for name, case in CASES.items()}
    assert {(subject, name): reason for name, reason in reasons.items() if reason} == {
        key: reason for key, reason in UNSUPPORTED.items() if key[0] is subject
    }


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        pytest.param(*key, id=f"{key[0].name}: {key[1]}")
        for key in OUTSIDE
        if key not in UNSUPPORTED
    ],
)
def test_what_the_opset_cannot_express_is_refused_with_its_reason(
    subject: Subject, name: str, outcome_of: Outcomes
) -> None:
    """Types that must be one, and axes that no value of spatial stands for."""
    outcome = outcome_of(subject, name)
    assert isinstance(outcome, Unsupported), outcome
    assert re.match(OUTSIDE[subject, name], outcome.reason)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_inputs_are_left_alone_and_a_second_layer_gives_the_same_bits(
    subject: Subject, outcome_of: Outcomes
) -> None:
    """No subject writes into the caller's arrays or remembers an earlier layer."""
    names = [row.values[1] for row in _rows(CASES, (subject,))]
    assert len(names) >= 4
    for name in names:
        answered = _answered(outcome_of(subject, str(name)))
        assert answered.mutated == ()
        assert answered.unrepeatable == ()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_inference_leaves_the_state_alone_to_the_bit(
    subject: Subject, outcome_of: Outcomes
) -> None:
    """The node reads the statistics that the case gives, and the layer keeps them."""
    (step,) = _calls(outcome_of(subject, "inference"))
    parameters = make_inputs(CASES["inference"]).parameters
    np.testing.assert_array_equal(step.running_mean, parameters.running_mean, strict=True)
    np.testing.assert_array_equal(step.running_var, parameters.running_var, strict=True)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_the_defaults_of_a_dialect_are_those_of_the_operator(subject: Subject) -> None:
    """Epsilon and momentum that a node gets when it has no such attribute."""
    schema = onnx.defs.get_schema("BatchNormalization", subject.opset)
    for name, claim in (
        ("epsilon", subject.dialect.default_epsilon),
        ("momentum", subject.dialect.default_momentum),
    ):
        assert claim.value is not None
        assert schema.attributes[name].default_value.f == np.float32(claim.value)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_dialect_quotes_is_in_the_text_of_the_operator(subject: Subject) -> None:
    """Whatever a source has in quotation marks is the specification's own wording."""
    schema = onnx.defs.get_schema("BatchNormalization", subject.opset)
    described = (*schema.inputs, *schema.outputs, *schema.attributes.values())
    text = " ".join([schema.doc, *(each.description for each in described)])
    sources = [claim.source for claim in subject.dialect.claims().values()]
    quoted = [part for source in sources for part in re.findall(r"'(.+?)'", source)]
    assert quoted
    missing = {part for part in quoted if part.removesuffix(" ...") not in text}
    assert not missing


def test_a_session_is_made_once_for_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of one signature share those for training and inference; epsilon makes others."""
    made = []
    session = onnxruntime.InferenceSession

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(session(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    adapter = OnnxRuntime()
    for case, sessions in (
        (_MATRIX, 2),
        (replace(_MATRIX, fill=Fill(kind=FillKind.NORMAL, seed=6)), 2),
        (replace(_MATRIX, epsilon=0.5), 4),
    ):
        inputs = make_inputs(case)
        layer = adapter.build(case, inputs.parameters)
        for step in inputs.steps:
            layer.train(step.x, step.dy)
        layer.infer(inputs.inference.x, inputs.inference.dy)
        assert len(made) == sessions


@pytest.mark.parametrize(
    ("opset", "training", "error", "message"),
    [
        pytest.param(9, True, RuntimeError, "Unable to find output name", id="9 has one output"),
        pytest.param(7, False, TypeError, "is a tuple", id="7 is taken for 6"),
        pytest.param(7, True, TypeError, "is a tuple", id="7 in training"),
    ],
)
def test_what_the_reference_evaluator_lacks_below_opset_14_is_still_lacking(
    opset: int, *, training: bool, error: type[Exception], message: str
) -> None:
    """It has no subject for opset 7 and none for training at opset 9, because these calls raise."""
    model = batch_norm_model(onnx, _BASE, opset, training=training)
    with pytest.raises(error, match=message):
        onnx.reference.ReferenceEvaluator(model).run(None, _feeds())


def test_opset_14_is_computed_as_opset_15_by_both_evaluators() -> None:
    """Only the types differ, so that opset 14 has no subject of its own."""
    models = [batch_norm_model(onnx, _BASE, opset, training=True) for opset in (14, 15)]
    for run in (_runtime, onnx.reference.ReferenceEvaluator):
        one, other = (run(model).run(None, _feeds()) for model in models)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("opset", [14, 15])
def test_onnx_runtime_has_no_bfloat16(opset: int) -> None:
    """The text of both opsets lists the type; the CPU provider has no kernel for it."""
    case = replace(_BASE, dtype=DType.BFLOAT16, half_parameters=True)
    with pytest.raises(Exception, match=r"Could not find an implementation for BatchNormalization"):
        _runtime(batch_norm_model(onnx, case, opset, training=False))


def _runtime(model: Any) -> Any:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _feeds() -> dict[str, Array]:
    """Every input of a node for the base case."""
    inputs = make_inputs(_BASE)
    p = inputs.parameters
    assert p.gamma is not None
    assert p.beta is not None
    names = {"scale": p.gamma, "B": p.beta, "input_mean": p.running_mean}
    return {"x": inputs.steps[0].x, **names, "input_var": p.running_var}


def _formulae(case: Case) -> list[dict[str, Array]]:
    """Every call of ``case`` in float64, rounded to the format it must be answered in."""
    inputs = make_inputs(case)
    p = inputs.parameters
    wide = [size if axis in case.channel_axes else 1 for axis, size in enumerate(case.shape)]
    mean, var = p.running_mean.astype(float), p.running_var.astype(float)
    gamma = np.ones(wide) if p.gamma is None else p.gamma.astype(float).reshape(wide)
    beta = np.zeros(wide) if p.beta is None else p.beta.astype(float).reshape(wide)

    def answered(x: Array, mu: Array, v: Array, *, by_batch: bool) -> dict[str, Array]:
        r = 1 / np.sqrt(v.reshape(wide) + case.epsilon)
        y = gamma * (x.astype(float) - mu.reshape(wide)) * r + beta
        state, statistics = case.parameter_format.numpy, compute_format(case.dtype).numpy
        found = {
            "y": y.astype(x.dtype),
            "running_mean": mean.astype(state),
            "running_var": var.astype(state),
        }
        batch = {"batch_mean": mu.astype(statistics), "batch_var": v.astype(statistics)}
        return found | (batch if by_batch else {})

    if case.mode is Mode.INFERENCE:
        return [answered(inputs.steps[0].x, mean, var, by_batch=False)]
    calls = []
    for call in inputs.steps:
        x = call.x.astype(float)
        mu, v = (x.mean(case.reduction_axes), x.var(case.reduction_axes)) if x.size else (mean, var)
        assert case.decay is not None
        mean = case.decay * mean + (1 - case.decay) * mu
        var = case.decay * var + (1 - case.decay) * v
        calls.append(answered(call.x, mu, v, by_batch=True))
    return [*calls, answered(inputs.inference.x, mean, var, by_batch=False)]


def _assert_close(case: Case, name: str, got: Array, want: Array) -> None:
    """``got`` has the shape and format of ``want`` and is within ROUNDINGS of it."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), name
    dtype = DType.BFLOAT16 if got.dtype == ml_dtypes.bfloat16 else DType(got.dtype.name)
    if case.half_parameters:
        dtype = case.dtype  # batch statistics are answered in float32, and were in half precision
    exact = want.astype(float)
    scale = max(np.abs(exact).max(initial=0.0), 1.0)
    worst = np.abs(got.astype(float) - exact).max(initial=0.0)
    allowed = ROUNDINGS[dtype] * FORMATS[dtype].unit_roundoff * scale
    # Written so that a NaN, which is no answer to any of the cases, is not within it.
    assert worst <= allowed, f"{name} is off by {worst}, allowed {allowed}"
