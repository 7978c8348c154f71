"""Put a finished report in its place, in one step, so that a failure never costs an older one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnconform.conformance.clauses import Clause
from bnconform.reports.errors import NotAReportError
from bnconform.reports.frames import load_runs
from bnconform.reports.pages import Page
from bnconform.reports.site import build_site

MARKER = ".bnconform-report"
"""A file of this name says that a folder is a report, which another report may replace."""


def build_report(
    run_paths: Iterable[Path | str],
    out: Path | str,
    clauses: Sequence[Clause],
    extra_pages: Sequence[Page] = (),
) -> Path:
    """Read the runs and write their report to ``out``; the path of its ``index.html``.

    ``out`` may be absent, an empty folder, or an earlier report, which is replaced once the new
    one is complete. Raises :class:`bnconform.reports.errors.ReportError`, of which
    :class:`NotAReportError` means that ``out`` holds something else.
    """
    target = Path(out).absolute()
    check_target(target)
    runs = load_runs(run_paths)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that renaming stays within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        build_site(runs, clauses, fresh, extra_pages)
        (fresh / MARKER).write_text("bn-report/1\n", encoding="utf-8")
        _replace(target, fresh, Path(scratch) / "old")
    return target / "index.html"


def check_target(target: Path) -> None:
    """Raise :class:`NotAReportError` if a report must not be written to ``target``."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not target.is_symlink():
        if (target / MARKER).is_file() or not any(target.iterdir()):
            return
        held = "a folder that is not a report of bnconform"
    else:
        held = "not a folder"
    msg = f"{target} is {held}, and is left alone; choose another --out, or remove it first"
    raise NotAReportError(msg)


def _replace(target: Path, fresh: Path, old: Path) -> None:
    """Swap ``fresh`` into the place of ``target``; on failure ``target`` is what it was."""
    existed = target.exists()
    if existed:
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if existed:
            old.rename(target)
        raise
