"""What is acknowledged is on a standby too, where that is asked for; what is not known to be there is refused."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest

from collector.storage.postgres import lease
from collector.storage.store import StorageError, Store
from tests.collector.building import wait_for
from tests.collector.postgres_server import Server, made_server, running_server
from tests.collector.stores import Postgres, hand_out, tick
from tests.weighbridge.rfc_9162 import recursive_root

pytestmark = pytest.mark.slow
SYNCHRONOUS = "SELECT count(*)::int FROM pg_stat_replication WHERE sync_state = 'sync'"
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@dataclass
class Pair:
    """A primary and its synchronous standby."""

    primary: Server
    standby: Server

    def say(self, statement: str) -> list[tuple[object, ...]]:
        """To the primary."""
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def wait_for(self, names: str) -> None:
        """Each commit of the primary, from now on."""
        self.say(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.say("SELECT pg_reload_conf()")

    def follow(self) -> None:
        self.wait_for("spare")
        wait_for(lambda: self.say(SYNCHRONOUS) == [(1,)], "synchronous standby", 60)

    def url(self) -> str:
        """Of whichever of them is the primary."""
        hosts = f"{self.primary.folder},{self.standby.folder}"
        return f"postgresql://weighbridge@/postgres?host={hosts}&target_session_attrs=read-write"


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(lease, "BEAT_S", 3600.0)
    with running_server() as primary, made_server() as standby:
        standby.follow(primary, "spare")
        standby.start()
        made = Pair(primary, standby)
        made.follow()
        yield made


@pytest.fixture
def shard(pair: Pair) -> Iterator[Postgres]:
    made = Postgres(pair.url(), standbys=1)
    yield made
    made.close()


def acknowledged(store: Store, *leaves: bytes) -> None:
    store.log.append(leaves)
    hand_out(store)


def test_a_wait_that_was_cancelled_acknowledges_nothing(pair: Pair, shard: Postgres) -> None:
    """PostgreSQL says that it committed. What nobody was told of is not in the log afterwards."""
    store = shard.open()
    acknowledged(store, tick(0))
    pair.standby.stop()
    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(store.log.append, [tick(1)])
        wait_for(lambda: pair.say(CANCEL) == [(True,)], "commit that waits")
        with pytest.raises(StorageError, match="not known to be on a standby: cancel"):
            waits.result(timeout=60)
    assert (store.log.size, store.log.root()) == (1, recursive_root([tick(0)]))
    pair.standby.start()
    pair.follow()
    acknowledged(store, tick(2))
    assert list(shard.reopen().log.leaves(0, 9)) == [tick(0), tick(2)]


def test_where_the_server_waits_for_nobody_nothing_is_acknowledged(
    pair: Pair, shard: Postgres
) -> None:
    """Somebody took the standby out, so that commits go on: who asked for one is not told that it has them."""
    store = shard.open()
    acknowledged(store, tick(0))
    pair.wait_for("")
    for _ in range(2):
        with pytest.raises(
            StorageError, match="0 synchronous standbys have it, and 1 are asked for"
        ):
            store.log.append([tick(1)])
    pair.follow()
    acknowledged(store, tick(2))
    assert list(store.log.leaves(0, 9)) == [tick(0), tick(2)]


def test_a_standby_that_is_promoted_has_all_that_was_acknowledged(
    pair: Pair, shard: Postgres
) -> None:
    """The collector goes on with it, under the same lease; and the old primary, come back, acknowledges nothing."""
    store = shard.open()
    leaves = [tick(number) for number in range(50)]
    for leaf in leaves:
        acknowledged(store, leaf)
    pair.primary.stop(signal.SIGQUIT)
    with psycopg.connect(pair.standby.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("SELECT pg_promote()")
    with pytest.raises(StorageError):
        store.log.append([tick(50)])
    assert list(store.log.leaves(0, 99)) == leaves
    shard.standbys = 0
    alone = shard.reopen()
    acknowledged(alone, tick(51))
    assert list(alone.log.leaves(0, 99)) == [*leaves, tick(51)]
    pair.primary.start()
    pair.wait_for("")
    pair.say(f"UPDATE weighbridge_{shard.shard}.lease SET held_until = clock_timestamp()")
    shard.server, shard.standbys = pair.primary.url(), 1
    back = shard.open()
    with pytest.raises(StorageError, match="0 synchronous standbys"):
        back.log.append([tick(52)])
