"""Inference: conventions of black boxes, and of subjects that follow none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.contract import Array, Step
from bnconform.conformance.dialect import RunningVariance
from bnconform.conformance.inference.finding import Agreement, Finding, Inference, Standing

from .asking import infer_here, score
from .synthetic import USUAL, Layer, drawn, synthetic


def finding(inference: Inference, convention: str) -> Finding:
    """What was found out about ``convention``."""
    return next(each for each in inference.findings if each.convention == convention)


@pytest.mark.parametrize("seed", range(20))
def test_conventions_drawn_at_random_are_recovered_or_said_to_be_ambiguous(seed: int) -> None:
    """Of twenty random layers nothing is inferred wrongly, and little is left open."""
    truth = drawn(seed)
    found = score(infer_here(synthetic(truth)), truth)
    assert set(found) == set(USUAL)
    assert [name for name, mark in found.items() if mark == "wrong"] == []
    # Only these two may be out of reach: no ghost batches, or statistics that are rounded, too.
    ambiguous = {name for name, mark in found.items() if mark == "ambiguous"}
    assert ambiguous <= {"half_gradient", "ghost_groups"}


@pytest.fixture(scope="module")
def usual() -> Inference:
    """What is inferred about a layer that does the usual in everything."""
    return infer_here(synthetic({}))


def test_few_cases_suffice(usual: Inference) -> None:
    """Fourteen conventions are told in fewer than thirty cases."""
    assert len(usual.findings) == 14
    assert len(usual.asked) < 30


def test_a_right_layer_leaves_nothing_unexplained(usual: Inference) -> None:
    """Every answer of a layer that follows its conventions is accounted for."""
    assert usual.unexplained == ()


def test_the_declared_dialect_plays_no_part() -> None:
    """What contradicts the declaration is inferred all the same, and told from it."""
    adapter = synthetic({"running_variance": "unbiased"})
    inference = infer_here(adapter)
    found = finding(inference, "running_variance")
    assert adapter.dialect.running_variance.value is RunningVariance.BIASED
    assert found.inferred == ("unbiased",)
    assert found.agreement(adapter.dialect) is Agreement.DIFFERS
    assert [each.convention for each in inference.surprises(adapter.dialect)] == [
        "running_variance"
    ]


def test_what_is_declared_more_loosely_than_needed_is_told_from_a_contradiction(
    usual: Inference,
) -> None:
    """Two passes fit the bounds of one pass, too: declaring one pass is loose and not wrong."""
    found = finding(usual, "variance")
    assert found.standing is Standing.NARROWEST
    assert found.inferred == ("two_pass",)
    assert set(found.fits) == {"two_pass", "welford", "one_pass"}


def test_a_subject_without_half_parameters_leaves_parameters_ambiguous() -> None:
    """Statistics kept in the parameters' format show only where that is half precision."""
    adapter = synthetic({})
    narrow = type(
        "Narrow", (adapter,), {"capabilities": _without_half_parameters(adapter.capabilities)}
    )
    found = finding(infer_here(narrow), "saved_statistics")
    assert found.standing is Standing.AMBIGUOUS
    assert found.inferred == ("accumulation", "parameters")


def _without_half_parameters(capabilities: Any) -> Any:
    return type(capabilities)(**{**vars(capabilities), "half_parameters": False})


class _Faulty(Layer):
    """A layer whose answers pass through ``change``."""

    def call(self, *arguments: Any, **named: Any) -> Step:
        """The right answer, changed."""
        return self.change(super().call(*arguments, **named))

    def change(self, step: Step) -> Step:
        """What is wrong."""
        raise NotImplementedError


def _inferred_of(layer: type[Layer], truth: Mapping[str, str] | None = None) -> Inference:
    adapter = synthetic(truth or {})

    def build(self: object, case: Any, parameters: Any) -> Layer:
        del self
        return layer({**USUAL, **(truth or {})}, case, parameters)

    return infer_here(type("FaultyAdapter", (adapter,), {"build": build}))


def _with(step: Step, **arrays: Array | None) -> Step:
    return Step(**{**vars(step), **arrays})


