"""The CUDA kernels, emulated on the CPU, against the specification; and what the emulation finds.

The source is compiled by g++ once for all tests, and once more for every bug that is planted in a
copy of it.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bnconform.adapters.gpu_kernel.cuda import library
from bnconform.adapters.gpu_kernel.cuda.library import BuildError, CallError, Library, Rung, Target
from bnconform.adapters.gpu_kernel.cuda_adapter import CudaKernel, CudaKernelEmulated
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Answer, Answered
from bnconform.conformance.engine.judging import judged_case
from bnconform.conformance.formats import DType
from bnconform.conformance.verdict import Conforms

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
_LAST = {"layout": Layout.CHANNELS_LAST, "upstream_layout": Layout.CHANNELS_LAST}


def _case(*shape: int, **changes: Any) -> Case:
    return replace(_BASE, **{"shape": shape, "last_batch": shape[0], **changes})


CASES = {
    "rows of 16-byte loads": _case(4, 3, 8, 8),
    "rows long enough for bulk copies": _case(4, 3, 16, 16),
    "bulk copies cut where a block's range begins and ends": _case(5, 3, 9, 20),
    "bulk copies into a cache that was read before": _case(2, 16, 8, 16),
    "rows that start off 16 bytes": _case(7, 3, 5, 11),
    "rows of one load, more than a thread takes at once": _case(300, 2, 4),
    "columns of 16-byte loads": _case(4, 8, 3, 5, **_LAST),
    "columns, the last tile of channels not full": _case(2, 40, 3, 3, **_LAST),
    "columns of single values, fewer than lanes": _case(4, 5, 3, 3, **_LAST),
    "a matrix, its last tile not full": _case(5, 70),
    "a matrix of two channels and many values": _case(300, 2),
    "more tiles than teams": _case(2, 40, 4, 4),
    "one channel": _case(3, 1, 7),
    "one value per channel": _case(1, 5),
    "fewer values than blocks share them": _case(2, 3),
    "a vector of channels": _case(6, feature_axes=(0,)),
    "feature axis first": _case(6, 4, 3, feature_axes=(0,)),
    "feature axis last": _case(6, 4, 3, feature_axes=(-1,)),
    "feature axis amid five": _case(2, 3, 4, 2, 3, feature_axes=(2,)),
    "gaps in memory": _case(4, 6, 5, 3, layout=Layout.STRIDED),
    "dy laid out otherwise than x": _case(
        4, 8, 4, 4, layout=Layout.CONTIGUOUS, upstream_layout=Layout.CHANNELS_LAST
    ),
    "float16 rows": _case(4, 3, 8, 8, dtype=DType.FLOAT16),
    "float16 columns": _case(4, 16, 3, 5, dtype=DType.FLOAT16, **_LAST),
    "float16, single values": _case(7, 3, 5, 11, dtype=DType.FLOAT16),
    "bfloat16 rows": _case(4, 3, 16, 32, dtype=DType.BFLOAT16),
    "bfloat16 columns": _case(4, 24, 3, 5, dtype=DType.BFLOAT16, **_LAST),
    "bfloat16 with gaps": _case(7, 3, 5, 11, dtype=DType.BFLOAT16, layout=Layout.STRIDED),
    "no gamma": _case(4, 3, 5, scale=False),
    "no beta": _case(4, 3, 5, center=False),
    "neither gamma nor beta": _case(4, 3, 5, scale=False, center=False),
    "running statistics used": _case(7, 3, 5, 11, mode=Mode.INFERENCE, decay=None),
    "an empty batch, by running statistics": _case(0, 3, 2, mode=Mode.INFERENCE),
    "no channels": _case(4, 0, 3),
    "three steps, the last one short": _case(4, 3, 5, steps=3, last_batch=1),
    "a mean of 1000 deviations: one pass would fail": _case(
        7, 3, 5, 12, fill=Fill(kind=FillKind.OFFSET, seed=5, offset=1000.0)
    ),
    "a NaN stays in its channel": _case(7, 3, 5, 11, fill=Fill(kind=FillKind.NAN, seed=5)),
    "an infinity": _case(7, 3, 5, 11, fill=Fill(kind=FillKind.INF, seed=5)),
}


# Tiles larger than the emulated device's L2 and than what two of its blocks hold.
LARGE = {
    "rows": _case(9, 2, 32, 36),
    "rows, a mean of 1000 deviations": _case(
        9, 2, 32, 36, fill=Fill(kind=FillKind.OFFSET, seed=5, offset=1000.0)
    ),
    "rows of float16": _case(10, 1, 32, 66, dtype=DType.FLOAT16),
    "columns, the last tile not full": _case(10, 36, 8, 8, **_LAST),
    "columns of bfloat16": _case(13, 16, 10, 10, dtype=DType.BFLOAT16, **_LAST),
    "single values, which are read twice": _case(9, 1, 33, 35),
    "running statistics": _case(9, 2, 32, 36, mode=Mode.INFERENCE, decay=None),
}


class Way(NamedTuple):
    """What is forced on the library; the defaults leave all to it."""

    rung: Rung | None = None
    blocks: int = 0
    flags: int = 0


WAYS = {
    "as chosen": Way(),
    "one block": Way(Rung.BLOCK),
    "one block, without bulk copies": Way(Rung.BLOCK, flags=library.NO_BULK),
    "a cluster": Way(Rung.CLUSTER),
    "a cluster of four": Way(Rung.CLUSTER, blocks=4),
    "a persistent grid": Way(Rung.PERSISTENT),
    "a persistent grid that reads twice": Way(Rung.PERSISTENT, flags=library.NO_CACHE),
    "two kernels": Way(Rung.SPLIT),
    "two kernels, each channel in three parts": Way(Rung.SPLIT, blocks=3),
}


IN_PART = {
    "in part": Way(Rung.PERSISTENT, blocks=2),
    "in part, without bulk copies": Way(Rung.PERSISTENT, blocks=2, flags=library.NO_BULK),
    "in part, by one block": Way(Rung.PERSISTENT, blocks=1),
}


class Bug(NamedTuple):
    """One defect: in which file, which text becomes which, and the calls that shall show it."""

    file: str
    old: str
    new: str
    case: str
    way: str
    shows: str


BUGS = {
    "a dropped barrier": Bug(
        file="team.cuh",
        old="v[j];\n  }\n  __syncthreads();\n}",
        new="v[j];\n  }\n}",
        case="rows of 16-byte loads",
        way="one block",
        shows="a wrong result",
    ),
    "an early return before a barrier": Bug(
        file="forward.cuh",
        old="  unsigned turn = 0;\n",
        new="  unsigned turn = 0;\n  if (me.channel(me.first_tile) >= w.channels) return;\n",
        case="columns of single values, fewer than lanes",
        way="one block",
        shows="barrier divergence",
    ),
    "a wrong tail": Bug(
        file="forward.cuh",
        old="    for (; left; --left, at += w.slots * w.lanes) {\n      const Raw raw = load_once",
        new="    for (; left > 1; --left, at += w.slots * w.lanes) {\n"
        "      const Raw raw = load_once",
        case="rows that start off 16 bytes",
        way="one block",
        shows="a wrong result",
    ),
    "a missing merge of blocks": Bug(
        file="forward.cuh",
        old="2 * c + 1) + count * (d * d);",
        new="2 * c + 1);",
        case="rows of 16-byte loads",
        way="two kernels, each channel in three parts",
        shows="a wrong result",
    ),
    "a missing merge of threads": Bug(
        file="forward.cuh",
        old="        q[j] += count * (d * d);\n",
        new="",
        case="rows that start off 16 bytes",
        way="two kernels, each channel in three parts",
        shows="a wrong result",
    ),
    "a bulk copy that nobody waits for": Bug(
        file="forward.cuh",
        old="      BNC_ARRIVAL_WAIT(me.shared.arrivals + stage, turn % 2);\n",
        new="",
        case="rows long enough for bulk copies",
        way="one block",
        shows="a wrong result",
    ),
    "a cache that is filled anew while it is read": Bug(
        file="forward.cuh",
        old="BNC_CLUSTER_WAIT();\n    __syncthreads();\n",
        new="BNC_CLUSTER_WAIT();\n",
        case="bulk copies into a cache that was read before",
        way="a persistent grid",
        shows="a wrong result",
    ),
    "a cluster that does not wait for its partial sums": Bug(
        file="team.cuh",
        old="    BNC_CLUSTER_ARRIVE();\n    BNC_CLUSTER_WAIT();\n",
        new="    __syncthreads();\n",
        case="rows of 16-byte loads",
        way="a cluster",
        shows="a wrong result",
    ),
    "a block that ends while its cluster still reads from it": Bug(
        file="forward.cuh",
        old="    if (w.exchange == CLUSTER) BNC_CLUSTER_WAIT();\n",
        new="",
        case="rows of 16-byte loads",
        way="a cluster",
        shows="a wrong result",
    ),
    "a grid that does not wait for its partial sums": Bug(
        file="team.cuh",
        old="      BNC_AWAIT(",
        new="      (void)(",
        case="rows of 16-byte loads",
        way="a persistent grid",
        shows="a wrong result",
    ),
    "a block that its team waits for and that never comes": Bug(
        file="team.cuh",
        old="(turn + 1) * w.blocks);",
        new="(turn + 1) * w.blocks + 1);",
        case="rows of 16-byte loads",
        way="a persistent grid",
        shows="the barrier of a grid",
    ),
    "a dropped barrier between what is held and what is read again": Bug(
        file="forward.cuh",
        old="    __syncthreads();\n    one_pass(w, me, tile, other, others);",
        new="    one_pass(w, me, tile, other, others);",
        case="columns, the last tile not full",
        way="in part",
        shows="a wrong result",
    ),
    "a missing merge of what is held and what is read again": Bug(
        file="forward.cuh",
        old="      sum += other;\n",
        new="",
        case="rows",
        way="in part",
        shows="a wrong result",
    ),
    "a unit that is neither held nor read again": Bug(
        file="team.cuh",
        old="unsigned begin,\n                  unsigned end) {\n    first = begin + me.slot;",
        new="unsigned begin,\n                  unsigned end) {\n"
        "    first = begin + me.slot + (begin > 0 && begin == me.kept);",
        case="rows",
        way="in part",
        shows="a wrong result",
    ),
    "dy held where x is": Bug(
        file="backward.cuh",
        old="    Raw *g_cache = x_cache + w.held * w.lanes;\n",
        new="    Raw *g_cache = x_cache;\n",
        case="columns of bfloat16",
        way="in part",
        shows="a wrong result",
    ),
    "a write past shared memory": Bug(
        file="batch_norm.cu",
        old="how.shared = unsigned(plan.shared_bytes);",
        new="how.shared = unsigned(plan.shared_bytes) - 128;",
        case="rows that start off 16 bytes",
        way="two kernels, each channel in three parts",
        shows="past its",
    ),
}


def _needs_compiler() -> None:
    pytest.importorskip("torch")
    try:
        library.find_compiler(Target.EMULATED)
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def subject() -> Iterator[CudaKernelEmulated]:
    """The emulated subject; its scheduler's seed is 0 again afterwards."""
    _needs_compiler()
    adapter = CudaKernelEmulated()
    yield adapter
    adapter.launcher.library.seed(0)


