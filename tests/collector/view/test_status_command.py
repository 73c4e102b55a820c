"""Of which instant `weighbridge status` shows things, and when it calls that old."""

from typing import Any

import pytest
from rich.console import Console

from collector.cli.status import OLD_US, Picture
from collector.client import CollectorError
from weighbridge.verdict import Verdict

NEWEST_US = 1_795_950_715_000_000
ROW: dict[str, Any] = {
    "contract": "lease",
    "verdict": "met",
    "gpus": dict.fromkeys(("contracted", "reporting", "healthy", "in_use"), 8),
    "findings": {},
    "objectives": [],
}


class Answering:
    """A collector that says so much of its freshness; None: one of the version before."""

    def __init__(self, of: dict[str, Any] | None, *, serves: bool = True) -> None:
        self._of, self.serves = of, serves

    def ask(self, _method: str, path: str, *_: Any) -> Any:
        if path == "/v1/status":
            assert self.serves, "whoever starts a collector to ask it would ask for the log's end"
            if self._of is None:
                raise CollectorError("it is older than this program")
            return {"stopped": None, "remarks": [], "newest_us": NEWEST_US} | self._of
        return {"items": [] if path.startswith("/v1/contracts/") else [ROW], "after": None}


def shown(of: dict[str, Any] | None, **how: bool) -> tuple[str, Verdict]:
    picture, console = Picture(Answering(of, **how), None), Console(width=120, record=True)
    with console.capture() as captured:
        picture.print(console)
    return captured.get(), picture.verdict


@pytest.mark.parametrize(("behind_us", "old"), [(0, False), (OLD_US, False), (OLD_US + 1, True)])
def test_what_is_further_behind_the_log_than_six_slow_ticks_is_old(
    behind_us: int, old: bool
) -> None:
    said, verdict = shown({"judged_us": NEWEST_US - behind_us})
    assert ("OLD, 15 s behind" in said) is old
    assert "as of 2026-11-29 " in said
    assert verdict is (Verdict.UNKNOWN if old else Verdict.MET)


def test_why_a_collector_stores_or_judges_nothing_is_said_at_once() -> None:
    of = {"judged_us": NEWEST_US, "stopped": "judging stopped at entry 7", "remarks": ["a remark"]}
    said, verdict = shown(of)
    assert "STOPPED: judging stopped at entry 7" in said
    assert "a remark" in said
    assert verdict is Verdict.UNKNOWN


def test_a_store_that_nobody_serves_and_an_older_collector_say_so() -> None:
    said, verdict = shown(None, serves=False)
    assert "STOPPED: no collector serves this store" in said
    assert verdict is Verdict.MET, "all that the log holds is shown"
    said, verdict = shown(None)
    assert "of which instant this is nobody says: it is older" in said
    assert verdict is Verdict.MET
