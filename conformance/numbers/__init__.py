"""Numbers past float64: double-double arrays for the common case, exact ones to arbitrate."""
