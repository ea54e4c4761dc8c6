"""One network: its file, the spec read from it, the graph of blocks, the module built from that, checkpoints."""
