"""From a divergence to the text of a script that shows it without bnconform."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..case import Mode
from ..contract import Array
from ..expecting.expectation import Conventions
from ..variant import Ghost, Renorm, Synchronized, VariantKind
from .data import data_source, extra_names, form_source, formula_source, wanted_source
from .experiment import render_experiment
from .recipes import Recipe, recipe_of
from .scene import NoScriptError, Scene, only_inference, scene_of, without_history
from .writing import frame, written

__all__ = ["NoScriptError", "render_script", "render_scripts"]

_HAIKU_FORMATS: Mapping[tuple[int, ...], str] = {
    (1,): "channels_first",
    (-1,): "channels_last",
}
"""Feature axes -> the data format that names them; other axes are given as those reduced."""

_REPETITIONS = 30
"""How often a call is repeated that gave other bits when it was: the difference may be rare."""


def render_script(
    divergence: Mapping[str, Any], arrays: Mapping[str, Array], conventions: Conventions
) -> str:
    """The script for a bundle's ``divergence`` and ``arrays``, with all that led to it.

    ``conventions`` are those the subject was judged under. :class:`NoScriptError` says why there is
    no script for a subject, a variant or a kind of divergence.
    """
    return render_scripts(divergence, arrays, conventions)[-1]


def render_scripts(
    divergence: Mapping[str, Any], arrays: Mapping[str, Array], conventions: Conventions
) -> tuple[str, ...]:
    """Scripts in the order in which they are to be tried, the shortest first; none twice.

    It leaves out the training steps before the one in question, which must matter only where an
    equation needs them. Where a call raises or dies, it may be the inference that follows
    the steps, which then is the first of them. :class:`NoScriptError` as in :func:`render_script`.
    """
    recipe = recipe_of(str(divergence["subject"]))
    if "experiment" in divergence["case"]:
        return (render_experiment(divergence, arrays, recipe),)
    scene = replace(scene_of(divergence, arrays, conventions), backward=recipe.gradients)
    kind = scene.case.variant.kind
    if kind not in recipe.variants:
        msg = f"no script for the variant {kind.value!r} of {scene.divergence['subject']} yet"
        raise NoScriptError(msg)
    scenes = (*only_inference(scene), without_history(scene), scene)
    texts = (written(recipe.template, _context(each, recipe)) for each in scenes)
    return tuple(dict.fromkeys(texts))


def _context(scene: Scene, recipe: Recipe) -> dict[str, Any]:
    untracked = scene.variant == VariantKind.UNTRACKED
    state = not (untracked and recipe.untracked_without_state)
    data = data_source(scene, layouts=recipe.layouts, state=state)
    wanted, quantity = wanted_source(scene), scene.quantity
    return {
        **frame(scene.divergence, recipe, quantity=quantity, data=data, wanted=wanted),
        "formula": formula_source(scene),
        "form": form_source(scene),
        "wrong": str(scene.divergence["case"].get("what", "too few values per channel")),
        "words": repr(scene.words),
        "check": scene.check.value,
        "limit": scene.limit,
        "repetitions": _REPETITIONS,
        "largest": None if scene.want is None else scene.want.largest,
        "gradient": scene.gradient,
        "inference": scene.inference is not None,
        "steps": len(scene.steps),
        "each_step": _each_step(scene),
        "extra": next(iter(extra_names(scene)), None),
        **_of_case(scene),
        **_of_variant(scene),
    }


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
        "adjusted": variant.kind is VariantKind.ADJUSTED,
        "ghost": variant.size if isinstance(variant, Ghost) else None,
        "replicas": variant.replicas if isinstance(variant, Synchronized) else 1,
    }