def _ask(adapter: CudaKernel, case: Case, way: Way) -> Answered:
    """The case answered in one way; the adapter's launcher is as before afterwards."""
    launcher = adapter.launcher
    launcher.rung, launcher.blocks, launcher.flags = way
    inputs = make_inputs(case)
    kept = make_inputs(case)
    layer = adapter.build(case, inputs.parameters)
    try:
        if case.mode is Mode.INFERENCE:
            only = layer.infer(inputs.steps[0].x, inputs.steps[0].dy)
            answer = Answer(steps=(only,), inference=None)
        else:
            steps = tuple(layer.train(call.x, call.dy) for call in inputs.steps)
            last = layer.infer(inputs.inference.x, inputs.inference.dy)
            answer = Answer(steps=steps, inference=last)
    finally:
        launcher.rung, launcher.blocks, launcher.flags = Way()
    same = all(
        np.array_equal(one.x, two.x, equal_nan=True) and np.array_equal(one.dy, two.dy)
        for one, two in zip(inputs.steps, kept.steps, strict=True)
    )
    mutated = () if same else ("x or dy",)
    return Answered(answer=answer, seconds=0.0, unrepeatable=None, mutated=mutated, output="")


def _failures(case: Case, answered: Answered) -> list[str]:
    """What the judge has against an answer, with the bounds of every subject's."""
    judged = judged_case(case, answered, CudaKernelEmulated)
    assert judged.judgements
    return [
        f"{each.clause} {each.quantity}: {each.verdict}"
        for each in judged.judgements
        if not isinstance(each.verdict, Conforms)
    ]


