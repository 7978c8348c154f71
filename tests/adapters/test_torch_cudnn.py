"""PyTorch's GPU subjects, as far as a machine without a GPU can tell: the code path on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.torch_cudnn import TorchCuda, TorchCudnn
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Step, UnsupportedError
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import Untracked

torch = pytest.importorskip("torch")

_BASE = Case(
    shape=(4, 3, 5, 2),
    last_batch=3,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=2,
    epsilon=1e-3,
    decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=5),
)
CASES = {
    "plain": _BASE,
    "channels last in memory": replace(_BASE, layout=Layout.CHANNELS_LAST),
    "gaps in memory": replace(_BASE, layout=Layout.STRIDED),
    "feature axis last": replace(_BASE, feature_axes=(-1,)),
    "bfloat16, whose bits travel as integers": replace(_BASE, dtype=DType.BFLOAT16),
    "no gamma": replace(_BASE, scale=False),
    "neither gamma nor beta": replace(_BASE, scale=False, center=False),
    "by running statistics": replace(_BASE, mode=Mode.INFERENCE, steps=1, decay=None),
    "no running statistics": replace(_BASE, variant=Untracked()),
}


class ChoosesCudnn(TorchCudnn):
    """The subject on the CPU, as if PyTorch chose cuDNN for all calls."""

    def backend(self, tensors: Mapping[str, Any], *, training: bool, epsilon: float) -> str:
        return "Cudnn"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("subject", [TorchCuda, ChoosesCudnn])
def test_on_the_cpu_the_answers_are_the_function_s(name: str, subject: type[TorchCuda]) -> None:
    """Moved to a device and back, the same call gives the same bits in every quantity."""
    got = _answers(subject("cpu"), CASES[name])
    for one, other in zip(got, _answers(TorchFunctional(), CASES[name]), strict=True):
        for quantity, value in vars(other).items():
            np.testing.assert_array_equal(getattr(one, quantity), value, quantity)


@pytest.mark.parametrize("name", CASES)
def test_what_pytorch_computes_without_cudnn_is_unsupported(name: str) -> None:
    """The subject asks PyTorch, which never calls cuDNN on the CPU, and passes nothing off."""
    with pytest.raises(UnsupportedError, match=r"does not call cuDNN here: .*: Native$"):
        _answers(TorchCudnn("cpu"), CASES[name])


@pytest.mark.parametrize("subject", [TorchCuda, TorchCudnn])
def test_without_a_gpu_the_subject_is_unavailable(subject: type[TorchCuda]) -> None:
    """The constructor raises ImportError and says that there is no GPU."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ImportError, match="finds no GPU"):
        subject()


@pytest.mark.parametrize(("subject", "allowed"), [(TorchCuda, False), (TorchCudnn, True)])
def test_cudnn_is_switched_on_for_its_subject_alone(
    subject: type[TorchCuda],
    allowed: bool,  # noqa: FBT001
) -> None:
    """Within the flags cuDNN may be called or not; outside, PyTorch's own setting is back."""
    before = torch.backends.cudnn.enabled
    with subject("cpu").flags():
        assert torch.backends.cudnn.enabled is allowed
    assert torch.backends.cudnn.enabled is before


@pytest.mark.parametrize("subject", ["TorchCuda", "TorchCudnn"])
def test_what_it_declares_is_usable(subject: str) -> None:
    """The harness finds no fault with names, claims and notes."""
    assert load_class(Target(module="bnconform.adapters.torch_cudnn", attribute=subject))


def _answers(adapter: Any, case: Case) -> list[Step]:
    inputs = make_inputs(case)
    layer = adapter.build(case, inputs.parameters)
    trained = inputs.steps if case.mode is Mode.TRAIN else ()
    steps = [layer.train(call.x, call.dy) for call in trained]
    return [*steps, layer.infer(inputs.inference.x, inputs.inference.dy)]
