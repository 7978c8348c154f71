"""The static site: the same bytes again, no dead link, nothing unescaped, nothing left out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from bnconform.conformance.clauses import CLAUSES
from bnconform.reports import (
    Status,
    build_report,
)
from bnconform.reports.errors import (
    RunFormatError,
)
from bnconform.reports.summaries import MEANINGS
from bnconform.reports.views import divergence as divergence_view
from bnconform.reports.words import slug


class Document(HTMLParser):
    """What a page holds: its elements, its text, its links and the targets it offers."""

    def __init__(self, path: Path) -> None:
        """Parse the file at ``path``."""
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.pieces.append(data)

    @property
    def text(self) -> str:
        """All text with single spaces."""
        return " ".join(" ".join(self.pieces).split())

    @property
    def links(self) -> list[str]:
        """Every address that an element leads to or would load."""
        return [
            value
            for _, attributes in self.elements
            for name, value in attributes.items()
            if name in ("href", "src", "srcset", "action", "data") and value
        ]

    @property
    def ids(self) -> list[str]:
        """Targets of links."""
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def pages(site: Path) -> Iterator[Path]:
    """All pages of a site."""
    yield from sorted(site.rglob("*.html"))


def contents(site: Path) -> dict[str, bytes]:
    """Every file of a site by its path."""
    return {
        str(path.relative_to(site)): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file()
    }


def text(site: Path, name: str) -> str:
    """The text of one page."""
    return Document(site / name).text


# The same run, the same bytes


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """No clock, no randomness, no path of this machine in any file."""
    moved = tmp_path / "elsewhere" / "run-copied"
    shutil.copytree(written, moved)
    first = build_report([written], tmp_path / "first", clauses).parent
    second = build_report([moved], tmp_path / "elsewhere" / "second", clauses).parent
    assert contents(first) == contents(second)


def test_the_order_of_runs_and_files_does_not_matter(
    run: Any, blank: Callable[[], Any], clauses: Any, tmp_path: Path
) -> None:
    """Two runs give the same site in either order."""
    other = blank()
    other.subjects, other.created = [run.subject("other.one")], "2026-11-20T00:00:00Z"
    paths = [run.write(tmp_path / "a"), other.write(tmp_path / "b")]
    first = build_report(paths, tmp_path / "first", clauses).parent
    second = build_report(paths[::-1], tmp_path / "second", clauses).parent
    assert contents(first) == contents(second)


# Links


def test_every_link_inside_the_site_has_a_target(site: Path) -> None:
    """Pages, data files and anchors are all there; each anchor is on its page once."""
    documents = {path: Document(path) for path in pages(site)}
    dead = []
    for path, document in documents.items():
        assert len(document.ids) == len(set(document.ids)), path
        for link in document.links:
            address = urlsplit(link)
            if address.scheme:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            anchored = not address.fragment or address.fragment in documents[target].ids
            if not target.is_file() or not anchored:
                dead.append((path.name, link))
    assert dead == []


def test_every_cell_of_the_matrix_leads_to_its_part_of_its_clauses_page(
    site: Path, clauses: Any
) -> None:
    """One link for each clause and subject, to an anchor that carries the subject's name."""
    links = {link for link in Document(site / "index.html").links if "#" in link}
    subjects = ("good.one", "known.two", "bad.three@gpu", "absent.four")
    cells = {f"clauses/{clause.id}.html#{slug(name)}" for clause in clauses for name in subjects}
    assert cells <= links


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No script, image, font or style sheet from outside, and a policy that forbids them."""
    for path in pages(site):
        document = Document(path)
        tags = {tag for tag, _ in document.elements}
        assert not tags & {"script", "img", "iframe", "object", "embed", "video", "form"}
        assert all(not urlsplit(link).scheme or link == "data:," for link in document.links)
        assert "default-src 'none'" in path.read_text(encoding="utf-8")


# Escaping


def test_hostile_text_arrives_as_text(site: Path, hostile: str) -> None:
    """Markup in a message or in a framework's output is shown, not obeyed."""
    for name in ("index.html", "clauses/BN-Y-1.html", "divergences/d-bad.html"):
        assert " ".join(hostile.split()) in text(site, name)
    for path in pages(site):
        assert "<script" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("name", id="a subject's name becomes file names, anchors and titles"),
        pytest.param("reason", id="a reason comes from an exception"),
        pytest.param("version", id="a version comes from a package"),
    ],
)
def test_hostile_subjects_are_escaped(
    blank: Callable[[], Any], clauses: Any, hostile: str, tmp_path: Path, field: str
) -> None:
    """Nothing that a subject says of itself can become markup, a path or an attribute."""
    run = blank()
    hostile = f"../../{hostile}' onclick=\"x()"
    run.subjects = [run.subject("a.b", available=False) | {field: hostile}]
    built = build_report([run.write(tmp_path / "run")], tmp_path / "site", clauses).parent
    for path in pages(built):
        document = Document(path)
        assert "script" not in {tag for tag, _ in document.elements}
        assert all("onclick" not in attributes for _, attributes in document.elements)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "site"]


