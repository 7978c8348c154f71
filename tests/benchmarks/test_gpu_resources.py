"""The compile gate: what it reads off a compiler's output, and what the compiler says today."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_resources.py"
NAME = "_ZN3bnc14forward_kernelINS_7Float32ELi4ELi1ELi1EEEvNS_4WorkE"
LOG = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{name}' for 'sm_90'
ptxas info    : Function properties for {name}
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used 63 registers, used 1 barriers, 536 bytes cmem[0]
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("gpu_resources")


def test_a_kernel_without_spills_fits(script: Any) -> None:
    """Its row has a readable name and the registers alone."""
    (usage,) = script.parse_usage(LOG.format(name=NAME, stack=0, stores=0, loads=0))
    assert usage.fits
    assert script.table({"90": [usage]})[-1] == "| forward, Float32, rows, on chip | 63 |"


@pytest.mark.parametrize(
    ("stack", "stores", "loads"),
    [
        pytest.param(16, 0, 0, id="an array in local memory"),
        pytest.param(0, 8, 0, id="a value that is stored"),
        pytest.param(0, 0, 8, id="a value that is loaded"),
    ],
)
def test_a_kernel_that_spills_does_not_fit(
    script: Any, stack: int, stores: int, loads: int
) -> None:
    """The row says so, too."""
    log = LOG.format(name=NAME, stack=stack, stores=stores, loads=loads)
    (usage,) = script.parse_usage(log)
    assert not usage.fits
    assert f"63 (stack {stack} B, spills {stores + loads} B)" in script.table({"90": [usage]})[-1]


@pytest.mark.parametrize(
    ("ptx", "what"),
    [
        pytest.param("div.approx.f32 %f1, %f2, %f3;", "an approximation", id="division"),
        pytest.param("add.ftz.f32 %f1, %f2, %f3;", "flushing to zero", id="subnormals"),
        pytest.param("fma.rn.f32 %f1, %f2, %f3, %f4;", "a fused multiply-add", id="contraction"),
        pytest.param("atom.global.add.f32 %f1, [%rd1], %f2;", "an atomic sum", id="atomic"),
        pytest.param("red.global.add.f32 [%rd1], %f2;", "an atomic sum", id="reduction"),
    ],
)
def test_a_broken_promise_is_told(script: Any, ptx: str, what: str) -> None:
    """With how often, and the first one."""
    (found,) = script.promises(f"ld.global.f32 %f2, [%rd1];\n{ptx}")
    assert found.startswith(what)


def test_counting_blocks_by_integers_breaks_no_promise(script: Any) -> None:
    """The barrier of a persistent grid is an atomic sum of integers."""
    assert script.promises("atom.global.add.u32 %r1, [%rd1], 1;\ndiv.rn.f32 %f1, %f2, %f3;") == []


def test_a_kernel_that_a_compiler_passed_over_is_told(script: Any) -> None:
    """By its name, as is one that nobody knows; a table with a gap is no pass."""
    known = script.parse_usage(LOG.format(name=NAME, stack=0, stores=0, loads=0))
    strange = script.parse_usage(LOG.format(name="other", stack=0, stores=0, loads=0))
    gap, unknown = script.missing({"nvcc sm_90": [*known, *strange]})
    assert gap.startswith("nvcc sm_90: not compiled: backward, BFloat16, columns, on chip, ")
    assert "forward, Float32, rows, on chip" not in gap
    assert unknown == "nvcc sm_90: unknown: other"


@pytest.mark.parametrize(
    ("compiler", "variable"),
    [pytest.param("nvcc", "NVCC", id="nvcc"), pytest.param("nvrtc", "NVRTC", id="NVRTC")],
)
def test_without_the_compiler_nothing_is_told(compiler: str, variable: str) -> None:
    """The exit status is 2, and the message names the compiler and how to name another."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--compiler", compiler],
        env={variable: "/nowhere/compiler"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert compiler in done.stderr.lower()
    assert f"name it in {variable}" in done.stderr


@pytest.mark.parametrize("compiler", ["nvcc", "nvrtc"])
@pytest.mark.parametrize("architecture", ["80", "90"])
def test_the_kernels_compile_without_spills(compiler: str, architecture: str) -> None:
    """For both architectures: 48 kernels, all in registers, without approximations or atomics."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--compiler", compiler, architecture],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(f"the kernels are compiled for GPUs only where {compiler} is: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if "ward," in line]
    assert len(rows) == 48
