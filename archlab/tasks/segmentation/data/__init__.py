"""Data sets of labelled pictures, and the steps from a picture to a training sample."""
