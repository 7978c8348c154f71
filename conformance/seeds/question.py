"""The question's failures and its puzzle about the axis, as clauses and contract cases.

Source: "tf.layers.batch_normalization parameters", stackoverflow.com/questions/49701918. A layer of
six units gets mini-batches of seven samples with five inputs, as W X^T of shape (features, batch):
(6, 7), and (6, 2) when nine samples are at hand. ``axis=-1`` is the *batch* there, of no size that
is known when the layer is built; giving it the size 7 builds, and fails on the last mini-batch.

All values are small integers, so that W X^T is exact in float32 however it is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np

from .. import bounds, spec
from ..bounds import Float64
from ..clauses import CLAUSES
from ..contract import Array
from .blog import EPSILON
from .rounding import FLOAT32, statistics, stored

DECAY = 0.99
"""The layer's default momentum, which the question leaves as it is."""

QUESTION = "https://stackoverflow.com/questions/49701918"

Declared: TypeAlias = Literal["as it comes", "tf.reshape", "set_shape"]
"""How the program gives a mini-batch of unknown size a static one."""


AXIS_CLAUSES = tuple(clause for clause in CLAUSES if clause.section == "Axes")
"""The requirements behind the question."""


class Fate(StrEnum):
    """How far a call came."""

    ANSWERED = "answered"
    REJECTED_AT_BUILD = "rejected when the layer was built"
    REJECTED_AT_CALL = "rejected when a batch arrived"


@dataclass(frozen=True, kw_only=True, eq=False)
class ContractCase:
    """One program, and what should become of it.

    ``x`` holds the samples row by row and is cut into mini-batches of ``batch``; what the layer
    gets is ``weights`` x^T. ``optimized`` lets the framework rewrite its graph.
    """

    name: str
    x: Array
    weights: Array
    batch: int
    axis: int
    declared: Declared
    optimized: bool = True
    clause: str
    should: Fate


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Whether what happened is what should; ``ratio`` is the largest error in units of its bound.

    ``ratio`` is None where there are no numbers to compare.
    """

    meets: bool
    ratio: float | None


X = np.array([[(3 * k + 2 * i + k * i) % 11 - 5 for i in range(5)] for k in range(9)], np.float32)
"""Nine samples of five inputs."""
WEIGHTS = np.array(
    [[(2 * j + 3 * i + j * i) % 7 - 3 for i in range(5)] for j in range(6)], np.float32
)
"""Six units with five weights each."""
CONSTANT = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
"""The matrix whose ``tf.reduce_mean`` puzzles the asker."""


def _asked(
    name: str,
    *,
    axis: int,
    declared: Declared,
    clause: str,
    should: Fate,
    samples: int = 9,
    optimized: bool = True,
) -> ContractCase:
    """The asker's layer on the first ``samples`` samples."""
    return ContractCase(
        name=name, x=X[:samples], weights=WEIGHTS, batch=7, axis=axis, declared=declared,
        optimized=optimized, clause=clause, should=should,
    )  # fmt: skip


def _constant(axis: int) -> ContractCase:
    return ContractCase(
        name=f"[[1 2 3] [4 5 6]], axis={axis}",
        x=np.ascontiguousarray(CONSTANT.T), weights=np.eye(2, dtype=np.float32), batch=3,
        axis=axis, declared="set_shape", clause="BN-AXIS-1", should=Fate.ANSWERED,
    )  # fmt: skip


