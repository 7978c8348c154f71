"""What one run against another says: new, changed, gone, not looked at; never a false 'gone'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.conformance.record import Record
from bnconform.reports.comparison import (
    Change,
    Comparison,
    IncomparableError,
    Side,
    compare_sides,
)
from bnconform.reports.frames import load_runs

Blank = Callable[[], Any]
Compare = Callable[..., Comparison]

BAD = {"verdict": "diverges", "cause": "beyond bound", "error_ratio": 10.0}


@pytest.fixture
def make(blank: Blank) -> Callable[..., Any]:
    """A run of subject a.one with the rows that are given as changes of a conforming row.

    ``cases`` are the seeds of its cases; each row belongs to the first unless it says ``seed``.
    """

    def make(*rows: dict[str, Any], cases: tuple[int, ...] = (1, 2), **subject: Any) -> Any:
        run = blank()
        run.subjects = [run.subject("a.one", **subject), run.subject("z.witness")]
        known = {seed: run.add_case(run.case(seed=seed)) for seed in cases}
        # Something that is judged in every run, so that there is something to compare.
        run.records = [run.row("z.witness", known[cases[0]], "BN-Y-1")]
        for row in rows:
            told = {"clause": "BN-Y-1", "seed": cases[0], **row}
            case, clause = known[told.pop("seed")], told.pop("clause")
            run.records.append(run.row("a.one", case, clause, **told))
        return run

    return make


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Two synthetic runs compared; ``causes_a`` and ``causes_b`` name the rows' explanations."""

    def compare(
        run_a: Any,
        run_b: Any,
        causes_a: str | None = None,
        causes_b: str | None = None,
        **more: Any,
    ) -> Comparison:
        sides = []
        for name, run, causes in (("a", run_a, causes_a), ("b", run_b, causes_b)):
            runs = load_runs([run.write(tmp_path / name)])
            told = None if causes is None else pd.Series(causes, index=runs.records.index)
            sides.append(Side(runs=runs, causes=told))
        return compare_sides(*sides, **more)

    return compare


def changes(found: Comparison) -> list[str]:
    """What became of each divergence."""
    return sorted(found.divergences["change"])


def test_a_row_that_conformed_and_now_diverges_is_new_and_fails(
    make: Callable[..., Any], compare: Compare
) -> None:
    """With its clause, quantity, and error."""
    found = compare(make({}), make(BAD))
    (row,) = found.failing().to_dict("records")
    assert (row["change"], row["clause"], row["quantity"]) == ("new", "BN-Y-1", "y")
    assert (row["rows"], row["error_ratio_a"], row["error_ratio_b"]) == (1, 0.25, 10.0)


def test_a_row_that_diverged_and_is_judged_conforming_is_gone(
    make: Callable[..., Any], compare: Compare
) -> None:
    """That is the only way for a divergence to be gone."""
    found = compare(make(BAD), make({}))
    assert changes(found) == [Change.GONE]
    assert found.failing().empty


def test_the_same_divergence_twice_is_no_change(make: Callable[..., Any], compare: Compare) -> None:
    """Also if its error is somewhat larger: other sums round otherwise."""
    found = compare(make(BAD), make(BAD | {"error_ratio": 20.0}))
    assert changes(found) == [Change.SAME]
    assert found.failing(strict=True).empty


@pytest.mark.parametrize(
    ("row", "why"),
    [
        pytest.param({"vacuous": True}, "nothing of it could be judged", id="no element judged"),
        pytest.param({"verdict": "unsupported"}, "unsupported", id="the row became unsupported"),
        pytest.param(
            {"verdict": "unsupported", "clause": "BN-CALL-5", "quantity": "call"},
            "unsupported",
            id="the whole case became unsupported, which is a row of another clause",
        ),
        pytest.param(
            {"verdict": "crashed", "clause": "BN-CALL-1", "quantity": "call"},
            "the call crashed",
            id="the call did not get that far",
        ),
        pytest.param(
            {"clause": "BN-VAR-1"}, "not judged for this clause", id="judged for another clause"
        ),
        pytest.param({"seed": 2}, "not run", id="its case is planned but has no rows"),
    ],
)
def test_what_was_not_judged_again_is_never_gone(
    make: Callable[..., Any], compare: Compare, row: dict[str, Any], why: str
) -> None:
    """It is not looked at any more, and the reason is told."""
    found = compare(make(BAD), make(row))
    (told,) = found.of(Change.UNSEEN).to_dict("records")
    assert told["why"] == why
    assert found.of(Change.GONE).empty


def test_an_unavailable_subject_has_fixed_nothing(
    make: Callable[..., Any], compare: Compare
) -> None:
    """The reason of its absence is told, at the top and beside what it hides."""
    absent = make(available=False, reason="No module named 'a'", version="")
    found = compare(make(BAD), absent)
    assert changes(found) == [Change.UNSEEN]
    assert set(found.divergences["why"]) == {"unavailable: No module named 'a'"}
    assert ("a.one", "unavailable: No module named 'a'") in {
        (each.what, each.after) for each in found.differences
    }
    assert found.lost == 1


