"""Ways out of a framework and back, for the experiments of conversion and export."""
