"""A document as data that has one spelling, and so one digest."""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """What a statement, a delivery note and a certificate have in common."""

    def json(self) -> str:
        """Canonical: sorted keys, one spelling."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, indent=1) + "\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of its JSON."""
        return hashlib.sha256(self.json().encode()).hexdigest()
