"""What telemetry shows of the time of a challenge, and the link from the proof to it."""

import hashlib
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from weighbridge.challenge.record import (
    ChallengeOutcome,
    RecordError,
    Weighed,
    Weighing,
    seal_record,
)
from weighbridge.challenge.telemetry import (
    Telemetry,
    link,
    loads,
    recheck_telemetry,
    seal_telemetry,
)
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import Entry, EntryKind, entry, payload_type
from weighbridge.log.succession import LogKeys
from weighbridge.wire.report import canonical
from weighbridge.wire.signing import Signer

LOG, AGENT = (Signer(hashlib.sha256(name).digest()) for name in (b"log", b"agent"))
GPU, SECOND, IDLE = "GPU-0", 1_000_000, 120_000
NOON = 1_780_000_000 * SECOND
BOOT = NOON - 3600 * SECOND
"""When the node's CLOCK_BOOTTIME was 0."""

EVENT = {
    "boottime_us": 1,
    "code": None,
    "detail": "",
    "device": None,
    "kind": "resumed",
    "source": "agent",
}
Sampled = tuple[float, dict[str, int | None]]


def outcome(seconds: int = 6, verdict: str = "met") -> ChallengeOutcome:
    gpu = Weighed(GPU, verdict, None, 8, 0, 1, None, None, None)
    weighing = Weighing(verdict, None, (gpu,))
    return ChallengeOutcome(
        "c.1",
        "c",
        "lease",
        "n1",
        AGENT.public_key,
        weighing,
        (bytes(32),),
        bytes(32),
        (),
        bytes(32),
        verdict,
        None,
        1,
        0,
        True,
        (),
        NOON + 60 * SECOND,
        from_us=NOON,
        until_us=NOON + seconds * SECOND,
    )


def report(
    index: int, *samples: Sampled, synchronized: bool | None = True, events: int = 0
) -> Entry:
    """A report with samples so many seconds after noon."""
    times = [NOON + round(second * SECOND) - BOOT for second, _ in samples]
    names = sorted({name for _, values in samples for name in values})
    gaps = [
        {"device": GPU, "from": at, "reading": name, "reason": "not_supported", "to": at + 1}
        for name in names
        for at, (_, values) in enumerate(samples)
        if values.get(name) is None
    ]
    block = {
        "tier": "fast",
        "boottime_us": times,
        "devices": [GPU],
        "readings": {name: [[values.get(name)] for _, values in samples] for name in names},
        "unavailable": gaps,
    }
    made = {
        "version": 1,
        "node": "n1",
        "chain": "a",
        "stream": "node",
        "seq": index,
        "prev": None if index == 0 else "0" * 64,
        "boot": "b",
        "seen": None,
        "clock": {
            "wall_us": BOOT + times[-1],
            "boottime_us": times[-1],
            "synchronized": synchronized,
        },
        "interval_ms": 1000,
        "agent": "0.1.0",
        "inventory_digest": "0" * 64,
        "inventory": None,
        "blocks": [block],
        "processes": None,
        "host": None,
        "events": [EVENT] * events,
        "gaps": [],
    }
    return entry(index, AGENT.seal(payload_type(EntryKind.REPORT), canonical(made)))


def power(second: float, milliwatts: int | None) -> Sampled:
    return second, {"power_draw_milliwatts": milliwatts}


def busy(second: float, percent: int) -> Sampled:
    return second, {"utilization_gpu_percent": percent}


def energy(second: float, joules: int) -> Sampled:
    return second, {"energy_millijoules": joules * 1000}


@pytest.mark.parametrize(
    ("samples", "idle", "shown"),
    [
        ([power(s, 90_000) for s in range(-2, 9)], IDLE, "idle"),
        ([power(s, 90_000 + 500_000 * (1 <= s <= 6)) for s in range(-2, 9)], IDLE, "load"),
        ([power(3, 90_000)], IDLE, "idle"),
        ([power(3, 600_000)], IDLE, "load"),
        ([power(0.5, 90_000), power(5.5, 90_000)], IDLE, "unknown"),
        ([power(-1, 600_000), power(3, 90_000)], IDLE, "load"),
        ([power(-8, 600_000), power(3, 90_000), power(12, 600_000)], IDLE, "idle"),
        ([power(-4, 90_000), power(11, 90_000)], IDLE, "unknown"),
        ([power(3, None)], IDLE, "unknown"),
        ([power(3, 90_000)], None, "unknown"),
        ([busy(3, 0)], None, "idle"),
        ([busy(3, 100)], None, "load"),
        ([busy(3, 100), power(4, 90_000)], IDLE, "idle"),
        ([energy(-1, 0), energy(8, 9 * 90)], IDLE, "idle"),
        ([energy(-5, 0), energy(8, 13 * 90)], IDLE, "unknown"),
        ([energy(0, 0), energy(7, 7 * 90)], IDLE, "idle"),
        ([energy(-2, 0), energy(8, 5 * 600 + 5 * 90)], IDLE, "load"),
        ([energy(0, 500), energy(7, 0)], IDLE, "unknown"),
        ([], IDLE, "unknown"),
    ],
)
def test_a_card_is_at_work_idle_or_cannot_be_said_to_be_either(
    samples: list[Sampled], idle: int | None, shown: str
) -> None:
    reports = [report(0, *samples)] if samples else []
    (card,) = loads(outcome(), reports, {GPU: idle}, None)
    assert (card.shown, bool(card.reason)) == (shown, True)


