"""What experiments about second derivatives hand an adapter, and what it must tell.

With S = sum(dx u) + sum(dgamma a) + sum(dbeta b), experiments named ``second.*`` ask for the
gradients of S by x, dy and gamma; those named ``forward_over_reverse.*`` for the tangents of y, dx
and dgamma when x, gamma and beta move along u, a and b; and those named ``reverse_over_forward.*``
for the gradients of S again, S being sum(dy t) with t the tangent of y. Those named
``vectorized_reverse.*`` ask for what ``second.*`` do, with dx, dgamma and dbeta taken for dy and
for another upstream gradient, u, at once, by the framework's vectorizing map. Each framework
differentiates by its own means; see ``torch_second.py``, ``tf_second.py`` and ``jax_second.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.contract import Array, Capabilities, Parameters, UnsupportedError
from bnconform.conformance.formats import DType

_SECOND = "second."
_FORWARD = "forward_over_reverse."
_REVERSE = "reverse_over_forward."
_VECTORIZED = "vectorized_reverse."
_SMALL = ("channels_first", "features_last")


def _names(prefix: str, mode: str, dtype: str, *places: str) -> frozenset[str]:
    return frozenset(f"{prefix}{mode}.{dtype}.{place}" for place in places)


SECOND: frozenset[str] = frozenset().union(
    _names(
        _SECOND, "training", "float64", *_SMALL, "channels_last_in_memory", "input_channels_last",
        "gradient_channels_last", "matrix", "without_gamma", "batch_of_one", "one_channel",
        "offset",
    ),
    _names(
        _SECOND, "training", "float32", *_SMALL, "channels_last_in_memory", "matrix",
        "without_gamma", "batch_of_one", "one_channel",
    ),
    _names(_SECOND, "inference", "float64", *_SMALL, "without_gamma"),
    _names(_SECOND, "inference", "float32", *_SMALL, "one_channel"),
)  # fmt: skip
"""Reverse over reverse."""

FORWARD_OVER_REVERSE: frozenset[str] = frozenset().union(
    _names(
        _FORWARD, "training", "float64", *_SMALL, "channels_last_in_memory", "input_channels_last",
        "gradient_channels_last", "matrix", "without_gamma", "one_channel", "offset",
    ),
    _names(_FORWARD, "training", "float32", *_SMALL),
    _names(_FORWARD, "inference", "float64", "channels_first", "without_gamma"),
    _names(_FORWARD, "inference", "float32", "features_last"),
)  # fmt: skip
"""Forward over reverse."""

REVERSE_OVER_FORWARD: frozenset[str] = frozenset().union(
    _names(_REVERSE, "training", "float64", *_SMALL, "channels_last_in_memory", "without_gamma"),
    _names(_REVERSE, "training", "float32", "features_last", "matrix"),
    _names(_REVERSE, "inference", "float64", "channels_first"),
    _names(_REVERSE, "inference", "float32", "features_last"),
)
"""Reverse over forward."""

VECTORIZED_REVERSE: frozenset[str] = frozenset().union(
    _names(_VECTORIZED, "training", "float64", *_SMALL, "matrix", "without_gamma"),
    _names(_VECTORIZED, "training", "float32", *_SMALL, "matrix"),
    _names(_VECTORIZED, "inference", "float64", "channels_first"),
    _names(_VECTORIZED, "inference", "float32", "features_last"),
)
"""Reverse over a vectorized reverse."""

NAMES = SECOND | FORWARD_OVER_REVERSE | REVERSE_OVER_FORWARD | VECTORIZED_REVERSE
"""Every experiment about second derivatives."""

INFERENCE = frozenset(name for name in NAMES if ".inference." in name)
"""Those that are not about training."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is differentiated, and how; ``case`` and ``parameters`` are what a layer is built from.

    ``affine`` holds gamma and beta, ``directions`` a and b: both empty without parameters. With
    ``forward`` tangents are asked for, with ``over_forward`` gradients of a tangent, and with
    ``vectorized`` gradients of gradients that one call takes for dy and u.
    """

    case: Case
    parameters: Parameters
    x: Array
    dy: Array
    u: Array
    affine: tuple[Array, ...]
    directions: tuple[Array, ...]
    training: bool
    forward: bool
    over_forward: bool
    vectorized: bool

    def second(self, found: Sequence[Array]) -> dict[str, Array]:
        """The gradients of S by x, dy and, where there is one, gamma, under their names."""
        return dict(zip(("by_x", "by_dy", "by_gamma"), found, strict=False))

    def tangents(self, found: Sequence[Array]) -> dict[str, Array]:
        """The tangents of y, dx and, where there is one, dgamma, under their names."""
        names = ("y_tangent", "dx_tangent", "dgamma_tangent")
        return dict(zip(names, found, strict=False))


def request(
    experiment: str, arrays: Mapping[str, Array], capabilities: Capabilities | None = None
) -> Request:
    """What ``experiment`` asks; :class:`UnsupportedError` where that is out of reach."""
    training, x = bool(arrays["training"]), _laid(arrays, "x")
    case = _case(x, arrays, training=training)
    reason = None if capabilities is None else capabilities.unsupported(case)
    if reason is not None:
        raise UnsupportedError(reason)
    return Request(
        case=case,
        parameters=Parameters(
            gamma=arrays.get("gamma"),
            beta=arrays.get("beta"),
            running_mean=arrays["running_mean"],
            running_var=arrays["running_var"],
        ),
        x=x,
        dy=_laid(arrays, "dy"),
        u=_laid(arrays, "u"),
        affine=_those(arrays, "gamma", "beta"),
        directions=_those(arrays, "gamma_direction", "beta_direction"),
        training=training,
        forward=experiment.startswith(_FORWARD),
        over_forward=experiment.startswith(_REVERSE),
        vectorized=experiment.startswith(_VECTORIZED),
    )


def _case(x: Array, arrays: Mapping[str, Array], *, training: bool) -> Case:
    affine = "gamma" in arrays
    return Case(
        shape=x.shape,
        last_batch=x.shape[0],
        feature_axes=(int(arrays["axis"]),),
        dtype=DType(x.dtype.name),
        layout=Layout.CONTIGUOUS,
        upstream_layout=Layout.CONTIGUOUS,
        center=affine,
        scale=affine,
        mode=Mode.TRAIN if training else Mode.INFERENCE,
        steps=1,
        epsilon=float(arrays["epsilon"]),
        decay=0.9,
        fill=Fill(kind=FillKind.NORMAL, seed=0),
    )


def _laid(arrays: Mapping[str, Array], name: str) -> Array:
    """The array in its own shape, lying in memory as it was handed over."""
    axes = arrays.get(f"{name}_axes")
    return arrays[name] if axes is None else arrays[name].transpose(np.argsort(axes))


def _those(arrays: Mapping[str, Array], *names: str) -> tuple[Any, ...]:
    return tuple(arrays[name] for name in names if name in arrays)
