"""The frozen corpus: every line is sound, and what it was kept for can still be shown."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.corpus import (
    CorpusEntry,
    CorpusError,
    load_corpus,
    load_entries,
    read_entries,
    write_entries,
)
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.search.distinct import distinct
from bnconform.conformance.search.examining import Examiner
from bnconform.conformance.search.freezing import entries_of
from bnconform.conformance.search.searching import Collection
from bnconform.conformance.search.simplicity import complexity

from . import planted
from .planted import examiner_of, in_process
from .test_signature import CASE

ENTRY = CorpusEntry(
    case=CASE,
    subject="planted.small_epsilon",
    version="1",
    clause="BN-TRAIN-1",
    quantity="y",
    verdict="diverges",
    cause="beyond bound",
    known="",
    date=datetime.date(2026, 11, 21),
    sentence="y: twice the bound",
)
SMALL = 256
"""Elements of the largest case worth freezing."""


def test_the_corpus_is_small_and_its_cases_are_too() -> None:
    """Every run replays it, so it must cost little."""
    cases = load_corpus()
    assert 30 <= len(cases) <= 120
    assert all(sum(step.x.size for step in make_inputs(case).steps) <= SMALL for case in cases)


def test_the_corpus_holds_each_case_once_and_simple_ones_first() -> None:
    """Found for two subjects, a case is still asked once."""
    cases, entries = load_corpus(), load_entries()
    assert len({case.id for case in cases}) == len(cases) < len(entries)
    steps = [case.steps for case in cases]
    assert steps == sorted(steps)


def test_every_entry_names_what_exists() -> None:
    """A registered subject, within whose capabilities its case lies, and a known divergence."""
    known = {entry.id for entry in load_known()}
    for entry in load_entries():
        adapter = load_class(Target.parse(REGISTRY[entry.subject]))
        assert adapter.capabilities.unsupported(entry.case) is None, entry
        assert entry.known in known, entry
        assert entry.sentence.startswith(f"{entry.quantity}: "), entry


@pytest.mark.parametrize("subject", ["torch.functional", "torch.module"])
def test_what_was_frozen_still_shows(subject: str) -> None:
    """On today's release each case shows the divergence that it is kept for."""
    pytest.importorskip("torch")
    adapter = load_class(Target.parse(REGISTRY[subject]))
    examine = replace(
        examiner_of(planted.Sound),
        adapter=adapter,
        info=replace(examiner_of(planted.Sound).info, name=subject, version=adapter().version),
        ask=in_process(adapter),
        known=load_known(),
    )
    kept = [entry for entry in load_entries() if entry.subject == subject]
    assert kept
    for entry in kept:
        shown = {(s.clause, s.quantity, s.known) for s in examine(entry.case).signatures}
        assert (entry.clause, entry.quantity, entry.known) in shown


def test_a_right_implementation_passes_the_corpus() -> None:
    """No case of the corpus accuses one that is right."""
    examine = examiner_of(planted.Sound)
    assert [case.to_json() for case in load_corpus() if examine(case).signatures] == []


def test_a_planted_defect_is_found_by_the_corpus_it_made(tmp_path: Path) -> None:
    """Search, shrink, freeze, load, replay: the defect shows, and in its simplest case."""
    examine = examiner_of(planted.SmallEpsilon)
    seen = Collection()
    seen.add(examine(CASE))
    found = distinct(examine, seen.leading)
    write_entries(tmp_path / "a.jsonl", entries_of(found, examine.info, ENTRY.date))
    (case,) = load_corpus(tmp_path)
    assert complexity(case) < complexity(CASE)
    assert _shows(examiner_of(planted.SmallEpsilon), load_entries(tmp_path)[0])
    assert not _shows(examiner_of(planted.Sound), load_entries(tmp_path)[0])


def _shows(examine: Examiner, entry: CorpusEntry) -> bool:
    return any(each.clause == entry.clause for each in examine(entry.case).signatures)


def test_entries_survive_their_file(tmp_path: Path) -> None:
    """Written and read back, sorted, each once."""
    other = replace(ENTRY, case=replace(CASE, shape=(2, 4), last_batch=2))
    write_entries(tmp_path / "a.jsonl", [ENTRY, other, ENTRY])
    assert read_entries(tmp_path / "a.jsonl") == (other, ENTRY)
    assert load_entries(tmp_path) == (other, ENTRY)


def _line(**changes: Any) -> str:
    data = {**json.loads(ENTRY.to_json()), **changes}
    return json.dumps({name: value for name, value in data.items() if value != "gone"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("{", "must be one JSON object", id="no JSON"),
        pytest.param("[]", "must be a JSON object with 'format'", id="no object"),
        pytest.param(_line(format="bn-corpus/9"), "with 'format': 'bn-corpus/1'", id="format"),
        pytest.param(_line(sentence="gone"), r"lacks \['sentence'\]", id="a field is missing"),
        pytest.param(_line(colour="red"), r"unknown \['colour'\]", id="a field too many"),
        pytest.param(_line(subject=3), "the rest text, got otherwise: subject", id="a number"),
        pytest.param(_line(case="gone too"), "'case' must be an object", id="no case"),
        pytest.param(_line(case={"format": "bn-case/1"}), "not a case", id="half a case"),
        pytest.param(
            _line(case={**CASE.to_dict(), "epsilon": -1}), "epsilon must be", id="an invalid case"
        ),
        pytest.param(_line(date="yesterday"), "date must be one like", id="no date"),
        pytest.param(_line(clause="BN-NO-1"), "clause: unknown 'BN-NO-1'", id="no such clause"),
        pytest.param(_line(verdict="conforms"), "verdict must be one of", id="nothing diverges"),
    ],
)
def test_a_malformed_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    """File, line number and what is wrong."""
    (tmp_path / "b.jsonl").write_text(f"{ENTRY.to_json()}\n\n{line}\n")
    with pytest.raises(CorpusError, match=rf"^b\.jsonl, line 3: .*{message}"):
        load_corpus(tmp_path)


def test_a_line_twice_is_named(tmp_path: Path) -> None:
    """Two files that hold the same entry: both places are told."""
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(ENTRY.to_json() + "\n")
    with pytest.raises(CorpusError, match=r"b\.jsonl, line 1: repeats a\.jsonl, line 1"):
        load_entries(tmp_path)
