"""Which reports no contract keeps any longer, and what stands in the log where they were."""

from collections.abc import Iterable, Mapping

from collector.log.keys import load_keys
from collector.storage.received import tick_before_us
from collector.storage.store import ChainKey, Store
from weighbridge.contract import loaded
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.entries import ContractAdded, Entry, EntryKind, Removed, payload_type
from weighbridge.wire.report import digest, encode, read, read_position
from weighbridge.wire.signing import Signer

DAY_US = 86_400 * MICROSECONDS
RETENTION_PATH = "/v1/retention"


def let_reports_go(store: Store, signer: Signer, nodes: frozenset[str]) -> int:
    """Let the reports of these nodes leave; return how many did. Others may append and read meanwhile.

    Raises StorageError.
    """
    if not nodes:
        return 0
    return store.log.let_go(Leaving(store, nodes, signer).row)


def kept_by_nobody(store: Store) -> frozenset[str]:
    """Nodes that were held, and of which each contract's term ended longer ago than it keeps records."""
    now_us = tick_before_us(store.log, store.log.size)
    until_us = _kept_until_us(store)
    holders: dict[str, set[str]] = {}
    for assignment in load_keys(store.log, store.index).assignments():
        holders.setdefault(assignment.node, set()).add(assignment.contract)
    return frozenset(node for node, held in holders.items() if _over(held, until_us, now_us))


def _over(contracts: Iterable[str], until_us: Mapping[str, int], now_us: int) -> bool:
    return all(name in until_us and until_us[name] < now_us for name in contracts)


def _kept_until_us(store: Store) -> dict[str, int]:
    """By contract the latest instant that any of its versions names."""
    found: dict[str, int] = {}
    for index in store.index.of_kinds({EntryKind.CONTRACT}):
        (one,) = store.log.read(index, 1)
        added = read(ContractAdded, one.envelope.payload)
        contract = loaded(added.text)
        until_us = contract.term.end_us + contract.evidence.retention_days * DAY_US
        found[added.contract] = max(until_us, found.get(added.contract, 0))
    return found


class Leaving:
    """The rows in place of reports of `nodes`, under the log's signature.

    The newest report of each chain stays: a chain that speaks again is held against it.
    """

    def __init__(self, store: Store, nodes: frozenset[str], signer: Signer) -> None:
        self._index, self._nodes, self._signer = store.index, nodes, signer
        self._ring = load_keys(store.log, store.index)

    def row(self, one: Entry, hashed: str) -> bytes | None:
        """In place of a report with this leaf hash; None where it stays."""
        key = self._ring.key(one.envelope.key_id)
        if key is None or key.node not in self._nodes:
            return None
        at = read_position(one.envelope.payload)
        chain = ChainKey(key.key_id, at.chain, at.stream)
        newest = self._index.last(chain)
        if newest is None or newest.index == one.index:
            return None
        said = Removed(
            leaf_hash=hashed,
            key_id=chain.key_id,
            node=key.node,
            chain=chain.chain,
            stream=chain.stream,
            seq=at.seq,
            payload_hash=digest(one.envelope.payload),
        )
        return self._signer.seal(payload_type(EntryKind.REMOVED), encode(said))
