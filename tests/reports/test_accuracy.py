"""The page of accuracy grades, and the frame behind it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bnconform.conformance.formats import DType
from bnconform.conformance.record import VerdictKind
from bnconform.reports.accuracy import grades

SUBJECTS = pd.DataFrame({"entry": ["b", "a", "a"]})


def records(*lines: tuple[str, float, float, int]) -> pd.DataFrame:
    """Conforming float32 rows of 'a': verdict, error ratio, ULPs, judged elements."""
    return pd.DataFrame(
        [
            {
                "entry": "a",
                "dtype": "float32",
                "verdict": verdict,
                "error_ratio": ratio,
                "max_ulp": ulps,
                "judged_elements": judged,
                "smallest_count": 4096,
            }
            for verdict, ratio, ulps, judged in lines
        ],
        columns=[
            "entry", "dtype", "verdict", "error_ratio", "max_ulp", "judged_elements",
            "smallest_count",
        ],
    )  # fmt: skip


def row_of(frame: pd.DataFrame, entry: str, dtype: str) -> dict[str, object]:
    """The one row about a subject and format."""
    found = frame[(frame["entry"] == entry) & (frame["dtype"] == dtype)]
    assert len(found) == 1
    return dict(found.iloc[0])


def test_every_subject_has_a_row_for_every_format() -> None:
    """A pair without a result is shown as one without a grade."""
    frame = grades(records(), SUBJECTS)
    assert len(frame) == 2 * len(DType)
    assert set(frame["grade"]) == {""}
    assert set(frame["results"]) == {0}


def test_results_are_counted_by_grade() -> None:
    """One of each; a vacuous row and an unsupported one are none."""
    conforms, diverges = VerdictKind.CONFORMS.value, VerdictKind.DIVERGES.value
    frame = grades(
        records(
            (conforms, 0.0, 0.0, 3),
            (conforms, 0.05, 9.0, 3),
            (conforms, 0.9, 9.0, 3),
            (diverges, 2.0, 9.0, 3),
            (conforms, 0.0, 0.0, 0),
            (VerdictKind.UNSUPPORTED.value, 0.0, 0.0, 3),
        ),
        SUBJECTS,
    )
    row = row_of(frame, "a", "float32")
    assert [row[f"grade_{letter}"] for letter in "abcd"] == [1, 1, 1, 1]
    assert (row["results"], row["grade"]) == (4, "D")
    assert row_of(frame, "a", "float64")["results"] == 0


def test_the_site_shows_the_grades(site: Path) -> None:
    """The page is in the menu, and says what it does not know."""
    assert 'href="accuracy.html"' in (site / "index.html").read_text(encoding="utf-8")
    page = (site / "accuracy.html").read_text(encoding="utf-8")
    assert "no result" in page
    assert "Results behind the grades" in page
