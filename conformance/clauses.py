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
_RENORM = "Ioffe 2017, arXiv:1702.03275"
_LAYERS = "tf.layers.batch_normalization"
_KERAS = "keras.layers.BatchNormalization"
_FLAX = "flax.linen.BatchNorm"
_TORCH = "torch.nn.BatchNorm2d"
_SAVED = "torch.load, keras.saving.load_model, tf.saved_model.load, onnx.load: the way back"
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
        (Level.MUST, ("Where running statistics normalize training, as documented, they are those"
         " after the update."), "normalize", "equinox.nn.BatchNorm: mode 'ema'"),
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
        (Level.MUST, ("A zero-debiased average begins at h = 0 and is h / (1 - decay^t), where"
         " documented."), "debiased_average", "haiku.ExponentialMovingAverage; arXiv:1412.6980"),
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
        (Level.MUST, ("Training by running statistics differentiates through the batch's share of"
         " them."), "running_training_dx", "derivative of BN-TRAIN-5"),
    ),
    *_section(
        "Second derivatives", "SECOND",
        (Level.MUST, ("In training, gradients of the gradients go through the batch statistics"
         " again."), "training_second_dx", "derivative of BN-GRAD-1 to BN-GRAD-3"),
        (Level.MUST, ("In inference, gradients of the gradients take the running statistics as"
         " constants."), "inference_second_dx", "derivative of BN-INFER-4 to BN-INFER-6"),
        (Level.MUST, ("In training, tangents of the gradients (forward over reverse) are the same"
         " derivatives."), "training_second_dgamma", "BN-SECOND-1: the Hessian is symmetric"),
        (Level.MUST, ("In inference, tangents of the gradients (forward over reverse) are the same"
         " derivatives."), "inference_second_dgamma", "BN-SECOND-2: the Hessian is symmetric"),
        (Level.MUST, ("The tangent of y (forward mode) is gamma r P(u) + a xhat + b, without P in"
         " inference."), "training_second_dg", "derivative of BN-TRAIN-1 and BN-INFER-1"),
        (Level.MUST, ("Gradients of that tangent (reverse over forward) are the same second"
         " derivatives."), "inference_second_dg", "BN-SECOND-1 and BN-SECOND-2"),
        (Level.MUST, ("Gradients that are taken by a vectorized call have the derivatives of those"
         " that are not."), "training_second_dx", "BN-SECOND-1 and BN-SECOND-2"),
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
    *_section(
        "Half-precision parameters", "HALF",
        (Level.MUST, "With parameters and state in half precision the equations stay the same.",
         "scale_and_shift", "torch.nn.Module.half; keras dtype policies 'float16', 'bfloat16'"),
        (Level.MUST, "Running statistics kept in half precision are rounded once an update.",
         "update_running_mean", _BOUNDS),
        (Level.MUST, "Gradients have the formats of what they belong to.",
         "training_dx", "torch.autograd.grad; jax.vjp"),
    ),
    *_section(
        "Batch renormalization", "RENORM",
        (Level.MUST, "y = gamma (R xhat + D) + beta, R and D from averages before the update.",
         "renorm_scale", f"{_RENORM}, section 3; {_LAYERS}: renorm"),
        (Level.MUST, "R is clipped to [rmin, rmax] and D to [-dmax, dmax].",
         "clip", f"{_RENORM}, algorithm 1; {_LAYERS}: renorm_clipping"),
        (Level.MUST, "The averages of the correction have a momentum of their own.",
         "renorm_shift", f"{_LAYERS}: renorm_momentum"),
        (Level.MUST, "dx is that of batch normalization times R: R and D are constants.",
         "training_dx", f"{_RENORM}, section 3: gradients"),
        (Level.MUST, "dgamma = sum g (R xhat + D), dbeta = sum g.",
         "transform", f"{_RENORM}, section 3: gradients"),
        (Level.MUST, "The running variance follows the running deviation: sd^2 - epsilon.",
         "renorm_running_var", f"{_RENORM}, algorithm 1: sigma is averaged, not its square"),
    ),
    *_section(
        "Ghost batches", "GHOST",
        (Level.MUST, "Each group of virtual_batch_size samples is normalized by itself.",
         "normalize", f"{_LAYERS}: virtual_batch_size; Hoffer et al. 2017, arXiv:1705.08741"),
        (Level.MUST, "The running statistics take the mean of the groups' statistics.",
         "update_running_mean", f"{_LAYERS}: virtual_batch_size"),
        (Level.MUST, "dx is that of each group.", "training_dx", "derivative of BN-GHOST-1"),
        (Level.MUST, "dgamma and dbeta are summed over the groups.", "dgamma",
         "derivative of BN-GHOST-1"),
        (Level.MUST, "A size that does not divide the batch is rejected.",
         "", f"{_LAYERS}: virtual_batch_size"),
    ),
    *_section(
        "Synchronized replicas", "SYNC",
        (Level.MUST, "Replicas normalize by the statistics of the whole batch, however it is cut.",
         "merged_variance", "torch.nn.SyncBatchNorm; Chan, Golub and LeVeque 1979"),
        (Level.MUST, "Every replica's running statistics are those of the whole batch.",
         "merged_mean", "torch.nn.SyncBatchNorm"),
        (Level.MUST, "Gradients reduce sum g and sum g xhat over all replicas.",
         "training_dx", "derivative of BN-SYNC-1"),
    ),
    *_section(
        "Masks", "MASK",
        (Level.MUST, "Statistics are those of the positions that the mask keeps.",
         "weighted_mean", f"{_KERAS}: call, mask; {_FLAX}: mask"),
        (Level.MUST, "The running statistics take the masked statistics.",
         "update_running_mean", f"{_KERAS}: call, mask"),
        (Level.MUST, "Only kept positions feel the gradient through the statistics.",
         "weighted_training_dx", "derivative of BN-MASK-1"),
        (Level.MUST, "What a mask hides never matters elsewhere, not even a NaN.",
         "weighted_mean", f"{_FLAX}: mask"),
        (Level.MUST, "A mask that hides nothing equals no mask.", "total_weight",
         "BN-MASK-1 with W = n"),
    ),
    *_section(
        "Weights", "WEIGHT",
        (Level.MUST, "Statistics are weighted averages, divided by the sum of the weights.",
         "weighted_variance", "tf.nn.weighted_moments"),
        (Level.MUST, "The running statistics take the weighted statistics.",
         "update_running_mean", "BN-WEIGHT-1"),
        (Level.MUST, "dx feels the statistics in proportion to its weight.",
         "weighted_training_dx", "derivative of BN-WEIGHT-1"),
    ),
    *_section(
        "Adjustment", "ADJUST",
        (Level.MUST, "In training y = gamma (a xhat + b) + beta.",
         "transform", f"{_LAYERS}: adjustment"),
        (Level.MUST, "The gradients are those of the adjusted output.",
         "transform", "derivative of BN-ADJUST-1"),
        (Level.MUST, "Inference is not adjusted.", "scale_and_shift", f"{_LAYERS}: adjustment"),
    ),
    *_section(
        "Without running statistics", "UNTRACKED",
        (Level.MUST, "A layer that tracks nothing normalizes by the batch in inference, too.",
         "scale_and_shift", f"{_TORCH}: track_running_stats=False"),
        (Level.MUST, "Its gradients in inference go through the batch statistics.",
         "training_dx", "derivative of BN-UNTRACKED-1"),
    ),
    *_section(
        "Fixed gamma", "FIXGAMMA",
        (Level.MUST, "A fixed gamma counts as 1, whatever it holds.",
         "scale_and_shift", "mxnet.ndarray.BatchNorm: fix_gamma"),
        (Level.MUST, "The gradient of a fixed gamma is 0.",
         "dgamma", "mxnet.ndarray.BatchNorm: fix_gamma"),
    ),
    *_section(
        "Initializers", "INIT",
        (Level.MUST, "beta starts as beta_initializer gives it, 0 by default.",
         "", f"{_LAYERS}: beta_initializer"),
        (Level.MUST, "gamma starts as gamma_initializer gives it, 1 by default.",
         "", f"{_LAYERS}: gamma_initializer"),
        (Level.MUST, "The running mean starts as moving_mean_initializer gives it, 0 by default.",
         "", f"{_LAYERS}: moving_mean_initializer"),
        (Level.MUST, ("The running variance starts as moving_variance_initializer gives it, 1 by"
         " default."), "", f"{_LAYERS}: moving_variance_initializer"),
    ),
    *_section(
        "Regularizers", "REG",
        (Level.MUST, "beta_regularizer adds its term of beta to the layer's losses.",
         "", f"{_LAYERS}: beta_regularizer"),
        (Level.MUST, "gamma_regularizer adds its term of gamma to the layer's losses.",
         "", f"{_LAYERS}: gamma_regularizer"),
        (Level.MUST, "The gradient of the term adds to dgamma or dbeta; y does not change.",
         "dgamma", "derivative of BN-REG-1 and BN-REG-2"),
    ),
    *_section(
        "Constraints", "CONSTRAINT",
        (Level.MUST, "beta_constraint maps beta after the optimizer's step, not before.",
         "", f"{_LAYERS}: beta_constraint"),
        (Level.MUST, "gamma_constraint maps gamma after the optimizer's step, not before.",
         "", f"{_LAYERS}: gamma_constraint"),
    ),
    *_section(
        "Switches", "SWITCH",
        (Level.MUST, "training as a bool, a tensor and a fed placeholder give the same call.",
         "scale_and_shift", f"{_LAYERS}: training"),
        (Level.MUST, ("training is False unless given: the call normalizes by the running"
         " statistics."), "scale_and_shift", f"{_LAYERS}: training"),
        (Level.MUST, "trainable=False keeps gamma and beta out of the trainable variables.",
         "", f"{_LAYERS}: trainable"),
        (Level.INFO, ("fused=None chooses the fused operation where it can, which changes the"
         " running variance from biased to unbiased."), "update_running_var", f"{_LAYERS}: fused"),
    ),
    *_section(
        "Names and sharing", "SHARE",
        (Level.MUST, "name is the scope of the layer's variables.", "", f"{_LAYERS}: name"),
        (Level.MUST, "With reuse two calls share parameters and one running state.",
         "update_running_mean", f"{_LAYERS}: reuse"),
        (Level.MUST, "AUTO_REUSE creates at the first call and shares at the second.",
         "update_running_mean", "tf.compat.v1.AUTO_REUSE"),
        (Level.MUST, "Without reuse a second layer of one name is rejected.", "",
         "tf.compat.v1.variable_scope"),
    ),
    *_section(
        "Updates", "UPDATE",
        (Level.MUST, "The running statistics move when the operations of UPDATE_OPS run.",
         "update_running_mean", f"{_LAYERS}: note on UPDATE_OPS"),
        (Level.MUST, "When they are never run, inference normalizes by the initial statistics.",
         "scale_and_shift", f"{_LAYERS}: note on UPDATE_OPS"),
    ),
    *_section(
        "Conversion and export", "PORT",
        (Level.MUST, "After a journey out of its framework a layer infers the same.",
         "scale_and_shift", f"BN-INFER-1; {_SAVED}"),
        (Level.MUST, "Parameters and running statistics come back bit for bit.",
         "", _SAVED),
        (Level.MUST, ("Training goes on: the same output, and running statistics that move by the"
         " same decay and take the same variance."), "update_running_var", f"BN-STATE-1; {_SAVED}"),
        (Level.MUST, "Epsilon and decay are read back as they went in.", "", _SAVED),
        (Level.MUST, ("Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the"
         " output stays the same."), "scale_and_shift", "torch.nn.utils.fusion; BN-INFER-1"),
    ),
    *_section(
        "Malformed calls", "REJECT",
        (Level.MUST, "An input of too low a rank to have the feature axis is rejected.",
         "", _PROJECT),
        (Level.MUST, "An input with another number of channels than the parameters is rejected.",
         "", _PROJECT),
        (Level.MUST, "An axis outside the input's rank is rejected.", "", _PROJECT),
        (Level.MUST, "An axis that is named twice is rejected.", "", _PROJECT),
        (Level.MUST, ("Parameters or statistics of another size than the feature axes are"
         " rejected."), "", _PROJECT),
        (Level.SHOULD, "A negative epsilon is rejected.", "", _PROJECT),
        (Level.MAY, "An epsilon of 0 is rejected; where it is accepted the equation holds.",
         "inverse_deviation", _PROJECT),
        (Level.SHOULD, "A momentum outside [0, 1] is rejected.", "", _PROJECT),
        (Level.SHOULD, "Integer input is rejected, or computed as the real numbers it stands for.",
         "scale_and_shift", _PROJECT),
        (Level.SHOULD, "A rejection says which argument is wrong, or what arrived.",
         "", _PROJECT),
        (Level.MUST, "A malformed call never ends the process.", "", _PROJECT),
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
