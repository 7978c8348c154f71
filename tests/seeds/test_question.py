"""The question's calls: what the clauses ask for, and what real TensorFlow does.

Without TensorFlow the tests of the replay are skipped; with it, a replay that fails is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
import pytest

from bnconform.adapters import seed_replay
from bnconform.adapters.seed_replay import Attempt, Replay
from bnconform.cli.replaying import replayed
from bnconform.cli.seeds_page import finding, page_of
from bnconform.conformance.contract import Array
from bnconform.conformance.seeds import question
from bnconform.conformance.seeds.question import AXIS_CLAUSES, CASES, ContractCase, Fate
from bnconform.reports.pages import Mark, Paragraph, Table
from bnconform.reports.summaries import Status

Told: TypeAlias = tuple[list[Array], list[float]]
"""Outputs and running mean."""

BROADCAST = [case.name for case in CASES if len(case.x) == 8]
"""Cases whose last batch is one sample where seven are declared."""


@pytest.fixture(scope="module")
def attempts() -> dict[str, Attempt]:
    """What real TensorFlow did, by the name of the case."""
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    found = replayed()
    assert isinstance(found, Replay), found
    return dict(zip((case.name for case in CASES), found.attempts, strict=True))


def named(name: str) -> ContractCase:
    """The case of that name."""
    return next(case for case in CASES if case.name == name)


def perfect(case: ContractCase) -> Told:
    """The exact answer, rounded to float32."""
    inputs = question.layer_inputs(case)
    outputs = [question.expected_output(z, case.axis)[0].astype(np.float32) for z in inputs]
    return outputs, question.expected_running_mean(inputs, case.axis)[0].tolist()


def test_the_axis_clauses_and_the_cases_cover_each_other() -> None:
    """Every case is evidence for a clause about axes, and every such clause has a case."""
    assert {case.clause for case in CASES} == {clause.id for clause in AXIS_CLAUSES}


def test_both_sides_name_fates_alike() -> None:
    """The replay knows nothing of the spec, so that its words could drift."""
    assert [fate.value for fate in Fate] == [fate.value for fate in seed_replay.Fate]


def test_the_matrix_is_features_by_samples() -> None:
    """Six features; seven samples and then the two that are left."""
    case = named("(6, ?) with axis=0, then a batch of 2")
    assert [z.shape for z in question.layer_inputs(case)] == [(6, 7), (6, 2)]


def test_the_matrix_is_exact_in_float32() -> None:
    """However it is multiplied, so that the bounds need no room for it."""
    product = question.WEIGHTS @ question.X.T
    whole = question.WEIGHTS.astype(int) @ question.X.T.astype(int)
    assert np.array_equal(product, whole)


def test_axis_0_normalizes_each_feature_over_the_batch() -> None:
    """Rows of mean 0: for a (features, batch) matrix the kept axis is 0."""
    z = question.layer_inputs(CASES[0])[0]
    by_row, _ = question.expected_output(z, 0)
    by_column, _ = question.expected_output(z, -1)
    assert np.allclose(by_row.mean(axis=1), 0)
    assert not np.allclose(by_row.mean(axis=0), 0)
    assert np.allclose(by_column.mean(axis=0), 0)


def test_the_kept_axis_is_what_the_other_reduction_removes() -> None:
    """Batch norm with axis=0 has the means of reduce_mean(axis=1), and the other way round."""
    z = question.CONSTANT.astype(np.float64)
    for axis in (0, 1):
        mean, _ = question.expected_running_mean([z], axis)
        assert mean / (1 - question.DECAY) == pytest.approx(z.mean(axis=1 - axis))


def test_the_right_answer_is_found_to_meet_the_clause() -> None:
    """The judge is not stricter than float32."""
    for case in CASES:
        if case.should is Fate.ANSWERED:
            outputs, mean = perfect(case)
            assert question.judge(case, Fate.ANSWERED, outputs, mean).meets


def test_an_answer_along_the_wrong_axis_is_found_out() -> None:
    """The shapes agree; only the numbers tell."""
    case = named("(6, 7) with axis=0, whole batches only")
    wrong, _ = perfect(named("(6, 7) with axis=-1, whole batches only"))
    _, mean = perfect(case)
    found = question.judge(case, Fate.ANSWERED, wrong, mean)
    assert not found.meets
    assert found.ratio is not None
    assert found.ratio > 1


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda y, mean: (y[:-1], mean), id="a batch without an answer"),
        pytest.param(lambda y, mean: ([*y[:-1], y[-1] * np.nan], mean), id="NaN in the last batch"),
        pytest.param(lambda y, mean: (y, mean[:1]), id="one mean for all features"),
        pytest.param(
            lambda y, mean: (y, [2 * value for value in mean]),
            id="a running mean of twice the size",
        ),
    ],
)
def test_a_spoilt_answer_is_found_out(spoil: Callable[[list[Array], list[float]], Told]) -> None:
    """Absence and NaN are never a pass."""
    case = named("(6, ?) with axis=0, then a batch of 2")
    assert not question.judge(case, Fate.ANSWERED, *spoil(*perfect(case))).meets


def test_an_answer_where_a_rejection_is_due_is_found_out() -> None:
    """And a rejection where an answer is due."""
    rejected, answered = CASES[0], named("(6, 7) with axis=0, whole batches only")
    assert not question.judge(rejected, Fate.ANSWERED, [], []).meets
    assert not question.judge(answered, Fate.REJECTED_AT_CALL, [], []).meets


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in BROADCAST],
                         ids=lambda case: case.name)  # fmt: skip
def test_tensorflow_meets_the_clause(attempts: dict[str, Attempt], case: ContractCase) -> None:
    """Of the question's own calls TensorFlow rejects what it must and answers the rest rightly."""
    assert finding(case, attempts[case.name]).meets, attempts[case.name]


