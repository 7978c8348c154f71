"""Layers of the JAX libraries as pairs of functions of their variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnconform.adapters.exports.jax_exports import Journey
from bnconform.adapters.exports.scenes import Scene


def flax_layer(jax: Any, linen: Any, scene: Scene) -> Journey:
    """``flax.linen.BatchNorm`` with its two collections."""
    module = linen.BatchNorm(
        axis=scene.axis,
        momentum=scene.decay,
        epsilon=scene.epsilon,
        use_scale=scene.gamma is not None,
        use_bias=scene.beta is not None,
        param_dtype=scene.x.dtype,
    )
    held = {"scale": scene.gamma, "bias": scene.beta}
    variables = {
        "params": {name: value for name, value in held.items() if value is not None},
        "batch_stats": {"mean": scene.mean, "var": scene.variance},
    }

    def train(x: Any, variables: Any) -> tuple[Any, Any]:
        y, new = module.apply(variables, x, use_running_average=False, mutable=["batch_stats"])
        return y, {**variables, **new}

    def look(variables: Any) -> Mapping[str, Any]:
        params, stats = variables.get("params", {}), variables["batch_stats"]
        named = {"gamma": params.get("scale"), "beta": params.get("bias")}
        found = {name: value for name, value in named.items() if value is not None}
        return found | {"running_mean": stats["mean"], "running_var": stats["var"]}

    def infer(x: Any, variables: Any) -> Any:
        return module.apply(variables, x, use_running_average=True)

    return Journey(
        jax=jax, variables=variables, infer=jax.jit(infer), train=jax.jit(train), look=look
    )


def haiku_layer(jax: Any, haiku: Any, scene: Scene) -> Journey:
    """``hk.BatchNorm`` transformed; its averages begin as the scene's, hidden and counter at 0."""
    axis = scene.axis % scene.x.ndim

    def network(x: Any, is_training: bool) -> Any:  # noqa: FBT001 -- as Haiku's own modules
        return haiku.BatchNorm(
            create_scale=scene.gamma is not None,
            create_offset=scene.beta is not None,
            decay_rate=scene.decay,
            eps=scene.epsilon,
            axis=[each for each in range(scene.x.ndim) if each != axis],
            name="bn",
        )(x, is_training)

    made = haiku.without_apply_rng(haiku.transform_with_state(network))
    params, state = made.init(None, scene.x, is_training=True)
    wide = [1] * scene.x.ndim
    wide[axis] = scene.channels
    for name, value in (("scale", scene.gamma), ("offset", scene.beta)):
        if value is not None:
            params["bn"][name] = value.reshape(wide)
    for name, value in (("mean", scene.mean), ("var", scene.variance)):
        state[f"bn/~/{name}_ema"]["average"] = None if value is None else value.reshape(wide)

    def infer(x: Any, variables: Any) -> Any:
        return made.apply(*variables, x, is_training=False)[0]

    def train(x: Any, variables: Any) -> tuple[Any, Any]:
        y, new = made.apply(*variables, x, is_training=True)
        return y, (variables[0], new)

    def look(variables: Any) -> Mapping[str, Any]:
        params, state = variables
        held = params.get("bn", {})
        named = {"gamma": held.get("scale"), "beta": held.get("offset")}
        named |= {
            f"running_{name}": state[f"bn/~/{name}_ema"]["average"] for name in ("mean", "var")
        }
        return {name: value.reshape(-1) for name, value in named.items() if value is not None}

    return Journey(
        jax=jax, variables=(params, state), infer=jax.jit(infer), train=jax.jit(train), look=look
    )


def equinox_layer(jax: Any, equinox: Any, mode: str, scene: Scene) -> Journey:
    """``eqx.nn.BatchNorm`` and its state under ``jax.vmap``."""
    affine = scene.gamma is not None
    layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
        scene.channels,
        "batch",
        eps=scene.epsilon,
        momentum=scene.decay,
        channelwise_affine=affine,
        dtype=scene.x.dtype,
        mode=mode,
    )
    if affine:
        given = (scene.gamma, scene.beta)
        layer = equinox.tree_at(lambda each: (each.weight, each.bias), layer, given)
    index = layer.ema_state_index if mode == "ema" else layer.batch_state_index
    state = state.set(index, tuple(map(jax.numpy.asarray, (scene.mean, scene.variance))))
    if mode == "ema":
        state = state.set(layer.ema_first_time_index, jax.numpy.asarray(False))  # noqa: FBT003 -- a flag

    def call(x: Any, variables: Any, *, inference: bool) -> tuple[Any, Any]:
        layer, state = variables
        layer = equinox.nn.inference_mode(layer, value=inference)
        over = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        y, new = over(x, state)
        return y, new

    def train(x: Any, variables: Any) -> tuple[Any, Any]:
        y, new = call(x, variables, inference=False)
        return y, (variables[0], new)

    def look(variables: Any) -> Mapping[str, Any]:
        layer, state = variables
        mean, var = state.get(index)
        named = {"gamma": layer.weight, "beta": layer.bias, "running_mean": mean}
        return {name: each for name, each in named.items() if each is not None} | {
            "running_var": var
        }

    return Journey(
        jax=jax,
        variables=(layer, state),
        infer=lambda x, variables: call(x, variables, inference=True)[0],
        train=train,
        look=look,
        # In mode "ema" the running statistics normalize training, too.
        shows_y_train=False,
    )
