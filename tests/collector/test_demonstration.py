"""What the demonstration makes of a machine that cannot be weighed."""

import contextlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from collector.demo.run import Demonstration, Wanted
from collector.demo.show import Screen


async def test_a_machine_whose_readings_fail_does_not_end_the_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "weighbridge-agent"
    broken.write_text("#!/bin/sh\necho 'no library' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("collector.demo.run.program", lambda _: str(broken))
    said = io.StringIO()
    demonstration = Demonstration(
        Wanted(1.0, 0, tmp_path, frozenset()), Screen(Console(file=said, width=400))
    )
    async with contextlib.AsyncExitStack() as stack:
        await demonstration.start_real_node(stack)
    assert "this machine is not weighed, only the fleet: " in said.getvalue()
    assert "no library" in said.getvalue()
