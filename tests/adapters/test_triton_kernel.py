"""The Triton kernels against formulae in extended precision, and whether they compile for GPUs.

Triton reads TRITON_INTERPRET when it is imported, so it never is in this process:
``triton_script.py`` runs once to answer all cases and once to compile.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bnconform.adapters.gpu_kernel.tiling import Tiling
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, StepInputs, make_inputs
from bnconform.conformance.contract import Array, Step
from bnconform.conformance.formats import FORMATS, DType, compute_format

_BASE = Case(
    shape=(4, 3, 5),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=1,
    epsilon=1e-5,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


CASES = {
    "one block, masked in both directions": _case(4, 3, 5),
    "powers of two: nothing to mask": _case(4, 4, 16),
    "a channel of several tiles and a tail": _case(7, 1, 15, 11),
    "a channel that fills its tile, but for a tail": _case(7, 3, 5, 11),
    "several tiles in both directions": _case(130, 2, 2048),
    "several tiles of two channels": _case(40, 2, 300),
    "several tiles, channels contiguous": _case(16, 8, 8, 2, feature_axes=(-1,)),
    "several tiles in float64": _case(7, 1, 15, 11, dtype=DType.FLOAT64),
    "several tiles with gaps in memory": _case(9, 1, 16, 9, layout=Layout.STRIDED),
    "several tiles, running statistics used": _case(40, 2, 300, mode=Mode.INFERENCE, decay=None),
    "several tiles, three steps": _case(1100, 1, 3, steps=3, last_batch=700),
    "several tiles about a mean of 1000 deviations": _case(
        7, 1, 15, 11, fill=Fill(kind=FillKind.OFFSET, seed=5, offset=1000.0)
    ),
    "many blocks of channels and a tail": _case(5, 1037, 3),
    "channels contiguous, many blocks on a GPU too": _case(5000, 2),
    "more channels than the largest block": _case(3, 70),
    "one channel": _case(3, 1, 7),
    "one value per channel": _case(1, 5),
    "a vector of channels": _case(6, feature_axes=(0,)),
    "feature axis first": _case(6, 4, 3, feature_axes=(0,)),
    "feature axis last": _case(6, 4, 3, feature_axes=(-1,)),
    "feature axis amid five": _case(2, 3, 4, 2, 3, feature_axes=(2,)),
    "channels last in memory": _case(4, 6, 5, 3, layout=Layout.CHANNELS_LAST),
    "gaps in memory": _case(4, 6, 5, 3, layout=Layout.STRIDED),
    "dy laid out otherwise than x": _case(
        4, 6, 5, 3, layout=Layout.STRIDED, upstream_layout=Layout.CHANNELS_LAST
    ),
    "no view as (outer, channels, inner)": _case(
        4, 6, 5, 3, feature_axes=(-1,), layout=Layout.CHANNELS_LAST
    ),
    "float64": _case(7, 3, 5, 11, dtype=DType.FLOAT64),
    "float16": _case(7, 3, 5, 11, dtype=DType.FLOAT16),
    "bfloat16": _case(7, 3, 5, 11, dtype=DType.BFLOAT16),
    "bfloat16 with gaps": _case(7, 3, 5, 11, dtype=DType.BFLOAT16, layout=Layout.STRIDED),
    "no gamma": _case(4, 3, 5, scale=False),
    "no beta": _case(4, 3, 5, center=False),
    "neither gamma nor beta": _case(4, 3, 5, scale=False, center=False),
    "running statistics used": _case(7, 3, 5, 11, mode=Mode.INFERENCE, decay=None),
    "an empty batch, by running statistics": _case(0, 3, 2, mode=Mode.INFERENCE),
    "no channels": _case(4, 0, 3),
    "three steps, the last one short": _case(4, 3, 5, steps=3, last_batch=1),
    "a decay that float32 rounds": _case(4, 3, 5, decay=0.999, dtype=DType.FLOAT64),
    "an epsilon that float32 rounds": _case(4, 3, 5, epsilon=0.1, dtype=DType.FLOAT64),
    "a mean of 1000 deviations: one pass would fail": _case(
        7, 3, 5, 11, fill=Fill(kind=FillKind.OFFSET, seed=5, offset=1000.0)
    ),
    "a NaN stays in its channel": _case(7, 3, 5, 11, fill=Fill(kind=FillKind.NAN, seed=5)),
    "an infinity raises no warning": _case(7, 3, 5, 11, fill=Fill(kind=FillKind.INF, seed=5)),
}
BAD_CALLS = {
    "empty batch": "cannot normalize an input of shape (0, 3, 2): no values to average",
    "no decay": "training needs a decay in [0, 1]: there is no cumulative average",
    "integers": "input must be float16, bfloat16, float32 or float64, got torch.int64",
    "axis": "axis must lie in [-3, 3), got 3",
    "statistics in half": (
        "parameters and statistics must be contiguous torch.float32 of shape (3,) on cpu, "
        "got torch.float16 of shape (3,) on cpu"
    ),
    "too few statistics": (
        "parameters and statistics must be contiguous torch.float32 of shape (3,) on cpu, "
        "got torch.float32 of shape (2,) on cpu"
    ),
    "too many values": (
        "at most 2^30 values per channel, got 1073741825: the kernel counts in 32 bits"
    ),
    "dy": (
        "dy must have the shape and format of x, (4, 3, 2) torch.float32, "
        "got (4, 3, 1) torch.float32"
    ),
}
VIEWS = {
    "powers of two: nothing to mask": True,
    "feature axis last": True,
    "channels last in memory": True,
    "gaps in memory": True,
    "no view as (outer, channels, inner)": False,
}
KERNELS = {
    "forward_kernel",
    "moments_kernel",
    "merge_moments_kernel",
    "normalize_kernel",
    "backward_kernel",
    "products_kernel",
    "merge_sums_kernel",
    "input_gradient_kernel",
}
SCRIPT = Path(__file__).with_name("triton_script.py")


class Worker(NamedTuple):
    """What the script answers, field by field; ``steps`` has the answers of two runs."""

    device: str
    steps: dict[str, tuple[list[Step], list[Step]]]
    overwritten: list[str]
    messages: dict[str, str]
    views: dict[str, bool]
    overflow: tuple[float, float]
    negative_axis: bool
    plans: dict[str, list[tuple[Tiling, int]]]


class Compiled(NamedTuple):
    """One kernel as compiled for one generation of GPUs."""

    name: str
    ptx: str
    usage: str


@pytest.fixture(scope="module")
def worker() -> Worker:
    """Answers to all cases, from a process in which Triton interprets if there is no GPU."""
    return Worker(*_run_script("answer"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[Compiled]:
    """All kernels as the launcher launches them, compiled for sm_80 and sm_90."""
    cache = str(tmp_path_factory.mktemp("triton"))
    return [Compiled(*row) for row in _run_script("compile", TRITON_CACHE_DIR=cache)]


def _run_script(task: str, **environment: str) -> Any:
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, SCRIPT, task],
        input=pickle.dumps(CASES),
        env=inherited | environment,
        capture_output=True,
        check=False,
        timeout=400,  # a kernel that writes past an array can also hang
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)  # noqa: S301 - from our own script


@pytest.mark.parametrize("name", CASES)
def test_every_quantity_is_what_the_formulae_give(worker: Worker, name: str) -> None:
    """Each step and the inference call lie within rounding of extended-precision formulae."""
    case, inputs = CASES[name], make_inputs(CASES[name])
    got, _ = worker.steps[name]
    for step, expected in zip(got, _expected_steps(case, inputs), strict=True):
        for quantity, value in expected.values.items():
            _assert_close(case, quantity, getattr(step, quantity), value, expected)


@pytest.mark.parametrize("name", [name for name in CASES if "several tiles" in name])
def test_channels_are_cut_as_the_names_of_the_cases_say(worker: Worker, name: str) -> None:
    """Interpreted, every call has several tiles; on a GPU, those cut in both directions do."""
    case = CASES[name]
    interpreted = "interpreter" in worker.device
    for tiling, _ in worker.plans[name]:
        assert tiling.tiles > 1 or not interpreted
        if name == "several tiles in both directions":
            assert tiling.block_o < case.shape[0]
            assert tiling.block_i < case.shape[2]


def test_many_channels_take_several_programs(worker: Worker) -> None:
    """Several blocks of channels, the last of which is not full, although one tile holds each."""
    for tiling, blocks in worker.plans["many blocks of channels and a tail"]:
        assert tiling.tiles == 1
        assert blocks > 1
        assert tiling.block_c == 1 or 1037 % tiling.block_c


def test_gradients_of_absent_parameters_are_absent(worker: Worker) -> None:
    """Without gamma there is no dgamma, without beta no dbeta, and the other one remains."""
    (no_gamma, *_), _ = worker.steps["no gamma"]
    (no_beta, *_), _ = worker.steps["no beta"]
    assert (no_gamma.dgamma is None, no_gamma.dbeta is None) == (True, False)
    assert (no_beta.dgamma is None, no_beta.dbeta is None) == (False, True)


def test_the_same_call_gives_the_same_bits(worker: Worker) -> None:
    """A second run of every case differs in no bit of no output."""
    for first, second in worker.steps.values():
        for one, two in zip(first, second, strict=True):
            assert _bits(one) == _bits(two)


def test_inputs_are_left_as_they_were(worker: Worker) -> None:
    """No case overwrites x, dy or a parameter, although the CPU shares their memory."""
    assert worker.overwritten == []


def test_padding_does_not_reach_a_sum(worker: Worker) -> None:
    """dgamma is 0 for a constant channel although (0 - mean) r of a masked value overflows.

    So for a channel that fits into a tile, and for one of several.
    """
    assert worker.overflow == (0.0, 0.0)


def test_a_negative_axis_counts_from_the_end(worker: Worker) -> None:
    """The launcher gives the same bits for axis -1 of three as for axis 2."""
    assert worker.negative_axis


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_is_refused_with_what_would_be_valid(worker: Worker, name: str) -> None:
    """The launcher raises ValueError with this message."""
    assert worker.messages[name] == f"ValueError: {BAD_CALLS[name]}"


@pytest.mark.parametrize("name", VIEWS)
def test_an_input_is_copied_only_where_no_view_exists(worker: Worker, name: str) -> None:
    """What the kernel reads shares memory with x unless an axis group has two strides."""
    assert worker.views[name] is VIEWS[name]


def test_the_kernels_compile_without_spilling(compiled: list[Compiled]) -> None:
    """For sm_80 and sm_90 every launched kernel assembles and keeps its values in registers."""
    assert {kernel.name for kernel in compiled} == KERNELS
    for kernel in compiled:
        assert "STACK:0 " in kernel.usage, kernel
        assert "LOCAL:0 " in kernel.usage, kernel


def test_the_kernels_use_neither_approximations_nor_atomics(compiled: list[Compiled]) -> None:
    """No approximate or flushing instruction, no fused multiply-add, no atomic sum."""
    for kernel in compiled:
        for word in (".approx", ".full.", ".ftz", "\tfma.", "\tatom.", "\tred."):
            assert word not in kernel.ptx, f"{word!r} in {kernel.name}"


def test_epsilon_and_decay_reach_the_gpu_as_doubles(compiled: list[Compiled]) -> None:
    """Kernels take them as float64 parameters: rounded to float32, epsilon would be off."""
    taken = {kernel.name: kernel.ptx.count(".param .f64") for kernel in compiled}
    assert {name: count for name, count in taken.items() if count} == {
        "forward_kernel": 2,
        "merge_moments_kernel": 1,
        "normalize_kernel": 1,
    }


@pytest.mark.parametrize("name", ["moments_kernel", "normalize_kernel", "products_kernel"])
def test_large_arrays_are_read_sixteen_bytes_at_a_time(compiled: list[Compiled], name: str) -> None:
    """In float32 and bfloat16, channels first and last, loads of x and dy are as wide as can be."""
    kernels = [kernel for kernel in compiled if kernel.name == name]
    assert kernels
    for kernel in kernels:
        assert re.search(r"ld\.global[.\w:]*\.v(4\.b32|2\.b64)", kernel.ptx), kernel


def test_the_adapter_says_that_it_is_interpreted(worker: Worker) -> None:
    """Without a GPU the device names the interpreter, so no report can take it for one."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert worker.device == torch.cuda.get_device_name()
    else:
        assert worker.device == "cpu (triton interpreter)"


