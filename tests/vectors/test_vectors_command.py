"""``bnconform vectors`` as a user meets it: exit status and messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bnconform.cli.app import app

FAULTY = Path(__file__).parents[1] / "engine" / "faulty.py"


def vectors(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["vectors", *map(str, arguments)])


@pytest.fixture
def path(data: dict[str, Any], tmp_path: Path) -> Path:
    """The hand-made file on disk."""
    found = tmp_path / "vectors.json"
    found.write_text(json.dumps(data, indent=1))
    return found


def test_a_right_file_exits_0_with_a_summary(path: Path) -> None:
    """How many values agree, and none of them singly."""
    done = vectors("check", path)
    assert done.exit_code == 0
    assert "values of the file: 8 agrees, 0 disagrees, 0 not checked" in done.stdout
    assert "ok  " not in done.stdout
    assert vectors("check", path, "--verbose").stdout.count("ok    by-hand") == 8


def test_a_wrong_value_exits_1_and_is_shown(data: dict[str, Any], path: Path) -> None:
    """The vector, the quantity, both values and the place."""
    data["vectors"][0]["expected"]["dgamma"]["data"][1] = 0.5
    path.write_text(json.dumps(data))
    done = vectors("check", path)
    assert done.exit_code == 1
    assert "DIFF  by-hand dgamma: expected 0, got 0.5 at [1]" in done.stdout


def test_a_malformed_file_exits_2_with_every_problem(data: dict[str, Any], path: Path) -> None:
    """On stderr for people, on stdout as data for programs."""
    data["vectors"][0] |= {"mode": "test", "dtype": "half"}
    path.write_text(json.dumps(data, indent=1))
    done = vectors("check", path)
    assert done.exit_code == 2
    assert f"{path}:7: vectors[0].mode: must be one of" in done.stderr
    assert "bnconform: 2 problems; see docs/vectors.md" in done.stderr
    as_data = vectors("check", path, "--json")
    assert as_data.exit_code == 2
    listed = json.loads(as_data.stdout)["problems"]
    assert [(each["line"], each["part"]) for each in listed] == [
        (7, "vectors[0].mode"), (8, "vectors[0].dtype"),
    ]  # fmt: skip


def test_json_has_a_row_for_every_comparison(path: Path) -> None:
    """With the subject's beside the file's."""
    done = vectors("check", path, "--subject", "numpy.reference", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)["rows"]
    assert [row["who"] for row in rows] == ["spec"] * 8 + ["numpy.reference"] * 8
    assert {row["result"] for row in rows} == {"agrees"}


def test_a_subject_that_does_not_run_here_exits_2(path: Path) -> None:
    """With the reason that its process gave."""
    done = vectors("check", path, "--subject", f"{FAULTY}:CannotStart")
    assert done.exit_code == 2
    assert "is not available: " in done.stderr


def test_a_file_that_checks_nothing_exits_2(data: dict[str, Any], path: Path) -> None:
    """Nothing compared is no pass."""
    data["vectors"][0]["expected"] = {}
    path.write_text(json.dumps(data))
    done = vectors("check", path)
    assert done.exit_code == 2
    assert "nothing was checked, which is no pass" in done.stderr
    assert "not checked, 1 times: call: the vector expects nothing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["check"], "give a FILE, or --onnx", id="nothing to check"),
        pytest.param(["check", "a.json", "--onnx"], "give a FILE, or --onnx", id="two things"),
        pytest.param(["check", "gone.json"], "No such file or directory: gone.json", id="no file"),
        pytest.param(
            ["check", "gone.json", "--subject", "tf.layer"],
            "no subject tf.layer; there are: numpy.reference",
            id="no such subject",
        ),
        pytest.param(
            ["export", "--out", "new", "--cases", "0"],
            "--cases must be at least 1, got 0",
            id="no cases",
        ),
        pytest.param(
            ["export", "--out", "new", "--dialect", "unbias"],
            "no subject unbias; there are: biased, unbiased, numpy.reference",
            id="no such dialect",
        ),
    ],
)
def test_a_call_that_cannot_be_carried_out_exits_2_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """What arrived and what to do; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    done = vectors(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_exported_can_be_checked(tmp_path: Path) -> None:
    """The two commands fit together; the paths written are printed."""
    out = tmp_path / "set"
    done = vectors("export", "--out", out, "--cases", 3, "--dialect", "torch.functional")
    assert done.exit_code == 0
    assert sorted(done.stdout.split()) == sorted(map(str, out.iterdir()))
    assert vectors("check", out / "vectors.json").exit_code == 0


def test_the_vectors_of_onnx_are_checked_without_a_file() -> None:
    """The summary names the package and its version."""
    onnx = pytest.importorskip("onnx", reason="onnx ships the vectors, and is not installed")
    done = vectors("check", "--onnx")
    assert done.exit_code == 0
    assert f"the tests of the onnx {onnx.__version__} package" in done.stdout
