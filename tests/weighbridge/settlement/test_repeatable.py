"""The same inputs give the same bytes: in another process, in another order, and however the ledger was cut."""

import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import loaded, written
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import BY_DEVICE, OVERLAY, Row, State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import Claim, ToldEvent, Window

SECOND = 1_000_000
HOUR_US = 3600 * SECOND
PERIOD = calendar_month("2026-05", "Asia/Shanghai")
AS_OF_US = (PERIOD.end_s + 6 * 86400) * SECOND
NODES = [f"n{number}" for number in range(6)]
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "6", "per_node": "2"}],
    "pricing": [{"unit": "gpu_hour", "price": "12.50"}],
    "pay_only_healthy": "true",
    "availability": [
        {"id": "gpu", "unit": "gpu", "target": "0.999"},
        {"id": "node", "unit": "node", "target": "0.995"},
        {"id": "most", "unit": "node", "scope": "k_of_n", "k": "5", "target": "0.999"},
        {"id": "pool", "unit": "gpu", "scope": "pooled", "target": "0.999"},
    ],
    "unknown": {"policy": "hold", "by_cause": {"network": "down", "agent": "up"}},
    "maintenance": {"min_notice_s": "3600", "max_s_per_period": "7200"},
    "credits": [
        {"id": f"c-{name}", "objective": name, "kind": "linear_shortfall"}
        for name in ("gpu", "node", "pool")
    ],
    "claim": {"required": "true", "deadline_days": "10"},
}


def row(node: str, slot: int, start: int, end: int, state: State, cause: str = "") -> Row:
    start_us, end_us = ((PERIOD.start_s + edge) * SECOND for edge in (start, end))
    device = f"GPU-{node}-{slot}"
    return Row("K", node, slot, device, "chain", start_us, end_us, state, cause, end_us)


def rows() -> list[Row]:
    chance = random.Random(7)
    made = [row(node, slot, 0, PERIOD.seconds, State.UP) for node in NODES[:5] for slot in (0, 1)]
    states = [
        (State.DOWN, "xid"),
        (State.DOWN, "b"),
        (State.UNKNOWN, "network"),
        (State.DEGRADED, ""),
    ]
    for _ in range(60):
        start = chance.randrange(PERIOD.seconds - 9000)
        end = start + chance.randrange(1, 9000)
        made.append(
            row(chance.choice(NODES[:5]), chance.randrange(2), start, end, *chance.choice(states))
        )
    over = row("n1", 1, 5000, 20000, State.CONTESTED)
    return [*made, replace(over, slot=BY_DEVICE, chain=OVERLAY)]


def statement(given: Iterable[Row]) -> str:
    file = written(TERMS)
    version = Version(loaded(file), file, 0, 4_000_000_000 * SECOND)
    notices = Notices(
        windows=(
            Window("m", PERIOD.start_s + 7000, PERIOD.start_s + 9000, 0, frozenset(NODES)),
            Window("late", PERIOD.start_s + 99000, PERIOD.start_s + 99900, PERIOD.start_s + 98000),
        ),
        claims=(Claim("2026-05", PERIOD.end_s + 5, "n1"),),
        events=(
            ToldEvent("gpu_replaced", PERIOD.start_s + 4000, "n1.1", {"new": "B", "old": "A"}),
        ),
    )
    return draft([version], holders(NODES), given, notices, PERIOD, AS_OF_US).json()


def hourly(given: Iterable[Row]) -> Iterator[Row]:
    for one in given:
        start = one.start_us
        while start < one.end_us:
            end = min(one.end_us, (start // HOUR_US + 1) * HOUR_US)
            yield replace(one, start_us=start, end_us=end)
            start = end


def test_rows_cut_at_every_hour_and_shuffled_give_the_same_statement() -> None:
    whole = statement(rows())
    cut = list(hourly(rows()))
    assert len(cut) > 10 * len(rows())
    random.Random(3).shuffle(cut)
    assert statement(iter(cut)) == whole


def test_one_second_more_of_an_outage_gives_another_digest() -> None:
    first, *others = rows()
    assert statement([replace(first, end_us=first.end_us - SECOND), *others]) != statement(rows())


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_with_other_hashes_gives_the_same_bytes(seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": seed}
    ran = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, check=True, timeout=60
    )
    assert ran.stdout.decode() == statement(rows())


if __name__ == "__main__":
    sys.stdout.write(statement(rows()))
