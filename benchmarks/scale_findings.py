"""The simulated part of docs/scale.md: campaigns on 1 to 1,000 nodes, as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scale_load import Load, attributions, pieces_of, startups
from scale_simulation import Machines, Piece, Simulation, Spent
from scale_tables import HOUR, NIGHT, WIDE, Measured
from tables import markdown

FAILURES = 0.01
"""Of the nodes, those that fail within an hour."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is simulated; the tests look at less."""

    cores: int = 2
    nodes: tuple[int, ...] = (1, 10, 100, 1000)
    cases: int = 10**6
    wide: int = WIDE
    large: int = 10**9
    units: tuple[int | None, ...] = (None, 10_000, 2_500, 1_000)
    central: tuple[int, ...] = (1, 2, 4, 8, 16, 32)


class Campaigns:
    """Simulated campaigns, each played once."""

    def __init__(self, measured: Measured, sizes: Sizes) -> None:
        """Nothing is played yet."""
        self.measured, self.sizes = measured, sizes
        self.pieces = cache(self._pieces)
        self.spent = cache(self._spent)

    def _pieces(self, load: Load) -> Mapping[str, Sequence[Piece]]:
        return pieces_of(self.measured.run, load, self.measured.constants)

    def _spent(self, load: Load, machines: Machines, *, known: bool = False) -> Spent:
        return Simulation(
            self.pieces(load),
            machines,
            startup=startups(self.measured.run, self.measured.constants),
            attribution=attributions(self.measured.run),
            known=known,
        ).run()

    def longest(self, load: Load) -> float:
        """Seconds of the unit that takes most."""
        mine = (piece for each in self.pieces(load).values() for piece in each)
        return max(piece.compiling + piece.working for piece in mine)

    def ideal(self, load: Load, workers: int) -> float:
        """Seconds below which nobody can be: no start-up, nobody idle, no unit cut."""
        whole = sum(p.compiling + p.working for each in self.pieces(load).values() for p in each)
        return max(whole / workers, self.longest(load))

    def machines(self, nodes: int, failures: float = 0.0) -> Machines:
        """So many."""
        return Machines(nodes=nodes, cores=self.sizes.cores, failures=failures)

    @property
    def loads(self) -> tuple[Load, Load]:
        """As the plan makes it, and with more signatures."""
        sizes = self.sizes
        return (
            Load(cases=sizes.cases, signatures=self.measured.signatures),
            Load(cases=sizes.cases, signatures=sizes.wide),
        )

    @property
    def large(self) -> Load:
        """The largest of all."""
        return Load(cases=self.sizes.large, signatures=self.sizes.wide)


def check(campaigns: Campaigns) -> Iterator[str]:
    """The measured run itself, simulated from its own costs."""
    measured = campaigns.measured
    run, subject = measured.run, measured.run.subjects[0]
    growing = subject.growing or subject.signatures
    cases = sum(each.cases for each in growing)
    load = Load(cases=cases, signatures=len(growing), central=True)
    spent = campaigns.spent(load, Machines(nodes=1, cores=run.machine["cores"]))
    yield (
        f"The run that the costs are from took {run.seconds / HOUR:.2f} h on "
        f"{run.machine['cores']} cores; simulated from them, {spent.makespan / HOUR:.2f} h, and "
        f"{measured.serial(load, run.parts)['closing'] / HOUR:.2f} h to close it."
    )
    yield ""


HEADINGS = (
    "nodes", "hours", "at best", "utilisation", "start-up", "compiling", "lost", "undecided",
    "blocked", "harness busy", "outposts", "lost outposts",
)  # fmt: skip


def simulation(campaigns: Campaigns) -> Iterator[str]:
    """The engine as it is, with nodes that hold and nodes that fail."""
    for load in campaigns.loads:
        units = sum(map(len, campaigns.pieces(load).values()))
        yield (
            f"**{load.name}**: {units:,} units, the longest "
            f"{campaigns.longest(load) / 60:,.1f} min."
        )
        yield ""
        rows = []
        for failures in (0.0, FAILURES):
            for nodes in campaigns.sizes.nodes:
                spent = campaigns.spent(load, campaigns.machines(nodes, failures))
                best = campaigns.ideal(load, spent.workers)
                label = f"{nodes:,}" + (", failing" if failures else "")
                rows.append((label, *_row(spent, best)))
        yield from markdown(HEADINGS, rows)
    load, nodes = campaigns.large, max(campaigns.sizes.nodes)
    spent = campaigns.spent(load, campaigns.machines(nodes))
    yield f"**{load.name}**: the longest unit {campaigns.longest(load) / HOUR:,.1f} h."
    yield ""
    best = campaigns.ideal(load, spent.workers)
    yield from markdown(HEADINGS, [(f"{nodes:,}", *_row(spent, best))])


def _row(spent: Spent, best: float) -> tuple[str, ...]:
    return (
        f"{spent.makespan / HOUR:.2f}",
        f"{best / HOUR:.2f}",
        f"{spent.utilisation:.1%}",
        f"{spent.share(spent.starting):.1%}",
        f"{spent.share(spent.compiling):.1%}",
        f"{spent.share(spent.lost):.2%}",
        f"{spent.share(spent.waited):.1%}",
        f"{spent.share(spent.blocked):.1%}",
        f"{spent.handed / spent.makespan:.0%}",
        f"{spent.starts:,}",
        f"{spent.losses:,}",
    )


