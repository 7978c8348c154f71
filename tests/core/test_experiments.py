"""Every experiment, judged on what should be observed and on plausible mistakes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from bnconform.adapters.tf_layers_experiments import NAMES
from bnconform.conformance.clauses import BY_ID
from bnconform.conformance.contract import Array, Observed
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import ALL, EXPERIMENTS, LAYERS
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Cause, Conforms, Diverges

MISTAKES: dict[tuple[str, str], tuple[str, object]] = {
    ("axis.undefined", "rejected"): ("it is built", 0),
    ("axis.reduced", "y_pair"): ("running statistics", np.reshape([1, 2, 3, 2], (2, 1, 1, 2))),
    ("axis.reduced", "y_four"): ("the pair's statistics", np.zeros((4, 1, 1, 2))),
    **{
        (f"initializer.{name}", "default"): ("0 and 1 are swapped", swapped)
        for name, swapped in {"beta": 1, "gamma": 0, "moving_mean": 1, "moving_variance": 0}.items()
    },
    **{
        (f"initializer.{name}", "given"): ("the initializer is ignored", default)
        for name, default in {"beta": 0, "gamma": 1, "moving_mean": 0, "moving_variance": 1}.items()
    },
    ("regularizer.beta", "loss"): ("the term is not collected", 0),
    ("regularizer.gamma", "loss"): ("the term is halved, as by tf.nn.l2_loss", 5.25),
    ("regularizer.beta", "gradient"): ("no gradient of the term", [2, 2, 4]),
    ("regularizer.gamma", "gradient"): ("no gradient of the term", [-2, -np.sqrt(2), -1]),
    ("regularizer.beta", "gradient_without"): ("it adds to the gradient of y", [3, 6, 2]),
    ("regularizer.gamma", "gradient_without"): (
        "it adds to the gradient of y", [0, -1 - np.sqrt(2), 3],
    ),
    ("constraint.beta", "before"): ("it maps at once", [0, 1, 3]),
    ("constraint.gamma", "before"): ("it maps at once", [0, 1, 3]),
    ("constraint.beta", "after"): ("it is ignored", [-0.5, -1, 2]),
    ("constraint.gamma", "after"): ("it is ignored", [-1, -3, 2.5]),
    ("training.virtual_batches", "difference"): ("one of the two forms has no groups", 0.5),
    ("training.omitted", "moving_mean"): ("a training step", [0, 6]),
    ("training.omitted", "moving_variance"): ("a training step", [7, 2.5]),
    ("trainable", "trainable"): ("nothing is trainable", 0),
    ("trainable", "frozen"): ("trainable=False is ignored", 2),
    ("trainable", "variables_of_frozen"): ("it loses its parameters", 2),
    ("fused", "variance_none"): ("biased", [7, 2.5]),
    ("fused", "variance_true"): ("biased", [7, 2.5]),
    ("fused", "variance_false"): ("unbiased", [7.5, 4.5]),
    ("fused", "built_fused"): ("None means False", [0, 1, 0]),
    ("name", "found"): ("the default name", [0, 0, 0, 0]),
    ("name", "others"): ("the default name beside it", 4),
    ("reuse.forgotten", "rejected"): ("it makes a second layer", 0),
    ("virtual_batch_size.remainder", "rejected"): ("the rest is dropped", 0),
    ("virtual_batch_size.remainder", "accepted"): ("everything is rejected", 0),
    ("updates.run", "moving_mean"): ("it never moves", [0, 0]),
    ("updates.run", "moving_variance"): ("two steps for one", [0.25, 0.25]),
    ("updates.forgotten", "moving_mean"): ("it moves all the same", [3, -1]),
    ("updates.forgotten", "moving_variance"): ("it moves all the same", [0.5, 0.5]),
    **{
        (f"reuse.{kind}", quantity): mistake
        for kind in ("true", "auto")
        for quantity, mistake in {
            "variables": ("a second layer", 8),
            "mean_after_first": ("both calls' updates at once", [0, 4]),
            "mean_after_second": ("a state of its own for each call", [-2, 2]),
        }.items()
    },
}  # fmt: skip
"""(experiment, quantity) -> a mistake, and what it would show; outputs are below."""

SWAPPED_OUTPUTS = {
    **{("training.forms", f"y_{way}"): ("training.forms", "y_unfed")
       for way in ("bool", "tensor", "fed")},
    **{("training.forms", f"y_{way}"): ("training.forms", "y_bool")
       for way in ("bool_false", "tensor_false", "unfed")},
    **{("training.forms", f"mean_{way}"): ("training.forms", "mean_unfed")
       for way in ("bool", "tensor", "fed")},
    **{("training.forms", f"mean_{way}"): ("training.forms", "mean_bool")
       for way in ("bool_false", "tensor_false", "unfed")},
    ("training.omitted", "y"): ("training.forms", "y_bool"),
    ("updates.run", "y_infer"): ("updates.forgotten", "y_infer"),
    ("updates.forgotten", "y_infer"): ("updates.run", "y_infer"),
}  # fmt: skip
"""(experiment, quantity) -> where that is right which is wrong here."""

FACTOR = 1000
"""A mistake must be at least so many bounds away: nobody could take it for rounding."""


def _right(experiment: Experiment) -> dict[str, Array]:
    """What a subject without a mistake observes: exact values, rounded once."""
    return {
        name: want.value.hi.astype(want.output.numpy)
        for name, want in experiment.expected().items()
    }


def _observed(arrays: Mapping[str, Array]) -> Observed:
    return Observed(arrays=arrays, seconds=0.0, output="")


def _wrong(experiment: Experiment, quantity: str) -> Array:
    """The array that the mistake about ``quantity`` would show."""
    place = (experiment.name, quantity)
    right = _right(experiment)[quantity]
    if place in SWAPPED_OUTPUTS:
        other, its_quantity = SWAPPED_OUTPUTS[place]
        return _right(EXPERIMENTS[other])[its_quantity]
    if place in MISTAKES:
        values: object = MISTAKES[place][1]
        return np.broadcast_to(np.asarray(values, right.dtype), right.shape).copy()
    assert (quantity, experiment.parameter.endswith("_regularizer")) == ("y", True)
    # The regularizer shrinks the parameter in the call itself.
    return (right * np.float32(0.99)).astype(right.dtype)


PLACES = [(experiment, quantity) for experiment in LAYERS for quantity in experiment.clauses]


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_what_should_be_observed_conforms(experiment: Experiment) -> None:
    """Exact values, rounded to float32 once, are within every bound."""
    judgements = judge_experiment(experiment, _observed(_right(experiment)))
    assert len(judgements) == 1 + len(experiment.clauses)
    assert all(isinstance(judgement.verdict, Conforms) for judgement in judgements)


@pytest.mark.parametrize(
    ("experiment", "quantity"),
    [pytest.param(*place, id=f"{place[0].name}: {place[1]}") for place in PLACES],
)
def test_a_plausible_mistake_diverges_far_beyond_its_bound(
    experiment: Experiment, quantity: str
) -> None:
    """And only in the quantity that it is about, under that quantity's clause."""
    arrays = _right(experiment) | {quantity: _wrong(experiment, quantity)}
    judgements = judge_experiment(experiment, _observed(arrays))
    diverging = [each for each in judgements if isinstance(each.verdict, Diverges)]
    assert [(each.clause, each.quantity) for each in diverging] == [
        (experiment.clauses[quantity], quantity)
    ]
    verdict = diverging[0].verdict
    assert isinstance(verdict, Diverges)
    assert verdict.cause is Cause.BEYOND_BOUND
    assert verdict.measure is not None
    assert verdict.measure.ratio > FACTOR


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_the_clauses_exist_and_each_has_an_expectation(experiment: Experiment) -> None:
    """What is expected is exactly what evidence is promised for."""
    assert set(experiment.expected()) == set(experiment.clauses)
    assert set(experiment.clauses.values()) <= set(BY_ID)


def test_every_clause_of_what_no_call_shows_has_an_experiment() -> None:
    """Initializers, regularizers, constraints, switches, sharing, updates, and a few more."""
    prefixes = ("INIT", "REG", "CONSTRAINT", "SWITCH", "SHARE", "UPDATE")
    wanted = {clause for clause in BY_ID if clause.split("-")[1] in prefixes}
    wanted |= {"BN-GHOST-5", "BN-AXIS-2", "BN-AXIS-4"}
    assert {clause for each in LAYERS for clause in each.clauses.values()} == wanted


def test_names_and_ids_are_unique() -> None:
    """A record's case id leads to one experiment."""
    assert len({experiment.name for experiment in ALL}) == len(ALL)
    assert len({experiment.id for experiment in ALL}) == len(ALL)


def test_the_adapter_names_experiments_that_there_are() -> None:
    """An adapter spells them out, because it may not look into the standard."""
    assert {experiment.name for experiment in LAYERS} == NAMES
