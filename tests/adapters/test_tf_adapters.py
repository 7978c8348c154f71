"""The four TensorFlow subjects against formulae in float64, and what else they promise.

TensorFlow reads its environment when it is imported, so it never is in this process: this file,
run as a script, answers all cases of one environment in one go.
"""

from __future__ import annotations

import gc
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from bnconform.adapters.tf_fused import TfFused
from bnconform.adapters.tf_layers import TfLayersFused, TfLayersUnfused
from bnconform.adapters.tf_nn import TfNn
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import Array, Parameters, Quantity, Step
from bnconform.conformance.dialect import RunningVariance
from bnconform.conformance.formats import FORMATS, DType, compute_format

Answers: TypeAlias = dict[str, Any]
Subject: TypeAlias = type[TfNn | TfFused | TfLayersFused | TfLayersUnfused]

ROUNDINGS = {DType.FLOAT16: 2, DType.BFLOAT16: 2, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array.

The cases have at most 72 values a channel and means within a few deviations, so that sums lose
some hundreds of roundings; half-precision arrays are rounded once, from float32. A wrong convention
(Bessel, sense of momentum, place of epsilon) costs 1 % or more: 1000 roundings are 0.006 %.
"""

_BASE = Case(
    shape=(4, 3, 3, 2),
    last_batch=4,
    feature_axes=(-1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=3),
)


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


IMAGES = {
    "channels last, the last batch short": _case(4, 3, 3, 2, steps=3, last_batch=1),
    "channels first, gaps in memory": _case(
        4, 3, 3, 2, feature_axes=(1,), layout=Layout.STRIDED, upstream_layout=Layout.CHANNELS_LAST
    ),
    "volume, channels last, no beta": _case(2, 3, 2, 3, 4, feature_axes=(4,), center=False),
    "volume, channels first, no gamma": _case(2, 4, 3, 2, 3, feature_axes=(-4,), scale=False),
    "neither gamma nor beta": _case(4, 3, 3, 2, center=False, scale=False),
    "one value per channel": _case(1, 1, 1, 5),
    "only the new batch counts": _case(4, 3, 3, 2, decay=0.0, steps=2),
    "only the old average counts": _case(4, 3, 3, 2, decay=1.0),
    "an epsilon that float32 rounds": _case(4, 3, 3, 2, epsilon=0.1),
    "sums that are exact": _case(4, 3, 4, 4, fill=Fill(kind=FillKind.EXACT, seed=1)),
    "by the running statistics": _case(4, 3, 3, 2, feature_axes=(1,), mode=Mode.INFERENCE),
}
"""Within reach of all four subjects."""

HALVES = {
    "float16 with float32 parameters": _case(4, 3, 3, 2, dtype=DType.FLOAT16),
    "bfloat16 with float32 parameters": _case(4, 3, 3, 2, dtype=DType.BFLOAT16, feature_axes=(1,)),
    "float16, by the running statistics": _case(
        4, 3, 3, 2, dtype=DType.FLOAT16, mode=Mode.INFERENCE
    ),
}

SHAPES = {
    "matrix": _case(6, 4, steps=2, last_batch=5),
    "vector of channels": _case(6, feature_axes=(0,)),
    "feature axis first": _case(5, 4, 3, feature_axes=(0,)),
    "feature axis amid three": _case(5, 4, 3, feature_axes=(-2,)),
    "two feature axes": _case(4, 3, 3, 2, feature_axes=(1, 3), steps=2, last_batch=2),
    "two feature axes, unsorted, one of them first": _case(4, 3, 5, feature_axes=(-1, 0)),
    "every axis a feature axis": _case(4, 3, feature_axes=(0, 1)),
    "rank 6": _case(2, 3, 2, 2, 2, 2, feature_axes=(1,)),
    "float64": _case(5, 4, 3, feature_axes=(1,), dtype=DType.FLOAT64),
}

FROZEN = {
    "frozen": _case(4, 3, 3, 2, mode=Mode.FROZEN),
    "frozen, channels first, no gamma": _case(
        4, 3, 3, 2, feature_axes=(1,), mode=Mode.FROZEN, scale=False
    ),
}

CASES: dict[Subject, dict[str, Case]] = {
    TfNn: IMAGES | SHAPES,
    TfFused: IMAGES | HALVES,
    TfLayersFused: IMAGES | HALVES | FROZEN,
    TfLayersUnfused: IMAGES | HALVES | SHAPES | FROZEN,
}

INEXACT_DECAY = _case(5, 4, 3, feature_axes=(1,), dtype=DType.FLOAT64, decay=0.9)
EMPTY_LAST = _case(4, 3, 3, 2, steps=2, last_batch=0)
EMPTY_INFERENCE = _case(0, 3, 3, 2, mode=Mode.INFERENCE)
EMPTY_VOLUME = _case(0, 2, 2, 1, 3)
HALF_INFERENCE = _case(6, 4, dtype=DType.BFLOAT16, mode=Mode.INFERENCE)
NAN_INFERENCE = _case(6, 4, mode=Mode.INFERENCE, fill=Fill(kind=FillKind.NAN, seed=1))


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Everything both processes found, by subject and case or by the name of a fact."""
    found: Answers = {}
    for task, subject in (("eager", TfNn), ("graph", TfLayersFused)):
        file = tmp_path_factory.mktemp("tensorflow") / f"{task}.pickle"
        command = [sys.executable, __file__, task, str(file)]
        kept = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
        run = subprocess.run(
            command, env=kept | subject.environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        found |= pickle.loads(file.read_bytes())  # noqa: S301 -- written by this file
    return found


@pytest.mark.parametrize(
    ("subject", "reason"),
    [pytest.param(s, reason, id=f"{s.name}: {reason}") for s in CASES for reason in CASES[s]],
)
def test_every_quantity_agrees_with_the_formulae(
    subject: Subject, reason: str, answers: Answers
) -> None:
    """All that a subject exposes has the right shape and format, and the textbook's value."""
    case = CASES[subject][reason]
    wanted = _formulae(case, make_inputs(case), subject)
    got = answers[f"{subject.name}: {reason}"]
    assert len(got) == len(wanted)
    for step, want in zip(got, wanted, strict=True):
        for name, value in want.items():
            _assert_close(name, getattr(step, name), value, case)
        exposed = {q.value for q in Quantity if getattr(step, q.value, None) is not None}
        assert exposed == set(want)


@pytest.mark.parametrize("subject", CASES, ids=lambda subject: subject.name)
def test_every_case_of_these_tests_is_within_the_declared_capabilities(subject: Subject) -> None:
    """What the tests above ran is not declared unsupported."""
    reasons = {name: subject.capabilities.unsupported(c) for name, c in CASES[subject].items()}
    assert reasons == dict.fromkeys(CASES[subject])


@pytest.mark.parametrize("subject", [TfLayersFused, TfLayersUnfused], ids=lambda s: s.name)
def test_a_frozen_layer_leaves_its_state_alone_to_the_bit(
    subject: Subject, answers: Answers
) -> None:
    """With trainable=False no update operation is registered."""
    parameters = make_inputs(FROZEN["frozen"]).parameters
    (step,) = answers[f"{subject.name}: frozen"]
    np.testing.assert_array_equal(step.running_mean, parameters.running_mean, strict=True)
    np.testing.assert_array_equal(step.running_var, parameters.running_var, strict=True)


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="TensorFlow rounds 1 - momentum to float32 in tf.layers",
)
def test_a_float64_layer_averages_in_float64(answers: Answers) -> None:
    """The running mean of a float64 layer is the formula's, whatever the momentum."""
    want = _formulae(INEXACT_DECAY, make_inputs(INEXACT_DECAY), TfLayersUnfused)
    step = answers["float64 layer, inexact decay"][0]
    _assert_close("running_mean", step.running_mean, want[0]["running_mean"], INEXACT_DECAY)


@pytest.mark.xfail(
    raises=AssertionError, strict=True, reason="TensorFlow averages the NaN mean of nothing"
)
@pytest.mark.parametrize(
    "subject", [TfFused, TfLayersFused, TfLayersUnfused], ids=lambda subject: subject.name
)
def test_an_empty_batch_leaves_finite_running_statistics(
    subject: Subject, answers: Answers
) -> None:
    """A training step without a value has nothing to average."""
    last = answers[f"{subject.name}: empty last batch"][1]
    assert np.isfinite(last.running_mean).all()
    assert np.isfinite(last.running_var).all()


@pytest.mark.xfail(
    raises=AssertionError, strict=True, reason="TensorFlow multiplies the NaN mean of nothing by 0"
)
@pytest.mark.parametrize("subject", [TfNn, TfLayersUnfused], ids=lambda subject: subject.name)
def test_an_empty_batch_gives_gamma_a_gradient_of_zero(subject: Subject, answers: Answers) -> None:
    """The sum over no value is 0."""
    np.testing.assert_array_equal(answers[f"{subject.name}: empty last batch"][1].dgamma, 0.0)


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="TensorFlow gives the gradient of an empty volume rank 4",
)
@pytest.mark.parametrize("subject", [TfFused, TfLayersFused], ids=lambda subject: subject.name)
def test_the_gradient_of_an_empty_volume_has_its_shape(subject: Subject, answers: Answers) -> None:
    """The gradient of x has the shape of x, values or not."""
    assert answers[f"{subject.name}: empty volume"][0].dx.shape == EMPTY_VOLUME.shape


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="fed training=False, the moments still spread NaN to dx",
)
def test_inference_gives_a_nan_input_a_finite_gradient(answers: Answers) -> None:
    """In inference dx = gamma r dy, which does not depend on x."""
    (step,) = answers["tf.layers.unfused: NaN in inference"]
    assert np.isfinite(step.dx).all()


