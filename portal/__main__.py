"""``python -m portal``: the same as the console script."""

from portal.cli import main

main()