def units(campaigns: Campaigns) -> Iterator[str]:
    """The same on most nodes, with smaller units, and with speeds that are known beforehand."""
    own, _ = campaigns.loads
    nodes = max(campaigns.sizes.nodes)
    rows = []
    for unit in campaigns.sizes.units:
        load = Load(cases=own.cases, signatures=own.signatures, unit=unit)
        best = campaigns.ideal(load, nodes * campaigns.sizes.cores)
        for known in (False, True):
            spent = campaigns.spent(load, campaigns.machines(nodes), known=known)
            rows.append(
                (
                    f"{unit:,}" if unit else "uncut",
                    f"{sum(map(len, campaigns.pieces(load).values())):,}",
                    f"{campaigns.longest(load) / 60:,.1f}",
                    "yes" if known else "no",
                    *_row(spent, best)[:9],
                )
            )
    headings = ("cases to a unit", "units", "longest, min", "speeds known", *HEADINGS[1:10])
    yield f"{own.name} on {nodes:,} nodes:"
    yield ""
    yield from markdown(headings, rows)


def central(campaigns: Campaigns) -> Iterator[str]:
    """One process that judges everything, beside more and more workers."""
    own, _ = campaigns.loads
    load = Load(cases=own.cases // 10, signatures=own.signatures, central=True)
    rows = []
    for workers in campaigns.sizes.central:
        spent = campaigns.spent(load, Machines(nodes=1, cores=workers))
        rows.append(
            (
                f"{workers}",
                f"{spent.makespan / HOUR:.2f}",
                f"{spent.utilisation:.1%}",
                f"{spent.share(spent.blocked):.1%}",
                f"{spent.handed / spent.makespan:.0%}",
                f"{load.cases / spent.makespan:.1f}",
                f"{load.cases / spent.handed:.1f}",
            )
        )
    headings = (
        "workers", "hours", "utilisation", "blocked", "harness busy", "cases/s, all subjects",
        "were it always busy",
    )  # fmt: skip
    yield f"{load.name}, judged in the campaign's own process:"
    yield ""
    yield from markdown(headings, rows)


def findings(campaigns: Campaigns) -> Iterator[str]:
    """What the tables come to, in sentences."""
    sizes, (own, _) = campaigns.sizes, campaigns.loads
    most = max(sizes.nodes)
    at_most = campaigns.spent(own, campaigns.machines(most))
    fewest = campaigns.spent(own, campaigns.machines(min(sizes.nodes)))
    yield (
        f"- **The longest unit.** {most:,} nodes are "
        f"{fewest.makespan / at_most.makespan:.1f} times as fast as {min(sizes.nodes)}, and "
        f"{1 - at_most.utilisation:.1%} of them is idle: the longest unit alone takes "
        f"{campaigns.longest(own) / HOUR:.2f} of the {at_most.makespan / HOUR:.2f} h."
    )
    best = min(
        (Load(cases=own.cases, signatures=own.signatures, unit=unit) for unit in sizes.units),
        key=lambda load: campaigns.spent(load, campaigns.machines(most)).makespan,
    )
    cut = campaigns.spent(best, campaigns.machines(most))
    known = campaigns.spent(best, campaigns.machines(most), known=True)
    asked = f"{best.unit:,} cases" if best.unit else "all cases of eight signatures"
    yield (
        f"- **The size of a unit.** Of the sizes tried, {asked} to a "
        f"unit are best on {most:,} nodes: {cut.makespan / HOUR:.2f} h, in which workers wait "
        f"{cut.share(cut.blocked):.0%} of their time for the harness to take what they found, "
        f"and it is busy {cut.handed / cut.makespan:.0%} of it."
    )
    yield (
        f"- **Speeds of an earlier run.** Nobody helps with a subject before its "
        f"first unit is done. With speeds known from an earlier run the same takes "
        f"{known.makespan / HOUR:.2f} h instead of {cut.makespan / HOUR:.2f}."
    )
    slowest = max(campaigns.measured.run.subjects, key=lambda each: each.attribution)
    yield (
        f"- **Attribution.** The causes of {slowest.name} took "
        f"{slowest.attribution:,.0f} s after its last unit, however many nodes there are."
    )
    failing = campaigns.spent(own, campaigns.machines(most, FAILURES))
    yield (
        f"- **Failing nodes.** At {FAILURES:.0%} an hour {failing.losses} outposts are "
        f"lost on {most:,} nodes, {failing.share(failing.lost):.2%} of the time; no question lost "
        f"more than {failing.worst} of them, and five are allowed. It takes "
        f"{failing.makespan / HOUR:.2f} h instead of {at_most.makespan / HOUR:.2f}."
    )
    alone = Load(cases=own.cases // 10, signatures=own.signatures, central=True)
    handed = campaigns.spent(alone, Machines(nodes=1, cores=max(sizes.central))).handed
    yield (
        f"- **One process that judges.** It can take {alone.cases / handed:.1f} cases a second, "
        f"answered by all subjects, if it is never idle: {NIGHT * alone.cases / handed:,.0f} in a "
        f"night of 8 h, on any number of cores."
    )
    yield ""
