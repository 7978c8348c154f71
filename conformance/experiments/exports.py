"""Conversion and export: every way out of a framework and back that is tried."""

from __future__ import annotations

from dataclasses import replace

from ..formats import DType
from .export_scenes import (
    AXIS_1,
    BFLOAT16,
    CUMULATIVE,
    EQUAL,
    FLOAT16,
    FLOAT64,
    GAMMA,
    HALF_NO_VARIANCE,
    LARGE_EPSILON,
    NO_AFFINE,
    NO_CENTER,
    NO_EPSILON,
    NO_SCALE,
    NO_VARIANCE,
    PLAIN,
    TINY_EPSILON,
    UNTRACKED,
    Scene,
)
from .export_ways import KEPT, OUTPUT, PARAMETERS, SETTINGS, STATE, Way

_FORMATS = (PLAIN, FLOAT64, FLOAT16, BFLOAT16)
_VALUES = (GAMMA, NO_VARIANCE, NO_EPSILON, TINY_EPSILON, LARGE_EPSILON)
_TORCH = (*_FORMATS, NO_AFFINE, NO_CENTER, CUMULATIVE, TINY_EPSILON)


def _torch(name: str, purpose: str, scenes: tuple[Scene, ...], *more: str) -> Way:
    return Way(
        name=f"torch.{name}",
        parameter=name,
        purpose=purpose,
        shows=(*KEPT, *more),
        scenes=scenes,
        axis=1,
        unbiased=True,
    )


_PROGRAMS = (*_FORMATS, HALF_NO_VARIANCE, NO_AFFINE, NO_CENTER, *_VALUES, UNTRACKED)

TORCH_WAYS = (
    _torch("state_dict", "the state dictionary, saved and loaded into a fresh module", _TORCH),
    _torch("pickle", "copied, pickled, and saved whole", _TORCH, *SETTINGS),
    _torch("cast", "to a wider format and back", _TORCH, *SETTINGS),
    _torch("synchronized", "converted to SyncBatchNorm", _TORCH, *SETTINGS),
    _torch("synchronized_back", "the state of a SyncBatchNorm in a plain module", _TORCH),
    _torch("export", "torch.export of either mode, saved and loaded", _PROGRAMS),
    _torch("decomposed", "the same, then run_decompositions to core ATen", _PROGRAMS),
    _torch("script", "torch.jit.script of either mode, saved and loaded", (*_PROGRAMS, CUMULATIVE)),
    _torch("trace", "torch.jit.trace of either mode, saved and loaded", _PROGRAMS),
)
_FOLDED = (*_FORMATS, HALF_NO_VARIANCE, NO_AFFINE, NO_CENTER, *_VALUES)
_IN_FLOAT32 = tuple(scene for scene in _FOLDED if scene.dtype is DType.FLOAT32)
_WITH_AFFINE = tuple(scene for scene in _FOLDED if scene.gamma and scene.beta)
_IN_ONNX_RUNTIME = tuple(scene for scene in _FOLDED if scene.dtype is not DType.BFLOAT16)


def _fold(name: str, purpose: str, scenes: tuple[Scene, ...] = _FOLDED) -> Way:
    return Way(
        name=f"torch.{name}",
        parameter=name,
        purpose=purpose,
        shows=("y_folded",),
        scenes=scenes,
        axis=1,
        folds=True,
    )


def _out(name: str, purpose: str, scenes: tuple[Scene, ...], *more: str) -> Way:
    """There is no way back: only outputs."""
    return Way(
        name=name,
        parameter=name.rpartition(".")[2],
        purpose=purpose,
        shows=(*OUTPUT, *more),
        scenes=scenes,
        axis=1,
    )


FOLDING_WAYS = (
    _fold("fuse_conv", "fuse_conv_bn_eval"),
    _fold("fuse_depthwise", "fuse_conv_bn_eval of a convolution of single channels"),
    _fold("fuse_transposed", "fuse_conv_bn_eval of a transposed convolution"),
    _fold(
        "fuse_transposed_groups",
        "fuse_conv_bn_eval of a transposed convolution of single channels",
        (PLAIN,),
    ),
    _fold("fuse_linear", "fuse_linear_bn_eval", _WITH_AFFINE),
    _fold("fuse_linear_no_affine", "fuse_linear_bn_eval", (NO_AFFINE, NO_CENTER)),
    _fold(
        "fuse_linear_rank_3",
        "fuse_linear_bn_eval where features are not on the last axis",
        (PLAIN,),
    ),
    _fold(
        "frozen_linear_rank_3",
        "the same by TorchScript, frozen and optimized for inference",
        (PLAIN,),
    ),
    _fold("fuse_fx_shared", "fuse of torch.fx, of a convolution that is called twice", (PLAIN,)),
    _fold("quantize_fx_shared", "the same by torch.ao.quantization.quantize_fx.fuse_fx", (PLAIN,)),
    _fold("fuse_fx", "torch.fx.experimental.optimization.fuse"),
    _fold("fuse_modules", "torch.ao.quantization.fuse_modules in evaluation mode"),
    _fold("frozen", "TorchScript, frozen and optimized for inference, after a convolution"),
    _fold("onnx_folded", "torch.onnx.export, which folds, then ONNX Runtime", _IN_FLOAT32),
    _out("torch.mkldnn", "torch.utils.mkldnn.to_mkldnn", (PLAIN, *_VALUES)),
    _out("torch.onnx_export", "torch.onnx.export, then ONNX Runtime", _IN_ONNX_RUNTIME, *SETTINGS),
    _out(
        "torch.onnx_by_hand",
        "a BatchNormalization node made of a module's state, then ONNX Runtime",
        _IN_ONNX_RUNTIME,
    ),
)


