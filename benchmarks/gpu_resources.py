"""Compile the CUDA kernels for each architecture; tell registers, spills and broken promises.

    python benchmarks/gpu_resources.py [--write] [--compiler nvcc|nvrtc] [ARCHITECTURE ...]

Needs nvcc or NVRTC and no GPU; by default every compiler that is there is asked. Prints a table of
registers for each kernel, in which anything else stands out: bytes of stack and spills, and words
of the PTX that break a promise of ``docs/gpu-kernel.md`` (approximations, flushing to zero, fused
multiply-add, atomic sums of floats). ``--write`` writes it to ``RESULTS-gpu-resources.md``. Exit
status: 0 all is as promised, 1 it is not or kernels are missing, 2 there is no such compiler.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnconform.adapters.gpu_kernel.cuda import nvrtc
from bnconform.adapters.gpu_kernel.cuda.library import (
    MAIN,
    OPTIONS,
    SOURCES,
    BuildError,
    Target,
    find_compiler,
)

RESULTS = Path(__file__).with_name("RESULTS-gpu-resources.md")
ARCHITECTURES = ("80", "90")
FORBIDDEN = {
    r"\.approx": "an approximation",
    r"\.ftz": "flushing to zero",
    r"\bfma\.rn\.f32": "a fused multiply-add",
    r"\b(atom|red)\.\S*\.f(16|32|64)": "an atomic sum of floats",
}
_KERNEL = re.compile(
    r"(?P<way>forward|backward)_kernelINS_\d+(?P<format>[A-Za-z]+\d+)E"
    r"Li(?P<vector>\d+)ELi(?P<width>\d+)ELi(?P<held>[012])E"
)
_ENTRY = re.compile(r"Compiling entry function '(\S+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one kernel takes on one architecture."""

    kernel: str
    registers: int
    stack: int
    spills: int

    @property
    def fits(self) -> bool:
        """Whether all values stay in registers."""
        return not self.stack and not self.spills

    def __str__(self) -> str:
        """The registers, and whatever else there is."""
        rest = "" if self.fits else f" (stack {self.stack} B, spills {self.spills} B)"
        return f"{self.registers}{rest}"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one compiler says of all kernels for one architecture."""

    compiler: str
    log: str
    ptx: str


def main(arguments: Sequence[str]) -> int:
    """Compile, print, and judge."""
    parser = argparse.ArgumentParser(description="Registers and spills of the CUDA kernels.")
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--compiler", choices=COMPILERS, help="ask this one alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args(arguments)
    told: dict[str, Told] = {}
    for name in [asked.compiler] if asked.compiler else COMPILERS:
        try:
            told |= {f"{name} sm_{a}": COMPILERS[name](a) for a in asked.architectures}
        except Absent as error:
            print(error, file=sys.stderr)
    if not told:
        return 2
    usages = {name: parse_usage(each.log) for name, each in told.items()}
    broken = [f"{name}: {word}" for name, each in told.items() for word in promises(each.ptx)]
    broken += missing(usages)
    versions = dict.fromkeys(each.compiler for each in told.values())
    text = "\n".join([*heading(versions), *table(usages), "", *(f"- {line}" for line in broken)])
    print(text)
    if asked.write:
        RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
    fits = all(usage.fits for found in usages.values() for usage in found)
    return 0 if fits and not broken else 1


class Absent(Exception):  # noqa: N818 - that a compiler is not installed is no error here
    """The compiler is not here; the text says how to get it."""


def ask_nvcc(architecture: str) -> Told:
    """All of the library by nvcc."""
    try:
        compiler = find_compiler(Target.GPU)
    except BuildError as error:
        raise Absent(error) from None
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(compiler, *OPTIONS, "-O3", f"-arch=sm_{architecture}"),
            *("-Xptxas", "-v", "-cubin", "--keep", "--keep-dir", folder),
            *(str(SOURCES / MAIN), "-o", f"{folder}/kernels.cubin"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603 - the compiler that was found
        if done.returncode:
            raise SystemExit(done.stderr)
        ptx = "".join(path.read_text("utf-8") for path in Path(folder).glob("*.ptx"))
    if not ptx:
        msg = "nvcc kept no PTX, so nothing can be said of it"
        raise SystemExit(msg)
    return Told(compiler=f"nvcc {_release(compiler)}", log=done.stderr, ptx=ptx)


def ask_nvrtc(architecture: str) -> Told:
    """The kernels alone by NVRTC."""
    try:
        nvrtc.find_library()
    except BuildError as error:
        raise Absent(error) from None
    try:
        compiled = nvrtc.compile_kernels(architecture)
    except BuildError as error:
        raise SystemExit(str(error)) from None
    return Told(compiler=f"NVRTC {compiled.version}", log=compiled.log, ptx=compiled.ptx)


COMPILERS = {"nvcc": ask_nvcc, "nvrtc": ask_nvrtc}
"""Name -> what asks it."""


def parse_usage(log: str) -> list[Usage]:
    """One entry for each kernel in the assembler's log, sorted by name."""
    found = []
    for part in log.split("ptxas info")[1:]:
        if entry := _ENTRY.search(part):
            name, spilled = kernel_name(entry[1]), (0, 0, 0)
        if spills := _SPILLS.search(part):
            stack, stores, loads = map(int, spills.groups())
            spilled = (stack, stores, loads)
        if registers := _REGISTERS.search(part):
            found.append(
                Usage(
                    kernel=name,
                    registers=int(registers[1]),
                    stack=spilled[0],
                    spills=spilled[1] + spilled[2],
                )
            )
    return sorted(found, key=lambda usage: usage.kernel)


