"""Pages for people: rendered here, with nothing from other hosts, and never kept by a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOM: Final = Path(__file__).parent
SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""An address may hold a one-time link, and no page may frame these or add to them."""

_environment: Final = Environment(
    loader=FileSystemLoader(ROOM / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    template: str, status: int = 200, *, headers: Mapping[str, str] | None = None, **content: object
) -> HTMLResponse:
    """Render a template of `web/templates` into an answer."""
    text = _environment.get_template(template).render(**content)
    return HTMLResponse(text, status, {**SAFE_HEADERS, **(headers or {})})
