"""What every store promises, whatever holds it: one suite for all of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.storage.store import Accepted, ChainKey, CorruptStore, Indexed, Store, StoreInUse
from tests.collector.building import Agent
from tests.collector.postgres_server import Server
from tests.collector.stores import (
    INFO,
    SIGNER,
    Embedded,
    Kind,
    Postgres,
    hand_out,
    tick,
)
from tests.weighbridge.rfc_9162 import recursive_root
from weighbridge.audit.portfolio import DAY_US
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Finding, Row, State, Use
from weighbridge.log.entries import Entry, EntryKind, Removed, payload_type
from weighbridge.log.merkle import Frontier, leaf_hash
from weighbridge.verdict import Verdict
from weighbridge.wire.report import encode

Reopen = Callable[[], Store]
KINDS = ("embedded", "postgresql")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    made: Kind
    if request.param == "embedded":
        made = Embedded(tmp_path / "store")
    else:
        server: Server = request.getfixturevalue("postgres")
        made = Postgres(server.url())
    yield made
    made.close()


@pytest.fixture
def reopen(kind: Kind) -> Reopen:
    """Opens the store, closing the one before."""
    return kind.reopen


def test_what_is_appended_is_read_back_over_segments_and_restarts(reopen: Reopen) -> None:
    store = reopen()
    leaves = [tick(number) for number in range(60)]
    for start in range(0, 60, 7):
        assert store.log.append(leaves[start : start + 7]) == start
    assert list(store.log.leaves(0, 100)) == leaves
    store = reopen()
    assert store.log.size == 60
    assert list(store.log.leaves(13, 30)) == leaves[13:43]
    assert list(store.log.leaves(60, 5)) == []
    assert [entry.index for entry in store.log.read(58, 9)] == [58, 59]


def test_the_root_is_that_of_rfc_9162_after_any_restart(reopen: Reopen) -> None:
    leaves: list[bytes] = []
    for count in (1, 2, 5, 9, 20):
        store = reopen()
        fresh = [tick(len(leaves) + number) for number in range(count)]
        store.log.append(fresh)
        leaves += fresh
        assert store.log.root() == recursive_root(leaves)
    assert reopen().log.root() == recursive_root(leaves)


def test_what_was_recorded_is_found_before_and_after_it_is_written(reopen: Reopen) -> None:
    store = reopen()
    store.log.append([tick(0), tick(1)])
    chain = ChainKey("key", "chain", "node")
    accepted = Accepted(7, "ab" * 32, 1, 99)
    store.index.record([Indexed(0, EntryKind.KEY), Indexed(1, EntryKind.REPORT, chain, accepted)])
    for _ in range(2):
        assert store.index.last(chain) == accepted
        assert store.index.find(chain, 7) == accepted
        assert store.index.of_kinds({EntryKind.KEY}) == [0]
        assert store.index.of_kinds({EntryKind.ASSIGNMENT}) == []
        store.index.flush()
    assert reopen().index.last(chain) == accepted


def row(start_us: int, end_us: int, state: State, recorded_us: int, node: str = "n1") -> Row:
    return Row("lease", node, 0, "GPU-1", "chain", start_us, end_us, state, "", recorded_us)


def test_rows_are_bitemporal(reopen: Reopen) -> None:
    ledger = reopen().ledger
    first, other = row(0, 10, State.UP, 100), row(20, 30, State.UP, 100, "n2")
    ledger.write([first, other], [], 1, {})
    longer = row(0, 15, State.UP, 200)
    ledger.write([longer], [], 2, {})
    assert [*ledger.rows("lease", 0, 100)] == [longer, other]
    assert [*ledger.rows("lease", 0, 100, as_of_us=199)] == [first, other]
    assert [*ledger.rows("lease", 0, 100, as_of_us=200)] == [longer, other]
    assert [*ledger.rows("lease", 0, 100, as_of_us=99)] == []
    assert [*ledger.rows("lease", 15, 20)] == []
    assert [*ledger.rows("lease", 14, 20)] == [longer]
    assert [*ledger.rows("lease", 0, 100, node="n2")] == [other]
    assert [*ledger.rows("other", 0, 100)] == []


@pytest.mark.parametrize("together", [True, False])
def test_an_agent_that_goes_back_in_time_takes_nothing_back(reopen: Reopen, together: bool) -> None:
    """Its clock says so at each boot, as its owner likes: the same start may come again, and otherwise."""
    ledger = reopen().ledger
    seen, denied, shorter = (
        row(0, 10, State.DOWN, 100),
        row(0, 10, State.UP, 200),
        row(0, 1, State.DOWN, 300),
    )
    again = row(0, 10, State.DOWN, 400)
    told = [seen, denied, shorter, again]
    for number, batch in enumerate([told] if together else [[one] for one in told], start=1):
        ledger.write(batch, [], number, {})
    assert {seen, denied} <= set(ledger.rows("lease", 0, 100))


def finding(code: str, since_us: int, until_us: int | None) -> Finding:
    return Finding(
        "lease", "n1", "", code, Severity.ERROR, Verdict.BREACHED, "E0", "8", "7", "provider",
        since_us, until_us,
    )  # fmt: skip


def test_the_newest_word_on_a_finding_stands(reopen: Reopen) -> None:
    ledger = reopen().ledger
    ledger.write([], [finding("a", 0, None), finding("b", 0, None)], 1, {})
    ledger.write([], [finding("a", 0, 5), finding("a", 9, None)], 2, {})
    page = ledger.findings()
    assert page.findings == [finding("a", 0, 5), finding("b", 0, None), finding("a", 9, None)]
    assert page.after is None
    opened = ledger.findings("lease", open_only=True).findings
    assert opened == [finding("b", 0, None), finding("a", 9, None)]
    assert ledger.findings("other").findings == []


def test_findings_come_in_pages(reopen: Reopen) -> None:
    ledger = reopen().ledger
    written = [finding("a", number, None) for number in range(5)]
    ledger.write([], written, 1, {})
    found: list[Finding] = []
    after = None
    for _ in range(3):
        page = ledger.findings(after=after, limit=2)
        found += page.findings
        after = page.after
    assert found == written
    assert after is None


def test_folded_and_snapshots_are_of_one_transaction_and_outlive_a_restart(
    reopen: Reopen,
) -> None:
    store = reopen()
    assert store.ledger.folded() == 0
    store.ledger.write([], [], 5, {"judge": b"1", "registry": b"2"})
    store.ledger.write([], [], 6, {"judge": b"3"})
    ledger = reopen().ledger
    assert ledger.folded() == 6
    assert ledger.snapshots() == {"judge": b"3", "registry": b"2"}


@given(st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=6), max_size=12))
@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_bytes_in_any_groups_come_back_exactly(
    reopen: Reopen, groups: list[list[bytes]]
) -> None:
    """Appended to what the examples before left there."""
    store = reopen()
    leaves = list(store.log.leaves(0, store.log.size))
    for group in groups:
        sealed = [SIGNER.seal(payload_type(EntryKind.CHALLENGE), data) for data in group]
        store.log.append(sealed)
        leaves += sealed
    log = reopen().log
    assert list(log.leaves(0, len(leaves) + 1)) == leaves
    assert log.root() == recursive_root(leaves)


def test_a_store_is_made_with_a_head_over_nothing(reopen: Reopen) -> None:
    store = reopen()
    head = store.log.handed_out
    assert store.info == INFO
    assert head is not None
    assert (head.origin, head.size, head.root) == (INFO.origin, 0, recursive_root([]))


def test_a_store_is_open_once(kind: Kind) -> None:
    kind.open()
    with pytest.raises(StoreInUse):
        kind.open()
    kind.reopen()


def test_a_log_that_is_longer_than_what_was_handed_out_goes_on(reopen: Reopen) -> None:
    """A crash came between the rows and the head: they are entries, of which nobody was told."""
    store = reopen()
    store.log.append([tick(0)])
    hand_out(store)
    store.log.append([tick(1)])
    log = reopen().log
    assert log.size == 2
    assert log.handed_out is not None
    assert log.handed_out.size == 1


def test_every_hash_is_that_of_its_subtree_and_proven_under_the_newest_head(reopen: Reopen) -> None:
    store = reopen()
    leaves = [tick(number) for number in range(21)]
    for start in range(0, 21, 4):
        store.log.append(leaves[start : start + 4])
    hand_out(store)
    expected: dict[tuple[int, int], bytes] = {}
    frontier = Frontier()
    for leaf in leaves:
        expected |= {
            (level, index): node for level, index, node in frontier.append(leaf_hash(leaf))
        }
    for _ in range(2):
        log = store.log
        proven = log.proven()
        for place, node in expected.items():
            assert log.node(*place) == proven(*place) == node
        for level, index in ((0, 21), (1, 10), (5, 0)):
            with pytest.raises(ValueError, match="no complete subtree"):
                proven(level, index)
        assert log.damage is None
        store = reopen()


def test_an_index_is_made_up_from_the_log(reopen: Reopen) -> None:
    """Nothing of it was recorded: it is read from the entries when the store is opened again."""
    agent, other = Agent("n1", gpus=1), Agent("n2", gpus=1)
    reports = [agent.next() for _ in range(3)]
    chain = ChainKey(agent.signer.key_id, agent.chain, "node")
    reopen().log.append([tick(5), reports[0], other.next(), tick(9), *reports[1:]])
    index = reopen().index
    last, first = index.last(chain), index.find(chain, 0)
    assert last is not None
    assert first is not None
    assert (last.seq, last.payload_hash, last.index, last.received_us) == (2, agent.prev, 5, 9)
    assert (first.index, first.received_us) == (1, 5)
    assert index.find(chain, 3) is None
    assert index.at_or_after(chain, 1) == index.find(chain, 1)
    assert index.at_or_after(chain, 3) is None
    assert index.chains({agent.signer.key_id}) == [(chain, last)]


def test_an_index_that_knows_one_entry_more_than_the_log_is_not_opened(reopen: Reopen) -> None:
    store = reopen()
    store.log.append([tick(0)])
    store.index.record([Indexed(0, EntryKind.TICK), Indexed(1, EntryKind.TICK)])
    said = "delete .*index.sqlite|restore the database of shard"
    with pytest.raises(CorruptStore, match=f"knows 2 entries, the log holds 1: .*({said})"):
        reopen()


def test_text_comes_back_exactly_and_sorts_by_code_point(reopen: Reopen) -> None:
    """Whatever language the server sorts in, and though PostgreSQL knows no NUL."""
    names = [
        "a\0b",
        "B",
        "Z",
        "_",
        "a",
        "a b",
        "ab",
        "\u00e4",
        "\ufdd0",
        "\ufdd01",
        "\ufdd0\0",
        "\U0001f600",
    ]
    ledger = reopen().ledger
    ledger.write(
        [row(0, 10, State.UP, 100, node) for node in names], [finding("a\0", 0, None)], 1, {}
    )
    found = [row.node for row in ledger.rows("lease", 0, 100)]
    assert sorted(found) == sorted(names)
    plain = [name for name in found if "\0" not in name and "\ufdd0" not in name]
    assert plain == sorted(plain)
    assert [*ledger.rows("lease", 0, 100, node="a\0b")] == [row(0, 10, State.UP, 100, "a\0b")]
    assert ledger.findings().findings == [finding("a\0", 0, None)]


def use(hour: int, recorded_us: int, seen: int, node: str = "n1") -> Use:
    hour_us = hour * 3_600_000_000
    sums = (seen, seen, seen, seen, seen, seen, 1 << 60)
    return Use("lease", node, "chain", hour_us, hour_us, hour_us + seen, *sums, recorded_us, 7)


def test_of_sums_the_last_ones_known_at_an_instant_count(reopen: Reopen) -> None:
    ledger = reopen().ledger
    ledger.write([], [], 1, {}, [use(1, 100, 5), use(2, 100, 6), use(1, 100, 5, "n2")])
    ledger.write([], [], 2, {}, [use(1, 200, 7)])
    ledger.write([], [], 2, {}, [use(1, 200, 8)])
    hour_us = 3_600_000_000
    assert [*ledger.uses("lease", 0, 9 * hour_us, 199)] == [
        use(1, 100, 5),
        use(1, 100, 5, "n2"),
        use(2, 100, 6),
    ]
    assert [*ledger.uses("lease", hour_us, 2 * hour_us, 200)] == [
        use(1, 200, 8),
        use(1, 100, 5, "n2"),
    ]
    assert [*ledger.uses("lease", 0, 9 * hour_us, 99)] == []
    assert ledger.weight("lease", hour_us, 2 * hour_us, 99) == 3
    assert ledger.weight("lease", hour_us, 2 * hour_us, 2) == 2


def test_devices_at_work_and_late_evidence_are_summed(reopen: Reopen) -> None:
    ledger = reopen().ledger
    day = [
        row(0, 10, State.UP, DAY_US),
        row(10, 30, State.UP, DAY_US),
        row(0, 9, State.UNKNOWN, DAY_US, "n2"),
    ]
    ledger.write(day, [], 1, {})
    (seen,) = ledger.sightings("lease", DAY_US)
    assert (seen.node, seen.slot, seen.device, seen.first_us, seen.last_us) == (
        "n1",
        0,
        "GPU-1",
        0,
        30,
    )
    (late,) = ledger.arrivals("lease", 1000, DAY_US)
    assert (late.node, late.slot_us) == ("n1", 30)
    assert isinstance(late.slot_us, int)
    assert not ledger.arrivals("lease", DAY_US - 10, DAY_US)  # the first was so late, and no later
    (later,) = ledger.arrivals("lease", DAY_US - 11, DAY_US)
    assert (later.slot_us, later.end_us) == (10, 10)
    assert not ledger.sightings("lease", DAY_US - 1)
    assert not ledger.arrivals("lease", 1000, DAY_US - 1)


def test_a_ledger_that_was_cleared_is_new(reopen: Reopen) -> None:
    store = reopen()
    store.log.append([tick(5)])
    store.index.record([Indexed(0, EntryKind.TICK)])
    store.index.flush()
    store.ledger.write(
        [row(0, 10, State.UP, 100)], [finding("a", 0, None)], 1, {"judge": b"1"}, [use(1, 1, 1)]
    )
    store.ledger.clear()
    store = reopen()
    assert (store.ledger.folded(), store.ledger.snapshots(), store.log.size) == (0, {}, 1)
    assert [*store.ledger.rows("lease", 0, 100)] == []
    assert store.ledger.findings().findings == []


def test_reports_leave_and_the_log_is_the_same_one(reopen: Reopen) -> None:
    store, agent = reopen(), Agent("n1")
    leaves = [leaf for number in range(30) for leaf in (agent.next(), tick(number))]
    for start in range(0, 60, 6):
        store.log.append(leaves[start : start + 6])
    root = store.log.root()

    def substitute(one: Entry, hashed: str) -> bytes | None:
        if one.index % 4:
            return None
        said = Removed(
            leaf_hash=hashed,
            key_id=agent.signer.key_id,
            node="n1",
            chain=agent.chain,
            stream="node",
            seq=one.index // 2,
            payload_hash="0" * 64,
        )
        return SIGNER.seal(payload_type(EntryKind.REMOVED), encode(said))

    count = store.log.let_go(substitute)
    openings: list[Reopen] = [lambda: store, reopen]
    for opening in openings:
        opened = opening()
        kinds = [one.kind for one in opened.log.read(0, 60)]
        gone = [index for index, kind in enumerate(kinds) if kind is EntryKind.REMOVED]
        assert 0 < count == len(gone)
        assert not any(index % 4 for index in gone)
        kept = [index for index in range(60) if index not in gone]
        assert [next(opened.log.leaves(index, 1)) for index in kept] == [leaves[at] for at in kept]
        assert opened.log.root() == root