def test_the_fused_operation_keeps_its_state_over_an_empty_inference_batch(
    answers: Answers,
) -> None:
    """The operation answers NaN statistics to an empty batch; in inference they are not taken."""
    (step,) = answers["tf.fused: empty inference"]
    want = make_inputs(EMPTY_INFERENCE).parameters
    np.testing.assert_array_equal(step.running_mean, want.running_mean, strict=True)
    assert step.y.shape == EMPTY_INFERENCE.shape


def test_half_precision_training_is_out_of_reach_of_the_plain_functions(
    answers: Answers,
) -> None:
    """tf.nn refuses the moments of half-precision input beside float32 parameters."""
    assert "float16" in answers["tf.nn: half training"]
    assert "expected to be a half tensor" in answers["tf.nn: what TensorFlow says to it"]


def test_half_precision_inference_by_the_plain_functions_answers_in_half(
    answers: Answers,
) -> None:
    """tf.nn takes half-precision input with float32 parameters where no moments are needed."""
    (step,) = answers["tf.nn: half inference"]
    (want,) = _formulae(HALF_INFERENCE, make_inputs(HALF_INFERENCE), TfNn)
    assert step.y.dtype == want["y"].dtype == FORMATS[DType.BFLOAT16].numpy
    assert step.dgamma.dtype == np.float32
    # Folded scale, folded shift, product and sum are each rounded to bfloat16, 2^-8.
    scale = np.abs(want["y"].astype(float)).max()
    assert np.abs(step.y.astype(float) - want["y"].astype(float)).max() < 8 * 2**-8 * scale


