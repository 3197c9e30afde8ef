"""HTTP: the event API, health and metrics."""
