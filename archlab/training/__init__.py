"""Training a network by a recipe, scoring it, and recording both."""
