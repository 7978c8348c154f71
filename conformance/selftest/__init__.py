"""The self-test: implementations with one planted defect each must be found, and named."""
