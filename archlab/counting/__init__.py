"""What a network costs: parameters, multiply-adds by several counters, activations."""
