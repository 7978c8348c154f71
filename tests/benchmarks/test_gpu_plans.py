"""What the predictions of the CUDA kernels count, and which calls they say read twice."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from bnconform.adapters.gpu_kernel.cuda import library
from bnconform.adapters.gpu_kernel.cuda.structures import Plan

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("gpu_plans")


@pytest.fixture
def rows(script: Any, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """What it prints, cell by cell, without the heading."""
    if script.main() == 2:
        pytest.skip(capsys.readouterr().err)
    lines = capsys.readouterr().out.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_shape_has_a_row_for_each_layout_format_and_direction(
    script: Any, rows: list[list[str]]
) -> None:
    """48 rows, no two of the same call."""
    calls = {tuple(row[:4]) for row in rows}
    assert len(rows) == len(calls) == len(script.SHAPES) * 2 * 2 * 2


def test_only_channels_last_beyond_the_device_reads_twice(rows: list[list[str]]) -> None:
    """Which rows promise less than all of the floor, and what they promise."""
    less = {(*row[:2], row[3], row[9]) for row in rows if row[9] != "100%" and row[2] == "float32"}
    assert less == {
        ("(256, 256, 56, 56)", "last", "backward", "82%"),
        ("(256, 64, 112, 112)", "last", "forward", "75%"),
        ("(256, 64, 112, 112)", "last", "backward", "60%"),
    }


@pytest.mark.parametrize(
    ("plan", "backward", "expected"),
    [
        pytest.param({"rung": 1, "held": 100}, False, ["100%", "1.00 + 1", "100%"], id="held"),
        pytest.param({"rung": 4, "held": 0}, False, ["0%", "2.00 + 1", "67%"], id="read twice"),
        pytest.param({"rung": 4, "held": 0}, True, ["0%", "4.00 + 1", "60%"], id="x and dy twice"),
        # 64 bytes a unit: 60 % of an L2 of 60 MiB keeps 589,824 units of a forward pass.
        pytest.param(
            {"rung": 3, "held": 100_000, "units": 1_000_000},
            False,
            ["10%", "1.31 + 1", "87%"],
            id="in part",
        ),
        pytest.param(
            {"rung": 3, "held": 500_000, "units": 1_000_000},
            False,
            ["50%", "1.00 + 1", "100%"],
            id="in part, the rest in L2",
        ),
    ],
)
def test_traffic_follows_from_what_is_held(
    script: Any, plan: dict[str, int], expected: list[str], *, backward: bool
) -> None:
    """A tile of 4 loads of float32, by one block."""
    full = Plan(**{"units": 100, "lanes": 4, "vector": 4, "blocks": 1, "teams": 1, **plan})
    cells = list(script.row((1, 16, 1, 1), "float32", full, last=True, backward=backward))
    assert cells[-3:] == expected


def test_the_usable_share_of_l2_is_the_planners(script: Any) -> None:
    """The number is written in the C++ source and here."""
    source = (library.SOURCES / "plan.hpp").read_text("utf-8")
    found = re.search(r"USABLE_L2 = ([\d.]+);", source)
    assert found is not None
    assert float(found[1]) == script.USABLE_L2
