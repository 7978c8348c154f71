"""Known divergences: entries drafted from a run hide what is meant and nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.conformance.case import Case
from bnconform.conformance.explanation.row_causes import causes_of_rows, facts_of
from bnconform.conformance.formats import DType
from bnconform.conformance.known.divergences import (
    KnownDivergence,
    KnownDivergenceError,
    load_known,
    parse_known,
)
from bnconform.conformance.known.entry import (
    Divergence,
    EntryError,
    Measured,
    check_covers,
    draft_entry,
    evidence_of,
    meant_rows,
    version_range,
)
from bnconform.conformance.known.scope import (
    Reach,
    advice,
    covered,
    in_scope,
    labels,
    over_broad,
    reaches,
)
from bnconform.conformance.known.text import append_entry, entry_text
from bnconform.conformance.record import Record

from .cases import plain

TODAY = datetime.date(2026, 11, 21)

HALF = plain(dtype=DType.FLOAT16)
HALVES = tuple(
    replace(HALF, steps=steps, epsilon=epsilon) for steps, epsilon in ((1, 1e-5), (2, 1e-3))
)
SINGLES = tuple(plain(steps=steps, epsilon=epsilon) for steps, epsilon in ((1, 1e-5), (2, 1e-3)))
DECAYED = replace(SINGLES[0], decay=0.5)


@dataclass(frozen=True, kw_only=True)
class Told:
    """An explanation as a run stores it, as far as it matters here."""

    name: str
    subject: str = "a.one"
    where: Mapping[str, Any]
    clauses: tuple[str, ...]
    quantities: tuple[str, ...]
    affected: tuple[tuple[str, str], ...]


def told(name: str, *cases: Case, quantity: str = "y", clause: str = "BN-TRAIN-1") -> Told:
    """An explanation of that quantity of these cases."""
    affected = tuple((case.id, quantity) for case in cases)
    return Told(name=name, where={}, clauses=(clause,), quantities=(quantity,), affected=affected)


def row(case: Case, **changes: Any) -> Record:
    """A row of subject a.one that conforms, with ``changes``."""
    conforming = Record(
        subject="a.one", framework="a", framework_version="2.13.0+cpu", device="cpu",
        case_id=case.id, clause="BN-TRAIN-1", quantity="y", verdict="conforms", known="", cause="",
        error_ratio=0.5, max_abs_error=0.0, max_ulp=0.0, bound=0.25, vacuous=False, seconds=0.0,
        step=0, worst_index="0,1", expected=1.0, got=1.125, judged_elements=12, vacuous_elements=0,
        message="", mode=case.mode, dtype=case.dtype, fill=case.fill.kind, rank=case.rank,
        smallest_count=case.smallest_count, signature=case.signature,
    )  # fmt: skip
    return conforming._replace(**changes)


def bad(case: Case, **changes: Any) -> Record:
    """A row that diverges."""
    return row(
        case, **{"verdict": "diverges", "cause": "beyond bound", "error_ratio": 8.0} | changes
    )


def measured(
    *rows: Record,
    causes: tuple[Told, ...] = (),
    kind: str = "convention",
    wheres: Mapping[str, Mapping[str, Any]] | None = None,
    more: tuple[Case, ...] = (),
) -> Measured:
    """A run that holds these rows, which are of ``HALVES``, ``SINGLES`` and ``more`` cases."""
    frame = pd.DataFrame(rows, columns=list(Record._fields))
    facts = {case.id: facts_of(case.to_dict()) for case in (*HALVES, *SINGLES, DECAYED, *more)}
    return Measured(
        frame=frame,
        facts=facts,
        causes=causes_of_rows(frame, causes, facts),
        kinds={each.name: kind for each in causes},
        wheres=wheres or {},
    )


DIVERGENCE = Divergence(
    id="d", subject="a.one", clause="BN-TRAIN-1", quantity="y", verdict="diverges",
    cause="beyond bound", known="",
)  # fmt: skip


def drafted(run: Measured, **options: Any) -> KnownDivergence:
    """The entry for ``DIVERGENCE``."""
    return draft_entry(run, meant_rows(run, DIVERGENCE, **options), reason="r", today=TODAY)


def hidden_by(entry: KnownDivergence, run: Measured) -> list[int]:
    """Positions of the rows that it covers."""
    return list(run.frame.index[covered(entry, run.frame, run.facts)])


def test_an_entry_is_narrowed_to_the_fact_that_only_affected_cases_have() -> None:
    """Float16 diverges and float32 does not: that is where."""
    run = measured(*map(bad, HALVES), *map(row, SINGLES))
    entry = drafted(run)
    assert dict(entry.where) == {"dtype": "float16"}
    assert hidden_by(entry, run) == [0, 1]


def test_an_entry_says_what_was_measured() -> None:
    """Subject, clause, quantity, verdict and cause of the divergence, and its dates."""
    entry = drafted(measured(*map(bad, HALVES), *map(row, SINGLES)))
    assert (entry.subjects, entry.clauses, entry.quantities) == (
        ("a.one",),
        ("BN-TRAIN-1",),
        ("y",),
    )
    assert (entry.verdicts, entry.causes) == (("diverges",), ("beyond bound",))
    assert (entry.date, entry.review_by) == (TODAY, datetime.date(2027, 5, 20))
    assert entry.looked_at_least == 2


def test_what_the_explanation_says_of_where_is_preferred() -> None:
    """It comes from trying the alternative, not from this sample of cases."""
    causes = (told("epsilon.fixed", HALVES[0]),)
    run = measured(
        bad(HALVES[0]), *map(row, SINGLES), causes=causes,
        wheres={"epsilon.fixed": {"epsilon": {"max": 2e-5}, "dtype": "float16"}},
    )  # fmt: skip
    assert dict(drafted(run).where) == {"epsilon": {"max": 2e-5}, "dtype": "float16"}


def test_a_scope_that_misses_an_affected_case_is_not_taken() -> None:
    """What the explanation says may hold for those cases alone that were asked again."""
    causes = (told("epsilon.fixed", *HALVES),)
    wheres = {"epsilon.fixed": {"steps": 1}}
    run = measured(*map(bad, HALVES), *map(row, SINGLES), causes=causes, wheres=wheres)
    assert dict(drafted(run).where) == {"dtype": "float16"}


def test_a_scope_that_holds_another_cause_is_not_taken() -> None:
    """Nothing else must be hidden, whatever the explanation says of where."""
    causes = (told("epsilon.fixed", HALVES[0]), told("affine.folded", HALVES[1]))
    wheres = {"epsilon.fixed": {"dtype": "float16"}}
    run = measured(*map(bad, HALVES), causes=causes, wheres=wheres)
    entry = drafted(run, name="epsilon.fixed")
    assert hidden_by(entry, run) == [0]


def test_facts_that_code_branches_on_come_before_values() -> None:
    """Format and steps are a better reason than an epsilon that the case happens to have."""
    others = (replace(HALVES[0], steps=2, epsilon=1e-3), replace(SINGLES[0], epsilon=1e-3))
    run = measured(bad(HALVES[0]), *map(row, others), more=others)
    assert dict(drafted(run).where) == {"dtype": "float16", "steps": 1}


REPEATED = tuple(replace(case, fill=replace(case.fill, seed=9)) for case in HALVES)
"""Like ``HALVES`` in every fact."""


def test_where_no_fact_tells_all_apart_shared_ones_narrow() -> None:
    """A seed decides whether it shows, but never in float32."""
    run = measured(*map(bad, HALVES), *map(row, (*REPEATED, *SINGLES)), more=REPEATED)
    assert dict(drafted(run).where) == {"dtype": "float16"}


def test_another_cause_is_kept_out_even_where_conforming_cases_cannot_be() -> None:
    """By a range if no single value does."""
    longer = replace(HALVES[1], steps=3)
    causes = (told("epsilon.fixed", *HALVES), told("affine.folded", longer))
    run = measured(
        *map(bad, HALVES), *map(row, REPEATED), bad(longer), causes=causes, more=(*REPEATED, longer)
    )
    entry = drafted(run, name="epsilon.fixed")
    assert hidden_by(entry, run) == [0, 1]
    assert dict(entry.where) == {"steps": {"max": 2}}


def test_all_rows_of_one_cause_are_one_entry() -> None:
    """A doubled epsilon shows in y and in dx; the entry names the cause."""
    other = {"clause": "BN-GRAD-1", "quantity": "dx", "cause": "not finite"}
    causes = (
        told("epsilon.doubled", HALVES[0]),
        replace(told("epsilon.doubled", HALVES[0], quantity="dx"), clauses=("BN-GRAD-1",)),
    )
    run = measured(bad(HALVES[0]), bad(HALVES[0], **other), *map(row, SINGLES), causes=causes)
    entry = drafted(run)
    assert entry.explanations == ("epsilon.doubled",)
    assert (entry.clauses, entry.quantities) == (("BN-GRAD-1", "BN-TRAIN-1"), ("dx", "y"))
    assert hidden_by(entry, run) == [0, 1]
    assert hidden_by(drafted(run, only=True), run) == [0]


def test_a_form_is_waived_one_divergence_at_a_time() -> None:
    """Two answers that are not finite need not have the same reason."""
    causes = (
        told("not finite", HALVES[0]),
        told("not finite", HALVES[0], quantity="dx", clause="BN-GRAD-1"),
    )
    run = measured(
        bad(HALVES[0]),
        bad(HALVES[0], clause="BN-GRAD-1", quantity="dx"),
        causes=causes,
        kind="form",
    )
    assert hidden_by(drafted(run), run) == [0]


def test_a_divergence_of_two_causes_needs_a_choice() -> None:
    """Then only the rows of that cause are hidden."""
    causes = (told("epsilon.doubled", HALVES[0]), told("affine.folded", SINGLES[0]))
    run = measured(bad(HALVES[0]), bad(SINGLES[0]), causes=causes)
    with pytest.raises(EntryError, match=r"2 causes: affine\.folded \(1 row\), epsilon\.doubled"):
        meant_rows(run, DIVERGENCE)
    with pytest.raises(EntryError, match="not explained by 'nothing' but by"):
        meant_rows(run, DIVERGENCE, "nothing")
    entry = drafted(run, name="affine.folded")
    assert (hidden_by(entry, run), dict(entry.where)) == ([1], {"dtype": "float32"})


def test_an_entry_that_would_hide_another_cause_is_refused() -> None:
    """Two causes in one case cannot be told apart by facts of the case."""
    causes = (
        told("epsilon.doubled", HALVES[0]),
        told("epsilon.doubled", HALVES[1], quantity="dx", clause="BN-GRAD-1"),
        told("affine.folded", HALVES[0], quantity="dx", clause="BN-GRAD-1"),
    )
    gradient = {"clause": "BN-GRAD-1", "quantity": "dx"}
    run = measured(
        bad(HALVES[0]), bad(HALVES[1], **gradient), bad(HALVES[0], **gradient), causes=causes
    )
    with pytest.raises(
        EntryError, match=r"would also hide 1 row: 1 of BN-GRAD-1 dx \(affine\.folded\)"
    ):
        drafted(run)


def test_an_entry_that_would_hide_what_another_entry_accepts_is_refused() -> None:
    """A row belongs to one entry."""
    run = measured(bad(HALVES[0]), bad(HALVES[0], clause="BN-TRAIN-2", known="w"))
    entry = replace(drafted(run), clauses=("BN-TRAIN-1", "BN-TRAIN-2"), where={})
    with pytest.raises(EntryError, match="known as w"):
        check_covers(entry, run, meant_rows(run, DIVERGENCE))


def test_a_known_divergence_is_not_added_again() -> None:
    """The entry that covers it is named."""
    run = measured(bad(HALVES[0], known="w"))
    with pytest.raises(EntryError, match="known already, as w"):
        meant_rows(run, replace(DIVERGENCE, known="w"))


@pytest.mark.parametrize(
    ("quantity", "where"),
    [
        pytest.param("y", {}, id="the output of a training step does not depend on it"),
        pytest.param("running_mean", {"decay": 0.5}, id="a running statistic does"),
    ],
)
def test_only_what_depends_on_the_decay_is_narrowed_by_it(
    quantity: str, where: dict[str, Any]
) -> None:
    """Affected cases may share a decay by chance."""
    run = measured(bad(DECAYED, quantity=quantity), row(SINGLES[0], quantity=quantity))
    meant = meant_rows(run, replace(DIVERGENCE, quantity=quantity))
    assert dict(draft_entry(run, meant, reason="r", today=TODAY).where) == where


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        pytest.param("2.13.0+cpu", ">=2.13.0,<2.14", id="a build of a release"),
        pytest.param("0.12.8", ">=0.12.8,<0.13", id="the minor release of a young package"),
        pytest.param("0.0.17", ">=0.0.17,<0.0.18", id="a package that counts by patches"),
        pytest.param("3", ">=3,<3.1", id="one number"),
        pytest.param("2.14.0.dev20261101", ">=2.14.0.dev20261101,<2.15", id="a nightly"),
    ],
)
def test_an_entry_ends_with_the_next_minor_release(version: str, wanted: str) -> None:
    """What the next minor release does must be measured again."""
    assert version_range(version) == wanted


def test_what_is_no_version_needs_an_entry_by_hand() -> None:
    """A range cannot be guessed."""
    with pytest.raises(EntryError, match=r"'newest'.*by hand"):
        version_range("newest")


def test_evidence_tells_the_worst_row() -> None:
    """With its case, what was expected and got, bound and ratio."""
    rows = measured(bad(HALVES[0]), bad(HALVES[1], error_ratio=40.0, got=11.0)).frame
    sentence = evidence_of(rows)
    assert f"case {HALVES[1].id}, worst of 2 rows in 2 cases" in sentence
    assert "expected 1.0, got 11.0 at [0,1] of step 1; bound 0.25, error / bound 40." in sentence


def test_evidence_without_numbers_is_the_message() -> None:
    """A call that raised has no element."""
    rows = measured(bad(HALVES[0], error_ratio=float("nan"), message="raised TypeError")).frame
    assert evidence_of(rows).endswith("raised TypeError")


HOSTILE = 'It\'s "so" \\ \x7f \u2028 é """ # no comment ' + "and on " * 30


