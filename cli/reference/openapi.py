"""The OpenAPI description of the whole server, with the settings' defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from heapline.settings import WebSettings
from web.app import EventsPart, WebhookPart, create_app
from web.health import Readiness
from web.lookups import LookupsPart

if TYPE_CHECKING:
    from fastapi import FastAPI


class _Absent:
    """Stands for what is asked only while serving."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- stands for anything
        return self


_ABSENT: Final[Any] = _Absent()


def whole_application() -> FastAPI:
    """Give an application with every part, to be described and never to be served."""
    return create_app(
        WebSettings(),
        Readiness({}),
        EventsPart(_ABSENT, _ABSENT),
        WebhookPart(_ABSENT, _ABSENT),
        LookupsPart(_ABSENT),
    )


def openapi_reference() -> str:
    """Give the description as JSON."""
    described = whole_application().openapi()
    return orjson.dumps(described, option=orjson.OPT_INDENT_2).decode() + "\n"
