"""A browser at a console whose data is in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from heapline.settings import ApiToken, WebSettings
from web.app import ConsolePart, create_app
from web.health import Readiness

if TYPE_CHECKING:
    from tests.fakes.console_data import FakeConsoleData

_TOKENS = [
    ApiToken(name="ops", token="operate-token-0001", role="operate"),
    ApiToken(name="eyes", token="reading-token-0001", role="read"),
    ApiToken(name="pub", token="publish-token-0001", role="publish"),
    ApiToken(name="acme", token="limited-token-0001", role="operate", workspaces=["acme"]),
]
_FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class Browser:
    """A browser with cookies, at a console whose data is in memory."""

    def __init__(self, data: FakeConsoleData, *, guarded: bool = False) -> None:
        settings = WebSettings(api_tokens=_TOKENS if guarded else [])
        app = create_app(settings, Readiness({}), console=ConsolePart(data))
        self.data = data
        self.client = TestClient(app, base_url="http://127.0.0.1:8080", follow_redirects=False)

    def sign_in(self, token: str) -> int:
        """Type a token; give the status."""
        return self.client.post("/console/sign-in", data={"token": token}).status_code

    def page(self, path: str) -> str:
        """Load a page that must be there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def submit(self, page: str, path: str, **fields: str) -> int:
        """Load a page and submit a form on it; give the status."""
        return int(self._submitted(page, path, fields).status_code)

    def sent(self, page: str, path: str, **fields: str) -> str:
        """Load a page and submit a form on it; give the page that answers."""
        answer = self._submitted(page, path, fields)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def _submitted(self, page: str, path: str, fields: dict[str, str]) -> Any:  # noqa: ANN401 -- the test client's own
        found = _FORM_TOKEN.search(self.page(page))
        token = found[1] if found else ""
        return self.client.post(path, data={"form_token": token, **fields})
