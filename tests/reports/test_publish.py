"""Where a report is written: in one step, never over anything but an earlier report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bnconform.reports import Page, build_report, build_site, load_runs
from bnconform.reports.errors import InvalidPageError, NotAReportError, RunIncompleteError
from bnconform.reports.publish import MARKER


@pytest.fixture
def earlier(written: Path, clauses: Any, tmp_path: Path) -> Path:
    """A report that is already there."""
    return build_report([written], tmp_path / "site", clauses).parent


def contents(site: Path) -> dict[str, bytes]:
    """Every file of a site by its path."""
    return {
        str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()
    }


def test_a_folder_that_is_no_report_is_left_alone(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """Somebody's files are worth more than a report."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(NotAReportError, match="choose another --out"):
        build_report([written], tmp_path / "mine", clauses)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_place_of_the_report_is_left_alone(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """The message says that it is not a folder."""
    (tmp_path / "site").write_text("a file")
    with pytest.raises(NotAReportError, match="not a folder"):
        build_report([written], tmp_path / "site", clauses)


def test_a_link_to_a_report_is_left_alone(earlier: Path, written: Path, clauses: Any) -> None:
    """Renaming would replace the link and leave what it points to as it was."""
    link = earlier.parent / "link"
    link.symlink_to(earlier)
    with pytest.raises(NotAReportError, match="not a folder"):
        build_report([written], link, clauses)


def test_an_empty_folder_may_become_a_report(written: Path, clauses: Any, tmp_path: Path) -> None:
    """There is nothing in it to lose."""
    (tmp_path / "site").mkdir()
    assert build_report([written], tmp_path / "site", clauses).is_file()


def test_an_earlier_report_is_replaced_as_a_whole(
    earlier: Path, written: Path, clauses: Any
) -> None:
    """No page of the earlier one stays behind, and nothing lies beside it."""
    (earlier / "stale.html").write_text("old")
    build_report([written], earlier, clauses)
    assert not (earlier / "stale.html").exists()
    assert (earlier / MARKER).is_file()
    assert sorted(path.name for path in earlier.parent.iterdir()) == ["run", "site"]


def test_a_failing_report_leaves_the_earlier_one(
    earlier: Path, written: Path, clauses: Any
) -> None:
    """Whether it fails in reading or in writing, the earlier report stays as it was."""
    before = contents(earlier)
    with pytest.raises(InvalidPageError):
        build_report([written], earlier, clauses, [Page(title="x", slug="index", sections=())])
    (written / "footer.json").unlink()
    with pytest.raises(RunIncompleteError):
        build_report([written], earlier, clauses)
    assert contents(earlier) == before
    assert sorted(path.name for path in earlier.parent.iterdir()) == ["run", "site"]


def test_a_failing_rename_puts_the_earlier_report_back(
    earlier: Path, written: Path, clauses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier report is moved away for a moment, and must not be lost in it."""
    before, rename = contents(earlier), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        build_report([written], earlier, clauses)
    assert contents(earlier) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_report_is_as_readable_as_any_new_folder(earlier: Path, tmp_path: Path) -> None:
    """A web server must be able to read it, although it was built in a private place."""
    (tmp_path / "plain").mkdir()
    assert earlier.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_site_can_be_built_without_publishing(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """build_site writes into a folder that it makes, and gives the first page."""
    assert build_site(load_runs([written]), clauses, tmp_path / "new" / "site").is_file()
