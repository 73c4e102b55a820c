"""A contract promises that its node is reachable: a quorum of witnesses says when it was, and neither side does alone.

The node is not reached from FROM_H to UNTIL_H, and both GPUs are down with it.
"""

from collections.abc import Callable, Mapping

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    UNTIL_H,
    Field,
    Said,
    amounts,
    lost,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import CauseNotice, EntryKind, entry, payload_type
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import encode

THREE = "evidence: {witnesses: [berlin, osaka, quito], witness_quorum: '2'}\n"
OWED, NOTHING = "51.74", "0.00"
DAY_S = DAY_H * HOUR_S
WATCH_S = 180
"""As often as one may be awaited."""
TARGET = 'target: "0.999"'
Seen = Callable[[int], int | None]
"""Of an hour, whether a witness reaches the node; None: it says that it cannot say."""


def reaches(_hour: int) -> int:
    """Whatever happens."""
    return 1


def misses(hour: int) -> int:
    """The four hours."""
    return int(not FROM_H <= hour < UNTIL_H)


def blind(hour: int) -> int | None:
    """Its own uplink is cut for the four hours."""
    return 1 if misses(hour) else None


class Watched(Field):
    """The field, with witnesses who try to reach the node."""

    def __init__(self, when: str = "reachable", more: str = THREE) -> None:
        super().__init__(more, {TARGET: f"{TARGET}, up_when: {when}"})
        self.watches: dict[str, ScriptedNode] = {}

    def watch(self, name: str) -> ScriptedNode:
        """A witness that begins to watch now."""
        known = self.watches.get(name)
        if known is not None:
            return known
        self.enrol(name, name, "witness")
        self.add(EntryKind.REPORT, self.introduction(name, "chain-1", name), name)
        watch = self.watches[name] = ScriptedNode(name, gpus=1)
        watch.identity = {watch.devices[0]: {"target_node_name": "n1"}}
        return watch

    def tells(
        self, name: str, hour: int, seen: Seen, also: Mapping[str, int] | None = None
    ) -> None:
        """What a witness saw in an hour; of the one after the last its first sample. `also`: by its targets."""
        last = (hour + 1) * HOUR_S if hour < DAY_H else hour * HOUR_S + 1
        seconds = list(range(hour * HOUR_S, last, WATCH_S))
        reached = seen(hour)
        value = "not_ready" if reached is None else reached
        watch = self.watch(name)
        device = watch.devices[0]
        by_target: dict[str, int | str] = {device: value, **(also or {})}
        told = {
            second: {target: {"reached_code": one} for target, one in by_target.items()}
            for second in seconds
        }
        report = watch.report(seconds, told, interval_ms=WATCH_S * 1000)
        self.add(EntryKind.REPORT, self.continued(report, name), name)

    def played(
        self, seen: Mapping[str, Seen], provider: Said = sound, *, silent: bool = False
    ) -> "Watched":
        """The day, told by the node and by witnesses. `silent`: the node is not heard in the four hours."""
        for name in seen:
            self.watch(name)
        node = ScriptedNode()
        for hour in range(DAY_H + 1):
            self.tick(min((hour + 1) * HOUR_S, DAY_S + 1))
            if not silent or misses(hour):
                self.hear(node, hour, provider)
            for name, one in seen.items():
                self.tells(name, hour, one)
        return self


def played(
    seen: Mapping[str, Seen],
    provider: Said = sound,
    *,
    silent: bool = False,
    when: str = "reachable",
    more: str = THREE,
) -> Statement:
    return Watched(when, more).played(seen, provider, silent=silent).statement()


def of_states(statement: Statement) -> Mapping[str, int]:
    return {state: length for state, length in unit(statement).seconds.items() if length}


def causes(statement: Statement) -> set[str]:
    return {one.cause for outage in unit(statement).outages for one in outage.causes}


ALL_MISS: dict[str, Seen] = {"berlin": misses, "osaka": misses, "quito": misses}
ALL_REACH: dict[str, Seen] = {"berlin": reaches, "osaka": reaches, "quito": reaches}
BOTH = "'reachable and gpu_count == 2'"
DOWN = {"down": BAD_S, "up": DAY_S - BAD_S}
HELD = {"unknown": BAD_S, "up": DAY_S - BAD_S}
UP = {"up": DAY_S}


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("when", ["reachable", BOTH])
def test_a_node_that_a_quorum_does_not_reach_is_down_for_that(when: str, silent: bool) -> None:
    """Its agent that goes on reporting, over another line, does not make it reachable; nor does its silence."""
    statement = played(ALL_MISS, silent=silent, when=when)
    assert of_states(statement)["down"] == BAD_S
    assert "unreachable" in causes(statement)
    assert amounts(statement) == (OWED, OWED)


@pytest.mark.parametrize("silent", [False, True])
def test_a_node_that_a_quorum_reaches_is_up_whether_or_not_its_agent_is_heard(silent: bool) -> None:
    """A network that is cut between node and collector is that, and no outage of the node's own."""
    statement = played(ALL_REACH, silent=silent)
    assert of_states(statement) == UP
    assert amounts(statement) == (NOTHING, NOTHING)


