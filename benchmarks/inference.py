"""What inference finds: conventions of every registered subject, and of layers drawn at random.

    python benchmarks/inference.py [--subjects NAME,...] [--synthetic N]

A registered subject is compared with what it declares: 'exact' is inferred as declared, 'ambiguous'
is declared among what cannot be told apart, or with wider bounds than were needed, or not offered,
and 'wrong' is anything else. A layer drawn at random is compared with what it does.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from bnconform.adapters import REGISTRY
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Outcome
from bnconform.conformance.dialect import Dialect
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.inference.finding import Agreement, Finding, Inference, Standing
from bnconform.conformance.inference.inferring import infer

LIMIT = 120.0
MARKS = ("exact", "ambiguous", "wrong")
TESTS = Path(__file__).resolve().parent.parent / "tests" / "inference"


def main() -> None:
    """Print one line for each black box, and what is not exact below it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", default=",".join(REGISTRY))
    parser.add_argument("--synthetic", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{'black box':20} {'cases':>5} {'seconds':>7} " + " ".join(f"{m:>9}" for m in MARKS))
    for name in filter(None, arguments.subjects.split(",")):
        subject(name)
    asking, synthetic = load("asking"), load("synthetic")
    for seed in range(arguments.synthetic):
        truth = synthetic.drawn(seed)
        inference = asking.infer_here(synthetic.synthetic(truth))
        scores = asking.score(inference, truth)
        line(f"synthetic {seed}", inference, scores.values())
        details(inference, scores, truth)


def subject(name: str) -> None:
    """A registered subject, in a process of its own."""
    target = Target.parse(REGISTRY[name])
    adapter = load_class(target)
    with SubjectProcess(target, adapter.environment) as process:
        described = process.describe()
        if not described.available:
            print(f"{name:20} unavailable: {described.reason}")
            return

        def ask(case: Case) -> Outcome:
            question = Question(case=case, repeat=False)
            return next(outcome for _, outcome in process.ask([question], LIMIT))

        inference = infer(ask, adapter.capabilities)
    claims = {name: str(claim.value) for name, claim in adapter.dialect.claims().items()}
    scores = {each.convention: mark(each, adapter.dialect) for each in inference.findings}
    line(name, inference, scores.values())
    details(inference, scores, claims)


def mark(finding: Finding, dialect: Dialect) -> str:
    """How a finding compares with what is declared."""
    agreement = finding.agreement(dialect)
    if agreement is Agreement.DIFFERS:
        return "wrong"
    sure = finding.standing is not Standing.AMBIGUOUS and agreement is Agreement.AGREES
    return "exact" if sure else "ambiguous"


def line(name: str, inference: Inference, marks: Iterable[str]) -> None:
    """One row of the table."""
    counted = Counter(marks)
    counts = " ".join(f"{counted[each]:9}" for each in MARKS)
    print(f"{name:20} {len(inference.asked):5} {inference.seconds:7.1f} {counts}", flush=True)


def details(inference: Inference, marks: dict[str, str], truth: dict[str, str]) -> None:
    """What is not exact."""
    for each in inference.findings:
        if marks[each.convention] != "exact":
            inferred = " or ".join(each.inferred)
            print(f"    {marks[each.convention]}: {each.convention} {truth[each.convention]},"
                  f" inferred {inferred} ({each.standing})")  # fmt: skip


def load(name: str) -> ModuleType:
    """A module of the tests' folder, which is no package."""
    package = "inference_tests"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(TESTS)]
    return importlib.import_module(f"{package}.{name}")


if __name__ == "__main__":
    main()
