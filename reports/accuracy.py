"""Accuracy grades of records, counted: one row for each subject and format."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from bnconform.conformance.formats import DType
from bnconform.conformance.judging.grades import Grade, grade_of, is_graded, report_of
from bnconform.reports.columns import FRAMES, documented, rows


def grades(records: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """How many results of each entry in each format got which grade.

    ``subjects`` is the subjects frame: a pair without a graded result is a row with the grade ''.
    """
    found: dict[tuple[str, str], Counter[Grade]] = {}
    for row in rows(records):
        if is_graded(row.verdict, row.judged_elements, row.smallest_count):
            grade = grade_of(row.error_ratio, row.max_ulp, row.smallest_count)
            found.setdefault((row.entry, row.dtype), Counter())[grade] += 1
    lines = []
    for entry in sorted(set(subjects["entry"])):
        for dtype in DType:
            graded = report_of(found.get((entry, dtype.value), Counter()).elements())
            counts = {f"grade_{grade.lower()}": graded.counts[grade] for grade in Grade}
            lines.append(
                {
                    "entry": entry,
                    "dtype": dtype.value,
                    "grade": graded.grade or "",
                    "results": graded.results,
                    **counts,
                }
            )
    return documented("grades", pd.DataFrame(lines, columns=list(FRAMES["grades"])))
