"""The plan that enters a contract or its next version: checked against what is in force when it is entered."""

from collector.judging.follower import LogFollower
from collector.judging.live import LiveFleet
from collector.log.commits import CommitBatch, overloaded
from weighbridge.contract import ContractError
from weighbridge.judge.assignments import AssignmentError
from weighbridge.log.entries import ContractAdded, EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import encode


class ContractAddition:
    """Its outcome is the entry's index. A contract is judged from no earlier than the tick before it."""

    closes = True

    def __init__(self, added: ContractAdded, fleet: LiveFleet, judging: LogFollower) -> None:
        self.size_bytes = len(encode(added))
        self._added = added
        self._fleet = fleet
        self._judging = judging

    def enter(self, batch: CommitBatch) -> int:
        """Raises Problem: what is not judged yet may be a contract that this one contradicts."""
        if self._judging.behind:
            raise overloaded("judgement is behind the log, and contracts are checked against it")
        try:
            self._fleet.check_contract(self._added)
        except (ContractError, AssignmentError) as error:
            raise Problem("conflict", str(error)) from error
        from_us = max(self._added.from_us, batch.tick_us)
        return batch.add_record(
            EntryKind.CONTRACT, self._added.model_copy(update={"from_us": from_us})
        )
