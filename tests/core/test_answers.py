"""Every parameter is answered, by clauses that have evidence."""

from __future__ import annotations

import pytest

from bnconform.conformance import spec
from bnconform.conformance.answers import Parameter, parameters, questions
from bnconform.conformance.cases.coverage import cases_per_clause
from bnconform.conformance.clauses import BY_ID

SIGNATURE = (
    "inputs", "axis", "momentum", "epsilon", "center", "scale", "beta_initializer",
    "gamma_initializer", "moving_mean_initializer", "moving_variance_initializer",
    "beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint", "training",
    "trainable", "name", "reuse", "renorm", "renorm_clipping", "renorm_momentum", "fused",
    "virtual_batch_size", "adjustment",
)  # fmt: skip
"""tf.layers.batch_normalization; that it is the real one's is tested with TensorFlow."""


def test_the_parameters_are_those_of_the_signature_in_its_order() -> None:
    """None is missing, none is invented."""
    assert tuple(parameter.name for parameter in parameters()) == SIGNATURE


@pytest.mark.parametrize("parameter", parameters(), ids=lambda parameter: parameter.name)
def test_a_parameter_has_two_sentences_and_clauses_that_exist(parameter: Parameter) -> None:
    """And an equation that can be called, where it has one."""
    assert parameter.meaning.endswith(".")
    assert parameter.trap.endswith(".")
    assert parameter.elsewhere.endswith(".")
    assert parameter.clauses
    assert set(parameter.clauses) <= set(BY_ID)
    assert not parameter.equation or callable(getattr(spec, parameter.equation))


def test_every_clause_of_an_answer_has_evidence_in_a_quick_run() -> None:
    """A case or an experiment that could contradict it."""
    counts = cases_per_clause()
    lists = [each.clauses for each in parameters()] + [each.clauses for each in questions()]
    cited = {clause for clauses in lists for clause in clauses}
    assert {clause for clause in cited if not counts[clause]} == set()


def test_the_questions_are_numbered_as_in_the_text() -> None:
    """Six of them; the text calls the sixth a second Q5."""
    assert [question.label for question in questions()] == ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6"]
