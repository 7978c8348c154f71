"""Which rung of the ladder a call takes: a pure function, asked for devices that are not here."""

from __future__ import annotations

from typing import Any

import pytest

from bnconform.adapters.gpu_kernel.cuda import library
from bnconform.adapters.gpu_kernel.cuda.library import BuildError, CallError, Library, Rung, Target
from bnconform.adapters.gpu_kernel.cuda.structures import H200, Call, Device, Plan, Strides

LARGE = H200
NO_CLUSTERS = Device(
    l2_bytes=40 * 2**20,
    multiprocessors=108,
    threads=512,
    shared_per_block=163 * 2**10,
    shared_per_multiprocessor=164 * 2**10,
    shared_reserved=2**10,
    largest_cluster=1,
    cooperative=1,
    architecture=80,
)
CHOICES: dict[str, tuple[tuple[int, int, int, int], dict[str, Any], Rung]] = {
    "many small channels: one block each": ((8, 2048, 7, 7), {}, Rung.BLOCK),
    "few channels that one block could hold: spread": ((32, 64, 28, 28), {}, Rung.CLUSTER),
    "0.8 MB a channel: a cluster": ((64, 256, 56, 56), {}, Rung.CLUSTER),
    "3.2 MB a channel: more than two blocks a multiprocessor in a cluster of eight": (
        (256, 256, 56, 56),
        {},
        Rung.PERSISTENT,
    ),
    "12.8 MB a channel": ((256, 64, 112, 112), {}, Rung.PERSISTENT),
    "103 MB a channel: a part on chip, a part in L2": ((512, 8, 224, 224), {}, Rung.PERSISTENT),
    "411 MB a channel: next to nothing would be held": ((2048, 8, 224, 224), {}, Rung.SPLIT),
    "103 MB a channel, loaded one value at a time": ((512, 8, 225, 223), {}, Rung.SPLIT),
    "running statistics: nothing has to be held": ((8, 2048, 7, 7), {"training": 0}, Rung.SPLIT),
    "channels last, few of them, in one grid": ((32, 64, 28, 28), {"last": True}, Rung.PERSISTENT),
    "channels last, many of them, small": ((8, 2048, 7, 7), {"last": True}, Rung.BLOCK),
    "channels last, 64 bytes of them 206 MB: a third is held": (
        (256, 64, 112, 112),
        {"last": True},
        Rung.PERSISTENT,
    ),
    "channels last, 64 bytes of them 411 MB": ((512, 64, 112, 112), {"last": True}, Rung.SPLIT),
}
SIZES = [
    (32, 64, 28, 28),
    (32, 64, 56, 56),
    (64, 256, 56, 56),
    (256, 256, 56, 56),
    (256, 64, 112, 112),
    (8, 2048, 7, 7),
    (1, 5, 1, 1),
    (2, 3, 640, 480),
]


@pytest.fixture(scope="module")
def ladder() -> Library:
    """The emulated library: the choice is the same code in both builds."""
    try:
        return library.load(Target.EMULATED)
    except BuildError as error:
        pytest.skip(str(error))


def make_call(
    shape: tuple[int, int, int, int],
    *,
    last: bool = False,
    half: bool = False,
    training: int = 1,
    **changes: Any,
) -> Call:
    """A call on arrays of that shape that are nowhere: their addresses only have to be aligned."""
    batch, channels, size = shape[0], shape[1], shape[2] * shape[3]
    first = Strides(channels * size, size, 1)
    strides = Strides(channels * size, 1, channels) if last else first
    call = Call(x=4096, dy=4096, y=4096, dx=4096, outer=batch, channels=channels, inner=size)
    call.x_strides = call.dy_strides = call.y_strides = call.dx_strides = strides
    call.dtype, call.training = (2 if half else 0), training
    for name, value in changes.items():
        setattr(call, name, value)
    return call


@pytest.mark.parametrize("name", CHOICES)
def test_a_call_takes_the_rung_that_its_size_asks_for(ladder: Library, name: str) -> None:
    """On a device with clusters, for float32."""
    shape, options, rung = CHOICES[name]
    assert ladder.plan(make_call(shape, **options), LARGE, backward=False).rung == rung


