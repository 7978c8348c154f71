"""Explaining a run: a subject is asked again about some of what diverged, and the causes are kept.

Answers are not kept in a run, so a sample of the cases that diverged, and of those that did not,
is asked once more. What the sample shows is then said of every row.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..case import Case
from ..contract import Adapter, Hung, Outcome
from ..explanation.attribution import attribute
from ..explanation.explanation import Explanation, Witness
from ..explanation.names import Kind
from ..explanation.row_causes import Assigner, Row
from ..known.divergences import case_facts
from ..record import UNEXPECTED, VerdictKind
from ..topic import topic_of_case
from .answering import batches, repeats, room_for
from .bundles import BundleKey, bundle_id
from .judging import judged_cases
from .process import Question, SubjectProcess
from .run_directory import write_json

EXPLANATIONS = "explanations.json"

NEEDED = ("subject", "clause", "quantity", "verdict", "cause", "known", "case_id", "message")
"""Columns of a subject's rows that are needed to explain them: the others would fill memory."""

MOST_OF_A_SORT = 12
"""Diverging cases that are asked again for each clause, quantity and cause."""

MOST_DIVERGING = 96
MOST_CONFORMING = 48


def explain_subject(
    adapter: type[Adapter],
    rows: pd.DataFrame,
    cases: Mapping[str, Case],
    process: SubjectProcess,
    limit: float,
) -> tuple[Explanation, ...]:
    """The causes of what diverges in ``rows``, all of one subject; ``limit`` seconds a case."""
    chosen = _chosen(rows, cases)
    # What took all its time would take it again, minutes for each case, and say no more.
    hung = set(rows.loc[rows["verdict"] == VerdictKind.HUNG.value, "case_id"])
    waited: list[tuple[Case, Outcome]] = [
        (case, Hung(limit=limit, output="")) for case in chosen if case.id in hung
    ]
    questions = (
        Question(case=case, repeat=repeats(case)) for case in chosen if case.id not in hung
    )
    witnesses: list[Witness] = []
    for batch in batches(itertools.chain(waited, process.ask(questions, limit))):
        with room_for(batch):
            judged = list(judged_cases(batch, adapter))
        witnesses += (
            Witness(case=case, outcome=outcome, judgements=each.judgements)
            for (case, outcome), each in zip(batch, judged, strict=True)
        )
    found = attribute(adapter, witnesses) if witnesses else ()
    return (*found, *_of_other_topics(adapter.name, rows, cases))


def unexpected(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are no conformity, known or not."""
    return rows[rows["verdict"].isin([kind.value for kind in UNEXPECTED])]


def _chosen(rows: pd.DataFrame, cases: Mapping[str, Case]) -> list[Case]:
    """Cases to ask again: the simplest of each sort of divergence, and some that conform."""
    bad = unexpected(rows)
    bad = bad[bad["case_id"].isin(list(cases))]
    names: dict[str, None] = {}
    for _, same in bad.groupby(["clause", "quantity", "verdict", "cause"], sort=True):
        found = sorted(
            set(same["case_id"]), key=lambda name: topic_of_case(cases[name]).rank_of_example
        )
        # The simplest, and a few from all over the rest.
        half = MOST_OF_A_SORT // 2
        names |= dict.fromkeys([*found[:half], *_spread(found[half:], half)])
    diverging = _spread(list(names), MOST_DIVERGING)
    if not diverging:
        return []
    right = rows[
        (rows["verdict"] == "conforms")
        & rows["quantity"].isin(set(bad["quantity"]))
        & ~rows["case_id"].isin(set(bad["case_id"]))
    ]
    conforming = _spread(sorted(set(right["case_id"]) & set(cases)), MOST_CONFORMING)
    return sorted((cases[name] for name in (*diverging, *conforming)), key=lambda c: c.signature)


def _spread(names: Sequence[str], most: int) -> list[str]:
    """At most ``most`` of ``names``, evenly from all over."""
    if len(names) <= most:
        return list(names)
    return [names[i * len(names) // most] for i in range(most)]


def _of_other_topics(
    subject: str, rows: pd.DataFrame, cases: Mapping[str, Case]
) -> Iterable[Explanation]:
    """Experiments and malformed calls: what their verdicts say, clause by clause."""
    bad = unexpected(rows)
    bad = bad[~bad["case_id"].isin(list(cases))]
    for (clause, cause), same in bad.groupby(["clause", "cause"], sort=True):
        simplest = same.sort_values(["message", "case_id"]).iloc[0]
        pairs = {(str(row["case_id"]), str(row["quantity"])) for _, row in same.iterrows()}
        yield Explanation(
            subject=subject,
            kind=Kind.FORM,
            name=str(cause),
            sentence=str(simplest["message"]),
            where={},
            clauses=(str(clause),),
            quantities=tuple(sorted({quantity for _, quantity in pairs})),
            affected=tuple(sorted(pairs)),
        )


def explained_rows(
    explanations: Sequence[Explanation], rows: pd.DataFrame, cases: Mapping[str, Case]
) -> list[dict[str, Any]]:
    """The explanations of one subject as JSON-ready data, with all rows that each accounts for.

    A row that was not asked again belongs to the explanation that speaks of its clause and quantity
    and of where its case lies.
    """
    bundles: dict[int, set[str]] = defaultdict(set)
    members: dict[int, list[Row]] = defaultdict(list)
    assigner = Assigner(explanations)
    columns = ["subject", "clause", "quantity", "verdict", "cause", "known", "case_id"]
    for values in unexpected(rows)[columns].itertuples(index=False, name=None):
        *key, case_id = map(str, values)
        case = cases.get(case_id)
        facts = {} if case is None else case_facts(case)
        row = Row(case_id=case_id, clause=key[1], quantity=key[2], facts=facts)
        number = assigner.assigned(row)
        if number is not None:
            bundles[number].add(bundle_id(_key(key)))
            members[number].append(row)
    return [
        asdict(each)
        | {
            "affected": sorted({(row.case_id, row.quantity) for row in members[i]}),
            "divergences": sorted(bundles[i]),
            "rows": len(members[i]),
            "cases": len({row.case_id for row in members[i]}),
        }
        for i, each in enumerate(explanations)
    ]


def _key(values: Sequence[str]) -> BundleKey:
    subject, clause, quantity, verdict, cause, known = values
    return subject, clause, quantity, verdict, cause, known


def write_explanations(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Write what :func:`explained_rows` gave."""
    write_json(path, list(found))


def explanation_of(stored: Mapping[str, Any]) -> Explanation:
    """An explanation from what :func:`explained_rows` made of it, with all rows it accounts for."""
    return Explanation(
        subject=stored["subject"],
        kind=Kind(stored["kind"]),
        name=stored["name"],
        sentence=stored["sentence"],
        where=stored["where"],
        clauses=tuple(stored["clauses"]),
        quantities=tuple(stored["quantities"]),
        affected=tuple((case_id, quantity) for case_id, quantity in stored["affected"]),
    )


def read_explanations(path: Path) -> list[dict[str, Any]]:
    """What :func:`write_explanations` wrote; nothing where there is no such file."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found
