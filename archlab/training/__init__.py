"""Training a network by a recipe, scoring it, and keeping a record of both."""