@pytest.mark.parametrize(
    ("subject", "case", "reason"),
    [
        pytest.param(TfFused, SHAPES["float64"], "no float64 input", id="fused float64"),
        pytest.param(TfFused, SHAPES["matrix"], "no input of rank 2", id="fused matrix"),
        pytest.param(TfLayersFused, _case(4, 3, 3, 2, feature_axes=(2,)), "axis 2", id="amid"),
        pytest.param(TfNn, FROZEN["frozen"], "no frozen mode", id="nothing to freeze"),
        pytest.param(TfLayersUnfused, replace(_BASE, decay=None), "cumulative", id="cumulative"),
    ],
)
def test_what_is_out_of_reach_is_declared_with_its_reason(
    subject: Subject, case: Case, reason: str
) -> None:
    """Capabilities say why, without running anything."""
    found = subject.capabilities.unsupported(case)
    assert found is not None
    assert reason in found


def test_a_layer_that_is_silently_built_unfused_is_unsupported(answers: Answers) -> None:
    """TensorFlow ignores fused=True on an axis that the fused operation lacks."""
    said = answers["tf.layers.fused: feature axis amid four"]
    assert said == "UnsupportedError: TensorFlow built the layer with fused=False, asked for True"


def test_the_layers_say_that_they_need_legacy_keras(answers: Answers) -> None:
    """Without TF_USE_LEGACY_KERAS=1 the subject is unavailable, with the remedy."""
    assert answers["tf.layers: Keras 3"].startswith("ImportError: tf.compat.v1.layers needs")
    assert "TF_USE_LEGACY_KERAS=1" in answers["tf.layers: Keras 3"]


