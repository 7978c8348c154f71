"""``bnconform explain``: what a reader learns of a run's divergences, within 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bnconform.cli.app import app

CASE = {
    "format": "bn-case/1",
    "shape": [4, 3],
    "last_batch": 2,
    "feature_axes": [-1],
    "dtype": "float32",
    "layout": "contiguous",
    "upstream_layout": "strided",
    "center": True,
    "scale": False,
    "mode": "train",
    "steps": 2,
    "epsilon": 1e-5,
    "decay": 0.9,
    "fill": {"kind": "offset", "offset": 300.0, "seed": 7},
}
KNOWN = {
    "a-known-one": {
        "date": "2026-03-01",
        "reason": "The library  divides\nby n - 1.",
        "upstream": "issue 7",
        "review_by": "2027-01-01",
    }
}
SENTENCE = "The running variance is the unbiased one, sum (x - mu)^2 / (n - 1), in every case."


def bundle(name: str, **fields: Any) -> dict[str, Any]:
    """What a run keeps of a divergence."""
    usual = {
        "id": name,
        "subject": "some.subject",
        "clause": "BN-STATE-2",
        "quantity": "running_var",
        "verdict": "diverges",
        "cause": "beyond bound",
        "known": "",
        "count": 12,
        "cases": ["c1", "c2"],
        "case": CASE,
        "simplicity": [2, 12, 2, "c1"],
        "case_id": "c1",
        "step": 1,
        "worst_index": "2",
        "expected": 0.1,
        "got": 0.30000000000000004,
        "bound": 1e-7,
        "error_ratio": 2e6,
        "message": "expected 0.1, got 0.3",
        "output": "",
        "versions": {"numpy": "2.4", "torch": "2.13"},
    }
    return usual | fields


BUNDLES = [
    bundle("aa11", script={"file": "reproduce.py", "status": "reproduces", "why": "run by itself"}),
    bundle("aa22", known="a-known-one", count=3, cases=["c2", "c3"]),
    bundle(
        "bb33",
        subject="another.one",
        clause="BN-REJECT-5",
        quantity="call",
        verdict="wrong_contract",
        cause="wrong contract",
        case={"malformation": "gamma of one value", "what": "gamma has 1 value", "base": CASE},
        step=-1,
        worst_index="",
        expected="nan",
        got="nan",
        bound="nan",
        error_ratio="nan",
        message="accepted gamma has 1 value",
        script={"file": None, "status": "none", "why": "no script for another.one"},
    ),
]
EXPLANATION = {
    "subject": "some.subject",
    "kind": "convention",
    "name": "running_variance.unbiased",
    "sentence": SENTENCE,
    "where": {"dtype": ["float32", "float64"], "steps": {"min": 2}},
    "clauses": ["BN-STATE-2"],
    "quantities": ["running_var"],
    "affected": [["c1", "running_var"]],
    "divergences": ["aa11", "aa22"],
    "rows": 15,
    "cases": 3,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with three divergences, two of them explained together."""
    (tmp_path / "manifest.json").write_text(json.dumps({"known": KNOWN, "subjects": []}))
    (tmp_path / "explanations.json").write_text(json.dumps([EXPLANATION]))
    for each in BUNDLES:
        folder = tmp_path / "divergences" / each["id"]
        folder.mkdir(parents=True)
        (folder / "divergence.json").write_text(json.dumps(each))
    (tmp_path / "divergences" / "aa11" / "reproduce.py").write_text("print('hello')\n")
    return tmp_path


