"""The CUDA C++ kernels: sources, how they are built and loaded, and the call on torch tensors."""
