"""How a chain's samples become rows: segments that grow with every sample, and are cut where something changes."""

from collections.abc import Iterator

from weighbridge.checks import CHECKS, Effect, Promise, Scene, Tally, Verdict
from weighbridge.checks.bounds import holds
from weighbridge.checks.check import HOUR, Answer
from weighbridge.checks.presence import GPU_LOST
from weighbridge.contract.condition import JOINED
from weighbridge.ledger import Row, State
from weighbridge.node import ChainState, Segment, Track
from weighbridge.view import INVENTORY, View

HOUR_US = 3_600_000_000
BUSY_PERCENT = 50
"""A device whose kernels ran for this share of the sample is busy: clocks and links then mean something."""

EFFECTS = {check.code: check.effect for check in CHECKS}


class Writer:
    """Writes the rows of one (promise, node, chain), as known at the tick `recorded_us`."""

    def __init__(self, contract: str, node: str, chain: str, recorded_us: int) -> None:
        self._contract, self._node, self._chain = contract, node, chain
        self._recorded_us = recorded_us

    def row(
        self, slot: int, device: str, start_us: int, end_us: int, state: State, cause: str
    ) -> Row:
        return Row(
            self._contract,
            self._node,
            slot,
            device,
            self._chain,
            start_us,
            end_us,
            state,
            cause,
            self._recorded_us,
        )

    def cover(self, track: Track, end_us: int) -> list[Row]:
        """Every segment up to `end_us`, cut at full hours; the segments go on from there."""
        rows = list(self.peek(track, end_us))
        for segment in track.segments:
            segment.start_us = max(segment.start_us, end_us)
        return rows

    def peek(self, track: Track, end_us: int) -> Iterator[Row]:
        """What `cover` would write, leaving the segments as they are."""
        for slot, segment in enumerate(track.segments):
            for start, end in hours(segment.start_us, end_us):
                yield self.row(slot, track.slots[slot], start, end, segment.state, segment.cause)

    def gap(self, track: Track, start_us: int, end_us: int, cause: str) -> Iterator[Row]:
        """Nobody saw [start_us, end_us); why not, as far as the node itself can say."""
        for slot, device in enumerate(track.slots):
            if start_us < end_us:
                yield self.row(slot, device, start_us, end_us, State.UNKNOWN, cause)

    def restate(
        self, track: Track, states: list[tuple[str, State, str]], at_us: int
    ) -> Iterator[Row]:
        """Cut every segment whose device, state or cause is now another one."""
        for slot, (device, state, cause) in enumerate(states):
            segment = track.segments[slot]
            if (track.slots[slot], segment.state, segment.cause) == (device, state, cause):
                continue
            for start, end in hours(segment.start_us, at_us):
                yield self.row(slot, track.slots[slot], start, end, segment.state, segment.cause)
            track.slots[slot] = device
            track.segments[slot] = Segment(at_us, state, cause)


def unbroken(track: Track, last_us: int, at_us: int) -> bool:
    """Whether no full hour lies between two samples, nor since a segment began: nothing is to be written then.

    Asked at every sample, hence the plain loop.
    """
    hour_us = at_us // HOUR_US * HOUR_US
    for segment in track.segments:
        if segment.start_us < hour_us:
            return False
    return last_us >= hour_us


def hours(start_us: int, end_us: int) -> Iterator[tuple[int, int]]:
    """[start_us, end_us) cut at full UTC hours."""
    while start_us < end_us:
        edge = min(end_us, (start_us // HOUR_US + 1) * HOUR_US)
        yield start_us, edge
        start_us = edge


def judge(track: Track, promise: Promise, view: View, changed: set[str]) -> dict[str, list[Answer]]:
    """Run the checks that watch something that changed; remember who breaches what. Returns answers by code."""
    scene = Scene(promise, view, _tallies(track))
    given: dict[str, list[Answer]] = {}
    for check in CHECKS:
        if not changed.isdisjoint(check.watches):
            given[check.code] = answers = list(check.judge(scene))
            track.breaches[check.code] = _subjects(answers, Verdict.BREACHED)
            track.blind[check.code] = _subjects(answers, Verdict.UNKNOWN)
    return given


def _subjects(answers: list[Answer], verdict: Verdict) -> dict[str, str]:
    return {answer.device: answer.observed for answer in answers if answer.verdict is verdict}


def _tallies(track: Track) -> dict[tuple[int, str], Tally]:
    found = {}
    for key, (counted, held) in track.last_hour.items():
        place, _, device = key.partition(":")
        found[int(place), device] = Tally(counted, held)
    return found


def states(track: Track, promise: Promise, view: View) -> list[tuple[str, State, str]]:
    """(device, state, cause) of every slot, after `judge`."""
    slots = fill(track.slots, [device.uuid for device in promise.claimed(view)])
    return [(device, *_state(track, view, device)) for device in slots]


def fill(slots: list[str], devices: list[str]) -> list[str]:
    """Who fills which slot: a device keeps its slot; a new one takes the first that is vacant."""
    kept = [device if device in devices else "" for device in slots]
    for device in devices:
        if device not in kept and "" in kept:
            kept[kept.index("")] = device
    return kept


def _state(track: Track, view: View, device: str) -> tuple[State, str]:
    """The state, and every cause of it: what the contract makes of several may differ from what it makes of one."""
    if not device or device not in view.devices:
        return State.DOWN, "gpu_missing"
    causes = [
        code
        for code, devices in sorted(track.breaches.items())
        if EFFECTS[code] is not Effect.NONE and (device in devices or "" in devices)
    ]
    if any(EFFECTS[code] is Effect.DOWN for code in causes):
        return State.DOWN, JOINED.join(causes)
    blind = track.blind.get(GPU_LOST.code, {})
    if device in blind:
        return State.UNKNOWN, blind[device]
    return (State.DEGRADED, JOINED.join(causes)) if causes else (State.UP, "")


def tally(track: Track, promise: Promise, view: View) -> None:
    """Count one sample of every bound."""
    for place, bound in enumerate(promise.resource.bounds):
        for device in promise.claimed(view):
            value = view.value(device.uuid, bound.reading)
            if isinstance(value, int) and (bound.while_ == "always" or busy(view, device.uuid)):
                count = track.hour.setdefault(f"{place}:{device.uuid}", [0, 0])
                count[0] += 1
                count[1] += holds(bound, value)


def busy(view: View, device: str) -> bool:
    """Whether the device works; a device that does not say is not known to."""
    share = view.value(device, "utilization_gpu_percent")
    return isinstance(share, int) and share >= BUSY_PERCENT


def turn_hour(track: Track, last_us: int, at_us: int) -> set[str]:
    """At the first sample of another hour the tallies of the hour before are whole."""
    if last_us // HOUR_US == at_us // HOUR_US or not (track.hour or track.last_hour):
        return set()
    track.last_hour, track.hour = track.hour, {}
    return {HOUR}


def begin(promise: Promise, chain: ChainState, start_us: int) -> Track:
    """A track from `start_us` on, all slots vacant and unknown until they are judged."""
    count = promise.resource.per_node
    slots = fill([""] * count, [device.uuid for device in promise.claimed(chain.view)])
    segments = [Segment(start_us, State.UNKNOWN, "") for _ in range(count)]
    return Track(promise.version, slots, segments)


EVERYTHING = frozenset({INVENTORY, HOUR}).union(*(check.watches for check in CHECKS))
"""What `judge` is told when all checks must run."""
