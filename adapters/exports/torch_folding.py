"""Ways out of PyTorch that end in another layer or format: folding, MKL-DNN, ONNX.

Before the layer that is folded stands a linear map 2 x + 1, which is exact.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from bnconform.adapters.exports import torch_exports
from bnconform.adapters.exports.scenes import Found, Scene, settings, travel
from bnconform.adapters.exports.torch_exports import Bench, blank
from bnconform.adapters.torch_arrays import to_torch
from bnconform.conformance.contract import Array, UnsupportedError


def _doubling(bench: Bench, scene: Scene, kind: str, groups: int) -> Any:
    """A convolution, transposed or not, by 2 I, with a bias of 1."""
    torch, channels = bench.torch, scene.channels
    make = getattr(torch.nn, kind)
    layer = make(channels, channels, 1, groups=groups, dtype=to_torch(torch, scene.x).dtype)
    weight = 2 * torch.eye(channels) if groups == 1 else torch.full((channels, 1), 2.0)
    with torch.no_grad():
        layer.weight.copy_(weight.reshape(layer.weight.shape))
        layer.bias.fill_(1.0)
    return layer.eval()


def _folded(
    bench: Bench, scene: Scene, *, fold: Callable[[Any, Any, Any], Any], kind: str, groups: int = 1
) -> Found:
    before = _doubling(bench, scene, kind, groups)
    whole = fold(bench.torch, before, bench.module(scene).eval())
    return {"y_folded": bench.call(whole, scene.x)}


def _fuse(torch: Any, before: Any, module: Any) -> Any:
    return torch.nn.utils.fusion.fuse_conv_bn_eval(before, module)


def _fuse_transposed(torch: Any, before: Any, module: Any) -> Any:
    return torch.nn.utils.fusion.fuse_conv_bn_eval(before, module, transpose=True)


def _fuse_fx(torch: Any, before: Any, module: Any) -> Any:
    from torch.fx.experimental.optimization import fuse

    whole = fuse(torch.nn.Sequential(before, module).eval())
    _must_be_gone(whole, torch.nn.BatchNorm2d)
    return whole


def _fuse_modules(torch: Any, before: Any, module: Any) -> Any:
    pair = torch.nn.Sequential(before, module).eval()
    whole = torch.ao.quantization.fuse_modules(pair, [["0", "1"]])
    _must_be_gone(whole, torch.nn.BatchNorm2d)
    return whole


def _freeze(torch: Any, before: Any, module: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*is deprecated", DeprecationWarning)
        script = torch.jit.script(torch.nn.Sequential(before, module).eval())
        return torch.jit.optimize_for_inference(script)


def _must_be_gone(whole: Any, kind: Any) -> None:
    if any(isinstance(part, kind) for part in whole.modules()):
        msg = "the pass left the batch norm where it was"
        raise UnsupportedError(msg)


def _diagonal(bench: Bench, scene: Scene) -> Any:
    """A linear layer 2 x + 1."""
    torch, size = bench.torch, scene.channels
    layer = torch.nn.Linear(size, size, dtype=to_torch(torch, scene.x).dtype).eval()
    with torch.no_grad():
        layer.weight.copy_(2 * torch.eye(size))
        layer.bias.fill_(1.0)
    return layer


def _fuse_linear(bench: Bench, scene: Scene) -> Found:
    """A linear layer has rank 2 where the other scenes have an image of one pixel."""
    module = bench.module(scene).eval()
    whole = _fuse_linear_only(bench.torch, _diagonal(bench, scene), module)
    y = bench.call(whole, scene.x.reshape(len(scene.x), scene.channels))
    return {"y_folded": y.reshape(scene.x.shape)}


def _linear_rank_3(bench: Bench, scene: Scene, *, fold: Callable[[Any, Any, Any], Any]) -> Found:
    """The linear layer works on the last axis and batch norm on axis 1, which is as long."""
    torch, size = bench.torch, scene.channels
    layer = _diagonal(bench, scene)
    module = torch.nn.BatchNorm1d(size, eps=scene.epsilon).eval()
    module.load_state_dict(bench.module(scene).state_dict())
    whole = fold(torch, layer, module)
    x = np.repeat(scene.x.reshape(len(scene.x), size, 1), size, axis=2)
    return {"y_folded": bench.call(whole, x)[:, :, :1, None]}


def _fuse_linear_only(torch: Any, before: Any, module: Any) -> Any:
    return torch.nn.utils.fusion.fuse_linear_bn_eval(before, module)


def _shared(bench: Bench, scene: Scene, *, fold: Callable[[Any, Any], Any]) -> Found:
    """One convolution that is called twice, before the layer and before another one."""
    whole = _twice(bench.torch)
    whole.conv = _doubling(bench, scene, "Conv2d", 1)
    whole.layer, whole.other = bench.module(scene), bench.module(blank(scene))
    folded = fold(bench.torch, whole.eval())
    return {"y_folded": bench.call(lambda x: folded(x)[0], scene.x)}


def _twice(torch: Any) -> Any:
    class Twice(torch.nn.Module):  # type: ignore[misc]  # untyped
        def forward(self, x: Any) -> tuple[Any, Any]:
            return self.layer(self.conv(x)), self.other(self.conv(x))

    return Twice()


def _shared_fx(torch: Any, whole: Any) -> Any:
    del torch
    from torch.fx.experimental.optimization import fuse

    return fuse(whole)


def _shared_quantize_fx(torch: Any, whole: Any) -> Any:
    del torch
    from torch.ao.quantization.quantize_fx import fuse_fx

    return fuse_fx(whole)


def _mkldnn(bench: Bench, scene: Scene) -> Found:
    from torch.utils import mkldnn

    converted = mkldnn.to_mkldnn(bench.module(scene).eval())
    return {"y": bench.call(lambda x: converted(x.to_mkldnn()).to_dense(), scene.x)}


def _written(bench: Bench, module: Any, x: Array) -> bytes:
    """A model by the exporter that needs no package beside torch and onnx."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=bench.torch.jit.TracerWarning)
        bench.torch.onnx.export(module, (to_torch(bench.torch, x),), file, dynamo=False)
    return file.getvalue()


