"""Heap's side: connections, limits, payload, client."""
