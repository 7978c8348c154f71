"""Scripts written by hand: above all for known divergences of export and second derivatives."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.conformance import scripts
from bnconform.conformance.clauses import clause
from bnconform.conformance.known.divergences import KnownDivergence, load_known
from bnconform.conformance.scripts import check_script, findings, text_by_hand
from bnconform.conformance.scripts.findings import Finding, write_findings
from bnconform.conformance.scripts.recipes import RECIPES
from bnconform.conformance.verdict import CALL

from .by_hand import Bundle, bundle, experiment
from .test_publishing import run_of

FOLDER = Path(scripts.__file__).parent / "by_hand"
PATHS = sorted(FOLDER.iterdir(), key=lambda path: path.name)
ENTRIES = {entry.id: entry for entry in load_known()}
MORE_PLAINLY = {"keras-renorm-floors-deviation"}
"""Entries whose cases show no more than a rounding of what a few lines show at its full size."""
IN_HALF = "torch-fold-in-half-loses-epsilon"
DISTRIBUTED = {"tf": "tensorflow"}
"""What a recipe calls a package otherwise than who imports it."""

every_script = pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in PATHS if path.suffix == ".py"]
)


def only_shown_by_hand(entry: KnownDivergence) -> bool:
    """Whether the entry is about what no template shows."""
    asked = entry.where.get("experiment", "")
    export = str(asked if isinstance(asked, str) else asked[0]).startswith("export.")
    return export or any(name.startswith(("BN-PORT-", "BN-SECOND-")) for name in entry.clauses)


def headline(path: Path) -> tuple[str, str, str]:
    """Subject, clause and quantity of 'subject: CLAUSE does not hold for quantity', its title.

    Of a call that is not answered there is no quantity: that is 'the call'.
    """
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    subject, _, rest = told.splitlines()[0].partition(": ")
    name, _, quantity = rest.removesuffix(".").partition(" does not hold for ")
    return subject, name, quantity.removeprefix("the ")


def imported(path: Path) -> set[str]:
    """The top-level packages that the script imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").partition(".")[0])
    return found


def frameworks(path: Path) -> set[str]:
    """What it imports besides Python's own and NumPy."""
    return imported(path) - sys.stdlib_module_names - {"numpy"}


def accepting(made: Bundle) -> KnownDivergence:
    """An entry of the name that ``made`` goes by, which accepts it."""
    divergence = made.divergence
    return replace(
        next(iter(ENTRIES.values())), id=divergence["known"], subjects=(divergence["subject"],),
        versions=SpecifierSet(), devices=(), clauses=(divergence["clause"],), quantities=(),
        causes=(), where={},
    )  # fmt: skip


def written(tmp_path: Path, made: Bundle) -> tuple[Path, Finding]:
    """The findings' folder of a run that came across one divergence, and what was found."""
    run = tmp_path / "run"
    run.mkdir()
    path = run_of(run, aa=made) / "manifest.json"
    arguments = {"profile": "quick", "seed": 0, "cases": 10, "subjects": ["a"]}
    told = json.loads(path.read_text()) | {"arguments": arguments, "versions": {}}
    for subject in told["subjects"]:
        subject |= {"version": "1", "device": "cpu"}
    path.write_text(json.dumps(told))
    (found,) = write_findings([run], tmp_path / "out", [accepting(made)])
    return tmp_path / "out", found


def of_export() -> Bundle:
    """A divergence that no template shows, of an entry with a script by hand."""
    quantity = "y_folded_half_no_variance"
    return experiment("torch.module", "export.torch.fuse_conv", quantity, known=IN_HALF)


def test_every_entry_that_no_template_shows_has_a_script() -> None:
    """A new entry of export or second derivatives brings its script along."""
    wanted = {f"{name}.py" for name, entry in ENTRIES.items() if only_shown_by_hand(entry)}
    assert wanted
    assert wanted <= {path.name for path in PATHS}


def test_every_script_is_of_such_an_entry() -> None:
    """An entry that is gone takes its script with it, and nothing else lies beside them."""
    assert {path.suffix for path in PATHS} == {".py"}
    others = {path.stem for path in PATHS if not only_shown_by_hand(ENTRIES[path.stem])}
    assert others == MORE_PLAINLY


