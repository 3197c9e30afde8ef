"""The embedded world: real Kafka, real registry, a Heap simulator, the demo."""
