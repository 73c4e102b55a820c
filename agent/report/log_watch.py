"""Whether the collector's log stands by what it signed: the agent keeps a head, and has the next one proven from it.

A head comes with every answer. One that is smaller than the newest, or differs at its size, is seen at once. That
larger ones follow is proven at the start and then once a minute, from the one that was proven last and from the newest.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.succession import open_by_any
from weighbridge.log.witnessing import LogFault, judge_head, spell_evidence
from weighbridge.process.heads import HeadMemory
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.report import EventKind
from weighbridge.wire.signing import SignatureError, key_id

log = logging.getLogger(__name__)

EVERY_S = 60.0
EVENTS = {LogFault.FORKED: EventKind.LOG_FORKED, LogFault.SHRANK: EventKind.LOG_SHRANK}


class LogWatch:
    """Of the log whose keys `trust` knows; each log has a folder of its own in `directory`."""

    def __init__(self, directory: Path, trust: LogTrust, latest: str | None = None) -> None:
        """`latest` is the newest head that came with a receipt, whosever it is.

        What was kept counts under any of the log's keys, whatever an announcement that was heard of later says: one
        that lies below it is the fork. Never raises: what cannot be kept is logged, and kept in memory alone.
        """
        self.trust = trust
        self._due_s = 0.0
        self._complaint = ""
        self._told: list[tuple[EventKind, str]] = []
        self._newest: Head | None = None
        self._latest: Head | None = None
        if latest is not None:
            with contextlib.suppress(SignatureError):
                self._latest = open_by_any(latest, trust.keys.every)
        self._caught: LogFault | None = None
        self._folder = directory / "heads" / key_id(trust.keys.first)[:16]
        self._memory = self._opened()
        if self._memory is not None and self._caught is not None:
            self._tell(self._caught, self._memory.pair(self._caught))

    def _opened(self) -> HeadMemory | None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            memory = HeadMemory(self._folder)
            if memory.newest is not None:
                self._newest = open_by_any(memory.newest.note, self.trust.keys.every)
            self._caught = memory.fault
        except (OSError, SignatureError) as error:
            self._complain(f"{self._folder}: {error}")
            return None
        return memory

    @property
    def status(self) -> str:
        """One line for people."""
        if self._caught is not None:
            return f"{self._caught}: the heads that contradict each other are in {self._folder}"
        if self._newest is None:
            return "no head is kept yet"
        return f"stands by what it signed, up to {self._newest.size} entries{self._complaint}"

    @property
    def caught(self) -> bool:
        return self._caught is not None

    def asks(self, now_s: float) -> list[int]:
        """From which sizes on proofs are due that the next head follows: the proven one's, and the newest one's."""
        if self._caught is not None or now_s < self._due_s:
            return []
        return sorted({head.size for head in self._known() if head.size})

    def _known(self) -> list[Head]:
        return [head for head in (self._latest, self._newest) if head is not None]

    def see(self, note: str, proofs: Mapping[int, Sequence[bytes]], now_s: float) -> None:
        """A head under the log's signature, and the proofs by size that came with it. It writes to the disk."""
        if self._caught is not None:
            return
        head, known, asked = read_head(note), self._known(), bool(self.asks(now_s))
        for old in known:
            fault = self._judge(old, head, proofs)
            if fault is not None:
                self._accuse(fault, old, head)
                return
        self._latest = head
        if all(old.size in (0, head.size) or old.size in proofs for old in known):
            self._keep(head, now_s)
        elif asked:
            self._due_s = now_s + EVERY_S
            self._complain("; it does not prove that its newest heads follow")

    def _judge(
        self, old: Head, head: Head, proofs: Mapping[int, Sequence[bytes]]
    ) -> LogFault | None:
        """A step that nobody proves is no fault yet."""
        if old.origin == head.origin and old.size < head.size and old.size not in proofs:
            return None
        return judge_head(old, head, proofs.get(old.size, ()))

    def _keep(self, head: Head, now_s: float) -> None:
        self._newest, self._due_s, self._complaint = head, now_s + EVERY_S, ""
        if self._memory is not None:
            try:
                self._memory.keep(head)
            except OSError as error:
                self._complain(f"; the head is not kept: {error.strerror}")

    def _accuse(self, fault: LogFault, known: Head, shown: Head) -> None:
        self._caught = fault
        if self._memory is not None:
            try:
                self._memory.keep(known)
                self._memory.accuse(fault, shown)
            except OSError as error:
                log.error("the evidence is not kept: %s", error.strerror)
        self._tell(fault, (known, shown))

    def _tell(self, fault: LogFault, heads: Sequence[Head]) -> None:
        if heads:
            self._told.append((EVENTS[fault], spell_evidence(heads, self.trust.keys)))
        log.error("%s", self.status)

    def take(self) -> list[tuple[EventKind, str]]:
        """What is to be reported, once."""
        told, self._told = self._told, []
        return told

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            log.warning("heads of the log: %s", why.removeprefix("; "))
        self._complaint = why
