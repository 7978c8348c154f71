"""The batch-normalization tests that the ``onnx`` package ships, as vectors.

They come in two ways: node tests are made by code (``onnx.backend.test.case.node``), models
converted from PyTorch lie as files with their data (``onnx/backend/test/data``). Only models that
are one BatchNormalization node are read: in a larger one its input and output are not recorded.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Mode
from ..cases.fills import Float64
from ..contract import Array, Quantity
from ..dialect import RunningVariance
from ..formats import NUMPY_DTYPES, DType
from .format import Vector, VectorFile, VectorInputs, input_format

OPERATOR = "BatchNormalization"


class OnnxError(Exception):
    """The package is absent, or holds no test that can be read; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class _Test:
    """A model of one node, one set of data, and how exact ONNX says that its outputs are."""

    name: str
    model: Any
    inputs: Sequence[Array]
    outputs: Sequence[Array]
    rtol: float
    atol: float


def onnx_vectors() -> VectorFile:
    """All that the installed package has; :class:`OnnxError` where there is none."""
    try:
        onnx = importlib.import_module("onnx")
        tests = [*_node_tests(), *_stored_tests(onnx)]
    except ImportError as error:
        msg = f"the onnx package cannot be imported ({error}): pip install onnx"
        raise OnnxError(msg) from error
    vectors = tuple(_vector(onnx, test) for test in tests)
    if not vectors:
        msg = f"onnx {onnx.__version__} ships no test of a single {OPERATOR} node"
        raise OnnxError(msg)
    return VectorFile(source=f"the tests of the onnx {onnx.__version__} package", vectors=vectors)


def _node_tests() -> Iterator[_Test]:
    """Tests that the package's own code generates, from a seed of its own, when imported."""
    state = np.random.get_state()  # noqa: NPY002 -- the package reseeds it; put back below
    module = importlib.import_module("onnx.backend.test.case.node")
    importlib.import_module("onnx.backend.test.case.node.batch_normalization")
    np.random.set_state(state)  # noqa: NPY002
    # No public name gives these without importing the tests of every operator: seconds.
    for case in module._NodeTestCases:  # noqa: SLF001
        if _is_one_node(case.model):
            for inputs, outputs in case.data_sets:
                yield _Test(
                    name=case.name,
                    model=case.model,
                    inputs=inputs,
                    outputs=outputs,
                    rtol=case.rtol,
                    atol=case.atol,
                )


def _stored_tests(onnx: Any) -> Iterator[_Test]:
    """Models that lie in the package as files, with one folder to each set of data."""
    root = Path(onnx.__file__).parent / "backend" / "test" / "data"
    loader = importlib.import_module("onnx.backend.test.loader")
    for kind in sorted(folder.name for folder in root.iterdir() if folder.is_dir()):
        for case in sorted(loader.load_model_tests(kind=kind), key=lambda case: str(case.name)):
            if case.model_dir is None:  # a model to be downloaded
                continue
            model = onnx.load(Path(case.model_dir) / "model.onnx")
            if _is_one_node(model):
                yield from _data_sets(onnx, case, model)


def _data_sets(onnx: Any, case: Any, model: Any) -> Iterator[_Test]:
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        stored = {
            name: [_tensor(onnx, folder / f"{name}_{index}.pb") for index in range(count)]
            for name in ("input", "output")
            for count in (len(list(folder.glob(f"{name}_*.pb"))),)
        }
        yield _Test(
            name=case.name,
            model=model,
            inputs=stored["input"],
            outputs=stored["output"],
            rtol=case.rtol,
            atol=case.atol,
        )


def _tensor(onnx: Any, path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    array: Array = onnx.numpy_helper.to_array(tensor)
    return array


def _is_one_node(model: Any) -> bool:
    nodes = model.graph.node
    return len(nodes) == 1 and nodes[0].op_type == OPERATOR


def _vector(onnx: Any, test: _Test) -> Vector:
    node = test.model.graph.node[0]
    version = next(each.version for each in test.model.opset_import if each.domain == "")
    attributes = _attributes(onnx, node, version)
    arrays = _input_arrays(onnx, test)
    x, gamma, beta, mean, var = (arrays[name] for name in node.input)
    dtype = next(each for each, form in NUMPY_DTYPES.items() if form == x.dtype)
    training = _is_training(test.name, attributes, version)
    outputs = dict(zip(node.output, test.outputs, strict=True))
    return Vector(
        id=test.name,
        mode=Mode.TRAIN if training else Mode.INFERENCE,
        dtype=dtype,
        axes=(1,),
        epsilon=attributes["epsilon"],
        # The operator's text: momentum weighs the old value, and in training "the population
        # variance" of the batch enters the running one.
        decay=attributes["momentum"],
        running_variance=RunningVariance.BIASED if training else None,
        inputs=VectorInputs(
            x=x,
            gamma=_parameter(gamma, dtype),
            beta=_parameter(beta, dtype),
            running_mean=_parameter(mean, dtype),
            running_var=_parameter(var, dtype),
        ),
        expected=_expected(node, outputs),
        rtol=test.rtol,
        atol=test.atol,
    )


def _attributes(onnx: Any, node: Any, version: int) -> dict[str, Any]:
    """The node's attributes, and the operator's defaults of that version for the rest."""
    schema = onnx.defs.get_schema(OPERATOR, version)
    found = {
        name: onnx.helper.get_attribute_value(attribute.default_value)
        for name, attribute in schema.attributes.items()
        if attribute.default_value.name
    }
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return found | given


def _is_training(name: str, attributes: Mapping[str, Any], version: int) -> bool:
    """Which mode is asked for: each version of the operator has another way to say it."""
    if version >= 14:
        return bool(attributes["training_mode"])
    if version < 7 and attributes["is_test"]:
        return False
    msg = f"{name} uses version {version} of {OPERATOR}, whose mode is not read here"
    raise OnnxError(msg)


def _input_arrays(onnx: Any, test: _Test) -> dict[str, Array]:
    """Every input of the node by name: what the model holds, and what the data set brings."""
    graph = test.model.graph
    held = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    fed = [each.name for each in graph.input if each.name not in held]
    return {**held, **dict(zip(fed, test.inputs, strict=True))}


def _parameter(array: Array, dtype: DType) -> Array:
    return array.astype(input_format("gamma", dtype))


def _expected(node: Any, outputs: Mapping[str, Array]) -> dict[Quantity, Float64]:
    quantities = (Quantity.Y, Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR)
    return {
        quantity: outputs[name].astype(np.float64)
        for quantity, name in zip(quantities, node.output, strict=False)
    }
