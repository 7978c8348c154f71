"""Gradients of gradients, and tangents of gradients: layouts, modes and formats multiplied.

With S = sum(dx u) + sum(dgamma a) + sum(dbeta b), 'second' experiments differentiate S by x, dy
and gamma (reverse over reverse); 'forward_over_reverse' ones move x, gamma and beta along u, a and
b and watch y and the gradients; 'reverse_over_forward' ones differentiate S = sum(t dy), t the
tangent of y; 'vectorized_reverse' ones differentiate the S of 'second' ones, whose gradients are
then the first of two that are taken by one vectorized call. See ``spec_second.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..formats import DType
from .experiment import Experiment
from .second_order_scenes import Scene

SECOND = "second."
FORWARD_OVER_REVERSE = "forward_over_reverse."
REVERSE_OVER_FORWARD = "reverse_over_forward."
VECTORIZED_REVERSE = "vectorized_reverse."
"""What the names begin with."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the features are and how it lies in memory; ``what`` says it to a reader."""

    what: str
    shape: tuple[int, ...]
    epsilon: float
    axis: int = 1
    affine: bool = True
    offset: float | None = None
    x_last: bool = False
    dy_last: bool = False


_IMAGE = (3, 3, 2, 4)
_PLACES = {
    "channels_first": _Place(what="features on axis 1", shape=_IMAGE, epsilon=0.1),
    "channels_last_in_memory": _Place(
        what="features on axis 1, which varies fastest in memory",
        shape=_IMAGE, epsilon=1e-3, x_last=True, dy_last=True,
    ),
    "input_channels_last": _Place(
        what="features on axis 1, which varies fastest in x alone",
        shape=_IMAGE, epsilon=1e-3, x_last=True,
    ),
    "gradient_channels_last": _Place(
        what="features on axis 1, which varies fastest in all but x",
        shape=_IMAGE, epsilon=1e-3, dy_last=True,
    ),
    "features_last": _Place(
        what="features on the last axis", shape=(3, 2, 4, 3), axis=3, epsilon=1e-5
    ),
    "matrix": _Place(what="rank 2", shape=(9, 3), epsilon=1e-9),
    "without_gamma": _Place(
        what="without gamma and beta", shape=_IMAGE, epsilon=0.02, affine=False
    ),
    "batch_of_one": _Place(what="one sample", shape=(1, 3, 4, 5), epsilon=1e-3),
    "one_channel": _Place(what="one channel", shape=(4, 1, 2, 3), epsilon=0.1),
    "offset": _Place(
        what="mean over deviation of 1e3", shape=_IMAGE, epsilon=1e-3, offset=1e3
    ),
}  # fmt: skip

_SECOND = {
    (True, DType.FLOAT64): tuple(_PLACES),
    (True, DType.FLOAT32): (
        "channels_first", "channels_last_in_memory", "features_last", "matrix", "without_gamma",
        "batch_of_one", "one_channel",
    ),
    (False, DType.FLOAT64): ("channels_first", "features_last", "without_gamma"),
    (False, DType.FLOAT32): ("channels_first", "features_last", "one_channel"),
}  # fmt: skip
"""(training, format) -> the places. An offset of 1e3 leaves a one-pass variance in float32 no
digit."""

_FORWARD = {
    (True, DType.FLOAT64): (
        "channels_first", "channels_last_in_memory", "input_channels_last",
        "gradient_channels_last", "features_last", "matrix", "without_gamma", "one_channel",
        "offset",
    ),
    (True, DType.FLOAT32): ("channels_first", "features_last"),
    (False, DType.FLOAT64): ("channels_first", "without_gamma"),
    (False, DType.FLOAT32): ("features_last",),
}  # fmt: skip


_REVERSE = {
    (True, DType.FLOAT64): (
        "channels_first", "channels_last_in_memory", "features_last", "without_gamma",
    ),
    (True, DType.FLOAT32): ("features_last", "matrix"),
    (False, DType.FLOAT64): ("channels_first",),
    (False, DType.FLOAT32): ("features_last",),
}  # fmt: skip

_VECTORIZED = {
    (True, DType.FLOAT64): ("channels_first", "features_last", "matrix", "without_gamma"),
    (True, DType.FLOAT32): ("channels_first", "features_last", "matrix"),
    (False, DType.FLOAT64): ("channels_first",),
    (False, DType.FLOAT32): ("features_last",),
}

_TABLES = {
    SECOND: _SECOND,
    FORWARD_OVER_REVERSE: _FORWARD,
    REVERSE_OVER_FORWARD: _REVERSE,
    VECTORIZED_REVERSE: _VECTORIZED,
}


def scenes(kind: str) -> Iterator[tuple[Scene, str]]:
    """Every scene of the experiments whose names begin with ``kind``, with words for its place."""
    for (training, dtype), names in _TABLES[kind].items():
        for name in names:
            place = _PLACES[name]
            mode = "training" if training else "inference"
            yield (
                Scene(
                    name=f"{mode}.{dtype}.{name}",
                    shape=place.shape,
                    axis=place.axis,
                    dtype=dtype,
                    training=training,
                    epsilon=place.epsilon,
                    affine=place.affine,
                    offset=place.offset,
                    x_last=place.x_last,
                    dy_last=place.dy_last,
                ),
                f"{mode} in {dtype}, {place.what}",
            )


_BACKWARDS = {True: "BN-SECOND-1", False: "BN-SECOND-2"}
_FORWARDS = {True: "BN-SECOND-3", False: "BN-SECOND-4"}
"""Training or not -> the clause that the gradients are evidence for."""


def _second(scene: Scene, words: str) -> Experiment:
    clause = _BACKWARDS[scene.training]
    purpose = f"the gradients differentiated again, in reverse: {words}"
    return _backwards(SECOND, scene, clause, purpose)


def _reverse(scene: Scene, words: str) -> Experiment:
    purpose = f"the tangent of the loss differentiated in reverse: {words}"
    return _backwards(REVERSE_OVER_FORWARD, scene, "BN-SECOND-6", purpose)


def _vectorized(scene: Scene, words: str) -> Experiment:
    purpose = f"gradients taken by a vectorized call, differentiated in reverse: {words}"
    return _backwards(VECTORIZED_REVERSE, scene, "BN-SECOND-7", purpose)


def _backwards(kind: str, scene: Scene, clause: str, purpose: str) -> Experiment:
    observed = ("by_x", "by_dy", *(("by_gamma",) if scene.affine else ()))
    return Experiment(
        name=f"{kind}{scene.name}",
        parameter="training",
        purpose=purpose,
        clauses=dict.fromkeys(observed, clause),
        arrays=scene.arrays(),
        expected=scene.second,
    )


def _forward(scene: Scene, words: str) -> Experiment:
    gradients = ("dx_tangent", *(("dgamma_tangent",) if scene.affine else ()))
    clause = _FORWARDS[scene.training]
    return Experiment(
        name=f"{FORWARD_OVER_REVERSE}{scene.name}",
        parameter="training",
        purpose=f"the tangents of the output and of the gradients: {words}",
        clauses={"y_tangent": "BN-SECOND-5", **dict.fromkeys(gradients, clause)},
        arrays=scene.arrays(),
        expected=scene.tangents,
    )


SECOND_ORDER: tuple[Experiment, ...] = (
    *(_second(*each) for each in scenes(SECOND)),
    *(_forward(*each) for each in scenes(FORWARD_OVER_REVERSE)),
    *(_reverse(*each) for each in scenes(REVERSE_OVER_FORWARD)),
    *(_vectorized(*each) for each in scenes(VECTORIZED_REVERSE)),
)
