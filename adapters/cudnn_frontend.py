"""cuDNN's graph API through its Python front end, ``cudnn.pygraph().batchnorm`` and its backward.

Written from the front end's documentation. A graph that cuDNN has no engine for is unsupported, in
cuDNN's own words. Training alone: the front end's inference takes an inverse deviation, which its
caller computes, and there is no derivative of it; the output after training is normalized so, by
PyTorch's ``rsqrt`` of the running variance and epsilon.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bnconform.adapters.torch_arrays import THREADS, to_numpy, to_torch
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType

_DOCS = "cudnn-frontend docs/operations/Normalizations.md"
_LEGACY = "cuDNN API, cudnnBatchNormalizationForwardTraining: "


class CudnnFrontend:
    """Graphs of one operation each, built for every call."""

    name: ClassVar[str] = "cudnn.frontend"
    framework: ClassVar[str] = "cudnn"
    gpu: ClassVar[bool] = True
    environment: ClassVar[Mapping[str, str]] = THREADS
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(
            MomentumSense.RATE, _DOCS + ": '(1 - momentum)*previous + momentum*current'"
        ),
        default_momentum=Claim(None, _DOCS + ": momentum is an input"),
        default_epsilon=Claim(None, _DOCS + ": epsilon is an input"),
        epsilon_floor=Claim(0.0, "cudnn.h: CUDNN_BN_MIN_EPSILON is 0.0 since cuDNN 7.5"),
        running_variance=Claim(
            RunningVariance.UNBIASED, _LEGACY + "the running variance is the unbiased one"
        ),
        variance=Claim(VarianceAlgorithm.WELFORD, "assumed: the algorithm is not documented"),
        single_value=Claim(Policy.COMPUTES, "assumed: nothing is documented"),
        empty_batch=Claim(Policy.REJECTS, "assumed: nothing is documented"),
        frozen=Claim(FrozenPolicy.NONE, _DOCS + ": an operation has nothing to freeze"),
        half_output=Claim(HalfOutput.INPUT, "io_data_type of the graph is the input's"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32}),
        ranks=frozenset({4, 5}),
        axes=Axes.CHANNEL,
        modes=frozenset({Mode.TRAIN}),
        quantities=frozenset(Quantity) - {Quantity.BATCH_VAR},
        partial_affine=False,
        notes={
            "dtypes": "compute_data_type FLOAT, with statistics in it",
            "ranks": _DOCS + ": images and volumes, channels in dimension 1",
            "axes": _DOCS + ": channels are dimension 1; strides say where they lie",
            "modes": "batchnorm_backward belongs to training; inference has no derivative",
            "quantities": _DOCS + ": the mean and the inverse deviation are saved",
            "partial_affine": _DOCS + ": scale and bias are inputs of the operation",
            "cumulative": _DOCS + ": momentum is a number",
        },
    )

    def __init__(self, device: str = "cuda") -> None:
        """Import torch, whose memory is used, and cudnn; ImportError where there is no GPU."""
        import torch

        self.placement = torch.device(device)
        if self.placement.type == "cuda" and not torch.cuda.is_available():
            msg = f"torch {torch.__version__} finds no GPU"
            raise ImportError(msg)
        cudnn = importlib.import_module("cudnn")
        self.torch, self.cudnn = torch, cudnn
        self.version: str = cudnn.__version__
        self.device = f"{device}, cuDNN {cudnn.backend_version_string()}"
        self.handle = cudnn.create_handle()

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold parameters and state as (1, C, 1, ...); both scale and bias are needed."""
        if parameters.gamma is None or parameters.beta is None:
            msg = "scale and bias are inputs of cuDNN's operation"
            raise UnsupportedError(msg)
        return _Layer(self, case, parameters)

    def run(
        self,
        given: Mapping[str, Any],
        build: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
        results: Mapping[str, Any],
    ) -> None:
        """Execute the graph of ``build`` on ``given``, its outputs into ``results``, by name."""
        cudnn, torch = self.cudnn, self.torch
        kinds = {
            torch.float16: cudnn.data_type.HALF,
            torch.bfloat16: cudnn.data_type.BFLOAT16,
            torch.float32: cudnn.data_type.FLOAT,
        }
        graph = cudnn.pygraph(
            io_data_type=kinds[given["input"].dtype],
            intermediate_data_type=cudnn.data_type.FLOAT,
            compute_data_type=cudnn.data_type.FLOAT,
            handle=self.handle,
        )
        nodes = {name: graph.tensor_like(tensor) for name, tensor in given.items()}
        outputs = build(graph, nodes)
        for name, node in outputs.items():
            node.set_output(True).set_data_type(kinds[results[name].dtype])
        try:
            graph.validate()
            graph.build_operation_graph()
            graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
            graph.check_support()
        except cudnn.cudnnGraphNotSupportedError as error:
            msg = f"cuDNN has no engine: {str(error).splitlines()[0]}"
            raise UnsupportedError(msg) from error
        graph.build_plans()
        pack = {nodes[name]: tensor for name, tensor in given.items()}
        pack |= {outputs[name]: results[name] for name in outputs}
        size = graph.get_workspace_size()
        workspace = torch.empty(size, device=self.placement, dtype=torch.uint8)
        graph.execute(pack, workspace, handle=self.handle)


