"""Search: spaces of networks, studies that explore them, and what a study found."""
