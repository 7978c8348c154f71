"""What the PyTorch, Keras and Flax subjects do with a variant that no value shows.

Values are compared in ``test_variants.py``. Synchronized replicas give the values of one layer on
the whole batch, so that an adapter could leave the replicas out unseen; and a convention that
widens a bound needs more than a result within it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bnconform.adapters.keras_layer import KerasJax, KerasTensorflow, KerasTorch
from bnconform.adapters.torch_functional import TorchFunctional
from bnconform.adapters.torch_module import TorchModule
from bnconform.conformance.dialect import SavedStatistics


def _run(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


_REPLICAS = """
import json, types
from bnconform.adapters.flax_linen import FlaxLinen
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.formats import DType
from bnconform.conformance.variant import Synchronized

case = Case(
    shape=(12, 3, 4), last_batch=6, feature_axes=(-1,), dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS, upstream_layout=Layout.CONTIGUOUS, center=True, scale=True,
    mode=Mode.TRAIN, steps=2, epsilon=1e-3, decay=0.75,
    fill=Fill(kind=FillKind.NORMAL, seed=1), variant=Synchronized(replicas=3, uneven=False),
)
adapter, inputs, seen = FlaxLinen(), make_inputs(case), []
framework = adapter.linen

class Recording(framework.BatchNorm):
    def __call__(self, x, **others):
        seen.append([self.axis_name, list(x.shape)])
        return super().__call__(x, **others)

adapter.linen = types.SimpleNamespace(BatchNorm=Recording)
layer = adapter.build(case, inputs.parameters)
for call in inputs.steps:
    layer.train(call.x, call.dy)
layer.infer(inputs.inference.x, inputs.inference.dy)
print(json.dumps(seen))
"""


def test_flax_replicas_see_their_own_samples_and_name_the_axis_they_share() -> None:
    """A third of a batch of 12, then of 6; inference is one layer on all of them."""
    seen = json.loads(_run(_REPLICAS, {"JAX_PLATFORMS": "cpu"}))
    assert seen == [["replicas", [4, 3, 4]], ["replicas", [2, 3, 4]], [None, [12, 3, 4]]]


_REFUSED = "only supported with the TensorFlow backend"


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        # The only backend that has it, and it asks for a distribution strategy's replicas.
        pytest.param(KerasTensorflow, "accepted", id="tensorflow"),
        pytest.param(KerasTorch, _REFUSED, id="torch"),
        pytest.param(KerasJax, _REFUSED, id="jax"),
    ],
)
def test_keras_synchronizes_on_tensorflow_alone(
    subject: type[KerasTensorflow | KerasTorch | KerasJax], answer: str
) -> None:
    """Which is what the note of the Keras subjects says about replicas."""
    script = (
        "import keras\n"
        "try:\n"
        "    keras.layers.BatchNormalization(synchronized=True)\n"
        "    print('accepted')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    assert answer in _run(script, dict(subject.environment))
    assert _REFUSED in subject.capabilities.notes["variants"]


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("subject", [TorchFunctional, TorchModule], ids=lambda each: each.name)
def test_pytorch_saves_batch_statistics_in_the_format_of_its_parameters(
    subject: type[TorchFunctional | TorchModule], half: str
) -> None:
    """As the dialects claim: in float32 beside float32 parameters, and in half beside half ones."""
    import torch

    assert subject.dialect.saved_statistics.value is SavedStatistics.PARAMETERS
    x = torch.ones(4, 3, dtype=getattr(torch, half))
    for parameters in (torch.float32, x.dtype):
        weight = torch.ones(3, dtype=parameters)
        _, mean, invstd = torch.native_batch_norm(
            x, weight, None, None, None, training=True, momentum=0.1, eps=1e-3
        )
        assert (mean.dtype, invstd.dtype) == (parameters, parameters)


@pytest.mark.xfail(strict=True, reason="where they differ, products are rounded before the sum")
def test_half_precision_gradients_on_pytorch_do_not_depend_on_the_layout_of_dy() -> None:
    """Memory layout is no part of batch normalization: dgamma has the same bits."""
    import torch

    generator = torch.Generator().manual_seed(1)
    x, dy = torch.randn(2, 16, 8, 5, 3, generator=generator).bfloat16()
    weight = torch.ones(8, dtype=torch.bfloat16, requires_grad=True)
    y = torch.nn.functional.batch_norm(x, None, None, weight, None, training=True)
    found = [
        torch.autograd.grad(y, weight, dy.contiguous(memory_format=each), retain_graph=True)[0]
        for each in (torch.contiguous_format, torch.channels_last)
    ]
    assert bool((found[0] == found[1]).all())
