"""From a divergence to the text of a script that shows it without bnconform."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..case import Mode
from ..clauses import clause
from ..contract import Array
from ..expecting.expectation import Conventions
from ..variant import Ghost, Renorm, Synchronized, VariantKind
from ..verdict import CALL
from .data import data_source, extra_names, form_source, formula_source, wanted_source
from .literals import needs_base64
from .scene import NoScriptError, Scene, scene_of, without_history

__all__ = ["NoScriptError", "render_script"]

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH = 96
_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_PLAIN = frozenset({VariantKind.PLAIN})


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """How a subject's script is written: its template, and what that leaves open.

    ``packages`` are the modules whose versions the script prints; ``layouts`` whether the framework
    sees how an array lies in memory; ``untracked_without_state`` whether a layer that tracks
    nothing is given no statistics at all; ``gradients`` whether it can be differentiated;
    ``settings`` are handed to the template as they are.
    """

    template: str
    packages: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: frozenset[VariantKind] = _PLAIN
    layouts: bool = False
    untracked_without_state: bool = False
    gradients: bool = True


def _keras(backend: str, packages: tuple[str, ...], **environment: str) -> _Recipe:
    return _Recipe(
        template="keras.py.jinja",
        packages=packages,
        environment={"KERAS_BACKEND": backend, **environment},
        settings={"backend": backend},
        variants=_PLAIN | {VariantKind.RENORM, VariantKind.MASKED},
        layouts=backend == "torch",
    )


def _tf_layers(*, fused: bool) -> _Recipe:
    return _Recipe(
        template="tf_layers.py.jinja",
        packages=("tf",),
        environment={"TF_USE_LEGACY_KERAS": "1"} | _TENSORFLOW,
        settings={"fused": fused},
        variants=_PLAIN if fused else _PLAIN | {VariantKind.RENORM, VariantKind.GHOST},
    )


def _torch(template: str) -> _Recipe:
    return _Recipe(
        template=template,
        packages=("torch",),
        variants=_PLAIN | {VariantKind.UNTRACKED},
        layouts=True,
        untracked_without_state=True,
    )


def _equinox(mode: str) -> _Recipe:
    return _Recipe(
        template="equinox.py.jinja",
        packages=("jax", "equinox"),
        settings={"eqx_mode": mode},
        variants=_PLAIN | {VariantKind.SYNCHRONIZED},
    )


def _onnx(evaluator: str, opset: int) -> _Recipe:
    packages = ("onnx", "onnxruntime") if evaluator == "runtime" else ("onnx",)
    return _Recipe(
        template="onnx.py.jinja",
        packages=packages,
        settings={"evaluator": evaluator, "opset": opset, "onnx_types": _ONNX_TYPES},
        gradients=False,
    )


_ONNX_TYPES = {
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "int32": "INT32",
}

_RECIPES: Mapping[str, _Recipe] = {
    "torch.functional": _torch("torch_functional.py.jinja"),
    "torch.module": _torch("torch_module.py.jinja"),
    "keras.tensorflow": _keras("tensorflow", ("keras", "tf"), **_TENSORFLOW),
    "keras.torch": _keras("torch", ("keras", "torch")),
    "keras.jax": _keras("jax", ("keras", "jax")),
    "tf.nn": _Recipe(
        template="tf_nn.py.jinja",
        packages=("tf",),
        environment=_TENSORFLOW,
        variants=_PLAIN | {VariantKind.MASKED, VariantKind.WEIGHTED},
    ),
    "tf.fused": _Recipe(template="tf_fused.py.jinja", packages=("tf",), environment=_TENSORFLOW),
    "tf.layers.fused": _tf_layers(fused=True),
    "tf.layers.unfused": _tf_layers(fused=False),
    "flax.linen": _Recipe(
        template="flax.py.jinja",
        packages=("jax", "linen"),
        variants=_PLAIN | {VariantKind.MASKED, VariantKind.SYNCHRONIZED},
    ),
    "haiku.batchnorm": _Recipe(
        template="haiku.py.jinja",
        packages=("jax", "haiku"),
        variants=_PLAIN | {VariantKind.SYNCHRONIZED, VariantKind.UNTRACKED},
    ),
    "equinox.batch": _equinox("batch"),
    "equinox.ema": _equinox("ema"),
    "onnx.runtime": _onnx("runtime", 15),
    "onnx.runtime.opset9": _onnx("runtime", 9),
    "onnx.runtime.opset7": _onnx("runtime", 7),
    "onnx.reference": _onnx("reference", 15),
    "onnx.reference.opset9": _onnx("reference", 9),
}

_DISTRIBUTIONS = {
    "torch": ("torch",),
    "keras": ("keras",),
    "tf": ("tensorflow", "tensorflow-cpu", "tf_keras"),
    "jax": ("jax", "jaxlib"),
    "linen": ("flax",),
    "haiku": ("dm-haiku",),
    "equinox": ("equinox",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
}
"""Module -> what its version is recorded under."""

_HAIKU_FORMATS: Mapping[tuple[int, ...], str] = {
    (1,): "channels_first",
    (-1,): "channels_last",
}
"""Feature axes -> the data format that names them; other axes are given as those reduced."""

_OURS = {
    "numpy.reference": "its code is part of bnconform, and so there is no framework to call",
    "gpu.triton": "its kernel is part of bnconform, and so there is no framework to call",
}


def render_script(
    divergence: Mapping[str, Any],
    arrays: Mapping[str, Array],
    conventions: Conventions,
    *,
    history: bool = True,
) -> str:
    """The script for a bundle's ``divergence`` and ``arrays``.

    ``conventions`` are those the subject was judged under. Without ``history``, the training steps
    before the one in question are left out where no equation needs them. :class:`NoScriptError`
    says why there is no script for a subject, a variant or a kind of divergence.
    """
    subject = str(divergence["subject"])
    if subject not in _RECIPES:
        reason = _OURS.get(subject, "there is no template for this subject")
        msg = f"no script for {subject}: {reason}"
        raise NoScriptError(msg)
    recipe, scene = _RECIPES[subject], scene_of(divergence, arrays, conventions)
    scene = replace(scene if history else without_history(scene), backward=recipe.gradients)
    kind = scene.case.variant.kind
    if kind not in recipe.variants:
        msg = f"no script for the variant {kind.value!r} of {subject} yet"
        raise NoScriptError(msg)
    text = _environment().get_template(recipe.template).render(_context(scene, recipe))
    return _tidy(text)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- Python source, not HTML
        keep_trailing_newline=True,
    )


def _tidy(text: str) -> str:
    """``text`` without the blank lines and spaces that template tags leave; it must parse."""
    lines: list[str] = []
    for line in text.splitlines():
        blank = not line.strip()
        if blank and (not lines or lines[-2:] == ["", ""]):
            continue
        lines.append("" if blank else line.rstrip())
    tidied = "\n".join(lines).rstrip() + "\n"
    ast.parse(tidied)
    return tidied


def _context(scene: Scene, recipe: _Recipe) -> dict[str, Any]:
    untracked = scene.variant == VariantKind.UNTRACKED
    state = not (untracked and recipe.untracked_without_state)
    data = data_source(scene, layouts=recipe.layouts, state=state)
    wanted = wanted_source(scene)
    return {
        "title": _title(scene),
        "told": _told(scene, recipe),
        "environment": recipe.environment,
        "needs_base64": needs_base64(data + wanted),
        "data": data,
        "wanted": wanted,
        "formula": formula_source(scene),
        "form": form_source(scene),
        "headline": repr(_title(scene)),
        "versions": ", ".join(f'"{each}", {_version_of(each)}' for each in recipe.packages),
        "wrong": str(scene.divergence["case"].get("what", "too few values per channel")),
        "words": repr(scene.words),
        "check": scene.check.value,
        "largest": None if scene.want is None else scene.want.largest,
        "quantity": scene.quantity,
        "gradient": scene.gradient,
        "inference": scene.inference is not None,
        "steps": len(scene.steps),
        "each_step": _each_step(scene),
        "extra": next(iter(extra_names(scene)), None),
        **_of_case(scene),
        **_of_variant(scene),
        **recipe.settings,
    }


def _version_of(package: str) -> str:
    return "__import__('flax').__version__" if package == "linen" else f"{package}.__version__"


def _title(scene: Scene) -> str:
    found = scene.divergence
    quantity = "the call" if found["quantity"] == CALL else scene.quantity
    return f"{found['subject']}: {found['clause']} does not hold for {quantity}."


def _told(scene: Scene, recipe: _Recipe) -> str:
    """The clause, what was found, and on which versions."""
    found, about = scene.divergence, clause(scene.divergence["clause"])
    versions = found["versions"]
    used = {name for package in recipe.packages for name in _DISTRIBUTIONS[package]}
    names = [name for name in versions if name in used | {"bnconform", "numpy", "python"}]
    paragraphs = [
        f"{about.id} ({about.level}): {about.statement}",
        f"Found: {found['message'] or found['cause']}",
        "On " + ", ".join(f"{name} {versions[name]}" for name in sorted(names)) + ".",
        f"Case {found['case_id']}, divergence {found['id']}.",
    ]
    filled = (textwrap.fill(each, _WIDTH, break_on_hyphens=False) for each in paragraphs)
    return "\n\n".join(filled).replace("\\", "/").replace('"""', "'''")


