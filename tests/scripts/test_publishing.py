"""Every script is run before it counts, and its verdict is kept beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance.engine.loading import Target, dialect_to_dict, load_class
from bnconform.conformance.engine.run_directory import RunDirectoryError
from bnconform.conformance.expecting.expectation import Conventions
from bnconform.conformance.scripts import ScriptStatus, publish_scripts, script_of
from bnconform.conformance.scripts.publishing import conventions_by_subject

from .by_hand import Bundle, bundle, conventions_of


def run_of(folder: Path, **bundles: Bundle) -> Path:
    """A run directory that holds ``bundles`` by their ids, and a manifest with their subjects."""
    subjects = sorted({each.divergence["subject"] for each in bundles.values()})
    manifest = {
        "subjects": [
            {"name": name, "dialect": dialect_to_dict(load_class(Target.parse(target)).dialect)}
            for name, target in REGISTRY.items()
            if name in subjects
        ]
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name, each in bundles.items():
        where = folder / "divergences" / name
        where.mkdir(parents=True)
        np.savez(where / "arrays.npz", **each.arrays)  # type: ignore[arg-type]  # npz's own flags
        text = json.dumps({**each.divergence, "id": name})
        (where / "divergence.json").write_text(text, encoding="utf-8")
    return folder


def kept(run: Path, name: str) -> dict[str, Any]:
    """The field ``script`` of a bundle."""
    text = (run / "divergences" / name / "divergence.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["script"]
    return found


def test_each_bundle_gets_a_script_and_its_verdict(tmp_path: Path) -> None:
    """One that shows its divergence, one that does not, and one that cannot be written."""
    pytest.importorskip("torch")
    run = run_of(
        tmp_path,
        aa=bundle("torch.functional", shift=0.5),
        bb=bundle("torch.functional"),
        cc=bundle("numpy.reference", shift=0.5),
    )
    published = publish_scripts(run)
    assert [each.status for each in published] == [
        ScriptStatus.REPRODUCES,
        ScriptStatus.DOES_NOT_REPRODUCE,
        ScriptStatus.NONE,
    ]
    assert kept(run, "aa")["file"] == "reproduce.py"
    assert kept(run, "aa")["status"] == "reproduces"
    assert kept(run, "bb")["status"] == "does not reproduce"
    assert kept(run, "cc") == {
        "file": None,
        "status": "none",
        "why": "no script for numpy.reference: its code is part of bnconform, and so there is no"
        " framework to call",
    }
    assert (run / "divergences" / "bb" / "reproduce.py").exists()
    assert not (run / "divergences" / "cc" / "reproduce.py").exists()


def test_the_rest_of_a_bundle_stays_as_it_was(tmp_path: Path) -> None:
    """Only the field ``script`` is added."""
    run = run_of(tmp_path, cc=bundle("numpy.reference"))
    path = run / "divergences" / "cc" / "divergence.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    publish_scripts(run)
    after = json.loads(path.read_text(encoding="utf-8"))
    del after["script"]
    assert after == before


def test_a_limit_and_a_choice_leave_the_others_alone(tmp_path: Path) -> None:
    """Running a script takes seconds, and a run can hold thousands."""
    run = run_of(tmp_path, **{name: bundle("numpy.reference") for name in ("aa", "bb", "cc")})
    published = publish_scripts(run, 1, only=lambda found: found["id"] != "aa")
    assert [each.divergence for each in published] == ["bb"]


def test_what_nobody_knows_of_comes_first_then_the_simplest(tmp_path: Path) -> None:
    """A limit must not spend itself on what is long known."""
    run = run_of(
        tmp_path,
        aa=bundle("numpy.reference", known="an-entry", simplicity=[1, 1, 1, ""]),
        bb=bundle("numpy.reference", simplicity=[9, 9, 9, ""]),
        cc=bundle("numpy.reference", simplicity=[1, 9, 9, ""]),
    )
    assert [each.divergence for each in publish_scripts(run)] == ["cc", "bb", "aa"]


@pytest.mark.parametrize("subject", REGISTRY)
def test_conventions_come_back_from_a_manifest(subject: str, tmp_path: Path) -> None:
    """What is expected must be what the run judged by, although no adapter is loaded."""
    run = run_of(tmp_path, aa=bundle(subject, quantity=next(iter(exposed(subject)))))
    found: Conventions = conventions_by_subject(run)[subject]
    assert found == conventions_of(subject)


def exposed(subject: str) -> list[Any]:
    """Quantities of a registered subject."""
    return sorted(load_class(Target.parse(REGISTRY[subject])).capabilities.quantities)


def test_a_script_can_be_had_without_running_it(tmp_path: Path) -> None:
    """Nothing is written, either."""
    run = run_of(tmp_path, aa=bundle("torch.functional"))
    path = run / "divergences" / "aa"
    text = script_of(run, json.loads((path / "divergence.json").read_text(encoding="utf-8")))
    assert "torch.nn.functional.batch_norm(" in text
    assert not (path / "reproduce.py").exists()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """The sentence says what to give."""
    with pytest.raises(RunDirectoryError, match="holds no run that can be read"):
        publish_scripts(tmp_path)