def _run(model: bytes, x: Array) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return found


def _nodes(model: bytes, kind: str) -> list[Any]:
    import onnx

    return [node for node in onnx.load_from_string(model).graph.node if node.op_type == kind]


def _onnx_export(bench: Bench, scene: Scene) -> Found:
    """The settings are read off the node: its momentum is the weight of the old value."""
    model = _written(bench, bench.module(scene).eval(), scene.x)
    (node,) = _nodes(model, "BatchNormalization")
    held = {each.name: each.f for each in node.attribute}
    return {"y": _run(model, scene.x)} | settings(held["epsilon"], held["momentum"])


def _onnx_folded(bench: Bench, scene: Scene) -> Found:
    before = _doubling(bench, scene, "Conv2d", 1)
    whole = bench.torch.nn.Sequential(before, bench.module(scene)).eval()
    model = _written(bench, whole, scene.x)
    if _nodes(model, "BatchNormalization"):
        msg = "the exporter left the batch norm where it was"
        raise UnsupportedError(msg)
    return {"y_folded": _run(model, scene.x)}


def _onnx_by_hand(bench: Bench, scene: Scene) -> Found:
    """The documented correspondence: weight, bias, running_mean, running_var, eps."""
    import onnx

    state = bench.state(bench.module(scene))
    gamma = state.get("gamma", np.ones_like(state["running_mean"]))
    beta = state.get("beta", np.zeros_like(state["running_mean"]))
    constants = (gamma, beta, state["running_mean"], state["running_var"])
    names = ("scale", "B", "input_mean", "input_var")
    node = onnx.helper.make_node("BatchNormalization", ["x", *names], ["y"], epsilon=scene.epsilon)
    kind = onnx.helper.np_dtype_to_tensor_dtype(scene.x.dtype)
    graph = onnx.helper.make_graph(
        [node],
        "from_torch",
        [onnx.helper.make_tensor_value_info("x", kind, scene.x.shape)],
        [onnx.helper.make_tensor_value_info("y", kind, scene.x.shape)],
        [onnx.numpy_helper.from_array(c, n) for n, c in zip(names, constants, strict=True)],
    )
    opset = onnx.helper.make_opsetid("", 15)
    ir_version = onnx.helper.find_min_ir_version_for([opset])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=ir_version)
    return {"y": _run(model.SerializeToString(), scene.x)}


WAYS: Mapping[str, Callable[[Bench, Scene], Found]] = {
    "export.torch.fuse_conv": partial(_folded, fold=_fuse, kind="Conv2d"),
    "export.torch.fuse_depthwise": partial(_folded, fold=_fuse, kind="Conv2d", groups=3),
    "export.torch.fuse_transposed": partial(_folded, fold=_fuse_transposed, kind="ConvTranspose2d"),
    "export.torch.fuse_transposed_groups": partial(
        _folded, fold=_fuse_transposed, kind="ConvTranspose2d", groups=3
    ),
    "export.torch.fuse_linear": _fuse_linear,
    "export.torch.fuse_linear_no_affine": _fuse_linear,
    "export.torch.fuse_linear_rank_3": partial(_linear_rank_3, fold=_fuse_linear_only),
    "export.torch.frozen_linear_rank_3": partial(_linear_rank_3, fold=_freeze),
    "export.torch.fuse_fx_shared": partial(_shared, fold=_shared_fx),
    "export.torch.quantize_fx_shared": partial(_shared, fold=_shared_quantize_fx),
    "export.torch.fuse_fx": partial(_folded, fold=_fuse_fx, kind="Conv2d"),
    "export.torch.fuse_modules": partial(_folded, fold=_fuse_modules, kind="Conv2d"),
    "export.torch.frozen": partial(_folded, fold=_freeze, kind="Conv2d"),
    "export.torch.mkldnn": _mkldnn,
    "export.torch.onnx_export": _onnx_export,
    "export.torch.onnx_folded": _onnx_folded,
    "export.torch.onnx_by_hand": _onnx_by_hand,
}
"""By the experiment's name."""

NAMES = frozenset({**WAYS, **torch_exports.WAYS})
"""Every way out of PyTorch."""


def observe(torch: Any, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`NAMES`."""
    way = {**WAYS, **torch_exports.WAYS}[experiment]
    return travel(arrays, partial(way, Bench(torch=torch)))
