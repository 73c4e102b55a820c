"""A shard has one writer at a time: who follows when it dies, and what one that comes back may still do."""

import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from collector.storage.postgres import lease
from collector.storage.postgres.place import parse_place
from collector.storage.postgres.schema import make_derived, open_engine
from collector.storage.store import (
    Accepted,
    ChainKey,
    Indexed,
    StorageError,
    Store,
    StoreHeld,
    StoreLost,
)
from tests.collector.building import Agent
from tests.collector.postgres_server import Server
from tests.collector.postgres_writer import LOST
from tests.collector.postgres_writers import (
    Writer,
    expire,
    require_all_told,
    sql,
    writers,
)
from tests.collector.stores import Postgres, hand_out, tick
from tests.weighbridge.rfc_9162 import recursive_root
from weighbridge.log.entries import EntryKind


@pytest.fixture
def shard(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A holder in this process renews nothing: it is as silent as one that was stopped."""
    monkeypatch.setattr(lease, "BEAT_S", 3600.0)
    made = Postgres(postgres.url())
    yield made
    made.close()


def test_a_lease_ends_when_the_server_says_and_not_before(shard: Postgres) -> None:
    shard.open()
    sql(shard, "UPDATE lease SET held_until = clock_timestamp() + interval '1 h'")
    with pytest.raises(StoreHeld, match=r"is written by .* process [0-9]+ .*, for 3600 s more"):
        shard.open()
    assert sql(shard, "SELECT epoch FROM lease") == [(1,)]
    expire(shard)
    shard.open()
    assert sql(shard, "SELECT epoch FROM lease") == [(2,)]


def test_a_lease_that_was_given_back_is_taken_at_once(shard: Postgres) -> None:
    shard.open()
    shard.close()
    assert sql(shard, "SELECT held_until < clock_timestamp() FROM lease") == [(True,)]
    shard.open()
    assert sql(shard, "SELECT epoch FROM lease") == [(2,)]


@pytest.mark.parametrize("heard", [0, 1])
def test_who_lost_the_lease_writes_nothing_any_more(shard: Postgres, heard: int) -> None:
    """Whether or not it had written before: not to the log, nor a head, nor to index and ledger."""
    old = shard.open()
    for number in range(heard):
        old.log.append([tick(number)])
        hand_out(old)
    expire(shard)
    new = shard.open()
    new.index.record([Indexed(number, EntryKind.TICK) for number in range(heard)])
    new.log.append([tick(8), tick(9)])
    hand_out(new)
    writes: list[Callable[[Store], object]] = [
        lambda store: store.log.append([tick(7)]),
        hand_out,
        lambda store: store.ledger.write([], [], 1, {"judge": b"old"}),
        lambda store: store.ledger.clear(),
        flush,
    ]
    for write in writes:
        with pytest.raises(StorageError):  # where it had a session, that was ended
            write(old)
        with pytest.raises(StoreLost, match="another process writes this shard now"):
            write(old)
    leaves = [*(tick(number) for number in range(heard)), tick(8), tick(9)]
    assert list(new.log.leaves(0, 99)) == leaves
    assert new.ledger.snapshots() == {}
    assert sql(shard, "SELECT size FROM log") == [(heard + 2,)]
    new.log.append([tick(10)])
    again = shard.reopen()
    assert again.log.root() == recursive_root([*leaves, tick(10)])


def test_who_lost_the_lease_makes_no_tables_anew(shard: Postgres) -> None:
    """It was stopped between the lease and the tables of an older schema: they are another's by now."""
    new = shard.open()
    new.ledger.write([], [], 1, {"judge": b"new"})
    old = open_engine(parse_place(shard.url), "old", lambda: (0, "who wrote before"))
    with pytest.raises(StoreLost):
        make_derived(old)
    old.dispose()
    assert new.ledger.snapshots() == {"judge": b"new"}


def flush(store: Store) -> None:
    store.index.record([Indexed(store.log.size, EntryKind.KEY)])
    store.index.flush()


def test_a_writer_that_stopped_inside_its_transaction_does_not_keep_the_next_one_out(
    shard: Postgres,
) -> None:
    """It holds its rows for ever: who follows ends its sessions first."""
    shard.open()
    name = str(sql(shard, "SELECT holder FROM lease")[0][0]).rpartition("(")[2].rstrip(")")
    with psycopg.connect(shard.server, application_name=name) as stopped:
        stopped.execute(f"SELECT 1 FROM weighbridge_{shard.shard}.lease FOR KEY SHARE")
        expire(shard)
        new = shard.open()
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("SELECT 1")
    new.log.append([tick(1)])


def test_a_writer_that_the_lease_does_not_know_is_waited_for(shard: Postgres) -> None:
    """Its transaction ends before anybody else writes: an operator's session is not ended by anybody."""
    shard.open()
    with psycopg.connect(shard.server) as other:
        other.execute(f"SELECT 1 FROM weighbridge_{shard.shard}.lease FOR KEY SHARE")
        expire(shard)
        with pytest.raises(StoreHeld, match="in the middle of a write"):
            shard.open()
        assert other.execute("SELECT 1").fetchone() == (1,)
    shard.open()


CHAIN = ChainKey("k", "c", "s")
END_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'weighbridge {shard} %' AND pid != pg_backend_pid()
"""


def cut_off(shard: Postgres) -> None:
    """Every session of the collector's is ended, as by a restart of the server."""
    sql(shard, END_ALL.format(shard=shard.shard))


def test_a_writer_whose_sessions_were_ended_goes_on_and_doubles_nothing(shard: Postgres) -> None:
    store = shard.open()
    store.log.append([tick(0), tick(1)])
    hand_out(store)
    root = store.log.root()
    cut_off(shard)
    with pytest.raises(StorageError, match=r"terminat|closed") as failed:
        store.log.append([tick(2)])
    assert not isinstance(failed.value, StoreLost)
    assert (store.log.size, store.log.root()) == (2, root)
    store.log.append([tick(3)])
    hand_out(store)
    assert list(store.log.leaves(0, 9)) == [tick(0), tick(1), tick(3)]
    assert store.index.last(ChainKey("k", "c", "s")) is None
    flush(store)


def test_reports_that_cannot_leave_for_want_of_a_server_are_an_error_that_names_the_shard(
    shard: Postgres,
) -> None:
    store, agent = shard.open(), Agent("n1")
    leaves = [agent.next(), agent.next()]
    store.log.append(leaves)

    def substitute(*_: object) -> bytes:
        cut_off(shard)
        return tick(0)

    with pytest.raises(StorageError, match=f"shard {shard.shard} of .*(terminat|closed)"):
        store.log.let_go(substitute)
    assert list(store.log.leaves(0, 9)) == leaves


def test_a_query_that_the_server_refuses_is_an_error_that_names_the_shard(shard: Postgres) -> None:
    """Whether it reads the log, its hashes, the index or the ledger."""
    store = shard.open()
    store.log.append([tick(0)])
    store.index.record(
        [of_report := Indexed(0, EntryKind.REPORT, CHAIN, Accepted(1, "ab" * 32, 0, 0))]
    )
    store.index.flush()
    reads: list[tuple[str, Callable[[], object]]] = [
        ("entries", lambda: list(store.log.leaves(0, 1))),
        ("entries", lambda: store.log.node(0, 0)),
        ("reports", lambda: store.index.find(CHAIN, 1)),
        ("rows", lambda: list(store.ledger.rows("lease", 0, 1))),
        ("snapshots", store.ledger.snapshots),
    ]
    for table, look in reads:
        look()
        sql(shard, f"ALTER TABLE {table} RENAME TO hidden")
        with pytest.raises(StorageError, match=f"shard {shard.shard} of "):
            look()
        sql(shard, f"ALTER TABLE hidden RENAME TO {table}")
    assert of_report.accepted == store.index.find(CHAIN, 1)


def test_an_append_of_which_nobody_was_told_is_taken_back_by_the_next(shard: Postgres) -> None:
    """Its head could not be kept."""
    store = shard.open()
    store.log.append([tick(0)])
    hand_out(store)
    root = store.log.root()
    store.log.append([tick(1), tick(2)])
    cut_off(shard)
    with pytest.raises(StorageError, match=r"terminat|closed"):
        hand_out(store)
    assert (store.log.size, store.log.root()) == (1, root)
    store.log.append([tick(3)])
    hand_out(store)
    assert list(shard.reopen().log.leaves(0, 9)) == [tick(0), tick(3)]


def test_a_database_that_lost_what_was_acknowledged_is_not_written_on(shard: Postgres) -> None:
    """A standby was promoted that did not have it: the process that knows says so, and so does the next one."""
    store = shard.open()
    store.log.append([tick(0), tick(1)])
    hand_out(store)
    sql(shard, "UPDATE log SET size = 1; DELETE FROM entries WHERE index > 0")
    cut_off(shard)
    with pytest.raises(StorageError, match=r"terminat|closed"):
        store.log.append([tick(2)])
    with pytest.raises(StorageError, match="holds less than the 2 entries that were acknowledged"):
        store.log.append([tick(2)])
    with pytest.raises(StorageError, match="the entries are 1, and a head over 2 was handed out"):
        shard.reopen()


def test_a_killed_writer_is_followed_and_a_stopped_one_comes_back_in_vain(shard: Postgres) -> None:
    """Three real processes, whose clocks are years apart; each is in the middle of writing when its turn ends."""
    with writers() as started:
        started.append(killed := Writer(shard, "killed", "-900d"))
        killed.hear(5)
        killed.kill()
        started.append(stopped := Writer(shard, "stopped", "+900d"))
        stopped.hear(5)
        stopped.process.send_signal(signal.SIGSTOP)
        started.append(last := Writer(shard, "last"))
        last.hear(5)
        stopped.process.send_signal(signal.SIGCONT)
        stopped.rest()
        assert stopped.process.returncode == LOST
        last.hear(5)
        last.kill()
        require_all_told(shard, started)


@pytest.mark.slow
def test_twenty_writers_are_killed_one_after_another_and_nothing_that_was_told_is_lost(
    shard: Postgres,
) -> None:
    with writers() as started:
        for number in range(20):
            started.append(one := Writer(shard, f"w{number}"))
            one.hear(1 + number % 7)
            one.kill()
        require_all_told(shard, started)
