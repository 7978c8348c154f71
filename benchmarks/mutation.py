"""Mutation testing of what everybody is judged by: spec, bounds, comparison and judgement.

Changes one operator, constant or argument at a time and runs the core tests on each change. Prints
the share of changes that the tests noticed, module by module, and every survivor. Exit status 1 if
a survivor is not argued in docs/mutation.md, or if a module scores below the target.

mutmut works on a copy, because it follows no symlinks and must not touch the checkout; the copy
holds real files where src/bnconform holds links. Property tests are left out: they would shrink
every mutant for seconds, and the fixed tests must suffice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ARGUED = ROOT / "docs" / "mutation.md"
PATTERNS = ("spec*", "bounds*", "judging/compare", "judging/judge*")
TESTS = (
    "spec",
    "spec_second",
    "spec_variants",
    "differences",
    "bounds*",
    "compare*",
    "arbitration",
    "judge*",
    "variant*",
    "malformed*",
    "experiments*",
)
TARGET = 95.0

KILLED, SURVIVED, UNTESTED = "killed", "survived", "untested"
_EXIT_CODES = {0: SURVIVED, 33: UNTESTED, 5: UNTESTED, None: UNTESTED}
"""mutmut's exit codes; every other one is a failed test, a crash or a timeout, hence a kill."""


@dataclass(frozen=True, kw_only=True)
class Survivor:
    """A change that no test noticed: the function, and the lines before and after."""

    name: str
    before: str
    after: str

    @property
    def function(self) -> str:
        """The function's name without mutmut's decoration."""
        return self.name.rpartition("__mutmut_")[0].rpartition(".")[2].removeprefix("x_")


@dataclass(frozen=True, kw_only=True)
class Score:
    """What became of the mutants of one module."""

    module: str
    killed: int
    survivors: tuple[Survivor, ...]
    untested: int

    @property
    def total(self) -> int:
        """Number of mutants."""
        return self.killed + len(self.survivors) + self.untested

    @property
    def percent(self) -> float:
        """Share of the mutants that a test noticed."""
        return 100.0 * self.killed / self.total if self.total else 0.0


def main() -> int:
    """Run, print, and say whether every survivor is argued and the target reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files below conformance/; all by default")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep the copy here and reuse its results")
    arguments = parser.parse_args()
    modules = arguments.modules or list(_modules())
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        _stage(work, modules)
        _mutmut(work, "run", "--max-children", str(arguments.processes), quiet=True)
        scores = [_score(work, module) for module in modules]
    _print_scores(scores)
    return 0 if _print_survivors(scores) and all(s.percent >= TARGET for s in scores) else 1


def _modules() -> Iterator[str]:
    for pattern in PATTERNS:
        folder = ROOT / "conformance"
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(f"{pattern}.py"))
        if not found:
            msg = f"no module of conformance/ is called {pattern}.py"
            raise FileNotFoundError(msg)
        yield from found


def _stage(work: Path, modules: list[str]) -> None:
    """A copy of the package and its core tests, with real files where there are symlinks."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("src/bnconform", "tests/core", "benchmarks"):
        shutil.rmtree(work / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, work / folder, ignore=ignore)
    shutil.copy(ROOT / "tests/conftest.py", work / "tests/conftest.py")
    shutil.copy(ROOT / "pyproject.toml", work / "pyproject.toml")
    lines = ["[mutmut]", "source_paths=src", "also_copy=benchmarks", "only_mutate="]
    lines += [f"    src/bnconform/conformance/{module}" for module in modules]
    lines += ["pytest_add_cli_args=", "    -m", "    not hypothesis"]
    lines += ["pytest_add_cli_args_test_selection=", *(f"    {test}" for test in _tests())]
    (work / "setup.cfg").write_text("\n".join(lines) + "\n")


def _tests() -> Iterator[str]:
    """The test files that pin these modules without a framework or random examples."""
    for pattern in TESTS:
        for path in sorted((ROOT / "tests/core").glob(f"test_{pattern}.py")):
            yield str(path.relative_to(ROOT))


def _mutmut(work: Path, *arguments: str, quiet: bool = False) -> str:
    """What mutmut prints; its progress bar goes nowhere, but what went wrong is shown."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603
        command, cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    if quiet and done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        msg = f"mutmut {arguments[0]} ended with status {done.returncode}"
        raise RuntimeError(msg)
    return done.stdout


def _score(work: Path, module: str) -> Score:
    path = work / "mutants/src/bnconform/conformance" / f"{module}.meta"
    codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
    fate = {name: _EXIT_CODES.get(code, KILLED) for name, code in codes.items()}
    return Score(
        module=module,
        killed=sum(what == KILLED for what in fate.values()),
        survivors=tuple(_survivor(work, name) for name in fate if fate[name] == SURVIVED),
        untested=sum(what == UNTESTED for what in fate.values()),
    )


def _survivor(work: Path, name: str) -> Survivor:
    lines = _mutmut(work, "show", name).splitlines()
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    return Survivor(
        name=name,
        before=" ".join(line[1:].strip() for line in changed if line.startswith("-")),
        after=" ".join(line[1:].strip() for line in changed if line.startswith("+")),
    )


def _print_scores(scores: list[Score]) -> None:
    print(f"{'module':<24}{'mutants':>8}{'killed':>8}{'survived':>10}{'untested':>10}{'score':>9}")
    for score in scores:
        counts = f"{score.killed:>8}{len(score.survivors):>10}{score.untested:>10}"
        print(f"{score.module:<24}{score.total:>8}{counts}{score.percent:>8.1f}%")
    killed, total = sum(s.killed for s in scores), sum(s.total for s in scores)
    print(f"{'all':<24}{total:>8}{killed:>8}{100 * killed / max(total, 1):>37.1f}%")


def _print_survivors(scores: list[Score]) -> bool:
    """Every survivor; whether all of them are argued."""
    argued = ARGUED.read_text() if ARGUED.exists() else ""
    complete = True
    for score in scores:
        for survivor in score.survivors:
            known = f"`{survivor.after}`" in argued
            complete &= known
            print(f"\n{score.module} {survivor.function}" + ("" if known else "  NOT ARGUED"))
            print(f"  - {survivor.before}\n  + {survivor.after}")
    return complete


if __name__ == "__main__":
    sys.exit(main())
