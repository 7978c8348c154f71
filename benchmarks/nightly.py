"""A whole nightly campaign, as a user starts it: minutes, processor time, the harness's memory.

    python benchmarks/nightly.py --out FOLDER [--cases N] [--subjects NAMES] [--runs cold,warm]

Each run is ``bnconform run --profile nightly`` in a process of its own, one after the other. They
share a cache of compiled code, FOLDER/cache: a cold run empties it first, a warm one finds what the
run before it left. *footer* is the run's own time, from its plan to its footer; *all* includes
starting every subject to see what it is. *harness* and *processes* are seconds of processor time of
the harness and of all that it started; *calls* are those that subjects took to answer, by the
clock. *MB* is the largest resident memory of the harness, looked at five times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
from tables import markdown

from bnconform.adapters.caches import CACHE

COLUMNS = (
    "run",
    "rows",
    "unexpected",
    "all s",
    "footer s",
    "harness s",
    "processes s",
    "calls s",
    "MB",
)


def main() -> None:
    """Print a line for each run, and then all of them as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subjects", default="all")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--runs", default="cold,warm")
    arguments = parser.parse_args()
    cache = arguments.out / "cache"
    rows = []
    for number, name in enumerate(arguments.runs.split(",")):
        if name == "cold":
            shutil.rmtree(cache, ignore_errors=True)
        out = arguments.out / f"{number}-{name}"
        rows.append([name, *measured(out, arguments.subjects, arguments.cases, cache)])
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print("\n".join(markdown(COLUMNS, rows)))


def measured(out: Path, subjects: str, cases: int, cache: Path) -> list[str]:
    """One run into ``out``, from starting Python to its end."""
    command = [
        sys.executable, "-m", "bnconform", "run", "--subjects", subjects,
        "--profile", "nightly", "--cases", str(cases), "--out", str(out),
    ]  # fmt: skip
    before, began = _children(), time.perf_counter()
    largest, own = 0, 0.0
    with subprocess.Popen(  # noqa: S603 -- the command above
        command, env=os.environ | {CACHE: str(cache)}, stdout=subprocess.DEVNULL
    ) as process:
        harness = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                largest = max(largest, harness.memory_info().rss)
                times = harness.cpu_times()
                own = times.user + times.system
            time.sleep(0.2)
    seconds = time.perf_counter() - began
    footer = json.loads((out / "footer.json").read_text(encoding="utf-8"))
    columns = ["subject", "case_id", "seconds"]
    answers = pd.read_parquet(out / "records", columns=columns).drop_duplicates(columns[:2])
    return [
        f"{sum(footer['counts'].values()):,}", str(footer["unexpected"]),
        f"{seconds:.0f}", f"{footer['seconds']:.0f}", f"{own:.0f}",
        f"{_children() - before - own:.0f}", f"{answers['seconds'].sum():.0f}",
        f"{largest / 2**20:.0f}",
    ]  # fmt: skip


def _children() -> float:
    """Processor time of all processes that have ended and been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
