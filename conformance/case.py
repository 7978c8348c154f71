"""The Case: everything needed to repeat one experiment, and nothing else.

A case is frozen, holds no arrays (``fills.py`` makes them from its seed), goes through JSON and
back unchanged, and is named by a hash of its content, so that two machines that draw the same
case call it by the same name.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from .formats import FORMATS, DType, Format, compute_format
from .variant import (
    PLAIN,
    Variant,
    VariantKind,
    sparse_fields,
    variant_from_dict,
    variant_problems,
)

CASE_FORMAT = "bn-case/1"


class Layout(StrEnum):
    """How an array lies in memory; its logical shape is the same in all three."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"
    STRIDED = "strided"


class Mode(StrEnum):
    """What the layer is asked to do.

    ``TRAIN`` normalizes by the batch and updates the running statistics; ``INFERENCE`` calls the
    layer in inference mode; ``FROZEN`` calls a layer that is marked as not trainable in training
    mode.
    """

    TRAIN = "train"
    INFERENCE = "inference"
    FROZEN = "frozen"


class FillKind(StrEnum):
    """The family that input values are drawn from; ``fills.py`` says what each one stresses."""

    NORMAL = "normal"
    OFFSET = "offset"
    CONSTANT = "constant"
    TINY = "tiny"
    HUGE = "huge"
    MIXED = "mixed"
    EXACT = "exact"
    NAN = "nan"
    INF = "inf"


class Upstream(StrEnum):
    """What the upstream gradient is.

    ``ORDINARY`` is random; ``UNUSED`` is 0 everywhere, as where a loss ignores the output;
    ``SINGLE`` is that but for one element; ``UNIFORM`` is 1 everywhere, the gradient of a plain
    sum; ``INPUT`` is the input itself, the same buffer.
    """

    ORDINARY = "ordinary"
    UNUSED = "unused"
    SINGLE = "single"
    UNIFORM = "uniform"
    INPUT = "input"


class InvalidCaseError(ValueError):
    """A case that contradicts itself; the message says which field and what would be valid."""


