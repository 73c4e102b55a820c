"""A node is silent for four hours: its network is cut, it is dead, or its agent was stopped. Witnesses tell which."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.adversary.field import (
    END_S,
    FROM_S,
    NOTHING,
    STEP_S,
    UNTIL_S,
    Outage,
    amounts,
    event,
)
from tests.weighbridge.scripted import ScriptedNode
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import EntryKind, KeyChanged, payload_type
from weighbridge.wire.report import Report, digest, encode
from weighbridge.wire.signing import Signer

WITNESSES = ("berlin", "osaka", "quito")
SILENCE = "53.02"
"""Of both GPUs, from the last sample before to the first one after."""

EDGES = "0.44"
"""The minute before the first word of a witness, and the one after the last."""
BY_CAUSE = "hold, by_cause: {collector_unreached: up, unreachable: down}"
QUORUM = "evidence: {witnesses: [berlin, osaka, quito], witness_quorum: '2'}\n"
REST_S = END_S + STEP_S
Seen = Mapping[str, int | None]
"""By witness, whether it reaches the node; None: it reports that it cannot say."""


class Watched(Outage):
    """The node, and witnesses who try to reach it once a minute."""

    def __init__(self, unknown: str = BY_CAUSE, more: str = QUORUM) -> None:
        super().__init__(unknown, more)
        watching = {name: Signer(bytes([9 + place] * 32)) for place, name in enumerate(WITNESSES)}
        self.ends: dict[str, tuple[int, str]] = {}
        self.signers |= watching
        for name, signer in watching.items():
            said = {"action": "enrolled", "side": "witness", "secret_hash": None, "reason": ""}
            key = {"key_id": signer.key_id, "public_key": signer.public_key.hex(), "node": name}
            self.add(EntryKind.KEY, KeyChanged.model_validate(said | key))

    def says(self, name: str, second: int, reached: int | None) -> None:
        """A witness's report of one attempt."""
        leaf = self.signers[name].seal(
            payload_type(EntryKind.REPORT), encode(self._attempt(name, second, reached))
        )
        self.take(leaf)

    def _attempt(self, name: str, second: int, reached: int | None) -> Report:
        seq, prev = self.ends.get(name, (0, ""))
        watch = ScriptedNode(name, gpus=1, seq=seq, prev=prev or None)
        device, target = (
            watch.devices[0],
            {"target_node_name": "n1", "target_address": "tcp://n1:22"},
        )
        watch.identity = {device: dict(target)}
        value = "not_ready" if reached is None else reached
        report = watch.report(
            [second], {second: {device: {"reached_code": value}}}, interval_ms=60_000
        )
        self.ends[name] = (seq + 1, digest(encode(report)))
        return report

    def heard(self, from_s: int, until_s: int, *events: dict[str, Any]) -> "Watched":
        """The node reports each minute."""
        self.live(from_s, until_s, *events)
        return self

    def cut(self, from_s: int, until_s: int, **seen: int | None) -> "Watched":
        """Nobody hears the node, and witnesses say each minute what they see."""
        for second in range(from_s, until_s, STEP_S):
            self.tick(second)
            for name, reached in seen.items():
                self.says(name, second, reached)
        return self

    def silence(self, **seen: int | None) -> "Watched":
        """The four hours, and what was before and after."""
        self.live(0, FROM_S)
        self.cut(FROM_S, UNTIL_S, **seen)
        self.live(UNTIL_S, REST_S)
        return self

    def said(self) -> list[tuple[str, bool]]:
        """The findings of the silence by code, and whether each is open in the end."""
        codes = ("node_silent", "collector_unreached", "unreachable", "agent_stopped_by_provider")
        newest: dict[tuple[str, int], Finding] = {}
        for one in self.findings(*codes):
            newest[one.code, one.since_us] = one
        return [(one.code, one.until_us is None) for one in newest.values()]

    def causes(self) -> set[str]:
        """Why time of the first GPU is unknown."""
        line = self.timelines(END_S)["n1", 0]
        return {span.cause for span in line if span.state == "unknown"}


ALL_REACH = dict.fromkeys(WITNESSES, 1)
NONE_REACHES = dict.fromkeys(WITNESSES, 0)


def test_a_cut_network_is_no_silent_node_where_a_quorum_reaches_it() -> None:
    """What the agent did not keep is unknown because the collector was not reached: the contract says what of it."""
    field = Watched().heard(0, FROM_S)
    field.cut(FROM_S, UNTIL_S, **ALL_REACH)
    found = field.open()
    assert ("node_silent", "") not in found
    assert "3 of 3 witnesses reach the node" in found["collector_unreached", ""].observed
    field.live(UNTIL_S, REST_S)
    assert ("collector_unreached", "") not in field.open()
    assert field.causes() == {"collector_unreached", "silent"}
    assert amounts(field.statement()) == (NOTHING, EDGES)


