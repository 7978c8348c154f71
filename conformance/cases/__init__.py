"""Which cases there are: the space, what every campaign demands of it, the values it fills in."""