@dataclass(frozen=True, kw_only=True)
class Fill:
    """How values are filled: a family, a seed, and what some families take besides.

    ``offset`` is the ratio mean / deviation of ``OFFSET``. ``level`` is the value of channel 0 of
    ``CONSTANT``, of which channel c has the multiple (c + 1) (-1)^c; None takes ordinary values.
    """

    kind: FillKind
    seed: int
    offset: float = 0.0
    level: float | None = None

    def __post_init__(self) -> None:
        """Reject a seed that JSON readers elsewhere could not hold exactly."""
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**53:
            msg = f"fill.seed must be an integer in [0, 2**53), got {self.seed!r}"
            raise InvalidCaseError(msg)
        if not math.isfinite(self.offset):
            msg = f"fill.offset must be finite, got {self.offset!r}"
            raise InvalidCaseError(msg)
        if (self.offset != 0.0) != (self.kind is FillKind.OFFSET):
            msg = f"fill.offset belongs to kind 'offset' alone, got {self.offset} with {self.kind}"
            raise InvalidCaseError(msg)
        if self.level is not None and self.kind is not FillKind.CONSTANT:
            msg = f"fill.level belongs to kind 'constant' alone, got {self.level} with {self.kind}"
            raise InvalidCaseError(msg)
        if self.level is not None and not math.isfinite(self.level):
            msg = f"fill.level must be finite or None, got {self.level!r}"
            raise InvalidCaseError(msg)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One experiment.

    ``shape`` is the shape of a full batch; axis 0 is the batch, and the last of ``steps`` training
    steps has ``last_batch`` samples instead of ``shape[0]``. ``feature_axes`` are as a user would
    write them (negative allowed); every other axis is reduced. ``decay`` is the weight of the
    *old* value in the running update; None is the cumulative average. With ``half_parameters`` the
    parameters and the state of a half-precision layer are in its input's format too, not in
    float32. ``variant`` is what is asked for beyond plain batch normalization. With
    ``same_inputs`` every call, the last inference included, gets the same buffers.
    """

    shape: tuple[int, ...]
    last_batch: int
    feature_axes: tuple[int, ...]
    dtype: DType
    layout: Layout
    upstream_layout: Layout
    center: bool
    scale: bool
    mode: Mode
    steps: int
    epsilon: float
    decay: float | None
    fill: Fill
    half_parameters: bool = False
    variant: Variant = PLAIN
    upstream: Upstream = Upstream.ORDINARY
    same_inputs: bool = False

    def __post_init__(self) -> None:
        """Check that the fields agree with one another."""
        for problem in _type_problems(self):
            raise InvalidCaseError(problem)
        for problem in _problems(self):
            raise InvalidCaseError(problem)
        # Equal cases must have equal ids, and JSON tells 1 from 1.0.
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if self.decay is not None:
            object.__setattr__(self, "decay", float(self.decay))

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @cached_property
    def signature(self) -> str:
        """What a compiler would specialize on: the id of all fields but values and scalars."""
        fields = self.to_dict()
        for other in ("format", "epsilon", "decay", "fill", "upstream", "same_inputs"):
            fields.pop(other, None)
        return hashlib.sha256(_canonical(fields).encode()).hexdigest()[:12]

    @property
    def rank(self) -> int:
        """Number of dimensions of the input."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Elements of input, at most, over all steps."""
        return self.steps * math.prod(self.shape)

    @cached_property
    def channel_axes(self) -> tuple[int, ...]:
        """``feature_axes`` counted from the front, in ascending order."""
        return tuple(sorted(axis % self.rank for axis in self.feature_axes))

    @cached_property
    def reduction_axes(self) -> tuple[int, ...]:
        """The axes that mean and variance are taken over, ascending."""
        return tuple(axis for axis in range(self.rank) if axis not in self.channel_axes)

    @cached_property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of gamma, beta and all statistics: the sizes of ``channel_axes``, ascending."""
        return tuple(self.shape[axis] for axis in self.channel_axes)

    @cached_property
    def parameter_format(self) -> Format:
        """The format of parameters and running statistics."""
        return FORMATS[self.dtype] if self.half_parameters else compute_format(self.dtype)

    @cached_property
    def step_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The input's shape at each training step; the last batch may be smaller."""
        last = (self.last_batch, *self.shape[1:])
        return (self.shape,) * (self.steps - 1) + (last,)

    def count(self, shape: tuple[int, ...]) -> int:
        """Number of values per channel, n, of an input of ``shape``."""
        return math.prod(shape[axis] for axis in self.reduction_axes)

    @cached_property
    def smallest_count(self) -> int:
        """The least number of values per channel over the steps."""
        return min(map(self.count, set(self.step_shapes)))

    def to_dict(self) -> dict[str, Any]:
        """The case as JSON-ready data.

        What a case does not ask for is left out, so that its id stays the one it had before it
        could be asked for, and runs of then and now can be compared.
        """
        # dataclasses.asdict does the same, and copies every value on its way: most of what it
        # takes to know the id of a case.
        fields = {name: getattr(self, name) for name in _FIELDS}
        fields["fill"] = {name: getattr(self.fill, name) for name in _FIELDS_OF_FILL}
        if not self.half_parameters:
            del fields["half_parameters"]
        if self.variant == PLAIN:
            del fields["variant"]
        else:
            fields["variant"] = asdict(self.variant)
        for name, usual in sparse_fields(self.variant).items():
            if fields["variant"][name] == usual:
                del fields["variant"][name]
        if self.upstream is Upstream.ORDINARY:
            del fields["upstream"]
        if not self.same_inputs:
            del fields["same_inputs"]
        if self.fill.level is None:
            del fields["fill"]["level"]
        return {"format": CASE_FORMAT, **fields}

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, shortest exact floats."""
        return _canonical(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a case back; :class:`InvalidCaseError` names what does not fit."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            msg = f"a case must be JSON: {error}"
            raise InvalidCaseError(msg) from error
        if not isinstance(data, dict):
            msg = f"a case must be a JSON object, got {type(data).__name__}"
            raise InvalidCaseError(msg)
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build a case from what :meth:`to_dict` gave."""
        fields = dict(data)
        found = fields.pop("format", None)
        if found != CASE_FORMAT:
            msg = f"a case must say 'format': {CASE_FORMAT!r}, got {found!r}"
            raise InvalidCaseError(msg)
        try:
            return cls(
                shape=tuple(fields.pop("shape")),
                feature_axes=tuple(fields.pop("feature_axes")),
                dtype=DType(fields.pop("dtype")),
                layout=Layout(fields.pop("layout")),
                upstream_layout=Layout(fields.pop("upstream_layout")),
                mode=Mode(fields.pop("mode")),
                fill=_fill(fields.pop("fill")),
                variant=variant_from_dict(fields.pop("variant", {})),
                upstream=Upstream(fields.pop("upstream", Upstream.ORDINARY)),
                **fields,
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidCaseError):
                raise
            msg = f"not a case: {error!r}; compare with a case.json of a run directory"
            raise InvalidCaseError(msg) from error