_KERAS = (
    PLAIN,
    replace(FLOAT64, trains=False),
    FLOAT16,
    AXIS_1,
    NO_AFFINE,
    NO_SCALE,
    NO_CENTER,
    *_VALUES,
)


_KERAS_FLOAT32 = tuple(scene for scene in _KERAS if scene.dtype is DType.FLOAT32)


def _keras(name: str, purpose: str, scenes: tuple[Scene, ...], *shows: str) -> Way:
    return Way(
        name=f"keras.{name}",
        parameter=name,
        purpose=purpose,
        shows=shows or (*KEPT, *SETTINGS),
        scenes=scenes,
    )


KERAS_WAYS = (
    _keras("file", "a .keras file", (*_KERAS, BFLOAT16)),
    _keras("h5", "an .h5 file", _KERAS),
    _keras("h5_bfloat16", "an .h5 file", (BFLOAT16,)),
    _keras("weights", "a .weights.h5 file, loaded into a fresh model", (*_KERAS, BFLOAT16)),
    _keras(
        "configuration",
        "to_json, get_config, clone_model, and the weights as arrays",
        (*_KERAS, BFLOAT16),
    ),
    _keras("saved_model", "Model.export to a TensorFlow SavedModel", (*_KERAS, BFLOAT16), *OUTPUT),
    _keras("onnx", "Model.export to ONNX, then ONNX Runtime", _KERAS_FLOAT32, *OUTPUT),
    _keras(
        "litert",
        "Model.export to TensorFlow Lite",
        (PLAIN, AXIS_1, NO_AFFINE, GAMMA, NO_VARIANCE),
        *OUTPUT,
    ),
)


def _tf(name: str, purpose: str, scenes: tuple[Scene, ...], *shows: str) -> Way:
    return Way(
        name=f"tf.{name}",
        parameter=name,
        purpose=purpose,
        shows=shows or (*OUTPUT, *PARAMETERS, *STATE),
        scenes=scenes,
        folds=shows == ("y_folded",),
    )


_PLAINLY = (PLAIN, NO_AFFINE, NO_SCALE, NO_CENTER, *_VALUES)

TF_WAYS = (
    _tf("saved_model", "a SavedModel of a module", (*_PLAINLY, AXIS_1)),
    _tf("saved_model_float64", "a SavedModel of a module", (FLOAT64,)),
    _tf("checkpoint", "a checkpoint, read into a fresh module", (*_PLAINLY, AXIS_1)),
    _tf("frozen", "variables as constants", (*_PLAINLY, AXIS_1), *OUTPUT),
    _tf("frozen_float64", "variables as constants", (FLOAT64,), *OUTPUT),
    _tf("grappler", "constants after a convolution, through Grappler", _PLAINLY, "y_folded"),
    _tf("function", "a convolution and the layer as one tf.function", _PLAINLY, "y_folded"),
    _tf(
        "layouts",
        "constants after a convolution over another axis, as a function",
        (replace(PLAIN, axis=1), replace(GAMMA, axis=1)),
        "y_folded",
    ),
    _tf("lite", "a TensorFlow Lite model", _PLAINLY, *OUTPUT),
    _tf("lite_folded", "a TensorFlow Lite model, after a convolution", _PLAINLY, "y_folded"),
)


def _layers(kind: str, name: str, purpose: str, scenes: tuple[Scene, ...], *shows: str) -> Way:
    return Way(
        name=f"tf.layers.{kind}.{name}",
        parameter=name,
        purpose=purpose,
        shows=shows or KEPT,
        scenes=scenes,
        unbiased=kind == "fused",
        folds=shows == ("y_folded",),
    )


