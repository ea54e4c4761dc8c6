"""Search: spaces of networks, the studies that explore them, and their results."""
