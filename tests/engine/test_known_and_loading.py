"""Bad declarations and bad known entries are refused with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnconform.conformance.engine.loading import AdapterError, Target, load_class
from bnconform.conformance.known.divergences import KnownDivergenceError, load_known

ENTRY = """
[[divergence]]
id = "one"
subject = "torch.module"
versions = ">=2"
clause = "BN-STATE-2"
reason = "r"
evidence = "e"
upstream = "u"
date = 2026-11-21
review_by = 2027-11-21
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(ENTRY + ENTRY, "used twice", id="two entries with one id"),
        pytest.param(ENTRY.replace('reason = "r"', ""), "lacks 'reason'", id="a missing field"),
        pytest.param(ENTRY + 'colour = "red"', "unknown fields", id="a field nobody reads"),
        pytest.param(ENTRY.replace("STATE-2", "STATE-99"), "unknown", id="no such clause"),
        pytest.param(ENTRY + "where = { weather = 1 }", "may speak of", id="no such fact"),
        pytest.param(ENTRY.replace(">=2", "newish"), "versions", id="no version specifier"),
        pytest.param(ENTRY.replace("= 2026-11-21", '= "soon"'), "dates", id="no date"),
        pytest.param("[[divergence", "not TOML", id="broken file"),
        pytest.param(ENTRY + 'verdict = "conforms"', "verdict", id="not a divergence"),
    ],
)
def test_a_malformed_known_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and what is wrong in it."""
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(KnownDivergenceError, match=message) as caught:
        load_known(tmp_path)
    assert "bad.toml" in str(caught.value)


def test_the_projects_own_known_divergences_load() -> None:
    """Every committed entry is well formed."""
    assert all(entry.reason and entry.evidence for entry in load_known())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("no colon", "FILE.py:Class", id="not a target"),
        pytest.param("nowhere.py:Adapter", "no adapter file", id="no such file"),
        pytest.param("not_a_package_at_all:Adapter", "cannot import", id="no such module"),
        pytest.param("json:NoSuchThing", "has no 'NoSuchThing'", id="no such class"),
        pytest.param("json:JSONDecoder", "it has no 'name'", id="not an adapter"),
    ],
)
def test_an_adapter_that_cannot_be_loaded_says_why(text: str, message: str) -> None:
    """The error says what arrived and what to give instead."""
    with pytest.raises(AdapterError, match=message):
        load_class(Target.parse(text))


def test_impossible_feature_axes_are_refused_with_the_alternatives(
    faulty: Callable[[str], Target],
) -> None:
    """A capability that is no member of its enum is found before anything runs."""
    with pytest.raises(AdapterError, match=r"Axes\.CHANNEL_OR_LAST, Axes\.ANY_ONE"):
        load_class(faulty("BadAxes"))


def test_a_file_that_fails_to_import_names_the_error(tmp_path: Path) -> None:
    """The import error's own text reaches the user."""
    path = tmp_path / "broken.py"
    path.write_text("import a_framework_that_does_not_exist\n")
    with pytest.raises(AdapterError, match="No module named 'a_framework"):
        load_class(Target(module=str(path), attribute="Adapter"))
