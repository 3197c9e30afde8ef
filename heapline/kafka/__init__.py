"""Kafka as heapline uses it: topics, schemas, framing, client configuration."""
