r"""Accuracy grades: how much of its bound a subject uses, beside what its sums could promise.

A verdict rests on the worst case, where all n roundings of a sum conspire: an error of n u. Sums
are usually far better, and how much better tells one way to sum from another. A grade never
accuses: it says how accurate, among results that may all be correct.

With K = n + 2 ceil(log2 n) + 6, the length that the bounds are for (``bounds.py``), a result with
the ratio |error| / bound gets

=====  =========================================================================================
A      what correct rounding or a tree of sums gives: within 1 ULP, or ratio <= (log2 n + 1) / K
B      what independent roundings give: ratio <= 4 sqrt(K) / K
C      within the bound of the worst case
D      beyond the bound
=====  =========================================================================================

A: pairwise summation errs by at most ceil(log2 n) u, and a division adds u (Higham, "Accuracy and
Stability of Numerical Algorithms", 2nd ed., section 4.2). B: if roundings are independent with mean
zero, a sum errs by at most lambda sqrt(K) u with probability 1 - 2 exp(-lambda^2 / 2), which is
0.9993 for lambda = 4 (Higham and Mary, "A new approach to probabilistic rounding error analysis",
2019, theorem 2.4). Both leave aside the few roundings that do not depend on n, which count
against the subject, so that below n of about 10, where these are most of the bound, B is all that
conforms. Roundings of a channel of equal values are not independent, hence C is no fault.

n is the record's ``smallest_count``, over which the tiers are widest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..bounds import sum_length
from ..record import VerdictKind

LAMBDA = 4.0
"""Of the probabilistic bound: 7e-4 is how often it may be exceeded, each time."""

SHARE = 0.99
"""Part of the results that must reach a grade for the subject to have it."""


class Grade(StrEnum):
    """Best first."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


MEANINGS: dict[Grade, str] = {
    Grade.A: "within 1 ULP, or as close as a tree of sums is sure to be",
    Grade.B: "as close as sums with independent roundings are, whatever their order",
    Grade.C: "within the bound of the worst case",
    Grade.D: "beyond the bound",
}


def tree_ratio(n: int) -> float:
    """(ceil(log2 n) + 1) / K: the share of its bound that a tree of sums may use."""
    return (math.ceil(math.log2(max(n, 1))) + 1) / sum_length(n)


def random_ratio(n: int) -> float:
    """4 / sqrt(K), at most 1: the share that a sum of independent roundings may use."""
    return min(LAMBDA / math.sqrt(sum_length(n)), 1.0)


def grade_of(error_ratio: float, max_ulp: float, n: int) -> Grade:
    """The grade of one judged result of n values per channel; NaN where it should not be is D."""
    if not error_ratio <= 1.0:
        return Grade.D
    if max_ulp <= 1.0 or error_ratio <= tree_ratio(n):
        return Grade.A
    return Grade.B if error_ratio <= random_ratio(n) else Grade.C


def is_graded(verdict: str, judged_elements: int, smallest_count: int) -> bool:
    """Whether a record is about numbers: compared, with something judged and something summed."""
    compared = verdict in {VerdictKind.CONFORMS, VerdictKind.DIVERGES}
    return compared and judged_elements > 0 and smallest_count > 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Results by grade, of one subject in one format."""

    counts: dict[Grade, int]

    @property
    def results(self) -> int:
        """How many results were graded."""
        return sum(self.counts.values())

    @property
    def grade(self) -> Grade | None:
        """The best grade that 99 % of the results reach; None without a result."""
        reached = 0
        for grade in Grade:
            reached += self.counts[grade]
            if self.results and reached >= SHARE * self.results:
                return grade
        return None


def report_of(grades: Iterable[Grade]) -> Report:
    """Count ``grades``."""
    tally = Counter(grades)
    return Report(counts={grade: tally[grade] for grade in Grade})
