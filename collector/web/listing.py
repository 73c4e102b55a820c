"""What several pages list alike: findings worst first, rows of the ledger, and where a list goes on."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

from collector.api import status
from collector.api.routes import ListPage
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web import timeline
from weighbridge.judge.ledger import Finding, Row

NODES_SHOWN, FINDINGS_SHOWN = 32, 50
ROWS_DRAWN = 10_000


async def worst_first(found: Sequence[Finding]) -> list[Finding]:
    """In a thread: there may be many thousands."""
    return await asyncio.to_thread(status.worst_first, found)


def next_page(part: ListPage, **kept: str) -> str | None:
    """The query that goes on after this part of a list; `kept`: what else it asked for."""
    asked = {name: value for name, value in kept.items() if value}
    return None if part.after is None else "?" + urlencode({**asked, "after": part.after})


async def lately(fleet: Fleet, ledger: Ledger, contract: str, node: str | None) -> list[Row]:
    """Rows of the longest time up to now whose rows are not too many to draw, those that are still growing too."""
    end_us = fleet.now_us
    written = await asyncio.to_thread(_drawable, ledger, contract, end_us, node)
    return [*written, *fleet.open_rows(contract, node)]


def _drawable(ledger: Ledger, contract: str, end_us: int, node: str | None) -> Sequence[Row]:
    for length_us in reversed(timeline.WINDOWS_US):
        start_us = max(end_us - length_us, 0)
        if ledger.weight(contract, start_us, end_us, ROWS_DRAWN + 1) <= ROWS_DRAWN:
            return list(ledger.rows(contract, start_us, end_us, None, node))
    return ()
