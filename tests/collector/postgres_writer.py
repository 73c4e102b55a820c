"""A process that writes a shard without end: `python -m tests.collector.postgres_writer URL NAME`.

It waits for the lease, and says of each group that it was told is durable: how long the log is then, and its root.
"""

import sys
import time

from collector.storage.postgres import lease
from collector.storage.store import StorageError, Store, StoreHeld, StoreLost
from collector.storage.stores import open_store
from tests.collector.stores import SIGNER, hand_out
from weighbridge.log.entries import EntryKind, payload_type

GROUP = 7
LOST = 3


def opened(url: str) -> Store:
    while True:
        try:
            return open_store(url)
        except StoreHeld:
            time.sleep(0.05)


def main(url: str, name: str) -> int:
    lease.HELD_S, lease.BEAT_S = 2.0, 0.5
    store = opened(url)
    hand_out(store)
    say(store)
    number = 0
    while True:
        try:
            store.log.append([leaf(name, number + place) for place in range(GROUP)])
            hand_out(store)
        except StoreLost:
            return LOST
        except StorageError:
            time.sleep(0.05)
            continue
        number += GROUP
        say(store)


def leaf(name: str, number: int) -> bytes:
    return SIGNER.seal(payload_type(EntryKind.CHALLENGE), f"{name} {number}".encode() * 40)


def say(store: Store) -> None:
    sys.stdout.write(f"{store.log.size} {store.log.root().hex()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
