"""``bnconform known``: entries are added, listed and checked against a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bnconform.cli.app import app
from bnconform.conformance.known.divergences import load_known

NAME = "faulty-unbiased-running-variance-unbiased"


def known(*arguments: object) -> Result:
    """Call ``bnconform known`` in this process."""
    return CliRunner().invoke(app, ["known", *map(str, arguments)])


def first_divergence(run: Path) -> str:
    """The id of one of its bundles."""
    return min(path.name for path in (run / "divergences").iterdir())


def added(run: Path, file: Path, *more: object) -> Result:
    """Add an entry for the first divergence to ``file``."""
    options = ("--reason", "It stores the unbiased one.", "--file", file, *more)
    return known("add", run, first_divergence(run)[:6], *options)


@pytest.fixture
def folder(unbiased_run: Path, tmp_path: Path) -> Path:
    """A folder with an entry for what ``unbiased_run`` found."""
    done = added(unbiased_run, tmp_path / "known" / "own.toml")
    assert done.exit_code == 0, done.output
    return tmp_path / "known"


def unexpected(run: Path) -> int:
    """How many rows of a run diverge without an entry."""
    footer: dict[str, int] = json.loads((run / "footer.json").read_text())
    return footer["unexpected"]


def rewrite(folder: Path, old: str, new: str) -> None:
    """Change the entry's text."""
    path = folder / "own.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_an_entry_covers_all_that_has_the_cause(unbiased_run: Path, folder: Path) -> None:
    """Every clause and quantity in which the convention shows, and it is named."""
    (entry,) = load_known(folder)
    assert (entry.id, entry.explanations) == (NAME, ("running_variance.unbiased",))
    assert set(entry.quantities) == {"running_var", "y_infer"}
    assert str(unexpected(unbiased_run)) in known("list", unbiased_run, "--known", folder).output


def test_a_run_with_the_entry_has_nothing_unexpected(folder: Path, tmp_path: Path) -> None:
    """The entry does in a campaign what it promised."""
    target = f"{Path(__file__).parents[1] / 'engine' / 'faulty.py'}:UnbiasedRunningVariance"
    arguments = ["--adapter", target, "--cases", "40", "--known", folder, "--out", tmp_path / "r"]
    done = CliRunner().invoke(app, ["run", *map(str, arguments)])
    assert done.exit_code == 0, done.output


def test_upstream_and_review_date_are_as_given(unbiased_run: Path, tmp_path: Path) -> None:
    """They are what only a person knows."""
    options = ("--upstream", "https://example.org/1", "--review-by", "2999-01-02")
    added(unbiased_run, tmp_path / "own.toml", *options)
    (entry,) = load_known(tmp_path)
    assert (entry.upstream, str(entry.review_by)) == ("https://example.org/1", "2999-01-02")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--review-by", "soon"], "a date such as", id="no date"),
        pytest.param(["--review-by", "2020-01-01"], "must lie ahead", id="overdue at once"),
        pytest.param(["--explanation", "axis.other"], "not explained by", id="not its cause"),
        pytest.param(["--reason", " "], "must say why", id="no reason"),
    ],
)
def test_a_call_at_fault_writes_nothing(
    unbiased_run: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    """Exit status 2 and a sentence."""
    done = added(unbiased_run, tmp_path / "k" / "own.toml", *options)
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "k").exists()


def test_a_divergence_that_is_not_there_is_refused(unbiased_run: Path, tmp_path: Path) -> None:
    """An ambiguous beginning, too: the ids are told."""
    every = len(list((unbiased_run / "divergences").iterdir()))
    for beginning, told in (("zz", "there are none"), ("", f"there are {every}: ")):
        done = known("add", unbiased_run, beginning, "--reason", "r", "--file", tmp_path / "a.toml")
        assert done.exit_code == 2
        assert told in done.output


def test_a_divergence_is_not_added_twice(unbiased_run: Path, folder: Path) -> None:
    """The entry that covers it by now is named, and the file stays as it was."""
    before = (folder / "own.toml").read_text()
    done = added(unbiased_run, folder / "other.toml")
    assert done.exit_code == 2
    rows = unexpected(unbiased_run)
    assert f"{NAME} in own.toml covers {rows} rows of it already" in done.output
    assert (folder / "own.toml").read_text() == before
    assert not (folder / "other.toml").exists()


