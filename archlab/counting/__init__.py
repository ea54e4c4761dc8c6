"""The cost of a network: parameters, multiply-adds by two counters, activations."""
