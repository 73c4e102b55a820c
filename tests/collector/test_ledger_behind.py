"""The ledger is written behind the judge, which goes on meanwhile: an abrupt end changes nothing of what it says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.judging.writer import LedgerWriter
from collector.storage.derived import open_derived
from collector.storage.frozen import FrozenLog
from collector.storage.index import SqlIndex
from collector.storage.ledger import SqlLedger
from collector.storage.packed import LEAST_BYTES, Packer, unpack
from collector.storage.store import Store, StoreInfo
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.judge.fleet import NODE, FleetFold
from weighbridge.steps import drained

NODES = ("n1", "n2", "n3")
LENGTH = 170
"""Seconds of the story: a tick each ten, and reports of whoever speaks then."""


def story() -> Log:
    """One node works, one loses a GPU and finds it again, one falls silent and comes back in another chain."""
    log, nodes = Log(), {name: ScriptedNode(name, chain=f"{name}-1") for name in NODES}
    log.contract(contract_text(nodes=3))
    for name in NODES:
        log.assign(name)
    for second in range(0, LENGTH, 10):
        log.tick(second)
        nodes["n2"].states[nodes["n2"].devices[0]] = "lost" if 40 <= second < 90 else "ok"
        if second == 120:
            nodes["n3"] = ScriptedNode("n3", chain="n3-2", boot="boot-2", wall_offset_us=-1000)
        for name, node in nodes.items():
            if name != "n3" or not 30 <= second < 120:
                log.report(node.report([second], inventory=node.inventory()))
    return log


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_store(tmp_path_factory.mktemp("story") / "store")
    with opened(made) as store:
        store.log.append(story().leaves)
    return made


class Judging:
    """A log that is judged again and again, by a ledger of its own."""

    def __init__(self, directory: Path, ledger: Path) -> None:
        self._log, self._ledger = FrozenLog(directory / "evidence" / "segments"), ledger
        self._telling: Any = None
        self.start()

    def start(self) -> None:
        """What was in memory is gone."""
        engine = open_derived(self._ledger)
        index = SqlIndex(engine)
        index.catch_up(self._log)
        info = StoreInfo("weighbridge/test")
        self.store = Store(info, self._log, index, SqlLedger(engine))
        self.writer, self._telling = LedgerWriter(self.store), None

    def fold(self, entries: int) -> None:
        self.writer.catch_up(entries)

    def take(self, states: int) -> None:
        """Begin to write, and tell of so many nodes; or of so many more."""
        if self._telling is None:
            drained(self.writer.taking())
            self._telling = self.writer.telling()
        for _ in range(states):
            if self._told() is not None:
                return

    def _told(self) -> Any:
        try:
            next(self._telling)
        except StopIteration as ended:
            self._telling = None
            return self._write(ended.value)
        return None

    def _write(self, batch: Any) -> Any:
        self.store.ledger.write(*batch)
        self.writer.written(kept=True)
        return batch

    def end(self) -> tuple[Any, ...]:
        """All of the log is judged and written; what the ledger says then."""
        self.take(len(NODES) + 1)
        while self.writer.catch_up():
            pass
        names = [NODE + name for name in self.writer.judgement.folds.states]
        self.writer.judgement.folds.touch(names)
        self._write(self.writer.take())
        ledger = self.store.ledger
        return (
            list(ledger.rows("K1", 0, 2**53)),
            sorted(ledger.findings().findings, key=repr),
            {name: unpack(state) for name, state in ledger.snapshots().items()},
        )


@pytest.fixture(scope="module")
def undisturbed(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """By a judge that nobody interrupts, and a ledger that is written once."""
    return Judging(directory, tmp_path_factory.mktemp("ledger") / "index.sqlite").end()


ROUNDS = st.lists(
    st.tuples(
        st.integers(1, 25), st.integers(0, 3), st.integers(1, 25), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=3,
)
"""Of each round: entries that are folded, nodes that are told of then, entries that are folded meanwhile, and whether
the ledger is written and whether the judge ends abruptly after that."""


@settings(max_examples=12, deadline=None)
@given(rounds=ROUNDS)
def test_an_abrupt_end_at_any_point_changes_nothing(
    rounds: Sequence[tuple[int, int, int, bool, bool]],
    directory: Path,
    undisturbed: tuple[Any, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    judging = Judging(directory, tmp_path_factory.mktemp("ledger") / "index.sqlite")
    for before, told, meanwhile, written, crashes in rounds:
        judging.fold(before)
        judging.take(told)
        judging.fold(meanwhile)
        if written:
            judging.take(len(NODES) + 1)
        if crashes:
            judging.start()
    rows, findings, snapshots = judging.end()
    assert (rows, findings) == undisturbed[:2]
    assert snapshots == undisturbed[2]


def test_what_is_told_of_a_node_is_what_it_was_when_the_telling_began() -> None:
    log = Log()
    entries, half = story().entries, 60
    for one in entries[:half]:
        log.fold.fold(one)
    log.fold.touch(NODE + name for name in NODES)
    before = FleetFold()
    for one in entries[:half]:
        before.fold(one)
    drained(log.fold.beginning())
    telling = log.fold.telling()
    next(telling)
    for one in entries[half:]:
        log.fold.fold(one)
    told = drained(telling)
    assert told == {name: state for name, state in before.snapshots().items() if NODE in name}
    assert log.fold.snapshots().keys() > told.keys(), "they changed since"


def test_only_what_changed_since_is_told_again() -> None:
    log, node = Log(), ScriptedNode("n1")
    log.contract(contract_text(nodes=2))
    for name in ("n1", "n2"):
        log.assign(name)
    log.tick(0)
    log.report(node.report([0]))
    log.report(ScriptedNode("n2", chain="other").report([0]))
    assert {name for name in log.fold.snapshots() if NODE in name} == {"node/n1", "node/n2"}
    log.tick(10)
    log.report(node.report([10]))
    assert {name for name in log.fold.snapshots() if NODE in name} == {"node/n1"}
    assert {name for name in log.fold.snapshots() if NODE in name} == set()


@pytest.mark.parametrize("length", [0, LEAST_BYTES - 1, LEAST_BYTES, 100_000])
def test_a_state_comes_back_as_it_was(length: int) -> None:
    state = b"{" + b'"a":1,' * (length // 6) + b" " * (length % 6)
    kept = Packer().pack(state)
    assert unpack(kept) == state
    assert len(kept) <= len(state)
