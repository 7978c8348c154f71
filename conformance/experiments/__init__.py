"""Experiments: what no single layer call shows, each with the arrays it gets and what must be seen.

Initial values, losses, what an optimizer's step leaves, shared variables, forgotten updates. An
adapter that can run one implements ``observe`` (:class:`~..contract.Observer`).
"""
