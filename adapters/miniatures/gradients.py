"""Miniatures whose backward pass is wrong and whose forward pass is right."""

from __future__ import annotations

import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array
from bnconform.conformance.explanation.names import Stage, Why


@plants(
    Why.DX_WITHOUT_MEAN_TERM,
    source="AlexeyAB/darknet#4605: a part of the gradient through the mean is not there",
)
class WithoutMeanTerm(Right):
    """dx lacks what flows through the mean."""

    def mean_term(self, g: Array) -> Array:
        """0."""
        return np.zeros_like(g)


@plants(
    Why.DX_WITHOUT_VARIANCE_TERM,
    source="BVLC/caffe#3878: terms of the backward pass said to be missing",
)
class WithoutVarianceTerm(Right):
    """dx lacks what flows through the variance."""

    def variance_term(self, g: Array, xhat: Array) -> Array:
        """0."""
        del xhat
        return np.zeros_like(g)


@plants(
    Why.DX_AS_IN_INFERENCE,
    source="torch/nn#768: saved and running statistics mixed up in the backward pass",
)
class DxAsInInference(Right):
    """dx = gamma r g in training, too: the statistics count as constants."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """gamma r g."""
        return self.inference_dx(xhat, g, r)


@plants(
    Why.DX_WITHOUT_GAMMA,
    source="denizyuret/Knet.jl#288: the scale was multiplied in, and the product not used",
)
class DxWithoutGamma(Right):
    """dx lacks the factor gamma in training."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """r (g - mean(g) - xhat mean(g xhat))."""
        found: Array = r * (g - self.mean_term(g) - self.variance_term(g, xhat))
        return found


@plants(
    Why.DX_WITHOUT_GAMMA, source="pytorch/xla#913: wrong gradient in evaluation", where=("mode",)
)
class InferenceDxWithoutGamma(Right):
    """dx lacks the factor gamma in inference alone."""

    def inference_dx(self, x: Array, g: Array, r: Array) -> Array:
        """r g."""
        del x
        return r * g


@plants(
    Why.DX_THROUGH_BATCH_IN_INFERENCE,
    source="pytorch/pytorch#586: cuDNN differentiates as in training, in evaluation too",
)
class ThroughBatchInInference(Right):
    """dx is differentiated through the batch's statistics in inference, too."""

    def inference_dx(self, x: Array, g: Array, r: Array) -> Array:
        """The formula of training, with the running deviation and centred by the running mean."""
        if not x.size:
            return super().inference_dx(x, g, r)
        return self.dx(g, self.normalized(x, self.wide(self.mean), r), r)


@plants(
    Why.DX_IGNORES_UPSTREAM,
    source="HomericIntelligence/Odyssey#2882: tested with an upstream gradient of 1",
)
class DxOfSum(Right):
    """dx is that of the sum of y, as if the upstream gradient were 1."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """With g = 1."""
        return super().dx(np.ones_like(g), xhat, r)


@plants(Why.DGAMMA_UNCENTRED, source="tensorflow/tensorflow#107705: an incorrect gradient of gamma")
class DgammaUncentred(Right):
    """dgamma = sum(g x r): the mean is not subtracted."""

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """sum(g x r)."""
        del mu
        return self.total(g * x * r)


@plants(
    Why.DGAMMA_UNSCALED,
    source="flagos-ai/FlagGems#5222: variance and inverse deviation mixed up: wrong grad_weight",
)
class DgammaUnscaled(Right):
    """dgamma = sum(g (x - mu)): without the inverse deviation."""

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """sum(g (x - mu))."""
        del r
        return self.total(g * (x - mu))


@plants(Why.DGAMMA_MEAN, source="tensorflow/tensorflow#107705: an incorrect gradient of gamma")
class DgammaMean(Right):
    """dgamma is the mean over positions, not the sum."""

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """mean(g xhat)."""
        found: Array = super().dgamma(g, x, mu, r) / self.compute().type(max(self.count(g), 1))
        return found


@plants(
    Why.DBETA_MEAN, source="apache/mxnet#18499: gradients of gamma and beta not what they should be"
)
class DbetaMean(Right):
    """dbeta is the mean over positions, not the sum."""

    def dbeta(self, g: Array) -> Array:
        """mean(g)."""
        found: Array = super().dbeta(g) / self.compute().type(max(self.count(g), 1))
        return found


@plants(
    Why.DBETA_TIMES_GAMMA,
    source="ooples/AiDotNet.Tensors#27: gamma in some terms of the backward pass and not in others",
)
class DbetaTimesGamma(Right):
    """dbeta = gamma sum(g), as if beta were inside the brackets."""

    def dbeta(self, g: Array) -> Array:
        """sum(gamma g)."""
        return self.scaled(super().dbeta(g))


@plants(
    Stage.DX,
    source="ooples/AiDotNet.Tensors#27: gamma in some terms of the backward pass and not in others",
)
class GammaTwice(Right):
    """dx has the factor gamma twice."""

    def dx(self, g: Array, xhat: Array, r: Array) -> Array:
        """gamma^2 r (...)."""
        return self.scaled(super().dx(g, xhat, r))


@plants(Stage.DX, source="ROCm/MIOpen#104: one term of the derivative was wrong")
class SignOfVarianceTerm(Right):
    """What flows through the variance has the wrong sign in dx."""

    def variance_term(self, g: Array, xhat: Array) -> Array:
        """-xhat mean(g xhat)."""
        return -super().variance_term(g, xhat)


@plants(Stage.DGAMMA, source="BVLC/caffe#4110: the backward pass written in terms of the output")
class DgammaOfOutput(Right):
    """dgamma = sum(g y): the scaled and shifted output in place of xhat."""

    def dgamma(self, g: Array, x: Array, mu: Array, r: Array) -> Array:
        """sum(g y)."""
        return self.total(g * self.output(x, mu, r))


@plants(
    Stage.DBETA,
    source="deepspeedai/DeepSpeed#692 (layer norm): parameters indexed by the wrong variable",
)
class DbetaReversed(Right):
    """dbeta has its channels in reverse order."""

    def dbeta(self, g: Array) -> Array:
        """The sums, read from the end."""
        return super().dbeta(np.flip(g, self.case.channel_axes))
