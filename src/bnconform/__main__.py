"""``python -m bnconform``."""

from bnconform.cli import main

main()
