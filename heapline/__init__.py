"""heapline: Command AI events to Heap, and Heap segments back, through Apache Kafka."""

__version__ = "0.1.0"
