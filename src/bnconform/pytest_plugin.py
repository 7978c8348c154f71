"""A pytest plugin: ``pytest --bn-subject mypkg.mod:Adapter`` tests an adapter, clause by clause.

Without the option nothing of bnconform is imported but this module and the package around it, and
nothing is collected.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("bnconform", "batch normalization, clause by clause")
    group.addoption(
        "--bn-subject",
        action="append",
        default=[],
        metavar="ADAPTER",
        help="FILE.py:Class or module:Class to test against every clause; may be repeated.",
    )
    group.addoption(
        "--bn-profile", default="quick", metavar="NAME", help="quick (default), nightly or deep."
    )
    group.addoption(
        "--bn-cases", type=int, default=None, metavar="N", help="Cases (default: the profile's)."
    )
    group.addoption(
        "--bn-seed", type=int, default=0, metavar="S", help="Another seed gives other cases."
    )


@pytest.hookimpl(tryfirst=True)  # so that -k and -m choose among these tests, too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add one test for every clause and subject; nothing runs yet."""
    subjects: list[str] = config.getoption("--bn-subject")
    if subjects:
        from bnconform.clause_tests import collect  # noqa: PLC0415 -- zero cost without the option

        items.extend(collect(session, subjects))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which subjects are tested, and how hard."""
    subjects: list[str] = config.getoption("--bn-subject")
    if not subjects:
        return []
    profile, seed = config.getoption("--bn-profile"), config.getoption("--bn-seed")
    return [f"bnconform: {', '.join(subjects)}; profile {profile}, seed {seed}"]
