"""An observer that an older judge failed at, judged again from the beginning of the log, beside all that comes in."""

from weighbridge.judge.fleet import FleetFold, Folding
from weighbridge.judge.node import Change
from weighbridge.log.entries import Entry
from weighbridge.wire.report import Report


class TakingUp:
    """Goes on in small steps, as `LedgerWriter` does. `folded`: how many entries it has seen."""

    def __init__(self, name: str, alone: FleetFold) -> None:
        self.name = name
        self.alone = alone
        self.judged: list[Change] = []
        self.folded = 0
        self._under_way: Folding | None = None

    @property
    def midway(self) -> bool:
        """Whether an entry was begun and is not folded to its end."""
        return self._under_way is not None

    def begin(self, entry: Entry, report: Report | None) -> None:
        """Begin to fold the next entry."""
        self._under_way = self.alone.folding(entry, report)

    def go_on(self) -> None:
        """Fold a little more of the entry that was begun."""
        if self._under_way is None:
            return
        try:
            next(self._under_way)
        except StopIteration as ended:
            self._under_way = None
            self.folded += 1
            self.judged += ended.value
