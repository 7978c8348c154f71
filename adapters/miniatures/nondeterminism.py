"""Miniatures that give another answer the next time, or remember what they should not."""

from __future__ import annotations

from itertools import count

import numpy as np

from bnconform.adapters.miniatures.planting import plants
from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.contract import Array, Parameters
from bnconform.conformance.explanation.names import Stage
from bnconform.conformance.selftest.planted import Form
from bnconform.conformance.verdict import Cause

_SUMS = count()
_OUTPUTS = count()
_GRADIENTS = count()
_STATES: dict[tuple[object, ...], Right] = {}
_ROOTS: dict[tuple[int, ...], Array] = {}


@plants(
    Form.NOT_REPEATABLE, Stage.DBETA, source="pytorch/pytorch#53691: results differ from run to run"
)
class OrderOfSums(Right):
    """dbeta differs in its last bit from call to call, as sums of racing threads do."""

    def dbeta(self, g: Array) -> Array:
        """Right within rounding."""
        right = super().dbeta(g)
        return np.nextafter(right, right + 1) if next(_SUMS) % 2 else right


@plants(
    Form.NOT_REPEATABLE,
    Stage.AFFINE,
    Stage.INFERENCE,
    Cause.NOT_FINITE,
    Cause.HIDES_NON_FINITE,
    source="pytorch/executorch#17503: buffers that were never set to zero",
)
class UninitializedTail(Right):
    """The last element of y is never written where their number is odd."""

    def output(self, x: Array, mu: Array, r: Array) -> Array:
        """What happened to lie in memory: another number each time."""
        y = np.array(super().output(x, mu, r))
        if y.size % 2:
            y.flat[-1] = 3.0 + next(_OUTPUTS) % 5
        return y


@plants(
    Form.NOT_REPEATABLE,
    Stage.UPDATE_MEAN,
    Stage.UPDATE_VARIANCE,
    Stage.INFERENCE,
    source="pytorch/pytorch#41463: a layer that is not used changes the results of another",
)
class StateOfPreviousLayer(Right):
    """A layer begins with the state in which the last one of its shape was left."""

    def first_state(self, parameters: Parameters) -> tuple[Array, Array]:
        """That of the other layer, if there was one."""
        key = (*self.case.feature_shape, self.case.parameter_format.dtype)
        other, _STATES[key] = _STATES.get(key), self
        return super().first_state(parameters) if other is None else (other.mean, other.var)


@plants(
    Stage.INVERSE_DEVIATION,
    Stage.INFERENCE,
    Form.NOT_REPEATABLE,
    source="apache/mxnet#21111: evaluation differs by what was run before it",
)
class CachedRoot(Right):
    """The inverse deviation is computed once for each shape, and used for ever after."""

    def inverse_deviation(self, v: Array) -> Array:
        """That of the first call of this shape in the process."""
        return _ROOTS.setdefault(v.shape, super().inverse_deviation(v)).astype(v.dtype)


@plants(
    Form.NOT_REPEATABLE,
    Stage.DX,
    source="ROCm/rocm-libraries#6765: a race that spoils every second run",
)
class GradientNowAndThen(Right):
    """Every fifth dx lacks what flows through the mean."""

    def mean_term(self, g: Array) -> Array:
        """As if a thread had not finished."""
        right = super().mean_term(g)
        return right if next(_GRADIENTS) % 5 else np.zeros_like(right)
