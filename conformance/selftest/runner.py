"""All miniatures side by side, and what the self-test makes of them."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from ..case import Case
from ..cases.plan import PROFILES, plan_cases
from ..contract import Adapter
from ..explanation.explanation import Explanation, Witness
from .hunt import Attribute, Hunted, hunt
from .order import diverse_first
from .planted import Planted

ENOUGH = 0.9
"""Share of the defects whose cause must be named rightly."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The results in the order of the miniatures, and what they come to."""

    hunted: tuple[Hunted, ...]

    @property
    def defects(self) -> tuple[Hunted, ...]:
        """The miniatures with a defect."""
        return tuple(each for each in self.hunted if not each.is_control)

    @property
    def controls(self) -> tuple[Hunted, ...]:
        """The miniatures without one."""
        return tuple(each for each in self.hunted if each.is_control)

    @property
    def found(self) -> int:
        """How many defects were found."""
        return sum(each.found for each in self.defects)

    @property
    def clean(self) -> int:
        """How many controls were found to be clean."""
        return sum(not each.found for each in self.controls)

    @property
    def causes_right(self) -> int:
        """For how many defects the cause was named rightly."""
        return sum(each.cause_right for each in self.defects)

    @property
    def causes_alone(self) -> int:
        """For how many defects the right cause explained everything."""
        return sum(each.cause_alone for each in self.defects)

    @property
    def median_seconds(self) -> float | None:
        """The median time to the first divergence, over the defects that were found."""
        times = [each.seconds for each in self.defects if each.seconds is not None]
        return statistics.median(times) if times else None

    @property
    def passed(self) -> bool:
        """Every defect found, every control clean, and enough causes named rightly."""
        enough = self.causes_right >= ENOUGH * len(self.defects)
        return bool(self.hunted) and all(each.passed for each in self.hunted) and enough


def selftest(
    miniatures: Sequence[Planted],
    *,
    seed: int,
    workers: int,
    done: Callable[[Hunted], None],
    attribute: Attribute | None = None,
) -> Tally:
    """Hunt every miniature over the quick cases of ``seed``, ``workers`` at a time.

    ``done`` hears of each as it ends; ``attribute`` names causes (by default the suite's own).
    """
    cases = planned(miniatures, seed)
    named = attribute or attribute_by_default
    context = multiprocessing.get_context("spawn")
    found: dict[str, Hunted] = {}
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as executor:
        waiting = [executor.submit(hunt, planted, cases, named) for planted in miniatures]
        try:
            for future in as_completed(waiting):
                hunted = future.result()
                found[hunted.name] = hunted
                done(hunted)
        except BaseException:
            # The pool would finish all others first, and Ctrl-C would take minutes.
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return Tally(hunted=tuple(found[planted.name] for planted in miniatures))


def planned(miniatures: Sequence[Planted], seed: int) -> tuple[Case, ...]:
    """The quick cases of ``seed`` that any of ``miniatures`` can be asked, diverse ones first."""
    quick = PROFILES["quick"]
    within = [planted.adapter.capabilities for planted in miniatures]
    return diverse_first(
        case
        for case in plan_cases(quick, cases=quick.cases, seed=seed)
        if any(capabilities.unsupported(case) is None for capabilities in within)
    )


def attribute_by_default(
    adapter: type[Adapter], witnesses: Sequence[Witness]
) -> tuple[Explanation, ...]:
    """The suite's own attribution."""
    from ..explanation.attribution import attribute  # noqa: PLC0415

    return attribute(adapter, witnesses)
