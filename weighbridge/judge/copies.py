"""Series that were shown before: the last digits of power under load are each card's own, and each hour's.

Of every hour that is over each device leaves a few marks (`hour_series`). Whoever shows nearly the same ones shows the
series of another card of its side, or one of its own of another hour. Which of the two is copied nobody can tell.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from weighbridge.judge.hour_series import MARKS
from weighbridge.judge.ledger import HOUR_US
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import Key

COPIED = "readings_copied_elsewhere"
ALIKE = MARKS - 1
"""One of the marks may be of a sample that the other series misses."""
MARKS_KEPT = 1 << 16
"""Four of an hour of each device: sixteen hours of a thousand GPUs."""


@dataclass(slots=True)
class Marked:
    """Where a mark was seen last: the device, in which hour, and the observer."""

    device: str
    hour: int
    node: str
    side: str


@dataclass(slots=True)
class Copies:
    """`hours`: by observer, the hour under way when it was looked at last; `marks`: where each was left."""

    hours: dict[Key, int] = field(default_factory=dict)
    marks: dict[int, Marked] = field(default_factory=dict)

    def found(self, state: NodeState) -> Iterator[dict[str, str]]:
        """Once an hour of an observer: devices whose series was shown before, with where; both of a pair."""
        hour, observer = (state.last_sample_us or 0) // HOUR_US, Key((state.node, state.side))
        chain = state.newest
        if chain is None or self.hours.get(observer) == hour:
            return
        self.hours[observer] = hour
        for track in chain.tracks.values():
            for device, series in track.series.last_hour.items():
                if len(series.marks) == MARKS:
                    here = Marked(device, hour - 1, state.node, state.side)
                    yield self._compared(here, series.marks)
                    self._leave(here, series.marks)

    def _compared(self, here: Marked, marks: list[int]) -> dict[str, str]:
        seen = (self.marks[mark] for mark in marks if mark in self.marks)
        times = Counter((one.device, one.node, one.hour) for one in seen if one.side == here.side)
        doubts: dict[str, str] = {}
        for (device, node, hour), count in times.items():
            another = node != here.node and device != here.device
            itself = device == here.device and hour != here.hour
            if count >= ALIKE and (another or itself):
                whose = f"{device} on {node}" if another else "its own"
                doubts[here.device] = f"its power under load is that of {whose} of another hour"
                if another:
                    doubts[here.device] = f"its power under load is that of {whose}"
                    doubts[device] = f"its power under load is that of {here.device} on {here.node}"
        return doubts

    def _leave(self, here: Marked, marks: list[int]) -> None:
        for mark in marks:
            self.marks.pop(mark, None)
            self.marks[mark] = here
        while len(self.marks) > MARKS_KEPT:
            del self.marks[next(iter(self.marks))]
