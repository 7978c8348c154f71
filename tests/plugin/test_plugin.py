"""The pytest plugin as somebody else's repository meets it: in a pytest of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import bnconform
from bnconform.conformance.clauses import CLAUSES

pytest_plugins = ["pytester"]

FAULTY = Path(__file__).parents[1] / "engine" / "faulty.py"
PLUGIN = "bnconform.pytest_plugin"
INSTALLED = any(each.value == PLUGIN for each in entry_points(group="pytest11"))
LOAD = () if INSTALLED else ("-p", PLUGIN)
"""An editable installation may be older than the entry point."""

FEW = ("--bn-cases", "60")


@pytest.fixture
def elsewhere(pytester: pytest.Pytester) -> pytest.Pytester:
    """A repository with one test and one adapter of its own, with a defect."""
    pytester.makepyfile(test_own="def test_own():\n    pass\n")
    pytester.makepyfile(mine=FAULTY.read_text(encoding="utf-8"))
    return pytester


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Pytest in a process of its own, with the plugin."""
    return pytester.runpytest_subprocess(*LOAD, *arguments)


def test_without_the_option_nothing_is_collected(elsewhere: pytest.Pytester) -> None:
    """Nor imported: the plugin is there in every pytest of an environment."""
    elsewhere.makeconftest(
        """
        import sys

        def pytest_sessionfinish():
            for name in ("bnconform.clause_tests", "pandas", "bnconform.conformance.engine"):
                assert name not in sys.modules, name
        """
    )
    done = run(elsewhere, "-v")
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*BN-*")


def test_the_plugin_alone_imports_nothing_heavy() -> None:
    """Every pytest of an environment pays for what it imports, whether it tests adapters or not."""
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {PLUGIN}; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert PLUGIN in loaded
    heavy = ("numpy", "pandas", "hypothesis", "ml_dtypes", "typer", "bnconform.conformance")
    assert not {name for name in loaded if name.startswith(heavy)}


def test_every_public_name_is_there_when_it_is_asked_for() -> None:
    """And no other; all of them are what their modules hold."""
    for name in bnconform.__all__:
        assert getattr(bnconform, name) is not None
    assert set(bnconform.__all__) <= set(dir(bnconform))
    assert bnconform.Case is importlib.import_module("bnconform.conformance.case").Case
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = bnconform.Nothing


def test_every_clause_is_a_test_and_collecting_runs_nothing(elsewhere: pytest.Pytester) -> None:
    """Each by its id, besides the repository's own; an adapter that cannot start is no matter."""
    done = run(elsewhere, "--collect-only", "-q", "--bn-subject", "mine.py:CannotStart")
    names = {line.partition("::")[2] for line in done.outlines if "::" in line}
    assert names == {"test_own"} | {clause.id for clause in CLAUSES}


def test_a_clause_that_does_not_hold_fails_with_all_that_is_needed(
    elsewhere: pytest.Pytester,
) -> None:
    """The clause, the worst element, the simplest case and the lines that show it again."""
    subject = ("--bn-subject", "mine.py:UnbiasedRunningVariance")
    done = run(elsewhere, *FEW, *subject, "-k", "BN-STATE-2 or BN-TRAIN-1", "-v")
    done.assert_outcomes(passed=1, failed=1, deselected=len(CLAUSES) - 1)
    done.stdout.fnmatch_lines(
        [
            "*::BN-STATE-2 FAILED*",
            "BN-STATE-2 (MUST): rv' = decay rv + (1 - decay) V*",
            "* judgements diverge; the worst of them:",
            "    running_var[[]*] of training step *",
            "    expected *",
            "    got      *",
            "    bound    *; the error is * times that",
            "Why: running_variance.unbiased",
            "The simplest case that was found:",
            "    one training step, then inference",
            "To see it again:",
            "    case = Case.from_json('{*}')",
            "*1 failed, 1 passed*",
        ],
        consecutive=False,
    )


def test_the_lines_in_the_failing_text_run(elsewhere: pytest.Pytester) -> None:
    """They are copied into a file and run in the repository's folder."""
    subject = ("--bn-subject", "mine.py:UnbiasedRunningVariance")
    done = run(elsewhere, *FEW, *subject, "-k", "BN-STATE-2")
    start = done.outlines.index("To see it again:") + 1
    lines = []
    for line in done.outlines[start:]:
        if not line.startswith("    "):
            break
        lines.append(line[4:])
    again = elsewhere.runpython(elsewhere.makepyfile(again="\n".join(lines)))
    assert again.ret == 0
    # What the text says the adapter gave: 8 where 6 is right.
    again.stdout.fnmatch_lines(["*running_var=array([[]8.]*"])


