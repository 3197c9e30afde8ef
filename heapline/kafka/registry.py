"""The schema registry, with its failures told apart: unknown, or not answering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from heapline.errors import NotReady, RegistryUnavailable, UnknownSchema
from heapline.kafka.schemas import schema_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from heapline.kafka.topics import Names, Topic
    from heapline.settings import SchemaRegistrySettings

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_NOT_A_REGISTRYS: Final = -1
"""The code that the client gives an answer that is none of a registry."""
_T = TypeVar("_T")


class Registry:
    """A schema registry with Confluent's API.

    Every method raises `RegistryUnavailable` when it does not answer.
    """

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        conf: dict[str, object] = {
            "url": settings.url,
            "timeout": settings.timeout_seconds,
            "max.retries": 1,
        }
        if settings.username and settings.password:
            secret = settings.password.get_secret_value()
            conf["basic.auth.user.info"] = f"{settings.username}:{secret}"
        self.url = settings.url
        self._client = SchemaRegistryClient(conf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # its stubs

    def schema_by_id(self, schema_id: int) -> str:
        """Give a schema's text; raises `UnknownSchema` when the registry has none."""
        try:
            schema = self._ask(lambda: self._client.get_schema(schema_id))
        except KeyError:
            raise UnknownSchema(schema_id) from None
        return schema.schema_str or ""

    def registered_id(self, subject: str, text: str) -> int | None:
        """Give the id under which this text stands in the subject, or None."""
        schema = Schema(text, "AVRO")
        try:
            found = self._ask(lambda: self._client.lookup_schema(subject, schema))
        except KeyError:
            return None
        return found.schema_id

    def register(self, subject: str, text: str) -> int:
        """Register a schema under the subject, checked against all earlier ones; give its id."""
        self._ask(lambda: self._client.set_compatibility(subject, COMPATIBILITY))
        return self._ask(lambda: self._client.register_schema(subject, Schema(text, "AVRO")))

    def compatible(self, subject: str, text: str) -> bool:
        """Tell whether the subject would take this schema; True for a new subject."""
        schema = Schema(text, "AVRO")
        try:
            return self._ask(lambda: self._client.test_compatibility(subject, schema))
        except KeyError:
            return True

    def compatibility(self, subject: str) -> str | None:
        """Give the subject's own compatibility level, or None where it has none."""
        try:
            return self._ask(lambda: self._client.get_compatibility(subject))
        except KeyError:
            return None

    def exists(self, subject: str) -> bool:
        """Tell whether the subject has any schema."""
        try:
            return bool(self._ask(lambda: self._client.get_versions(subject)))
        except KeyError:
            return False

    def subjects(self) -> list[str]:
        """List subjects: one cheap question, for health checks and nothing else.

        The list may lack some. Apicurio cuts it without a word, by default after 1,000 (its setting
        `apicurio.ccompat.max-subjects`); ask `exists` about one.
        """
        return list(self._ask(self._client.get_subjects))

    def id_for_writing(self, names: Names, topic: Topic) -> int:
        """Give the id to write a topic's records with.

        Raises:
            NotReady: the contract is not registered; says which command does that.
        """
        assert topic.schema is not None  # noqa: S101 -- only topics with a contract are written
        subject = names.subject(topic)
        schema_id = self.registered_id(subject, schema_text(topic.schema))
        if schema_id is None:
            raise NotReady(f"{subject} is not registered: run `heapline schemas register`")
        return schema_id

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask, with "not found" as KeyError and everything else that fails as unavailable."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                raise KeyError from error
            if error.http_status_code == _CONFLICT:
                raise NotReady(f"the registry refuses the schema: {error.error_message}") from error
            if error.error_code == _NOT_A_REGISTRYS:
                raise RegistryUnavailable(
                    f"{self.url} does not answer as a schema registry does (HTTP "
                    f"{error.http_status_code}): is "
                    "HEAPLINE_SCHEMA_REGISTRY__URL right? Apicurio's ends in /apis/ccompat/v7"
                ) from error
            raise RegistryUnavailable(f"{self.url}: {error.error_message}") from error
        except Exception as error:
            # The client lets its HTTP library's own errors through, and has changed that library
            # before; whatever else it raises, there is no answer.
            raise RegistryUnavailable(
                f"{self.url} does not answer: {error!r:.200}. Is the schema registry up, and "
                "HEAPLINE_SCHEMA_REGISTRY__URL right?"
            ) from error
