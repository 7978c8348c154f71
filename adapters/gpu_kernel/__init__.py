"""Our own batch-norm GPU kernel as a subject: kernels, launcher, plain reference, adapter."""
