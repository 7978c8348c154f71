"""The script for a machine with a GPU: rehearsed on the CPU, and silent where it cannot measure."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
FOUND: dict[str, Any] = {
    "rehearsal": False,
    "machine": {"card": "a card"},
    "parts": [{"part": "measure", "status": "ok", "seconds": 1.0}],
    "errors": [],
    "bits": [],
    "conformance": [],
    "sanitizer": [],
    "compilers": [],
    "measure": [{"copy_bytes_per_second": 4e12}],
}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a rehearsal of all parts writes."""
    # Not by importing it: that ends a process that has imported another framework with an LLVM.
    if importlib.util.find_spec("triton") is None:
        pytest.skip("needs triton")
    out = tmp_path_factory.mktemp("gpu")
    # Not the interpreter's switch, if a test before has set it here.
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rehearse", "--budget", "500", "--out", out],
        capture_output=True,
        text=True,
        env=inherited,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that writes the page."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    yield importlib.import_module("gpu_report")
    for name in ("gpu_report", "gpu_workloads"):
        sys.modules.pop(name, None)


def test_without_a_gpu_it_measures_nothing(tmp_path: Path) -> None:
    """It exits with status 2, prints no figure, writes no file and says why."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no GPU that torch can use: nothing checked, nothing measured\n"
    assert not (tmp_path / "out").exists()


def test_a_part_that_does_not_exist_is_refused() -> None:
    """It names the parts that there are."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rehearse", "--parts", "measure,dance"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no part dance; there are build, errors, measure" in done.stderr


def test_a_rehearsal_reaches_every_part(rehearsed: Path) -> None:
    """No part fails; only tools that are not installed may be missing."""
    found = json.loads((rehearsed / "gpu.json").read_text())
    statuses = {row["part"]: row["status"] for row in found["parts"]}
    assert list(statuses) == [
        "build", "errors", "measure", "conformance", "bits", "sanitizer", "compilers",
    ]  # fmt: skip
    assert all(each == "ok" or each.startswith("not installed") for each in statuses.values())


def test_a_rehearsal_times_every_subject_it_can_have(rehearsed: Path) -> None:
    """Each operation of ours, of PyTorch and of the compilers that are installed has a time."""
    found = json.loads((rehearsed / "gpu.json").read_text())
    rows = [row for part in ("measure", "compilers") for row in found[part] if "ms" in row]
    timed = {row["subject"] for row in rows if row["operation"] == "backward"}
    assert {"triton", "torch native", "torch.compile"} <= timed
    assert all(row["ms"] > 0 for row in rows)


def test_a_rehearsal_finds_our_kernels_right_and_repeatable(rehearsed: Path) -> None:
    """In float32 they are within the allowed error, and runs give the same bits."""
    found = json.loads((rehearsed / "gpu.json").read_text())
    errors = [
        row["error"] for row in found["errors"] if row["dtype"] == "float32" and "error" in row
    ]
    assert errors
    assert max(errors) < 64.0
    assert {row["same"] for row in found["bits"]} == {True}


def test_a_rehearsal_is_called_one(rehearsed: Path) -> None:
    """The page says first that nothing in it is a measurement."""
    page = (rehearsed / "RESULTS-gpu.md").read_text()
    assert "**A rehearsal on the CPU: no figure here is a measurement.**" in page


def test_the_campaign_comes_back_as_complete_run_directories(rehearsed: Path) -> None:
    """The archive has a footer and records for each shard."""
    with tarfile.open(rehearsed / "runs.tar.gz") as archive:
        names = archive.getnames()
    assert {"runs/shard-1/footer.json", "runs/shard-2/footer.json"} <= set(names)
    assert any(name.endswith(".parquet") for name in names)


def test_shares_count_what_an_operation_must_move(report: ModuleType) -> None:
    """Backward moves three arrays: as fast as a copy's two, it takes half as long again."""
    rows = [_row("copy", "copy", 1.0), _row("triton", "backward", 3.0)]
    page = report.page(FOUND | {"measure": [*FOUND["measure"], *rows]})
    # 3 * 1 GB at 4 TB/s are 0.75 ms, a quarter of 3 ms; 1.5 copies are half of it.
    assert "| triton | 3.0000 | 0.0% | 50% | 25% |  | graph |" in page


def test_the_rival_is_the_better_of_pytorch_s_two(report: ModuleType) -> None:
    """Twice as fast as the better one gives 2.00, whatever the other one takes."""
    rows = [
        _row("triton", "forward", 1.0),
        _row("torch native", "forward", 5.0),
        _row("torch cudnn", "forward", 2.0),
    ]
    page = report.page(FOUND | {"measure": [*FOUND["measure"], *rows]})
    assert "| triton | 1.0000 | 0.0% |  | 50% | 2.00 | graph |" in page


def test_what_failed_is_on_the_page(report: ModuleType) -> None:
    """A subject that raised is named with its error and every workload it raised on."""
    where = {"shape": [1, 2, 3, 4], "layout": "NCHW", "dtype": "float32", "bytes": 96}
    rows = [where | {"subject": "jax", "failed": "X|Y"}, where | {"layout": "NHWC"} | {
        "subject": "jax", "failed": "X|Y"}]  # fmt: skip
    page = report.page(FOUND | {"measure": rows})
    assert "| measure | jax | X/Y | 1x2x3x4 NCHW float32, 1x2x3x4 NHWC float32 |" in page


def _row(subject: str, operation: str, ms: float) -> dict[str, Any]:
    return {
        "shape": [8, 8, 8, 8],
        "layout": "NCHW",
        "dtype": "float32",
        "bytes": 10**9,
        "subject": subject,
        "operation": operation,
        "ms": ms,
        "quartiles_ms": [ms, ms],
        "method": "graph",
    }
