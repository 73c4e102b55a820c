"""Statements are made one after the other: the rows of one large contract fill much memory."""

import asyncio
import threading
from typing import Any

from collector.judging.statements import Statements


async def test_however_many_are_asked_for_at_once_one_thread_makes_them() -> None:
    nothing: Any = None
    statements, all_asked = Statements(nothing, nothing, nothing), threading.Event()

    def make() -> int:
        assert all_asked.wait(20)
        return threading.get_ident()

    asked = [asyncio.ensure_future(statements.apart(make)) for _ in range(8)]
    await asyncio.sleep(0)
    all_asked.set()
    assert len(set(await asyncio.gather(*asked))) == 1
