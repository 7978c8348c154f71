"""Pages of one's own, and the small words that every page uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.reports import (
    Code,
    Facts,
    Figures,
    Fold,
    Link,
    Mark,
    Mono,
    Page,
    Paragraph,
    Section,
    Status,
    Table,
    build_report,
)
from bnconform.reports.errors import InvalidPageError
from bnconform.reports.pages import contrasted
from bnconform.reports.words import apart, full, plural, short, slug


def extra(**changes: Any) -> Page:
    """A page with every kind of block."""
    table = Table(("Name", "Value"), ((Mono("a"), 1.5), (Mark(Status.CONFORMS), 2)))
    blocks = (Paragraph(("See ", Link("BN-Y-1", "clauses/BN-Y-1.html"))), table, Code("x = 1"),
              Facts((("key", "value"),)), Figures(((3, "things"),)), Paragraph(Fold("more", "m")),
              Paragraph("beside", aside=True))  # fmt: skip
    section = Section(title="Part", blocks=blocks, anchor="part")
    return Page(**{"title": "The seeds", "slug": "seeds", "sections": (section,), **changes})


def test_an_extra_page_is_in_the_menu_of_every_page(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """It is written, linked from everywhere, and its blocks are shown."""
    built = build_report([written], tmp_path / "site", clauses, [extra()]).parent
    assert "x = 1" in (built / "seeds.html").read_text(encoding="utf-8")
    for path in built.rglob("*.html"):
        assert ">The seeds</a>" in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "slug_",
    [
        pytest.param("index", id="the first page"),
        pytest.param("clauses/BN-Y-1", id="a clause's page"),
        pytest.param("notes/seeds", id="a folder of its own"),
    ],
)
def test_an_extra_page_must_not_take_another_pages_place(
    written: Path, clauses: Any, tmp_path: Path, slug_: str
) -> None:
    """The clash is refused by name."""
    with pytest.raises(InvalidPageError, match=slug_):
        build_report([written], tmp_path / "site", clauses, [extra(slug=slug_)])


@pytest.mark.parametrize(
    "slug_",
    [
        pytest.param("../seeds", id="outside the site"),
        pytest.param("the seeds", id="a space"),
        pytest.param("", id="no name"),
    ],
)
def test_a_slug_must_be_a_plain_name(slug_: str) -> None:
    """A page cannot be made with a slug that is not a safe path."""
    with pytest.raises(InvalidPageError, match="slug"):
        extra(slug=slug_)


@pytest.mark.parametrize(
    "href",
    [
        pytest.param("javascript:alert(1)", id="code"),
        pytest.param("http://example.org", id="not encrypted"),
        pytest.param("//example.org/x", id="another host"),
        pytest.param("/etc/passwd", id="an absolute path"),
        pytest.param("../outside.html", id="outside the site"),
        pytest.param("data:text/html,x", id="a page in an address"),
    ],
)
def test_a_link_must_stay_in_the_site_or_be_https(href: str) -> None:
    """Addresses that run code, or that depend on where the site lies, are refused."""
    with pytest.raises(InvalidPageError, match="must lead to"):
        Link("x", href)


def test_a_ragged_table_is_refused() -> None:
    """The message gives the row."""
    with pytest.raises(InvalidPageError, match="needs 2 cells"):
        Table(("a", "b"), (("only one",),))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(0.123456789, "0.123", id="three significant digits"),
        pytest.param(12345.678, "1.23e+04", id="large numbers in powers of ten"),
        pytest.param(40.0, "40", id="whole numbers as they are"),
        pytest.param(float("nan"), "–", id="none is a dash"),  # noqa: RUF001 - the dash is meant
        pytest.param(float("-inf"), "-∞", id="infinite with its sign"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    """Tables show what can be taken in at a glance; the full number is in the title."""
    assert short(value) == shown
    assert full(value) == repr(value)


def test_two_numbers_are_shown_until_they_differ() -> None:
    """Expected and got must not look the same when they are not."""
    assert apart(1.0, 1.00000001) == ("1", "1.00000001")
    assert apart(2.5, 2.5) == ("2.5", "2.5")
    assert apart(0.1, np.nextafter(0.1, 1)) == ("0.10000000000000001", "0.10000000000000002")


def test_a_nan_that_came_back_is_shown() -> None:
    """One NaN is a result; two mean that nothing was compared."""
    assert [number.text for number in contrasted(1.0, float("nan"))] == ["1", "NaN"]
    assert {number.text for number in contrasted(float("nan"), float("nan"))} == {short(np.nan)}


def test_different_names_never_share_a_file() -> None:
    """Names that differ only in odd characters keep different slugs; plain ones stay readable."""
    names = ["gpu.triton", "gpu.triton@cuda", "gpu.triton-cuda", "gpu.triton cuda", "..", "."]
    assert len({slug(name) for name in names}) == len(names)
    assert slug("gpu.triton") == "gpu.triton"
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", slug(name)) for name in names)


def test_counts_have_their_plural() -> None:
    """One is singular, everything else plural, thousands are set apart."""
    assert [plural(n, "case") for n in (0, 1, 1234)] == ["0 cases", "1 case", "1,234 cases"]