class _Layer:
    def __init__(self, adapter: CudnnFrontend, case: Case, parameters: Parameters) -> None:
        self.adapter, self.case = adapter, case
        flat = (1, -1, *[1] * (case.rank - 2))
        named = {
            "scale": parameters.gamma,
            "bias": parameters.beta,
            "mean": parameters.running_mean,
            "var": parameters.running_var,
        }
        self.state = {
            name: self.place(array).clone().reshape(flat)
            for name, array in named.items()
            if array is not None
        }

    def place(self, array: Array) -> Any:
        """The array's values and strides on the device."""
        torch, host = self.adapter.torch, to_torch(self.adapter.torch, array)
        placed = torch.empty_strided(
            host.shape, host.stride(), dtype=host.dtype, device=self.adapter.placement
        )
        return placed.copy_(host)

    def train(self, x: Array, dy: Array) -> Step:
        """Forward by the batch, then backward; the running statistics are updated."""
        torch, s = self.adapter.torch, self.state
        decay = self.case.decay
        rate = 1.0 - (1.0 if decay is None else decay)
        one = [1] * x.ndim
        given = {"input": self.place(x), "scale": s["scale"], "bias": s["bias"]}
        given |= {"in_running_mean": s["mean"], "in_running_var": s["var"]}
        # Numbers are passed as tensors in the host's memory.
        given |= {"epsilon": torch.full(one, self.case.epsilon), "momentum": torch.full(one, rate)}
        names = ("y", "mean", "inv_variance", "running_mean", "running_var")
        out = {name: torch.empty_like(s["mean"]) for name in names[1:]}
        out["y"] = torch.empty_like(given["input"])
        self.adapter.run(
            given,
            lambda graph, n: dict(zip(names, graph.batchnorm(name="bn", **n), strict=True)),
            out,
        )
        s["mean"], s["var"] = out["running_mean"], out["running_var"]
        grad = {"grad": self.place(dy), "input": given["input"], "scale": s["scale"]}
        grad |= {name: out[name] for name in ("mean", "inv_variance")}
        found = {"dx": torch.empty_like(given["input"])}
        found |= {name: torch.empty_like(s["scale"]) for name in ("dgamma", "dbeta")}
        self.adapter.run(
            grad,
            lambda graph, n: dict(
                zip(
                    ("dx", "dgamma", "dbeta"),
                    graph.batchnorm_backward(name="dbn", **n),
                    strict=True,
                )
            ),
            found,
        )
        return self._step(found | {"y": out["y"], "batch_mean": out["mean"]})

    def infer(self, x: Array, dy: Array) -> Step:  # noqa: ARG002 - there is no derivative
        """By the running statistics, whose inverse deviation the caller computes."""
        s = self.state
        given = {"input": self.place(x), "mean": s["mean"]}
        given["inv_variance"] = self.adapter.torch.rsqrt(s["var"] + self.case.epsilon)
        given |= {"scale": s["scale"], "bias": s["bias"]}
        out = {"y": self.adapter.torch.empty_like(given["input"])}
        self.adapter.run(given, lambda graph, n: {"y": graph.batchnorm_inference(**n)}, out)
        return self._step(out)

    def _step(self, found: Mapping[str, Any]) -> Step:
        torch = self.adapter.torch
        state = {"running_mean": self.state["mean"], "running_var": self.state["var"]}
        shape = self.case.feature_shape
        arrays = {
            name: to_numpy(torch, tensor if name in ("y", "dx") else tensor.reshape(shape))
            for name, tensor in {**found, **state}.items()
        }
        return Step(**arrays)
