"""How the registry's answers are told apart; what it really answers, other tests ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from pydantic import SecretStr

from heapline.errors import NotReady, RegistryUnavailable, UnknownSchema
from heapline.http import Answer, Failure
from heapline.kafka.registry import Registry
from heapline.settings import SchemaRegistrySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_URL = "http://registry.test/apis"
_REFUSED = Answer(None, failure=Failure.NOT_SENT, error="ConnectError: refused")


class _Answers:
    """`HttpClient` that gives answers in turn, the last again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: Mapping[str, str] = {}
        self.is_closed = False

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """See `HttpClient.request`."""
        self.asked.append((method, url, body))
        self.headers = headers or {}
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        """See `HttpClient.close`."""
        self.is_closed = True


def _answer(status: int, told: object) -> Answer:
    return Answer(status, body=orjson.dumps(told))


def _registry(*answers: Answer) -> tuple[Registry, _Answers]:
    http = _Answers(*answers)
    return Registry(SchemaRegistrySettings(url=_URL), http), http


_QUESTIONS: tuple[Callable[[Registry], object], ...] = (
    lambda registry: registry.schema_by_id(7),
    lambda registry: registry.registered_id("events-value", "{}"),
    lambda registry: registry.register("events-value", "{}"),
    lambda registry: registry.compatible("events-value", "{}"),
    lambda registry: registry.compatibility("events-value"),
    lambda registry: registry.exists("events-value"),
    lambda registry: registry.subjects(),
)


@pytest.mark.parametrize("ask", _QUESTIONS)
def test_no_answer_is_unavailable(ask: Callable[[Registry], object]) -> None:
    """Every method says that the registry does not answer, and what to look at."""
    with pytest.raises(RegistryUnavailable, match="HEAPLINE_SCHEMA_REGISTRY__URL"):
        ask(_registry(_REFUSED)[0])


@pytest.mark.parametrize("ask", _QUESTIONS[:-1])
@pytest.mark.parametrize("told", [b"<html>", b"[]", b"{}", b"7"])
def test_another_server_is_told_from_a_registry(
    ask: Callable[[Registry], object], told: bytes
) -> None:
    """An answer without what was asked for comes from something that is no registry."""
    registry, _ = _registry(Answer(200 if told != b"<html>" else 403, body=told))
    if ask is _QUESTIONS[5] and told != b"<html>":
        return  # any list of versions will do
    with pytest.raises(RegistryUnavailable, match="as a schema registry does"):
        ask(registry)


def test_what_is_unknown_is_no_failure() -> None:
    """What is not found means an unknown schema, no id, no level, no versions, and no objection."""
    registry, _ = _registry(_answer(404, {"error_code": 40403, "message": "not found"}))
    with pytest.raises(UnknownSchema):
        registry.schema_by_id(7)
    assert registry.registered_id("events-value", "{}") is None
    assert registry.compatibility("events-value") is None
    assert not registry.exists("events-value")
    assert registry.compatible("events-value", "{}")


def test_a_refused_schema_is_not_ready() -> None:
    """A conflict tells why the registry refuses a schema."""
    level = _answer(200, {"compatibility": "FULL_TRANSITIVE"})
    registry, _ = _registry(level, _answer(409, {"error_code": 409, "message": "field gone"}))
    with pytest.raises(NotReady, match="field gone"):
        registry.register("events-value", "{}")


def test_a_failure_is_asked_again_once() -> None:
    """A registry that fails once is asked once more; one that goes on failing is unavailable."""
    failed = _answer(500, {"error_code": 50001, "message": "store is down"})
    registry, http = _registry(failed, _answer(200, {"schema": "{}"}))
    assert registry.schema_by_id(7) == "{}"
    registry, http = _registry(failed)
    with pytest.raises(RegistryUnavailable, match="store is down"):
        registry.schema_by_id(7)
    assert len(http.asked) == 2


def test_questions_name_the_subject_safely() -> None:
    """A subject's name cannot leave its place in the address; a schema goes along as JSON."""
    registry, http = _registry(_answer(200, {"id": 3}))
    assert registry.registered_id("a/b value", "{}") == 3
    assert http.asked == [("POST", f"{_URL}/subjects/a%2Fb%20value", b'{"schema":"{}"}')]


def test_it_signs_in() -> None:
    """User and password go along as basic authentication."""
    http = _Answers(_answer(200, []))
    settings = SchemaRegistrySettings(url=_URL, username="me", password=SecretStr("secret"))
    with Registry(settings, http) as registry:
        assert registry.subjects() == []
    assert http.headers["Authorization"] == "Basic bWU6c2VjcmV0"
    assert http.is_closed
