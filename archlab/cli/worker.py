"""`python -m archlab.cli.worker ARGUMENTS`: an archlab command that ends when its parent process ends.

Standard input is a pipe that the parent holds open and never writes to. It closes when the parent dies in any way, so
orphaned trainings stop.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from archlab.cli.app import main as command_line

    sys.argv[0] = "archlab"
    sys.exit(command_line())


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held when the interpreter shuts down.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
