"""The blog's network by our own equations and gradients.

Source: ie_test, "tensorflow の batch normalize に関して", 2018-08-01. One value x goes through

    a = x w + b,  y = batch norm of a,  h = sigmoid(y),  z = h w2 + b2,  f = sigmoid(z)

and is trained on the loss mean |t - f| with t = x^3 + 1, by gradient descent with rate 1/2 on
batches of three. Every variable starts at 1, but beta and the running mean at 0. Since t >= 1 > f,
the sign in the loss's derivative never changes and a step is a smooth function of its variables,
which ``rounding.py`` relies on.

Shapes: x, t and all stages are (variants, samples, 1) and every variable is (variants, 1, 1), so
that one call may evaluate many slightly different networks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import spec
from ..formats import FORMATS, DType

Float64: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = Any
"""Real or complex array."""

Nudge: TypeAlias = Callable[[str, Numbers], Numbers]
"""Called with the name and the value of every stage; what it returns is used instead."""

EPSILON = 1e-3
"""The default of ``tf.layers.batch_normalization``; the blog does not set it."""
DECAY = 0.9
"""The blog's ``momentum``, the weight of the old value."""
LEARNING_RATE = 0.5
BATCH_SIZE = 3
STEPS = 10
AXES = (1,)
"""The reduction axes of (variants, samples, 1)."""


@dataclass(frozen=True, kw_only=True)
class Variables:
    """Everything that a training step changes, in the order in which the blog prints it."""

    w: Numbers
    b: Numbers
    gamma: Numbers
    beta: Numbers
    running_mean: Numbers
    running_var: Numbers
    w2: Numbers
    b2: Numbers

    def items(self) -> list[tuple[str, Numbers]]:
        """Names and values."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


START = Variables(w=1.0, b=1.0, gamma=1.0, beta=0.0, running_mean=0.0, running_var=1.0, w2=1.0,
                  b2=1.0)  # fmt: skip
"""What the blog initializes the variables to, and the layer its own."""
NAMES = tuple(name for name, _ in START.items())


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is fed in one step, as the blog's Python numbers; the network gets float32."""

    x: tuple[float, ...]
    target: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Everything computed between the old variables and the new ones.

    ``d_`` marks the loss's derivative by a stage: d_z is dL/dz.
    """

    x: Numbers
    a: Numbers
    y: Numbers
    h: Numbers
    z: Numbers
    f: Numbers
    d_f: Numbers
    d_z: Numbers
    d_w2: Numbers
    d_b2: Numbers
    d_h: Numbers
    d_y: Numbers
    d_gamma: Numbers
    d_beta: Numbers
    d_a: Numbers
    d_w: Numbers
    d_b: Numbers


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A number as the blog shows it."""

    text: str

    @property
    def value(self) -> float:
        """The number that the text reads as."""
        return float(self.text)

    @property
    def half_unit(self) -> float:
        """Half a unit of the last digit: the most that rounding to these digits can hide."""
        return 0.5 * 10.0 ** -len(self.text.partition(".")[2])

    @property
    def error(self) -> float:
        """How far the float32 that was printed may be from the text.

        NumPy stops at eight decimals, or earlier where fewer already tell the float32 from its
        neighbours; then it is also within half a spacing of the text. So ``1.`` is 1 itself or
        very near, although its last digit is a whole unit.
        """
        # u |v| is at least half a spacing of float32 around v.
        half_spacing = FORMATS[DType.FLOAT32].unit_roundoff * abs(self.value)
        return min(self.half_unit, max(half_spacing, 0.5e-8))


PRINTED = Variables(
    w=Printed(text="0.9991983"),
    b=Printed(text="1."),
    gamma=Printed(text="0.9833956"),
    beta=Printed(text="0.12067804"),
    running_mean=Printed(text="0.9730693"),
    running_var=Printed(text="0.41279468"),
    w2=Printed(text="1.2562904"),
    b2=Printed(text="1.5393883"),
)
"""The variables before the tenth step, as the blog prints them."""
PRINTED_X = (0.6108869734438016, 0.9130110532378982, 0.9666063677707588)
"""The tenth batch, in full."""
PRINTED_HIDDEN = tuple(Printed(text=text) for text in ("1.6103973", "1.9122791", "1.9658315"))
"""a for the tenth batch before the tenth step; the blog calls it hidden_tmp."""
PRINTED_OUTPUT = tuple(Printed(text=text) for text in ("1.0949917", "1.5564928", "1.638361"))
"""The layer's answer to it in inference mode; the blog calls it bn1."""


