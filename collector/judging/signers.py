"""Who may sign which entry of a log: keys in the order of the log, and what they sign."""

from collections.abc import Collection
from dataclasses import dataclass, field

from collector.log.keys import KINDS as KEY_KINDS
from collector.log.keys import KeyRing
from collector.storage.store import StorageError
from weighbridge.log.entries import Entry, EntryKind, KeyChanged, Notice, Tick
from weighbridge.log.succession import LogKeys
from weighbridge.notices.book import NoticeBook
from weighbridge.wire.report import Report, WireError, decode, read
from weighbridge.wire.signing import SignatureError, encode_envelope, key_id, verify

FOREIGN = frozenset(
    {EntryKind.REPORT, EntryKind.CHALLENGE, EntryKind.NOTICE, EntryKind.ATTESTATION}
)
"""Entries that others than the collector sign."""


class ReplayError(StorageError):
    """The log does not hold what it should. The message names the entry."""


@dataclass(slots=True)
class Signers:
    """Who may sign what, up to the entry that was read last. `keys`: every key there was, by name; the log's first.

    `log_key` is the log's from its first entry on. `removing`: those that may say that a report has left, wherever it
    stood, since that is said later.
    """

    log_key: bytes
    removing: Collection[bytes] = ()
    ring: KeyRing = field(default_factory=KeyRing)
    book: NoticeBook = field(default_factory=NoticeBook)
    keys: dict[str, bytes] = field(default_factory=dict)
    log_keys: LogKeys = field(init=False)
    now_us: int = 0

    def __post_init__(self) -> None:
        self.log_keys = LogKeys(self.log_key)
        for key in (self.log_key, *self.removing):
            self.keys[key_id(key)] = key

    def check(self, entry: Entry, *, verified: bool) -> Report | None:
        """What the entry reports, if it is a report. Raises ReplayError.

        `verified`: its signature is known to verify under the one of `keys` that it names.
        """
        try:
            self._verify(entry, verified)
            report = self._read(entry) if entry.kind is EntryKind.REPORT else None
            self.learn(entry)
        except (SignatureError, WireError) as error:
            raise ReplayError(f"entry {entry.index}: {error}") from error
        return report

    def _verify(self, entry: Entry, verified: bool) -> None:
        key = self._key(entry)
        if key is None:
            raise ReplayError(f"entry {entry.index}: a {entry.kind} by a key that may not sign it")
        if not (verified and self.keys.get(entry.envelope.key_id) == key):
            verify(entry.envelope, key)

    def _read(self, entry: Entry) -> Report:
        report, speaker = decode(entry.envelope.payload), self.ring.key(entry.envelope.key_id)
        if speaker is None or report.node != speaker.node:
            raise ReplayError(f"entry {entry.index}: a report of {report.node} by another's key")
        return report

    def learn(self, entry: Entry) -> None:
        """Take in keys, contracts and time."""
        if entry.kind is EntryKind.TICK:
            self.now_us = read(Tick, entry.envelope.payload).wall_us
        elif entry.kind in KEY_KINDS:
            self.ring.fold(entry)
            if entry.kind is EntryKind.KEY:
                change = read(KeyChanged, entry.envelope.payload)
                self.keys.setdefault(change.key_id, bytes.fromhex(change.public_key))
        elif entry.kind is EntryKind.PARTY:
            self.book.fold(entry, self.now_us)
        elif entry.kind is EntryKind.SUCCESSION:
            self._succeed(entry)

    def _succeed(self, entry: Entry) -> None:
        self.log_keys = self.log_keys.succeeded(entry.index, encode_envelope(entry.envelope))
        newest = self.log_keys.newest
        self.keys.setdefault(key_id(newest), newest)

    def _key(self, entry: Entry) -> bytes | None:
        name = entry.envelope.key_id
        own = self.log_keys.newest
        if entry.kind is not EntryKind.REPORT and name == key_id(own):
            return own
        if entry.kind is EntryKind.REMOVED:
            return next((key for key in self.removing if name == key_id(key)), None)
        if entry.kind not in FOREIGN:
            return None
        if entry.kind is EntryKind.NOTICE:
            party = self.book.party_key(read(Notice, entry.envelope.payload).contract, name)
            return None if party is None else bytes.fromhex(party.public_key)
        known = self.ring.key(name)
        if known is None:
            return None
        # A revoked key may still have had a word of a challenge on its way; its reports are refused to the last.
        revoked = entry.kind is EntryKind.REPORT and known.revoked_index is not None
        return None if revoked else known.public_key