_FIELDS = tuple(field.name for field in fields(Case))
_FIELDS_OF_FILL = tuple(field.name for field in fields(Fill))


def _fill(data: Mapping[str, Any]) -> Fill:
    fields = dict(data)
    return Fill(kind=FillKind(fields.pop("kind")), **fields)


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _type_problems(case: Case) -> list[str]:
    """Fields of the wrong type, one sentence each; the rest of the checks relies on types."""
    whole = {
        "shape": case.shape,
        "feature_axes": case.feature_axes,
        "last_batch": (case.last_batch,),
        "steps": (case.steps,),
    }
    found = [
        f"{name} must be whole numbers, got {values}"
        for name, values in whole.items()
        if any(type(value) is not int for value in values)
    ]
    flags = ("center", "scale", "half_parameters", "same_inputs")
    for name, flag in ((name, getattr(case, name)) for name in flags):
        if not isinstance(flag, bool):
            found.append(f"{name} must be true or false, got {flag!r}")
    return found


def _problems(case: Case) -> list[str]:
    """Everything about ``case`` that contradicts itself, one sentence each."""
    rank = len(case.shape)
    found = []
    if rank < 1 or any(size < 0 for size in case.shape):
        found.append(f"shape must be one or more sizes >= 0, got {case.shape}")
    if not case.feature_axes or any(not -rank <= axis < rank for axis in case.feature_axes):
        found.append(f"feature_axes must lie in [-{rank}, {rank}), got {case.feature_axes}")
        return found
    if len({axis % rank for axis in case.feature_axes}) != len(case.feature_axes):
        found.append(f"feature_axes must not repeat an axis, got {case.feature_axes}")
    if case.steps < 1 or (case.mode is not Mode.TRAIN and case.steps != 1):
        found.append(f"steps must be >= 1, and 1 outside training, got {case.steps}")
    if not 0 <= case.last_batch <= case.shape[0]:
        found.append(f"last_batch must be in [0, {case.shape[0]}], got {case.last_batch}")
    if 0 in {axis % rank for axis in case.feature_axes} and case.last_batch != case.shape[0]:
        found.append("last_batch must equal shape[0] when axis 0 is a feature axis")
    if not (math.isfinite(case.epsilon) and case.epsilon >= 0):
        found.append(f"epsilon must be finite and >= 0, got {case.epsilon}")
    if case.decay is not None and not 0 <= case.decay <= 1:
        found.append(f"decay must be in [0, 1] or None, got {case.decay}")
    found += _request_problems(case)
    return found


_BY_SAMPLE = (VariantKind.GHOST, VariantKind.SYNCHRONIZED, VariantKind.ADJUSTED)
"""Variants that tell samples apart, which therefore must not be features."""


def _request_problems(case: Case) -> list[str]:
    """What is asked for beyond plain batch normalization and contradicts the rest."""
    found = []
    if case.half_parameters and case.dtype not in (DType.FLOAT16, DType.BFLOAT16):
        found.append(f"half_parameters belong to half-precision inputs, got {case.dtype}")
    if case.upstream is Upstream.INPUT and case.layout is not case.upstream_layout:
        found.append("upstream 'input' is one buffer, which cannot have two layouts")
    if case.upstream is Upstream.INPUT and case.variant != PLAIN:
        found.append(f"upstream 'input' belongs to plain cases, got {case.variant.kind}")
    if case.same_inputs and case.last_batch != case.shape[0]:
        found.append("same_inputs needs last_batch == shape[0]")
    found += variant_problems(case.variant, tuple(shape[0] for shape in case.step_shapes))
    by_sample = case.variant.kind in _BY_SAMPLE or getattr(case.variant, "by_sample", False)
    if by_sample and 0 in case.channel_axes:
        found.append(f"variant {case.variant.kind} needs samples along axis 0, a feature axis here")
    if case.variant.kind is VariantKind.FIXED_GAMMA and not case.scale:
        found.append("variant fixed_gamma needs scale")
    return found
