"""The simulated campaigns lose no work and make none up; the script reads a run and writes a page.

The simulation drives the engine's own scheduler, so that what holds here holds of its policy.
"""

from __future__ import annotations

import importlib
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "scale.py"
BLOCKS = (
    "costs", "harness", "growth", "nights", "records", "check", "simulation", "units", "central",
    "findings",
)  # fmt: skip

Module = Any


@pytest.fixture
def simulating(monkeypatch: pytest.MonkeyPatch) -> Module:
    """The simulation's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("scale_simulation")


def pieces_of(simulating: Module, seconds: Mapping[str, list[float]]) -> dict[str, list[Any]]:
    """Units of each subject that take so long, a fifth of it for compiling."""
    return {
        name: [
            simulating.Piece(
                subject=simulating.Named(name=name),
                block=block,
                questions=10,
                compiling=took / 5,
                working=took * 4 / 5,
                handing=0.1,
            )
            for block, took in enumerate(mine)
        ]
        for name, mine in seconds.items()
    }


UNEVEN = {
    "quick": [1.0] * 40,
    "slow": [50.0, 90.0, 10.0] * 20,
    "long": [600.0, 5.0, 5.0],
    "one": [120.0],
}
"""A subject with hardly anything to do, one that is worth helping, one long unit, a single one."""


def played(
    simulating: Module,
    seconds: Mapping[str, list[float]] = UNEVEN,
    *,
    startup: float = 7.0,
    attribution: float = 3.0,
    **machines: Any,
) -> Any:
    """What a campaign of these units takes."""
    return simulating.Simulation(
        pieces_of(simulating, seconds),
        simulating.Machines(**machines),
        startup=dict.fromkeys(seconds, startup),
        attribution=dict.fromkeys(seconds, attribution),
    ).run()


def all_units(seconds: Mapping[str, list[float]] = UNEVEN) -> list[tuple[str, int]]:
    """Every unit by subject and block."""
    return sorted((name, block) for name, mine in seconds.items() for block in range(len(mine)))


MACHINES = [
    pytest.param({"nodes": 1, "cores": 1}, id="one worker does everything"),
    pytest.param({"nodes": 1, "cores": 2}, id="one machine, and nobody to help for long"),
    pytest.param({"nodes": 5, "cores": 2}, id="more workers than subjects"),
    pytest.param({"nodes": 50, "cores": 4}, id="more workers than units"),
    pytest.param(
        {"nodes": 1, "cores": 2, "failures": 20.0, "repair": 30.0}, id="now and then nobody at all"
    ),
    pytest.param({"nodes": 5, "cores": 2, "failures": 20.0, "repair": 30.0}, id="nodes that fail"),
    pytest.param(
        {"nodes": 50, "cores": 4, "failures": 20.0, "repair": 1e9}, id="nodes that are never back"
    ),
]


@pytest.mark.parametrize("machines", MACHINES)
def test_every_unit_is_done_once(simulating: Module, machines: Mapping[str, Any]) -> None:
    """Whatever fails meanwhile, no unit is left out and none is done twice."""
    assert sorted(played(simulating, **machines).done) == all_units()


@pytest.mark.parametrize("machines", MACHINES)
def test_time_that_is_spent_adds_up(simulating: Module, machines: Mapping[str, Any]) -> None:
    """Work is neither lost nor made up, and nobody works more than all of the time."""
    spent = played(simulating, **machines)
    whole = sum(map(sum, UNEVEN.values()))
    assert spent.compiling + spent.working == pytest.approx(whole)
    assert spent.attributing == pytest.approx(3.0 * len(UNEVEN))
    assert spent.handed == pytest.approx(0.1 * len(all_units()))
    busy = spent.starting + spent.compiling + spent.working + spent.attributing + spent.lost
    assert busy + spent.waited + spent.blocked <= spent.whole * (1 + 1e-9)
    assert 0 < spent.utilisation <= 1


@pytest.mark.parametrize("machines", MACHINES)
def test_no_campaign_is_faster_than_its_work_allows(
    simulating: Module, machines: Mapping[str, Any]
) -> None:
    """The work divided by all workers is one limit, the longest unit with its start another."""
    spent = played(simulating, **machines)
    whole = sum(map(sum, UNEVEN.values()))
    assert spent.makespan >= whole / spent.workers
    assert spent.makespan >= 7.0 + max(max(mine) for mine in UNEVEN.values())


def test_one_worker_takes_exactly_the_sum(simulating: Module) -> None:
    """Each subject is started once, and nothing else is in the way."""
    spent = played(simulating, nodes=1, cores=1)
    work = sum(map(sum, UNEVEN.values())) + 0.1 * len(all_units())
    assert spent.makespan == pytest.approx(work + (7.0 + 3.0) * len(UNEVEN))
    assert spent.starts == len(UNEVEN)


def test_nodes_that_fail_cost_time_that_is_counted(simulating: Module) -> None:
    """What an outpost had done of a unit when it was lost is done again after another start."""
    whole = played(simulating, nodes=5, cores=2)
    failing = played(simulating, nodes=5, cores=2, failures=20.0, repair=30.0)
    assert whole.losses == 0
    assert whole.lost == 0.0
    assert failing.losses > 0
    assert failing.lost > 0.0
    assert failing.starts > whole.starts
    assert failing.makespan > whole.makespan


def test_a_node_that_is_never_back_takes_no_work(simulating: Module) -> None:
    """One core of two is gone early on, so that the other one does everything."""
    even = {"a": [100.0] * 20}
    alone = played(simulating, even, nodes=1, cores=1)
    left = played(simulating, even, nodes=2, cores=1, failures=1.0, repair=1e9, seed=1)
    both = played(simulating, even, nodes=2, cores=1)
    assert left.losses == 1
    assert both.makespan < left.makespan <= alone.makespan + 7.0 + 100.0


def test_a_node_that_is_down_takes_no_work(simulating: Module) -> None:
    """Neither core of the only node, used or not, is there until it is back."""
    spent = played(
        simulating, {"a": [1000.0]}, nodes=1, cores=2, failures=2.0, repair=500.0, seed=1
    )
    assert spent.losses == 1
    assert spent.makespan == pytest.approx(spent.lost + 500.0 + 7.0 + 1000.0 + 0.1 + 3.0)


def test_an_answer_that_has_come_outlives_its_node(simulating: Module) -> None:
    """An outpost that is lost while its rows wait to be taken is not asked again."""
    named = simulating.Named(name="a")
    pieces = [
        simulating.Piece(subject=named, block=block, questions=1, working=5.0, handing=50.0)
        for block in range(60)
    ]
    spent = simulating.Simulation(
        {"a": pieces},
        simulating.Machines(nodes=10, cores=1, failures=30.0, repair=10.0),
        startup={"a": 1.0},
        attribution={"a": 0.0},
    ).run()
    assert spent.losses > 10
    assert sorted(spent.done) == [("a", block) for block in range(60)]
    assert spent.working == pytest.approx(5.0 * 60)
    assert spent.handed == pytest.approx(50.0 * 60)


def test_more_nodes_are_never_slower(simulating: Module) -> None:
    """But for noise: who helps where it is hardly worth it may start a subject for nothing."""
    spans = [played(simulating, nodes=nodes, cores=2).makespan for nodes in (1, 2, 4, 16, 64)]
    for fewer, more in itertools.pairwise(spans):
        assert more <= fewer * 1.05
    assert spans[-1] < spans[0] / 2


def test_a_full_harness_holds_up_all_workers(simulating: Module) -> None:
    """Its one process takes one answer after the other, however many workers there are."""
    pieces = pieces_of(simulating, {name: [10.0] * 30 for name in "abc"})
    heavy = {
        name: [simulating.Piece(subject=each.subject, block=each.block, questions=10,
                                working=10.0, handing=5.0) for each in mine]
        for name, mine in pieces.items()
    }  # fmt: skip
    spent = simulating.Simulation(
        heavy,
        simulating.Machines(nodes=30, cores=2),
        startup=dict.fromkeys(heavy, 0.0),
        attribution=dict.fromkeys(heavy, 0.0),
    ).run()
    assert spent.makespan >= 5.0 * 90
    assert spent.blocked > 0.0


def test_judging_goes_on_while_the_subject_answers(simulating: Module) -> None:
    """A harness that judges on the way adds only what it is behind."""
    spans = {}
    for together in (False, True):
        piece = simulating.Piece(
            subject=simulating.Named(name="a"), block=0, questions=1, working=10.0, handing=4.0,
            together=together,
        )  # fmt: skip
        spans[together] = (
            simulating.Simulation(
                {"a": [piece]},
                simulating.Machines(nodes=1, cores=1),
                startup={"a": 0.0},
                attribution={"a": 0.0},
            )
            .run()
            .makespan
        )
    assert spans == {False: 14.0, True: 10.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the subject that needs no framework."""
    out = tmp_path_factory.mktemp("scale") / "run"
    done = bnconform(
        "run", "--subjects", "numpy.reference", "--profile", "quick", "--cases", "900",
        "--workers", "1", "--out", str(out),
    )  # fmt: skip
    assert (out / "footer.json").exists(), done.stdout + done.stderr
    return out