def test_a_subject_by_module_and_the_report_of_skips(elsewhere: pytest.Pytester) -> None:
    """No evidence is no pass, and the reason is said."""
    done = run(elsewhere, *FEW, "--bn-subject", "mine:Sound", "-k", "BN-", "-rs")
    outcomes = done.parseoutcomes()
    assert outcomes["passed"] > 20
    assert "failed" not in outcomes
    done.stdout.fnmatch_lines_random(
        ["*recorded, not judged*", "*no case of this campaign looks at it*"]
    )


def test_the_campaign_runs_once(elsewhere: pytest.Pytester) -> None:
    """However many clauses ask for it."""
    elsewhere.makeconftest(
        """
        import bnconform.clause_tests as tests

        original, calls = tests.run_campaign, []

        def counted(*arguments):
            calls.append(arguments)
            return original(*arguments)

        tests.run_campaign = counted

        def pytest_sessionfinish():
            print("campaigns:", len(calls))
        """
    )
    chosen = "BN-STATE-1 or BN-TRAIN-1 or BN-GRAD-1"
    done = run(elsewhere, *FEW, "--bn-subject", "mine:Sound", "-k", chosen, "-s")
    done.assert_outcomes(passed=3, deselected=len(CLAUSES) - 2)
    done.stdout.fnmatch_lines(["*campaigns: 1*"])


def test_a_known_divergence_is_no_failure(elsewhere: pytest.Pytester) -> None:
    """Our own subjects go by the entries that accept what they are known for."""
    # Not imported: pytester forgets at the end what was, and torch cannot be imported again.
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = run(elsewhere, *FEW, "--bn-subject", "torch.functional", "-k", "BN-REJECT-8", "-rx")
    done.assert_outcomes(xfailed=1, deselected=len(CLAUSES))
    done.stdout.fnmatch_lines(["*known: torch-momentum-unchecked*"])
    shown = run(
        elsewhere, *FEW, "--bn-subject", "torch.functional", "-k", "BN-REJECT-8", "--runxfail"
    )
    shown.assert_outcomes(failed=1, deselected=len(CLAUSES))
    shown.stdout.fnmatch_lines(
        [
            "BN-REJECT-8 does not hold, as is known:",
            "    torch-momentum-unchecked (* judgement*): *",
        ]
    )


@pytest.mark.parametrize(
    ("subject", "outcome", "told"),
    [
        pytest.param(
            "UnbiasedRunningVariance", "xfailed", "*known: planted*", id="the entry holds"
        ),
        pytest.param(
            "Sound",
            "failed",
            "*must be looked at again: planted: matched nothing in *",
            id="what it accepts is mended",
        ),
    ],
)
def test_an_entry_is_strict(
    subject: str, outcome: str, told: str, elsewhere: pytest.Pytester
) -> None:
    """Where it does not show any more, the tests of its clauses fail and name it."""
    elsewhere.makeconftest(
        '''
        import bnconform.clause_tests as tests
        from bnconform.conformance.known.divergences import parse_known

        TEXT = """
        [[divergence]]
        id = "planted"
        subject = ["faulty.sound", "faulty.unbiased"]
        versions = ">=0"
        clause = "BN-STATE-2"
        cause = "beyond bound"
        looked_at_least = 1
        reason = "The state is unbiased."
        evidence = "planted"
        upstream = "none"
        date = 2026-01-01
        review_by = 2999-01-01
        """

        tests.load_known = lambda: tuple(parse_known(TEXT, "planted.toml"))
        '''
    )
    done = run(elsewhere, *FEW, "--bn-subject", f"mine.py:{subject}", "-k", "BN-STATE-2", "-rx")
    done.assert_outcomes(**{outcome: 1}, deselected=len(CLAUSES))
    done.stdout.fnmatch_lines([told])


def test_an_adapter_whose_framework_is_absent_fails(elsewhere: pytest.Pytester) -> None:
    """Who asks for a subject must not take silence for a pass."""
    done = run(elsewhere, *FEW, "--bn-subject", "mine.py:CannotStart", "-k", "BN-TRAIN-1")
    done.assert_outcomes(failed=1, deselected=len(CLAUSES))
    done.stdout.fnmatch_lines(["*is unavailable: *"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--bn-subject", "mine.py"), "*FILE.py:Class or module:Class*", id="no class"),
        pytest.param(("--bn-subject", "mine.py:Nobody"), "*has no 'Nobody'*", id="unknown class"),
        pytest.param(
            ("--bn-subject", "mine.py:Sound", "--bn-profile", "slow"),
            "*no profile 'slow'; there are: quick, nightly, deep*",
            id="unknown profile",
        ),
        pytest.param(
            ("--bn-subject", "mine.py:Sound", "--bn-cases", "0"), "*at least 1, got 0*", id="none"
        ),
    ],
)
def test_wrong_options_are_misuse(
    arguments: tuple[str, ...], message: str, elsewhere: pytest.Pytester
) -> None:
    """Said at once, before anything runs."""
    done = run(elsewhere, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([message])
