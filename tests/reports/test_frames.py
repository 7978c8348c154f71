"""Runs as frames: what is read, what is refused, how runs merge, and how rows are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.reports import (
    FRAMES,
    load_runs,
    matrix,
    write_frames,
)
from bnconform.reports.errors import (
    DuplicateRecordsError,
    MixedVersionsError,
    ReportError,
    RunCountsError,
    RunFormatError,
    RunIncompleteError,
    RunNotFoundError,
)
from bnconform.reports.views.report import Report


def only(frame: pd.DataFrame, **having: str) -> Any:
    """The one row that has these values, as a named tuple."""
    for column, value in having.items():
        frame = frame[frame[column] == value]
    (row,) = frame.itertuples(index=False)
    return row


def edit(path: Path, **changes: object) -> None:
    """Change fields of a JSON object on disk."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# What is read


def test_a_whole_run_gives_every_row_of_all_its_parts(written: Path, run: Any) -> None:
    """The frame holds as many rows as were written, over two parts."""
    assert len(load_runs([written]).records) == len(run.records)


def test_every_row_has_the_standing_that_its_verdict_gives_it(written: Path) -> None:
    """Vacuous rows are not conforming, covered ones known, and a crash is unexpected."""
    records = load_runs([written]).records
    assert records["standing"].value_counts().to_dict() == {
        "conforming": 5,
        "unexpected": 3,
        "known": 1,
        "vacuous": 1,
        "unsupported": 1,
    }


def test_a_run_without_rows_can_be_read(blank: Callable[[], Any], tmp_path: Path) -> None:
    """A shard may hold nothing: its frames have all columns and no row."""
    runs = load_runs([blank().write(tmp_path / "run")])
    assert list(runs.records.columns) == list(FRAMES["records"])
    assert len(runs.records) == 0


def test_infinite_and_missing_numbers_of_a_divergence_are_read(run: Any, tmp_path: Path) -> None:
    """JSON has no NaN and no infinity, so they come as texts or null."""
    run.divergences[0] |= {"got": "nan", "error_ratio": "inf", "bound": None, "worst_index": [2, 0]}
    found = only(load_runs([run.write(tmp_path / "run")]).divergences, id="d-known")
    assert pd.isna(found.got)
    assert pd.isna(found.bound)
    assert found.error_ratio == float("inf")
    assert found.worst_index == "2,0"


# What is refused


def test_a_run_without_a_footer_is_refused_with_the_way_to_finish_it(written: Path) -> None:
    """No footer means that the run is not complete; --resume finishes it."""
    (written / "footer.json").unlink()
    with pytest.raises(RunIncompleteError, match="bnconform run --resume"):
        load_runs([written])


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    """The message names the path."""
    with pytest.raises(RunNotFoundError, match=str(tmp_path)):
        load_runs([tmp_path])


def test_no_run_at_all_is_refused() -> None:
    """A report of nothing would look like a report without findings."""
    with pytest.raises(RunNotFoundError, match="no run was given"):
        load_runs([])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("records", {"good.one": 4}, id="rows of one subject lost"),
        pytest.param("counts", {"conforms": 1}, id="rows of one verdict lost"),
        pytest.param("unexpected", 0, id="an unexpected row is denied"),
        pytest.param("known", 0, id="a covered row is denied"),
        pytest.param("vacuous", 0, id="a vacuous row is denied"),
    ],
)
def test_a_footer_that_disagrees_with_the_parts_is_refused(
    written: Path, field: str, value: object
) -> None:
    """Each count of the footer is compared with the rows."""
    edit(written / "footer.json", **{field: value})
    with pytest.raises(RunCountsError, match=field):
        load_runs([written])


def test_a_lost_part_is_noticed(written: Path) -> None:
    """The footer's counts tell that a file is missing."""
    (written / "records" / "part-1.parquet").unlink()
    with pytest.raises(RunCountsError, match="run it again"):
        load_runs([written])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("manifest.json", "[]", id="no object"),
        pytest.param("manifest.json", '{"format": "bn-run/1"}', id="fields missing"),
        pytest.param("footer.json", "{", id="no JSON"),
        pytest.param("cases.jsonl", "{\n", id="no JSON lines"),
        pytest.param("cases.jsonl", "{}\n", id="no cases"),
        pytest.param("records/part-0.parquet", "x", id="no Parquet"),
        pytest.param("divergences/d-bad/divergence.json", "{}", id="no divergence"),
    ],
)
def test_a_file_that_is_not_what_it_must_be_is_refused(
    written: Path, name: str, content: str
) -> None:
    """A broken file is a RunFormatError that says where it is."""
    (written / name).write_text(content)
    with pytest.raises(RunFormatError, match=str(written)):
        load_runs([written])


