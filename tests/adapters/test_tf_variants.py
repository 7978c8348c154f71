"""The variants of ``tf.layers.unfused`` and ``tf.nn`` against the spec's equations in float64.

TensorFlow reads its environment when it is imported, so it never is in this process: this file,
run as a script, answers all cases of one environment in one go.
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from bnconform.adapters.tf_layers import TfLayersFused, TfLayersUnfused
from bnconform.adapters.tf_nn import TfNn
from bnconform.conformance import spec
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import Array, Parameters, Quantity, Step
from bnconform.conformance.dialect import GhostGroups
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.variant import (
    Adjusted,
    Ghost,
    Hidden,
    Masked,
    Renorm,
    Variant,
    VariantKind,
    Weighted,
)

Answers: TypeAlias = dict[str, Any]
Subject: TypeAlias = type[TfNn | TfLayersUnfused]
State: TypeAlias = dict[str, Array]

ROUNDINGS = {DType.FLOAT16: 2, DType.BFLOAT16: 2, DType.FLOAT32: 1000, DType.FLOAT64: 1000}
"""Unit roundoffs allowed, of the largest value in an array, as in ``test_tf_adapters.py``: a wrong
convention costs a percent or more, a thousand roundings 0.006 %."""

_BASE = Case(
    shape=(6, 3, 2, 2),
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
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _case(variant: Variant, *shape: int, **changes: Any) -> Case:
    shape = shape or _BASE.shape
    last = changes.pop("last_batch", shape[0])
    return replace(_BASE, variant=variant, shape=shape, last_batch=last, **changes)


_FREE = Renorm(r_min=None, r_max=None, d_max=None, decay=0.5)
_CLIPPED = Renorm(r_min=0.9, r_max=1.1, d_max=0.1, decay=0.5)

LAYERS = {
    "renorm, unclipped, its own decay": _case(_FREE),
    "renorm, all three limits reached": _case(_CLIPPED),
    "renorm, one limit, channels first": _case(
        Renorm(r_min=None, r_max=1.05, d_max=None, decay=0.0), 6, 3, 2, feature_axes=(1,)
    ),
    "renorm, averages that never move": _case(replace(_FREE, decay=1.0), 6, 4),
    "renorm without gamma": _case(_FREE, 6, 4, scale=False),
    "renorm without beta": _case(_FREE, 6, 4, center=False),
    "renorm, two feature axes": _case(_CLIPPED, 4, 3, 3, 2, feature_axes=(1, 3)),
    "renorm in float16": _case(_CLIPPED, 6, 4, dtype=DType.FLOAT16, steps=1),
    "ghost, three groups of two": _case(Ghost(size=2)),
    "ghost, two groups of three, then one": _case(Ghost(size=3), last_batch=3),
    "ghost, channels first": _case(Ghost(size=3), 6, 3, 2, feature_axes=(1,)),
    "ghost, two feature axes": _case(Ghost(size=2), 4, 3, 3, 2, feature_axes=(1, 3)),
    "ghost without gamma and beta": _case(Ghost(size=2), 6, 4, scale=False, center=False),
    "adjusted, one for all samples": _case(Adjusted(per_sample=False)),
    "adjusted, each sample its own": _case(Adjusted(per_sample=True), last_batch=2),
    "adjusted, channels first": _case(Adjusted(per_sample=True), 6, 3, 2, feature_axes=(1,)),
    "adjusted, two feature axes": _case(
        Adjusted(per_sample=True), 4, 3, 3, 2, feature_axes=(1, 3)
    ),
    "adjusted in bfloat16": _case(Adjusted(per_sample=False), 6, 4, dtype=DType.BFLOAT16, steps=1),
}  # fmt: skip

FUNCTIONS = {
    "mask": _case(Masked(hidden=Hidden.ORDINARY)),
    "mask that hides nothing": _case(Masked(hidden=Hidden.ORDINARY, everything=True)),
    "mask, channels first": _case(Masked(hidden=Hidden.ORDINARY), 6, 3, 2, feature_axes=(1,)),
    "weights": _case(Weighted()),
    "weights in float64, two feature axes": _case(
        Weighted(), 4, 3, 3, 2, feature_axes=(1, 3), dtype=DType.FLOAT64
    ),
}

CASES: dict[Subject, dict[str, Case]] = {TfLayersUnfused: LAYERS, TfNn: FUNCTIONS}

HIDDEN_NAN = _case(Masked(hidden=Hidden.NAN), 6, 4, steps=1)


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Everything both processes found, by subject and case or by the name of a fact."""
    found: Answers = {}
    for task, subject in (("functions", TfNn), ("layers", TfLayersUnfused)):
        file = tmp_path_factory.mktemp("tensorflow") / f"{task}.pickle"
        command = [sys.executable, __file__, task, str(file)]
        kept = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
        environment = kept | subject.environment
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        found |= pickle.loads(file.read_bytes())  # noqa: S301 -- written by this file
    return found


