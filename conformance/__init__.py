"""The standard, and everything that judges by it; knows no framework and no report."""