def _bits(answered: Answered) -> list[bytes | None]:
    last = answered.answer.inference
    calls = [*answered.answer.steps, *([] if last is None else [last])]
    return [None if a is None else a.tobytes() for step in calls for a in vars(step).values()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_every_quantity_is_within_its_bound_on_every_rung(
    subject: CudaKernelEmulated, name: str, way: str
) -> None:
    """The judge, which knows nothing of the kernel, finds nothing against any answer."""
    case = CASES[name]
    assert _failures(case, _ask(subject, case, WAYS[way])) == []


@pytest.mark.parametrize("way", IN_PART)
@pytest.mark.parametrize("name", LARGE)
def test_every_quantity_is_within_its_bound_where_a_part_is_held(
    subject: CudaKernelEmulated, name: str, way: str
) -> None:
    """What shared memory has no room for is read again, and the two parts make one result."""
    case = LARGE[name]
    assert _failures(case, _ask(subject, case, IN_PART[way])) == []


def test_a_part_that_is_read_again_may_have_another_mean(subject: CudaKernelEmulated) -> None:
    """Values that rise all along a channel: most of their variance lies between the two parts.

    Random values have parts of the same mean, up to what the bounds allow anyway.
    """
    torch = pytest.importorskip("torch")
    x = torch.arange(9.0 * 32 * 36).reshape(9, 1, 32, 36)
    ones, zeros = torch.ones(1), torch.zeros(1)
    launcher = type(subject.launcher)(subject.launcher.library, rung=Rung.PERSISTENT, blocks=2)
    settings = {"axis": 1, "epsilon": 0.0, "decay": 0.5, "training": True}
    found = launcher.forward(x, None, None, zeros, ones, **settings)
    expected = x.double().var(correction=0)
    assert abs(float(found.var) / float(expected) - 1.0) < 2.0**-20


@pytest.mark.parametrize("name", ["rows", "columns, the last tile not full"])
def test_the_order_of_threads_changes_no_bit_where_a_part_is_held(
    subject: CudaKernelEmulated, name: str
) -> None:
    """Four seeds of the scheduler give the same bits."""
    seen = set()
    for seed in range(4):
        subject.launcher.library.seed(seed)
        seen.add(tuple(_bits(_ask(subject, LARGE[name], IN_PART["in part"]))))
    assert len(seen) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["more tiles than teams", "bulk copies into a cache that was read before"]
)
def test_the_order_of_threads_changes_no_bit(
    subject: CudaKernelEmulated, name: str, way: str
) -> None:
    """Eight seeds of the scheduler give the same bits."""
    seen = set()
    for seed in range(8):
        subject.launcher.library.seed(seed)
        seen.add(tuple(_bits(_ask(subject, CASES[name], WAYS[way]))))
    assert len(seen) == 1


