"""The fold of a delivery: which device first filled each slot, when, and where it is not what was contracted."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from weighbridge.handover.reports import AcceptedReport
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.checks import CHECKS, CheckContext, Promise
from weighbridge.judge.checks.check import Answer
from weighbridge.judge.latest_readings import (
    LatestReadings,
    Reasons,
    fact,
    see_inventory,
    see_sample,
)
from weighbridge.judge.slot_history import Times
from weighbridge.judge.track import fill
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Block, Facts

TIERS = ("fast", "slow")


@dataclass(slots=True)
class Arrival:
    """The first device that was seen at work in a slot. `answers`: by code, once there was enough to judge it by."""

    node: str
    slot: int
    device: str
    first_us: int
    side: str
    index: int
    identity: Facts
    driver: Facts
    answers: dict[str, Answer] | None = None


@dataclass(slots=True)
class _Port:
    """One node: the slots as they fill up, and what each of its chains last showed."""

    promises: list[Promise]
    slots: list[str]
    views: dict[str, LatestReadings] = field(default_factory=dict)
    arrived: dict[int, Arrival] = field(default_factory=dict)

    def promise(self, at_us: int) -> Promise:
        """The version of the contract in force then; the first one before."""
        begun = [promise for promise in self.promises if promise.from_us <= at_us]
        return begun[-1] if begun else self.promises[0]

    @property
    def whole(self) -> bool:
        judged = [one for one in self.arrived.values() if one.answers is not None]
        return len(judged) == len(self.slots)


class Arrivals:
    """Of one contract's nodes. Feed it reports in log order, then `close`."""

    def __init__(
        self,
        assignments: Assignments,
        contract: str,
        nodes: Iterable[str],
        times: Callable[[str], Times],
    ) -> None:
        """`times`: of a node that are the contract's to see."""
        self._times = times
        self._ports: dict[str, _Port] = {}
        for node in nodes:
            promises = [one for one in assignments.promises(node) if one.contract == contract]
            self._ports[node] = _Port(promises, [""] * promises[-1].resource.per_node)

    def open(self, node: str) -> bool:
        """Whether there is anything left to learn of a node."""
        port = self._ports.get(node)
        return port is not None and not port.whole

    @property
    def whole(self) -> bool:
        """Every slot of every node is filled and judged: later entries say nothing of the delivery."""
        return all(port.whole for port in self._ports.values())

    def see(self, heard: AcceptedReport) -> None:
        """Folds a report."""
        node = heard.speaker.node
        if not self.open(node):
            return
        port = self._ports[node]
        view = port.views.setdefault(heard.chain, LatestReadings())
        if heard.report.inventory is not None:
            see_inventory(view, heard.report.inventory)
        times, reasons = self._times(node), Reasons()
        for at_us, block, sample in heard.samples():
            if not any(since_us <= at_us < until_us for since_us, until_us in times):
                continue
            see_sample(view, block, sample, at_us, reasons.at(block, sample))
            if view.enumerated and block.tier == "fast":
                self._arrive(port, view, heard, at_us, block, sample)
            self._judge(port, view, at_us, only_seen_whole=True)

    def _arrive(
        self,
        port: _Port,
        view: LatestReadings,
        heard: AcceptedReport,
        at_us: int,
        block: Block,
        sample: int,
    ) -> None:
        assigned = {device.uuid: device for device in port.promise(at_us).assigned(view)}
        port.slots = fill(port.slots, list(assigned))
        for slot, device in enumerate(port.slots):
            if slot not in port.arrived and device and answers(block, sample, device):
                port.arrived[slot] = Arrival(
                    heard.speaker.node,
                    slot,
                    device,
                    at_us,
                    heard.speaker.side,
                    heard.index,
                    assigned[device].identity,
                    view.driver,
                )

    def _judge(
        self, port: _Port, view: LatestReadings, at_us: int, *, only_seen_whole: bool
    ) -> None:
        """Judge what arrived and can be: once both tiers have told of it, or at the end by what there is."""
        waiting = {
            one.device: one
            for one in port.arrived.values()
            if one.answers is None and one.device in view.devices
        }
        seen = [device for device in waiting if _told(view, device) or not only_seen_whole]
        if not seen:
            return
        context = CheckContext(port.promise(at_us), view)
        found = {check.code: list(check.judge(context)) for check in CHECKS if check.at_delivery}
        for device in seen:
            waiting[device].answers = {
                code: answer
                for code, given in found.items()
                for answer in given
                if answer.device == device
            }

    def close(self) -> list[Arrival]:
        """Everything that arrived, by node and slot."""
        for port in self._ports.values():
            for view in port.views.values():
                last_us = max((columns.sampled_us for columns in view.tiers.values()), default=0)
                self._judge(port, view, last_us, only_seen_whole=False)
        return [
            port.arrived[slot]
            for _, port in sorted(self._ports.items())
            for slot in sorted(port.arrived)
        ]


def answers(block: Block, sample: int, device: str) -> bool:
    """Whether a device gave any value in a sample."""
    if device not in block.devices:
        return False
    column = block.devices.index(device)
    return any(rows[sample][column] is not None for rows in block.readings.values())


def _told(view: LatestReadings, device: str) -> bool:
    return all(tier in view.tiers and device in view.tiers[tier].devices for tier in TIERS)


def differing(given: Mapping[str, Answer] | None) -> list[tuple[str, Answer]]:
    """The answers of checks that are not MET, each with its code."""
    found = sorted((given or {}).items())
    return [(code, answer) for code, answer in found if answer.verdict is not Verdict.MET]


def text(facts: Facts, reading: str) -> str | None:
    """A reading of an inventory as text; None where it has no value."""
    value = fact(facts, reading)
    return value if isinstance(value, str) and reading in facts.readings else None


def number(facts: Facts, reading: str) -> int | None:
    """A fact as a number; None where it has none."""
    value = fact(facts, reading)
    return value if isinstance(value, int) else None
