"""Compile the CUDA kernels for each architecture; tell registers, spills and broken promises.

    python benchmarks/gpu_resources.py [--write] [ARCHITECTURE ...]

Needs nvcc and no GPU. Prints a table of registers for each kernel, in which anything else stands
out: bytes of stack and spills, and words of the PTX that break a promise of ``docs/gpu-kernel.md``
(approximations, flushing to zero, fused multiply-add, atomic sums of floats). ``--write`` writes it
to ``RESULTS-gpu-resources.md``. Exit status: 0 all is as promised, 1 it is not, 2 no nvcc.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnconform.adapters.gpu_kernel.cuda.library import (
    MAIN,
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
    r"Li(?P<vector>\d+)ELi(?P<width>\d+)ELb(?P<cached>[01])E"
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


def main(arguments: Sequence[str]) -> int:
    """Compile, print, and judge."""
    parser = argparse.ArgumentParser(description="Registers and spills of the CUDA kernels.")
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args(arguments)
    try:
        compiler = find_compiler(Target.GPU)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    compiled = {name: compile_for(compiler, name) for name in asked.architectures}
    usages = {name: parse_usage(log) for name, (log, _) in compiled.items()}
    broken = [f"sm_{name}: {word}" for name, (_, ptx) in compiled.items() for word in promises(ptx)]
    text = "\n".join([*heading(compiler), *table(usages), "", *(f"- {line}" for line in broken)])
    print(text)
    if asked.write:
        RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
    fits = all(usage.fits for found in usages.values() for usage in found)
    return 0 if fits and not broken and all(usages.values()) else 1


def compile_for(compiler: str, architecture: str) -> tuple[str, str]:
    """What the assembler says of every kernel, and their PTX."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(compiler, "-std=c++17", "-O3", "--fmad=false", f"-arch=sm_{architecture}"),
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
    return done.stderr, ptx


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
    match = _KERNEL.search(mangled)
    if match is None:
        return mangled
    layout = "columns" if match["width"] != "1" else "rows" if match["vector"] != "1" else "single"
    held = "on chip" if match["cached"] == "1" else "read twice"
    return f"{match['way']}, {match['format']}, {layout}, {held}"


def promises(ptx: str) -> list[str]:
    """What the PTX holds and must not."""
    return [
        f"{what} ({len(found)} times, {found[0]!r})"
        for pattern, what in FORBIDDEN.items()
        if (found := [match[0] for match in re.finditer(pattern, ptx)])
    ]


def heading(compiler: str) -> list[str]:
    """What the table is of."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - the compiler that was found
    release = re.search(r"release \S+ V?\S+", done.stdout)
    return [
        "# Registers of the CUDA kernels",
        "",
        "Printed by `python benchmarks/gpu_resources.py`, which fails if a kernel has a stack or",
        f"spills. nvcc {release[0] if release else 'of unknown release'}.",
        "",
    ]


def table(usages: dict[str, list[Usage]]) -> list[str]:
    """A row for each kernel, a column for each architecture."""
    names = sorted({usage.kernel for found in usages.values() for usage in found})
    by_name = {key: {u.kernel: u for u in found} for key, found in usages.items()}
    lines = [
        "| kernel | " + " | ".join(f"sm_{key}" for key in usages) + " |",
        "| --- |" + " --- |" * len(usages),
    ]
    lines += [
        f"| {name} | " + " | ".join(str(by_name[key].get(name, "")) for key in usages) + " |"
        for name in names
    ]
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