def entry_with(**changes: Any) -> KnownDivergence:
    """An entry whose every field is worth writing."""
    run = measured(*map(bad, HALVES), *map(row, SINGLES))
    return replace(
        drafted(run),
        **{
            "where": {"dtype": ["float16", "float32"], "epsilon": {"max": 1e-5}, "center": True},
            "reason": HOSTILE,
            "explanations": ("epsilon.doubled",),
            "devices": ("cuda",),
            **changes,
        },
    )


def test_text_reads_back_as_the_entry() -> None:
    """Quotes, backslashes and control characters included; long texts may be broken at spaces."""
    entry = entry_with()
    (found,) = parse_known(entry_text(entry), "f.toml")
    assert replace(found, reason=entry.reason, evidence=entry.evidence) == entry
    assert found.reason.split() == entry.reason.split()
    assert found.evidence.split() == entry.evidence.split()


def test_long_lists_and_texts_stay_within_100_columns() -> None:
    """Files are read by people."""
    clauses = tuple(f"BN-GRAD-{number}" for number in (1, 2, 3, 4)) * 6
    text = entry_text(entry_with(clauses=clauses))
    assert max(map(len, text.splitlines())) <= 100
    assert parse_known(text, "f")[0].clauses == clauses


def test_a_file_keeps_its_comments_and_line_ends(tmp_path: Path) -> None:
    """The new entry is added at the end, in the file's own style."""
    path = tmp_path / "own.toml"
    before = "# why\r\n" + entry_text(entry_with(id="old")).replace("\n", "\r\n") + "# end"
    path.write_bytes(before.encode())
    append_entry(entry_with(id="new"), path)
    after = path.read_bytes().decode()
    assert after.startswith(before)
    assert after.count("\n") == after.count("\r\n")
    assert [entry.id for entry in load_known(tmp_path)] == ["new", "old"]


