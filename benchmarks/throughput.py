"""Cases a second, subject by subject: the framework alone, ours end to end, and a naive loop.

    python benchmarks/throughput.py [--subjects NAMES] [--profile P] [--cases N] [--naive N]

Every figure is measured in a process of its own, one after the other in one call, on the same
cases:

- *alone* is the framework's own work and nothing else: its layers are built and called with arrays
  that were made before, each case once, neighbouring signatures together;
- *ours* is a campaign of the same cases, from its first question to the closed run directory, with
  everything that it does: repeats, reference and bounds, judging, attribution, records on disk;
- *naive* is a Hypothesis test of one example at a time, each drawn anew, built, called, and judged.

Alone and ours are run twice, cold and warm, each with its own cache of compiled code that is empty
in the first of the two. Starting Python and importing the framework is in none of the figures.
*share* is ours over alone, *times naive* ours warm over naive, MB the largest resident memory of
harness and worker. Stages are shares of the seconds of a warm run in the harness; the worker works
beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import markdown
from throughput_loops import LOOPS

from bnconform.adapters import REGISTRY
from bnconform.adapters.caches import CACHE
from bnconform.cli.subjects import describe_all, select_targets
from bnconform.conformance.cases.plan import PROFILES

Measured = Mapping[str, Any]

COLUMNS = (
    "subject", "cases", "alone cold", "ours cold", "share", "alone warm", "ours warm", "share",
    "verdicts/s", "naive", "times naive", "MB harness", "MB worker",
)  # fmt: skip


def main() -> int:
    """Measure every subject and print two tables."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(LOOPS[arguments.child](arguments)))
        return 0
    targets = select_targets(arguments.subjects, [])
    subjects = [
        each for each in describe_all(targets, 2, lambda _: None) if each.described.available
    ]
    rows, stages = [], {}
    for subject in subjects:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(subject.name, arguments, Path(folder))
        rows.append(row(subject.name, found))
        stages[subject.name] = found["ours warm"]["stages"]
        # At once: a call that is cut short still leaves what was measured.
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print(
        f"Profile {arguments.profile}, {arguments.cases} cases planned, {os.cpu_count()} cores.\n"
    )
    print("Cases a second:\n")
    print("\n".join(markdown(COLUMNS, rows)))
    print("\nWhere the harness's time goes, in percent of a warm run:\n")
    names = sorted({name for mine in stages.values() for name in mine})
    shares = [_shares(name, stages[name], names) for name in stages]
    print("\n".join(markdown(("subject", *names), shares)))
    return 0


def measure(subject: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Measured]:
    """All loops of one subject."""
    found: dict[str, Measured] = {}
    for loop in ("alone", "ours"):
        for state in ("cold", "warm"):
            found[f"{loop} {state}"] = _child(loop, subject, arguments, folder / loop)
    found["naive"] = _child("naive", subject, arguments, folder / "naive")
    return found


def _child(loop: str, subject: str, arguments: argparse.Namespace, cache: Path) -> Measured:
    done = subprocess.run(  # noqa: S603 -- itself
        [
            sys.executable, __file__, "--child", loop, "--subjects", subject,
            "--profile", arguments.profile, "--cases", str(arguments.cases),
            "--naive", str(arguments.naive),
        ],
        env=os.environ | {CACHE: str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        msg = f"the {loop} loop of {subject} ended with status {done.returncode}:\n{done.stderr}"
        raise RuntimeError(msg)
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def row(subject: str, found: Mapping[str, Measured]) -> list[str]:
    """One line of the table."""
    rates = {name: each["cases"] / each["seconds"] for name, each in found.items()}
    ours = found["ours warm"]
    return [
        subject,
        str(ours["cases"]),
        f"{rates['alone cold']:.0f}",
        f"{rates['ours cold']:.0f}",
        f"{rates['ours cold'] / rates['alone cold']:.0%}",
        f"{rates['alone warm']:.0f}",
        f"{rates['ours warm']:.0f}",
        f"{rates['ours warm'] / rates['alone warm']:.0%}",
        f"{ours['verdicts'] / ours['seconds']:.0f}",
        f"{rates['naive']:.1f}",
        f"{rates['ours warm'] / rates['naive']:.0f}",
        f"{ours['harness_mb']:.0f}",
        f"{ours['worker_mb']:.0f}",
    ]


def _shares(subject: str, stages: Mapping[str, float], names: Sequence[str]) -> list[str]:
    total = sum(stages.values())
    return [subject, *(f"{100 * stages.get(name, 0.0) / total:.0f}" for name in names)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--subjects", default=",".join(REGISTRY))
    parser.add_argument("--profile", default="quick", choices=sorted(PROFILES))
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--naive", type=int, default=40, help="examples of the naive loop")
    parser.add_argument("--child", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