def test_two_layers_of_the_same_kind_do_not_share_state(answers: Answers) -> None:
    """Running statistics of one layer are the same whether or not another trains meanwhile."""
    alone, beside = answers["tf.layers: alone and beside another"]
    np.testing.assert_array_equal(beside, alone, strict=True)


def test_a_layer_of_a_known_kind_starts_from_its_own_parameters(answers: Answers) -> None:
    """A graph that is used again neither remembers the layer that had it before nor grows."""
    first, again, sizes = answers["tf.layers: the same case again"]
    np.testing.assert_array_equal(again, first, strict=True)
    assert sizes[0] == sizes[1]


def test_a_graph_is_differentiated_once(answers: Answers) -> None:
    """Where training and inference are one tensor, so are their gradients."""
    assert answers["tf.layers.unfused: gradients"] == {"gradients"}


def test_graphs_that_nobody_uses_are_bounded(answers: Answers) -> None:
    """Past the limit the graph that lay idle longest is closed."""
    assert answers["tf.layers: idle programs, closed sessions"] == (2, 3)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        pytest.param(TfFused, ("epsilon", "exponential_avg_factor"), id="operation"),
        pytest.param(TfLayersFused, ("epsilon", "momentum"), id="layer"),
    ],
)
def test_declared_defaults_are_those_of_the_signature(
    subject: Subject, names: tuple[str, str], answers: Answers
) -> None:
    """Epsilon and momentum that the dialect calls defaults are TensorFlow's."""
    found = answers[f"{subject.name}: defaults"]
    epsilon, momentum = subject.dialect.default_epsilon, subject.dialect.default_momentum
    assert (epsilon.value, momentum.value) == (found[names[0]], found[names[1]])


def _formulae(case: Case, inputs: Inputs, subject: Subject) -> list[dict[str, Array]]:
    """Every call of ``case`` in float64, rounded to the format it must be answered in."""
    p = inputs.parameters
    state = {"mean": _wide(case, p.running_mean), "var": _wide(case, p.running_var)}
    by_batch = case.mode is not Mode.INFERENCE
    calls: list[dict[str, Array]] = []
    for call in inputs.steps:
        found = _one_call(case, p, call, state, by_batch=by_batch)
        if case.mode is Mode.TRAIN:
            state = _updated(case, state, found, case.count(call.x.shape), subject)
        calls.append(found | _narrow(case, state))
    if case.mode is Mode.TRAIN:
        last = _one_call(case, p, inputs.inference, state, by_batch=False)
        calls.append(last | _narrow(case, state))
    return [_exposed(case, call, subject) for call in calls]


def _one_call(
    case: Case, parameters: Parameters, call: StepInputs, state: dict[str, Array], *, by_batch: bool
) -> dict[str, Array]:
    """y, the gradients of sum(y dy), and the batch statistics where they were used."""
    x, g = call.x.astype(float), call.dy.astype(float)
    axes, n = case.reduction_axes, case.count(call.x.shape)
    gamma, beta = _wide(case, parameters.gamma, 1.0), _wide(case, parameters.beta, 0.0)
    mean = x.mean(axes, keepdims=True) if by_batch else state["mean"]
    var = ((x - mean) ** 2).mean(axes, keepdims=True) if by_batch else state["var"]
    r = 1 / np.sqrt(var + case.epsilon)
    xhat = (x - mean) * r
    dgamma, dbeta = (g * xhat).sum(axes, keepdims=True), g.sum(axes, keepdims=True)
    found = {"y": gamma * xhat + beta, "dx": gamma * r * g}
    if by_batch:
        found["dx"] = gamma * r * (n * g - dbeta - xhat * dgamma) / n
        found |= {"batch_mean": mean.reshape(case.feature_shape)}
        found |= {"batch_var": var.reshape(case.feature_shape)}
    if case.scale:
        found["dgamma"] = dgamma.reshape(case.feature_shape)
    if case.center:
        found["dbeta"] = dbeta.reshape(case.feature_shape)
    return found


