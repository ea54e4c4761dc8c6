"""Data sets of labelled people, and the steps from an image to a training sample."""