def _each_step(scene: Scene) -> Callable[[Callable[[], str]], str]:
    """A macro that repeats what it is called with for every step, where there are several."""
    extras = extra_names(scene)

    def each_step(caller: Callable[[], str]) -> str:
        body = caller().strip()
        if len(scene.steps) == 1:
            return body
        names, lists = ["x", *extras], ["xs", *(f"{name}s" for name in extras)]
        source = lists[0] if len(lists) == 1 else f"zip({', '.join(lists)}, strict=True)"
        return f"for {', '.join(names)} in {source}:\n{textwrap.indent(body, '    ')}"

    return each_step


def _of_case(scene: Scene) -> dict[str, Any]:
    case = scene.case
    batch = case.shape[0] if 0 in case.channel_axes else None
    # Outside training the weight of the old value does not matter, and 0.9 is as good as any.
    decay = 0.9 if case.decay is None else case.decay
    axes = {"channel_axis": 1, "channels": 0} if not case.channel_axes else {}
    spatial = "HW" if case.rank == 4 else "DHW"
    last = case.channel_axes[0] == case.rank - 1
    return axes | {
        "rank": case.rank,
        "dtype": scene.steps[0].x.dtype.name,
        "parameter_dtype": case.parameter_format.dtype.value,
        "layer_dtype": _layer_dtype(scene),
        "layout": case.layout.value,
        "upstream_layout": case.upstream_layout.value,
        "epsilon": repr(case.epsilon),
        "decay": repr(decay),
        "rate": f"1 - {decay!r}",
        "replaces": 1.0 - decay == 1.0,
        "cumulative": case.decay is None and case.mode is Mode.TRAIN,
        "axis": scene.axis,
        "axes": repr(case.feature_axes),
        "one_channel_axis": case.channel_axes == (1,),
        "onnx_sizes": repr(["N", "C", *(f"D{axis}" for axis in range(1, case.rank - 1))]),
        "one_axis": len(case.feature_axes) == 1,
        "channel_axis": case.channel_axes[0],
        "channels": case.feature_shape[0],
        "feature_shape": repr(case.feature_shape),
        "reduction_axes": repr(case.reduction_axes),
        "wide_shape": repr(scene.wide),
        "built_shape": repr((batch, *case.shape[1:])),
        "scale": case.scale,
        "center": case.center,
        "training": scene.training,
        "frozen": case.mode is Mode.FROZEN,
        "data_format": f"N{spatial}C" if last else f"NC{spatial}",
        "haiku_format": _HAIKU_FORMATS.get(case.feature_axes),
    }