def explain(*arguments: object) -> Result:
    """The command in this process."""
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def text_of(*arguments: object) -> str:
    """What the command prints where it succeeds, lines joined as a reader does."""
    done = explain(*arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


def test_divergences_with_one_cause_are_one_row(run: Path) -> None:
    """With its sentence, where it holds, its rows and its cases."""
    text = text_of(run)
    assert "running_variance.unbiased 15 rows, 3 cases" in text
    assert SENTENCE in text
    assert "where dtype = float32 or float64, steps at least 2" in text
    assert "2 causes of 3 divergences" in text


def test_what_is_known_since_when_is_said_and_what_is_not(run: Path) -> None:
    """A cause that is known in part must not look accepted."""
    text = text_of(run)
    assert "known: a-known-one (since 2026-03-01); some of it NOT KNOWN" in text


def test_what_nothing_explains_is_unexplained(run: Path) -> None:
    """Never a guess."""
    assert "another.one =========== unexplained 12 rows" in text_of(run)


def test_scripts_are_counted(run: Path) -> None:
    """Those that show their divergence, and those that do not."""
    assert "1 have a script that shows them, 0 one that does not." in text_of(run)


def test_a_run_without_explanations_is_grouped_by_what_is_wrong(run: Path) -> None:
    """And says so."""
    (run / "explanations.json").unlink()
    text = text_of(run)
    assert text.startswith("This run does not say why its subjects diverge")
    assert "beyond bound 12 rows, 2 cases NOT KNOWN aa11" in text
    assert "beyond bound 3 rows, 2 cases known: a-known-one" in text


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param("some.subject: BN-STATE-2 does not hold for running_var", id="what"),
        pytest.param("at [2], training step 2 expected 0.1 got 0.30000000000000004", id="worst"),
        pytest.param("bound 1e-07 error / bound 2e+06", id="how far off"),
        pytest.param(f"running_variance.unbiased (convention) {SENTENCE}", id="why"),
        pytest.param("BN-STATE-2 (MUST): rv' = decay rv + (1 - decay) V", id="the clause"),
        pytest.param("conformance/spec.py, update_running_var", id="the equation"),
        pytest.param("No: no entry of known/*.toml covers it.", id="not known"),
        pytest.param(
            "2 training steps, then inference; the last step has a batch of 2 float32 input of"
            " shape (4, 3), features on axis -1",
            id="the case in words",
        ),
        pytest.param("values 'offset', mean / deviation 300 (seed 7)", id="its values"),
        pytest.param("epsilon 1e-05, decay 0.9, beta alone", id="its settings"),
        pytest.param("in memory: input contiguous, gradient strided", id="its layout"),
        pytest.param("divergences/aa11/reproduce.py reproduces: run by itself", id="the script"),
        pytest.param('"feature_axes":[-1],"fill":', id="the case to be copied"),
    ],
)
def test_one_divergence_is_told_in_full(expected: str, run: Path) -> None:
    """By its id or the beginning of it."""
    assert expected in text_of(run, "aa1")


def test_a_known_divergence_says_since_when_and_why(run: Path) -> None:
    """From the manifest, so that an old run is told by the entries of its time."""
    expected = "a-known-one, since 2026-03-01 The library divides by n - 1. upstream: issue 7;"
    assert expected in text_of(run, "aa22")


def test_a_malformed_call_is_told_by_what_is_wrong(run: Path) -> None:
    """There is no element to show."""
    text = text_of(run, "bb33")
    assert "BN-REJECT-5 does not hold for the call" in text
    assert "verdict wrong contract accepted gamma has 1 value" in text
    assert "malformed: gamma has 1 value" in text
    assert "no script for another.one" in text
    assert "nan" not in text


@pytest.mark.parametrize("arguments", [(), ("aa11",), ("aa22",), ("bb33",)], ids=str)
def test_lines_fit_in_80_columns(arguments: tuple[str, ...], run: Path) -> None:
    """But for paths, and for the JSON that is to be copied."""
    lines = explain(run, *arguments).stdout.splitlines()
    long = [line for line in lines if len(line) > 80]
    assert len(lines) > 10
    assert all(line.startswith("{") or str(run) in line for line in long)


def test_the_script_can_be_printed(run: Path) -> None:
    """Alone, so that it can be piped into a file."""
    assert explain(run, "aa11", "--script").stdout == "print('hello')\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("aa",), "'aa' begins 2 ids: aa11, aa22", id="not unique"),
        pytest.param(("zz",), "has no divergence 'zz'; `bnconform explain RUN`", id="unknown"),
        pytest.param(("--script",), "--script needs a divergence", id="whose script"),
        pytest.param(("bb33", "--script"), "no script", id="no script"),
    ],
)
def test_what_cannot_be_told_exits_2(arguments: tuple[str, ...], message: str, run: Path) -> None:
    """With one sentence that says what to do."""
    done = explain(run, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_folder_without_a_run_exits_2(tmp_path: Path) -> None:
    """A typing error is no empty run."""
    done = explain(tmp_path)
    assert done.exit_code == 2
    assert "holds no run that can be read" in done.stderr


def test_a_run_without_divergences_says_so(run: Path) -> None:
    """An empty table would look like a failure of the command."""
    for path in run.glob("divergences/*/divergence.json"):
        path.unlink()
    assert text_of(run).endswith("has no divergences.")


def test_json_holds_the_groups(run: Path) -> None:
    """Everything that the table shows."""
    groups = json.loads(explain(run, "--json").stdout)
    unexplained, explained = groups
    assert unexplained["name"] == "unexplained"
    assert explained["divergences"] == ["aa11", "aa22"]
    assert (explained["rows"], explained["cases"]) == (15, 3)
    assert explained["known"] == ["a-known-one"]
    assert explained["all_known"] is False


def test_json_of_one_holds_the_bundle_and_what_is_told_of_it(run: Path) -> None:
    """The bundle's own fields first of all."""
    found = json.loads(explain(run, "aa22", "--json").stdout)
    assert found["id"] == "aa22"
    assert found["explanation"]["name"] == "running_variance.unbiased"
    assert found["known_entry"]["date"] == "2026-03-01"
    assert found["equation"] == "update_running_var"
    assert found["words"][0].startswith("2 training steps")
