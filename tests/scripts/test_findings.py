"""The page of findings: one entry for each, and a script that shows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.conformance.known.divergences import parse_known
from bnconform.conformance.scripts import findings, publish_scripts, render_scripts
from bnconform.conformance.scripts.findings import write_findings
from bnconform.conformance.scripts.publishing import conventions_by_subject

from .by_hand import bundle, plain_case
from .test_publishing import run_of

ENTRY = (
    """
[[divergence]]
id = "planted"
subject = "torch.functional"
versions = ">=0"
clause = "BN-TRAIN-1"
reason = """
    "'''It is\nplanted.'''"
    """
evidence = "This test."
upstream = "nobody's"
date = 2026-11-21
review_by = 2027-01-01
"""
)
KNOWN = parse_known(ENTRY, "planted.toml")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A known finding of two divergences, the simpler of which has no proof, and an unknown one."""
    pytest.importorskip("torch")
    folder = tmp_path / "run"
    folder.mkdir()
    made = run_of(
        folder,
        aa=bundle("torch.functional", simplicity=[1, 1, 1, ""], count=2),
        bb=bundle("torch.functional", simplicity=[2, 1, 1, ""], shift=0.5),
        cc=bundle("numpy.reference", shift=0.5, message="y is not what it must be"),
    )
    path = made / "manifest.json"
    manifest = json.loads(path.read_text())
    for subject in manifest["subjects"]:
        subject |= {"version": "2", "device": "cpu"}
    manifest["arguments"] = {"profile": "quick", "seed": 0, "cases": 10, "subjects": ["a", "b"]}
    path.write_text(json.dumps(manifest | {"versions": {"torch": "2"}}))
    return made


def test_every_finding_is_told_once_with_a_script_that_was_run(run: Path, tmp_path: Path) -> None:
    """The simplest divergence whose script shows it stands for the finding."""
    unknown, known = write_findings([run], tmp_path / "out", KNOWN)
    assert (unknown.name, unknown.script) == ("numpy.reference-bn-train-1-beyond-bound", None)
    assert "part of bnconform" in unknown.why
    assert (known.name, known.script, known.rows) == ("planted", "planted.py", 3)
    publish_scripts(run, only=lambda found: found["id"] == "bb")
    script = run / "divergences" / "bb" / "reproduce.py"
    assert (tmp_path / "out" / "planted.py").read_text() == script.read_text()
    assert "expected" in known.output


def test_a_script_that_is_too_long_is_left_for_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simplest case may have the longest arrays; without a shorter script its own must do."""
    pytest.importorskip("torch")
    simple, large = plain_case(shape=(4, 3), last_batch=4, steps=1), plain_case(steps=1)
    members = {
        "aa": bundle("torch.functional", large, simplicity=[1, 1, 1, ""], shift=0.5),
        "bb": bundle("torch.functional", simple, simplicity=[2, 1, 1, ""], shift=0.5),
    }
    made = run_of(tmp_path, **members)
    (long,), (short,) = (
        render_scripts(each.divergence, each.arrays, each.conventions) for each in members.values()
    )
    assert short.count("\n") < long.count("\n")
    found = [json.loads(path.read_text()) for path in made.glob("divergences/*/divergence.json")]
    ordered = sorted((each | {"run": made} for each in found), key=lambda each: each["simplicity"])
    conventions = {made: conventions_by_subject(made)}
    monkeypatch.setattr(findings, "LONGEST", short.count("\n"))
    texts, _ = findings._texts(ordered, conventions)  # noqa: SLF001 -- running them takes long
    assert [text.count("\n") for text in texts] == sorted(text.count("\n") for text in texts)
    monkeypatch.setattr(findings, "LONGEST", long.count("\n"))
    texts, _ = findings._texts(ordered, conventions)  # noqa: SLF001
    assert [text.count("\n") for text in texts] == [long.count("\n"), short.count("\n")]


def test_the_page_reads_from_what_is_new_to_what_is_known(run: Path, tmp_path: Path) -> None:
    """Reasons are one paragraph each, and what a script prints is quoted."""
    write_findings([run], tmp_path / "out", KNOWN)
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.index("## Not accepted yet") < page.index("## Known")
    assert "2 findings, 1 of them with a script" in page
    assert "It is planted." in page
    assert "y is not what it must be" in page
    assert "[planted.py](planted.py) prints:" in page
    assert "error / bound" in page


def test_several_runs_make_one_page(run: Path, tmp_path: Path) -> None:
    """A finding of two runs is one, with the results of both."""
    again = tmp_path / "again"
    shutil.copytree(run, again)
    unknown, known = write_findings([run, again], tmp_path / "out", KNOWN)
    assert (unknown.rows, known.rows) == (2, 6)
    assert (tmp_path / "out" / "README.md").read_text().count("--cases 10") == 2


def test_the_command_says_what_has_no_script(run: Path, tmp_path: Path) -> None:
    """And where the page is."""
    done = CliRunner().invoke(app, ["findings", str(run), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "no script: numpy.reference-bn-train-1-beyond-bound" in done.output
    assert "2 findings, 1 with a script" in done.output


def test_where_there_is_no_run_the_command_says_so(tmp_path: Path) -> None:
    """Nothing is written then."""
    done = CliRunner().invoke(app, ["findings", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "holds no run" in done.output
    assert not (tmp_path / "out").exists()
