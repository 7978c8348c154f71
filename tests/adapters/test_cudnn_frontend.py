"""The adapter of cuDNN's graph API, against a stand-in for its Python module on the CPU.

What is tried is which tensors go where. What cuDNN makes of them, only a GPU can tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.cudnn_frontend import CudnnFrontend
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Step, UnsupportedError
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.formats import DType

torch = pytest.importorskip("torch")

TRAINING = True
CASE = Case(
    shape=(4, 3, 5, 2),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CHANNELS_LAST,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=2,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)


class NotSupportedError(Exception):
    """cuDNN's, when it has no engine for a graph."""


@dataclass(eq=False)
class Node:
    """A tensor of a graph: set as an output in a chain of calls."""

    kind: Any = None

    def set_output(self, _: bool) -> Node:  # noqa: FBT001 - as in the real one
        return self

    def set_data_type(self, kind: Any) -> Node:
        self.kind = kind
        return self


class Graph:
    """One operation, computed by PyTorch when it is executed."""

    supported = True

    def __init__(self, **options: Any) -> None:
        self.options = options

    def tensor_like(self, tensor: Any) -> Node:
        return Node(kind=tensor.dtype)

    def batchnorm(self, **nodes: Any) -> list[Node]:
        return self._keep(self._forward, nodes, 5)

    def batchnorm_backward(self, **nodes: Any) -> list[Node]:
        return self._keep(self._backward, nodes, 3)

    def batchnorm_inference(self, **nodes: Any) -> Node:
        (node,) = self._keep(self._infer, nodes, 1)
        return node

    def _keep(self, compute: Any, nodes: dict[str, Any], count: int) -> list[Node]:
        self.compute, self.nodes = compute, {k: v for k, v in nodes.items() if k != "name"}
        self.outputs = [Node() for _ in range(count)]
        return self.outputs

    def check_support(self) -> None:
        if not Graph.supported:
            msg = "no engine\nwhatever"
            raise NotSupportedError(msg)

    def validate(self) -> None: ...

    def build_operation_graph(self) -> None: ...

    def create_execution_plans(self, modes: Any) -> None: ...

    def build_plans(self) -> None: ...

    def get_workspace_size(self) -> int:
        return 16

    def execute(self, pack: dict[Node, Any], workspace: Any, handle: Any) -> None:
        assert (workspace.numel(), handle) == (16, "handle")
        got = self.compute(**{name: pack[node] for name, node in self.nodes.items()})
        for node, value in zip(self.outputs, got, strict=True):
            pack[node].copy_(value.reshape(pack[node].shape))

    def _forward(self, **t: Any) -> Any:
        mean, var = t["in_running_mean"].flatten(), t["in_running_var"].flatten()
        y, saved, inverse = torch.native_batch_norm(
            t["input"], t["scale"].flatten(), t["bias"].flatten(), mean, var,
            TRAINING, t["momentum"].item(), t["epsilon"].item(),
        )  # fmt: skip
        return y, saved, inverse, mean, var

    def _backward(self, **t: Any) -> Any:
        flat = {name: t[name].flatten() for name in ("scale", "mean", "inv_variance")}
        return torch.ops.aten.native_batch_norm_backward(
            t["grad"], t["input"], flat["scale"], None, None, flat["mean"], flat["inv_variance"],
            TRAINING, 0.0, [True] * 3,
        )  # fmt: skip

    def _infer(self, **t: Any) -> Any:
        return [(t["input"] - t["mean"]) * t["inv_variance"] * t["scale"] + t["bias"]]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudnnFrontend]:
    """The subject on the CPU, with the stand-in for cuDNN's module."""
    stand_in = SimpleNamespace(
        __version__="0",
        backend_version_string=lambda: "0",
        create_handle=lambda: "handle",
        pygraph=Graph,
        data_type=SimpleNamespace(HALF=0, BFLOAT16=1, FLOAT=2),
        heur_mode=SimpleNamespace(A=0, FALLBACK=1),
        cudnnGraphNotSupportedError=NotSupportedError,
    )
    monkeypatch.setitem(sys.modules, "cudnn", stand_in)
    yield CudnnFrontend("cpu")
    Graph.supported = True


def test_every_tensor_goes_where_it_belongs(adapter: CudnnFrontend) -> None:
    """Two training steps and inference give what PyTorch's function gives."""
    for got, expected in zip(_answers(adapter), _answers(TorchFunctional()), strict=True):
        for quantity, value in vars(expected).items():
            found = getattr(got, quantity)
            if value is not None and found is not None:
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=quantity)


def test_training_gives_all_that_is_declared(adapter: CudnnFrontend) -> None:
    """No quantity that the capabilities name is missing, and each has the contract's shape."""
    step = _answers(adapter)[0]
    for quantity in adapter.capabilities.quantities - {"y_infer"}:
        wide = quantity in ("y", "dx")
        assert getattr(step, quantity).shape == (CASE.shape if wide else CASE.feature_shape)


def test_what_cudnn_has_no_engine_for_is_unsupported(adapter: CudnnFrontend) -> None:
    """The reason is the first line of what cuDNN says."""
    Graph.supported = False
    with pytest.raises(UnsupportedError, match=r"^cuDNN has no engine: no engine$"):
        _answers(adapter)


def test_scale_and_bias_are_needed(adapter: CudnnFrontend) -> None:
    """Without them the case is unsupported, not computed with ones and zeros."""
    case = replace(CASE, scale=False, center=False)
    with pytest.raises(UnsupportedError, match="scale and bias are inputs"):
        adapter.build(case, make_inputs(case).parameters)


def test_without_a_gpu_the_subject_is_unavailable() -> None:
    """The constructor raises ImportError and says that there is no GPU."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ImportError, match="finds no GPU"):
        CudnnFrontend()


def test_without_the_front_end_the_subject_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constructor raises ImportError, which names the module."""
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(ImportError, match="cudnn"):
        CudnnFrontend("cpu")


def test_what_it_declares_is_usable() -> None:
    """The harness finds no fault with name, claims and notes."""
    target = Target(module="bnconform.adapters.cudnn_frontend", attribute="CudnnFrontend")
    assert load_class(target)


def _answers(adapter: Any) -> list[Step]:
    inputs = make_inputs(CASE)
    layer = adapter.build(CASE, inputs.parameters)
    steps = [layer.train(call.x, call.dy) for call in inputs.steps]
    return [*steps, layer.infer(inputs.inference.x, inputs.inference.dy)]