def test_without_clusters_none_is_chosen(ladder: Library) -> None:
    """What a cluster would hold, a team of a persistent grid holds."""
    plan = ladder.plan(make_call((64, 256, 56, 56)), NO_CLUSTERS, backward=False)
    assert (plan.rung, plan.held, plan.bulk) == (Rung.PERSISTENT, -(-plan.units // plan.blocks), 0)


def test_without_clusters_none_can_be_forced(ladder: Library) -> None:
    """The error names the rung."""
    call = make_call((64, 256, 56, 56), rung=Rung.CLUSTER)
    with pytest.raises(CallError, match="cannot take the call on rung 2"):
        ladder.plan(call, NO_CLUSTERS, backward=False)


@pytest.mark.parametrize(
    ("shape", "last", "backward", "row", "share"),
    [
        pytest.param((256, 256, 56, 56), True, False, 64, 0.585, id="the rest in L2"),
        pytest.param((256, 256, 56, 56), True, True, 64, 0.29, id="x and dy, two thirds kept"),
        pytest.param((256, 64, 112, 112), True, False, 64, 0.15, id="a third kept"),
        pytest.param((512, 8, 224, 224), False, False, 16, 0.30, id="rows, two thirds kept"),
    ],
)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_what_does_not_fit_is_held_in_part(
    ladder: Library,
    shape: tuple[int, int, int, int],
    row: int,
    share: float,
    *,
    last: bool,
    backward: bool,
    half: bool,
) -> None:
    """All of the device is one team, and of channels last no less than 64 bytes go together."""
    plan = ladder.plan(make_call(shape, last=last, half=half), LARGE, backward=backward)
    held = plan.held * plan.blocks / plan.units
    expected = share * 2 if half and not last else share
    assert (plan.rung, plan.teams, plan.blocks) == (Rung.PERSISTENT, 1, 264)
    assert plan.lanes * 16 == row
    assert held == pytest.approx(expected, abs=0.01)


def test_a_part_is_held_only_where_that_saves_a_quarter_of_the_second_read(
    ladder: Library,
) -> None:
    """What L2 keeps counts as saved; below, two kernels with wider tiles are as good."""
    found = []
    for batch in (300, 400):
        call = make_call((batch, 64, 112, 112), last=True)
        found.append(ladder.plan(call, LARGE, backward=False).rung)
    assert found == [Rung.PERSISTENT, Rung.SPLIT]


def test_a_persistent_grid_reads_from_l2_where_told(ladder: Library) -> None:
    """The flag keeps it from shared memory, and two teams fit L2."""
    call = make_call((256, 64, 112, 112), flags=library.NO_CACHE, rung=Rung.PERSISTENT)
    plan = ladder.plan(call, LARGE, backward=False)
    assert (plan.held, plan.teams, plan.blocks) == (0, 2, 132)


def test_bulk_copies_are_for_rows_that_are_long_and_aligned(ladder: Library) -> None:
    """Not for rows of 7 * 7 values, not for channels last, not where they are switched off."""
    long = make_call((64, 256, 56, 56))
    short = make_call((64, 256, 4, 4))
    last = make_call((64, 256, 56, 56), last=True)
    off = make_call((64, 256, 56, 56), flags=library.NO_BULK)
    found = [ladder.plan(call, LARGE, backward=False).bulk for call in (long, short, last, off)]
    assert found == [1, 0, 0, 0]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_a_forced_width_of_a_tile_holds(ladder: Library, lanes: int) -> None:
    """In channels last every rung that can take the call at that width keeps to it."""
    for rung in (0, *Rung):
        call = make_call((64, 256, 56, 56), last=True, lanes=lanes, rung=rung)
        try:
            assert ladder.plan(call, LARGE, backward=False).lanes == lanes
        except CallError:
            assert rung in (Rung.BLOCK, Rung.CLUSTER)


@pytest.mark.parametrize(
    ("changes", "vector"),
    [
        pytest.param({}, 4, id="16 bytes at a time"),
        pytest.param({"x": 4100}, 1, id="x begins off 16 bytes"),
        pytest.param({"y": 4100}, 1, id="y begins off 16 bytes"),
        pytest.param({"x_strides": Strides(4001, 16, 1)}, 1, id="samples begin off 16 bytes"),
        pytest.param({"x_strides": Strides(8000, 32, 2)}, 1, id="gaps between values"),
        pytest.param({"inner": 15}, 1, id="rows of an odd length"),
    ],
)
def test_loads_are_wide_only_where_all_are_aligned(
    ladder: Library, changes: dict[str, Any], vector: int
) -> None:
    """One array that is not makes all accesses single."""
    plan = ladder.plan(make_call((64, 250, 4, 4), **changes), LARGE, backward=False)
    assert plan.vector == vector


@pytest.mark.parametrize("device", [LARGE, NO_CLUSTERS], ids=["clusters", "no clusters"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_a_plan_is_within_the_device(
    ladder: Library, shape: tuple[int, int, int, int], *, backward: bool, device: Device
) -> None:
    """Shared memory, resident blocks, and a thread for each sum of a tile: for every layout."""
    for last in (False, True):
        for half in (False, True):
            for rung in (0, *Rung):
                call = make_call(shape, last=last, half=half, rung=rung)
                try:
                    plan = ladder.plan(call, device, backward=backward)
                except CallError:
                    assert rung in (Rung.BLOCK, Rung.CLUSTER)
                    continue
                assert rung in (0, plan.rung)
                _assert_within(plan, call, device)


def _assert_within(plan: Plan, call: Call, device: Device) -> None:
    channels = plan.lanes * (plan.vector if plan.columns else 1)
    assert plan.threads % 32 == 0
    assert 2 * channels <= plan.threads <= device.threads
    assert plan.tiles * channels >= call.channels > (plan.tiles - 1) * channels
    assert plan.shared_bytes <= device.shared_per_block
    assert plan.units * plan.vector in {
        call.outer * call.inner,
        call.outer * call.inner * plan.vector,
    }
    if plan.rung == Rung.CLUSTER:
        assert 2 <= plan.blocks <= device.largest_cluster
    if plan.rung == Rung.PERSISTENT:
        assert 0 <= plan.held <= -(-plan.units // plan.blocks)
        resident = 2 if plan.teams * plan.blocks > device.multiprocessors else 1
        assert plan.teams * plan.blocks <= resident * device.multiprocessors
        used = resident * (plan.shared_bytes + device.shared_reserved)
        assert used <= device.shared_per_multiprocessor


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"dtype": 3}, "dtype must be 0, 1 or 2, got 3", id="format"),
        pytest.param({"rung": 5}, "rung must be 0 to 4, got 5", id="rung"),
        pytest.param({"blocks": 2000}, "blocks must be 0 to 1024, got 2000", id="blocks"),
        pytest.param({"lanes": 33}, "lanes must be 0 to 32, got 33", id="lanes"),
        pytest.param({"outer": -1}, r"sizes must be 0 to 2\^30", id="a negative size"),
        pytest.param({"outer": 2**30}, r"at most 2\^30 values per channel", id="too many values"),
        pytest.param({"outer": 2**40, "inner": 2**40}, r"0 to 2\^30", id="sizes without a product"),
        pytest.param({"outer": 0, "inner": 2**32}, r"0 to 2\^30", id="rows of 0 in 32 bits"),
        pytest.param({"outer": 0}, "training needs at least one value", id="no values"),
    ],
)
def test_a_call_that_cannot_be_is_refused(
    ladder: Library, changes: dict[str, Any], message: str
) -> None:
    """The library checks what its caller may get wrong, and says what would be right."""
    with pytest.raises(CallError, match=message):
        ladder.plan(make_call((4, 3, 2, 2), **changes), LARGE, backward=False)


def test_a_grid_that_cannot_be_counted_is_refused(ladder: Library) -> None:
    """2^32 blocks, which 32 bits take for none: nothing would be written, and nothing said."""
    call = make_call((4, 2**22, 2, 2), rung=Rung.SPLIT, blocks=2**10, workspace=4096)
    with pytest.raises(CallError, match="a grid of 4294967296 blocks is too large"):
        ladder.forward(call)
