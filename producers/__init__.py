"""How facts enter Kafka: source shapes become events, operators write connections."""
