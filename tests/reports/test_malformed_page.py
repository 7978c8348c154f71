"""The page of malformed calls."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bnconform.conformance.cases.malformed import BASES, Probe
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.topic import topic_of_probe
from bnconform.reports import build_report

PROBES = [Probe(base=base, malformation=Malformation.ONE_CHANNEL) for base in BASES[:2]]


def _page(run: Any, clauses: Any, folder: Path) -> list[list[str]]:
    """The rows of the page's first table, cell by cell."""
    path = run.write(folder / "run")
    lines = [json.dumps({"id": each.id, "told": topic_of_probe(each).told}) for each in PROBES]
    (path / "topics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    site = build_report([path], folder / "site", clauses).parent
    table = (site / "malformed.html").read_text().partition("<table")[2].partition("</table>")[0]
    return [
        [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in _cells(line)]
        for line in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def _cells(line: str) -> list[str]:
    return [text for _, text in re.findall(r"<(t[hd])\b[^>]*>(.*?)</\1>", line, re.DOTALL)]


def _row(run: Any, subject: str, case_id: str, **changes: Any) -> Any:
    case = next(case for case, _ in run.cases.values())
    return run.row(subject, case, "BN-CALL-1", quantity="call", case_id=case_id, **changes)


def test_a_cell_tells_all_behaviours_of_a_subject(run: Any, clauses: Any, tmp_path: Path) -> None:
    """Over the base cases, from good to bad; what was not asked says so."""
    run.records += [
        _row(run, "good.one", PROBES[0].id, behaviour="accepts and returns garbage"),
        _row(run, "good.one", PROBES[1].id, behaviour="rejects with a clear message"),
        _row(run, "known.two", PROBES[0].id, verdict="unsupported"),
    ]
    heading, line = _page(run, clauses, tmp_path)
    assert heading == ["Call", "good.one", "known.two"]
    what = "1 channel where parameters and statistics have 3"
    assert line == [what, "rejects, garbage", "not asked"]


def test_rows_without_a_behaviour_are_left_out(run: Any, clauses: Any, tmp_path: Path) -> None:
    """The clause about survival has a row for every call, which says nothing of its fate."""
    run.records += [
        _row(run, "good.one", PROBES[0].id, behaviour="rejects unclearly"),
        _row(run, "known.two", PROBES[0].id),
    ]
    assert _page(run, clauses, tmp_path)[0] == ["Call", "good.one"]


def test_too_few_values_are_among_the_calls(run: Any, clauses: Any, tmp_path: Path) -> None:
    """Ordinary cases, but some subjects reject them."""
    case = next(case for case, _ in run.cases.values())
    row = run.row("good.one", case, "BN-EDGE-1", quantity="call", behaviour="accepts and computes")
    run.records.append(row)
    assert _page(run, clauses, tmp_path)[1] == ["one value per channel in training", "computes"]


def test_a_run_without_malformed_calls_says_so(run: Any, clauses: Any, tmp_path: Path) -> None:
    """No table of nothing."""
    path = run.write(tmp_path / "run")
    site = build_report([path], tmp_path / "site", clauses).parent
    assert "These runs made no malformed call." in (site / "malformed.html").read_text()


def test_what_was_asked_can_be_read_beside_each_result(
    run: Any, clauses: Any, tmp_path: Path
) -> None:
    """A clause's page tells a malformed call in words, as it tells cases."""
    run.records.append(_row(run, "good.one", PROBES[0].id, behaviour="rejects unclearly"))
    _page(run, clauses, tmp_path)
    shown = (tmp_path / "site" / "clauses" / "BN-CALL-1.html").read_text()
    assert "malformed call: 1 channel where parameters and statistics have 3" in shown