@pytest.mark.parametrize("name", BROADCAST)
def test_tensorflow_broadcasts_a_last_batch_of_one(attempts: dict[str, Attempt], name: str) -> None:
    """A divergence: seven answers to one sample, and no error."""
    found = attempts[name]
    assert not finding(named(name), found).meets
    assert [y.shape for y in found.outputs] == [(6, 7), (6, 7)]


def test_the_broadcast_moves_every_running_mean_alike(attempts: dict[str, Attempt]) -> None:
    """The one mean of the last sample went into all seven averages."""
    case = named(BROADCAST[0])
    whole, single = question.layer_inputs(case)
    after = [question.expected_running_mean([whole, single.repeat(7, axis=1)], -1)]
    [(mean, bound)] = after
    assert np.all(np.abs(np.array(attempts[case.name].running_mean) - mean) <= bound)


def test_an_undefined_axis_is_named_in_the_error(attempts: dict[str, Attempt]) -> None:
    """Axis and shape are both there: this message helps."""
    error = attempts["(6, ?) with axis=-1, as first asked"].error
    assert error.startswith("ValueError: Input has undefined `axis` dimension.")
    assert "(6, None)" in error


@pytest.mark.parametrize("declared", ["tf.reshape", "set_shape"])
def test_a_smaller_last_batch_fails_as_the_asker_saw(
    attempts: dict[str, Attempt], declared: str
) -> None:
    """[7] vs. [2], and no word of an axis or of the layer's input."""
    error = attempts[f"7 by {declared}, then a batch of 2"].error
    assert error == "InvalidArgumentError: Incompatible shapes: [7] vs. [2]"


def test_the_reshape_refuses_once_the_graph_optimizer_is_off(attempts: dict[str, Attempt]) -> None:
    """So it is the optimizer that drops it and lets two samples pass for seven."""
    error = attempts["the same, graph optimizer off"].error
    assert "Input to reshape is a tensor with 10 values, but the requested shape has 35" in error


def test_the_page_marks_what_diverges(attempts: dict[str, Attempt]) -> None:
    """The two broadcasts, and nothing else."""
    assert attempts
    blocks = [block for s in page_of(replayed()).sections for block in s.blocks]
    calls = next(b for b in blocks if isinstance(b, Table) and b.headings[0] == "call")
    marked = {row[0] for row in calls.rows if Mark(Status.DIVERGES) in row}
    assert marked == set(BROADCAST)


def test_the_page_explains_only_what_was_seen(attempts: dict[str, Attempt]) -> None:
    """Both remarks are there because both were seen."""
    assert attempts
    blocks = [block for s in page_of(replayed()).sections for block in s.blocks]
    told = " ".join(str(block.content) for block in blocks if isinstance(block, Paragraph))
    assert "taken for redundant" in told
    assert "one sample comes back as seven" in told
