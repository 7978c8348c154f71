"""``bnconform selftest`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from bnconform.cli.selftesting import show, to_dict
from bnconform.conformance.explanation.explanation import Explanation
from bnconform.conformance.explanation.names import Kind, Why
from bnconform.conformance.selftest.hunt import Hunted
from bnconform.conformance.selftest.runner import Tally

EXPLANATION = Explanation(
    subject="miniature.x",
    kind=Kind.CONVENTION,
    name=Why.DX_THROUGH_BATCH_IN_INFERENCE,
    sentence="",
    where={"rank": 4},
    clauses=("BN-INFER-5",),
    quantities=("dx",),
    affected=(("0123456789abcdef", "dx"),),
)
RIGHT = Hunted(
    name="miniature.statistics_without_last_sample",
    planted=(Why.DX_THROUGH_BATCH_IN_INFERENCE,),
    where=(),
    sentence="What is planted.",
    source="a/b#1: what was wrong",
    found=True,
    first="BN-INFER-5 dx in case 0123456789abcdef",
    case_number=512,
    seconds=12.34,
    cases=520,
    total_seconds=20.0,
    explanations=(EXPLANATION,),
)
WRONG = replace(RIGHT, planted=(Why.DX_AS_IN_INFERENCE,))
MISSED = replace(RIGHT, found=False, case_number=None, seconds=None, explanations=())
CLEAN = replace(MISSED, planted=())
ASTRAY = replace(RIGHT, where=("smallest_count", "largest_count"))
DIRTY = replace(RIGHT, planted=())
TALLY = Tally(hunted=(CLEAN, DIRTY, RIGHT, WRONG, MISSED, ASTRAY))


def bnconform(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, piped, 80 columns wide."""
    command = [sys.executable, "-m", "bnconform", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def shown() -> str:
    """What is printed of one result of each sort."""
    stream = StringIO()
    show(TALLY, Console(file=stream, width=80))
    return stream.getvalue()


def test_the_table_fits_a_terminal(shown: str) -> None:
    """Eighty columns, the longest names included, and no name is cut."""
    assert max(map(len, shown.splitlines())) <= 80
    assert "statistics_without_last_sample" in shown


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("clean in 520 cases", id="a control that is clean"),
        pytest.param("NOT CLEAN: BN-INFER-5 dx", id="a control that is not"),
        pytest.param("512 12.3 gradient.dx_through_batch", id="found and named"),
        pytest.param("WRONG CAUSE: gradient.dx_through_batch", id="found and named wrongly"),
        pytest.param("planted: gradient.dx_as_in_inference", id="what should have been named"),
        pytest.param("NOT FOUND in 520 cases: What is planted.", id="not found"),
        pytest.param("not that it is about smallest_count", id="not said where"),
        pytest.param("1 of 2 right ones stayed clean.", id="controls"),
        pytest.param("3 of 4 planted defects were found.", id="defects"),
        pytest.param("2 of 4 causes were named rightly; 90% are asked for.", id="causes"),
        pytest.param("0 of 1 that show in some cases only say in which.", id="scopes"),
        pytest.param("The median time to the first divergence was 12.3 s.", id="time"),
    ],
)
def test_every_sort_of_result_is_told(shown: str, words: str) -> None:
    """In words that say what became of it; lines may be broken anywhere between them."""
    assert words in " ".join(shown.split())


def test_json_holds_what_the_table_holds() -> None:
    """Sums and every result, ready for a script."""
    data = json.loads(json.dumps(to_dict(TALLY)))
    assert data["passed"] is False
    assert (data["defects"], data["found"], data["causes_right"]) == (4, 3, 2)
    assert (data["controls"], data["clean"]) == (2, 1)
    first = data["miniatures"][2]
    assert first["named"] == ["gradient.dx_through_batch_in_inference"]
    assert first["cause_right"] is True
    assert first["explanations"][0]["where"] == {"rank": 4}


def test_a_defect_is_found_and_named() -> None:
    """The whole way: processes, cases, judgement, attribution, exit status 0."""
    done = bnconform("selftest", "epsilon_floored", "--json", "--workers", 1)
    assert done.returncode == 0, done.stderr or done.stdout
    (result,) = json.loads(done.stdout)["miniatures"]
    assert result["named"] == [Why.EPSILON_FLOORED]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["epsilon"], "no miniature epsilon; there are: right,", id="no such one"),
        pytest.param(["right", "--workers", "-1"], "--workers must be 0 or more", id="workers"),
    ],
)
def test_a_call_that_cannot_be_carried_out_exits_2(arguments: list[str], message: str) -> None:
    """One sentence that says what there is."""
    done = bnconform("selftest", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