def _layer_dtype(scene: Scene) -> str:
    """The dtype of a Keras layer: half inputs have float32 parameters but where asked for."""
    case, dtype = scene.case, scene.case.dtype.value
    mixed = dtype in ("float16", "bfloat16") and not case.half_parameters
    return f"mixed_{dtype}" if mixed else dtype


def _of_variant(scene: Scene) -> dict[str, Any]:
    variant, parameters = scene.case.variant, scene.parameters
    clipping = {}
    if isinstance(variant, Renorm):
        limits = {"rmin": variant.r_min, "rmax": variant.r_max, "dmax": variant.d_max}
        clipping = {name: limit for name, limit in limits.items() if limit is not None}
    held = {
        "gamma": "gamma",
        "beta": "beta",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
        "renorm_mean": "renorm_mean",
        "renorm_stddev": "renorm_stddev",
        "moving_stddev": "running_stddev",
    }
    given = {name: at for name, at in held.items() if getattr(parameters, at) is not None}
    return {
        "keras_values": given,
        "untracked": variant.kind is VariantKind.UNTRACKED,
        "masked": variant.kind is VariantKind.MASKED,
        "weighted": variant.kind in (VariantKind.MASKED, VariantKind.WEIGHTED),
        "renorm": isinstance(variant, Renorm),
        "renorm_clipping": clipping,
        "renorm_decay": variant.decay if isinstance(variant, Renorm) else None,
        "ghost": variant.size if isinstance(variant, Ghost) else None,
        "replicas": variant.replicas if isinstance(variant, Synchronized) else 1,
    }
