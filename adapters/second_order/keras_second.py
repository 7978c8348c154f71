"""Second derivatives of a Keras layer, by the means of its backend."""

from __future__ import annotations

from typing import Any

from bnconform.adapters.second_order import jax_second, tf_second, torch_second
from bnconform.adapters.second_order.request import Request
from bnconform.conformance.contract import Array


def observe(keras: Any, layer: Any, asked: Request) -> dict[str, Array]:
    """What ``asked`` wants to see of a built layer, called as a function of its parameters."""
    state = [variable.value for variable in layer.non_trainable_variables]

    def forward(x: Any, *affine: Any) -> Any:
        y, _ = layer.stateless_call(list(affine), state, x, training=asked.training)
        return y

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf_second.observe(tf, forward, asked)
        case "torch":
            import torch

            return torch_second.observe(torch, forward, asked)
        case _:
            import jax

            return jax_second.observe(jax, forward, asked)
