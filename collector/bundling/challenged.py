"""Challenges of a bundle recomputed from their own entries, one at a time as each ends."""

import json
from collections import Counter
from dataclasses import dataclass, field

from weighbridge.challenge.record import TELEMETRY, RecordError, payload_kind, recheck
from weighbridge.challenge.verdict import VerdictReason
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.log.succession import LogKeys


@dataclass(slots=True)
class Challenged:
    """`wrong`: what is wrong with which. `undone`: those whose products could not be recomputed here."""

    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    undone: int = 0
    _under_way: dict[str, list[Entry]] = field(default_factory=dict)

    def take(self, entry: Entry, keys: LogKeys) -> None:
        """The next entry of the log, whose keys are known so far; other kinds change nothing. At its end a challenge is
        let go."""
        if entry.kind not in (EntryKind.CHALLENGE, EntryKind.PROOF):
            return
        payload = entry.envelope.payload
        if payload_kind(payload) == TELEMETRY:
            return
        name = str(json.loads(payload).get("challenge"))
        self._under_way.setdefault(name, []).append(entry)
        if entry.kind is EntryKind.PROOF:
            self._recheck(name, self._under_way.pop(name), keys)

    def _recheck(self, name: str, entries: list[Entry], keys: LogKeys) -> None:
        try:
            _, weighing = recheck(entries, name, keys)
        except RecordError as error:
            self.wrong.append(f"{name}: {error}")
            return
        self.ended[weighing.verdict] += 1
        self.undone += weighing.reason == VerdictReason.NO_NUMPY
