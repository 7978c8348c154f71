"""Guards for how the repository is laid out and which part may import which."""

from __future__ import annotations

import ast
import configparser
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnconform.adapters import REGISTRY

ROOT = Path(__file__).parents[1]
LINKED = ("adapters", "conformance", "reports")
FRAMEWORKS = frozenset(
    {
        "equinox", "flax", "haiku", "jax", "keras", "onnx", "onnxruntime", "tensorflow", "tf_keras",
        "torch", "triton",
    }
)  # fmt: skip
TOP_LEVEL = frozenset(
    {
        *LINKED, ".ci", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
        "README.md", "benchmarks", "docs", "pyproject.toml", "src", "tests", "tox.ini",
    }
)  # fmt: skip
LONGEST_MODULE = 400
BY_HAND = ROOT / "conformance" / "scripts" / "by_hand"


def sources(*folders: str) -> list[Path]:
    """Every Python file under ``folders`` of the repository, sorted; at least one."""
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert found, f"no Python file under {folders}"
    return found


def module_name(path: Path) -> str:
    """The dotted name under which ``path`` is imported."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = parts[1:] if parts[0] == "src" else ["bnconform", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, package: str) -> Iterator[str]:
    """Dotted names that ``source`` imports, relative ones resolved against ``package``.

    ``from a import b`` gives ``a.b``, because b may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = [*parents, node.module] if node.level else [node.module]
            stem = ".".join(part for part in base if part)
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def imports(path: Path) -> list[str]:
    """Dotted names that the file imports."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return list(imports_of(path.read_text(encoding="utf-8"), package))


def within(name: str, *packages: str) -> bool:
    """Whether ``name`` is one of ``packages`` or lies inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules_after(statement: str) -> set[str]:
    """The names in ``sys.modules`` of a fresh interpreter once it has run ``statement``."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_relative_import_is_resolved_against_its_package() -> None:
    """The guards below see ``from ..case import Case`` for what it is."""
    source = "from . import a\nfrom ..case import Case\nimport x.y\nfrom z import w"
    assert list(imports_of(source, "bnconform.conformance.engine")) == [
        "bnconform.conformance.engine.a", "bnconform.conformance.case.Case", "x.y", "z.w",
    ]  # fmt: skip


@pytest.mark.parametrize("name", LINKED)
def test_the_package_reaches_a_top_level_folder_by_a_relative_link(name: str) -> None:
    """An absolute link would break in every other clone."""
    assert (ROOT / "src" / "bnconform" / name).readlink() == Path("..", "..", name)


def test_the_top_level_holds_nothing_unexpected() -> None:
    """The names that others rely on stay easy to see."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    listed = subprocess.run(
        [git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {name.split("/")[0] for name in listed} <= TOP_LEVEL


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        pytest.param(
            "conformance", ("adapters", "reports", "cli"), id="the standard stands on its own"
        ),
        pytest.param("reports", ("adapters", "cli"), id="a report needs records and no framework"),
        pytest.param("adapters", ("reports", "cli"), id="an adapter knows the contract alone"),
    ],
)
def test_imports_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    """Only the command line joins the three folders."""
    packages = [f"bnconform.{name}" for name in forbidden]
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(folder)
        for name in imports(path)
        if within(name, *packages)
    }
    assert not wrong


def test_adapters_import_only_the_contract_and_the_case_types() -> None:
    """An adapter that used the spec could not be judged by it.

    Miniatures also say what is planted in them, in the words of explanations and verdicts.
    """
    vocabulary = ("case", "contract", "dialect", "formats", "malformation", "variant")
    planting = ("explanation.names", "selftest.planted", "verdict")

    def allowed(path: Path) -> list[str]:
        names = (*vocabulary, *planting) if "miniatures" in path.parts else vocabulary
        return [f"bnconform.conformance.{name}" for name in names]

    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("adapters")
        for name in imports(path)
        if within(name, "bnconform") and not within(name, "bnconform.adapters", *allowed(path))
    }
    assert not wrong


def test_no_file_imports_a_top_level_folder_by_its_bare_name() -> None:
    """Bare names work only in a checkout, and PyPI has an unrelated package called adapters."""
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(*LINKED, "src", "tests")
        for name in imports(path)
        if within(name, *LINKED)
    }
    assert not wrong


def test_importing_the_standard_imports_neither_adapters_nor_frameworks() -> None:
    """Judging a stored answer must work where no framework is installed.

    What is written by hand for one framework is no module: it is copied out and run by itself.
    """
    modules = [path for path in sources("conformance") if path.parent != BY_HAND]
    names = ", ".join(module_name(path) for path in modules)
    loaded = modules_after(f"import {names}")
    wrong = {name for name in loaded if within(name, *FRAMEWORKS)}
    wrong |= {name for name in loaded if within(name, "bnconform.adapters", "bnconform.reports")}
    assert not wrong


def test_importing_every_registered_adapter_imports_no_framework() -> None:
    """A framework that is absent makes a subject unavailable, not the command line."""
    names = ", ".join(sorted({target.partition(":")[0] for target in REGISTRY.values()}))
    assert not {name for name in modules_after(f"import {names}") if within(name, *FRAMEWORKS)}


@pytest.mark.parametrize("subject", sorted(REGISTRY))
def test_a_registered_subject_has_a_file_that_defines_its_class(subject: str) -> None:
    """The registry is text; nothing else notices a typing error in it before a run."""
    module, _, wanted = REGISTRY[subject].partition(":")
    path = ROOT.joinpath(*module.removeprefix("bnconform.").split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert wanted in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_no_adapter_file_is_named_after_a_framework() -> None:
    """``adapters/torch.py``, run as a script, would shadow torch."""
    assert not {path.stem for path in sources("adapters")} & FRAMEWORKS


def test_no_module_is_too_long_to_read_at_once() -> None:
    """Past 400 lines a module of the package is split."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*LINKED, "src")
    }
    assert not {name: n for name, n in lengths.items() if n > LONGEST_MODULE}


def test_the_nightly_campaigns_cover_every_subject_once() -> None:
    """A subject that is added to the registry must not be left out of the nightly run."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    section = next(name for name in tox.sections() if name.startswith("testenv:campaign-"))
    lines = tox[section]["set_env"].split()
    listed = [line.partition("SUBJECTS=")[2] for line in lines if "SUBJECTS=" in line]
    assert sorted(",".join(listed).split(",")) == sorted(REGISTRY)


def test_continuous_integration_runs_the_command_that_the_readme_gives() -> None:
    """What the README tells a newcomer to run is what is known to pass."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in ci if line.startswith("python3 -m venv")]
    assert len(commands) == 1
    assert f"\n{commands[0]}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
