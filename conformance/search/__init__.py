"""Search that keeps looking: distinct divergences collected, then each shrunk on its own."""
