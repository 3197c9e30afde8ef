"""Which handler answers which path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

from devstack.heap_simulator.http_messages import Answer, Reply, Request

Handler = Callable[[Request], Awaitable[Reply]]
"""Answers one request."""


class Router:
    """Handlers by path and method; unknown paths are 404, unknown methods 405.

    A part of a path in braces stands for any one part, given as `Request.parameters`.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Let `handler` answer `method` on `path`."""
        self._handlers.setdefault(path, {})[method] = handler

    async def answer(self, request: Request) -> Reply:
        """Hand the request to its handler."""
        pattern = self._pattern(request.path)
        if pattern is None:
            return Answer(HTTPStatus.NOT_FOUND)
        methods = self._handlers[pattern]
        handler = methods.get(request.method)
        if handler is None:
            allow = ", ".join(sorted(methods))
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": allow})
        return await handler(replace(request, parameters=_parameters(pattern, request.path)))

    def _pattern(self, path: str) -> str | None:
        if path in self._handlers:
            return path
        return next((each for each in self._handlers if _matches(each, path)), None)


def _matches(pattern: str, path: str) -> bool:
    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        own == part or (_is_open(own) and part) for own, part in zip(wanted, given, strict=True)
    )


def _parameters(pattern: str, path: str) -> dict[str, str]:
    parts = zip(pattern.split("/"), path.split("/"), strict=True)
    return {own[1:-1]: part for own, part in parts if _is_open(own)}


def _is_open(part: str) -> bool:
    return part.startswith("{")