@pytest.mark.parametrize(
    ("subject", "reason"),
    [pytest.param(s, reason, id=f"{s.name}: {reason}") for s in CASES for reason in CASES[s]],
)
def test_every_quantity_agrees_with_the_equations(
    subject: Subject, reason: str, answers: Answers
) -> None:
    """Three steps and inference after them: all that the subject exposes."""
    case = CASES[subject][reason]
    wanted = _equations(case, make_inputs(case), subject)
    got = answers[f"{subject.name}: {reason}"]
    assert len(got) == len(wanted)
    for step, want in zip(got, wanted, strict=True):
        for name, value in want.items():
            _assert_close(name, getattr(step, name), value, case)
        exposed = {q.value for q in Quantity if getattr(step, q.value, None) is not None}
        assert exposed == set(want)


@pytest.mark.parametrize("subject", CASES, ids=lambda subject: subject.name)
def test_every_case_of_these_tests_is_within_the_declared_capabilities(subject: Subject) -> None:
    """And every declared variant has a case."""
    cases = CASES[subject].values()
    assert [subject.capabilities.unsupported(case) for case in cases] == [None] * len(cases)
    tried = {case.variant.kind for case in cases}
    assert tried | {VariantKind.PLAIN} == subject.capabilities.variants


def test_the_groups_are_told_apart_by_these_inputs() -> None:
    """Contiguous groups would give another output: the agreement above is no accident."""
    case = LAYERS["ghost, three groups of two"]
    inputs = make_inputs(case)
    interleaved = _equations(case, inputs, TfLayersUnfused)[0]["y"]
    contiguous = _equations(case, inputs, TfLayersUnfused, GhostGroups.CONTIGUOUS)[0]["y"]
    assert np.abs(interleaved - contiguous).max() > 0.1


def test_the_limits_of_the_correction_are_reached_by_these_inputs() -> None:
    """Without them the output would be another."""
    case = LAYERS["renorm, all three limits reached"]
    inputs = make_inputs(case)
    clipped = _equations(case, inputs, TfLayersUnfused)[0]["y"]
    free = _equations(replace(case, variant=_FREE), inputs, TfLayersUnfused)[0]["y"]
    assert np.abs(clipped - free).max() > 0.1


@pytest.mark.parametrize("variant", [_FREE, Ghost(size=2), Adjusted(per_sample=True)])
def test_the_fused_layer_declares_that_it_has_no_variants(variant: Variant) -> None:
    """TensorFlow builds them unfused, whatever it is asked."""
    found = TfLayersFused.capabilities.unsupported(_case(variant))
    assert found == f"no variant '{variant.kind}'"


