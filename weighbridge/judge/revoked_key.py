"""A key that was in other hands since an instant: what it said from then on for its own side is unknown.

What it said against its side stands, as where a key is shared: nobody mends a fault by revoking the key that told of
it.
"""

from collections.abc import Iterator, Sequence

from weighbridge.judge.checks import Severity
from weighbridge.judge.findings import noted
from weighbridge.judge.ledger import KEY_REVOKED, Finding, Row, State
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.shared_key import in_doubt
from weighbridge.log.entries import KeyChanged


def void(
    state: NodeState, contracts: Sequence[str], change: KeyChanged, now_us: int, entry: int
) -> Iterator[Row | Finding]:
    """The key speaks no more since `change.from_us`, if that is told: its word does not count from then up to now, or
    up to when it was first revoked. Whoever speaks after that speaks with another key."""
    until_us = state.revoked.setdefault(change.key_id, now_us)
    if change.from_us is None or change.from_us >= until_us:
        return
    said = (State.UNKNOWN, KEY_REVOKED)
    yield from in_doubt(state, said, (change.from_us, until_us), now_us, entry)
    for contract in contracts:
        yield noted(
            state,
            contract,
            KEY_REVOKED,
            change.from_us,
            expected="a key that one agent alone holds",
            observed=f"key {change.key_id} was revoked from this instant on: {change.reason}",
            severity=Severity.ERROR,
            until_us=until_us,
        )