@pytest.mark.parametrize("tenth", range(0, 100, 7))
@pytest.mark.parametrize(
    ("seconds", "reading"), [(12, power), (10, energy)], ids=["power, 12 s", "energy, 10 s"]
)
def test_no_phase_of_the_sampling_misses_a_run_that_a_contract_may_ask_for(
    seconds: int, reading: Any, tenth: int
) -> None:
    """One sample in ten seconds, whenever the node likes to take it: what idled is idle, and what worked is not."""
    times = [tenth / 10 + 10 * step for step in range(-3, 4)]
    idle = [reading(s, round(90 * (s + 40)) if reading is energy else 90_000) for s in times]
    (card,) = loads(outcome(seconds), [report(0, *idle)], {GPU: IDLE}, None)
    assert card.shown == "idle"

    def worked(s: float) -> int:
        return round(90 * (s + 40) + 510 * min(max(s, 0), seconds))

    busy = [
        reading(s, worked(s) if reading is energy else 90_000 + 500_000 * (0 <= s <= seconds))
        for s in times
    ]
    (card,) = loads(outcome(seconds), [report(0, *busy)], {GPU: IDLE}, None)
    assert card.shown == "load"


@pytest.mark.parametrize(
    ("second", "skew_us", "shown"),
    [
        (3.0, None, "unknown"),
        (3.0, 1_500_000, "unknown"),
        (3.0, -1_500_000, "unknown"),
        (3.0, -200_000, "idle"),
        (1.5, -200_000, "unknown"),
    ],
)
def test_a_clock_that_is_not_synchronized_shows_only_what_lies_well_inside(
    second: float, skew_us: int | None, shown: str
) -> None:
    reports = [report(0, power(second, 90_000), synchronized=False)]
    (card,) = loads(outcome(), reports, {GPU: IDLE}, skew_us)
    assert card.shown == shown


def fold_of(reports: Sequence[Entry], ended: ChallengeOutcome) -> tuple[list[Any], Telemetry]:
    """The findings once the telemetry of an exchange is linked, and the link."""
    fold = FleetFold()
    state = fold.states
    found: list[Any] = []
    begun = _begun(ended)
    order = [*reports[:1], begun, *reports[1:]]
    for index, one in enumerate(order):
        found += fold.fold(replace(one, index=index))
    found += fold.fold(entry(len(order), seal_record(LOG, ended)[1]))
    (waiting,) = state["n1"].unlinked.values()
    mine = [replace(order[place], index=place) for place in waiting.reports]
    linked = link(ended, mine, {GPU: IDLE}, 0, 0)
    again = FleetFold()
    again.restore(fold.snapshots(), ())
    found += again.fold(entry(len(order) + 1, seal_telemetry(LOG, linked)[1]))
    assert again.states["n1"].unlinked == {}
    return [one for one in found if getattr(one, "code", "") == "challenge_idle"], linked


def _begun(ended: ChallengeOutcome) -> Entry:
    from weighbridge.challenge.policy import Policy
    from weighbridge.challenge.record import Commitment

    policy = Policy(profile="f16", size=128, rounds=2, samples=8)
    key = ended.agent_key
    begun = Commitment("c.1", "c", "", "command", "lease", "n1", key, (GPU,), policy, b"", (), 1)
    return entry(0, seal_record(LOG, begun)[1])


def test_a_pass_while_the_card_idles_is_a_warning_at_level_e1() -> None:
    reports = [report(0, power(-1, 90_000)), report(1, *(power(s, 90_000) for s in range(9)))]
    (finding,), linked = fold_of(reports, outcome())
    assert linked.reports == (0, 2)
    assert (finding.severity, finding.verdict, finding.level) == ("warning", "breached", "E1")
    assert (finding.device, finding.answerable) == (GPU, "open")
    assert "a relay" in finding.observed
    assert "a clock that is off" in finding.observed


