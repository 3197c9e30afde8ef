"""How facts leave Kafka."""
