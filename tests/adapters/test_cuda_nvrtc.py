"""NVRTC's half of the compile gate: a kernel that fails it is told, and so is what is missing."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path

import pytest

from bnconform.adapters.gpu_kernel.cuda import library, nvrtc
from bnconform.adapters.gpu_kernel.cuda.library import BuildError

ROWS = nvrtc.Kernel("forward", "Float32", 4, 1, held=1)
ELF = b"\x7fELF"


@pytest.fixture
def _nvrtc() -> None:
    """NVRTC, or no test."""
    try:
        nvrtc.find_library()
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the kernels' sources."""
    return Path(shutil.copytree(library.SOURCES, tmp_path / "sources"))


def _plant(sources: Path, name: str, old: str, new: str) -> None:
    path = sources / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def _spills(log: str) -> int:
    return sum(map(int, re.findall(r"(\d+) bytes spill", log)))


@pytest.mark.usefixtures("_nvrtc")
@pytest.mark.parametrize("architecture", ["80", "90"])
def test_a_kernel_becomes_machine_code_of_its_architecture(architecture: str) -> None:
    """An ELF file and PTX that name the kernel; the compiler's release is known."""
    made = nvrtc.compile_kernels(architecture, kernels=[ROWS])
    assert made.cubin.startswith(ELF)
    assert f".target sm_{architecture}" in made.ptx
    assert made.ptx.count(".entry") == made.log.count("Compiling entry function") == 1
    assert _spills(made.log) == 0
    assert re.fullmatch(r"\d+\.\d+", made.version)


@pytest.mark.usefixtures("_nvrtc")
def test_hopper_copies_in_bulk_and_ampere_does_not() -> None:
    """The branch that only one architecture's instructions allow is taken there and only there."""
    found = [
        "cp.async.bulk" in nvrtc.compile_kernels(each, kernels=[ROWS]).ptx for each in ("80", "90")
    ]
    assert found == [False, True]


@pytest.mark.usefixtures("_nvrtc")
def test_what_the_compiler_says_of_an_error_is_passed_on(sources: Path) -> None:
    """File and text of it, rather than a number."""
    _plant(sources, "forward.cuh", "  unsigned turn = 0;\n", "  unsigned turn = nothing;\n")
    with pytest.raises(BuildError, match=r'(?s)sm_90.*forward\.cuh.*"nothing" is undefined'):
        nvrtc.compile_kernels("90", sources=sources, kernels=[ROWS])


@pytest.mark.usefixtures("_nvrtc")
def test_a_kernel_that_does_not_fit_its_registers_is_seen_to_spill(sources: Path) -> None:
    """Eight blocks of 256 threads leave each thread 32 registers, and it needs 128."""
    columns = nvrtc.Kernel("backward", "BFloat16", 8, 8, held=1)
    _plant(sources, "backward.cuh", "(most_threads(W, HELD), 2)", "(most_threads(W, HELD), 8)")
    made = nvrtc.compile_kernels("90", sources=sources, kernels=[columns])
    assert _spills(made.log) > 0


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package that brings it, and how to name another."""
    monkeypatch.setenv(nvrtc.LIBRARY, "/nowhere/libnvrtc.so")
    with pytest.raises(BuildError, match=r"pip install nvidia-cuda-nvrtc.* name it in NVRTC"):
        nvrtc.compile_kernels("90")


def test_a_file_that_is_no_library_is_an_error_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of the operating system."""
    named = tmp_path / "libnvrtc.so.13"
    named.write_text("no library", "utf-8")
    monkeypatch.setenv(nvrtc.LIBRARY, str(named))
    with pytest.raises(BuildError, match="NVRTC cannot be loaded"):
        nvrtc.compile_kernels("90")


@pytest.mark.usefixtures("_nvrtc")
def test_no_header_of_a_toolkit_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of NVRTC alone is enough: the sources include one another and nothing else."""
    monkeypatch.setenv("CUDA_HOME", "/nowhere")
    device_code = [path.read_text("utf-8") for path in library.SOURCES.glob("*.cuh")]
    included = set(re.findall(r"#include [<\"](\S+)[>\"]", "".join(device_code)))
    assert included <= {"platform.cuh", "team.cuh", "cuda_on_cpu.hpp", "stdint.h"}
    assert nvrtc.compile_kernels("90", kernels=[ROWS]).cubin


@pytest.mark.usefixtures("_nvrtc")
def test_the_library_that_is_found_is_nvrtc() -> None:
    """Its own function tells a release."""
    major = ctypes.c_int()
    assert (
        ctypes.CDLL(nvrtc.find_library()).nvrtcVersion(ctypes.byref(major), ctypes.byref(major))
        == 0
    )