def test_hostile_known_divergences_are_escaped(
    run: Any, clauses: Any, hostile: str, tmp_path: Path
) -> None:
    """An upstream address is text, so that it cannot be a script either."""
    run.known["two-biased"] |= {"reason": hostile, "upstream": "javascript:alert(1)"}
    built = build_report([run.write(tmp_path / "run")], tmp_path / "site", clauses).parent
    assert "javascript:alert(1)" in text(built, "known.html")
    assert all("javascript" not in link for link in Document(built / "known.html").links)


# What is said


def test_every_cell_says_its_status_in_words(
    site: Path, statuses: dict[tuple[str, str], str]
) -> None:
    """A status is a word in the cell's text and in its title, never a colour alone."""
    source = (site / "index.html").read_text(encoding="utf-8")
    for (clause, entry), status in statuses.items():
        href = re.escape(f"clauses/{clause}.html#{slug(entry)}")
        (cell,) = re.findall(rf'<a href="{href}" title="([^"]*)">(.*?)</a>', source)
        assert f"{entry}, {clause}: {status}" in cell[0]
        assert f'<span class="word">{status}</span>' in cell[1]


def test_every_status_is_explained_on_the_first_page(site: Path) -> None:
    """The legend holds each status with its meaning; those without evidence say 'no pass'."""
    shown = text(site, "index.html")
    assert all(f"{status.value} {MEANINGS[status]}" in shown for status in Status)


def test_a_run_in_which_nothing_was_judged_says_so(
    blank: Callable[[], Any], clauses: Any, tmp_path: Path
) -> None:
    """No finding in no result is not the same as no finding."""
    run = blank()
    run.subjects = [run.subject("a.b", available=False, reason="absent")]
    built = build_report([run.write(tmp_path / "run")], tmp_path / "site", clauses).parent
    assert "Nothing was judged" in text(built, "index.html")
    assert "Nothing unexpected" not in text(built, "index.html")


def test_the_first_page_counts_what_was_unexpected(site: Path) -> None:
    """Three unexpected results lie in two cells."""
    shown = text(site, "index.html")
    assert "3 results of 9 judged were unexpected, in 2 cells of the matrix." in shown
    assert "3 of 4 subjects available" in " ".join(
        f"{value} {name}" for name, value in re.findall(
            r"<dt>(.*?)</dt><dd>(.*?)</dd>", (site / "index.html").read_text(encoding="utf-8")
        )
    )  # fmt: skip


def test_unexpected_results_without_a_page_of_their_own_are_listed(site: Path) -> None:
    """The crash has no divergence folder, and is on the list all the same."""
    assert "results bad.three@gpu BN-CALL-1 crashed 2" in text(site, "index.html")


def test_an_unavailable_subject_says_why_on_every_clause(site: Path) -> None:
    """Its reason stands where its results would be."""
    assert "could not be loaded on this machine: no pass. no module named 'absent'" in text(
        site, "clauses/BN-Y-1.html"
    )


def test_a_subjects_page_tells_its_conventions_with_their_sources(site: Path) -> None:
    """Declared value and source stand side by side."""
    assert "momentum what its momentum argument weighs" in text(site, "subjects/good.one.html")
    assert "decay its manual" in text(site, "subjects/good.one.html")


def test_a_subjects_page_counts_what_it_does_not_support(site: Path) -> None:
    """Each reason with the number of its results and cases."""
    assert "no float16 1 1" in text(site, "subjects/good.one.html")


