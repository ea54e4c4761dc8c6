"""Measured time of networks: how they run, how they take turns, where the time goes, and records of it."""
