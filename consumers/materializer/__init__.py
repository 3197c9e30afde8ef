"""From the compacted topics to this node's store and index."""
