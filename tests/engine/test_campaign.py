"""Campaigns end to end, on small subjects."""

from __future__ import annotations

import datetime
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.conformance.cases.malformed import PROBES
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine.campaign import (
    TURN,
    Request,
    Subject,
    describe_subject,
    plan_units,
    run_campaign,
)
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.run_directory import RunDirectoryError
from bnconform.conformance.known.divergences import KnownDivergence, load_known

TODAY = datetime.date(2026, 11, 21)
REFERENCE = Target.parse("bnconform.adapters.numpy_reference:NumpyReference")


class Quiet:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def started(self, subject: str, total: int) -> None:
        self.total[subject] += total

    def advanced(self, subject: str, cases: int) -> None:
        self.done[subject] += cases

    def expects(self, seconds: float, *, at_least: bool) -> None:
        """Nothing is timed here."""


def _subject(target: Target) -> Subject:
    return describe_subject(target, load_class(target))


def _request(out: Path, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "profile": PROFILES["quick"],
        "cases": 60,
        "seed": 0,
        "shard": (1, 1),
        "workers": 2,
        "out": out,
        "resume": False,
    }
    return Request(**(fields | changes))


def _run(
    out: Path, *targets: Target, known: Sequence[KnownDivergence] = (), **changes: Any
) -> dict[str, Any]:
    subjects = [_subject(target) for target in targets]
    return run_campaign(_request(out, **changes), subjects, known, Quiet(), TODAY)


def _rows(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "records").drop(columns="seconds")


