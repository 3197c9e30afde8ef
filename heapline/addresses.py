"""Addresses in settings: what is no address is refused where it is read, with an example."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

_WEB: Final = ("http", "https")


def web_address(text: str) -> str:
    """See that this is the address of a web server, or several joined by commas.

    Raises:
        ValueError: it is something else.
    """
    for each in text.split(","):
        parts = urlsplit(each.strip())
        if parts.scheme not in _WEB or not parts.hostname:
            raise ValueError(f"{each!r} is no address; write it as http://host:port")
    return text


def brokers(text: str) -> str:
    """See that none of these brokers is the address of a web server.

    Raises:
        ValueError: one is.
    """
    for each in text.split(","):
        if each.strip().lower().startswith(("http:", "https:")):
            raise ValueError(f"{each!r} is no broker; write host:port, without http://")
    return text


WebAddress = Annotated[str, AfterValidator(web_address)]
Brokers = Annotated[str, AfterValidator(brokers)]