def test_a_file_that_would_not_load_is_left_alone(tmp_path: Path) -> None:
    """An id that another file has: both stay as they were."""
    append_entry(entry_with(id="same"), tmp_path / "one.toml")
    with pytest.raises(KnownDivergenceError, match="used twice"):
        append_entry(entry_with(id="same"), tmp_path / "two.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["one.toml"]
    kept = (tmp_path / "one.toml").read_bytes()
    with pytest.raises(KnownDivergenceError, match="used twice"):
        append_entry(entry_with(id="same"), tmp_path / "one.toml")
    assert (tmp_path / "one.toml").read_bytes() == kept


def test_an_id_that_is_taken_gets_a_number() -> None:
    """Ids are unique over all files."""
    run = measured(*map(bad, HALVES), *map(row, SINGLES))
    meant = meant_rows(run, DIVERGENCE)
    taken = {"a-one-y-beyond-bound", "a-one-y-beyond-bound-2"}
    entry = draft_entry(run, meant, reason="r", today=TODAY, taken=taken)
    assert entry.id == "a-one-y-beyond-bound-3"


def test_a_name_that_no_explanation_can_have_is_refused() -> None:
    """A slip of the pen would otherwise never match."""
    text = entry_text(entry_with(explanations=("epsilon.dubbled",)))
    with pytest.raises(KnownDivergenceError, match=r"explanation: unknown \['epsilon.dubbled'\]"):
        parse_known(text, "f")


ENTRY = entry_with(
    id="w", where={"dtype": "float16"}, explanations=(), devices=(), clauses=("BN-TRAIN-1",)
)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="covered"),
        pytest.param({"subject": "b.two"}, id="another subject"),
        pytest.param({"framework_version": "2.14.0"}, id="another version"),
        pytest.param({"framework_version": ""}, id="no version"),
        pytest.param({"clause": "BN-TRAIN-2"}, id="another clause"),
        pytest.param({"quantity": "dx"}, id="another quantity"),
        pytest.param({"cause": "not finite"}, id="another cause"),
        pytest.param({"verdict": "crashed"}, id="another verdict"),
        pytest.param({"verdict": "conforms"}, id="no divergence"),
        pytest.param({"case_id": SINGLES[0].id}, id="a case outside of where"),
        pytest.param({"case_id": "gone"}, id="a case that nobody describes"),
    ],
)
def test_rows_at_once_are_judged_like_rows_one_by_one(changes: dict[str, Any]) -> None:
    """The masks over frames and the methods of an entry say the same."""
    record = bad(HALVES[0], **changes)
    run = measured(record)
    facts = run.facts.get(record.case_id)
    wanted = [
        facts is not None and method(record, facts) for method in (ENTRY.in_scope, ENTRY.covers)
    ]
    found = [bool(mask(ENTRY, run.frame, run.facts)[0]) for mask in (in_scope, covered)]
    assert found == wanted
    assert any(found) or changes