@pytest.mark.xfail(
    raises=AssertionError, strict=True, reason="weighted_moments multiplies NaN by a weight of 0"
)
def test_what_a_mask_hides_does_not_spoil_the_moments(answers: Answers) -> None:
    """The mean of the kept positions is finite."""
    (step, *_) = answers["mask over NaN"]
    assert np.isfinite(step.batch_mean).all()


def _equations(
    case: Case, inputs: Inputs, subject: Subject, groups: GhostGroups | None = None
) -> list[dict[str, Array]]:
    """Every call of ``case`` in float64, rounded to the format it must be answered in."""
    groups = groups or subject.dialect.ghost_groups.value
    p = inputs.parameters
    state = _initial_state(case, p)
    calls = []
    for call in inputs.steps:
        found, mu, v = _one_step(case, p, call, state, groups)
        state = _updated(case, state, mu, v)
        calls.append(found | _visible(state, mu, v))
    if Quantity.RUNNING_MEAN in subject.capabilities.quantities:
        mean, var = state["mean"], state["var"]
        last = _one_inference(case, p, inputs.inference, mean, var)
        calls.append(last | {"running_mean": mean, "running_var": var})
    return [_exposed(case, call, subject) for call in calls]


def _one_step(
    case: Case, p: Parameters, call: StepInputs, state: State, groups: GhostGroups
) -> tuple[dict[str, Array], Array, Array]:
    """y and gradients, and the mean of the groups' means and variances; wide shapes."""
    x, g = call.x.astype(float), call.dy.astype(float)
    axes, gamma, beta = case.reduction_axes, _wide(case, p.gamma), _wide(case, p.beta)
    w = np.ones_like(x) if call.weights is None else call.weights.astype(float)
    y, dx, dgamma, dbeta = np.empty_like(x), np.empty_like(x), 0.0, 0.0
    statistics = []
    for part in _groups(case, len(x), groups):
        weights = w[part]
        mu = spec.weighted_mean(x[part], weights, axes)
        v = spec.weighted_variance(x[part], weights, mu, axes)
        r = spec.inverse_deviation(v, case.epsilon)
        xhat = spec.normalize(x[part], mu, r)
        a, b = _transformation(case, call, state, mu, v, part)
        moved = spec.transform(xhat, a, b)
        y[part] = spec.scale_and_shift(moved, gamma, beta)
        dx[part] = spec.weighted_training_dx(g[part] * a, xhat, r, gamma, weights, axes)
        dgamma = dgamma + spec.dgamma(g[part], moved, axes)
        dbeta = dbeta + spec.dbeta(g[part], axes)
        statistics.append((mu, v))
    mu, v = (np.mean(each, axis=0) for each in zip(*statistics, strict=True))
    return {"y": y, "dx": dx, **_gradients(case, dgamma, dbeta)}, mu, v