def test_triton_imported_too_early_makes_the_subject_unavailable() -> None:
    """Without a GPU the adapter raises ImportError rather than fail inside Triton."""
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("with a GPU nothing is interpreted")
    assert _run_script("late") == (
        "triton was imported before TRITON_INTERPRET=1 was set, and there is no GPU"
    )


def test_the_plain_reference_is_what_the_formulae_give() -> None:
    """In float64, and in training as with running statistics, it agrees with the same formulae."""
    torch = pytest.importorskip("torch")
    from bnconform.adapters.gpu_kernel import reference

    case = CASES["float64"]
    inputs = make_inputs(case)
    p = inputs.parameters
    gamma, beta, mean, var = map(
        torch.from_numpy, (p.gamma, p.beta, p.running_mean.copy(), p.running_var.copy())
    )
    calls = zip((True, False), (inputs.steps[0], inputs.inference), strict=True)
    for (training, call), expected in zip(calls, _expected_steps(case, inputs), strict=True):
        x, dy = torch.from_numpy(call.x), torch.from_numpy(call.dy)
        out = reference.forward(
            x, gamma, beta, mean, var, axis=1, epsilon=1e-5, decay=0.75, training=training
        )
        grad = reference.backward(x, dy, gamma, out, axis=1, training=training)
        for quantity, tensor in vars(grad).items() | {("y", out.y), ("running_var", var)}:
            value = expected.values[quantity]
            _assert_close(case, quantity, tensor.numpy(), value, expected)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Extended-precision values by quantity, how many they are sums of, and |mean| / deviation."""

    values: dict[str, Array]
    n: int
    conditioning: float


def _expected_steps(case: Case, inputs: Inputs) -> Iterator[Expected]:
    """What each training step of ``case`` must give, and then the inference call."""
    state = (_wide(inputs.parameters.running_mean), _wide(inputs.parameters.running_var))
    trained = inputs.steps if case.mode is Mode.TRAIN else ()
    for call in trained:
        expected = _expected(case, inputs, call, state, training=True)
        state = (expected.values["running_mean"], expected.values["running_var"])
        yield expected
    yield _expected(case, inputs, inputs.inference, state, training=False)


def _expected(
    case: Case, inputs: Inputs, call: StepInputs, state: tuple[Array, Array], *, training: bool
) -> Expected:
    x, g = _by_channel(case, call.x), _by_channel(case, call.dy)
    n = x.shape[1]
    mean, var = state
    values = {}
    with np.errstate(invalid="ignore"):
        if training:
            mean = x.sum(1) / n
            var = np.square(x - mean[:, None]).sum(1) / n
            values = {"batch_mean": mean, "batch_var": var}
            old = np.longdouble(case.decay)
            state = (old * state[0] + (1 - old) * mean, old * state[1] + (1 - old) * var)
        r = 1 / np.sqrt(var + np.longdouble(case.epsilon))
        xhat = (x - mean[:, None]) * r[:, None]
        dgamma, dbeta = (g * xhat).sum(1), g.sum(1)
        centred = g - (dbeta[:, None] + xhat * dgamma[:, None]) / n if training else g
        p = inputs.parameters
        gamma = np.ones_like(mean) if p.gamma is None else _wide(p.gamma)
        beta = np.zeros_like(mean) if p.beta is None else _wide(p.beta)
        values |= {"y": gamma[:, None] * xhat + beta[:, None], "dx": (gamma * r)[:, None] * centred}
        values |= {"running_mean": state[0], "running_var": state[1]}
    values |= {"dgamma": dgamma} if case.scale else {}
    values |= {"dbeta": dbeta} if case.center else {}
    known = np.abs(mean * r)[np.isfinite(mean * r)]
    return Expected(values=values, n=n, conditioning=1.0 + float(known.max(initial=0.0)))


def _by_channel(case: Case, array: Array) -> Array:
    """The values as (channels, n), extended."""
    axis = case.channel_axes[0]
    return _wide(np.moveaxis(array, axis, 0).reshape(array.shape[axis], case.count(array.shape)))


def _wide(array: Array) -> Array:
    return array.astype(np.float64).astype(np.longdouble)


def _assert_close(
    case: Case, quantity: str, got: Array, expected: Array, context: Expected
) -> None:
    """Within 8 roundings of the accumulation on the quantity's scale, and one of the output."""
    output = quantity in ("y", "dx")
    assert got.dtype == (FORMATS[case.dtype] if output else compute_format(case.dtype)).numpy
    actual = _by_channel(case, got) if output else _wide(got)
    finite = np.isfinite(expected)
    assert actual.shape == expected.shape
    assert np.array_equal(np.isfinite(actual), finite)
    actual, expected = actual[finite], expected[finite]
    scale = np.abs(expected).max(initial=1.0) * context.conditioning
    if quantity in ("dgamma", "dbeta"):
        scale *= max(context.n, 1)
    error = np.abs(actual - expected)
    allowed = 8 * compute_format(case.dtype).unit_roundoff * scale
    rounding = _output_rounding(case.dtype) * np.abs(expected) if output else 0.0
    assert np.all(error <= allowed + rounding), (quantity, float(error.max()))


def _output_rounding(dtype: DType) -> float:
    """Half a unit in the last place; a whole one for bfloat16, which the interpreter truncates."""
    return FORMATS[dtype].unit_roundoff * (2 if dtype is DType.BFLOAT16 else 1)


def _bits(step: Step) -> list[bytes | None]:
    return [None if array is None else array.tobytes() for array in vars(step).values()]