class _VariancePlusOne(Layer):
    """Takes a variance that is 1 too large into the running one."""

    def update(self, mu: Any, v: Any, n: int) -> None:
        """One more."""
        super().update(mu, v, n)
        self.var = (self.var + 1).astype(self.var.dtype)


def test_a_convention_without_a_consistent_value_is_said_and_the_others_are_found() -> None:
    """A running variance that is neither biased nor unbiased says nothing about the rest."""
    inference = _inferred_of(_VariancePlusOne)
    found = finding(inference, "running_variance")
    others = {name: mark for name, mark in score(inference, USUAL).items() if mark == "wrong"}
    assert found.standing is Standing.INCONSISTENT
    assert "running_var" in found.told
    assert found.agreement(NumpyReference.dialect) is Agreement.DIFFERS
    assert set(others) == {"running_variance"}


class _SometimesUnbiased(Layer):
    """Bessel's correction for batches of five and more, none for smaller ones."""

    def update(self, mu: Any, v: Any, n: int) -> None:
        """The running variance by the number of values."""
        kind = "unbiased" if n >= 5 else "biased"
        self.truth = {**self.truth, "running_variance": kind}
        super().update(mu, v, n)


def test_a_convention_that_changes_from_case_to_case_is_inconsistent() -> None:
    """Biased in the case that told it and unbiased in the one that was to confirm it."""
    found = finding(_inferred_of(_SometimesUnbiased), "running_variance")
    assert found.standing is Standing.INCONSISTENT
    assert found.inferred == ("biased", "unbiased")


class _EpsilonOutsideTheRoot(Layer):
    """Adds epsilon to the deviation."""

    def call(self, x: Array, dy: Array, mean: Any, var: Any, mu: Any, share: float) -> Step:
        """(sigma + epsilon)^2 in place of v + epsilon."""
        added = np.square(np.sqrt(var) + np.float32(self.epsilon)).astype(var.dtype)
        kept, self.epsilon = self.epsilon, 0.0
        step = super().call(x, dy, mean, added, mu, share)
        self.epsilon = kept
        return step


def test_an_epsilon_that_no_floor_explains_is_said() -> None:
    """Epsilon added outside the root is neither kept nor floored."""
    found = finding(_inferred_of(_EpsilonOutsideTheRoot), "epsilon_floor")
    assert found.standing is Standing.INCONSISTENT


class _FixedEpsilon(Layer):
    """Uses an epsilon of 1e-5, whatever is asked."""

    def call(self, *arguments: Any, **named: Any) -> Step:
        """The same with the epsilon of its own."""
        self.epsilon = 1e-5
        return super().call(*arguments, **named)


def test_an_epsilon_of_the_subjects_own_is_no_floor() -> None:
    """It is above what is given in one case and below it in another."""
    found = finding(_inferred_of(_FixedEpsilon), "epsilon_floor")
    assert found.standing is Standing.INCONSISTENT
    assert "given 0.001, 1e-05" in " ".join(found.inferred)


class _FixedDecay(Layer):
    """Weighs the old value by 0.99, whatever is asked."""

    @property
    def decay(self) -> float:
        """Weight of the old value."""
        return 0.99


def test_a_decay_of_the_subjects_own_is_measured() -> None:
    """A weight that does not depend on what is given is found and named."""
    found = finding(_inferred_of(_FixedDecay), "momentum")
    assert found.inferred == ("always 0.99",)
    assert found.agreement(NumpyReference.dialect) is Agreement.DIFFERS


class _Truncated(_Faulty):
    """Cuts its output off to half precision in place of rounding it."""

    def change(self, step: Step) -> Step:
        """Towards zero by half a unit, which costs as much as one more rounding."""
        if step.y.dtype.itemsize > 2:
            return step
        return _with(step, y=(step.y.astype(np.float32) * np.float32(0.99)).astype(step.y.dtype))


def test_an_error_of_the_output_alone_does_not_pass_for_rounded_statistics() -> None:
    """Wide bounds cover up for it, but the statistics in float32 show no rounding."""
    inference = _inferred_of(_Truncated)
    assert finding(inference, "saved_statistics").inferred == ("accumulation",)
    assert any("y" in each.what for each in inference.unexplained)
