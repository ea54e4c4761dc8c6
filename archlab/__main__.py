"""`python -m archlab`."""

import sys

from archlab.cli.app import main

sys.exit(main())