def test_a_clauses_page_tells_what_its_equation_says(site: Path) -> None:
    """The function of the spec is quoted, so that the page stays true when the spec changes."""
    assert "batch_mean : mu = sum(x) / n" in text(site, "clauses/BN-Y-1.html")


@pytest.mark.parametrize(
    ("clause", "told"),
    [
        pytest.param("BN-VAR-1", "y not judged", id="a vacuous row is no pass"),
        pytest.param("BN-VAR-1", "diverges, known as two-biased", id="a covered row and by what"),
        pytest.param("BN-CALL-1", "call crashed", id="a crash is not called a divergence"),
        pytest.param("BN-HALF-1", "y unsupported", id="what is not offered"),
    ],
)
def test_a_row_of_a_clauses_page_tells_its_outcome(site: Path, clause: str, told: str) -> None:
    """Each example says in words what came of it."""
    assert told in text(site, f"clauses/{clause}.html")


def test_a_divergences_page_has_the_case_to_copy(site: Path, run: Any) -> None:
    """The JSON on the page is the case."""
    pieces = Document(site / "divergences" / "d-bad.html").pieces
    (found,) = (json.loads(piece) for piece in pieces if piece.startswith("{"))
    assert found == json.loads(json.dumps(run.divergences[1]["case"]))


def test_a_divergences_page_lists_the_worst_elements_first(site: Path) -> None:
    """The element that was spoilt by 0.5 stands at the top."""
    shown = text(site, "divergences/d-bad.html")
    first = shown.split("Difference / bound")[2].split()
    assert first[:1] == ["2,0,1"]


def test_a_known_divergences_page_gives_reason_and_upstream(site: Path) -> None:
    """The reader learns why it is accepted without opening another page."""
    shown = text(site, "divergences/d-known.html")
    assert "It stores the biased variance." in shown
    assert "https://example.org/issues/1" in shown


def test_a_known_id_without_an_entry_is_said(run: Any, clauses: Any, tmp_path: Path) -> None:
    """Results that name an entry which the manifest lacks must not look explained."""
    run.known.clear()
    built = build_report([run.write(tmp_path / "run")], tmp_path / "site", clauses).parent
    assert "the run's manifest has no text for it" in text(built, "known.html")


def test_groups_that_nobody_looked_at_are_named(site: Path) -> None:
    """A fill without a case and a group without a judged result have words of their own."""
    shown = text(site, "cases.html")
    assert "empty batch never looked: no case" in shown
    assert "half looked in vain: nothing could be judged" in shown
    assert "large_mean looked 3 times, found 1 diverging result, none of them known" in shown
    assert "plain looked 9 times, found 4 diverging results, 1 of them known" in shown
    assert "gradients of gradients never looked: no case" in shown


def test_the_data_are_linked_and_explained(site: Path) -> None:
    """Each frame has its two files beside its dictionary."""
    links = Document(site / "data.html").links
    assert {"data/records.parquet", "data/records.csv", "data/README.md"} <= set(links)


def test_a_large_file_is_left_in_the_run_directory(
    written: Path, clauses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says so instead of linking it."""
    monkeypatch.setattr(divergence_view, "LARGEST_COPY", 1000)
    built = build_report([written], tmp_path / "site", clauses).parent
    assert not (built / "divergences" / "d-bad" / "arrays.npz").exists()
    assert "arrays.npz: too large to be copied here" in text(built, "divergences/d-bad.html")


def test_arrays_that_cannot_be_read_are_an_error(
    written: Path, clauses: Any, tmp_path: Path
) -> None:
    """A broken file is named; pickled objects, which could run code, are not loaded."""
    path = written / "divergences" / "d-bad" / "arrays.npz"
    np.savez(path, x=np.array([object()], dtype=object))
    with pytest.raises(RunFormatError, match=r"arrays\.npz"):
        build_report([written], tmp_path / "site", clauses)


def test_the_real_clauses_make_a_site(blank: Callable[[], Any], tmp_path: Path) -> None:
    """Every clause of the standard has a page with its statement."""
    built = build_report([blank().write(tmp_path / "run")], tmp_path / "site", CLAUSES).parent
    for clause in CLAUSES:
        assert " ".join(clause.statement.split()) in text(built, f"clauses/{clause.id}.html")
