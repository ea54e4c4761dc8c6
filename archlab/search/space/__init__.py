"""The space of a search: its file, its points, the networks they stand for, and the gate before training."""
