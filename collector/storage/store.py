"""Where the evidence rests, and what was derived from it: three narrow protocols, and the store that holds them.

The log is the only thing that must survive. The entry index and the ledger are derived from it, are
rebuilt from it when they are missing, and may lag behind it after a crash: each says up to which log
index it has come, and is brought up from there.

The log has one writer at a time. Reading is safe from any thread while another appends.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.stated import StatedError
from weighbridge.audit.portfolio import Arrival, Sighting
from weighbridge.judge.ledger import Finding, Row, Use
from weighbridge.log.checkpoint import Head, is_simulated
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.log.merkle import Node


class StorageError(StatedError):
    """The store cannot do this. The message names the file or shard, and the offset where there is one."""


class CorruptStore(StorageError):
    """Bytes that were written whole are no longer what was written."""


class WrongVersion(StorageError):
    """A store of another version than this code knows."""


class StoreFull(StorageError):
    """No room: nothing of this append was kept, and the next one may be tried."""


class StoreInUse(StorageError):
    """Another process has this store open for writing."""


class StoreHeld(StoreInUse):
    """The same, and it ends by itself where that process dies: wait."""


class StoreLost(StorageError):
    """Another process has become this store's writer, and nothing more can be written here."""


Substitute = Callable[[Entry, str], bytes | None]
"""(a report's entry, its leaf hash) -> the row in its place; None: it stays."""


@dataclass(frozen=True, slots=True)
class ChainKey:
    """One unbroken sequence of reports: `seq` and `prev` belong to it."""

    key_id: str
    chain: str
    stream: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report of a chain that is in the log. `received_us` is the tick before it."""

    seq: int
    payload_hash: str
    index: int
    received_us: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index keeps of one entry; only a report has `chain` and `accepted`. Of any other `received_us` is the
    tick before it, where that is known.
    """

    index: int
    kind: EntryKind
    chain: ChainKey | None = None
    accepted: Accepted | None = None
    received_us: int | None = None


@dataclass(frozen=True, slots=True)
class FindingPage:
    """Findings in the order they were first written. `after` leads to the next page; null: none."""

    findings: Sequence[Finding]
    after: int | None


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store says of itself: the log's name, which each of its heads bears under its signature."""

    origin: str

    @property
    def simulation(self) -> bool:
        """Of a logical clock; never served as a real one."""
        return is_simulated(self.origin)


class EvidenceLog(Protocol):
    """Leaves in one order, and their Merkle tree."""

    @property
    def size(self) -> int:
        """How many leaves are durable."""
        ...

    def append(self, leaves: Sequence[bytes]) -> int:
        """Index of the first; all are durable when it returns. Raises StoreFull, having kept none."""
        ...

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        """At most `limit` leaves from `start` on, exactly as appended. Raises CorruptStore."""
        ...

    def read(self, start: int, limit: int) -> Iterator[Entry]:
        """At most `limit` entries from `start` on. Raises CorruptStore."""
        ...

    @property
    def damage(self) -> str | None:
        """What is wrong with the hashes on the disk, as far as a proof needed them; None: nothing that was seen."""
        ...

    @property
    def handed_out(self) -> Head | None:
        """The newest head that `hand_out` was told of, in this run or an earlier one."""
        ...

    def hand_out(self, head: Head) -> None:
        """Keep the head over the whole log, before anybody is told of it: a log that is opened again and does not hold
        what it covers is refused.

        Raises StorageError, and then what the last append brought is forgotten.
        """
        ...

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""
        ...

    def proven(self) -> Node:
        """`node` as the newest head was handed out over it, each hash proven from that head's root.

        Raises CorruptStore, as what it returns does, where a hash that it needs is damaged.
        """
        ...

    def root(self) -> bytes:
        """The tree's hash at `size`."""
        ...

    def let_go(self, substitute: Substitute) -> int:
        """Put the rows that it gives in place of reports, but for the log's newest; return how many left.

        From any thread, one at a time, while another appends. Raises StorageError, with the rest as it was.
        """
        ...

    def close(self) -> None: ...


