"""The findings that are published: the page, and the scripts beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.scripts import text_by_hand

FOLDER = Path(__file__).parents[2] / "docs" / "findings"
SCRIPTS = sorted(FOLDER.glob("*.py"))
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
LONGEST = 160
"""Lines of the longest script that anybody will read."""


def headings() -> list[str]:
    """The findings that the page tells of, in its order."""
    return re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)


def test_the_page_names_every_script_and_every_script_it_names_is_there() -> None:
    """A finding that is gone takes its script with it."""
    named = re.findall(r"^\[(\S+\.py)\]\((\S+\.py)\) prints:$", PAGE, re.MULTILINE)
    assert [text for text, _ in named] == [target for _, target in named]
    assert sorted(target for _, target in named) == [path.name for path in SCRIPTS]


def test_the_page_counts_its_findings_and_their_scripts() -> None:
    """In its first sentence."""
    told = re.search(r"^(\d+) findings, (\d+) of them with a script", PAGE, re.MULTILINE)
    assert told is not None
    assert (int(told[1]), int(told[2])) == (len(headings()), len(SCRIPTS))


def test_every_known_finding_is_an_entry_of_today() -> None:
    """An entry that is renamed or removed is so on the page, too."""
    known = PAGE.partition("\n## Known\n")[2]
    told = set(re.findall(r"^### (\S+)$", known, re.MULTILINE))
    assert told
    assert told <= {entry.id for entry in load_known()}


@pytest.mark.parametrize("name", [name for name in headings() if text_by_hand(name)])
def test_a_script_by_hand_is_published_as_it_is(name: str) -> None:
    """What was mended in one place is mended in the other."""
    assert (FOLDER / f"{name}.py").read_text(encoding="utf-8") == text_by_hand(name)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in SCRIPTS])
def test_a_published_script_can_be_read(path: Path) -> None:
    """No pages of arrays: where a case is large there is a smaller one."""
    assert path.read_text(encoding="utf-8").count("\n") <= LONGEST


def test_reasons_are_those_of_today() -> None:
    """The page quotes the entries; what one says now is what the page says."""
    for entry in load_known():
        if entry.id in headings():
            section = PAGE.partition(f"\n### {entry.id}\n")[2].partition("\n### ")[0]
            assert " ".join(entry.reason.split()) in section, entry.id
            assert " ".join(entry.evidence.split()) in section, entry.id