def _without_parts_order(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["subject", "case_id", "clause", "quantity"]
    return frame.sort_values(keys, ignore_index=True)


def test_the_numpy_reference_has_nothing_unexpected(tmp_path: Path) -> None:
    """Every judgement of the plain formulae conforms, and some are judged on real elements."""
    footer = _run(tmp_path / "run", REFERENCE, cases=120)
    rows = _rows(tmp_path / "run")
    assert footer["exit_status"] == 0
    assert set(footer["counts"]) <= {"conforms", "unsupported"}
    assert rows["judged_elements"].sum() > 10_000


def test_two_runs_give_identical_records_apart_from_times(tmp_path: Path) -> None:
    """Same arguments, same rows in the same order."""
    for name in ("a", "b"):
        _run(tmp_path / name, REFERENCE)
    pd.testing.assert_frame_equal(_rows(tmp_path / "a"), _rows(tmp_path / "b"))


def test_shards_are_disjoint_and_together_the_whole(tmp_path: Path) -> None:
    """Three shards hold exactly the rows of one run."""
    _run(tmp_path / "whole", REFERENCE)
    for index in (1, 2, 3):
        _run(tmp_path / f"part{index}", REFERENCE, shard=(index, 3))
    parts = pd.concat([_rows(tmp_path / f"part{index}") for index in (1, 2, 3)])
    pd.testing.assert_frame_equal(
        _without_parts_order(parts), _without_parts_order(_rows(tmp_path / "whole"))
    )


def test_resume_redoes_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    """A run without footer and without one part comes out as if it had never stopped."""
    out = tmp_path / "run"
    _run(out, REFERENCE)
    whole = _rows(out)
    parts = sorted((out / "records").iterdir())
    kept = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    (out / "footer.json").unlink()
    (out / "records" / "numpy.reference-00009.tmp").write_text("half a part")
    footer = _run(out, REFERENCE, resume=True)
    assert parts[0].stat().st_mtime_ns == kept
    assert not list(out.glob("records/*.tmp"))
    assert sum(footer["records"].values()) == len(whole)
    pd.testing.assert_frame_equal(_rows(out), whole)


def test_resume_refuses_another_request(tmp_path: Path) -> None:
    """Rows of two different requests never mix."""
    _run(tmp_path / "run", REFERENCE)
    with pytest.raises(RunDirectoryError, match="its arguments differ from now"):
        _run(tmp_path / "run", REFERENCE, seed=1, resume=True)


def test_a_finished_run_is_not_overwritten(tmp_path: Path) -> None:
    """A second run into the same directory is refused and nothing changes."""
    _run(tmp_path / "run", REFERENCE)
    before = _rows(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="already holds a run"):
        _run(tmp_path / "run", REFERENCE)
    pd.testing.assert_frame_equal(_rows(tmp_path / "run"), before)


def test_a_wrong_running_variance_diverges_on_its_clauses_with_a_bundle(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """The planted unbiased variance is found, where it shows and only there, with its arrays."""
    footer = _run(tmp_path / "run", faulty("UnbiasedRunningVariance"))
    rows = _rows(tmp_path / "run")
    bad = rows[rows["verdict"] == "diverges"]
    assert footer["exit_status"] == 1
    assert set(bad["quantity"]) == {"running_var", "y_infer"}
    bundles = list((tmp_path / "run" / "divergences").glob("*/divergence.json"))
    described = [json.loads(path.read_text()) for path in bundles]
    assert sum(each["count"] for each in described) == len(bad)
    assert all((path.parent / "arrays.npz").exists() for path in bundles)


def test_crashes_are_recorded_and_the_run_completes(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """Each crashing case is one row; every other case is judged."""
    footer = _run(tmp_path / "run", faulty("SometimesSegfaults"), cases=40)
    rows = _rows(tmp_path / "run")
    crashed = rows[rows["verdict"] == "crashed"]
    assert len(crashed) == footer["counts"]["crashed"] > 0
    assert rows["case_id"].nunique() == 40 + len(PROBES)
    assert footer["exit_status"] == 1


_CLAUSES = ("BN-STATE-2", "BN-STATE-3", "BN-STATE-4", "BN-STATE-5", "BN-EDGE-4", "BN-INFER-3")


def _write_entry(folder: Path, **changes: Any) -> None:
    fields = {
        "subject": '"faulty.unbiased"',
        "versions": '">=0"',
        "quantity": '["running_var", "y_infer"]',
        "clause": json.dumps(_CLAUSES),
        "reason": '"planted"',
        "evidence": '"this test"',
        "upstream": '"none"',
        "date": "2026-11-21",
        "review_by": "2027-01-01",
    } | changes
    body = "\n".join(f"{key} = {value}" for key, value in fields.items())
    folder.mkdir()
    (folder / "faulty.toml").write_text(f'[[divergence]]\nid = "planted"\n{body}\n')


def test_a_registered_divergence_is_expected(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """With its known entry the run's exit status is 0 and the rows carry the entry's id."""
    _write_entry(tmp_path / "known")
    known = load_known(tmp_path / "known")
    footer = _run(tmp_path / "run", faulty("UnbiasedRunningVariance"), known=known)
    rows = _rows(tmp_path / "run")
    assert footer["exit_status"] == 0
    assert set(rows.loc[rows["verdict"] == "diverges", "known"]) == {"planted"}


@pytest.mark.parametrize(
    ("attribute", "changes", "sentence"),
    [
        pytest.param("Sound", {"subject": '"faulty.sound"'}, "matched nothing", id="fixed"),
        pytest.param(
            "UnbiasedRunningVariance", {"review_by": "2026-11-20"}, "has passed", id="overdue"
        ),
    ],
)
def test_a_stale_entry_fails_the_run(
    tmp_path: Path, faulty: Callable[[str], Target], attribute: str, changes: Any, sentence: str
) -> None:
    """An entry that matches nothing, or past its date, gives exit status 1."""
    _write_entry(tmp_path / "known", **changes)
    known = load_known(tmp_path / "known")
    footer = _run(tmp_path / "run", faulty(attribute), known=known)
    assert footer["exit_status"] == 1
    assert any(sentence in stale for stale in footer["stale_known"])


def test_units_of_all_shards_are_the_whole_list() -> None:
    """No unit twice, none missing, for any number of shards."""
    cases = plan_cases(PROFILES["quick"], cases=80, seed=3)
    subjects = [_subject(REFERENCE)]
    whole = {(u.subject.name, u.block) for u in plan_units(subjects, cases, (1, 1))}
    for count in (2, 3, 7):
        parts = [
            (unit.subject.name, unit.block)
            for index in range(1, count + 1)
            for unit in plan_units(subjects, cases, (index, count))
        ]
        assert len(parts) == len(set(parts))
        assert set(parts) == whole


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    """The listener hears of every question once, unsupported ones included."""
    quiet = Quiet()
    run_campaign(_request(tmp_path / "run"), [_subject(REFERENCE)], (), quiet, TODAY)
    assert quiet.total == quiet.done == {"numpy.reference": 60 + len(PROBES)}


class Turns(Quiet):
    """Keeps how long a thread may compute while another one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[float] = set()

    def advanced(self, subject: str, cases: int) -> None:
        super().advanced(subject, cases)
        self.seen.add(sys.getswitchinterval())


@pytest.mark.parametrize(
    ("own", "during"),
    [
        pytest.param(0.005, TURN, id="Python's own is too long for who reads answers"),
        pytest.param(TURN / 2, TURN / 2, id="a shorter one stays"),
    ],
)
def test_turns_are_short_while_answers_are_judged(
    own: float, during: float, tmp_path: Path
) -> None:
    """And whatever they were before once the run is over."""
    turns, before = Turns(), sys.getswitchinterval()
    sys.setswitchinterval(own)
    try:
        run_campaign(_request(tmp_path / "run"), [_subject(REFERENCE)], (), turns, TODAY)
        after = sys.getswitchinterval()
    finally:
        sys.setswitchinterval(before)
    assert list(turns.seen) == [pytest.approx(during)]
    assert after == pytest.approx(own)