def test_entries_that_hold_pass_the_check(unbiased_run: Path, folder: Path) -> None:
    """Exit status 0."""
    done = known("check", unbiased_run, "--known", folder)
    assert done.exit_code == 0, done.output
    assert "1 known divergence: 0 problems" in done.output


def explain_otherwise(run: Path, out: Path) -> Path:
    """A copy of ``run`` in which y_infer has a cause of its own."""
    shutil.copytree(run, out)
    path = out / "explanations.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())
    own = [dict(each) for each in found]
    for each, other in zip(found, own, strict=True):
        each["affected"] = [pair for pair in each["affected"] if pair[1] != "y_infer"]
        other["affected"] = [pair for pair in other["affected"] if pair[1] == "y_infer"]
        each["quantities"], other["quantities"] = ["running_var"], ["y_infer"]
        other["name"] = "inference.batch_statistics"
    path.write_text(json.dumps([*found, *own]))
    return out


def test_an_entry_that_hides_a_second_cause_fails_the_check(
    unbiased_run: Path, folder: Path, tmp_path: Path
) -> None:
    """Until it names that cause."""
    run = explain_otherwise(unbiased_run, tmp_path / "two")
    done = known("check", run, "--known", folder)
    assert done.exit_code == 1
    assert "over-broad, it hides inference.batch_statistics" in " ".join(done.output.split())
    name = '"running_variance.unbiased"'
    rewrite(
        folder, f"explanation = {name}", f'explanation = [{name}, "inference.batch_statistics"]'
    )
    assert known("check", run, "--known", folder).exit_code == 0


def test_of_two_causes_each_gets_an_entry_of_its_own(unbiased_run: Path, tmp_path: Path) -> None:
    """The rows of the other cause stay open."""
    run = explain_otherwise(unbiased_run, tmp_path / "two")
    done = added(run, tmp_path / "own.toml")
    assert done.exit_code == 0, done.output
    (entry,) = load_known(tmp_path)
    assert len(entry.quantities) == 1


def test_an_overdue_entry_fails_the_check_and_is_marked_in_the_list(
    unbiased_run: Path, folder: Path
) -> None:
    """Someone must look again."""
    (entry,) = load_known(folder)
    rewrite(folder, f"review_by = {entry.review_by}", "review_by = 2020-01-01")
    done = known("check", unbiased_run, "--known", folder)
    assert done.exit_code == 1
    assert "its review_by 2020-01-01 has passed" in " ".join(done.output.split())
    assert "2020-01-01!" in known("list", "--known", folder).output


def test_an_entry_that_matches_nothing_fails_the_check(unbiased_run: Path, folder: Path) -> None:
    """The run looked, and found none of it."""
    rewrite(folder, 'cause = "beyond bound"', 'cause = "not finite"')
    done = known("check", unbiased_run, "--known", folder)
    assert done.exit_code == 1
    assert "matched nothing in" in done.output


def test_a_run_without_explanations_is_said_to_tell_less(
    unbiased_run: Path, folder: Path, tmp_path: Path
) -> None:
    """What is over-broad cannot be known."""
    run = shutil.copytree(unbiased_run, tmp_path / "old")
    (run / "explanations.json").unlink()
    done = known("check", run, "--known", folder)
    assert done.exit_code == 0
    assert "what is over-broad cannot be told" in " ".join(done.output.split())


def test_the_list_fits_into_80_columns(folder: Path) -> None:
    """Ours and one's own; entries without a run have no count of rows."""
    for arguments in (["list"], ["list", "--known", folder]):
        done = known(*arguments)
        assert done.exit_code == 0
        assert max(map(len, done.output.splitlines())) <= 80
        assert "rows" not in done.output


def test_known_must_be_a_folder(unbiased_run: Path) -> None:
    """A file is not a folder of entries."""
    done = known("check", unbiased_run, "--known", "nowhere")
    assert done.exit_code == 2
    assert "--known must be a folder of .toml files" in done.output
