"""The schema registry, with its failures told apart: unknown, or not answering."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from heapline.errors import NotReady, RegistryUnavailable, UnknownSchema
from heapline.kafka.schemas import schema_text

if TYPE_CHECKING:
    from typing import Self

    from heapline.http import Answer, HttpClient
    from heapline.kafka.topics import Names, Topic
    from heapline.settings import SchemaRegistrySettings

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_CONNECTIONS: Final = 4
_TRIES: Final = 2
_GOOD: Final = range(200, 300)
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_FAILED: Final = 500
_JSON: Final = "application/vnd.schemaregistry.v1+json"


class Registry:
    """A schema registry with Confluent's API, as far as heapline needs it.

    Confluent's own client does more, and takes a third of a second to import, which every command
    and every start would wait for.

    Every method raises `RegistryUnavailable` when it does not answer.

    Args:
        settings: where it is.
        http: sends the questions; one of its own unless given. Closed with this.
    """

    def __init__(self, settings: SchemaRegistrySettings, http: HttpClient | None = None) -> None:
        self.url = settings.url
        self._http = http or _client(settings.timeout_seconds)
        self._headers = {"Accept": f"{_JSON}, application/json", "Content-Type": _JSON}
        if settings.username and settings.password:
            secret = f"{settings.username}:{settings.password.get_secret_value()}"
            self._headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def schema_by_id(self, schema_id: int) -> str:
        """Give a schema's text; raises `UnknownSchema` when the registry has none."""
        try:
            return str(self._ask("GET", f"schemas/ids/{schema_id}", of="schema"))
        except KeyError:
            raise UnknownSchema(schema_id) from None

    def registered_id(self, subject: str, text: str) -> int | None:
        """Give the id under which this text stands in the subject, or None."""
        try:
            return int(self._ask("POST", f"subjects/{_name(subject)}", {"schema": text}, of="id"))
        except KeyError:
            return None

    def register(self, subject: str, text: str) -> int:
        """Register a schema under the subject, checked against all earlier ones; give its id."""
        name = _name(subject)
        self._ask("PUT", f"config/{name}", {"compatibility": COMPATIBILITY})
        return int(self._ask("POST", f"subjects/{name}/versions", {"schema": text}, of="id"))

    def compatible(self, subject: str, text: str) -> bool:
        """Tell whether the subject would take this schema; True for a new subject."""
        path = f"compatibility/subjects/{_name(subject)}/versions/latest"
        try:
            return bool(self._ask("POST", path, {"schema": text}, of="is_compatible"))
        except KeyError:
            return True

    def compatibility(self, subject: str) -> str | None:
        """Give the subject's own compatibility level, or None where it has none."""
        try:
            return str(self._ask("GET", f"config/{_name(subject)}", of="compatibilityLevel"))
        except KeyError:
            return None

    def exists(self, subject: str) -> bool:
        """Tell whether the subject has any schema."""
        try:
            return bool(self._ask("GET", f"subjects/{_name(subject)}/versions"))
        except KeyError:
            return False

    def subjects(self) -> list[str]:
        """List subjects: one cheap question, for health checks and nothing else.

        The list may lack some. Apicurio cuts it without a word, by default after 1,000 (its setting
        `apicurio.ccompat.max-subjects`); ask `exists` about one.
        """
        return list(self._ask("GET", "subjects"))

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

    def _ask(
        self, method: str, path: str, told: dict[str, str] | None = None, *, of: str = ""
    ) -> Any:  # noqa: ANN401 -- any JSON
        """Ask, with "not found" as KeyError and everything else that fails as unavailable.

        Args:
            method: of HTTP.
            path: behind the registry's address.
            told: goes along.
            of: the member of the answer that is wanted; the whole answer if empty.
        """
        answer = self._sent(method, path, told)
        if answer.status is None:
            raise RegistryUnavailable(
                f"{self.url} does not answer: {answer.error}. Is the schema registry up, and "
                "HEAPLINE_SCHEMA_REGISTRY__URL right?"
            )
        if answer.status == _NOT_FOUND:
            raise KeyError(path)
        found = _json(answer)
        if answer.status in _GOOD and (not of or (isinstance(found, dict) and of in found)):
            return found[of] if of else found
        if answer.status in _GOOD or not isinstance(found, dict) or "error_code" not in found:
            raise RegistryUnavailable(
                f"{self.url} does not answer as a schema registry does (HTTP {answer.status}): is "
                "HEAPLINE_SCHEMA_REGISTRY__URL right? Apicurio's ends in /apis/ccompat/v7"
            )
        message = found.get("message", "")
        if answer.status == _CONFLICT:
            raise NotReady(f"the registry refuses the schema: {message}")
        raise RegistryUnavailable(f"{self.url}: {message}")

    def _sent(self, method: str, path: str, told: dict[str, str] | None) -> Answer:
        """Send a question, once more if it failed: all of them may be asked twice."""
        body = b"" if told is None else orjson.dumps(told)
        url = f"{self.url.rstrip('/')}/{path}"
        for _ in range(_TRIES):
            answer = self._http.request(method, url, body=body, headers=self._headers)
            if answer.status is not None and answer.status < _FAILED:
                break
        return answer


def _client(seconds: float) -> HttpClient:
    # httpx takes a tenth of a second to import: whoever waits for brokers, too, does both at once.
    from heapline.http import HttpxClient  # noqa: PLC0415 -- as said

    return HttpxClient(connections=_CONNECTIONS, connect_seconds=seconds, answer_seconds=seconds)


def _name(subject: str) -> str:
    return quote(subject, safe="")


def _json(answer: Answer) -> Any:  # noqa: ANN401 -- any JSON, or None
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
