"""Running campaigns: worker processes, units of work, run directories."""
