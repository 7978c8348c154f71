"""Shards that are given together: what is missing is named, what does not fit is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.reports import build_report, gaps, load_runs
from bnconform.reports.errors import DuplicateRecordsError
from bnconform.reports.shards import missing_shards

RUN = "the run 'quick, 500 cases, seed 0'"

Make = Callable[..., Path]


@pytest.fixture
def make(blank: Callable[[], Any], tmp_path: Path) -> Make:
    """Writes a shard, such as 1/3, with a case of its own."""

    def make(
        shard: str,
        *,
        name: str = "",
        versions: dict[str, str] | None = None,
        rows: bool = True,
        subject: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Path:
        run = blank()
        index, count = map(int, shard.split("/"))
        run.arguments = {"shard": [index, count], **arguments}
        case = run.add_case(run.case(seed=index))
        run.subjects = [run.subject("torch.module", **(subject or {})), run.subject("tf.nn")]
        if rows:
            run.records = [run.row("tf.nn", case, "BN-Y-1")]
        path = Path(run.write(tmp_path / (name or shard.replace("/", "-of-"))))
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["versions"] |= versions or {}
        (path / "manifest.json").write_text(json.dumps(manifest))
        return path

    return make


def _gaps(paths: Sequence[Path]) -> list[str]:
    return list(gaps(load_runs(paths)))


def test_all_shards_together_are_whole(make: Make) -> None:
    """Nothing is complained of, in whatever order they come."""
    assert _gaps([make("3/3"), make("1/3"), make("2/3")]) == []


def test_a_whole_run_is_whole(make: Make) -> None:
    """Without --shard there is one part."""
    assert _gaps([make("1/1")]) == []


def test_a_missing_shard_is_named(make: Make) -> None:
    """The first and the third of three were given."""
    assert _gaps([make("1/3"), make("3/3")]) == [f"shard 2/3 of {RUN} is missing"]


def test_several_missing_shards_are_named(make: Make) -> None:
    """The last ones too, which no other shard follows."""
    assert _gaps([make("2/4")]) == [f"shards 1/4, 3/4 and 4/4 of {RUN} are missing"]


@given(
    count=st.integers(1, 6),
    given_indices=st.sets(st.integers(1, 6), min_size=1),
)
def test_exactly_the_missing_shards_are_named(count: int, given_indices: set[int]) -> None:
    """Each index that is not given, and no other."""
    from bnconform.reports.shards import _lacking, _Shard

    present = sorted(index for index in given_indices if index <= count) or [1]
    shards = [
        _Shard(asked="", kind="", index=index, count=count, run=number)
        for number, index in enumerate(present)
    ]
    assert _lacking(shards) == [i for i in range(1, count + 1) if i not in present]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({"seed": 7}, "the run 'quick, 500 cases, seed 7'", id="other cases"),
        pytest.param({"subjects": ["tf.nn"]}, RUN, id="other subjects are another list of units"),
    ],
)
def test_shards_of_different_arguments_do_not_make_a_whole(
    make: Make, changes: dict[str, Any], name: str
) -> None:
    """One of two here and the other of two there: each lacks one."""
    found = _gaps([make("1/2"), make("2/2", **changes)])
    assert sorted(found) == sorted([
        f"shard 2/2 of {RUN} is missing", f"shard 1/2 of {name} is missing"
    ])  # fmt: skip


def test_shards_of_different_versions_do_not_make_a_whole(make: Make) -> None:
    """What differs is named, with what it is in each."""
    found = _gaps([make("1/2"), make("2/2", versions={"numpy": "2.5.0"})])
    assert found == [f"shards 1/2 and 2/2 of {RUN} differ in numpy (2.4.6 and 2.5.0)"]


def test_two_whole_runs_of_different_versions_are_two_whole_runs(make: Make) -> None:
    """A report may compare them."""
    newer = {"version": "2.0"}
    paths = [make(f"{i}/2", subject=newer, name=f"new{i}", versions={"torch": "2.0"},
                  rows=False) for i in (1, 2)]  # fmt: skip
    assert _gaps([make("1/2"), make("2/2"), *paths]) == []


def test_the_patch_level_of_python_does_not_matter(make: Make) -> None:
    """Machines that are alike otherwise differ in it."""
    assert _gaps([make("1/2"), make("2/2", versions={"python": "3.11.9"})]) == []


def test_a_subject_that_is_unavailable_in_one_shard_lacks_its_part(make: Make) -> None:
    """The others have theirs."""
    absent = {"available": False, "version": "", "reason": "no module named 'torch'"}
    found = _gaps([make("1/2"), make("2/2", subject=absent)])
    assert found == ["torch.module has no part in shard 2/2"]


def test_a_subject_of_another_version_lacks_its_parts(make: Make) -> None:
    """Each version is a column of its own, with a part of the results."""
    found = _gaps([make("1/2"), make("2/2", subject={"version": "2.0"})])
    assert found == [
        "torch.module 1.0 has no part in shard 2/2",
        "torch.module 2.0 has no part in shard 1/2",
    ]


def test_a_shard_without_rows_that_is_given_twice_is_complained_of(make: Make) -> None:
    """Nothing is counted twice, yet one of them is likely to be meant to be another."""
    found = _gaps([make("1/2"), make("2/2", rows=False), make("2/2", rows=False, name="again")])
    assert found == [f"shard 2/2 of {RUN} is given more than once"]


def test_a_shard_with_rows_that_is_given_twice_is_refused(make: Make) -> None:
    """Its rows would be counted twice."""
    with pytest.raises(DuplicateRecordsError, match="give each part of a campaign once"):
        load_runs([make("1/2"), make("2/2"), make("2/2", name="again")])


def test_shards_of_different_cuts_that_overlap_are_refused(make: Make) -> None:
    """The first of two and the first of three begin with the same unit."""
    with pytest.raises(DuplicateRecordsError, match="in the records more than once"):
        load_runs([make("1/2"), make("1/3")])


def test_missing_shards_in_a_word(make: Make) -> None:
    """As a comparison tells them."""
    assert missing_shards(load_runs([make("1/3"), make("3/3")])) == "2/3 missing"
    assert missing_shards(load_runs([make("1/1", name="whole")])) == ""


def test_the_page_says_that_it_is_incomplete(make: Make, clauses: Any, tmp_path: Path) -> None:
    """Before its verdict, and at the foot of every page."""
    index = build_report([make("1/3"), make("3/3")], tmp_path / "site", clauses)
    page = index.read_text()
    said = page.index("This report is incomplete: shard 2/3 of the run")
    assert said < page.index("Nothing unexpected was found")
    assert ", incomplete" in (tmp_path / "site" / "known.html").read_text()


def test_the_page_of_whole_runs_says_nothing_of_it(
    make: Make, clauses: Any, tmp_path: Path
) -> None:
    """No alarm where nothing is missing."""
    index = build_report([make("1/2"), make("2/2")], tmp_path / "site", clauses)
    assert "incomplete" not in index.read_text()


def test_report_writes_the_site_complains_and_exits_1(make: Make, tmp_path: Path) -> None:
    """What is there can be read; a step of CI that merges shards does not pass."""
    paths = [str(make("1/3")), str(make("3/3"))]
    done = CliRunner().invoke(app, ["report", *paths, f"--out={tmp_path / 'site'}"])
    assert done.exit_code == 1, done.output
    assert f"bnconform: incomplete: shard 2/3 of {RUN} is missing" in done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_diff_complains_of_the_side_that_lacks_a_shard(make: Make, tmp_path: Path) -> None:
    """On stderr, and among what is not alike."""
    make("1/2", name="a/1")
    make("2/2", name="a/2")
    make("1/2", name="b/1")
    done = CliRunner().invoke(app, ["diff", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    assert f"bnconform: B is incomplete: shard 2/2 of {RUN} is missing" in done.stderr
    assert "all -> 2/2 missing" in done.stdout
