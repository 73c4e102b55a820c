"""`check`: one report of this node, judged here by the collector's own checks. No server, no network."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.check_report import CheckReport, Judged, report
from agent.clock import SystemClock
from agent.enrolment import EnrolmentError
from agent.enrolment import load as load_enrolment
from agent.host.machine import Machine
from agent.report.sampler import HUNG, Draft, HostFacts, Sampler, Schedule
from agent.report.source import DeviceSource
from weighbridge.contract import Contract, loaded
from weighbridge.judge.checks import CHECKS, Check, CheckContext, Promise, Severity
from weighbridge.judge.checks.check import doubted
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.latest_readings import (
    XIDS,
    LatestReadings,
    Reasons,
    see_event,
    see_host,
    see_inventory,
    see_processes,
    see_sample,
)
from weighbridge.verdict import Verdict
from weighbridge.wire.report import EventKind


def load_promise(path: Path, resource: str | None) -> Promise:
    """What the contract in a file promises of a node of one line item. Raises OSError or ValueError.

    Both sides agreed on it: whether its working days and cards are known is for whoever enters it.
    """
    contract = loaded(path.read_text(encoding="utf-8"))
    items = {item.id: item for item in contract.resources}
    if resource is not None and resource not in items:
        raise ValueError(f"no line item {resource}; there are {', '.join(items)}")
    return _promise(contract, resource or contract.resources[0].id)


def _promise(contract: Contract, resource: str) -> Promise:
    return Promise(
        contract=contract.contract_id,
        version=contract.version,
        resource=next(item for item in contract.resources if item.id == resource),
        devices=None,
        from_us=0,
        until_us=2**53 - 1,
        interval_us=contract.sampling.interval_us,
        max_gap_us=contract.sampling.max_gap_us,
        heard_within_us=contract.sampling.heard_within_us,
        max_skew_us=2**53 - 1,
    )


async def observe(source: DeviceSource, host: HostFacts) -> list[Draft]:
    """Everything of all tiers once, as the collector would see it from reports."""
    drafts: list[Draft] = []

    async def keep(draft: Draft) -> None:
        drafts.append(draft)

    sampler = Sampler(source, host, SystemClock(), Schedule(), keep)
    await sampler.sample(SystemClock().boottime_us())
    await source.close()
    return drafts


def view_of(drafts: Sequence[Draft]) -> LatestReadings:
    """The newest readings of these drafts together; a later draft overrides an earlier one."""
    view, reasons = LatestReadings(), Reasons()
    for draft in drafts:
        if draft.inventory is not None:
            see_inventory(view, draft.inventory)
        for block in draft.blocks:
            for sample, at_us in enumerate(block.boottime_us):
                see_sample(view, block, sample, at_us, reasons.at(block, sample))
        if draft.host is not None:
            see_host(view, draft.host)
        if draft.processes is not None:
            see_processes(view, list(draft.processes))
        for event in draft.events:
            see_event(view, event)
    return view


def judge(promise: Promise, view: LatestReadings) -> list[Judged]:
    """The answers of every check, each with its check. That nothing happened before it looked, one look cannot tell."""
    context = CheckContext(promise, view)
    answers = ((check, answer) for check in CHECKS for answer in check.judge(context))
    return [one for one in answers if one[1].verdict is not Verdict.MET or not _of_before(one[0])]


def _of_before(check: Check) -> bool:
    return XIDS in check.watches or check is DEVICE_EXCHANGED


def unanswered(drafts: Sequence[Draft]) -> Iterator[Judged]:
    """What a driver did not answer while it was asked is unknown, whether or not a check looks at it."""
    events = [event for draft in drafts for event in draft.events if event.kind in HUNG]
    named = [event for event in events if event.kind is not EventKind.NVML_RESTARTED]
    for event in named or events:
        asked = f"{event.device or 'the node'}: {event.detail}"
        yield HANGS[event.kind], doubted("", "every call of the driver answers", asked)


HANGS = {
    kind: Check(
        code=EventKind.NVML_STALLED if kind is EventKind.NVML_RESTARTED else kind,
        at_delivery=False,
        watches=frozenset(),
        judge=lambda _: (),
        blind=Severity.WARNING,
    )
    for kind in HUNG
}
"""By the event that tells of it; the collector finds it by the same code, but for a child that only began anew."""


async def check_node(
    promise: Promise, source: DeviceSource, root: Path, state_directory: Path
) -> CheckReport:
    """This node against a promise."""
    drafts = await observe(source, Machine(root, _salt(state_directory)))
    view = view_of(drafts)
    return report(promise, view, [*judge(promise, view), *unanswered(drafts)])


def _salt(state_directory: Path) -> bytes:
    """By which the node's owners are known to its contract; one of the moment before it is enrolled."""
    try:
        return load_enrolment(state_directory).salt
    except EnrolmentError:
        return secrets.token_bytes(32)
