"""What the collector signed in challenges of this node, as it came: with it the node proves what it was told, and when.

One line of JSON for each envelope of the collector, in a file of the state directory. It begins anew at its largest
size, and the one before is kept beside it.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

NAME = "challenges.jsonl"
LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class KeptReceipts:
    """The file, and the one before it."""

    path: Path

    def keep(self, envelope: bytes) -> None:
        """Adds one. A disk that takes nothing costs evidence of this node, and no challenge."""
        try:
            self._make_room()
            with self.path.open("ab") as file:
                file.write(json.dumps({"said": envelope.decode("ascii")}).encode() + b"\n")
        except (OSError, UnicodeDecodeError) as error:
            log.error("what the collector said in a challenge is not kept: %s", error)

    def envelopes(self) -> Iterator[bytes]:
        """All that are kept, the oldest first. A line that was cut by a crash is left out."""
        for path in (self._older, self.path):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                try:
                    yield str(json.loads(line)["said"]).encode("ascii")
                except (ValueError, KeyError, TypeError):
                    continue

    @property
    def _older(self) -> Path:
        return self.path.with_suffix(".old.jsonl")

    def _make_room(self) -> None:
        if self.path.exists() and self.path.stat().st_size > LARGEST_BYTES:
            self.path.replace(self._older)
