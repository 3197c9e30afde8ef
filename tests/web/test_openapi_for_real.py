"""The whole application against its own description: what fits it is answered as it says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cli.reference.openapi import whole_application
from heapline.events import AsyncEventPublisher
from heapline.events.outbox import Outbox
from heapline.heap.connection import Connection
from heapline.settings import WebSettings
from heapline.words import Workspace
from producers.segment_intake import SegmentIntake, Trust
from tests.fakes.connections import FakeConnections
from tests.fakes.page_log import SECRET, TOKEN, FakePageLog, StandingClock
from tests.fakes.record_producer import FakeEventSchema, FakeRecordProducer
from tests.small_index import write_index
from tests.web.conftest import PATIENCE
from tests.web.lookup_site import MEMBERS, ROWS
from web.app import EventsPart, WebhookPart, create_app
from web.health import Readiness
from web.lookups import LookupsPart
from web.open_index import OpenIndex
from web.opening import Opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI
    from schemathesis import Case as AnyCase

    Case = AnyCase[Any]

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA: Final = openapi.from_dict(whole_application().openapi())
OPERATIONS: Final = {
    each.ok().label: each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok)
}
KNOWN: Final = {"workspace": "acme", "segment": "7", "user": "u1"}


def application(folder: Any) -> FastAPI:  # noqa: ANN401 -- pytest's own
    """Put all parts together, over fakes of Kafka and a real index."""
    write_index(folder, ROWS, MEMBERS)
    outbox = Outbox(FakeRecordProducer(), FakeEventSchema(), patience=PATIENCE)
    publisher = AsyncEventPublisher(outbox=outbox)
    connections = FakeConnections(Connection(Workspace("acme"), id_token=TOKEN), ready=False)
    connections.become_ready()
    intake = SegmentIntake(FakePageLog(), connections, Trust((SECRET,)), StandingClock())
    return create_app(
        WebSettings(),
        Readiness({}),
        EventsPart(publisher, Opening(publisher)),
        WebhookPart(intake, Opening(intake)),
        LookupsPart(OpenIndex(folder)),
    )


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Case], httpx.Response]]:
    """Send what was made up, in-process."""
    app = application(tmp_path_factory.mktemp("state") / "index")
    with asyncio.Runner() as runner:
        left = contextlib.AsyncExitStack()
        runner.run(left.enter_async_context(app.router.lifespan_context(app)))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
        runner.run(left.enter_async_context(client))

        def asked(case: Case) -> httpx.Response:
            arguments = case.as_transport_kwargs("http://127.0.0.1:8080")
            known = ("method", "url", "params", "headers", "json", "data", "content")
            given = {name: arguments[name] for name in known if arguments.get(name) is not None}
            if isinstance(given.get("data"), (bytes, str)):
                given["content"] = given.pop("data")
            return runner.run(client.request(**given))

        yield asked
        runner.run(left.aclose())


@pytest.mark.parametrize("label", OPERATIONS)
def test_requests_that_fit_are_answered_as_described(
    label: str, send: Callable[[Case], httpx.Response]
) -> None:
    """Status, content type, headers and schema, for the same made-up requests in each run."""

    @settings(
        max_examples=25,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(OPERATIONS[label].as_strategy(), st.sets(st.sampled_from(sorted(KNOWN))))
    def conforms(case: Case, known: set[str]) -> None:
        for name in known & case.path_parameters.keys():
            case.path_parameters[name] = KNOWN[name]
        case.validate_response(send(case), checks=CHECKS)

    conforms()