CASES = (
    _asked(
        "(6, ?) with axis=-1, as first asked",
        axis=-1, declared="as it comes", clause="BN-AXIS-2", should=Fate.REJECTED_AT_BUILD,
    ),
    _asked(
        "7 by tf.reshape, then a batch of 2",
        axis=-1, declared="tf.reshape", clause="BN-AXIS-3", should=Fate.REJECTED_AT_CALL,
    ),
    _asked(
        "the same, graph optimizer off",
        axis=-1, declared="tf.reshape", optimized=False, clause="BN-AXIS-3",
        should=Fate.REJECTED_AT_CALL,
    ),
    _asked(
        "7 by set_shape, then a batch of 2",
        axis=-1, declared="set_shape", clause="BN-AXIS-3", should=Fate.REJECTED_AT_CALL,
    ),
    _asked(
        "7 by set_shape, then a batch of 1",
        axis=-1, declared="set_shape", samples=8, clause="BN-AXIS-3", should=Fate.REJECTED_AT_CALL,
    ),
    _asked(
        "7 by tf.reshape, then a batch of 1",
        axis=-1, declared="tf.reshape", samples=8, clause="BN-AXIS-3", should=Fate.REJECTED_AT_CALL,
    ),
    _asked(
        "(6, 7) with axis=-1, whole batches only",
        axis=-1, declared="set_shape", samples=7, clause="BN-AXIS-1", should=Fate.ANSWERED,
    ),
    _asked(
        "(6, 7) with axis=0, whole batches only",
        axis=0, declared="set_shape", samples=7, clause="BN-AXIS-1", should=Fate.ANSWERED,
    ),
    _asked(
        "(6, ?) with axis=0, then a batch of 2",
        axis=0, declared="as it comes", clause="BN-AXIS-4", should=Fate.ANSWERED,
    ),
    _constant(0),
    _constant(1),
)  # fmt: skip
"""Every program of the question, and those beside it that tell its causes apart."""


def layer_inputs(case: ContractCase) -> tuple[Float64, ...]:
    """W X^T of every mini-batch, shape (features, samples)."""
    exact = case.weights.astype(np.float64) @ case.x.astype(np.float64).T
    starts = range(0, exact.shape[1], case.batch)
    return tuple(exact[:, start : start + case.batch] for start in starts)


def expected_output(z: Float64, axis: int) -> tuple[Float64, Float64]:
    """xhat of a matrix whose feature axis is ``axis``, and the bound of each element."""
    reduced = (1 - axis % 2,)
    mu, v, s = statistics(z, reduced)
    y = spec.normalize(z, mu, spec.inverse_deviation(v, EPSILON))
    one, zero = np.ones_like(mu), np.zeros_like(mu)
    return y, stored(bounds.output_error(z, y, one, zero, s, EPSILON, FLOAT32), y)


def expected_running_mean(z: Sequence[Float64], axis: int) -> tuple[Float64, Float64]:
    """The running mean after the mini-batches ``z``, from zero, and the bound of each element."""
    reduced = (1 - axis % 2,)
    mean = np.zeros_like(spec.batch_mean(z[0], reduced))
    error = np.zeros_like(mean)
    for batch in z:
        mu, _, s = statistics(batch, reduced)
        error = bounds.running_mean_error(mean, error, s, DECAY, FLOAT32)
        mean = spec.update_running_mean(mean, mu, DECAY)
    return mean.ravel(), error.ravel()


def judge(
    case: ContractCase, fate: Fate, outputs: Sequence[Array], running_mean: Sequence[float]
) -> Finding:
    """What the clause says of what became of ``case``."""
    if fate is not case.should:
        return Finding(meets=False, ratio=None)
    if fate is not Fate.ANSWERED:
        return Finding(meets=True, ratio=None)
    batches = layer_inputs(case)
    mean, e_mean = expected_running_mean(batches, case.axis)
    expected = [(mean, e_mean), *(expected_output(z, case.axis) for z in batches)]
    got = [np.array(running_mean, np.float64), *(y.astype(np.float64) for y in outputs)]
    if [value.shape for value, _ in expected] != [value.shape for value in got]:
        return Finding(meets=False, ratio=None)
    pairs = zip(expected, got, strict=True)
    ratios = [np.max(np.abs(value - answer) / bound) for (value, bound), answer in pairs]
    ratio = float(np.max(ratios))
    return Finding(meets=ratio <= 1, ratio=ratio)
