"""The space of a search: its file, its points, their networks, and the check before training."""
