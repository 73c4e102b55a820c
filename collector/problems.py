"""What the collector answers when it refuses: RFC 9457 problem details with a stable code."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "These bytes are not what this path takes"),
    "not_canonical": (400, "The payload is not in its one spelling"),
    "bad_signature": (400, "The signature does not verify"),
    "unknown_key": (401, "No such key is enrolled"),
    "unauthorized": (401, "This path needs a token"),
    "revoked_key": (403, "The key is revoked"),
    "wrong_node": (403, "The key speaks for another node"),
    "forbidden": (403, "The token does not reach this"),
    "not_found": (404, "There is nothing here"),
    "invite_unknown": (404, "No such invite"),
    "method_not_allowed": (405, "This path has no such method"),
    "sequence": (409, "The report is not the next one of its chain"),
    "fork": (409, "The chain went on differently"),
    "invite_used": (409, "The invite was used by another key"),
    "conflict": (409, "It is so already"),
    "invite_expired": (410, "The invite has expired"),
    "too_large": (413, "More than the collector takes at once"),
    "future_version": (422, "A newer version than this collector knows"),
    "overloaded": (503, "The collector cannot take this now"),
}
"""Every code, its HTTP status and its title."""


@dataclass
class Problem(Exception):
    """A stated refusal. `members` are the extension members of the problem document."""

    code: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    retry_after_seconds: int | None = None

    @property
    def status(self) -> int:
        return PROBLEMS[self.code][0]

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        status, title = PROBLEMS[self.code]
        standard = {
            "type": f"urn:weighbridge:problem:{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
        }
        return standard | self.members

    def response(self) -> web.Response:
        """The answer over HTTP."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
        return web.json_response(
            self.document(),
            status=self.status,
            content_type="application/problem+json",
            headers=headers,
        )
