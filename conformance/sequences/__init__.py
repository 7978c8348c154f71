"""State as a sequence of operations: the model, the player and the Hypothesis machine."""
