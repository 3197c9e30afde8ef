"""The `heapline` command, one file a command; the only place that wires rooms together."""
