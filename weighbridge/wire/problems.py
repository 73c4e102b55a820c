"""What a collector answers when it refuses, as it writes and agents read it: RFC 9457 problems with a stable code."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PROBLEM_TYPE = "application/problem+json"
_NAMESPACE = "urn:weighbridge:problem:"


class Meaning(NamedTuple):
    """Of a code. `permanent`: the same request is never taken later either."""

    status: int
    title: str
    permanent: bool = False


PROBLEMS: dict[str, Meaning] = {
    "malformed": Meaning(400, "These bytes are not what this path takes", permanent=True),
    "not_canonical": Meaning(400, "The payload is not in its one spelling", permanent=True),
    "bad_signature": Meaning(400, "The signature does not verify", permanent=True),
    "unknown_key": Meaning(401, "No such key is enrolled"),
    "unauthorized": Meaning(401, "This path needs a token"),
    "revoked_key": Meaning(403, "The key is revoked", permanent=True),
    "wrong_node": Meaning(403, "The key speaks for another node"),
    "forbidden": Meaning(403, "The token does not reach this"),
    "not_found": Meaning(404, "There is nothing here"),
    "invite_unknown": Meaning(404, "No such invite"),
    "method_not_allowed": Meaning(405, "This path has no such method"),
    "sequence": Meaning(409, "The report is not the next one of its chain"),
    "fork": Meaning(409, "The chain went on differently"),
    "invite_used": Meaning(409, "The invite was used by another key", permanent=True),
    "unknown_base": Meaning(409, "What the reports were compressed against is not kept"),
    "conflict": Meaning(409, "It is so already"),
    "invite_expired": Meaning(410, "The invite has expired", permanent=True),
    "too_large": Meaning(413, "More than the collector takes at once"),
    "clock_unsound": Meaning(422, "The clocks of the report cannot be true", permanent=True),
    "future_version": Meaning(422, "A newer version than this collector knows"),
    "over_budget": Meaning(429, "The key has sent more than it may in an hour"),
    "internal": Meaning(500, "The collector contradicts itself, and hands nothing out"),
    "overloaded": Meaning(503, "The collector cannot take this now"),
}


@dataclass
class Problem(Exception):
    """A stated refusal. `members` are the extension members of the problem document."""

    code: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    retry_after_seconds: int | None = None

    @property
    def status(self) -> int:
        return PROBLEMS[self.code].status

    @property
    def permanent(self) -> bool:
        """Whether the same request is never taken later either; what is not known may be."""
        return self.code in PROBLEMS and PROBLEMS[self.code].permanent

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"[:300]

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        standard = {
            "type": _NAMESPACE + self.code,
            "title": PROBLEMS[self.code].title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return standard | self.members


def read_problem(status: int, body: bytes) -> Problem:
    """What an answer with such a status says. The code is one of a newer collector's, or "status N" where none is said.

    Never raises: whoever is refused learns at least the status.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    members = said if isinstance(said, dict) else {}
    kind, detail = str(members.get("type", "")), str(members.get("detail", ""))
    code = kind.removeprefix(_NAMESPACE) if kind.startswith(_NAMESPACE) else f"status {status}"
    return Problem(code, detail, members)
