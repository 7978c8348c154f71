"""Every subject the project drives, by name, and how to load one.

Adapter modules import their framework only inside constructors, so this registry costs nothing.
"""

from __future__ import annotations

REGISTRY: dict[str, str] = {
    "numpy.reference": "bnconform.adapters.numpy_reference:NumpyReference",
    "tf.nn": "bnconform.adapters.tf_nn:TfNn",
    "tf.fused": "bnconform.adapters.tf_fused:TfFused",
    "tf.layers.fused": "bnconform.adapters.tf_layers:TfLayersFused",
    "tf.layers.unfused": "bnconform.adapters.tf_layers:TfLayersUnfused",
    "keras.tensorflow": "bnconform.adapters.keras_layer:KerasTensorflow",
    "keras.torch": "bnconform.adapters.keras_layer:KerasTorch",
    "keras.jax": "bnconform.adapters.keras_layer:KerasJax",
    "torch.functional": "bnconform.adapters.torch_functional:TorchFunctional",
    "torch.module": "bnconform.adapters.torch_module:TorchModule",
    "flax.linen": "bnconform.adapters.flax_linen:FlaxLinen",
    "haiku.batchnorm": "bnconform.adapters.haiku_layer:HaikuBatchNorm",
    "equinox.batch": "bnconform.adapters.equinox_layer:EquinoxBatch",
    "equinox.ema": "bnconform.adapters.equinox_layer:EquinoxEma",
    "onnx.runtime": "bnconform.adapters.onnx_runtime:OnnxRuntime",
    "onnx.runtime.opset9": "bnconform.adapters.onnx_runtime:OnnxRuntimeOpset9",
    "onnx.runtime.opset7": "bnconform.adapters.onnx_runtime:OnnxRuntimeOpset7",
    "onnx.reference": "bnconform.adapters.onnx_reference:OnnxReference",
    "onnx.reference.opset9": "bnconform.adapters.onnx_reference:OnnxReferenceOpset9",
    "torch.cuda": "bnconform.adapters.torch_cudnn:TorchCuda",
    "torch.cudnn": "bnconform.adapters.torch_cudnn:TorchCudnn",
    "cudnn.frontend": "bnconform.adapters.cudnn_frontend:CudnnFrontend",
    "gpu.triton": "bnconform.adapters.gpu_kernel.adapter:TritonKernel",
    "gpu.cuda": "bnconform.adapters.gpu_kernel.cuda_adapter:CudaKernel",
    "gpu.cuda.emulated": "bnconform.adapters.gpu_kernel.cuda_adapter:CudaKernelEmulated",
}
"""Subject name -> ``module:Class`` of its adapter."""
