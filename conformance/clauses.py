"""The standard itself: every requirement as a numbered clause.

Documentation and reports are generated from this registry; a record names the clause that it is
evidence for. Levels follow RFC 2119, and INFO marks what is recorded but not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a clause is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    INFO = "INFO"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One requirement. ``equation`` names the function of ``spec.py`` that states it, or is ''."""

    id: str
    section: str
    level: Level
    statement: str
    equation: str
    source: str


_IOFFE = "Ioffe and Szegedy 2015, arXiv:1502.03167"
_IEEE = "IEEE 754-2019, section 6.2 (NaN propagation)"
_PROJECT = "this project: conformance/contract.py"
_BOUNDS = "this project: conformance/bounds.py"
_ASKED = "stackoverflow.com/questions/49701918 (replayed on the page of the seeds)"


def _section(section: str, prefix: str, *rows: tuple[Level, str, str, str]) -> tuple[Clause, ...]:
    """Number the rows (level, statement, equation, source) of one section from 1."""
    return tuple(
        Clause(
            id=f"BN-{prefix}-{number}",
            section=section,
            level=level,
            statement=statement,
            equation=equation,
            source=source,
        )
        for number, (level, statement, equation, source) in enumerate(rows, start=1)
    )


CLAUSES: tuple[Clause, ...] = (
    *_section(
        "The call", "CALL",
        (Level.MUST, "A call within the domain that the subject documents returns a result.",
         "", _PROJECT),
        (Level.MUST, "Outputs have the input's shape and the documented number format.",
         "", _PROJECT),
        (Level.MUST, "Inputs are left as they were.", "", _PROJECT),
        (Level.SHOULD, "The same call with the same state gives the same bits again.",
         "", _PROJECT),
        (Level.INFO, "What is outside the documented domain is declared, with the reason.",
         "", _PROJECT),
    ),
    *_section(
        "Batch statistics", "STAT",
        (Level.MUST, "The mean is taken over every axis that is not a feature axis.",
         "batch_mean", f"{_IOFFE}, algorithm 1"),
        (Level.MUST, "The variance that normalizes is the biased one, sum (x - mu)^2 / n.",
         "biased_variance", f"{_IOFFE}, algorithm 1"),
        (Level.MUST, "The mean is exact where every order of summation is exact.",
         "batch_mean", _BOUNDS),
        (Level.MUST, "The variance is exact where every order of summation is exact.",
         "biased_variance", _BOUNDS),
    ),
    *_section(
        "Training output", "TRAIN",
        (Level.MUST, "y = gamma (x - mu) / sqrt(v + epsilon) + beta, epsilon inside the root.",
         "scale_and_shift", f"{_IOFFE}, algorithm 1"),
        (Level.MUST, "Without scale gamma counts as 1, without center beta counts as 0.",
         "scale_and_shift", "tf.layers.batch_normalization: scale, center"),
        (Level.MUST, "Several feature axes normalize each combination of their indices apart.",
         "normalize", "tf.keras.layers.BatchNormalization (TF 2): axis"),
        (Level.MUST, "A negative axis means the same as its non-negative twin.",
         "normalize", "tf.layers.batch_normalization: axis"),
    ),
    *_section(
        "Axes", "AXIS",
        (Level.MUST, "axis names the axes that keep statistics of their own; the rest is reduced.",
         "batch_mean", f"tf.layers.batch_normalization: axis; {_ASKED}, addendum 5"),
        (Level.MUST, "A feature axis of undefined size is rejected when the layer is built.",
         "", f"{_ASKED}, first addendum: ValueError"),
        (Level.MUST, "A feature axis of another size than the parameters is rejected, 1 too.",
         "", f"{_ASKED}, addendum 2: [7] vs. [2]"),
        (Level.MUST, "A reduced axis may be of unknown size and differ from call to call.",
         "batch_mean", f"{_ASKED}, addendum 4"),
    ),
    *_section(
        "Running statistics", "STATE",
        (Level.MUST, "rm' = decay rm + (1 - decay) mu at every training step.",
         "update_running_mean", "tf.layers.batch_normalization: momentum"),
        (Level.MUST, "rv' = decay rv + (1 - decay) V, V biased or unbiased as documented.",
         "update_running_var", "tf.layers.batch_normalization: momentum"),
        (Level.MUST, "Without a decay the running statistics are plain averages over the steps.",
         "cumulative_average", "torch.nn.BatchNorm2d: momentum=None"),
        (Level.MUST, "A smaller last batch updates with the same weight as any other.",
         "update_running_mean", "tf.layers.batch_normalization: momentum"),
        (Level.MUST, "Running statistics are exact where the batch's and the average are.",
         "update_running_mean", _BOUNDS),
    ),
    *_section(
        "Inference", "INFER",
        (Level.MUST, "y = gamma (x - rm) / sqrt(rv + epsilon) + beta, whatever the batch.",
         "scale_and_shift", f"{_IOFFE}, algorithm 2"),
        (Level.MUST, "Inference leaves the running statistics as they are, bit for bit.",
         "", f"{_IOFFE}, section 3.1"),
        (Level.MUST, "Inference after training uses the statistics after the last step.",
         "scale_and_shift", f"{_IOFFE}, algorithm 2"),
        (Level.MUST, "In inference dx = gamma g / sqrt(rv + epsilon).",
         "inference_dx", "derivative of BN-INFER-1"),
        (Level.MUST, "In inference dgamma = sum g (x - rm) / sqrt(rv + epsilon).",
         "dgamma", "derivative of BN-INFER-1"),
        (Level.MUST, "In inference dbeta = sum g.", "dbeta", "derivative of BN-INFER-1"),
    ),
    *_section(
        "Training gradients", "GRAD",
        (Level.MUST, "dx = gamma r (g - mean g - xhat mean(g xhat)), through the statistics.",
         "training_dx", f"{_IOFFE}, section 3"),
        (Level.MUST, "dgamma = sum g xhat.", "dgamma", f"{_IOFFE}, section 3"),
        (Level.MUST, "dbeta = sum g.", "dbeta", f"{_IOFFE}, section 3"),
    ),
    *_section(
        "Frozen layers", "FROZEN",
        (Level.MUST, "A frozen layer normalizes by the statistics that it documents.",
         "scale_and_shift", "keras.layers.BatchNormalization: trainable=False"),
        (Level.MUST, "A frozen layer leaves the running statistics as they are, bit for bit.",
         "", "keras.layers.BatchNormalization: trainable=False"),
        (Level.MUST, "A frozen layer's gradients are those of the output it computes.",
         "inference_dx", "derivative of BN-FROZEN-1"),
    ),
    *_section(
        "Edges", "EDGE",
        (Level.MUST, "One training value per channel gives y = beta or is rejected, as documented.",
         "biased_variance", "torch.nn.functional.batch_norm: ValueError"),
        (Level.MUST, "An empty training batch gives empty outputs or is rejected, as documented.",
         "", _PROJECT),
        (Level.SHOULD, "An empty batch, where accepted, leaves the running statistics alone.",
         "", _PROJECT),
        (Level.MUST, "A NaN or an infinity never reaches another channel.",
         "normalize", f"{_IOFFE}, algorithm 1: channels are independent"),
        (Level.MUST, "A NaN or an infinity is not hidden in its own channel.",
         "normalize", _IEEE),
        (Level.MUST, "A constant channel gives y = beta within its bound, never NaN.",
         "normalize", f"{_IOFFE}, algorithm 1: epsilon"),
    ),
)  # fmt: skip

BY_ID: dict[str, Clause] = {clause.id: clause for clause in CLAUSES}
"""Clauses by id."""


class UnknownClauseError(KeyError):
    """A clause id that the standard does not have."""

    def __str__(self) -> str:
        """Name what arrived and what there is."""
        return f"no clause {self.args[0]!r}; `bnconform spec` lists all {len(CLAUSES)}"


def clause(clause_id: str) -> Clause:
    """The clause called ``clause_id``; :class:`UnknownClauseError` when there is none."""
    try:
        return BY_ID[clause_id]
    except KeyError:
        raise UnknownClauseError(clause_id) from None