def test_stacks_switched_by_the_system_give_the_same_bits(
    subject: CudaKernelEmulated, tmp_path: Path
) -> None:
    """The portable switch of stacks, which other processors use, changes no result."""
    other = _built(tmp_path, library.SOURCES, "-DBNC_UCONTEXT")
    for name in ("more tiles than teams", "bfloat16 columns"):
        first, second = (_ask(a, CASES[name], Way(Rung.PERSISTENT)) for a in (subject, other))
        assert _bits(first) == _bits(second)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    """A kernel with the defect fails its case: by the judge, by the seeds, or by the emulation."""
    _needs_compiler()
    bug = BUGS[name]
    sources = tmp_path / "sources"
    shutil.copytree(library.SOURCES, sources)
    path = sources / bug.file
    text = path.read_text("utf-8")
    assert bug.old in text
    path.write_text(text.replace(bug.old, bug.new), "utf-8")
    adapter = _built(tmp_path, sources)
    case, way = (CASES | LARGE)[bug.case], (WAYS | IN_PART)[bug.way]
    seen: list[str] = []
    for seed in range(16):
        seen += _symptoms(adapter, case, way, seed)
        if any(bug.shows in symptom for symptom in seen):
            return
    pytest.fail(f"under no seed {bug.shows}, but {set(seen)}")


