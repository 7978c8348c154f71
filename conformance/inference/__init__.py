"""Inference: which conventions explain a subject that is asked as a black box."""
