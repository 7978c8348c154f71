"""What a campaign costs as it grows: measured, added up, and simulated on up to 1,000 nodes.

    python benchmarks/scale.py RUN --measure           # constants of this machine, a few minutes
    python benchmarks/scale.py RUN                     # print everything
    python benchmarks/scale.py RUN --write docs/scale.md   # replace the generated blocks there

RUN is a closed run directory of all subjects; its rows tell the frameworks' time, its files what
records take. What no run tells is in ``scale_constants.json``, which ``--measure`` writes.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scale_constants import ALL_SUBJECTS, load_constants, measure, save_constants
from scale_costs import read_costs
from scale_findings import Campaigns, Sizes, central, check, findings, simulation, units
from scale_tables import Measured, costs, growth, harness, nights, records

CONSTANTS = Path(__file__).with_name("scale_constants.json")

TABLES: Mapping[str, Callable[[Measured], Iterable[str]]] = {
    "costs": costs,
    "harness": harness,
    "growth": growth,
    "nights": nights,
    "records": records,
}
SIMULATED: Mapping[str, Callable[[Campaigns], Iterable[str]]] = {
    "check": check,
    "simulation": simulation,
    "units": units,
    "central": central,
    "findings": findings,
}
QUICK = Sizes(nodes=(1, 4), cases=4_000, wide=800, large=8_000, units=(None, 100), central=(1, 4))


def main() -> int:
    """Measure if asked to; print the blocks, or write them into a document."""
    arguments = _arguments()
    if arguments.measure:
        subjects = arguments.subjects.split(",") if arguments.subjects else ALL_SUBJECTS
        planned = 500 if arguments.quick else 10_000
        found = measure(arguments.run, subjects, arguments.every, planned=planned)
        save_constants(arguments.constants, found)
    measured = Measured(
        run=read_costs(arguments.run), constants=load_constants(arguments.constants)
    )
    campaigns = Campaigns(measured, QUICK if arguments.quick else Sizes(cores=arguments.cores))
    blocks = {name: block(table(measured)) for name, table in TABLES.items()}
    blocks |= {name: block(table(campaigns)) for name, table in SIMULATED.items()}
    if arguments.write is None:
        for name, lines in blocks.items():
            print(f"## {name}\n\n{lines}")
        return 0
    text = arguments.write.read_text(encoding="utf-8")
    arguments.write.write_text(replaced(text, blocks), encoding="utf-8")
    return 0


def block(lines: Iterable[str]) -> str:
    """``lines`` as text; tables stay as they are, sentences are wrapped."""
    return "\n".join(line if line.startswith("|") else _wrapped(line) for line in lines)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 100, subsequent_indent="  " if line.startswith("- ") else "")


def replaced(text: str, blocks: Mapping[str, str]) -> str:
    """``text`` with what is between each block's two comments replaced; raises ValueError."""
    for name, lines in blocks.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            msg = f"no block for {name}: the document needs the lines {begin.strip()!r} and {end!r}"
            raise ValueError(msg)
        text = f"{before}{begin}\n{lines}\n{end}{after}"
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="a closed run directory")
    parser.add_argument("--constants", type=Path, default=CONSTANTS)
    parser.add_argument("--measure", action="store_true", help="measure the constants first")
    parser.add_argument("--subjects", help="those whose start-up is measured, all by default")
    parser.add_argument("--every", type=int, default=4, help="every so manieth signature is judged")
    parser.add_argument("--cores", type=int, default=2, help="cores of a simulated node")
    parser.add_argument("--write", type=Path, help="a document with blocks to replace")
    parser.add_argument(
        "--quick", action="store_true", help="measure and simulate little, to try it"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
