"""Two agents with one key, and the honest agents that look like them for a moment."""

from dataclasses import replace

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    OWED,
    TERMS,
    UNTIL_H,
    Field,
    Said,
    amounts,
    lost,
    seconds,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.judge.ledger import KEY_SHARED, Finding

FORKED_H = 6
REVOKED_H = 18
BOTH_GPUS = "51.74"


def played(
    side: str, said: Said, copied: Said, *, until_h: int = DAY_H + 1, boot: str = "boot-1"
) -> Field:
    """The side's agent all day, and from the sixth hour on a second one with its key."""
    field = Field()
    agent, copy = ScriptedNode(), ScriptedNode(chain="copied", boot=boot)
    for hour in range(DAY_H + 1):
        if hour == until_h:
            field.revoke(side)
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(agent, hour, said, side)
        if FORKED_H <= hour < until_h:
            field.hear(copy, hour, copied, side)
    return field


def found(field: Field) -> list[Finding]:
    return field.findings(KEY_SHARED)


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_two_agents_with_one_key_are_contested_from_the_fork_on(boot: str) -> None:
    """A provider's second agent says that all is well; what its first one admits stays owed."""
    field = played("provider", lost, sound, boot=boot)
    statement = field.statement()
    assert amounts(statement) == (OWED, BOTH_GPUS)
    assert "key_shared" in statement.flags
    finding, ended = found(field)
    assert (finding.severity.value, finding.until_us) == ("error", None)
    assert ended.until_us == START_US + DAY_H * HOUR_S * SECOND, "with the contract"
    assert finding.since_us == START_US + (FORKED_H + 1) * HOUR_S * SECOND
    assert unit(statement, "n1.1").seconds["contested"] == (DAY_H - FORKED_H - 1) * HOUR_S


def test_a_gpu_whose_agents_share_a_key_is_not_counted_as_healthy_until_it_is_revoked() -> None:
    field, healthy = Field(), []
    agent, copy = ScriptedNode(), ScriptedNode(chain="copied")
    for hour in range(FORKED_H + 4):
        field.tick((hour + 1) * HOUR_S)
        field.hear(agent, hour, sound)
        if hour >= FORKED_H:
            field.hear(copy, hour, sound)
        healthy.append(field.counted().healthy)
    assert healthy[FORKED_H - 1 :: 4] == [2, 0]
    field.revoke("provider")
    assert field.counted().healthy == 2


def test_revoking_the_key_ends_the_doubt() -> None:
    field = played("provider", lost, sound, until_h=REVOKED_H)
    opened, closed = found(field)
    assert opened == replace(closed, until_us=None)
    assert unit(field.statement(), "n1.1").seconds["contested"] == 11 * HOUR_S


def test_an_amendment_ends_no_doubt() -> None:
    """The finding ends with the version that it was found under, and is open again under the next."""
    field = Field()
    agents = ScriptedNode(), ScriptedNode(chain="copied")
    amended = TERMS.replace('version: "1"', "version: \"2\"\nsupersedes: '1'")
    amended = amended.replace("01T00:00:00Z", "01T12:00:00Z", 1)
    field.contract(amended + "unknown: {policy: hold}\n", version=2)
    for hour in range(DAY_H):
        field.tick((hour + 1) * HOUR_S)
        for agent in agents:
            field.hear(agent, hour, sound)
    assert START_US + UNTIL_H * HOUR_S * SECOND in {one.until_us for one in found(field)}
    assert (KEY_SHARED, "") in field.open()


def test_a_lessee_who_shares_its_key_makes_nothing_owed_by_it() -> None:
    field = played("lessee", sound, lost)
    assert amounts(field.statement()) == ("0.00", OWED)
    assert unit(field.statement()).verdict == "UNKNOWN"


def test_the_lessees_good_word_holds_where_the_providers_is_in_doubt() -> None:
    field = Field()
    nodes = {
        ("provider", "a"): ScriptedNode(),
        ("provider", "b"): ScriptedNode(chain="copied"),
        ("lessee", "a"): ScriptedNode(),
    }
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for (side, _), node in nodes.items():
            field.hear(node, hour, sound, side)
    assert len(found(field)) == 2
    assert amounts(field.statement()) == ("0.00", "0.00")


def beside(side: str, said: Said, other: Said, terms: str) -> Field:
    """Both agents of one side, who say the same, and one of the other side all day."""
    field = Field(terms)
    against = "lessee" if side == "provider" else "provider"
    agents = [(side, ScriptedNode(chain=one), said) for one in ("chain-1", "copied")]
    agents.append((against, ScriptedNode(), other))
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for name, node, word in agents:
            field.hear(node, hour, word, name)
    return field


@pytest.mark.parametrize(
    ("side", "terms", "highest", "lowest"),
    [
        ("provider", "", OWED, "0.00"),
        ("provider", "contradicted: provider_bears", OWED, OWED),
        ("provider", "records_prevail: lessee", OWED, OWED),
        ("provider", "contradicted: lessee_bears", OWED, "0.00"),
        ("provider", "records_prevail: provider", OWED, "0.00"),
        ("lessee", "", OWED, "0.00"),
        ("lessee", "contradicted: lessee_bears", "0.00", "0.00"),
        ("lessee", "records_prevail: provider", "0.00", "0.00"),
        ("lessee", "contradicted: provider_bears", OWED, "0.00"),
        ("lessee", "records_prevail: lessee", OWED, "0.00"),
    ],
)
def test_who_puts_its_own_word_in_doubt_escapes_no_term_and_wins_none(
    side: str, terms: str, highest: str, lowest: str
) -> None:
    """The provider's agents say up and the lessee's lost, and one of the two sides has two agents with one key."""
    mine, other = (sound, lost) if side == "provider" else (lost, sound)
    statement = beside(side, mine, other, f"evidence: {{{terms}}}").statement()
    assert amounts(statement) == (lowest, highest)
    assert set(statement.flags) == {"key_shared", "sides_contradict"}
    assert seconds(statement)["up_against_down"] == BAD_S


@pytest.mark.parametrize("side", ["provider", "lessee"])
def test_what_the_other_side_saw_alike_is_in_no_doubt(side: str) -> None:
    """Whoever reads the key of the other side cannot take back what he admits himself."""
    statement = beside(side, lost, lost, "").statement()
    assert amounts(statement) == (OWED, OWED)
    assert statement.flags == ("key_shared",)


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_an_agent_set_up_anew_with_its_old_key_is_no_second_one(boot: str) -> None:
    """Reinstalled, or its spool restored from a backup: the old chain never goes on."""
    field = Field()
    first, second = ScriptedNode(), ScriptedNode(chain="chain-2", boot=boot)
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(first if hour < FROM_H else second, hour, lost)
    assert found(field) == []
    assert "key_shared" not in field.statement().flags


def test_a_request_that_comes_after_a_new_chain_began_is_no_second_agent() -> None:
    """It was under way when the agent sealed the same reports anew."""
    field = Field()
    first, second = ScriptedNode(), ScriptedNode(chain="chain-2")
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        if hour >= UNTIL_H:
            field.hear(second, hour, sound)
        if hour <= UNTIL_H:
            field.hear(first, hour, sound)
    assert found(field) == []


def test_a_machine_that_goes_back_to_a_snapshot_takes_up_its_old_chain_and_is_no_second_agent() -> (
    None
):
    """What came after the snapshot, with a chain of its own, is gone for good."""
    field = Field()
    before, after = ScriptedNode(), ScriptedNode(chain="chain-2", boot="boot-2")
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(after if FROM_H <= hour < UNTIL_H else before, hour, sound)
    assert found(field) == []
