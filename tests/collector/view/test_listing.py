"""What several pages list alike."""

from typing import Any

import pytest

from collector.web import listing
from collector.web.timeline import WINDOWS_US
from tests.collector.view.conftest import ScriptedLedger
from weighbridge.judge.ledger import Row, State


def row(start_us: int) -> Row:
    return Row("alpha", "a1", 0, "GPU-1", "c", start_us, start_us + 1, State.UP, "", start_us)


@pytest.mark.parametrize("more", [0, 1])
async def test_the_longest_time_is_drawn_whose_rows_are_not_too_many(
    fleet: Any, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Two of the last hour and one of the day before, where two may be drawn, and where three may."""
    monkeypatch.setattr(listing, "ROWS_DRAWN", 2 + more)
    now_us, (*_, hour_us, _, _) = fleet.now_us, WINDOWS_US
    rows = [row(now_us - WINDOWS_US[-1] + 1), row(now_us - hour_us), row(now_us - 1)]
    monkeypatch.setattr(fleet, "open_rows", lambda *_: [])
    ledger: Any = ScriptedLedger(rows)
    found = await listing.lately(fleet, ledger, "alpha", None)
    assert found == rows[1 - more :]