def test_the_first_entry_that_covers_a_row_names_it() -> None:
    """As in a run."""
    run = measured(*map(bad, HALVES), *map(row, SINGLES))
    entries = (ENTRY, replace(ENTRY, id="later", where={}))
    assert list(labels(entries, run.frame, run.facts)) == ["w", "w", "", ""]


MANY = tuple(
    replace(HALVES[0], fill=replace(HALVES[0].fill, seed=seed)) for seed in range(100, 160)
)


def labelled(entry: KnownDivergence = ENTRY, **counts: int) -> tuple[str, ...]:
    """What is over-broad where so many rows of ``entry`` have each cause, one row a case."""
    names = [name.replace("__", ".") for name, count in counts.items() for _ in range(count)]
    cases = MANY[: len(names)]
    causes = tuple(told(name, case) for name, case in zip(names, cases, strict=True))
    run = measured(*(bad(case, known="w") for case in cases))
    return over_broad([entry], run.frame, causes, run.facts)


def test_an_entry_that_hides_one_cause_is_not_over_broad() -> None:
    """However many rows it has."""
    assert not labelled(epsilon__doubled=20)


def test_an_entry_that_hides_two_causes_is_over_broad() -> None:
    """Both are named, with rows and a case, and how to accept them."""
    (sentence,) = labelled(epsilon__doubled=6, affine__folded=7)
    assert sentence.startswith("w: over-broad, it hides 2 causes: affine.folded (7 rows, case ")
    assert "explanation = ['affine.folded', 'epsilon.doubled']" in sentence