def _updated(
    case: Case, state: dict[str, Array], found: dict[str, Array], n: int, subject: Subject
) -> dict[str, Array]:
    """The running averages after a step; tf.nn has none, so that its statistics stay."""
    convention = subject.dialect.running_variance.value
    if convention is RunningVariance.NONE:
        return state
    bessel = n / max(n - 1, 1) if convention is RunningVariance.UNBIASED else 1.0
    decay = case.decay
    assert decay is not None
    mean, var = _wide(case, found["batch_mean"]), _wide(case, found["batch_var"])
    return {
        "mean": decay * state["mean"] + (1 - decay) * mean,
        "var": decay * state["var"] + (1 - decay) * bessel * var,
    }


def _wide(case: Case, values: Array | None, otherwise: float = 0.0) -> Array:
    if values is None:
        return np.full((), otherwise)
    wide = [size if axis in case.channel_axes else 1 for axis, size in enumerate(case.shape)]
    return values.astype(float).reshape(wide)


def _narrow(case: Case, state: dict[str, Array]) -> dict[str, Array]:
    return {f"running_{name}": value.reshape(case.feature_shape) for name, value in state.items()}


def _exposed(case: Case, call: dict[str, Array], subject: Subject) -> dict[str, Array]:
    """What ``subject`` says it exposes, in the formats it must answer in."""
    images, parameters = FORMATS[case.dtype].numpy, compute_format(case.dtype).numpy
    return {
        name: value.astype(images if name in ("y", "dx") else parameters)
        for name, value in call.items()
        if name in subject.capabilities.quantities
    }


def _assert_close(name: str, got: Array, want: Array, case: Case) -> None:
    """``got`` has the shape and format of ``want`` and is within ROUNDINGS of it."""
    assert got is not None, name
    assert (got.shape, got.dtype) == (want.shape, want.dtype), name
    fmt = next(fmt for fmt in FORMATS.values() if fmt.numpy == got.dtype)
    exact = want.astype(float)
    # The fills are of order one, and so is what cancels where the result is 0.
    allowed = ROUNDINGS[fmt.dtype] * fmt.unit_roundoff * max(np.abs(exact).max(initial=0), 1.0)
    worst = np.abs(got.astype(float) - exact).max(initial=0)
    assert worst <= allowed, f"{name} is off by {worst}, allowed {allowed}, {case}"


def _work_eager() -> Answers:
    """Cases and facts of the subjects that need no legacy Keras."""
    plain, fused = TfNn(), TfFused()
    found = _run_all((plain, fused))
    half = _case(6, 4, dtype=DType.FLOAT16)
    found["tf.nn: half training"] = _said(lambda: _run(plain, half))
    found["tf.nn: what TensorFlow says to it"] = _said(lambda: _half_training(plain.tf))
    found["tf.nn: half inference"] = _run(plain, HALF_INFERENCE)
    for adapter in (plain, fused):
        found[f"{adapter.name}: empty last batch"] = _run(adapter, EMPTY_LAST)
    found["tf.fused: empty volume"] = _run(fused, EMPTY_VOLUME)
    found["tf.fused: empty inference"] = _run(fused, EMPTY_INFERENCE)
    found["tf.fused: defaults"] = _defaults(fused.tf.raw_ops.FusedBatchNormV3)
    found["tf.layers: Keras 3"] = _said(TfLayersFused)
    return found


