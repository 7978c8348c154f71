"""Reports: runs as documented pandas frames, and as a static site that anybody can open.

``build_report`` does both. Pages of one's own are made of the nouns of ``pages.py``, which are
exported here.
"""

from __future__ import annotations

from bnconform.reports.columns import FRAMES
from bnconform.reports.errors import ReportError
from bnconform.reports.frames import Runs, load_runs, write_frames
from bnconform.reports.pages import (
    Code,
    Facts,
    Figures,
    Fold,
    Link,
    Mark,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
)
from bnconform.reports.publish import build_report
from bnconform.reports.shards import gaps
from bnconform.reports.site import build_site
from bnconform.reports.summaries import Status, clause_summary, looks, matrix, subject_summary

__all__ = [
    "FRAMES",
    "Code",
    "Facts",
    "Figures",
    "Fold",
    "Link",
    "Mark",
    "Mono",
    "Page",
    "Paragraph",
    "ReportError",
    "Runs",
    "Section",
    "Status",
    "Table",
    "build_report",
    "build_site",
    "clause_summary",
    "gaps",
    "load_runs",
    "looks",
    "matrix",
    "subject_summary",
    "write_frames",
]
