"""Building and loading the CUDA kernels: what is missing is named, and nothing is built twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnconform.adapters.gpu_kernel.cuda import library
from bnconform.adapters.gpu_kernel.cuda.library import BuildError, Target
from bnconform.adapters.gpu_kernel.cuda_adapter import CudaKernel


@pytest.fixture
def compiler() -> str:
    """The compiler of the emulation."""
    try:
        return library.find_compiler(Target.EMULATED)
    except BuildError as error:
        pytest.skip(str(error))


def test_without_a_gpu_the_gpu_subject_is_unavailable() -> None:
    """Its constructor says what it needs."""
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ImportError, match=r"gpu\.cuda needs an NVIDIA GPU"):
        CudaKernel()


@pytest.mark.parametrize(
    ("target", "variable", "compiler"),
    [
        pytest.param(Target.GPU, "NVCC", "nvcc", id="for a GPU"),
        pytest.param(Target.EMULATED, "CXX", "g\\+\\+", id="for the emulation"),
    ],
)
def test_a_missing_compiler_is_named(
    target: Target, variable: str, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which one, and how to name another."""
    monkeypatch.setenv(variable, "/nowhere/compiler")
    with pytest.raises(BuildError, match=f"needs {compiler} .* name it in {variable}"):
        library.build(target)


@pytest.mark.usefixtures("compiler")
def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    """A source that does not compile gives its message, and leaves no library."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / library.MAIN).write_text("int f() { return nothing; }\n", "utf-8")
    with pytest.raises(BuildError, match="nothing"):
        library.build(Target.EMULATED, sources=sources, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("compiler")
def test_a_library_is_built_once(tmp_path: Path) -> None:
    """The same sources and flags are found again, and other sources are not taken for them."""
    sources = tmp_path / "sources"
    sources.mkdir()
    main = sources / library.MAIN
    main.write_text("int f() { return 1; }\n", "utf-8")
    first = library.build(Target.EMULATED, sources=sources, cache=tmp_path)
    made = first.stat().st_mtime_ns
    again = library.build(Target.EMULATED, sources=sources, cache=tmp_path)
    assert (again, again.stat().st_mtime_ns) == (first, made)
    main.write_text("int f() { return 2; }\n", "utf-8")
    assert library.build(Target.EMULATED, sources=sources, cache=tmp_path) != first