def kernel_name(mangled: str) -> str:
    """A readable name, as 'forward, Float32, rows, on chip'; of no kernel, the name itself."""
    if (match := _KERNEL.search(mangled)) is None:
        return mangled
    way, name, vector, width, held = match.groups()
    return str(nvrtc.Kernel(way, name, int(vector), int(width), int(held)))


def promises(ptx: str) -> list[str]:
    """What the PTX holds and must not."""
    return [
        f"{what} ({len(found)} times, {found[0]!r})"
        for pattern, what in FORBIDDEN.items()
        if (found := [match[0] for match in re.finditer(pattern, ptx)])
    ]


def missing(usages: dict[str, list[Usage]]) -> list[str]:
    """Kernels that a compiler says nothing of, by column."""
    expected = {str(each) for each in nvrtc.KERNELS}
    found = {name: {usage.kernel for usage in each} for name, each in usages.items()}
    return [
        f"{name}: {text}: {', '.join(sorted(kernels))}"
        for name, each in found.items()
        for text, kernels in (("not compiled", expected - each), ("unknown", each - expected))
        if kernels
    ]


def heading(compilers: Iterable[str]) -> list[str]:
    """What the table is of."""
    return [
        "# Registers of the CUDA kernels",
        "",
        "Printed by `python benchmarks/gpu_resources.py`, which fails if a kernel has a stack or",
        f"spills. {'; '.join(compilers)}.",
        "",
    ]


def _release(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - the compiler that was found
    release = re.search(r"release \S+ V?\S+", done.stdout)
    return release[0] if release else "of unknown release"


def table(usages: dict[str, list[Usage]]) -> list[str]:
    """A row for each kernel, a column for each architecture."""
    names = sorted({usage.kernel for found in usages.values() for usage in found})
    by_name = {key: {u.kernel: u for u in found} for key, found in usages.items()}
    lines = [
        "| kernel | " + " | ".join(usages) + " |",
        "| --- |" + " --- |" * len(usages),
    ]
    lines += [
        f"| {name} | " + " | ".join(str(by_name[key].get(name, "")) for key in usages) + " |"
        for name in names
    ]
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
