"""Layers with their state, as their frameworks' users handle them: train, save, load, freeze.

A module for each framework wraps the framework's own layer object; what a wrapper offers is in
``conformance/sequences/model.py``.
"""

from __future__ import annotations

STATEFUL: dict[str, str] = {
    "numpy.reference": "bnconform.adapters.stateful.numpy_layer:NumpyLayer",
    "torch.module": "bnconform.adapters.stateful.torch_layer:TorchLayer",
    "keras.tensorflow": "bnconform.adapters.stateful.keras_layers:KerasTensorflowLayer",
    "keras.torch": "bnconform.adapters.stateful.keras_layers:KerasTorchLayer",
    "keras.jax": "bnconform.adapters.stateful.keras_layers:KerasJaxLayer",
    "tf_keras.fused": "bnconform.adapters.stateful.tf_keras_layer:TfKerasFused",
    "tf_keras.unfused": "bnconform.adapters.stateful.tf_keras_layer:TfKerasUnfused",
    "tf.layers.fused": "bnconform.adapters.stateful.tf_layers_graph:TfLayersFusedGraph",
    "tf.layers.unfused": "bnconform.adapters.stateful.tf_layers_graph:TfLayersUnfusedGraph",
    "flax.linen": "bnconform.adapters.stateful.flax_module:FlaxModule",
    "haiku.batchnorm": "bnconform.adapters.stateful.haiku_module:HaikuModule",
    "equinox.batch": "bnconform.adapters.stateful.equinox_modes:EquinoxBatchLayer",
    "equinox.ema": "bnconform.adapters.stateful.equinox_modes:EquinoxEmaLayer",
}
"""Subject name -> ``module:Class`` of what plays sequences on it."""
