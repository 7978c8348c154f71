"""How each subject's scripts are written: template, packages, environment, and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..variant import VariantKind
from .scene import NoScriptError

_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_PLAIN = frozenset({VariantKind.PLAIN})
_OF_TF_LAYERS = frozenset({VariantKind.RENORM, VariantKind.GHOST, VariantKind.ADJUSTED})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a subject's script is written: its template, and what that leaves open.

    ``packages`` are the modules whose versions the script prints; ``layouts`` whether the framework
    sees how an array lies in memory; ``untracked_without_state`` whether a layer that tracks
    nothing is given no statistics at all; ``gradients`` whether it can be differentiated;
    ``settings`` are handed to the template as they are; ``experiments`` is the template of the
    subject's experiments, where there is one.
    """

    template: str
    packages: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    experiments: str | None = None
    variants: frozenset[VariantKind] = _PLAIN
    layouts: bool = False
    untracked_without_state: bool = False
    gradients: bool = True


def _keras(backend: str, packages: tuple[str, ...], **environment: str) -> Recipe:
    return Recipe(
        template="keras.py.jinja",
        packages=packages,
        environment={"KERAS_BACKEND": backend, **environment},
        settings={"backend": backend},
        experiments="experiments_keras.py.jinja",
        variants=_PLAIN | {VariantKind.RENORM, VariantKind.MASKED},
        layouts=backend == "torch",
    )


def _tf_layers(*, fused: bool) -> Recipe:
    return Recipe(
        template="tf_layers.py.jinja",
        packages=("tf",),
        environment={"TF_USE_LEGACY_KERAS": "1"} | _TENSORFLOW,
        settings={"fused": fused},
        experiments="experiments_tf_layers.py.jinja",
        variants=_PLAIN if fused else _PLAIN | _OF_TF_LAYERS,
    )


def _torch(template: str) -> Recipe:
    return Recipe(
        template=template,
        packages=("torch",),
        variants=_PLAIN | {VariantKind.UNTRACKED},
        layouts=True,
        untracked_without_state=True,
    )


def _equinox(mode: str) -> Recipe:
    return Recipe(
        template="equinox.py.jinja",
        packages=("jax", "equinox"),
        settings={"eqx_mode": mode},
        variants=_PLAIN | {VariantKind.SYNCHRONIZED},
    )


def _onnx(evaluator: str, opset: int) -> Recipe:
    packages = ("onnx", "onnxruntime") if evaluator == "runtime" else ("onnx",)
    return Recipe(
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

RECIPES: Mapping[str, Recipe] = {
    "torch.functional": _torch("torch_functional.py.jinja"),
    "torch.module": _torch("torch_module.py.jinja"),
    "keras.tensorflow": _keras("tensorflow", ("keras", "tf"), **_TENSORFLOW),
    "keras.torch": _keras("torch", ("keras", "torch")),
    "keras.jax": _keras("jax", ("keras", "jax")),
    "tf.nn": Recipe(
        template="tf_nn.py.jinja",
        packages=("tf",),
        environment=_TENSORFLOW,
        variants=_PLAIN | {VariantKind.MASKED, VariantKind.WEIGHTED},
    ),
    "tf.fused": Recipe(template="tf_fused.py.jinja", packages=("tf",), environment=_TENSORFLOW),
    "tf.layers.fused": _tf_layers(fused=True),
    "tf.layers.unfused": _tf_layers(fused=False),
    "flax.linen": Recipe(
        template="flax.py.jinja",
        packages=("jax", "linen"),
        variants=_PLAIN | {VariantKind.MASKED, VariantKind.SYNCHRONIZED},
    ),
    "haiku.batchnorm": Recipe(
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

DISTRIBUTIONS = {
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

OURS = {
    "numpy.reference": "its code is part of bnconform, and so there is no framework to call",
    **dict.fromkeys(
        ("gpu.triton", "gpu.cuda", "gpu.cuda.emulated"),
        "its kernel is part of bnconform, and so there is no framework to call",
    ),
}


def recipe_of(subject: str) -> Recipe:
    """The recipe of a subject; :class:`NoScriptError` says why there is none."""
    if subject not in RECIPES:
        msg = (
            f"no script for {subject}: {OURS.get(subject, 'there is no template for this subject')}"
        )
        raise NoScriptError(msg)
    return RECIPES[subject]


def version_of(package: str) -> str:
    """The expression for the version of an imported module."""
    return "__import__('flax').__version__" if package == "linen" else f"{package}.__version__"
