"""``bnconform diff``: a gate over two runs, and what a reader learns within 80 columns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bnconform.cli.app import app

Altered = Callable[[Callable[[pd.DataFrame], pd.DataFrame]], Path]


def diff(*arguments: object) -> Result:
    """Call ``bnconform diff`` in this process."""
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


def mended(frame: pd.DataFrame) -> pd.DataFrame:
    """The running variance conforms."""
    wrong = (frame["clause"] == "BN-STATE-2") & (frame["quantity"] == "running_var")
    values = {"verdict": "conforms", "cause": "", "error_ratio": 0.5}
    return frame.assign(**{name: frame[name].mask(wrong, value) for name, value in values.items()})


def all_mended(frame: pd.DataFrame) -> pd.DataFrame:
    """Nothing diverges."""
    wrong = frame["verdict"] == "diverges"
    values = {"verdict": "conforms", "cause": ""}
    return frame.assign(**{name: frame[name].mask(wrong, value) for name, value in values.items()})


def without_the_variance(frame: pd.DataFrame) -> pd.DataFrame:
    """The running variance was not judged."""
    return frame[frame["quantity"] != "running_var"]


def accepted(frame: pd.DataFrame) -> pd.DataFrame:
    """Everything that diverges is known."""
    return frame.assign(known=frame["known"].mask(frame["verdict"] == "diverges", "w"))


def divergent(run: Path) -> pd.DataFrame:
    """The rows of a run that diverge, each once for each clause and quantity: how many it has."""
    rows = pd.read_parquet(run / "records")
    return rows[rows["verdict"] == "diverges"].groupby(["clause", "quantity"]).size().reset_index()


def test_a_run_against_itself_has_nothing_new(unbiased_run: Path) -> None:
    """Old divergences do not fail: that is the gate's use."""
    done = diff(unbiased_run, unbiased_run)
    assert done.exit_code == 0
    found = divergent(unbiased_run)
    told = f"Unchanged: {len(found)} divergences, {found[0].sum()} rows. Nothing is new or worse."
    assert told in done.output


def test_a_regression_fails_and_is_shown_with_its_cause(
    unbiased_run: Path, altered: Altered
) -> None:
    """Subject, cause, explanation, clause, quantity, both errors, and the bundle's id."""
    done = diff(altered(mended), unbiased_run)
    assert done.exit_code == 1
    assert "faulty.unbiased, conformed in A" in done.output
    assert "beyond bound (running_variance.unbiased); NOT KNOWN" in done.output
    (line,) = [line for line in done.output.splitlines() if "BN-STATE-2 " in line]
    name = line.split()[-1]
    assert (unbiased_run / "divergences" / name / "divergence.json").exists()
    assert " 0.5 -> " in line


def test_what_conforms_now_is_gone_and_passes(unbiased_run: Path, altered: Altered) -> None:
    """It was judged again."""
    done = diff(unbiased_run, altered(mended))
    assert done.exit_code == 0
    assert "Gone: judged again, and conforming: 1 divergence" in done.output


def test_what_is_not_judged_any_more_is_not_gone(unbiased_run: Path, altered: Altered) -> None:
    """It passes, unless B must be complete."""
    after = altered(without_the_variance)
    done = diff(unbiased_run, after)
    assert done.exit_code == 0
    assert "Gone" not in done.output
    gone = divergent(unbiased_run)["quantity"].eq("running_var").sum()
    assert gone
    assert f"Not looked at any more: {gone} divergences" in done.output
    assert "judged in A are not judged in B" in done.output
    assert diff("--complete", unbiased_run, after).exit_code == 1


def test_what_is_known_in_b_fails_only_if_strict(altered: Altered) -> None:
    """B's known divergences are accepted."""
    before, after = altered(all_mended), altered(accepted)
    done = diff(before, after)
    assert done.exit_code == 0, done.output
    every = len(divergent(after))
    assert f"{every} divergences new or worse but known in B. Nothing else is new or worse." in (
        " ".join(done.output.split())
    )
    assert diff("--strict", before, after).exit_code == 1


def test_json_holds_what_the_text_says(unbiased_run: Path, altered: Altered) -> None:
    """Counts by change, each divergence, and the exit status."""
    done = diff("--json", altered(mended), unbiased_run)
    found = json.loads(done.output)
    assert (found["exit_status"], done.exit_code) == (1, 1)
    every = len(divergent(unbiased_run))
    assert (found["counts"]["new"], found["counts"]["same"]) == (1, every - 1)
    (new,) = [each for each in found["divergences"] if each["fails"]]
    assert (new["clause"], new["explanation"]) == ("BN-STATE-2", "running_variance.unbiased")


def test_lines_fit_into_80_columns(unbiased_run: Path, altered: Altered) -> None:
    """But for paths, which are not broken."""
    done = diff(altered(accepted), unbiased_run)
    lines = [line for line in done.output.splitlines() if "/" not in line]
    assert "was known as w" in done.output
    assert max(map(len, lines)) <= 80


def test_a_folder_of_shards_is_one_run(unbiased_run: Path, tmp_path: Path) -> None:
    """As CI leaves them, each in a folder of its own."""
    folder = tmp_path / "shards"
    shutil.copytree(unbiased_run, folder / "one")
    done = diff(folder, unbiased_run)
    assert done.exit_code == 0
    assert "Nothing is new or worse" in done.output


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param("footer.json", "has no footer.json", id="a run that is not complete"),
        pytest.param("manifest.json", "no run at", id="no run"),
    ],
)
def test_what_is_no_complete_run_is_refused(
    unbiased_run: Path, tmp_path: Path, spoil: str, message: str
) -> None:
    """Exit status 2 and a sentence."""
    shutil.copytree(unbiased_run, tmp_path / "bad")
    (tmp_path / "bad" / spoil).unlink()
    done = diff(unbiased_run, tmp_path / "bad")
    assert done.exit_code == 2
    assert message in done.output


def test_a_broken_explanations_file_is_refused(unbiased_run: Path, tmp_path: Path) -> None:
    """It is not read as if there were no explanations."""
    shutil.copytree(unbiased_run, tmp_path / "bad")
    (tmp_path / "bad" / "explanations.json").write_text("[{}]")
    done = diff(unbiased_run, tmp_path / "bad")
    assert done.exit_code == 2
    assert "run it again" in done.output


@pytest.mark.parametrize("factor", ["0.5", "nan"])
def test_a_factor_below_one_is_refused(unbiased_run: Path, factor: str) -> None:
    """Every divergence would be worse than itself."""
    done = diff("--factor", factor, unbiased_run, unbiased_run)
    assert done.exit_code == 2
    assert "--factor must be at least 1" in done.output