def batches() -> tuple[Batch, ...]:
    """The ten batches that ``random.seed(0)`` gives, on every machine and every Python."""
    stream = random.Random(0)  # noqa: S311 - the blog's own numbers, not a secret

    def batch() -> Batch:
        x = tuple(stream.random() for _ in range(BATCH_SIZE))
        return Batch(x=x, target=tuple(value * value * value + 1 for value in x))

    return tuple(batch() for _ in range(STEPS))


def unchanged(_name: str, value: Numbers) -> Numbers:
    """The nudge that leaves every stage as it is."""
    return value


def step(start: Variables, batch: Batch, nudge: Nudge = unchanged) -> tuple[Stages, Variables]:
    """One step of training: all stages, and the variables after it."""
    x, target = fed(batch.x), fed(batch.target)
    a = nudge("a", x * start.w + start.b)
    mu = spec.batch_mean(a, AXES)
    v = spec.biased_variance(a, mu, AXES)
    r = spec.inverse_deviation(v, EPSILON)
    xhat = spec.normalize(a, mu, r)
    y = nudge("y", spec.scale_and_shift(xhat, start.gamma, start.beta))
    h = nudge("h", sigmoid(y))
    z = nudge("z", h * start.w2 + start.b2)
    f = nudge("f", sigmoid(z))

    d_f = nudge("d_f", -np.sign(target - np.real(f)) / BATCH_SIZE)
    d_z = nudge("d_z", d_f * f * (1 - f))
    d_h = nudge("d_h", d_z * start.w2)
    d_y = nudge("d_y", d_h * h * (1 - h))
    d_a = nudge("d_a", spec.training_dx(d_y, xhat, r, start.gamma, AXES))
    stages = Stages(
        x=x, a=a, y=y, h=h, z=z, f=f, d_f=d_f, d_z=d_z, d_h=d_h, d_y=d_y, d_a=d_a,
        d_w2=nudge("d_w2", _total(d_z * h)),
        d_b2=nudge("d_b2", _total(d_z)),
        d_gamma=nudge("d_gamma", spec.dgamma(d_y, xhat, AXES)),
        d_beta=nudge("d_beta", spec.dbeta(d_y, AXES)),
        d_w=nudge("d_w", _total(d_a * x)),
        d_b=nudge("d_b", _total(d_a)),
    )  # fmt: skip
    return stages, _updated(start, stages, mu, v, nudge)


def _updated(start: Variables, stages: Stages, mu: Numbers, v: Numbers, nudge: Nudge) -> Variables:
    """Gradient descent on the parameters, and the running averages."""
    new = {
        name: value - LEARNING_RATE * getattr(stages, f"d_{name}")
        for name, value in start.items()
        if not name.startswith("running")
    }
    new["running_mean"] = spec.update_running_mean(start.running_mean, mu, DECAY)
    # The layer is not fused for inputs of rank 2, and then averages the biased variance.
    new["running_var"] = spec.update_running_var(start.running_var, v, DECAY)
    return Variables(**{name: nudge(f"new {name}", value) for name, value in new.items()})


def _total(terms: Numbers) -> Numbers:
    """The sum over the samples."""
    return terms.sum(axis=AXES, keepdims=True)


def sigmoid(z: Numbers) -> Numbers:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def fed(values: tuple[float, ...]) -> Float64:
    """``values`` as TensorFlow is fed them, rounded to float32, of shape (1, samples, 1)."""
    return np.array(values, np.float32).astype(np.float64).reshape(1, -1, 1)


def wide(variables: Variables) -> Variables:
    """Numbers as arrays of shape (1, 1, 1)."""
    return Variables(**{name: np.full((1, 1, 1), value) for name, value in variables.items()})


def narrow(variables: Variables) -> Variables:
    """Arrays of one element as numbers."""
    return Variables(**{name: float(np.real(value).item()) for name, value in variables.items()})
