"""One pytest test for every clause of the standard and every adapter that is asked about.

The first of them to run makes a campaign, as ``bnconform run`` does; the others read its records.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnconform.adapters import REGISTRY
from bnconform.clause_texts import Failure, failure_text
from bnconform.conformance.cases.plan import PROFILES
from bnconform.conformance.clauses import CLAUSES, Clause, Level
from bnconform.conformance.contract import Adapter
from bnconform.conformance.engine.campaign import (
    Request,
    Subject,
    describe_subject,
    run_campaign,
)
from bnconform.conformance.engine.loading import AdapterError, Target, load_class
from bnconform.conformance.engine.run_directory import RunDirectory
from bnconform.conformance.engine.units import Quiet
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.record import UNEXPECTED, VerdictKind

_UNEXPECTED = frozenset(kind.value for kind in UNEXPECTED)


_STALE = "a known divergence must be looked at again: {}"


class UnavailableError(Exception):
    """The adapter's framework does not run here; the text says why."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the options say of a campaign."""

    profile: str
    cases: int | None
    seed: int

    def request(self, out: Path) -> Request:
        """The campaign to make."""
        profile = PROFILES[self.profile]
        return Request(
            profile=profile,
            cases=profile.cases if self.cases is None else self.cases,
            seed=self.seed,
            shard=(1, 1),
            workers=1,
            out=out,
            resume=False,
        )


class Campaign:
    """A campaign of one adapter, made when its first result is asked for, and once."""

    def __init__(self, target: Target, adapter: type[Adapter], asked: _Asked) -> None:
        """Only remember what to do."""
        self.target, self.adapter, self.asked = target, adapter, asked
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-pytest-")
        self.out = Path(self._folder.name) / "run"
        self._stale: tuple[str, ...] = ()

    @cached_property
    def subject(self) -> Subject:
        """The subject in its own process; :class:`UnavailableError` where it does not run."""
        found = describe_subject(self.target, self.adapter)
        if not found.described.available:
            msg = f"{found.name} is unavailable: {found.described.reason}"
            raise UnavailableError(msg)
        return found

    @cached_property
    def records(self) -> pd.DataFrame:
        """All rows; this is what takes the time."""
        today = datetime.datetime.now(datetime.UTC).date()
        request = self.asked.request(self.out)
        footer = run_campaign(request, [self.subject], load_known(), Quiet(), today)
        self._stale = tuple(footer["stale_known"])
        return RunDirectory(self.out).read_records()

    def stale_for(self, clause: Clause) -> str:
        """What is wrong with entries that speak of ``clause`` for this adapter, or ''."""
        mine = [each for each in load_known() if self.adapter.name in each.subjects]
        speaking = {each.id for each in mine if clause.id in each.clauses}
        return "; ".join(text for text in self._stale if text.partition(":")[0] in speaking)

    def close(self) -> None:
        """Remove what it wrote."""
        self._folder.cleanup()


