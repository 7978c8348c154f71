"""NVRTC, NVIDIA's compiler in a library: the kernels without nvcc and without CUDA's headers.

It compiles the device code alone (``forward.cuh``, ``backward.cuh`` and what they include), so
that every kernel is known to assemble for an architecture and what it takes there. Its library
comes with ``pip install nvidia-cuda-nvrtc`` and with PyTorch's CUDA wheels. Bound by ctypes: nine
functions are less than another dependency.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .library import OPTIONS, SOURCES, BuildError

LIBRARY = "NVRTC"
"""Environment variable: the file of the library to use."""
_SOURCE = '#include "backward.cuh"\n#include "forward.cuh"\n'
_HEADERS = "*.cuh"


@dataclass(frozen=True)
class Kernel:
    """One instance of a kernel's template; ``held`` is ``Held`` of ``team.cuh``."""

    way: str
    format: str
    vector: int
    width: int
    held: int

    @property
    def expression(self) -> str:
        """Its name in C++."""
        held = self.held
        return f"bnc::{self.way}_kernel<bnc::{self.format}, {self.vector}, {self.width}, {held}>"

    def __str__(self) -> str:
        """A readable name, as 'forward, Float32, rows, on chip'."""
        layout = "columns" if self.width > 1 else "rows" if self.vector > 1 else "single"
        held = ("read twice", "on chip", "partly on chip")[self.held]
        return f"{self.way}, {self.format}, {layout}, {held}"


def _kernels() -> Iterator[Kernel]:
    formats = (("Float32", 4), ("Float16", 8), ("BFloat16", 8))
    for way, (name, wide) in itertools.product(("forward", "backward"), formats):
        yield from (Kernel(way, name, 1, 1, held) for held in (0, 1))
        for width, held in itertools.product((1, wide), (0, 1, 2)):
            yield Kernel(way, name, wide, width, held)


KERNELS = tuple(_kernels())
"""Every kernel that ``batch_norm.cu`` can launch."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What NVRTC made: machine code, PTX, and what the assembler said of every kernel."""

    version: str
    cubin: bytes
    ptx: str
    log: str


def compile_kernels(
    architecture: str, *, sources: Path = SOURCES, kernels: Sequence[Kernel] = KERNELS
) -> Compiled:
    """Kernels, all by default, for one architecture, as "90".

    Raises :class:`BuildError` where there is no NVRTC, and with its log where a kernel does not
    compile.
    """
    return _Nvrtc(find_library()).compile(architecture, sources, kernels)


def find_library() -> str:
    """Where NVRTC is: as ``NVRTC`` names it, in a package, in a toolkit, or in the system."""
    if named := os.environ.get(LIBRARY):
        if Path(named).exists():
            return named
    elif found := next(_candidates(), None) or ctypes.util.find_library("nvrtc"):
        return str(found)
    msg = (
        "NVRTC is not installed: `pip install nvidia-cuda-nvrtc` brings it, or put it "
        f"into a toolkit or name it in {LIBRARY}"
    )
    raise BuildError(msg)


def _candidates() -> Iterator[Path]:
    """Of packages, then of a toolkit; of several releases in one folder the newest."""
    folders: list[Path] = []
    if spec := importlib.util.find_spec("nvidia"):
        for place in spec.submodule_search_locations or ():
            folders += sorted(Path(place).glob("*/lib"), reverse=True)
    folders.append(Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "lib64")
    for folder in folders:
        yield from sorted(folder.glob("libnvrtc.so.[0-9]*"), reverse=True)


class _Nvrtc:
    """The library, with errors raised."""

    def __init__(self, path: str) -> None:
        # Its second half is looked up by name alone, and is found when it is loaded already.
        for half in sorted(Path(path).parent.glob("libnvrtc-builtins.so.*")):
            ctypes.CDLL(str(half))
        try:
            self._functions = ctypes.CDLL(path)
        except OSError as error:
            msg = f"NVRTC cannot be loaded: {error}"
            raise BuildError(msg) from None
        self._functions.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(self, architecture: str, sources: Path, kernels: Sequence[Kernel]) -> Compiled:
        program = ctypes.c_void_p()
        headers = {path.name: path.read_bytes() for path in sorted(sources.glob(_HEADERS))}
        self._ask(
            "CreateProgram",
            *(ctypes.byref(program), _SOURCE.encode(), b"kernels.cu", len(headers)),
            *(_strings(headers.values()), _strings(name.encode() for name in headers)),
        )
        try:
            for kernel in kernels:
                self._ask("AddNameExpression", program, kernel.expression.encode())
            options = (*OPTIONS, f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v")
            status = self._call(
                "CompileProgram", program, len(options), _strings(o.encode() for o in options)
            )
            log = self._result("ProgramLog", program).decode(errors="replace")
            if status:
                msg = f"NVRTC cannot build the kernels for sm_{architecture}:\n{log[-2000:]}"
                raise BuildError(msg)
            return Compiled(
                version=self._version(),
                cubin=self._result("CUBIN", program),
                ptx=self._result("PTX", program).decode(),
                log=log,
            )
        finally:
            self._ask("DestroyProgram", ctypes.byref(program))

    def _version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._ask("Version", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def _result(self, what: str, program: ctypes.c_void_p) -> bytes:
        """What ``nvrtcGet<what>`` gives, as long as ``nvrtcGet<what>Size`` says."""
        size = ctypes.c_size_t()
        self._ask(f"Get{what}Size", program, ctypes.byref(size))
        result = ctypes.create_string_buffer(size.value)
        self._ask(f"Get{what}", program, result)
        return result.raw if what == "CUBIN" else result.value

    def _ask(self, name: str, *arguments: object) -> None:
        if status := self._call(name, *arguments):
            text = self._functions.nvrtcGetErrorString(status).decode()
            msg = f"nvrtc{name}: {text}"
            raise BuildError(msg)

    def _call(self, name: str, *arguments: object) -> int:
        status: int = getattr(self._functions, f"nvrtc{name}")(*arguments)
        return status


def _strings(values: Iterable[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    listed = list(values)
    return (ctypes.c_char_p * len(listed))(*listed)
