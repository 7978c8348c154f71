"""What a case asks of Keras's layer: its arguments, its shape, and what its variables hold."""

from __future__ import annotations

from typing import Any

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Parameters, UnsupportedError
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import Masked, Renorm

_MIXED = {DType.FLOAT16: "mixed_float16", DType.BFLOAT16: "mixed_bfloat16"}

STATE = {
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "moving_stddev": "running_stddev",
    "renorm_mean": "renorm_mean",
    "renorm_stddev": "renorm_stddev",
}
"""The layer's variables that are not trained, in the order of their making -> what they hold."""


def check_mask(case: Case) -> None:
    """:class:`UnsupportedError` for a mask over another axis than Keras puts it on."""
    if isinstance(case.variant, Masked) and case.channel_axes[0] != case.rank - 1:
        msg = "a mask has no feature axis, and _moments puts it last: expand_dims(mask, axis=-1)"
        raise UnsupportedError(msg)


def settings_of(case: Case) -> tuple[dict[str, Any], tuple[int | None, ...]]:
    """The arguments of the layer, and the shape that it is built for."""
    plain = case.dtype.value
    settings = {
        "axis": case.feature_axes[0],
        # None comes outside training alone, where the momentum is not used.
        "momentum": 0.99 if case.decay is None else case.decay,
        "epsilon": case.epsilon,
        "center": case.center,
        "scale": case.scale,
        "dtype": plain if case.half_parameters else _MIXED.get(case.dtype, plain),
        "trainable": case.mode is not Mode.FROZEN,
        **_renorm(case),
    }
    return settings, case.shape if 0 in case.channel_axes else (None, *case.shape[1:])


def loaded(layer: Any, parameters: Parameters) -> Any:
    """``layer`` with these parameters and this state."""
    for name, value in variables_of(parameters).items():
        getattr(layer, name).assign(value)
    return layer


def _renorm(case: Case) -> dict[str, Any]:
    """The arguments that ask for batch renormalization, if any."""
    variant = case.variant
    if not isinstance(variant, Renorm):
        return {}
    limits = {"rmin": variant.r_min, "rmax": variant.r_max, "dmax": variant.d_max}
    return {
        "renorm": True,
        "renorm_clipping": {name: each for name, each in limits.items() if each is not None},
        "renorm_momentum": variant.decay,
    }


def variables_of(parameters: Parameters) -> dict[str, Array]:
    """What the layer's variables start from, by their names."""
    held = {name: getattr(parameters, field) for name, field in STATE.items()}
    held |= {"gamma": parameters.gamma, "beta": parameters.beta}
    return {name: value for name, value in held.items() if value is not None}
