"""Data sets of labelled people and the way from an image to a training sample."""
