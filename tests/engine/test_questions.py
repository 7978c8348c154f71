"""Experiments and malformed calls in a campaign."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from bnconform.conformance.cases.malformed import PROBES
from bnconform.conformance.cases.plan import PROFILES
from bnconform.conformance.engine.campaign import (
    Request,
    describe_subject,
    run_campaign,
)
from bnconform.conformance.engine.loading import AdapterError, Target, load_class
from bnconform.conformance.engine.run_directory import RunDirectoryError
from bnconform.conformance.engine.units import Quiet
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.known.divergences import KnownDivergence, load_known

TODAY = datetime.date(2026, 11, 21)


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """Forget the experiments that faulty_questions.py adds on import: other runs ask them not."""
    known = cast("dict[str, Experiment]", EXPERIMENTS)
    before = dict(known)
    yield
    known.clear()
    known.update(before)


def _run(
    out: Path, target: Target, known: Sequence[KnownDivergence] = (), **changes: Any
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "profile": PROFILES["quick"],
        "cases": 1,
        "seed": 0,
        "shard": (1, 1),
        "workers": 1,
        "out": out,
        "resume": False,
    }
    subject = describe_subject(target, load_class(target))
    return run_campaign(Request(**(fields | changes)), [subject], known, Quiet(), TODAY)


def _rows(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "records").drop(columns="seconds")


def _malformed(out: Path) -> pd.DataFrame:
    rows = _rows(out)
    return rows[rows["case_id"].isin([probe.id for probe in PROBES])]


def test_a_subject_that_takes_everything_breaks_every_clause_it_must_and_should(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """MUST: wrong contract. SHOULD and MAY: garbage, since zeros follow no equation."""
    _run(tmp_path / "run", faulty("TakesEverything"))
    rows = _malformed(tmp_path / "run")
    rows = rows[rows["clause"] != "BN-REJECT-11"]
    assert len(rows) == len(PROBES)
    assert set(rows["behaviour"]) == {"accepts and returns garbage"}
    by_clause = rows.groupby("clause")["verdict"].agg(set).to_dict()
    musts = {"BN-AXIS-3", *(f"BN-REJECT-{k}" for k in range(1, 6))}
    assert by_clause == {
        **{clause: {"wrong_contract"} for clause in musts},
        **{f"BN-REJECT-{k}": {"diverges"} for k in range(6, 10)},
    }


def test_a_rejection_without_words_conforms_but_is_unclear(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """The clause that demands the rejection is content; the one about its message is not."""
    _run(tmp_path / "run", faulty("RejectsUnclearly"))
    rows = _malformed(tmp_path / "run")
    unclear = rows[rows["clause"] == "BN-REJECT-10"]
    assert len(unclear) == len(PROBES)
    assert set(unclear["cause"]) == {"unclear message"}
    rest = rows[rows["clause"] != "BN-REJECT-10"]
    assert set(rest["verdict"]) == {"conforms"}
    assert set(rest["behaviour"]) == {"rejects unclearly", ""}


def test_clear_rejections_conform(tmp_path: Path, faulty: Callable[[str], Target]) -> None:
    """The control: the NumPy reference names what is wrong, or computes with an epsilon of 0."""
    _run(tmp_path / "run", faulty("Sound"))
    rows = _malformed(tmp_path / "run")
    assert set(rows["verdict"]) == {"conforms"}
    told = {"rejects with a clear message", "accepts and computes", ""}
    assert set(rows["behaviour"]) == told


def test_a_crash_on_a_malformed_call_costs_that_call_only(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """BN-REJECT-11 for what it is sent; the rest never reaches it, and says so."""
    _run(tmp_path / "run", faulty("CrashesOnMalformed"))
    rows = _malformed(tmp_path / "run")
    crashed = rows[rows["clause"] == "BN-REJECT-11"]
    assert len(crashed) == 3
    assert set(crashed["verdict"]) == {"crashed"}
    assert set(crashed["behaviour"]) == {"crashes"}
    rest = rows[rows["clause"] != "BN-REJECT-11"]
    assert len(rest) == len(PROBES) - 3
    assert set(rest["verdict"]) == {"unsupported"}
    assert rest["message"].str.startswith("does not reach the framework: ").all()


def test_experiments_are_judged_by_name(tmp_path: Path, faulty: Callable[[str], Target]) -> None:
    """A wrong value, a missing observation and an exception, each on its clause."""
    _run(tmp_path / "run", faulty("Observes"))
    rows = {
        (row["case_id"], row["quantity"]): row for row in _rows(tmp_path / "run").to_dict("records")
    }
    doubles, raises = (EXPERIMENTS[f"faulty.{name}"].id for name in ("doubles", "raises"))
    assert rows[doubles, "call"]["verdict"] == "conforms"
    wrong, missing = rows[doubles, "doubled"], rows[doubles, "sum"]
    assert (wrong["clause"], wrong["cause"], wrong["got"]) == ("BN-INIT-1", "beyond bound", 1.5)
    assert (missing["clause"], missing["cause"]) == ("BN-INIT-2", "missing")
    assert "did not observe sum; it gave doubled" in missing["message"]
    failed = rows[raises, "call"]
    assert (failed["clause"], failed["verdict"]) == ("BN-CALL-1", "wrong_contract")
    assert "no experiments on Sundays" in failed["message"]


def test_bundles_show_what_was_asked(tmp_path: Path, faulty: Callable[[str], Target]) -> None:
    """An experiment with its arrays and what came of them; a malformed call with what is wrong."""
    _run(tmp_path / "run", faulty("Observes"))
    _run(tmp_path / "other", faulty("TakesEverything"))
    found = {
        (told["clause"], told["quantity"]): (told, path.parent / "arrays.npz")
        for path in tmp_path.glob("*/divergences/*/divergence.json")
        for told in [json.loads(path.read_text())]
    }
    told, arrays = found["BN-INIT-1", "doubled"]
    assert told["case"]["experiment"] == "faulty.doubles"
    with np.load(arrays) as stored:
        assert set(stored.files) == {"half", "got", "expected", "bound"}
    told, arrays = found["BN-REJECT-4", "call"]
    assert told["case"]["malformation"] == "axis repeated"
    with np.load(arrays) as stored:
        assert {"x", "dy", "gamma", "running_var", "got"} <= set(stored.files)


def test_every_topic_of_a_record_is_described(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """What is no case is in topics.jsonl, so that a report can say what it was."""
    _run(tmp_path / "run", faulty("Observes"))
    described = {
        json.loads(line)["id"]
        for name in ("cases", "topics")
        for line in (tmp_path / "run" / f"{name}.jsonl").read_text().splitlines()
    }
    assert set(_rows(tmp_path / "run")["case_id"]) <= described


def test_the_last_unit_is_redone_on_resume_like_any_other(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """The rows of experiments and malformed calls come out as if the run had never stopped."""
    out = tmp_path / "run"
    _run(out, faulty("Observes"))
    whole = _rows(out)
    parts = sorted((out / "records").iterdir())
    assert len(parts) == 2
    parts[-1].unlink()
    (out / "footer.json").unlink()
    _run(out, faulty("Observes"), resume=True)
    pd.testing.assert_frame_equal(_rows(out), whole)


def test_resume_refuses_other_questions(tmp_path: Path, faulty: Callable[[str], Target]) -> None:
    """A run that asked for other experiments or malformed calls is another run."""
    out = tmp_path / "run"
    _run(out, faulty("Sound"))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["topics"] = manifest["topics"][1:]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunDirectoryError, match="its topics differ"):
        _run(out, faulty("Sound"), resume=True)


def test_a_subject_that_names_no_experiment_is_refused_before_anything_runs(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """The error names the experiment and those there are."""
    with pytest.raises(AdapterError, match=r"do not exist: alchemy; there are: .*faulty\.doubles"):
        _run(tmp_path / "run", faulty("NamesNoExperiment"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("subject", "clause", "where", "covered"),
    [
        pytest.param(
            "TakesEverything", "BN-REJECT-5", 'malformation = "gamma of one value"', 3,
            id="one malformation among several of a clause",
        ),
        pytest.param(
            "TakesEverything", "BN-REJECT-5", 'malformation = "gamma of one value", rank = 2', 1,
            id="with a fact of the base case",
        ),
        pytest.param(
            "Observes", "BN-INIT-1", 'experiment = "faulty.doubles"', 1, id="an experiment"
        ),
        pytest.param(
            "Observes", "BN-INIT-1", "rank = 2", 0, id="an experiment has no rank"
        ),
    ],
)  # fmt: skip
def test_known_divergences_can_cover_them(
    tmp_path: Path,
    faulty: Callable[[str], Target],
    subject: str,
    clause: str,
    where: str,
    covered: int,
) -> None:
    """By malformation and by experiment."""
    known = _planted(tmp_path / "known", clause, where)
    _run(tmp_path / "run", faulty(subject), known=known)
    assert (_rows(tmp_path / "run")["known"] == "planted").sum() == covered


def test_an_entry_about_a_malformed_call_that_is_now_rejected_is_stale(
    tmp_path: Path, faulty: Callable[[str], Target]
) -> None:
    """The run looked for it and found nothing."""
    known = _planted(tmp_path / "known", "BN-REJECT-5", 'malformation = "gamma of one value"')
    footer = _run(tmp_path / "run", faulty("Sound"), known=known)
    assert footer["exit_status"] == 1
    assert [each.partition(" in ")[0] for each in footer["stale_known"]] == [
        "planted: matched nothing"
    ]


def _planted(folder: Path, clause: str, where: str) -> tuple[KnownDivergence, ...]:
    folder.mkdir()
    (folder / "faulty.toml").write_text(
        f"""
[[divergence]]
id = "planted"
subject = ["faulty.takes_everything", "faulty.observes", "faulty.sound"]
versions = ">=0"
clause = "{clause}"
verdict = ["wrong_contract", "diverges"]
where = {{ {where} }}
looked_at_least = 1
reason = "planted"
evidence = "this test"
upstream = "none"
date = 2026-11-21
review_by = 2027-01-01
"""
    )
    return load_known(folder)
