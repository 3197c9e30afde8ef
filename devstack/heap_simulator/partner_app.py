"""heapline's registration as a partner, as Heap's Developers Hub keeps it."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict, Field


class PartnerApp(BaseModel):
    """One partner app; its two secrets differ (developers.heap.io, new integration).

    Attributes:
        partner_app_id: Heap's id of it.
        name: what the authorize page shows.
        client_id, client_secret: for OAuth.
        redirect_uri: where the authorize page sends the browser back; without a query.
        webhook_url: where segments are sent. Heap asks for HTTPS, the simulator does not.
        webhook_secret: signs what is sent there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partner_app_id: str = "simulated-partner-app"
    name: str = "heapline"
    client_id: str = "simulated-client"
    client_secret: str = "simulated-client-secret"  # noqa: S105 - nothing but a simulator knows it
    redirect_uri: str = Field(default="http://127.0.0.1:8080/heap/callback", pattern=r"^[^?#]+$")
    webhook_url: str = "http://127.0.0.1:8080/heap/webhook"
    webhook_secret: str = "simulated-webhook-secret"  # noqa: S105 - as above

    def environment(self) -> dict[str, str]:
        """Give the settings of heapline that fit, by environment variable."""
        return {
            "HEAPLINE_HEAP__CLIENT_ID": self.client_id,
            "HEAPLINE_HEAP__CLIENT_SECRET": self.client_secret,
            "HEAPLINE_HEAP__WEBHOOK_SECRETS": json.dumps([self.webhook_secret]),
            "HEAPLINE_WEB__PUBLIC_URL": self.redirect_uri.removesuffix("/heap/callback"),
        }