def test_of_a_node_that_is_reached_and_not_heard_the_gpus_are_unknown() -> None:
    """The attack: the agent is stopped while a GPU is dead, and a port answers: something answers there, no more."""
    statement = played(ALL_REACH, silent=True, when=BOTH)
    assert of_states(statement)["unknown"] >= BAD_S
    assert causes(statement) == {"silent"}
    assert amounts(statement) == (NOTHING, OWED)


def test_a_dead_gpu_is_down_in_a_node_that_is_reached_where_the_condition_asks_for_both() -> None:
    assert of_states(played(ALL_REACH, lost, when=BOTH)) == DOWN
    assert amounts(played(ALL_REACH, lost)) == (NOTHING, NOTHING)


@pytest.mark.parametrize(
    ("seen", "states"),
    [
        (ALL_MISS | {"berlin": reaches}, DOWN),
        (ALL_REACH | {"berlin": misses}, UP),
        (ALL_MISS | {"berlin": blind}, DOWN),
        (ALL_REACH | {"berlin": blind}, UP),
        ({"osaka": misses, "quito": misses}, DOWN),
    ],
)
def test_one_witness_of_three_that_lies_is_bought_or_is_cut_off_changes_nothing(
    seen: Mapping[str, Seen], states: Mapping[str, int]
) -> None:
    """Whichever side bought it, and whether or not it is honest about its own uplink."""
    assert of_states(played(seen)) == states


@pytest.mark.parametrize(
    "seen",
    [
        ALL_REACH | {"berlin": blind, "osaka": blind},
        ALL_REACH | {"berlin": misses, "osaka": blind},
        ALL_MISS | {"berlin": reaches, "osaka": blind},
    ],
)
def test_without_a_quorum_nobody_knows_and_the_amount_is_a_range_with_a_flag(
    seen: Mapping[str, Seen],
) -> None:
    statement = played(seen)
    assert of_states(statement) == HELD
    assert causes(statement) == {"unwitnessed"}
    assert amounts(statement) == (NOTHING, OWED)
    assert "unknown_time" in statement.flags


def test_until_a_witness_reports_all_time_is_unknown() -> None:
    statement = played({})
    assert of_states(statement) == {"unknown": DAY_S}
    assert unit(statement).verdict == "UNKNOWN"


def test_a_witness_that_the_contract_does_not_name_says_nothing() -> None:
    statement = played(
        {"osaka": reaches, "quito": reaches}, more="evidence: {witnesses: [berlin]}\n"
    )
    assert of_states(statement) == {"unknown": DAY_S}


def test_a_contract_that_names_no_witness_takes_a_node_that_is_heard_for_reached() -> None:
    """What a witness says that nobody named changes nothing, for either side."""
    assert of_states(played(ALL_MISS, more="")) == UP


def test_an_objective_that_does_not_ask_is_not_touched() -> None:
    """Both judge the same GPUs, each by what it asks for."""
    field = Watched(f"reachable}}, {{id: bare, unit: gpu, {TARGET}").played(ALL_MISS)
    statement = field.statement()
    spent = {one.objective: one.seconds for one in statement.parts[0].units if one.unit == "n1.0"}
    assert spent["bare"]["up"] == DAY_S
    assert spent["gpus"]["down"] == BAD_S


def told_late(late: str) -> Watched:
    """One of two witnesses is away for the four hours, and the next, and tells of them afterwards."""
    more = f"evidence: {{witnesses: [berlin, osaka], witness_quorum: '2', late: {late}}}\n"
    field = Watched(more=more)
    field.watch("berlin"), field.watch("osaka")
    node = ScriptedNode()
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_S + 1))
        field.hear(node, hour, sound)
        field.tells("berlin", hour, misses)
        if not FROM_H <= hour <= UNTIL_H:
            for told in range(FROM_H if hour == UNTIL_H + 1 else hour, hour + 1):
                field.tells("osaka", told, misses)
    return field


@pytest.mark.parametrize(
    ("late", "down_s", "owed"),
    [
        ("counted", BAD_S, (OWED, OWED)),
        ("held", BAD_S, (NOTHING, OWED)),
        ("refused", 0, (NOTHING, OWED)),
    ],
)
def test_what_a_witness_tells_late_counts_as_the_contract_says(
    late: str, down_s: int, owed: tuple[str, str]
) -> None:
    """The attack: a witness of the lessee's that was away tells afterwards of an outage. And its honest twin."""
    statement = told_late(late).statement()
    assert of_states(statement).get("down", 0) == down_s
    assert amounts(statement) == owed
    assert "heard_late" in statement.flags
    assert statement.late is not None
    assert (statement.late.counted, statement.late.refused) == ((OWED, OWED), (NOTHING, OWED))


