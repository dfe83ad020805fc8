"""``python -m impasto``: the command line."""

import sys

from impasto.cli import main

if __name__ == "__main__":
    sys.exit(main())
