"""What a run directory survives: kills, damage, a second run, a disk that takes no more."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.conformance.engine.run_directory import RunDirectory, RunDirectoryError

ARGUMENTS = ("run", "--subjects", "numpy.reference", "--cases", "150", "--scripts", "0")


def _run(out: Path, *options: str) -> Any:
    return CliRunner().invoke(app, [*ARGUMENTS, "--out", str(out), *options])


def _rows(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "records").drop(columns="seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = _run(out)
    assert done.exit_code == 0, done.output
    return out


def _truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-100])


def _flip(part: Path) -> None:
    content = bytearray(part.read_bytes())
    # Inside the first column's first page, which the file's own footer does not cover.
    content[40] ^= 0xFF
    part.write_bytes(content)


def _empty(part: Path) -> None:
    part.write_bytes(b"")


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty])
def test_a_damaged_part_is_made_again(
    whole: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Resuming reads every part back and redoes those that do not hold what was written."""
    out = tmp_path / "run"
    assert _run(out).exit_code == 0
    damage(sorted((out / "records").glob("*.parquet"))[2])
    (out / "footer.json").unlink()
    done = _run(out, "--resume")
    assert done.exit_code == 0, done.output
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))


def test_damaged_explanations_are_made_again(whole: Path, tmp_path: Path) -> None:
    """They are written last of a subject, so a crash of the machine hits them first."""
    out = tmp_path / "run"
    assert _run(out).exit_code == 0
    (out / "explanations" / "numpy.reference.json").write_text('[{"subject": "nu')
    assert _run(out, "--resume").exit_code == 0
    assert (out / "explanations.json").read_text() == (whole / "explanations.json").read_text()


def test_two_runs_do_not_write_to_one_directory(tmp_path: Path) -> None:
    """The second is told so; the first goes on."""
    out = tmp_path / "run"
    first = RunDirectory.create(out, {"format": "bn-run/1"}, ())
    with pytest.raises(RunDirectoryError, match="another run is writing to"):
        RunDirectory.create(out, {"format": "bn-run/1"}, ())
    first.close({})
    first.release()
    # Released, it is not locked any more, but it is not empty either.
    with pytest.raises(RunDirectoryError, match="already holds a run"):
        RunDirectory.create(out, {"format": "bn-run/1"}, ())


def test_a_full_disk_is_a_clear_error_and_loses_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written stays, no half-written file is left, and resuming completes the run."""
    out = tmp_path / "run"
    write, parts = pd.DataFrame.to_parquet, []

    def full(frame: pd.DataFrame, path: Path, **options: Any) -> None:
        parts.append(path)
        write(frame, path, **options)
        if len(parts) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    done = _run(out)
    assert done.exit_code == 2
    assert "No space left on device" in done.output
    assert "--resume" in done.output
    assert not list(out.glob("**/*.tmp"))
    monkeypatch.undo()
    assert len(list((out / "records").glob("*.parquet"))) == 3
    assert _run(out, "--resume").exit_code == 0
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits other processes")
def test_a_write_that_fails_halfway_loses_nothing(whole: Path, tmp_path: Path) -> None:
    """What the library in C has begun is removed, and resuming completes the run."""
    out = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "bnconform", *ARGUMENTS, "--out", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as harness:  # fmt: skip
        while not list(out.glob("records/*.parquet")):
            time.sleep(0.01)
        resource.prlimit(harness.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        _, told = harness.communicate()
    assert harness.returncode == 2, told
    assert "File too large" in told
    assert "continue with --resume" in told
    assert not list(out.glob("**/*.tmp"))
    done = _run(out, "--resume")
    assert done.exit_code == 0, done.output
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))


def _read_only(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_read_only_place_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that another place must be chosen, before anything is asked."""
    monkeypatch.setattr(Path, "mkdir", _read_only)
    with pytest.raises(RunDirectoryError, match=r"cannot write to .*: Read-only file system; choo"):
        RunDirectory.create(tmp_path / "run", {"format": "bn-run/1"}, ())


def test_a_run_that_has_become_read_only_is_left_as_it_is(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming it is refused with the reason, and what it holds stays."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    unlink = Path.unlink

    def unless_there(path: Path, *, missing_ok: bool = False) -> None:
        if out in path.parents:
            _read_only()
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unless_there)
        done = _run(out, "--resume")
    assert done.exit_code == 2
    assert "Read-only file system" in done.output
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))


def test_a_run_that_was_killed_before_its_manifest_is_begun_anew(
    whole: Path, tmp_path: Path
) -> None:
    """It holds no answer yet, and --resume says to leave it out."""
    out = tmp_path / "run"
    for name in ("records", "divergences", "explanations"):
        (out / name).mkdir(parents=True)
    (out / "cases.jsonl").write_text("{}\n")
    (out / "topics.tmp").write_text('{"id"')
    refused = _run(out, "--resume")
    assert refused.exit_code == 2
    assert "leave --resume out" in refused.output
    assert _run(out).exit_code == 0
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))


@pytest.mark.parametrize(
    "name", ["mine.txt", "records/numpy.reference-00000.parquet", "footer.json"]
)
def test_what_is_no_leftover_of_a_beginning_is_not_overwritten(tmp_path: Path, name: str) -> None:
    """Neither somebody's files nor rows whose manifest is gone."""
    (tmp_path / "run" / "records").mkdir(parents=True)
    (tmp_path / "run" / name).write_text("precious")
    with pytest.raises(RunDirectoryError, match="is not empty and holds no run"):
        RunDirectory.create(tmp_path / "run", {"format": "bn-run/1"}, ())
    assert (tmp_path / "run" / name).read_text() == "precious"


def test_a_run_that_is_killed_goes_on_where_it_was(whole: Path, tmp_path: Path) -> None:
    """Killed with SIGKILL again and again: the rows are those of a run that was left alone."""
    out, kills = tmp_path / "run", 0
    command = [sys.executable, "-m", "bnconform", *ARGUMENTS, "--out", str(out)]
    while not (out / "footer.json").exists():
        options = ["--resume"] if (out / "manifest.json").exists() else []
        with subprocess.Popen(
            [*command, *options], start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as harness:  # fmt: skip
            before = set(out.glob("records/*.parquet"))
            while harness.poll() is None and (
                kills >= 3 or set(out.glob("records/*.parquet")) == before
            ):
                time.sleep(0.01)
            if harness.poll() is None:
                os.killpg(harness.pid, signal.SIGKILL)
                kills += 1
    assert kills == 3
    pd.testing.assert_frame_equal(_rows(out), _rows(whole))
