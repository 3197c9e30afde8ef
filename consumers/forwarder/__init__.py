"""The forwarder: events from Kafka to Heap, within Heap's limits, losing nothing."""