def test_an_entry_may_hide_the_causes_that_it_names() -> None:
    """Somebody has looked at them."""
    entry = replace(ENTRY, explanations=("epsilon.doubled", "affine.folded"))
    assert not labelled(entry, epsilon__doubled=6, affine__folded=7)


def test_an_entry_must_not_hide_a_cause_beside_those_that_it_names() -> None:
    """Even if it is the only one that shows."""
    entry = replace(ENTRY, explanations=("epsilon.doubled",))
    (sentence,) = labelled(entry, affine__folded=7)
    assert "hides affine.folded (7 rows, case" in sentence
    assert "beside what it names (epsilon.doubled)" in sentence


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param(4, 4, id="fewer than five cases"),
        pytest.param(5, 50, id="less than a tenth of the rows"),
    ],
)
def test_a_cause_of_a_few_rows_accuses_nobody(few: int, many: int) -> None:
    """Near the bounds of one cause another fits as well."""
    assert not labelled(epsilon__doubled=many, affine__folded=few)


def test_rows_that_no_explanation_speaks_of_accuse_nobody() -> None:
    """Runs without explanations stay as they were."""
    run = measured(*(bad(case, known="w") for case in MANY))
    assert not over_broad([ENTRY], run.frame, (), run.facts)


def test_a_row_that_was_not_asked_again_has_the_cause_of_its_like() -> None:
    """By clause, quantity and where; another subject's explanation says nothing."""
    run = measured(*map(bad, HALVES), *map(row, SINGLES))
    known = replace(told("epsilon.doubled", HALVES[0]), where={"steps": 2})
    stranger = replace(told("affine.folded", *HALVES), subject="b.two")
    causes = causes_of_rows(run.frame, [stranger, known], run.facts)
    assert list(causes) == ["epsilon.doubled", "epsilon.doubled", "", ""]
    elsewhere = replace(known, where={"steps": 5})
    assert list(causes_of_rows(run.frame, [elsewhere], run.facts)) == [
        "epsilon.doubled",
        "",
        "",
        "",
    ]