def _groups(case: Case, n: int, groups: GhostGroups) -> list[Array]:
    """Which samples are normalized together."""
    if not isinstance(case.variant, Ghost):
        return [np.arange(n)]
    size = case.variant.size
    if groups is GhostGroups.INTERLEAVED:
        return [np.arange(j, n, n // size) for j in range(n // size)]
    return [np.arange(j, j + size) for j in range(0, n, size)]


def _transformation(
    case: Case, call: StepInputs, state: State, mu: Array, v: Array, part: Array
) -> tuple[Any, Any]:
    """a and b of a xhat + b."""
    match case.variant:
        case Renorm(r_min=low, r_max=high, d_max=d_max):
            m, s = state["renorm_mean"], state["renorm_stddev"]
            scale = spec.renorm_scale(v, s, case.epsilon, low, high)
            return scale, spec.renorm_shift(mu, m, s, d_max)
        case Adjusted(per_sample=per_sample):
            assert call.adjust_scale is not None
            assert call.adjust_shift is not None
            whose = part if per_sample else slice(None)
            return call.adjust_scale[whose].astype(float), call.adjust_shift[whose].astype(float)
        case _:
            return 1.0, 0.0


def _initial_state(case: Case, p: Parameters) -> State:
    named = {
        "mean": p.running_mean, "var": p.running_var, "renorm_mean": p.renorm_mean,
        "renorm_stddev": p.renorm_stddev, "stddev": p.running_stddev,
    }  # fmt: skip
    return {name: _wide(case, v) for name, v in named.items() if v is not None}


def _updated(case: Case, state: State, mu: Array, v: Array) -> State:
    assert case.decay is not None
    mean = spec.update_running_mean(state["mean"], mu, case.decay)
    if not isinstance(case.variant, Renorm):
        return {"mean": mean, "var": spec.update_running_var(state["var"], v, case.decay)}
    own, deviation = case.variant.decay, np.sqrt(v + case.epsilon)
    stddev = spec.update_running_mean(state["stddev"], deviation, case.decay)
    return {
        "mean": mean,
        "var": spec.renorm_running_var(stddev, case.epsilon),
        "stddev": stddev,
        "renorm_mean": spec.update_running_mean(state["renorm_mean"], mu, own),
        "renorm_stddev": spec.update_running_mean(state["renorm_stddev"], deviation, own),
    }


def _visible(state: State, mu: Array, v: Array) -> dict[str, Array]:
    return {
        "batch_mean": mu, "batch_var": v,
        "running_mean": state["mean"], "running_var": state["var"],
    }  # fmt: skip


def _one_inference(
    case: Case, p: Parameters, call: StepInputs, mean: Array, var: Array
) -> dict[str, Array]:
    x, g, axes = call.x.astype(float), call.dy.astype(float), case.reduction_axes
    gamma, beta = _wide(case, p.gamma), _wide(case, p.beta)
    r = spec.inverse_deviation(var, case.epsilon)
    xhat = spec.normalize(x, mean, r)
    found = {"y": spec.scale_and_shift(xhat, gamma, beta), "dx": spec.inference_dx(g, r, gamma)}
    return found | _gradients(case, spec.dgamma(g, xhat, axes), spec.dbeta(g, axes))


def _gradients(case: Case, dgamma: Any, dbeta: Any) -> dict[str, Array]:
    found = {"dgamma": dgamma} if case.scale else {}
    return found | ({"dbeta": dbeta} if case.center else {})


def _wide(case: Case, values: Array | None) -> Any:
    if values is None:
        return None
    wide = [size if axis in case.channel_axes else 1 for axis, size in enumerate(case.shape)]
    return values.astype(float).reshape(wide)


def _exposed(case: Case, call: dict[str, Array], subject: Subject) -> dict[str, Array]:
    """What ``subject`` says it exposes, in the shapes and formats it must answer in."""
    image, parameter = FORMATS[case.dtype].numpy, case.parameter_format.numpy
    return {
        name: value.astype(image)
        if name in ("y", "dx")
        else value.reshape(case.feature_shape).astype(parameter)
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
    assert math.isfinite(worst), name
    assert worst <= allowed, f"{name} is off by {worst}, allowed {allowed}, {case}"


def _work(adapter: Any) -> Answers:
    return {
        f"{adapter.name}: {reason}": _run(adapter, case)
        for reason, case in CASES[type(adapter)].items()
    }


def _run(adapter: Any, case: Case) -> list[Step]:
    """The calls of ``case`` in order, as the harness makes them."""
    inputs = make_inputs(case)
    layer = adapter.build(case, inputs.parameters)
    steps = [layer.train(call.x, call.dy, **call.extras) for call in inputs.steps]
    if Quantity.RUNNING_MEAN in adapter.capabilities.quantities:
        steps.append(layer.infer(inputs.inference.x, inputs.inference.dy))
    return steps


def _main(task: str, file: Path) -> None:
    if task == "functions":
        functions = TfNn()
        found = _work(functions) | {"mask over NaN": _run(functions, HIDDEN_NAN)}
    else:
        found = _work(TfLayersUnfused())
    file.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
