"""A network that leaves: predictions for pictures, and its weights in other forms."""