def test_a_row_belongs_to_the_explanation_that_was_found_on_it() -> None:
    """However well another one speaks of its like."""
    run = measured(*map(bad, HALVES))
    general = told("epsilon.doubled", *SINGLES, HALVES[1])
    causes = causes_of_rows(run.frame, [general, told("affine.folded", HALVES[0])], run.facts)
    assert list(causes) == ["affine.folded", "epsilon.doubled"]


def test_an_entry_whose_scope_mostly_conforms_gets_advice() -> None:
    """With the numbers; a row in which nothing could be judged does not count as conforming."""
    wide = replace(ENTRY, where={})
    rows = [bad(HALVES[0], known="w"), *map(row, SINGLES), row(HALVES[1], vacuous=True)]
    run = measured(*rows)
    reach = reaches([wide], run.frame, run.facts)
    assert reach == {"w": Reach(looked=4, matched=1, conforming=2)}
    assert not advice([wide], reach)
    more = measured(*rows, row(SINGLES[0], clause="BN-TRAIN-1", quantity="y"))
    (sentence,) = advice([wide], reaches([wide], more.frame, more.facts))
    assert sentence.startswith("w: of the 5 rows in its scope 3 conform and 1 diverge")


def test_an_entry_that_matches_nothing_gets_no_advice() -> None:
    """It is stale, which is said elsewhere."""
    run = measured(*map(row, SINGLES))
    wide = replace(ENTRY, where={})
    assert not advice([wide], reaches([wide], run.frame, run.facts))
