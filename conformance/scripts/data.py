"""The part of a script that says what goes in, and what must come out, as Python source."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..case import Case, Layout, Mode
from ..contract import Array
from ..variant import VariantKind
from .literals import array_source
from .scene import Check, Scene


def data_source(scene: Scene, *, layouts: bool, state: bool) -> str:
    """Assignments of everything that goes in.

    ``layouts`` where the framework sees how arrays lie in memory, ``state`` where it is given
    running statistics.
    """
    names = ("gamma", "beta", *(_STATE if state else ()))
    parameters = ((name, getattr(scene.parameters, name)) for name in names)
    given = [f"{name} = {_source(value)}" for name, value in parameters if value is not None]
    return "\n".join([*_inputs(scene, layouts=layouts), *given]) + "\n"


def wanted_source(scene: Scene) -> str:
    """Assignments of ``expected`` and ``bound``."""
    if scene.want is None:
        return ""
    # One NaN is as good as another, and decimals name only one.
    expected = np.where(np.isnan(scene.want.expected), np.nan, scene.want.expected)
    lines = [f"expected = {array_source(expected)}"]
    if (scene.want.bound == np.finfo(np.float64).max).any():
        lines.append("# 1.797e308, the largest number: any finite answer will do.")
    if np.isinf(scene.want.bound).any():
        lines.append("# Infinity: this element is not looked at.")
    return "\n".join([*lines, f"bound = {array_source(scene.want.bound)}"])


def array_lines(arrays: Mapping[str, Array]) -> str:
    """Assignments of arrays by their names."""
    return "\n".join(f"{name} = {_source(np.asarray(array))}" for name, array in arrays.items())


def extra_names(scene: Scene) -> list[str]:
    """The names of what the variant takes with every call."""
    return [_name_of(scene, name) for name in scene.steps[0].extras]


def _name_of(scene: Scene, extra: str) -> str:
    return "mask" if scene.variant == VariantKind.MASKED else extra.removesuffix("s")


def _inputs(scene: Scene, *, layouts: bool) -> Iterator[str]:
    case = scene.case
    if case.dtype.value == "bfloat16":
        yield "# bfloat16 values are written as float32, which holds them exactly."
    memory = case.layout if layouts else Layout.CONTIGUOUS
    yield from _every_step("x", "xs", [step.x for step in scene.steps], memory)
    for extra in scene.steps[0].extras:
        name, arrays = _name_of(scene, extra), [step.extras[extra] for step in scene.steps]
        yield from _every_step(name, f"{name}s", arrays, Layout.CONTIGUOUS)
    last = "x" if len(scene.steps) == 1 else "xs[-1]"
    if scene.inference is not None and scene.inference.x is scene.steps[-1].x:
        yield f"x_infer = {last}  # the same buffer"
    elif scene.inference is not None:
        yield from _one("x_infer", scene.inference.x, memory)
    if scene.gradient and scene.steps[-1].dy is scene.steps[-1].x:
        yield f"dy = {last}  # the same buffer"
    elif scene.gradient:
        upstream = case.upstream_layout if layouts else Layout.CONTIGUOUS
        yield from _one("dy", scene.steps[-1].dy, upstream)


_STATE = ("running_mean", "running_var", "renorm_mean", "renorm_stddev", "running_stddev")


def _every_step(one: str, many: str, arrays: Sequence[Array], layout: Layout) -> Iterator[str]:
    if len(arrays) == 1:
        yield from _one(one, arrays[0], layout)
        return
    if all(each is arrays[0] for each in arrays):
        yield from _one(one, arrays[0], layout)
        yield f"{many} = [{one}] * {len(arrays)}  # the same buffer at every call"
        return
    rows = "".join(textwrap.indent(f"{_source(each)},\n", "    ") for each in arrays)
    yield f"{many} = [\n{rows}]"
    lines = list(_laid_out(one, layout, arrays[0].ndim))
    if lines:
        expression = lines[-1].partition(" = ")[2]
        yield lines[0]
        yield f"{many} = [{expression} for {one} in {many}]"


def _one(name: str, array: Array, layout: Layout) -> Iterator[str]:
    yield f"{name} = {_source(array)}"
    yield from _laid_out(name, layout, array.ndim)


def _laid_out(name: str, layout: Layout, rank: int) -> Iterator[str]:
    """A comment and an assignment that moves the array to where the case has it in memory."""
    if layout is Layout.CONTIGUOUS or rank < 2:
        return
    if layout is Layout.CHANNELS_LAST:
        yield "# In memory, axis 1 varies fastest (channels last)."
        moved = f"np.ascontiguousarray(np.moveaxis({name}, 1, -1))"
        yield f"{name} = np.moveaxis({moved}, -1, 1)"
    else:
        yield "# In memory, there is a gap after every value (strided)."
        yield f"{name} = np.repeat({name}, 2, axis=-1)[..., ::2]"


def _source(array: Array) -> str:
    wide = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    return array_source(wide)


def formula_source(scene: Scene) -> str:
    """A few lines of NumPy in float64 that give what is expected, or ''."""
    if not scene.has_formula:
        return ""
    body = "\n".join(_formula(scene))
    return f'with np.errstate(all="ignore"):\n{textwrap.indent(body, "    ")}'


def _formula(scene: Scene) -> Iterator[str]:
    quantity = scene.quantity
    updated = quantity in ("running_mean", "running_var", "y_infer") or (
        quantity == "y" and not scene.by_batch and scene.case.mode is Mode.TRAIN
    )
    if updated and scene.case.mode is Mode.TRAIN:
        yield from _averages(scene)
    elif updated or not scene.by_batch:
        yield "mean, var = running_mean.astype(float), running_var.astype(float)"
    if quantity in ("running_mean", "running_var"):
        yield f"plain = {'mean' if quantity == 'running_mean' else 'var'}"
        return
    if quantity in ("batch_mean", "batch_var"):
        name, axes = quantity.removeprefix("batch_"), scene.case.reduction_axes
        yield f"plain = x.astype(float).{name}({axes})"
        return
    yield from _normalized(scene, "x_infer" if scene.inference is not None else "x")


def _averages(scene: Scene) -> Iterator[str]:
    """Running statistics after the steps, by the documented convention."""
    case = scene.case
    many, axes = len(scene.steps) > 1, case.reduction_axes
    debiased = scene.debiased
    zero = " * 0" if debiased else ""
    yield f"mean, var = running_mean.astype(float){zero}, running_var.astype(float){zero}"
    ddof = ", ddof=1" if scene.unbiased and case.smallest_count > 1 else ""
    old = repr(case.decay) if case.decay is not None else "(1 - 1 / t)"
    indent = "    " if many else ""
    if many:
        counted = case.decay is None or debiased
        yield "for t, each in enumerate(xs, 1):" if counted else "for each in xs:"
    elif case.decay is None:
        yield "t = 1"
    each = "each" if many else "x"
    for name, call in (("mean", f"mean({axes})"), ("var", f"var({axes}{ddof})")):
        new = f"(1 - {old}) * {each}.astype(float).{call}"
        yield f"{indent}{name} = {old} * {name} + {new}"
    if debiased:
        share = f"(1 - {old} ** {len(scene.steps)})"
        yield f"mean, var = mean / {share}, var / {share}"


def _normalized(scene: Scene, name: str) -> Iterator[str]:
    case, quantity = scene.case, scene.quantity
    axes, wide = case.reduction_axes, scene.wide
    yield f"x64 = {name}.astype(float)"
    if scene.by_batch:
        yield f"mean, var = x64.mean({axes}, keepdims=True), x64.var({axes}, keepdims=True)"
    else:
        yield f"mean, var = mean.reshape({wide}), var.reshape({wide})"
    yield f"xhat = (x64 - mean) / np.sqrt(var + {case.epsilon!r})"
    if case.scale and quantity in ("y", "y_infer", "dx"):
        yield f"scaled = gamma.astype(float).reshape({wide})"
    gamma = "scaled" if case.scale else ""
    if quantity in ("y", "y_infer"):
        scaled = f"xhat * {gamma}" if gamma else "xhat"
        yield f"plain = {scaled}" + (f" + beta.reshape({wide})" if case.center else "")
        return
    yield "g = dy.astype(float)"
    if quantity == "dgamma":
        yield f"plain = (g * xhat).sum({axes})"
    elif quantity == "dbeta":
        yield f"plain = g.sum({axes})"
    else:
        yield from _dx(scene, gamma or "1.0")


def _dx(scene: Scene, gamma: str) -> Iterator[str]:
    axes, root = scene.case.reduction_axes, f"np.sqrt(var + {scene.case.epsilon!r})"
    if not scene.by_batch:
        yield f"plain = {gamma} / {root} * g"
        return
    yield f"g_mean, gx_mean = g.mean({axes}, keepdims=True), (g * xhat).mean({axes}, keepdims=True)"
    yield f"plain = {gamma} / {root} * (g - g_mean - xhat * gx_mean)"


def form_source(scene: Scene) -> str:
    """The expected shape and format, as a tuple."""
    if scene.check is not Check.FORM or scene.want is None:
        return ""
    return repr((scene.want.expected.shape, scene.want.dtype.value))


def sees_layouts(case: Case) -> bool:
    """Whether some array of the case does not lie in the order of its indices."""
    return case.layout is not Layout.CONTIGUOUS or case.upstream_layout is not Layout.CONTIGUOUS
