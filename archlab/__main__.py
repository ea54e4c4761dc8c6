"""`python -m archlab`."""

import sys

from archlab.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
