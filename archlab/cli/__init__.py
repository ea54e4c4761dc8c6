"""The command line."""

from archlab.cli.app import main

__all__ = ["main"]