class EntryIndex(Protocol):
    """Finds entries by chain and by kind. Written behind the log, and rebuilt from it."""

    def last(self, chain: ChainKey) -> Accepted | None:
        """The newest report of a chain, null for a chain not seen before."""
        ...

    def find(self, chain: ChainKey, seq: int) -> Accepted | None: ...

    def chains(self, key_ids: Collection[str]) -> Sequence[tuple[ChainKey, Accepted]]:
        """Each chain of these keys with its newest report. From any thread."""
        ...

    def at_or_after(self, chain: ChainKey, seq: int) -> Accepted | None:
        """The report of a chain that has this number, or the next one that there is. From any thread."""
        ...

    def record(self, entries: Sequence[Indexed]) -> None:
        """Know these appended entries from now on; they follow the last ones recorded."""
        ...

    def of_kinds(self, kinds: Collection[EntryKind]) -> Sequence[int]:
        """Log indexes of every entry of these kinds, rising. Reports and ticks are not listed. From any thread."""
        ...

    def received_us(self, index: int) -> int | None:
        """The tick before a listed entry; None where that is not known. From any thread."""
        ...

    def flush(self) -> None:
        """Write what was recorded. A crash before it costs time at the next opening, no knowledge."""
        ...

    def close(self) -> None: ...


class Ledger(Protocol):
    """What the folds say: rows and findings, up to a log index, with the folds' own states."""

    def write(
        self,
        rows: Sequence[Row],
        findings: Sequence[Finding],
        folded: int,
        snapshots: Mapping[str, bytes],
        uses: Sequence[Use] = (),
    ) -> None:
        """All in one transaction, or nothing. Raises StoreFull.

        A row supersedes the shorter one of the same place, chain, start, state and cause; a row that says
        otherwise stands beside it, so that nobody takes back what was seen. Findings are known by contract,
        node, device, code and `since_us`; the newest word on one replaces the older. Sums of use stand beside
        earlier ones of the same place and hour.
        `folded` is the index of the first entry not yet folded. Snapshots not named stay as they are.
        """
        ...

    def rows(
        self,
        contract: str,
        start_us: int,
        end_us: int,
        as_of_us: int | None = None,
        node: str | None = None,
    ) -> Iterator[Row]:
        """Rows that touch [start_us, end_us), by node, slot, device, chain, start; as known at `as_of_us`.

        They are read as they are asked for, in one thread: a contract may have a million.
        """
        ...

    def weight(self, contract: str, start_us: int, end_us: int, most: int) -> int:
        """How many rows begin, and sums of use stand, in [start_us, end_us); no more than about `most` are counted."""
        ...

    def uses(self, contract: str, start_us: int, end_us: int, as_of_us: int) -> Iterator[Use]:
        """The last sums of the hours that begin in [start_us, end_us), as known at an instant, by hour and node."""
        ...

    def sightings(self, contract: str, as_of_us: int) -> Sequence[Sighting]:
        """Each device at work in each slot, by side, as known at an instant: when first, when last."""
        ...

    def arrivals(self, contract: str, late_us: int, as_of_us: int) -> Sequence[Arrival]:
        """What was written down more than `late_us` after its time, by node and the UTC day on which it was."""
        ...

    def findings(
        self,
        contract: str | None = None,
        open_only: bool = False,
        after: int | None = None,
        limit: int = 100,
    ) -> FindingPage: ...

    def found(self, contract: str) -> tuple[int, Sequence[Finding]]:
        """`folded`, and the findings of a contract as they were then, though another process may be writing.

        Raises CorruptStore.
        """
        ...

    def folded(self) -> int:
        """The log index of the first entry not yet folded; 0 for a new ledger."""
        ...

    def snapshots(self) -> Mapping[str, bytes]: ...

    def clear(self) -> None:
        """A new ledger from now on: nothing is folded. Raises StorageError."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Store:
    """One store, opened. Close it as a whole."""

    info: StoreInfo
    log: EvidenceLog
    index: EntryIndex
    ledger: Ledger

    def close(self) -> None:
        self.index.close()
        self.ledger.close()
        self.log.close()


@dataclass(frozen=True, slots=True)
class JudgedStore:
    """What may be read of a store that another process has open."""

    info: StoreInfo
    ledger: Ledger