def test_a_subject_that_was_not_asked_has_fixed_nothing(
    make: Callable[..., Any], compare: Compare
) -> None:
    """A run of fewer subjects hides their divergences."""
    fewer = make()
    fewer.subjects = fewer.subjects[1:]
    found = compare(make(BAD), fewer)
    assert set(found.divergences["why"]) == {"the subject was not asked"}
    assert changes(found) == [Change.UNSEEN]


def test_a_case_that_is_no_longer_planned_has_fixed_nothing(
    make: Callable[..., Any], compare: Compare
) -> None:
    """And the plans are said to differ."""
    found = compare(make({"seed": 2} | BAD), make(cases=(1, 3)))
    assert set(found.divergences["why"]) == {"its case was not planned"}
    notes = {each.what: each.note for each in found.differences}
    assert notes["cases"] == "1 only in A, 1 only in B"


def test_a_divergence_in_a_case_of_b_alone_is_new(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Nobody has seen it before."""
    found = compare(make({}), make({}, BAD | {"seed": 3}, cases=(1, 3)))
    assert changes(found) == [Change.NEW]
    assert set(found.divergences["why"]) == {"its case was not planned"}


def test_a_divergence_of_a_on_more_cases_is_not_new(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Where A did not look, and diverged elsewhere in the same way, B tells nothing new."""
    found = compare(make(BAD), make(BAD, BAD | {"seed": 3}, cases=(1, 3)))
    assert changes(found) == [Change.SAME, Change.WIDER]
    assert found.failing(strict=True).empty


def test_a_divergence_of_a_is_new_where_a_conformed(
    make: Callable[..., Any], compare: Compare
) -> None:
    """A known kind of divergence that spreads is a regression."""
    found = compare(make(BAD, {"seed": 2}), make(BAD, BAD | {"seed": 2}))
    assert changes(found) == [Change.NEW, Change.SAME]


@pytest.mark.parametrize(
    ("after", "what", "worse"),
    [
        pytest.param({"cause": "not finite"}, "cause", True, id="another cause"),
        pytest.param({"verdict": "unrepeatable"}, "verdict", True, id="another verdict"),
        pytest.param({"error_ratio": 20.1}, "error", True, id="more than twice the error"),
        pytest.param({"error_ratio": float("inf")}, "error", True, id="no longer finite"),
        pytest.param({"known": "w"}, "known", False, id="accepted since"),
    ],
)
def test_a_row_that_diverges_in_another_way_is_changed(
    make: Callable[..., Any], compare: Compare, after: dict[str, Any], what: str, *, worse: bool
) -> None:
    """What differs is named; being accepted is no worse."""
    found = compare(make(BAD), make(BAD | after))
    (row,) = found.of(Change.CHANGED).to_dict("records")
    assert row["what"] == what
    assert bool(len(found.failing(strict=True))) is worse


def test_a_divergence_that_is_no_longer_accepted_fails(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Its entry ended, or does not hold for this version."""
    found = compare(make(BAD | {"known": "w"}), make(BAD))
    assert len(found.failing()) == 1


def test_an_infinite_error_that_stays_infinite_did_not_grow(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Not a number of a number is compared with itself."""
    endless = BAD | {"error_ratio": float("inf")}
    assert changes(compare(make(endless), make(endless))) == [Change.SAME]


def test_the_factor_decides_what_a_larger_error_is(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Fifteen times the error is no change for a factor of 20."""
    found = compare(make(BAD), make(BAD | {"error_ratio": 150.0}), factor=20.0)
    assert changes(found) == [Change.SAME]


def test_another_explanation_of_the_same_row_is_a_change_that_fails(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Same clause, same verdict, but another bug."""
    found = compare(make(BAD), make(BAD), "epsilon.doubled", "epsilon.omitted")
    (row,) = found.failing().to_dict("records")
    assert (row["what"], row["was_explanation"]) == ("explanation", "epsilon.doubled")
    assert row["explanation"] == "epsilon.omitted"


def test_a_cause_that_is_found_for_the_unexplained_is_no_worse(
    make: Callable[..., Any], compare: Compare
) -> None:
    """To learn why is no regression."""
    found = compare(make(BAD), make(BAD), "unexplained", "epsilon.omitted")
    assert changes(found) == [Change.CHANGED]
    assert found.failing(strict=True).empty


def test_explanations_of_one_run_alone_are_not_compared(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Otherwise every old divergence would look changed."""
    found = compare(make(BAD), make(BAD), None, "epsilon.omitted")
    assert not found.explained
    assert changes(found) == [Change.SAME]


def test_a_new_divergence_that_is_known_in_b_fails_only_if_strict(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Somebody accepted it already."""
    found = compare(make({}), make(BAD | {"known": "w"}))
    assert found.failing().empty
    assert len(found.failing(strict=True)) == 1


def test_rows_of_one_divergence_are_summed_up(make: Callable[..., Any], compare: Compare) -> None:
    """Rows, cases, the worst case, and the bundle's id."""
    after = make(BAD, BAD | {"seed": 2, "error_ratio": 30.0})
    worst: Record = after.records[-1]
    case, _ = after.cases[worst.case_id]
    after.divergences = [after.divergence("d-1", worst, case)]
    found = compare(make({}, {"seed": 2}), after)
    (row,) = found.divergences.to_dict("records")
    assert (row["rows"], row["cases"], row["error_ratio_b"]) == (2, 2, 30.0)
    assert (row["case_id"], row["id"]) == (worst.case_id, "d-1")


def test_other_versions_are_said(make: Callable[..., Any], compare: Compare) -> None:
    """Of the framework, once, with the subjects that it concerns, and of bnconform itself."""
    newer = make({}, version="2.0")
    newer.records = [row._replace(framework_version="2.0") if row.subject == "a.one" else row
                     for row in newer.records]  # fmt: skip
    manifest = newer.manifest
    newer.manifest = lambda: (
        manifest()
        | {"versions": {"a": "2.0", "bnconform": "0.2.0", "python": "3.11.2", "numpy": "2.4.6"}}
    )
    found = compare(make({}), newer)
    told = [(each.what, each.before, each.after, each.note) for each in found.differences]
    assert told == [("a", "1.0", "2.0", "a.one"), ("bnconform", "0.1.0", "0.2.0", "")]


def test_runs_of_other_arguments_are_said(make: Callable[..., Any], compare: Compare) -> None:
    """A seed or a profile makes other cases."""
    other = make({})
    other.arguments = {"seed": 7}
    found = compare(make({}), other)
    assert [(each.what, each.before, each.after) for each in found.differences] == [
        ("--seed", "0", "7")
    ]


def test_runs_without_any_divergence_have_nothing_to_tell(
    make: Callable[..., Any], compare: Compare
) -> None:
    """The best of cases."""
    found = compare(make({}), make({}))
    assert found.divergences.empty
    assert found.failing(strict=True).empty


def test_runs_that_share_no_row_cannot_be_compared(
    make: Callable[..., Any], compare: Compare
) -> None:
    """Nothing compared would otherwise read as nothing new."""
    with pytest.raises(IncomparableError, match="no row was judged in both runs"):
        compare(make(BAD, cases=(1,)), make(BAD, cases=(2,)))


def test_a_side_of_several_versions_is_refused(make: Callable[..., Any], tmp_path: Path) -> None:
    """It cannot be told which of them would be compared."""
    newer = make({"seed": 2, "framework_version": "2.0"}, version="2.0")
    newer.records = newer.records[1:]
    parts = [make({}).write(tmp_path / "1"), newer.write(tmp_path / "2")]
    side = Side(runs=load_runs(parts), causes=None)
    with pytest.raises(IncomparableError, match=r"a\.one as 1\.0 on cpu and 2\.0 on cpu"):
        compare_sides(side, side)


def test_a_side_of_different_runs_is_refused(make: Callable[..., Any], tmp_path: Path) -> None:
    """Parts of a side must have been asked for together."""
    other = make({})
    other.arguments = {"seed": 7}
    parts = [make({}).write(tmp_path / "1"), other.write(tmp_path / "2")]
    side = Side(runs=load_runs(parts), causes=None)
    with pytest.raises(IncomparableError, match="put together from different runs"):
        compare_sides(side, side)


def test_two_runs_without_a_divergence_are_alike(make: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is new where nothing was ever wrong."""
    side = Side(runs=load_runs([make({}).write(tmp_path / "run")]), causes=None)
    found = compare_sides(side, side)
    assert found.divergences.empty
    assert found.failing().empty


def test_shards_of_one_run_are_one_side(make: Callable[..., Any], tmp_path: Path) -> None:
    """A divergence in the second shard is found, and a missing shard is said."""
    parts = []
    for number, rows in ((1, {}), (2, BAD | {"seed": 2})):
        part = make(rows)
        part.arguments = {"shard": [number, 2]}
        part.records = part.records if number == 1 else part.records[1:]
        parts.append(part.write(tmp_path / str(number)))
    both, first = (Side(runs=load_runs(some), causes=None) for some in (parts, parts[:1]))
    found = compare_sides(both, first)
    assert [(each.what, each.before, each.after) for each in found.differences] == [
        ("shards", "all", "2/2 missing")
    ]
    assert set(found.divergences["why"]) == {"not run"}