class ClauseTest(pytest.Item):
    """Whether one clause holds for one adapter, by the campaign's records."""

    def __init__(self, *, clause: Clause, campaign: Campaign, **more: Any) -> None:
        """A test by the clause's id."""
        super().__init__(**more)
        self.clause, self.campaign = clause, campaign
        # pytest-xdist then gives all of an adapter's tests to one worker: one campaign.
        self.add_marker(pytest.mark.xdist_group(f"bnconform {campaign.target}"))

    def runtest(self) -> None:
        """Skip without evidence, fail where the clause does not hold.

        What is known is expected to fail, and strictly: an entry that does not show any more fails
        the tests of its clauses until it is mended.
        """
        rows = self.campaign.records
        mine = rows[rows["clause"] == self.clause.id]
        bad = mine[mine["verdict"].isin(_UNEXPECTED)]
        new = bad[bad["known"] == ""]
        if len(new):
            raise ClauseFailedError(self._text(new, len(mine)))
        stale = self.campaign.stale_for(self.clause)
        if stale:
            raise ClauseFailedError(_STALE.format(stale))
        if len(bad):
            self._expect_failure(sorted(set(bad["known"])))
            raise ClauseFailedError(self._known_text(bad))
        reason = _without_evidence(self.clause, mine)
        if reason:
            pytest.skip(reason)

    def _expect_failure(self, entries: Sequence[str]) -> None:
        reason = f"known: {', '.join(entries)}"
        self.add_marker(pytest.mark.xfail(reason=reason, raises=ClauseFailedError, strict=True))

    def _known_text(self, bad: pd.DataFrame) -> str:
        """Which entries accept what, each with its reason; shown with ``--runxfail``."""
        rows = bad["known"].value_counts()
        lines = [f"{self.clause.id} does not hold, as is known:"]
        for entry in load_known():
            if entry.id in rows:
                reason = " ".join(entry.reason.split())
                lines.append(f"    {entry.id} ({rows[entry.id]} judgements): {reason}")
        return "\n".join(lines)

    def _text(self, bad: pd.DataFrame, judged: int) -> str:
        failure = Failure(
            clause=self.clause,
            subject=self.campaign.subject,
            rows=bad,
            judged=judged,
            folder=self.campaign.out,
            limit=PROFILES[self.campaign.asked.profile].seconds_per_case,
        )
        return failure_text(failure)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is wrong, without a trace through bnconform."""
        if isinstance(excinfo.value, (ClauseFailedError, UnavailableError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The adapter's file or the root, and the clause in words."""
        return self.path, None, f"{self.clause.id}: {self.clause.statement}"


class ClauseFailedError(Exception):
    """A clause does not hold; the text is what pytest shows."""


class ClauseTests(pytest.Collector):
    """All tests of one adapter."""

    def __init__(self, *, campaign: Campaign, **more: Any) -> None:
        """The adapter is loaded, and its framework not yet."""
        super().__init__(**more)
        self.campaign = campaign

    def collect(self) -> Iterator[ClauseTest]:
        """One for each clause, in the standard's order."""
        for clause in CLAUSES:
            yield ClauseTest.from_parent(
                self, name=clause.id, clause=clause, campaign=self.campaign
            )


def collect(session: pytest.Session, subjects: Sequence[str]) -> Iterator[ClauseTest]:
    """The tests of every adapter; :class:`pytest.UsageError` where the options are wrong."""
    asked = _asked(session.config)
    for text in dict.fromkeys(subjects):
        try:
            target = Target.parse(_registered(text))
            adapter = load_class(target)
        except AdapterError as error:
            msg = f"--bn-subject: {error}"
            raise pytest.UsageError(msg) from error
        campaign = Campaign(target, adapter, asked)
        session.config.add_cleanup(campaign.close)
        parent = ClauseTests.from_parent(
            session, name=f"bnconform {adapter.name}", nodeid=adapter.name, campaign=campaign
        )
        yield from parent.collect()


def _registered(text: str) -> str:
    """Our own subjects can be given by their names."""
    return REGISTRY.get(text, text)


def _asked(config: pytest.Config) -> _Asked:
    profile, cases = config.getoption("--bn-profile"), config.getoption("--bn-cases")
    if profile not in PROFILES:
        msg = f"--bn-profile: no profile {profile!r}; there are: {', '.join(PROFILES)}"
        raise pytest.UsageError(msg)
    if cases is not None and cases < 1:
        msg = f"--bn-cases must be at least 1, got {cases}"
        raise pytest.UsageError(msg)
    return _Asked(profile=profile, cases=cases, seed=config.getoption("--bn-seed"))


def _without_evidence(clause: Clause, rows: pd.DataFrame) -> str:
    """Why the rows say nothing of the clause, or '' where they do: absence is no pass."""
    if clause.level is Level.INFO:
        return "recorded, not judged: a clause of level INFO"
    if not len(rows):
        return "no case of this campaign looks at it"
    answered = rows[rows["verdict"] != VerdictKind.UNSUPPORTED.value]
    if not len(answered):
        reasons = sorted(set(rows["message"]))
        return f"not supported: {'; '.join(reasons[:3])}"
    if bool(answered["vacuous"].all()):
        return "every bound was so wide that any answer would do"
    return ""
