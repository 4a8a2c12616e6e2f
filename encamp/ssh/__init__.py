"""SSH: configuration, keys, host keys, connections. Knows nothing of plans or output."""