def bnconform(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    command = [sys.executable, "-m", "bnconform", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_is_read_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases, rows and bytes are those of the directory; the reference subject declines no case."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.import_module("scale_costs").read_costs(run)
    footer = json.loads((run / "footer.json").read_text(encoding="utf-8"))
    parts = list((run / "records").glob("*.parquet"))
    (subject,) = found.subjects
    assert found.cases == subject.cases == 900
    assert found.records == subject.records == sum(footer["records"].values())
    assert subject.bytes == sum(part.stat().st_size for part in parts)
    assert subject.asked == 900
    assert subject.others > 0
    assert all(each.repeat > 0 and each.once >= 0 for each in subject.signatures)


def test_the_script_measures_a_run_and_writes_every_block(run: Path, tmp_path: Path) -> None:
    """What is between the comments of a document is replaced, and nothing else of it."""
    page = tmp_path / "scale.md"
    marks = "\n".join(f"<!-- begin {name} -->\nold\n<!-- end {name} -->" for name in BLOCKS)
    page.write_text(f"before\n{marks}\nafter\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable, str(SCRIPT), str(run), "--measure", "--every", "8", "--quick",
            "--subjects", "numpy.reference", "--constants", str(tmp_path / "constants.json"),
            "--write", str(page),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text.split()
    for name in BLOCKS:
        block = text.partition(f"<!-- begin {name} -->")[2].partition(f"<!-- end {name} -->")[0]
        assert len(block.split()) > 20, name
    assert "nan" not in text


def test_a_document_without_a_block_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its table would stay what it was once, and nobody would notice."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    script = importlib.import_module("scale")
    with pytest.raises(ValueError, match="no block for costs"):
        script.replaced("nothing here", {"costs": "a table"})


def test_the_page_has_every_block() -> None:
    """So that the script can write all of it."""
    text = (BENCHMARKS.parent / "docs" / "scale.md").read_text(encoding="utf-8")
    for name in BLOCKS:
        assert f"<!-- begin {name} -->" in text
        assert f"<!-- end {name} -->" in text
