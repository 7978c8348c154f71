"""The compiled kernels as a library: build it once, load it, and call it with plain addresses.

The same sources make two libraries with the same C interface (``batch_norm.h``): one for a GPU, by
nvcc, and one for the CPU, by g++ and the emulation of ``cuda_on_cpu.hpp``.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from pathlib import Path

from bnconform.adapters.caches import cache_folder

from .structures import Call, Device, Plan

VERSION = "1.1"
"""Of the kernels: to be raised when what they compute or promise changes."""
SOURCES = Path(__file__).parent
MAIN = "batch_norm.cu"
SEED = "BNCONFORM_EMULATION_SEED"
"""Environment variable: the seed of the emulation's scheduler, 0 by default."""

# Every operation rounds: a product and a sum stay two, division and square root are IEEE's.
OPTIONS = ("-std=c++17", "--fmad=false")
"""Of every compiler for a GPU."""
_FLAGS = {
    "gpu": (*OPTIONS, "-O3", "-shared", "--threads=2", "-Xcompiler=-fPIC,-fvisibility=hidden"),
    "emulated": (
        *("-std=c++17", "-ffp-contract=off", "-O2", "-shared", "-x", "c++", "-fPIC"),
        *("-fvisibility=hidden", "-Wno-unknown-pragmas"),
    ),
}
_ARCHITECTURES = ("80", "90")


class Target(StrEnum):
    """What a library is built for."""

    GPU = "gpu"
    EMULATED = "emulated"


class Rung(IntEnum):
    """How a channel's values are held while they are needed twice; ``batch_norm.h`` says more."""

    BLOCK = 1
    CLUSTER = 2
    PERSISTENT = 3
    SPLIT = 4


NO_BULK, NO_CACHE = 1, 2
"""Flags of a call: shared memory is filled by ordinary loads; a persistent grid rereads from L2."""


class BuildError(ImportError):
    """The library cannot be made here; the text says what is missing or what the compiler said."""


class CallError(RuntimeError):
    """The library refused a call or failed in it; the text is its own."""


class Library:
    """A loaded library. ``bnc_`` functions of ``batch_norm.h``, with errors raised."""

    def __init__(self, path: Path, target: Target) -> None:
        """Load what ``build`` made."""
        self.target = target
        self._functions = ctypes.CDLL(str(path))
        self._functions.bnc_message.restype = ctypes.c_char_p
        self._functions.bnc_workspace.restype = ctypes.c_int64

    def forward(self, call: Call) -> None:
        """``bnc_forward``."""
        self._check(self._functions.bnc_forward(ctypes.byref(call)))

    def backward(self, call: Call) -> None:
        """``bnc_backward``."""
        self._check(self._functions.bnc_backward(ctypes.byref(call)))

    def choose(self, call: Call, *, backward: bool) -> Rung:
        """The rung that the call takes on this machine."""
        chosen = self._functions.bnc_choose(ctypes.byref(call), int(backward))
        self._check(-min(chosen, 0))
        return Rung(chosen)

    def plan(self, call: Call, device: Device, *, backward: bool) -> Plan:
        """How the call is cut up on any device."""
        plan = Plan()
        self._check(
            self._functions.bnc_plan_for(
                ctypes.byref(call), int(backward), ctypes.byref(device), ctypes.byref(plan)
            )
        )
        return plan

    def workspace(self, call: Call, *, backward: bool) -> int:
        """Bytes of workspace that the call needs."""
        size = int(self._functions.bnc_workspace(ctypes.byref(call), int(backward)))
        self._check(-min(size, 0))
        return size

    def device(self) -> Device:
        """The device that calls run on."""
        device = Device()
        self._check(self._functions.bnc_device_here(ctypes.byref(device)))
        return device

    def seed(self, seed: int) -> None:
        """Seed the emulation's scheduler: another order of threads, the same results."""
        self._functions.bnc_seed(ctypes.c_uint64(seed))

    def _check(self, status: int) -> None:
        if status:
            raise CallError(self._functions.bnc_message().decode())


@functools.cache
def load(target: Target) -> Library:
    """The library for ``target``, built unless an earlier build is still valid.

    Raises :class:`BuildError` where there is no compiler or no GPU.
    """
    library = Library(build(target), target)
    if target is Target.GPU:
        try:
            library.device()
        except CallError as error:
            msg = f"gpu.cuda needs an NVIDIA GPU and its driver: {error}"
            raise BuildError(msg) from None
    else:
        library.seed(int(os.environ.get(SEED, "0")))
    return library


def build(
    target: Target,
    *,
    sources: Path = SOURCES,
    cache: Path | None = None,
    architectures: Iterable[str] = _ARCHITECTURES,
    flags: tuple[str, ...] = (),
) -> Path:
    """The library's file, compiled into ``cache`` unless these sources and flags were before."""
    command = _command(target, architectures) + flags
    digest = hashlib.sha256(repr(command).encode())
    for path in sorted(sources.glob("*.[ch]*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = cache_folder() / "cuda" if cache is None else cache
    library = folder / f"batch_norm_{target}_{digest.hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(command, sources / MAIN, library)
    return library


def _command(target: Target, architectures: Iterable[str]) -> tuple[str, ...]:
    compiler = find_compiler(target)
    codes: tuple[str, ...] = ()
    if target is Target.GPU:
        codes = tuple(f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures)
    return (compiler, *_FLAGS[target], *codes)


def find_compiler(target: Target) -> str:
    """nvcc for a GPU, g++ for the emulation; :class:`BuildError` where it is not installed."""
    name, variable = ("nvcc", "NVCC") if target is Target.GPU else ("g++", "CXX")
    found = shutil.which(os.environ.get(variable, name), path=_search_path(target))
    if found is None:
        msg = (
            f"gpu.cuda{'' if target is Target.GPU else '.emulated'} needs {name} to build its "
            f"kernels: install it, put it on PATH or name it in {variable}"
        )
        raise BuildError(msg)
    return found


def _search_path(target: Target) -> str:
    """PATH, and where NVIDIA's installer puts its compiler without telling PATH."""
    path = os.environ.get("PATH", os.defpath)
    if target is Target.GPU:
        toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
        path = os.pathsep.join((path, str(toolkit / "bin")))
    return path


def _compile(command: tuple[str, ...], source: Path, library: Path) -> None:
    """Compile beside the library's place and then move: two builders at once do no harm."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        done = subprocess.run(  # noqa: S603 - the compiler that was found, and our own source
            [*command, str(source), "-o", str(made)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            msg = f"{Path(command[0]).name} cannot build {source.name}:\n{done.stderr[-2000:]}"
            raise BuildError(msg)
        made.replace(library)
