"""Each fault a subject can have, in a campaign: its verdict, its neighbours, the run's end."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.conformance.case import Case
from bnconform.conformance.cases.malformed import PROBES, make_call
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.engine import units
from bnconform.conformance.engine.campaign import Request, describe_subject, run_campaign
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.units import Quiet

TODAY = datetime.date(2026, 11, 21)
CASES = 10
FEW_PROBES = PROBES[:5]
"""Among these and the cases there are faults in training, in inference and in a malformed call."""


@pytest.fixture(scope="module", autouse=True)
def _few() -> Iterator[None]:
    """Campaigns with few malformed calls, because every fault costs the start of a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "PROBES", FEW_PROBES)
        yield


def _run(out: Path, target: Target, *, cases: int = CASES, limit: float = 30.0) -> dict[str, Any]:
    request = Request(
        profile=replace(PROFILES["quick"], seconds_per_case=limit),
        cases=cases,
        seed=0,
        shard=(1, 1),
        workers=1,
        out=out,
        resume=False,
        memory=2**29,
    )
    subject = describe_subject(target, load_class(target))
    return run_campaign(request, [subject], (), Quiet(), TODAY)


def _rows(out: Path) -> pd.DataFrame:
    assert json.loads((out / "footer.json").read_text())["records"]
    return pd.read_parquet(out / "records").drop(columns=["seconds", "subject"])


def _is_marked(case: Case) -> bool:
    return int(case.id, 16) % 5 == 0


def _marked() -> set[str]:
    """What the subjects of faulty_process.py have trouble with, of all that they are asked."""
    cases = plan_cases(PROFILES["quick"], cases=CASES, seed=0)
    return {case.id for case in cases if _is_marked(case)} | {
        probe.id for probe in FEW_PROBES if _is_marked(make_call(probe).case)
    }


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of the same subject without a fault."""
    out = tmp_path_factory.mktemp("untroubled") / "run"
    file = Path(__file__).with_name("faulty_process.py")
    assert _run(out, Target(module=str(file), attribute="Untroubled"))["exit_status"] == 0
    rows = _rows(out)
    assert set(rows["verdict"]) <= {"conforms", "unsupported"}
    assert len(_marked() & set(rows["case_id"])) == 3
    return rows


def _of(rows: pd.DataFrame, *, marked: bool) -> pd.DataFrame:
    return rows[rows["case_id"].isin(_marked()) == marked].reset_index(drop=True)


@pytest.mark.parametrize(
    ("name", "limit", "verdict", "message"),
    [
        pytest.param("SometimesSegfaults", 30, "crashed", "exit code -11", id="segfault"),
        pytest.param("Aborts", 30, "crashed", "exit code -6", id="abort"),
        pytest.param("Leaves", 30, "crashed", "exit code 7", id="os._exit"),
        pytest.param("LeavesContent", 30, "crashed", "exit code 0", id="a pool would overlook it"),
        pytest.param("SometimesHangs", 4, "hung", "within 4 s", id="ignores SIGTERM"),
        pytest.param("HangsInC", 4, "hung", "within 4 s", id="no Python runs any more"),
        pytest.param("Swells", 30, "crashed", "exit code -9", id="takes too much memory"),
        pytest.param("FloodsForEver", 60, "crashed", "exit code -9", id="would fill the disk"),
        pytest.param("WritesToTheChannel", 4, "hung", "within 4 s", id="half a message"),
        pytest.param(
            "WritesAMessage", 30, "crashed", "exit code 0", id="a message of no meaning",
            # A thread of the pool dies of it, and the pool with it, which is then replaced.
            marks=pytest.mark.filterwarnings(
                "ignore::pytest.PytestUnhandledThreadExceptionWarning"
            ),
        ),
        pytest.param("ClosesTheChannel", 30, "crashed", "exit code 9", id="cannot answer any more"),
    ],
)  # fmt: skip
def test_a_fault_of_the_process_costs_its_own_questions_only(
    untroubled: pd.DataFrame,
    tmp_path: Path,
    faulty: Callable[[str], Target],
    name: str,
    limit: float,
    verdict: str,
    message: str,
) -> None:
    """They have that verdict, all others the rows of a sound subject, and the run ends."""
    footer = _run(tmp_path / "run", faulty(name), limit=limit)
    rows = _rows(tmp_path / "run")
    pd.testing.assert_frame_equal(_of(rows, marked=False), _of(untroubled, marked=False))
    lost = _of(rows, marked=True)
    lost = lost[lost["verdict"] != "conforms"]
    assert set(lost["case_id"]) == _marked()
    assert set(lost["verdict"]) == {verdict}
    cases = lost[lost["clause"] == "BN-CALL-1"]
    assert len(cases) == 2
    assert cases["message"].str.endswith(message).all()
    assert footer["exit_status"] == 1


@pytest.mark.parametrize("name", ["StartsThreads", "FloodsStdout", "ClosesStdout"])
def test_what_is_no_fault_of_the_answer_changes_no_row(
    untroubled: pd.DataFrame, tmp_path: Path, faulty: Callable[[str], Target], name: str
) -> None:
    """Threads and noise cost nothing."""
    assert _run(tmp_path / "run", faulty(name))["exit_status"] == 0
    pd.testing.assert_frame_equal(_rows(tmp_path / "run"), untroubled)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("Interrupts", "raised KeyboardInterrupt: ", id="like a user's Ctrl-C"),
        pytest.param(
            "RaisesNoException", "raised _Unprintable: (it cannot be printed)", id="its text raises"
        ),
    ],
)
def test_raising_what_is_no_exception_is_a_wrong_contract(
    untroubled: pd.DataFrame,
    tmp_path: Path,
    faulty: Callable[[str], Target],
    name: str,
    message: str,
) -> None:
    """It ends neither the subject's process nor the harness."""
    _run(tmp_path / "run", faulty(name))
    rows = _rows(tmp_path / "run")
    pd.testing.assert_frame_equal(_of(rows, marked=False), _of(untroubled, marked=False))
    wrong = rows[rows["verdict"] == "wrong_contract"]
    assert len(wrong) == 2
    assert set(wrong["case_id"]) < _marked()
    assert wrong["message"].str.endswith(message).all()