def _layers_ways(kind: str, scenes: tuple[Scene, ...]) -> tuple[Way, ...]:
    return (
        _layers(kind, "saver", "tf.compat.v1.train.Saver, restored into a fresh graph", scenes),
        _layers(kind, "meta_graph", "a graph and its collections, imported again", scenes),
        _layers(kind, "saved_model", "a SavedModel of the session, loaded again", scenes),
        _layers(kind, "frozen", "variables as constants, training switch off", scenes, *OUTPUT),
        _layers(
            kind,
            "layouts",
            "a graph with a convolution over another axis before the layer",
            (replace(PLAIN, axis=1), replace(GAMMA, axis=1)),
            "y_folded",
        ),
        _layers(kind, "frozen_inference", "the same without a switch", scenes, *OUTPUT),
    )


LAYERS_WAYS = (
    *_layers_ways("fused", (*_PLAINLY, AXIS_1)),
    _layers(
        "fused",
        "optimized",
        "constants after a convolution, through optimize_for_inference",
        _PLAINLY,
        "y_folded",
    ),
    _layers(
        "fused",
        "optimized_shared",
        "the same where another batch norm uses the convolution as well",
        (PLAIN,),
        "y_folded",
    ),
    *_layers_ways("unfused", (*_PLAINLY, AXIS_1, FLOAT64)),
)


def _onnx(name: str, purpose: str, scenes: tuple[Scene, ...], *shows: str) -> Way:
    return Way(
        name=f"onnx.{name}",
        parameter=name,
        purpose=purpose,
        shows=shows or (*OUTPUT, *PARAMETERS, *STATE, *SETTINGS),
        scenes=scenes,
        axis=1,
        folds=shows == ("y_folded",),
    )


_MODELS = (*_PLAINLY, FLOAT64, FLOAT16, EQUAL)
_CONVOLUTIONS = (*_PLAINLY, EQUAL)

ONNX_WAYS = (
    _onnx("written", "shapes inferred, written in every format in turn, and read", _MODELS),
    _onnx("converted", "version_converter from opset 9 to 7 to 15", _MODELS),
    _onnx(
        "equal_constants", "training_mode=1, of which y alone is used", (PLAIN, EQUAL), "y_train"
    ),
    _onnx("optimized", "written by ONNX Runtime after its optimizations", _MODELS, *OUTPUT),
    *(
        _onnx(
            f"conv_{level}",
            f"the same after a convolution, at level {level}",
            _CONVOLUTIONS,
            "y_folded",
        )
        for level in ("basic", "extended", "all")
    ),
    _onnx("matmul", "the same after a MatMul", _CONVOLUTIONS, "y_folded"),
    _onnx(
        "matmul_transposed", "the same after a MatMul and a Transpose", (PLAIN, GAMMA), "y_folded"
    ),
    _onnx("matmul_reshaped", "the same after a MatMul and a Reshape", (PLAIN, GAMMA), "y_folded"),
)


def _jax(
    name: str,
    purpose: str,
    scenes: tuple[Scene, ...],
    *shows: str,
    axis: int = -1,
    debiased: bool = False,
) -> Way:
    return Way(
        name=name,
        parameter=name.rpartition(".")[2],
        purpose=purpose,
        shows=shows or KEPT,
        scenes=scenes,
        axis=axis,
        debiased=debiased,
    )


_ARRAYS = (*_PLAINLY, AXIS_1, FLOAT64)
_WHOLE = (PLAIN, FLOAT64, NO_AFFINE, *_VALUES)
_WITHOUT_TRAINING = (*OUTPUT, *PARAMETERS, *STATE)

JAX_WAYS = (
    _jax("flax.serialization", "to_bytes and to_state_dict, and back", _ARRAYS),
    _jax("flax.jax_export", "jax.export of either mode, serialized and back", _ARRAYS),
    _jax("haiku.pickle", "parameters and state as a pickle", _ARRAYS, debiased=True),
    _jax(
        "haiku.jax_export",
        "jax.export of either mode, serialized and back",
        _ARRAYS,
        debiased=True,
    ),
    *(
        _jax(f"equinox.{mode}.{name}", purpose, _WHOLE, *shows, axis=1)
        for mode, shows in (
            ("ema", (*_WITHOUT_TRAINING, "next_mean", "next_var")),
            ("batch", _WITHOUT_TRAINING),
        )
        for name, purpose in (
            ("leaves", "tree_serialise_leaves, read into a fresh layer"),
            ("inference_mode", "inference_mode there and back"),
        )
    ),
)
WAYS: tuple[Way, ...] = (
    *TORCH_WAYS,
    *FOLDING_WAYS,
    *KERAS_WAYS,
    *TF_WAYS,
    *LAYERS_WAYS,
    *JAX_WAYS,
    *ONNX_WAYS,
)
"""Every way that some subject goes."""

EXPORTS = tuple(way.experiment() for way in WAYS)
"""Their experiments, in the same order."""
