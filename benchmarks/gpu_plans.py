"""Tell how the CUDA kernels would cut up the shapes that are timed, and the traffic that follows.

    python benchmarks/gpu_plans.py

Needs g++ and no GPU: the choice is a pure function of the call and of the device, and the device is
an H200 as its data sheet describes it. Reads and writes are counted in arrays of x's size; "share"
is the least traffic over this one. Nothing here is a measurement: a second read is taken to find in
L2 what fits into the share of it that ``plan.hpp`` calls usable.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

from gpu_workloads import SHAPES

from bnconform.adapters.gpu_kernel.cuda.library import BuildError, Rung, Target, load
from bnconform.adapters.gpu_kernel.cuda.structures import H200, Call, Plan, Strides

USABLE_L2 = 0.6
_ALIGNED = 4096
_FORMATS = {"float32": (0, 4), "bfloat16": (2, 2)}


def main() -> int:
    """Print one row for each shape, layout, format and direction."""
    try:
        library = load(Target.EMULATED)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        "| shape | layout | format | | rung | bytes of a row | blocks x teams, tiles | held |",
        end="",
    )
    print(" reads + writes | share |\n" + "| --- " * 10 + "|")
    directions = (False, True)
    for shape, last, name, backward in itertools.product(
        SHAPES, (True, False), _FORMATS, directions
    ):
        plan = library.plan(make_call(shape, name, last=last), H200, backward=backward)
        print("| " + " | ".join(row(shape, name, plan, last=last, backward=backward)) + " |")
    return 0


def make_call(shape: tuple[int, int, int, int], name: str, *, last: bool) -> Call:
    """A training call on dense arrays that are nowhere, but aligned."""
    batch, channels, size = shape[0], shape[1], shape[2] * shape[3]
    strides = Strides(channels * size, *((1, channels) if last else (size, 1)))
    call = Call(outer=batch, channels=channels, inner=size, training=1, dtype=_FORMATS[name][0])
    call.x = call.dy = call.y = call.dx = _ALIGNED
    call.x_strides = call.dy_strides = call.y_strides = call.dx_strides = strides
    return call


def row(
    shape: tuple[int, int, int, int], name: str, plan: Plan, *, last: bool, backward: bool
) -> Iterator[str]:
    """The cells of one row."""
    arrays = 2 if backward else 1
    size = _FORMATS[name][1]
    held = plan.held * plan.blocks / plan.units
    tile = plan.units * plan.lanes * plan.vector * size * arrays
    again = max(0.0, 1.0 - held - USABLE_L2 * H200.l2_bytes / tile) if held < 1.0 else 0.0
    # Two kernels go through all tiles in between.
    again = 1.0 if plan.rung == Rung.SPLIT else again
    reads = arrays * (1.0 + again)
    yield str(shape)
    yield "last" if last else "first"
    yield name
    yield "backward" if backward else "forward"
    yield Rung(plan.rung).name.lower()
    yield str(plan.lanes * plan.vector * size if last else shape[2] * shape[3] * size)
    yield f"{plan.blocks} x {plan.teams}, {plan.tiles}"
    yield f"{min(held, 1.0):.0%}"
    yield f"{reads:.2f} + 1"
    yield f"{(arrays + 1) / (reads + 1):.0%}"


if __name__ == "__main__":
    raise SystemExit(main())
