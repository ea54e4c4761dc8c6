"""One network: its file, its spec, its graph of blocks, its module, and checkpoints."""
