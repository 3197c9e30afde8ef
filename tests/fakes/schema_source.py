"""A schema registry in memory that can be down and counts what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from heapline.errors import RegistryUnavailable, UnknownSchema


@dataclass
class FakeSchemas:
    """`heapline.kafka.codec.SchemaSource` over a dictionary.

    Attributes:
        texts: schemas by id.
        down: whether every question fails.
        asked: the ids asked for, in order.
    """

    texts: dict[int, str] = field(default_factory=dict)
    down: bool = False
    asked: list[int] = field(default_factory=list)

    def schema_by_id(self, schema_id: int) -> str:
        """See `SchemaSource.schema_by_id`."""
        self.asked.append(schema_id)
        if self.down:
            raise RegistryUnavailable("the fake registry is down")
        if schema_id not in self.texts:
            raise UnknownSchema(schema_id)
        return self.texts[schema_id]