def test_a_sleep_once_in_a_hundred_calls_costs_one_case(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """Whichever case it is: one question has hung, and every other one is answered."""
    _run(tmp_path / "run", faulty("SleepsOnceInAHundred"), cases=200, limit=4.0)
    rows = _rows(tmp_path / "run")
    assert rows["case_id"].nunique() == 200 + len(FEW_PROBES)
    assert list(rows.loc[rows["verdict"] == "hung", "clause"]) == ["BN-CALL-1"]
    assert set(rows["verdict"]) == {"conforms", "unsupported", "hung"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "Overwrites", {("BN-CALL-3", "call", "input overwritten")}, id="overwrites its input"
        ),
        pytest.param(
            "NeverTheSame", {("BN-CALL-4", "call", "not repeatable")}, id="other bits every time"
        ),
        pytest.param(
            "Remembers",
            {("BN-CALL-4", "call", "not repeatable"), ("BN-TRAIN-2", "y", "beyond bound")},
            id="an answer of the case before",
        ),
        pytest.param(
            "AnswersViews",
            {("BN-TRAIN-2", "y", "beyond bound"), ("BN-GRAD-1", "dx", "beyond bound")},
            id="views of its input",
        ),
        pytest.param(
            "AnswersNothing", {("BN-CALL-1", "call", "wrong contract")}, id="no answer at all"
        ),
        pytest.param(
            "AnswersWrongly",
            {
                ("BN-CALL-1", "call", "wrong contract"),
                ("BN-CALL-2", "y", "missing"),
                ("BN-CALL-2", "y", "wrong format"),
                ("BN-CALL-2", "y", "wrong shape"),
                ("BN-TRAIN-2", "y", "not finite"),
            },
            id="outputs that are no outputs",
        ),
    ],
)
def test_a_fault_of_the_answer_breaks_its_clause_and_the_run_ends(
    tmp_path: Path, faulty: Callable[[str], Target], name: str, expected: set[tuple[str, str, str]]
) -> None:
    """Every question has its rows, those of the fault among them; no process was lost over it."""
    footer = _run(tmp_path / "run", faulty(name), cases=60)
    rows = _rows(tmp_path / "run")
    assert footer["exit_status"] == 1
    assert rows["case_id"].nunique() == 60 + len(FEW_PROBES)
    assert not set(rows["verdict"]) & {"crashed", "hung"}
    found = rows[~rows["verdict"].isin(["conforms", "unsupported"])]
    assert expected <= set(zip(found["clause"], found["quantity"], found["cause"], strict=True))