def test_a_dead_node_is_unreachable_where_a_quorum_does_not_reach_it() -> None:
    """The same silence, and the other answer."""
    field = Watched().silence(**NONE_REACHES)
    assert ("unreachable", False) in field.said()
    assert ("collector_unreached", False) not in field.said()
    assert amounts(field.statement()) == ("52.58", SILENCE)


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"berlin": 1},
        {"berlin": 0},
        {"berlin": 1, "osaka": 0},
        dict.fromkeys(WITNESSES, None),
    ],
)
def test_until_a_quorum_says_the_same_nobody_knows_why_a_node_is_silent(seen: Seen) -> None:
    field = Watched().silence(**seen)
    assert field.said() == [("node_silent", False)]
    assert field.causes() == {"silent"}
    assert amounts(field.statement()) == (NOTHING, SILENCE)


@pytest.mark.parametrize("liar", [0, 1])
def test_one_witness_that_lies_changes_nothing(liar: int) -> None:
    """Whoever bought one of three gets what the other two see."""
    field = Watched().silence(berlin=liar, osaka=1 - liar, quito=1 - liar)
    honest = Watched().silence(osaka=1 - liar, quito=1 - liar)
    assert amounts(field.statement()) == amounts(honest.statement())
    assert field.causes() == honest.causes()


def test_a_witness_that_the_contract_does_not_name_is_not_asked() -> None:
    field = Watched(more="evidence: {witnesses: [berlin]}\n").silence(osaka=1, quito=1)
    assert field.said() == [("node_silent", False)]


def test_a_witness_may_be_named_by_its_key() -> None:
    key = Signer(bytes([9] * 32)).key_id
    field = Watched(more=f"evidence: {{witnesses: [{key}]}}\n").silence(berlin=1)
    assert ("collector_unreached", False) in field.said()


def test_an_agent_that_was_stopped_says_so_whatever_witnesses_reach() -> None:
    """The attack: stop the agent while the GPU is dead, and call it a cut network. Its start tells of it."""
    field = Watched().heard(0, FROM_S)
    field.cut(FROM_S, UNTIL_S, **ALL_REACH)
    field.live(UNTIL_S, REST_S, event(UNTIL_S, "agent_started"))
    assert field.causes() == {"agent_restarted"}
    assert amounts(field.statement()) == (NOTHING, SILENCE)


def test_an_announced_silence_is_nobody_elses_to_explain() -> None:
    field = (
        Watched()
        .heard(0, FROM_S)
        .heard(FROM_S, FROM_S + STEP_S, event(FROM_S + 1, "agent_stopped"))
    )
    field.cut(FROM_S + STEP_S, UNTIL_S, **ALL_REACH)
    assert field.said() == [("agent_stopped_by_provider", True)]


def test_what_a_witness_tells_late_says_nothing() -> None:
    """A witness that was cut off itself may not say afterwards what it saw."""
    field = Watched().heard(0, FROM_S)
    field.cut(FROM_S, UNTIL_S)
    for second in range(FROM_S, UNTIL_S - 10 * STEP_S, STEP_S):
        for name in WITNESSES:
            field.says(name, second, 1)
    field.tick(UNTIL_S)
    assert field.said() == [("node_silent", True)]


def test_a_quorum_that_falls_apart_leaves_the_rest_unexplained() -> None:
    """And what it said until then stands."""
    half_s = (FROM_S + UNTIL_S) // 2
    field = Watched().heard(0, FROM_S)
    field.cut(FROM_S, half_s, **ALL_REACH).cut(half_s, UNTIL_S, berlin=1)
    assert {"collector_unreached", "node_silent"} == {code for code, _ in field.said()}
    assert ("node_silent", "") in field.open()
    field.live(UNTIL_S, REST_S)
    assert amounts(field.statement()) == (NOTHING, "26.84")


def test_a_fold_that_goes_on_from_its_snapshots_says_the_same() -> None:
    whole = Watched().silence(**ALL_REACH)
    field = Watched().heard(0, FROM_S)
    field.cut(FROM_S, FROM_S + 25 * STEP_S, **ALL_REACH)
    again, kept = FleetFold(field.fold.stall_us), field.fold.snapshots()
    again.restore(kept, field.entries)
    field.fold = again
    field.cut(FROM_S + 25 * STEP_S, UNTIL_S, **ALL_REACH).live(UNTIL_S, REST_S)
    assert _told(field) == _told(whole)


def _told(field: Watched) -> tuple[Any, ...]:
    return field.said(), field.timelines(END_S), amounts(field.statement())


def test_a_witness_is_no_node_and_shows_no_device() -> None:
    field = Watched().silence(**ALL_REACH)
    assert set(field.fold.nodes) == {"n1"}
    assert not field.findings("duplicate_device", "device_claimed")


def test_a_witness_speaks_for_max_gap_to_the_microsecond() -> None:
    watched = Watched(more="evidence: {witnesses: [berlin]}\n")
    watched.cut(0, STEP_S, berlin=1)
    reach, (promise,) = watched.fold.reach, watched.fold.assignments.promises("n1")
    until_us = reach.witnesses["berlin"].words["n1"].last_us + promise.max_gap_us
    assert reach.told(promise, "n1", until_us) is not None
    assert reach.told(promise, "n1", until_us + 1) is None
