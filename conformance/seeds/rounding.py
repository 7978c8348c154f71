r"""How far float32 may be from the exact training of the blog's network: derived, to first order.

Every stage of a step (``blog.Stages``, and the eight new variables) rounds. Its own rounding,
given the values it starts from, is bounded stage by stage below; that of the batch norm's stages
by ``bounds.py``. To first order, the error of a variable s after any step is the sum over all
stages e of all steps so far of (ds / de) times the error that arose in e. Hence

    |error of s| <= sum over e of |ds / de| bound(e).

The derivatives are those of the exact network: a stage is displaced by i h and the imaginary part
of s divided by h is ds / de, without cancellation ("complex step"; Squire and Trapp, "Using complex
variables to estimate derivatives of real functions", 1998). Signs are kept until the end, so that
errors which cancel are not counted. The second order is the square of errors near 1e-6, far within
the slack of theta(K), whose K is 13 for the sums of three that are made here.

u is the unit roundoff of float32. Evaluated in float64, whose own rounding is 2^-29 of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import bounds, spec
from ..bounds import Float64, Precision, Statistics
from ..dialect import VarianceAlgorithm
from ..formats import FORMATS, DType
from . import blog
from .blog import AXES, DECAY, EPSILON, NAMES, Batch, Stages, Variables

FLOAT32 = Precision(accumulation=FORMATS[DType.FLOAT32], algorithm=VarianceAlgorithm.TWO_PASS)
"""What the layer documents for inputs of rank 2: tf.nn.moments, "the true mean is used"."""

SIGMOID_ULPS = 4.5
"""The worst float32 error of the logistic function that TensorFlow uses on the CPU, in units in the
last place: Eigen/src/Core/functors/UnaryFunctors.h, scalar_logistic_op<float>, "exhaustive testing
shows". It is the one figure here that does not follow from IEEE arithmetic."""

STEP_SIZE = 2.0**-200
"""h of the complex step. Its square vanishes beside 1, and any h that small gives the same."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Exact variables at one moment of the training, and the bound of each."""

    value: Variables
    bound: Variables


def predict(start: Variables, batches: Sequence[Batch]) -> tuple[Predicted, ...]:
    """The variables before the first step and after every one, if ``start`` is exact."""
    now = blog.wide(start)
    found = [Predicted(value=start, bound=_named(np.zeros(len(NAMES))))]
    # One column for every rounding so far: what a unit of it has become in each variable.
    carried, sizes = np.zeros((len(NAMES), 0)), np.zeros(0)
    for batch in batches:
        stages, after = blog.step(now, batch)
        own = stage_errors(now, stages, after)
        jacobian, arisen = _derivatives(now, batch, {name: e.size for name, e in own.items()})
        carried = np.hstack([jacobian @ carried, arisen])
        sizes = np.concatenate([sizes, *(error.ravel() for error in own.values())])
        bound = _named(np.abs(carried) @ sizes)
        found.append(Predicted(value=blog.narrow(after), bound=bound))
        now = after
    return tuple(found)


def stage_errors(start: Variables, stages: Stages, after: Variables) -> Mapping[str, Float64]:
    """The bound of what each stage adds itself, by the name that ``blog.step`` calls it."""
    _, _, s = statistics(stages.a)
    y = stages.y
    rounded_y = bounds.output_error(stages.a, y, start.gamma, start.beta, s, EPSILON, FLOAT32)
    return {
        "a": _product_and_sum(stages.x * start.w, stages.a),
        "y": stored(rounded_y, y),
        "h": _sigmoid(stages.h),
        "z": _product_and_sum(stages.h * start.w2, stages.z),
        "f": _sigmoid(stages.f),
        **_upper_gradient_errors(stages),
        **_layer_gradient_errors(start, stages, s),
        **_update_errors(start, stages, after, s),
    }


def statistics(a: Float64, axes: tuple[int, ...] = AXES) -> tuple[Float64, Float64, Statistics]:
    """Exact mean and biased variance of a batch, and how far float32 may be from them."""
    mu = spec.batch_mean(a, axes)
    v = spec.biased_variance(a, mu, axes)
    m = bounds.moments(a, axes, spec.count(a, axes))
    delta = bounds.mean_error(m, FLOAT32)
    e_v = bounds.variance_error(m, mu, v, delta, FLOAT32)
    return mu, v, Statistics(mu=mu, v=v, delta=delta, e_v=e_v)


