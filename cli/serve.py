"""`heapline serve`: the HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.index_option import index_folder
from heapline.clock import SystemClock
from heapline.errors import InvalidSetting
from heapline.events import AsyncEventPublisher, Patience
from heapline.heap.oauth import HeapOAuth, PartnerSettings, partner_problems
from heapline.http import HttpxClient
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.settings import load_settings
from operations.connecting import Connecting
from operations.draining import KafkaDrain
from operations.segment_news import KafkaSegmentNews
from producers.connections import ConnectionRegistry
from producers.page_log import KafkaPageLog
from producers.segment_intake import SegmentIntake, Trust
from web.app import PARTS, ConsolePart, EventsPart, WebhookPart, create_app
from web.console.kafka_data import KafkaConsoleData
from web.health import Check, KafkaCheck, Readiness
from web.lookups import LookupsPart
from web.open_index import OpenIndex
from web.opening import Opening
from web.server import address_of, listen, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI

    from heapline.settings import Settings, WebSettings

PATIENCE: Final = Patience(
    check_seconds=3.0, queue_seconds=5.0, flush_seconds=12.0, delivery_seconds=10.0
)
"""Shorter than a service's own: a caller is waiting, and can ask again."""


def serve(
    host: Annotated[
        str | None, typer.Option(help="Where to listen. Default: $HEAPLINE_WEB__HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0 takes a free one. Default: $HEAPLINE_WEB__PORT."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="PARTS", help=f"What to serve, of: {', '.join(PARTS)}. Default: all."),
    ] = None,
) -> None:
    """Serve Heap's webhook, events, lookups, /healthz, /readyz and /metrics over HTTP.

    Heap's webhook is served once HEAPLINE_HEAP__WEBHOOK_SECRETS are set, and with it the pages on
    which a workspace is connected, once HEAPLINE_HEAP__CLIENT_ID, HEAPLINE_HEAP__CLIENT_SECRET and
    HEAPLINE_WEB__PUBLIC_URL are set. Lookups read the index
    that `heapline materialize` keeps in HEAPLINE_STATE__DIRECTORY on this machine.

    Answers to this machine only, until HEAPLINE_WEB__API_TOKENS are set. SIGTERM or Ctrl-C: takes
    no more requests, answers those it has, hands the brokers what is queued, and ends.
    """
    settings = load_settings()
    parts = possible(PARTS if only is None else parts_of(only), settings)
    web = _with_options(settings.web, host, port)
    with listen(web) as listening:
        print(f"heapline serves {', '.join(parts)} on {address_of(listening)}", flush=True)
        app = application(settings, web, parts, needs_index=only is not None)
        run(app, listening, on_stopping=lambda: print("stopping", flush=True))


def parts_of(text: str) -> tuple[str, ...]:
    """Read a comma list of parts.

    Raises:
        typer.BadParameter: one is unknown, or there is none.
    """
    named = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    unknown = [each for each in named if each not in PARTS]
    if unknown or not named:
        what = f"there is no part {unknown[0]!r}" if unknown else "no part is named"
        raise typer.BadParameter(f"{what}; there is: {', '.join(PARTS)}", param_hint="--only")
    return named


def possible(parts: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """Leave out the webhook where no secret is set: nothing could be verified.

    Raises:
        InvalidSetting: nothing else was asked for.
    """
    if settings.heap.webhook_secrets:
        return parts
    if parts == ("webhook",):
        raise InvalidSetting(
            "the webhook needs HEAPLINE_HEAP__WEBHOOK_SECRETS, a JSON list of the secrets that "
            "Heap's Developers Hub shows for it"
        )
    return tuple(each for each in parts if each != "webhook")


def application(
    settings: Settings,
    web: WebSettings,
    parts: tuple[str, ...],
    *,
    needs_index: bool = False,
    more_checks: Mapping[str, Check] | None = None,
) -> FastAPI:
    """Put the application together for a real Kafka and registry; neither is asked yet.

    Args:
        settings: of all that stands behind it.
        web: of the server itself.
        parts: what to serve.
        needs_index: whether the server is not ready without an index of memberships. Where one
            was there before, it never is.
        more_checks: of roles that run in the same process.
    """
    checks: dict[str, Check] = dict(more_checks or {})
    if parts != ("lookups",):
        checks["kafka"] = KafkaCheck(settings.kafka, Names(settings.kafka.prefix))
    events = _events(settings) if "events" in parts else None
    webhook = _webhook(settings) if "webhook" in parts else None
    if events is not None:
        checks["events"] = events.opening
    if webhook is not None:
        checks["webhook"] = webhook.opening
    lookups = _lookups(settings) if "lookups" in parts else None
    if lookups is not None and (needs_index or index_folder(settings).exists()):
        checks["index"] = lookups.index
    console = _console(settings) if "console" in parts else None
    return create_app(web, Readiness(checks), events, webhook, lookups, console)


def _events(settings: Settings) -> EventsPart:
    publisher = _publisher(settings)
    return EventsPart(publisher, Opening(publisher))


def _webhook(settings: Settings) -> WebhookPart:
    names = Names(settings.kafka.prefix)
    intake = SegmentIntake(
        KafkaPageLog(settings.kafka, settings.schema_registry),
        ConnectionFollower(settings.kafka, names, Registry(settings.schema_registry)),
        Trust.of(settings.heap),
        SystemClock(),
    )
    connecting = None if partner_problems(settings) else _connecting(settings)
    return WebhookPart(intake, Opening(intake), connecting)


def _connecting(settings: Settings) -> Connecting:
    partner, clock = PartnerSettings.of(settings), SystemClock()
    schemas = Registry(settings.schema_registry)
    news = KafkaSegmentNews(settings.kafka, schemas)
    return Connecting(
        partner,
        HeapOAuth(partner, HttpxClient.for_heap(settings.heap, connections=4), clock),
        ConnectionRegistry(settings.kafka, schemas),
        KafkaDrain(settings, schemas),
        news,
        clock,
    )


def _lookups(settings: Settings) -> LookupsPart:
    return LookupsPart(OpenIndex(index_folder(settings)))


def _console(settings: Settings) -> ConsolePart:
    return ConsolePart(KafkaConsoleData(settings, OpenIndex(index_folder(settings))))


def _publisher(settings: Settings) -> AsyncEventPublisher:
    registry = settings.schema_registry
    password = registry.password
    return AsyncEventPublisher(
        settings.kafka.bootstrap_servers,
        registry.url,
        prefix=settings.kafka.prefix,
        librdkafka=settings.kafka.security(),
        registry_username=registry.username,
        registry_password=None if password is None else password.get_secret_value(),
        patience=PATIENCE,
    )


def _with_options(web: WebSettings, host: str | None, port: int | None) -> WebSettings:
    given = {"host": host, "port": port}
    return web.model_copy(update={name: each for name, each in given.items() if each is not None})
