"""Second derivatives by each framework's own differentiation, for the experiments about them."""