def _upper_gradient_errors(stages: Stages) -> Mapping[str, Float64]:
    """The stages of backpropagation above the layer.

    1/3 is rounded once; sigmoid's derivative, d f (1 - f), once for the difference and once for
    each product.
    """
    u = FLOAT32.u
    return {
        "d_f": u * np.abs(stages.d_f),
        "d_z": 3 * u * np.abs(stages.d_z),
        "d_h": u * np.abs(stages.d_h),
        "d_y": 3 * u * np.abs(stages.d_y),
        "d_w2": _sum_error(stages.d_z * stages.h),
        "d_b2": _sum_error(stages.d_z),
    }


def _layer_gradient_errors(
    start: Variables, stages: Stages, s: Statistics
) -> Mapping[str, Float64]:
    """The layer's own gradients, by ``bounds.py``, and those of w and b below it."""
    a, g, n = stages.a, stages.d_y, blog.BATCH_SIZE
    m = bounds.moments(a, AXES, n)
    up = bounds.upstream(a, g, AXES, n, s, FLOAT32)
    e_a = bounds.training_dx_error(a, g, start.gamma, m, up, s, EPSILON, FLOAT32)
    e_gamma = bounds.dgamma_error(up, n, s, EPSILON, FLOAT32)
    return {
        "d_a": stored(e_a, stages.d_a),
        "d_gamma": stored(e_gamma, stages.d_gamma),
        "d_beta": stored(bounds.dbeta_error(g, AXES, n, FLOAT32), stages.d_beta),
        "d_w": _sum_error(stages.d_a * stages.x),
        "d_b": _sum_error(stages.d_a),
    }


def _update_errors(
    start: Variables, stages: Stages, after: Variables, s: Statistics
) -> Mapping[str, Float64]:
    """The new variables: halving a gradient is exact, subtracting it rounds once."""
    zero = np.zeros_like(s.mu)
    errors = {
        f"new {name}": FLOAT32.u * np.abs(value)
        for name, value in after.items()
        if hasattr(stages, f"d_{name}")
    }
    errors["new running_mean"] = bounds.running_mean_error(
        start.running_mean, zero, s, DECAY, FLOAT32
    )
    errors["new running_var"] = bounds.running_var_error(
        start.running_var, zero, s, 1.0, DECAY, FLOAT32
    )
    return errors


def _product_and_sum(product: Float64, result: Float64) -> Float64:
    """u (|p| + |p + c|): the product rounds, and so does the sum."""
    return np.asarray(FLOAT32.u * (np.abs(product) + np.abs(result)))


def _sigmoid(result: Float64) -> Float64:
    """A unit in the last place is at most 2u of the value."""
    return np.asarray(2 * SIGMOID_ULPS * FLOAT32.u * np.abs(result))


def _sum_error(terms: Float64) -> Float64:
    """theta(K) sum|terms|, which leaves room for the rounding of the terms: K >= n + 6."""
    return bounds.dbeta_error(terms, AXES, blog.BATCH_SIZE, FLOAT32)


def stored(error: Float64, result: Float64) -> Float64:
    """With the rounding to float32 on being stored."""
    return bounds.rounded(error, result, FLOAT32.accumulation, FLOAT32.accumulation)


def _derivatives(
    start: Variables, batch: Batch, sizes: Mapping[str, int]
) -> tuple[Float64, Float64]:
    """d after / d start, and d after / d stage for every element of every stage.

    Shapes (variables, variables) and (variables, elements); the elements in the order of
    ``sizes``. One call evaluates the network once for each of them.
    """
    displaced = dict(_displacements([*((name, 1) for name in NAMES), *sizes.items()]))

    def nudge(name: str, value: Any) -> Any:
        return value + displaced[name]

    moved = Variables(**{name: value + displaced[name] for name, value in start.items()})
    _, after = blog.step(moved, batch, nudge)
    columns = np.stack([np.imag(value).ravel() for _, value in after.items()]) / STEP_SIZE
    return columns[:, : len(NAMES)], columns[:, len(NAMES) :]


def _displacements(sizes: Sequence[tuple[str, int]]) -> Iterable[tuple[str, Any]]:
    """For each name an array (variants, size, 1) that displaces each element in a variant alone."""
    variants, first = sum(size for _, size in sizes), 0
    for name, size in sizes:
        displacement = np.zeros((variants, size, 1), np.complex128)
        displacement[range(first, first + size), range(size), 0] = 1j * STEP_SIZE
        yield name, displacement
        first += size


def _named(values: Float64) -> Variables:
    return Variables(**dict(zip(NAMES, map(float, values), strict=True)))