def _work_graph() -> Answers:
    """Cases and facts of the layers."""
    fused, unfused = TfLayersFused(), TfLayersUnfused()
    found = _run_all((fused, unfused))
    amid = _case(4, 3, 3, 2, feature_axes=(2,))
    found["tf.layers.fused: feature axis amid four"] = _said(lambda: _run(fused, amid))
    found["tf.layers.fused: defaults"] = _defaults(fused.layer_class)
    for adapter in (fused, unfused):
        found[f"{adapter.name}: empty last batch"] = _run(adapter, EMPTY_LAST)
    found["tf.layers.fused: empty volume"] = _run(fused, EMPTY_VOLUME)
    found["float64 layer, inexact decay"] = _run(unfused, INEXACT_DECAY)
    found["tf.layers.unfused: NaN in inference"] = _run(unfused, NAN_INFERENCE)
    found["tf.layers: alone and beside another"] = _alone_and_beside(unfused)
    found["tf.layers: the same case again"] = _same_again(fused)
    found["tf.layers.unfused: gradients"] = _gradients(unfused)
    found["tf.layers: idle programs, closed sessions"] = _idle_programs(TfLayersUnfused())
    return found


def _run_all(adapters: tuple[Any, ...]) -> Answers:
    return {
        f"{adapter.name}: {reason}": _run(adapter, case)
        for adapter in adapters
        for reason, case in CASES[type(adapter)].items()
    }


def _run(adapter: Any, case: Case) -> list[Step]:
    """The calls of ``case`` in order, as the harness makes them."""
    inputs = make_inputs(case)
    layer = adapter.build(case, inputs.parameters)
    if case.mode is Mode.INFERENCE:
        return [layer.infer(call.x, call.dy) for call in inputs.steps]
    steps = [layer.train(call.x, call.dy) for call in inputs.steps]
    if case.mode is Mode.TRAIN:
        steps.append(layer.infer(inputs.inference.x, inputs.inference.dy))
    return steps


def _said(call: Callable[[], object]) -> str:
    """What ``call`` raised, as "Type: message"; '' when it answered."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- the tests look at what it was
        return f"{type(error).__name__}: {error}"
    return ""


def _half_training(tf: Any) -> None:
    x = tf.ones((3, 2), tf.float16)
    one = tf.ones(2)
    tf.nn.batch_normalization(x, *tf.nn.moments(x, [0]), one, one, 1e-3)


def _defaults(function: Any) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def _alone_and_beside(adapter: TfLayersUnfused) -> tuple[Array | None, Array | None]:
    """The running mean after a step, without and with another layer trained in between."""
    case = _case(6, 4)
    inputs = make_inputs(case)
    call = inputs.steps[0]
    alone = adapter.build(case, inputs.parameters).train(call.x, call.dy).running_mean
    one, two = (adapter.build(case, inputs.parameters) for _ in range(2))
    two.train(-call.x, call.dy)
    return alone, one.train(call.x, call.dy).running_mean


def _same_again(adapter: TfLayersFused) -> tuple[Array | None, Array | None, list[int]]:
    """Running variances of the same case run twice, and the sizes of the graph it ran in."""
    case = IMAGES["neither gamma nor beta"]
    inputs = make_inputs(case)
    found, sizes = [], []
    for _ in range(2):
        layer = adapter.build(case, inputs.parameters)
        found.append(layer.train(inputs.steps[0].x, inputs.steps[0].dy).running_var)
        sizes.append(len(layer.program.session.graph.get_operations()))
        del layer
        gc.collect()
    return found[0], found[1], sizes


def _gradients(adapter: TfLayersUnfused) -> set[str]:
    """How often a graph was differentiated, by what TensorFlow calls each time."""
    case = _case(4, 3)
    layer = adapter.build(case, make_inputs(case).parameters)
    names = (each.name for each in layer.program.session.graph.get_operations())
    return {name.partition("/")[0] for name in names if name.startswith("gradients")}


def _idle_programs(adapter: TfLayersUnfused) -> tuple[int, int]:
    """Of five idle programs at a limit of two: how many are kept and how many are closed."""
    adapter.idle.most = 2  # a small limit keeps the test short
    sessions = []
    for axis_size in range(2, 7):
        case = _case(3, axis_size)
        layer = adapter.build(case, make_inputs(case).parameters)
        sessions.append(layer.program.session)
        del layer
        gc.collect()
    closed = [_said(lambda s=session: s.run([])) for session in sessions]  # type: ignore[misc]
    return len(adapter.idle), sum("closed" in said for said in closed)


if __name__ == "__main__":
    work = {"eager": _work_eager, "graph": _work_graph}[sys.argv[1]]
    Path(sys.argv[2]).write_bytes(pickle.dumps(work()))