def test_a_pass_of_which_nothing_is_seen_is_unknown_and_one_under_load_is_no_finding() -> None:
    before = report(0, power(-60, 90_000))
    (finding,), _ = fold_of([before], outcome())
    assert (finding.severity, finding.verdict) == ("info", "unknown")
    assert fold_of([before, report(1, power(3, 600_000))], outcome())[0] == []


def test_a_card_that_failed_is_not_asked_whether_it_was_at_work() -> None:
    idle = [report(0, power(3, 90_000))]
    assert fold_of(idle, outcome(verdict="failed"))[0] == []


def exported() -> tuple[list[Entry], ChallengeOutcome, Telemetry]:
    """Reports of the node, among them one of another, then the link."""
    mine = [report(index, power(3 * index, 90_000)) for index in (0, 1, 3)]
    stranger = Signer(hashlib.sha256(b"other").digest())
    foreign = entry(2, stranger.seal(payload_type(EntryKind.REPORT), mine[2].envelope.payload))
    ended = outcome()
    linked = link(ended, mine, {GPU: IDLE}, 0, 5)
    return [*mine[:2], foreign, mine[2], entry(9, seal_telemetry(LOG, linked)[1])], ended, linked


def test_anybody_follows_the_link_from_exported_entries() -> None:
    entries, ended, _ = exported()
    (card,) = recheck_telemetry(entries, ended, LogKeys(LOG.public_key)) or ()
    assert (card.gpu, card.shown) == (GPU, "idle")
    assert recheck_telemetry(entries[:-1], ended, LogKeys(LOG.public_key)) is None
    assert recheck_telemetry(entries[1:], ended, LogKeys(LOG.public_key)) is None, (
        "a report is not exported"
    )


def relinked(linked: Telemetry, **changes: Any) -> Entry:
    return entry(9, seal_telemetry(LOG, replace(linked, **changes))[1])


def test_a_link_that_was_bent_is_found_out() -> None:
    entries, ended, linked = exported()
    better = replace(linked.gpus[0], shown="load")
    bent = {
        "other loads": [*entries[:-1], relinked(linked, gpus=(better,))],
        "not those that were judged": [*entries[:-1], relinked(linked, digest=bytes(32))],
        "another exchange": [*entries[:-1], relinked(linked, from_us=linked.from_us + 1)],
        "signature": [*entries[:-1], entry(9, seal_telemetry(AGENT, linked)[1])],
    }
    for said, changed in bent.items():
        with pytest.raises(RecordError, match=said):
            recheck_telemetry(changed, ended, LogKeys(LOG.public_key))


def test_a_report_that_the_agent_did_not_sign_shows_nothing() -> None:
    """Not even a collector can put one in its mouth."""
    entries, ended, _ = exported()
    invented = report(1, power(3, 600_000)).envelope
    forged = replace(
        entries[1], envelope=replace(invented, signature=entries[0].envelope.signature)
    )
    mine = [entries[0], forged, entries[3]]
    linked = link(ended, mine, {GPU: IDLE}, 0, 5)
    with pytest.raises(RecordError, match="a linked report"):
        recheck_telemetry(
            [*mine, entry(9, seal_telemetry(LOG, linked)[1])], ended, LogKeys(LOG.public_key)
        )


def test_a_link_that_leaves_a_report_out_is_found_out() -> None:
    entries, ended, _ = exported()
    fewer = link(ended, [entries[0], entries[3]], {GPU: IDLE}, 0, 5)
    left_out = [*entries[:-1], entry(9, seal_telemetry(LOG, fewer)[1])]
    with pytest.raises(RecordError, match="not the reports"):
        recheck_telemetry(left_out, ended, LogKeys(LOG.public_key))


def test_reports_of_any_size_are_linked_up_to_a_few_megabytes() -> None:
    """The time of a challenge is no way to have a collector read gigabytes at once."""
    fat = [report(index, power(index, 600_000), events=10_000) for index in range(20)]
    size = len(fat[0].envelope.payload)
    _, linked = fold_of(fat, outcome(seconds=30))
    assert 1 << 19 < size < 2 << 20
    assert (len(linked.reports) - 2) * size < 8 << 20 < len(linked.reports) * size


def test_linked_reports_are_held_one_at_a_time() -> None:
    fat = [report(index, power(index, 600_000), events=10_000) for index in range(8)]
    peaks = []
    for some in (fat[:1], fat):
        tracemalloc.start()
        assert [card.shown for card in loads(outcome(), some, {GPU: IDLE}, None)] == ["load"]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0]