@pytest.mark.parametrize("name", ["manifest.json", "footer.json"])
def test_another_format_of_runs_is_refused(written: Path, name: str) -> None:
    """The format is named in both files, and a later one may mean other things by its fields."""
    edit(written / name, format="bn-run/2")
    with pytest.raises(RunFormatError, match=r"must say 'format': 'bn-run/1', got 'bn-run/2'"):
        load_runs([written])


def test_a_part_that_lacks_a_column_is_refused(written: Path) -> None:
    """Rows of another version's format must not be read as half-empty ones."""
    part = written / "records" / "part-0.parquet"
    pd.read_parquet(part).drop(columns="bound").to_parquet(part)
    with pytest.raises(RunFormatError, match=r"lacks the columns \['bound'\]"):
        load_runs([written])


def test_rows_of_an_undescribed_subject_are_refused(run: Any, tmp_path: Path) -> None:
    """Every subject must be in the manifest."""
    run.subjects.pop(0)
    with pytest.raises(RunFormatError, match=r"subject .*good\.one"):
        load_runs([run.write(tmp_path / "run")])


def test_rows_of_an_undescribed_case_are_refused(run: Any, tmp_path: Path) -> None:
    """Every case must be in cases.jsonl, or nobody could repeat it."""
    run.cases.clear()
    with pytest.raises(RunFormatError, match="case_id"):
        load_runs([run.write(tmp_path / "run")])


def test_rows_of_another_framework_version_are_refused(run: Any, tmp_path: Path) -> None:
    """A run that was resumed after an upgrade mixes two subjects under one name."""
    run.records.append(run.row("good.one", run.case(), "BN-HALF-1", framework_version="2.0"))
    with pytest.raises(MixedVersionsError, match=r"version 1\.0, but holds rows of version 2\.0"):
        load_runs([run.write(tmp_path / "run")])


def test_every_refusal_is_a_report_error() -> None:
    """The command line catches one class."""
    errors = (RunNotFoundError, RunIncompleteError, RunFormatError, RunCountsError,
              MixedVersionsError, DuplicateRecordsError)  # fmt: skip
    assert all(issubclass(error, ReportError) for error in errors)


# How runs merge


def one_row(blank: Callable[[], Any], path: Path, seed: int = 1, **changes: Any) -> Path:
    """A run of one subject with one case of ``seed``; ``changes`` go to the subject."""
    run = blank()
    run.arguments = {key: changes.pop(key) for key in ("shard",) if key in changes}
    case = run.add_case(run.case(seed=seed))
    run.subjects = [run.subject("torch.module", **changes)]
    if run.subjects[0]["available"]:
        told = {"framework_version": changes.get("version", "1.0")}
        run.records = [run.row("torch.module", case, "BN-Y-1", **told)]
    return Path(run.write(path))


def test_shards_become_one_run(blank: Callable[[], Any], tmp_path: Path) -> None:
    """Rows of all shards are there, with the number of the run that they come from."""
    paths = [
        one_row(blank, tmp_path / str(shard), seed=shard, shard=[shard, 2]) for shard in (1, 2)
    ]
    runs = load_runs(paths)
    assert list(runs.records["run"]) == [1, 2] or list(runs.records["run"]) == [2, 1]
    assert runs.entries == ("torch.module",)
    assert list(runs.runs["shard"]) == ["1/2", "2/2"]
    assert len(set(runs.runs["campaign"])) == 1


def test_the_order_of_the_paths_does_not_show(blank: Callable[[], Any], tmp_path: Path) -> None:
    """Runs are ordered by what they say of themselves."""
    paths = [
        one_row(blank, tmp_path / str(shard), seed=shard, shard=[shard, 2]) for shard in (1, 2)
    ]
    first, second = load_runs(paths), load_runs(paths[::-1])
    pd.testing.assert_frame_equal(first.records, second.records)
    pd.testing.assert_frame_equal(first.runs, second.runs)


