"""What ``bounds_validation.py`` found, as verdicts and as the lines of RESULTS-bounds.md."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from autodiff import library_makes
from fault_finding import EVERY_RULE, OURS, Caught
from makes import MAKES
from rules import ASSERT_CLOSE, FIXED_ULPS, RULES
from subjects import Findings
from tables import HEADINGS, Table, markdown, percent

from bnconform.conformance.formats import DType
from bnconform.conformance.judging.grades import MEANINGS, Grade, Report
from bnconform.conformance.judging.systematic import (
    Clean,
    Systematic,
    Tally,
    TooFew,
    limit_of,
    systematic,
)

SEEDED = "one root of ten 1 ULP high (seeded)"
WIDE = (DType.FLOAT32, DType.FLOAT64)
"""Formats in which one ULP of the root is not hidden by the output's rounding."""


@dataclass(kw_only=True)
class Results:
    """Everything that is printed; ``full`` if enough was looked at for systematic errors."""

    full: bool
    makes: Findings
    subjects: Findings
    lanes: Findings
    faults: dict[str, Caught]
    correct: Caught


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One thing that must be so, and whether it is."""

    text: str
    holds: bool


def verdicts(results: Results) -> list[Verdict]:
    """What decides the exit status; what takes many channels, only in full."""
    makes, lanes, subjects = results.makes, results.lanes, results.subjects
    own, others = makes.table.whole.checks, subjects.table.whole.checks
    found = [
        Verdict(
            text=f"{len(makes.alarms)} false alarms in {own:,} checks of correct makes",
            holds=not makes.alarms,
        ),
        Verdict(
            text=f"{len(subjects.alarms)} divergences that are not known in {others:,} checks of "
            "registered subjects",
            holds=not subjects.alarms,
        ),
    ]
    if results.full:
        seeded = [k for k, tally in seeded_tallies(results) if reported(tally, len(lanes.tallies))]
        tests = len(lanes.tallies)
        wrong = [k for k, t in lanes.tallies.items() if k[0] != SEEDED and reported(t, tests)]
        correct = sum(key[0] != SEEDED for key in lanes.tallies)
        found += [
            Verdict(
                text=f"the seeded error of 1 ULP in one root of ten is reported in {len(seeded)} "
                f"of {len(WIDE) * 2} formats and modes",
                holds=len(seeded) == len(WIDE) * 2,
            ),
            Verdict(
                text=f"{len(wrong)} of {correct} lanes of correct makes are reported",
                holds=not wrong,
            ),
        ]
    return found


def seeded_tallies(results: Results) -> Iterator[tuple[tuple[str, str, str], Tally]]:
    """Those of the seeded error, in formats that show it."""
    for key, tally in results.lanes.tallies.items():
        if key[0] == SEEDED and key[1] in WIDE:
            yield key, tally


def reported(tally: Tally, tests: int) -> bool:
    """Whether a systematic error is."""
    return isinstance(systematic(tally, tests), Systematic)


def report(results: Results) -> Iterator[str]:
    """The lines of the report, as Markdown."""
    yield from _head(results)
    makes = results.makes.table
    yield "## Implementations that follow their declared class"
    yield ""
    yield f"{len(MAKES) + len(library_makes())} makes. One row for each class, format and group."
    yield ""
    yield from _cells(makes.by(0, 1, 2), ("class", "format", "quantities"))
    yield "By what is asked of them:"
    yield ""
    yield from _cells(makes.by(3), ("variant",))
    outside = results.makes.counts["calls outside the class"]
    yield f"Calls in which a variance that is not clamped left its class: {outside}."
    yield ""
    yield from _subjects(results.subjects)
    yield from _faults(results)
    yield from _systematic(results)
    yield from _grades(results.subjects)


def _head(results: Results) -> Iterator[str]:
    yield "# The bounds, tried on correct and on faulty implementations"
    yield ""
    yield "Printed by `python benchmarks/bounds_validation.py`. A check is one judged quantity of"
    yield "one case, all its steps together; *max* and *p99* are of its largest error / bound over"
    yield "its elements; *vacuous* is the share of elements whose bound allows any finite value,"
    yield "which is no pass. The other rules see the same answers at the same elements, against the"
    yield "reference rounded to the output's format: `assert_close` with PyTorch's default"
    tolerances = ", ".join(f"{k} {r:g}/{a:g}" for k, (r, a) in ASSERT_CLOSE.items())
    yield f"rtol/atol ({tolerances}),"
    yield f"rtol = atol = 1e-3, and {FIXED_ULPS} ULP; their columns are the share of checks in"
    yield "which they accuse a result that is within its bound."
    yield ""
    for verdict in verdicts(results):
        yield f"- {'' if verdict.holds else '**NOT AS IT MUST BE:** '}{verdict.text}."
    for alarm in [*results.makes.alarms, *results.subjects.alarms][:20]:
        yield f"  - {alarm}"
    yield ""
    packages = ["numpy", "ml_dtypes", "torch", "jax"]
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    yield f"Python {platform.python_version()} on {platform.machine()}; {versions}."
    yield ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cells(table: Table, headings: Sequence[str]) -> Iterator[str]:
    rows = [(*key, *table[key].row(RULES)) for key in sorted(table)]
    yield from markdown((*headings, *HEADINGS, *RULES), rows)


def _subjects(found: Findings) -> Iterator[str]:
    yield "## Registered subjects"
    yield ""
    yield "Results that a known divergence covers are left out, and counted; so is the rest of the"
    yield "same quantity in that case. A call may go without an answer where the subject documents"
    yield "that it refuses, or as a known divergence."
    yield ""
    for name, about in found.about.items():
        known = found.counts[f"{name}: known divergences"]
        rest = {
            key.partition(": ")[2]: count
            for key, count in found.counts.items()
            if key.startswith(f"{name}: ") and not key.endswith("known divergences")
        }
        others = "".join(f", {count} calls {what}" for what, count in sorted(rest.items()))
        yield f"- `{name}`: {about}; {known} known divergences{others}"
    yield ""
    yield from _cells(found.table.by(0, 1), ("subject", "format"))


def _faults(results: Results) -> Iterator[str]:
    yield "## Seeded faults"
    yield ""
    yield "Each make has one fault. *Flagged* is the share of cases, of those in which the fault"
    yield "changes a bit, in which a rule objects to some quantity; *told apart* leaves out the"
    yield "cases in which it objects to the same make without the fault as well."
    yield ""
    rules = [f"{kind}: {rule}" for kind in ("flagged", "told apart") for rule in EVERY_RULE]
    total = Caught()
    rows = []
    for name, caught in results.faults.items():
        total.merge(caught)
        rows.append((name, caught.cases, *_shares(caught)))
    rows.append(("**all faults**", total.cases, *_shares(total)))
    rows.append(("**no fault**", results.correct.cases, *_shares(results.correct)))
    yield from markdown(("fault", "cases", *rules), rows)
    missed = [n for n, each in results.faults.items() if not each.flagged[OURS] and each.cases]
    yield f"Faults of which {OURS} catch nothing: {', '.join(missed) or 'none'}."
    yield ""


def _shares(caught: Caught) -> list[str]:
    counts = [caught.flagged, caught.told_apart]
    return [percent(each[rule], caught.cases) for each in counts for rule in EVERY_RULE]


def _systematic(results: Results) -> Iterator[str]:
    lanes = results.lanes.tallies
    yield "## Systematic errors"
    yield ""
    yield "Signed errors of y, one to a channel, in units of the output's unit roundoff; "
    yield f"T = |sum e| / sqrt(sum e^2) is reported from {limit_of(len(lanes)):.2f} on, which a"
    yield f"correct make reaches with probability 1e-6 at most over all {len(lanes)} lanes (see"
    yield "`conformance/judging/systematic.py`). In half precision the output's rounding hides one"
    yield "ULP of a root kept in float32. Of the correct makes the one with the largest T is shown."
    yield ""
    headings = ("make or subject", "format", "mode", "channels", "mean", "rms", "T", "finding")
    correct = {key: tally for key, tally in lanes.items() if key[0] != SEEDED}
    worst: dict[tuple[str, str], tuple[str, str, str]] = {}
    for key, tally in correct.items():
        place = key[1:]
        if place not in worst or tally.statistic > correct[worst[place]].statistic:
            worst[place] = key
    shown = [*worst.values(), *(key for key in lanes if key[0] == SEEDED)]
    yield from markdown(headings, [_lane(key, lanes[key], len(lanes)) for key in shown])
    yield from _power(results)
    subjects = results.subjects.tallies
    if subjects:
        yield "Registered subjects, planned cases included:"
        yield ""
        per_subject = 2 * len(DType)
        rows = [_lane(key, tally, per_subject) for key, tally in subjects.items()]
        yield from markdown(headings, rows)


def _lane(key: tuple[str, str, str], tally: Tally, tests: int) -> tuple[str, ...]:
    match systematic(tally, tests):
        case Systematic(direction=direction, size=size):
            word = f"**systematic**: {direction.value} by {size:.2f} u"
        case Clean():
            word = "none"
        case TooFew(needed=needed):
            word = f"too few channels, needs {needed}"
    rms = float(np.sqrt(tally.mean_square))
    numbers = (f"{tally.count:,}", f"{tally.mean:+.3f}", f"{rms:.3f}", f"{tally.statistic:.2f}")
    return (*key, *numbers, word)


def _power(results: Results) -> Iterator[str]:
    """The least number of channels that shows the seeded error, from its mean and its noise."""
    for key, tally in seeded_tallies(results):
        if tally.mean <= 0:
            continue
        noise = np.sqrt(tally.mean_square)
        # T is about sqrt(N) mean / rms, with a deviation of 1: 3.1 more for 99.9 % power.
        needed = ((limit_of() + 3.1) * noise / tally.mean) ** 2
        yield f"- {key[1]}, {key[2]}: about {needed:,.0f} channels report it with 99.9 % power."
    yield ""


def _grades(found: Findings) -> Iterator[str]:
    if not found.grades:
        return
    yield "## Accuracy grades"
    yield ""
    yield "The best grade that 99 % of a subject's results in a format reach, known divergences"
    yield "included. " + "; ".join(f"{grade}: {text}" for grade, text in MEANINGS.items()) + "."
    yield ""
    rows = []
    for (name, dtype), counts in found.grades.items():
        graded = Report(counts={grade: counts[grade] for grade in Grade})
        shares = [percent(graded.counts[grade], graded.results) for grade in Grade]
        rows.append((name, dtype, graded.grade, graded.results, *shares))
    yield from markdown(("subject", "format", "grade", "results", *Grade), rows)