def _built(folder: Path, sources: Path, *flags: str) -> CudaKernelEmulated:
    """The emulated subject from other sources; not optimized, which compiles faster."""
    adapter = CudaKernelEmulated()
    path = library.build(Target.EMULATED, sources=sources, cache=folder, flags=("-O0", *flags))
    adapter.launcher = type(adapter.launcher)(Library(path, Target.EMULATED))
    return adapter


def _symptoms(adapter: CudaKernelEmulated, case: Case, way: Way, seed: int) -> list[str]:
    """What is seen under one order of threads."""
    adapter.launcher.library.seed(seed)
    try:
        return ["a wrong result"] if _failures(case, _ask(adapter, case, way)) else []
    except CallError as error:
        return [str(error)]


def test_divergence_is_reported_with_who_waits_where(tmp_path: Path) -> None:
    """The message names the block, the threads, the barrier and its line."""
    _needs_compiler()
    sources = tmp_path / "sources"
    shutil.copytree(library.SOURCES, sources)
    bug = BUGS["an early return before a barrier"]
    path = sources / bug.file
    path.write_text(path.read_text("utf-8").replace(bug.old, bug.new), "utf-8")
    adapter = _built(tmp_path, sources)
    with pytest.raises(CallError, match=r"block \d+: threads .* have returned") as caught:
        _ask(adapter, CASES[bug.case], WAYS[bug.way])
    assert "wait at __shfl_xor_sync in line" in str(caught.value)


def test_a_forced_rung_that_is_out_of_reach_is_refused(subject: CudaKernelEmulated) -> None:
    """A slab that no block's shared memory holds cannot be forced into it; alone, it is taken."""
    case = _case(8, 2, 32, 32)
    with pytest.raises(CallError, match="this device cannot take the call on rung 1"):
        _ask(subject, case, Way(Rung.BLOCK))
    assert _failures(case, _ask(subject, case, Way())) == []


def test_a_grid_that_the_device_does_not_hold_at_once_is_refused(
    subject: CudaKernelEmulated,
) -> None:
    """It would wait for blocks that cannot start; where no rung is forced, two kernels take it."""
    case = _case(8, 2, 32, 32)
    with pytest.raises(CallError, match="holds 6 such blocks at once, not 100"):
        _ask(subject, case, Way(Rung.PERSISTENT, blocks=50))
    assert _failures(case, _ask(subject, case, Way(blocks=50))) == []


def test_the_device_says_that_it_is_an_emulation(subject: CudaKernelEmulated) -> None:
    """No report can take its answers for those of a GPU."""
    assert subject.device == "cpu (CPU emulation of the same source)"


def test_on_a_gpu_every_case_is_within_its_bound_on_every_rung() -> None:
    """The emulated cases again, three times each: the same bits, and nothing against them."""
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no GPU here")
    adapter = CudaKernel()
    found = []
    for (name, case), (way, forced) in itertools.product(CASES.items(), WAYS.items()):
        try:
            answers = [_ask(adapter, case, forced) for _ in range(3)]
        except CallError as error:
            # Older devices have no clusters; nothing else is out of reach of cases this small.
            if "cannot take the call on rung 2" not in str(error):
                found.append(f"{name}, {way}: {error}")
            continue
        found += [f"{name}, {way}: {failure}" for failure in _failures(case, answers[0])]
        if len({tuple(_bits(answer)) for answer in answers}) > 1:
            found.append(f"{name}, {way}: other bits")
    assert found == []
