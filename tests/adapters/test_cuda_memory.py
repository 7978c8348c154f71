"""What the CUDA kernels write through their C interface: all of every output, nothing beside."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from bnconform.adapters.gpu_kernel.cuda import library
from bnconform.adapters.gpu_kernel.cuda.library import BuildError, CallError, Library, Rung, Target
from bnconform.adapters.gpu_kernel.cuda.structures import Call, Strides

Bytes: TypeAlias = npt.NDArray[np.uint8]

GUARD = 16384
UNWRITTEN = 0x7F  # four of these bytes are 3.4e38 in float32, which no output here comes near
SHAPES = {
    "rows with bulk copies": (5, 3, 180),
    "rows of wide loads": (4, 40, 16),
    "rows that are off 16 bytes": (7, 3, 55),
    "one value per channel": (1, 5, 1),
}
ARRAYS = ("y", "dx", "mean", "var", "r", "running_mean", "running_var", "dgamma", "dbeta")


class Guarded:
    """Float32 values in memory between guards, 16-byte aligned."""

    def __init__(self, count: int) -> None:
        """Nothing written yet."""
        self.memory: Bytes = np.full(4 * count + 2 * GUARD + 16, UNWRITTEN, np.uint8)
        self.begin = GUARD + (-(self.memory.ctypes.data + GUARD)) % 16
        self.values = self.memory[self.begin : self.begin + 4 * count].view(np.float32)

    @property
    def address(self) -> int:
        """Of the first value."""
        return int(self.memory.ctypes.data) + self.begin

    @property
    def intact(self) -> bool:
        """Whether nothing beside the values was written."""
        end = self.begin + 4 * self.values.size
        beside = np.concatenate([self.memory[: self.begin], self.memory[end:]])
        return bool((beside == UNWRITTEN).all())


@pytest.fixture(scope="module")
def emulated() -> Library:
    """The emulated library."""
    try:
        return library.load(Target.EMULATED)
    except BuildError as error:
        pytest.skip(str(error))


def _call(shape: tuple[int, int, int], last: bool) -> tuple[Call, dict[str, Guarded]]:  # noqa: FBT001 - a parameter of the test
    outer, channels, inner = shape
    count = outer * channels * inner
    strides = (
        Strides(channels * inner, 1, channels) if last else Strides(channels * inner, inner, 1)
    )
    call = Call(outer=outer, channels=channels, inner=inner, epsilon=1e-5, decay=0.9, training=1)
    call.x_strides = call.dy_strides = call.y_strides = call.dx_strides = strides
    sizes = {"x": count, "dy": count, "y": count, "dx": count}
    arrays = {name: Guarded(sizes.get(name, channels)) for name in ("x", "dy", *ARRAYS)}
    random = np.random.default_rng(5)
    for name in ("x", "dy", "running_mean", "running_var"):
        arrays[name].values[:] = random.normal(size=arrays[name].values.size)
    for name, array in arrays.items():
        setattr(call, name, array.address)
    return call, arrays


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("rung", [0, *Rung], ids=lambda rung: rung.name if rung else "chosen")
@pytest.mark.parametrize("name", SHAPES)
def test_all_of_every_output_is_written_and_nothing_beside(
    emulated: Library, name: str, rung: int, *, last: bool
) -> None:
    """Guards lie around every array and around exactly the workspace that was asked for."""
    call, arrays = _call(SHAPES[name], last)
    call.rung = rung
    _assert_written(emulated, call, arrays)


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        pytest.param((9, 2, 1152), False, id="rows with bulk copies"),
        pytest.param((10, 36, 64), True, id="columns, the last tile not full"),
    ],
)
def test_a_part_that_is_held_and_the_rest_make_the_whole(
    emulated: Library, shape: tuple[int, int, int], *, last: bool
) -> None:
    """Of tiles that two blocks cannot hold, every value is written, and nothing beside."""
    call, arrays = _call(shape, last)
    call.rung, call.blocks = Rung.PERSISTENT, 2
    plan = emulated.plan(call, emulated.device(), backward=False)
    assert 0 < plan.held < plan.units // 2
    _assert_written(emulated, call, arrays)


def _assert_written(emulated: Library, call: Call, arrays: dict[str, Guarded]) -> None:
    """Forward and backward write all that is theirs, and leave x and every guard."""
    before = arrays["x"].values.copy()
    for backward in (False, True):
        size = emulated.workspace(call, backward=backward)
        workspace = Guarded(-(-size // 4))
        call.workspace = workspace.address
        (emulated.backward if backward else emulated.forward)(call)
        assert workspace.intact
    assert np.array_equal(arrays["x"].values, before)
    unwritten = Guarded(1).values[0]
    for key in ARRAYS:
        assert not (arrays[key].values == unwritten).any(), key
    assert [key for key, array in arrays.items() if not array.intact] == []


def test_inference_leaves_the_running_statistics(emulated: Library) -> None:
    """On every rung that is forced, although it may compute the batch's on its way."""
    for rung, last in itertools.product((0, *Rung), (False, True)):
        call, arrays = _call(SHAPES["rows of wide loads"], last)
        arrays["running_var"].values[:] = 1.0
        kept = arrays["running_mean"].values.copy()
        call.training, call.rung = 0, rung
        workspace = Guarded(-(-emulated.workspace(call, backward=False) // 4))
        call.workspace = workspace.address
        emulated.forward(call)
        assert np.array_equal(arrays["running_mean"].values, kept)
        assert (arrays["running_var"].values == 1.0).all()
        assert np.array_equal(arrays["mean"].values, kept)


def test_a_missing_workspace_is_refused(emulated: Library) -> None:
    """Rather than written through a null pointer."""
    call, _ = _call(SHAPES["rows of wide loads"], last=False)
    call.rung, call.blocks = Rung.SPLIT, 2
    with pytest.raises(CallError, match=r"needs the workspace that bnc_workspace\(\) tells"):
        emulated.forward(call)
