"""The smoke test tells what fails from what is known, and hides neither."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnconform.cli import smoking
from bnconform.cli.app import app
from bnconform.conformance.engine.campaign import Subject, describe_subject
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.known.divergences import KnownDivergence, parse_known
from bnconform.conformance.smoke import Finding, Status, smoke

FAULTY = Path(__file__).with_name("faulty.py")
TARGET = f"{FAULTY}:UnbiasedRunningVariance"

_ENTRY = """
[[divergence]]
id = "unbiased-state"
subject = "SUBJECT"
versions = ">=0"
clause = [
    "BN-STATE-2", "BN-STATE-3", "BN-STATE-4", "BN-STATE-6", "BN-INFER-3", "BN-HALF-1", "BN-HALF-2",
]
reason = "The state holds the\\nunbiased variance."
evidence = "planted"
upstream = "none"
date = 2026-01-01
review_by = 2026-02-01
"""


@pytest.fixture(scope="module")
def subject() -> Subject:
    """It stores the unbiased variance, against what it documents."""
    target = Target.parse(TARGET)
    return describe_subject(target, load_class(target))


@pytest.fixture(scope="module")
def entry(subject: Subject) -> KnownDivergence:
    """Accepts all of that."""
    (only,) = parse_known(_ENTRY.replace("SUBJECT", subject.name), "planted.toml")
    return only


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    """Findings by what was tried, which is told apart."""
    named = {finding.name: finding for finding in findings}
    assert len(named) == len(findings)
    return named


def test_what_an_entry_accepts_is_known_and_still_told(
    subject: Subject, entry: KnownDivergence
) -> None:
    """What failed without the entry is known with it, and shows the same."""
    before, after = by_name(list(smoke(subject))), by_name(list(smoke(subject, [entry])))
    failed = {name for name, each in before.items() if each.status is Status.FAILED}
    assert failed
    for name, finding in after.items():
        assert finding.status is (Status.KNOWN if name in failed else before[name].status)
        if name in failed:
            assert finding.detail == before[name].detail
            (known,) = finding.known
            assert (known.id, known.reason) == (entry.id, "The state holds the unbiased variance.")


def test_what_an_entry_does_not_accept_fails_beside_it(
    subject: Subject, entry: KnownDivergence
) -> None:
    """The failure is told first, with advice, and what is known is not left out."""
    narrow = replace(entry, quantities=("running_var",))
    both = [each for each in smoke(subject, [narrow]) if "y_infer" in each.detail]
    assert both
    assert all(each.status is Status.FAILED and each.advice for each in both)
    assert all("running_var" in each.known[0].detail for each in both)


def test_the_command_shows_a_known_divergence_as_known(
    entry: KnownDivergence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its id and, once, its reason; it is no failure, and every line fits a terminal."""
    monkeypatch.setattr(smoking, "load_known", lambda: (entry,))
    done = CliRunner().invoke(app, ["smoke", TARGET])
    assert done.exit_code == 0, done.output
    assert "\nknown  " in done.output
    assert "-> " not in done.output
    assert done.output.count("unbiased-state: The state holds the unbiased variance.") == 1
    assert "unbiased-state: see above" in done.output
    assert "0 failed" in done.output.splitlines()[-1]
    assert max(map(len, done.output.splitlines())) <= 80


def test_json_says_what_is_known(entry: KnownDivergence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that reads it sees status, id and reason."""
    monkeypatch.setattr(smoking, "load_known", lambda: (entry,))
    done = CliRunner().invoke(app, ["smoke", TARGET, "--json"])
    known = [each for each in json.loads(done.output) if each["status"] == "known"]
    assert known
    assert all(each["known"][0]["id"] == "unbiased-state" for each in known)


def test_without_an_entry_the_command_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is given."""
    monkeypatch.setattr(smoking, "load_known", lambda: ())
    done = CliRunner().invoke(app, ["smoke", TARGET])
    assert done.exit_code == 1
    assert "-> compare the dialect" in done.output