def test_the_same_row_twice_in_one_campaign_is_refused(
    blank: Callable[[], Any], tmp_path: Path
) -> None:
    """A shard given twice would be counted twice."""
    paths = [
        one_row(blank, tmp_path / "a", shard=[1, 2]),
        one_row(blank, tmp_path / "b", shard=[2, 2]),
    ]
    with pytest.raises(DuplicateRecordsError, match=r"torch\.module, case .*run 1 and 2"):
        load_runs(paths)


def test_another_seed_may_hold_the_same_case(blank: Callable[[], Any], tmp_path: Path) -> None:
    """It is another campaign, so the case was looked at again."""
    paths = [
        one_row(blank, tmp_path / "a", seed=1),
        one_row(blank, tmp_path / "b", seed=1),
    ]
    edit(paths[1] / "manifest.json", arguments={**arguments(paths[1]), "seed": 7})
    assert len(load_runs(paths).records) == 2


def arguments(path: Path) -> dict[str, Any]:
    """The arguments of a run on disk."""
    return dict(json.loads((path / "manifest.json").read_text())["arguments"])


def test_two_versions_of_a_framework_stay_apart(blank: Callable[[], Any], tmp_path: Path) -> None:
    """Each version is an entry of its own, although the rows are the same otherwise."""
    paths = [one_row(blank, tmp_path / version, version=version) for version in ("2.12", "2.13")]
    assert load_runs(paths).entries == ("torch.module 2.12", "torch.module 2.13")


def test_two_devices_stay_apart(blank: Callable[[], Any], tmp_path: Path) -> None:
    """The device is told where name and version do not tell subjects apart."""
    paths = [one_row(blank, tmp_path / device, device=device) for device in ("cpu", "cuda")]
    assert load_runs(paths).entries == ("torch.module cpu", "torch.module cuda")


def test_a_subject_without_a_version_stays_apart_from_several(
    blank: Callable[[], Any], tmp_path: Path
) -> None:
    """Nobody can tell which of the versions it was that could not be run."""
    paths = [one_row(blank, tmp_path / version, version=version) for version in ("2.12", "2.13")]
    paths.append(one_row(blank, tmp_path / "none", version="", available=False))
    entries = load_runs(paths).entries
    assert entries == ("torch.module", "torch.module 2.12", "torch.module 2.13")


def test_a_subject_that_is_missing_in_one_of_two_runs_is_available(
    blank: Callable[[], Any], clauses: Any, tmp_path: Path
) -> None:
    """Its column shows what it did where it ran."""
    paths = [
        one_row(blank, tmp_path / "a", shard=[1, 2]),
        one_row(blank, tmp_path / "b", shard=[2, 2], available=False, version="", reason="no"),
    ]
    runs = load_runs(paths)
    cells = matrix(runs.records, clauses, runs.subjects)
    assert runs.entries == ("torch.module",)
    assert set(cells["status"]) == {"conforms", "not run"}


# What is written


def test_every_frame_is_documented_column_by_column(written: Path, clauses: Any) -> None:
    """FRAMES names each frame and each of its columns, in order, and no other."""
    report = Report(runs=load_runs([written]), registry=clauses)
    assert {name: list(frame.columns) for name, frame in report.frames.items()} == {
        name: list(FRAMES[name]) for name in report.frames
    }
    assert set(report.frames) == set(FRAMES)


def test_written_frames_read_back(written: Path, clauses: Any, tmp_path: Path) -> None:
    """Parquet gives the same frame, CSV the same table."""
    frames = Report(runs=load_runs([written]), registry=clauses).frames
    write_frames(frames, tmp_path / "data")
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "data" / f"{name}.parquet"), frame, check_dtype=False
        )
        table = pd.read_csv(tmp_path / "data" / f"{name}.csv")
        assert list(table.columns) == list(FRAMES[name])
        assert len(table) == len(frame)


def test_the_dictionary_beside_the_frames_tells_every_column(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """README.md has a line for each column; bars in a text do not break its table."""
    write_frames(Report(runs=load_runs([written]), registry=clauses).frames, tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    for columns in FRAMES.values():
        for column, text in columns.items():
            assert f"| {column} | {text.replace('|', chr(92) + '|')} |" in lines