@every_script
def test_the_headline_is_what_the_entry_says(path: Path) -> None:
    """Subject, clause and quantity are among the entry's; no quantity there means any."""
    entry, (subject, name, quantity) = ENTRIES[path.stem], headline(path)
    assert subject in entry.subjects
    assert name in entry.clauses
    assert quantity in (entry.quantities or (quantity,))


@every_script
def test_the_clause_is_quoted_as_it_stands(path: Path) -> None:
    """A clause that is worded anew is worded anew here."""
    about = clause(headline(path)[1])
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert f"{about.id} ({about.level}): {about.statement}" in text


@every_script
def test_a_script_imports_numpy_and_its_framework_alone(path: Path) -> None:
    """A stranger has no bnconform; Keras counts its backend as part of it."""
    packages = RECIPES[headline(path)[0]].packages
    allowed = {DISTRIBUTED.get(package, package) for package in packages}
    assert frameworks(path)
    assert frameworks(path) <= allowed


@every_script
def test_without_its_framework_a_script_says_that_it_cannot_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, which is neither that it stands nor that it is gone."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in frameworks(path):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert end.value.code == 2
    assert capsys.readouterr().out.startswith("cannot run: ")


@every_script
def test_a_script_shows_its_divergence(path: Path) -> None:
    """By itself, as a stranger would run it, and it says what of."""
    for name in sorted(frameworks(path)):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    checked = check_script(path)
    assert checked.reproduces, checked.output
    # A framework may have warned before.
    subject, name, quantity = headline(path)
    shown = f"the {CALL}" if quantity == CALL else quantity
    said = checked.output[checked.output.index(f"{subject}: {name} does not hold for {shown}.") :]
    lines = said.splitlines()
    assert lines[1].startswith("versions: python ")
    assert all(f" {each} " in lines[1] for each in ("numpy", *frameworks(path)))
    assert {line.split()[0].rstrip(",") for line in lines[2:]} >= {"expected", "got"}


def test_a_finding_takes_the_script_that_was_written_for_it(tmp_path: Path) -> None:
    """Under the same name, and what it printed is on the page."""
    pytest.importorskip("torch")
    out, found = written(tmp_path, of_export())
    assert (found.name, found.script) == (IN_HALF, f"{IN_HALF}.py")
    assert (out / f"{IN_HALF}.py").read_text() == (FOLDER / f"{IN_HALF}.py").read_text()
    assert "got                     nan" in (out / "README.md").read_text()


def test_a_script_by_hand_that_shows_nothing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the divergence is gone, the page says so and not that there is no template."""
    monkeypatch.setattr(findings, "text_by_hand", lambda _: "print('expected 1, got 1')\n")
    out, found = written(tmp_path, of_export())
    assert found.script is None
    assert found.why == "run by itself it does not show the divergence"
    assert not (out / f"{IN_HALF}.py").exists()


def test_the_generated_script_stands_in_for_one_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another version of the framework, say, must not hide what the run's own case shows."""
    pytest.importorskip("torch")
    monkeypatch.setattr(findings, "text_by_hand", lambda _: "print('expected 1, got 1')\n")
    _, found = written(tmp_path, bundle("torch.functional", known="planted", shift=0.5))
    assert (found.script, found.why) == ("planted.py", "")
    assert "error / bound" in found.output


def test_the_command_prints_the_script_by_hand_where_no_other_is(tmp_path: Path) -> None:
    """It shows the known divergence, not the case in question, which is said beside it."""
    run = run_of(tmp_path, aa=of_export())
    done = CliRunner().invoke(app, ["explain", str(run), "aa", "--script"])
    assert done.exit_code == 0, done.output
    assert done.stdout == text_by_hand(IN_HALF)
    assert done.stderr == f"this script was written by hand for {IN_HALF}\n"


def test_where_nobody_wrote_one_there_is_none() -> None:
    """Other entries have generated scripts."""
    assert text_by_hand("torch-half-parameters-backward-overflows") is None
