"""What a read costs is what it reads: counted in the nodes that it touches, and not in those that there are."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.api import status
from collector.api.exposition import Exposition
from collector.api.routes import Viewer
from collector.judging.current_figures import Current
from collector.judging.live import Judgement, LiveFleet
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.judge.node_state import NodeState
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.judge_versions import Judges

CONTRACTS = (2, 8)
"""Of a small fleet and of a large one, three nodes each."""


class Touched(dict[str, NodeState]):
    """States of observers, and which of them were touched."""

    def __init__(self, states: dict[str, NodeState]) -> None:
        super().__init__(states)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> NodeState:
        self.names.append(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.append(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self.names += super().__iter__()
        return super().__iter__()

    def values(self) -> Any:
        self.names += super().__iter__()
        return super().values()

    def items(self) -> Any:
        self.names += super().__iter__()
        return super().items()


def fleet(contracts: int) -> tuple[LiveFleet, Touched]:
    log = Log()
    log.tick(0)
    for number in range(contracts):
        name = f"K{number}"
        log.contract(contract_text(name, nodes=3), name)
        for place in range(3):
            log.assign(f"{name}-n{place}", name)
            log.report(ScriptedNode(f"{name}-n{place}", chain=f"{name}-{place}").report([0]))
    touched = Touched(log.fold.states)
    log.fold.states, log.fold._nodes = touched, touched
    current = Current(NoticeBook(), lambda *_: (), lambda *_: ())
    return LiveFleet(Judgement(log.fold, current, Judges())), touched


def first_shard(live: LiveFleet, touched: Touched) -> int:
    """Once it is known which GPU is on which."""
    pages = Exposition(live, tuple)
    asyncio.run(pages.paths())
    touched.names.clear()
    text = asyncio.run(pages.shard(0))
    return 0 if text is None else len(touched.names)


def counted(read: Callable[[LiveFleet], object]) -> Callable[[LiveFleet, Touched], int]:
    def cost(live: LiveFleet, touched: Touched) -> int:
        read(live)
        return len(touched.names)

    return cost


READS = {
    "a node": counted(lambda live: status.node(live, "K1-n1")),
    "a node, with what is shown of it": counted(
        lambda live: asyncio.run(status.visible_node(live, Viewer(frozenset({"K1"})), "K1-n1"))
    ),
    "a node of a contract": counted(lambda live: status.assigned_node(live, "K1", "K1-n1")),
    "a contract": counted(lambda live: status.contract(live, "K1")),
    "its open rows": counted(lambda live: live.open_rows("K1")),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_touches_the_nodes_that_it_is_about(read: str) -> None:
    small, large = (READS[read](*fleet(contracts)) for contracts in CONTRACTS)
    assert 0 < small == large


def test_a_shard_touches_its_own_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.api.exposition.GPUS_PER_SHARD", 9)
    small, large = (first_shard(*fleet(contracts)) for contracts in CONTRACTS)
    assert 0 < small == large
