"""Small words of the pages: numbers, file names, and how a case is told in one line."""

from __future__ import annotations

import hashlib
import math
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def slug(name: str) -> str:
    """A file name and anchor for ``name``; different names never share one.

    What is not a letter, digit, dot, dash or underscore becomes a dash, and then a hash of the
    whole name keeps it apart from others.
    """
    safe = _UNSAFE.sub("-", name)
    if safe == name and name.strip("."):
        return name
    return f"{safe.strip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def short(value: float) -> str:
    """A number to three significant digits; a dash for NaN, which stands for "there is none"."""
    if math.isnan(value):
        return "–"  # noqa: RUF001 - an en dash is what tables use for "none"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}"


def apart(first: float, second: float) -> tuple[str, str]:
    """Both numbers to the fewest digits, three at least, that show them to be different."""
    if not (math.isfinite(first) and math.isfinite(second)) or first == second:
        return short(first), short(second)
    # 17 significant digits tell any two float64 apart.
    for digits in range(3, 17):
        texts = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{first:.17g}", f"{second:.17g}"


def full(value: float) -> str:
    """The same number exactly: the shortest text that reads back as the same float."""
    return repr(value)


def grouped(value: int) -> str:
    """A whole number with its thousands set apart."""
    return f"{value:,}"


def plural(count: int, noun: str) -> str:
    """``1 case``, ``2 cases``, ``1,234 cases``."""
    return f"{grouped(count)} {noun}" + ("" if count == 1 else "s")
