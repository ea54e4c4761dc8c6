"""A network as one readable, self-contained file of plain PyTorch."""

from archlab.deploy.plain.file import python_source

__all__ = ["python_source"]