def test_what_a_stolen_key_of_a_witness_said_counts_for_nobody_once_it_is_revoked() -> None:
    """The thief says that nothing was reached; of the two witnesses that are left one says so and one does not."""
    field = Watched().played({"berlin": misses, "osaka": misses, "quito": reaches})
    assert of_states(field.statement()) == DOWN
    field.revoke("berlin", FROM_H)
    statement = field.statement()
    assert of_states(statement)["unknown"] >= BAD_S
    assert amounts(statement) == (NOTHING, OWED)
    (reach,) = statement.parts[0].reach
    assert reach.witnesses["berlin"] == (FROM_H * HOUR_S, 0)


@pytest.mark.parametrize("another", [False, True], ids=["revoked before", "another key speaks"])
def test_that_the_key_of_a_witness_was_stolen_may_be_found_out_later(another: bool) -> None:
    field = Watched().played({"berlin": misses, "osaka": misses, "quito": reaches})
    if another:
        field.enrol("berlin again", "berlin", "witness")
        heard = field.introduction("berlin", "chain-2", "berlin again")
        field.add(EntryKind.REPORT, heard, "berlin again")
    else:
        field.revoke("berlin", None)
    assert of_states(field.statement()) == DOWN
    field.revoke("berlin", FROM_H)
    statement = field.statement()
    assert amounts(statement) == (NOTHING, OWED)
    assert statement.parts[0].reach[0].witnesses["berlin"] == (FROM_H * HOUR_S, 0)


def test_a_new_chain_of_a_witness_says_nothing_of_the_time_before_it_was_heard() -> None:
    """The attack: a witness is set up afterwards, and tells of an outage that nobody saw."""
    field = Watched(more="evidence: {witnesses: [berlin], late: counted}\n")
    node = ScriptedNode()
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_S + 1))
        field.hear(node, hour, sound)
        if hour == UNTIL_H:
            for told in range(FROM_H, UNTIL_H):
                field.tells("berlin", told, misses)
    assert of_states(field.statement()) == {"unknown": DAY_S}


def test_a_witness_that_tells_of_much_lets_others_run_between_its_samples() -> None:
    field = Watched()
    watch = field.watch("berlin")
    field.tick(HOUR_S)
    seconds = list(range(0, HOUR_S, 20))
    told = {second: {watch.devices[0]: {"reached_code": 1}} for second in seconds}
    report = field.continued(watch.report(seconds, told, interval_ms=20_000), "berlin")
    leaf = field.signers["berlin"].seal(payload_type(EntryKind.REPORT), encode(report))
    steps = field.fold.folding(entry(len(field.entries), leaf))
    assert len(list(steps)) >= len(seconds)


def test_maintenance_of_a_network_that_both_sides_name_is_excluded() -> None:
    """And what the provider alone calls so is not: a cause counts once the lessee has said it."""
    more = THREE + "exclusions: {causes: [{code: carrier_work}]}\n"
    spans = {
        "from_us": START_US + FROM_H * HOUR_S * SECOND,
        "until_us": START_US + UNTIL_H * HOUR_S * SECOND,
    }
    said = CauseNotice(kind="cause", code="carrier_work", unit="n1", **spans)
    alone, both = Watched(more=more), Watched(more=more)
    for field, parties in ((alone, "P"), (both, "PL")):
        field.played(ALL_MISS)
        for party in parties:
            field.told(party, said)
    assert amounts(alone.statement()) == (OWED, OWED)
    excluded = both.statement()
    assert of_states(excluded) == {"excluded": BAD_S, "up": DAY_S - BAD_S}
    assert amounts(excluded) == (NOTHING, NOTHING)


def test_a_way_through_a_proxy_that_fails_says_nothing_against_another_way_that_does_not() -> None:
    """Of a witness's ways to a node one that comes through is enough: a proxy in between is nobody's outage."""
    field = Watched(more="evidence: {witnesses: [berlin]}\n")
    field.watch("berlin")
    watch = field.watches["berlin"] = ScriptedNode("berlin", gpus=2)
    watch.identity = {one: {"target_node_name": "n1"} for one in watch.devices}
    direct, proxied = watch.devices
    node = ScriptedNode()
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_S + 1))
        field.hear(node, hour, sound)
        field.tells("berlin", hour, reaches, also={proxied: misses(hour), direct: 1})
    assert of_states(field.statement()) == UP


def test_a_fold_that_goes_on_from_its_snapshots_writes_the_same() -> None:
    whole, field = Watched(), Watched()
    whole.played(ALL_MISS)
    for name in ALL_MISS:
        field.watch(name)
    node = ScriptedNode()
    for hour in range(DAY_H + 1):
        if hour == FROM_H + 1:
            again, kept = FleetFold(field.fold.stall_us), field.fold.snapshots()
            again.restore(kept, field.entries)
            field.fold = again
        field.tick(min((hour + 1) * HOUR_S, DAY_S + 1))
        field.hear(node, hour, sound)
        for name, seen in ALL_MISS.items():
            field.tells(name, hour, seen)
    assert field.statement().parts == whole.statement().parts
