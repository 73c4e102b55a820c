from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.judged import contract as of_item
from weighbridge.catalogue.tables import skus
from weighbridge.challenge.ceiling import ceiling_flops_per_second
from weighbridge.challenge.policy import Policy
from weighbridge.contract import (
    Contract,
    ContractError,
    ContractProblem,
    expanded,
    explain,
    load,
    loaded,
)
from weighbridge.contract.chain import mismatches
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.contract.coherence import cautions
from weighbridge.contract.reference import reference

MINIMAL = """\
contract_id: K-2026-014
effective: 2026-05-05T16:00:00Z
time_zone: Asia/Shanghai
currency: CNY
parties: [{id: L, role: provider}, {id: E, role: lessee}]
term: {from: 2026-05-05T16:00:00Z, to: 2027-05-05T16:00:00Z}
resources:
  - id: h100
    accelerator: {sku: H100-SXM-80GB, form_factor: SXM}
    per_node: 8
    nodes: 16
    floors: {power_limit_milliwatts: 700000, ecc: on}
    bounds: [{reading: sm_clock_megahertz, at_least: "1200", while: busy, for_share: "0.95"}]
availability:
  - {id: node-a, unit: node, target: "0.995"}
unknown: {policy: hold, by_cause: {lessee: up, provider: down}}
"""


def refused(text: str) -> tuple[ContractProblem, ...]:
    with pytest.raises(ContractError) as error:
        load(text)
    return error.value.problems


def test_every_scalar_gets_its_exact_type_from_text() -> None:
    contract = load(MINIMAL)
    assert (contract.resources[0].nodes, contract.availability[0].target.denominator) == (16, 200)
    assert contract.resources[0].floors.ecc == "on"
    assert contract.effective_us == 1_777_996_800_000_000


def test_the_explained_contract_prints_every_default_and_loads_equal() -> None:
    contract = load(MINIMAL)
    text = explain(contract)
    assert load(text) == contract
    assert explain(load(text)) == text
    assert text.count("virtualization: none") == 1
    assert "max_gap_s: '30'" in text
    assert expanded(contract) == yaml.load(text, Loader=yaml.BaseLoader)


def test_a_text_is_parsed_once_however_many_load_it() -> None:
    assert load(MINIMAL) is load("".join(MINIMAL))


def test_the_bridged_gap_is_three_intervals_unless_it_is_given() -> None:
    assert load(MINIMAL + "sampling: {interval_s: 7}\n").sampling.max_gap_us == 21_000_000
    assert load(MINIMAL + "sampling: {max_gap_s: 60}\n").sampling.max_gap_us == 60_000_000


def test_all_problems_come_at_once_with_line_and_path_in_the_order_of_lines() -> None:
    broken = MINIMAL.replace("nodes: 16", "nodes: -1").replace("policy: hold, ", "")
    broken = broken.replace("currency: CNY", "currency: CNY\nfoo: bar").replace(
        "Asia/Shanghai", "PST"
    )
    assert [(problem.line, problem.path) for problem in refused(broken)] == [
        (3, "time_zone"),
        (5, "foo"),
        (12, "resources[0].nodes"),
        (17, "unknown.policy"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("currency: CNY", "currency: CNY\ncurrency: USD", 5, "`currency` is given twice"),
        ("id: h100", "id: &a h100", 8, "anchors are not allowed"),
        ("nodes: 16", "nodes: *a", 11, "alias *a; write the value out"),
        ("nodes: 16", "nodes: !!int 16", 11, "tags are not allowed"),
        ("nodes: 16", "nodes: 16.0", 11, "must be a whole number"),
        ("nodes: 16", "nodes: 0", 11, "must be at least 1, and below 2^53"),
        ("nodes: 16", "nodes: 9007199254740992", 11, "must be at least 1, and below 2^53"),
        ("nodes: 16", "nodes: 125001", 11, "more than 1000000 GPUs in one line item"),
        ("nodes: 16", "nodes: [16]", 11, "must be a whole number"),
        ("ecc: on", "ecc: yes", 12, "must be one of 'on'"),
        ("role: lessee", "role: auditor", 5, "no party is the lessee"),
        (
            "Asia/Shanghai",
            "Etc/GMT-8",
            3,
            "Etc/GMT-8 is a fixed offset; name a place (Europe/Amsterdam) or UTC",
        ),
        (
            "to: 2027-05",
            "to: 2027-13",
            6,
            "must be an instant in UTC such as 2026-05-05T16:00:00Z; that date or time does not exist",
        ),
        ("to: 2027", "to: 9999", 6, "must lie between the years 1970 and 2200"),
        ("to: 2027", "to: 2025", 6, "the term ends before it starts"),
        ('target: "0.995"', "target: 1.1", 15, "must lie between 0 and 1"),
        (
            'target: "0.995"',
            "target: 0.99999999",
            15,
            "has more digits than the counting can resolve",
        ),
        (
            'target: "0.995"',
            "target: 0.99, counting: {min_outage: {seconds: 300, op: '>='}}",
            15,
            "min_outage without merge_gap_s: repeated short outages would never count",
        ),
        ("unknown: {policy: hold, by", "unknown: {by", 16, "is required"),
    ],
)
def test_each_fault_is_named_with_its_line(old: str, new: str, line: int, reason: str) -> None:
    problems = refused(MINIMAL.replace(old, new, 1))
    assert (line, reason) in [(problem.line, problem.reason) for problem in problems]


CREDIT = """\
pricing: [{unit: node_month, price: "9000"}]
credits:
  - id: c
    objective: node-a
    kind: tiers
    tiers:
      - {at_or_above: "0.99", below: "0.995", pct: 10}
      - {at_or_above: "0.95", below: "0.99", pct: 25}
      - {at_or_above: "0", below: "0.95", pct: 50}
"""


@pytest.mark.parametrize(
    ("old", "new", "path", "reason"),
    [
        ('below: "0.99",', 'below: "0.98",', "credits[0].tiers[1]", "leaves a gap below tiers[0]"),
        ('below: "0.99",', 'below: "0.991",', "credits[0].tiers[1]", "overlaps tiers[0]"),
        ('below: "0.99",', 'at_or_below: "0.99",', "credits[0].tiers[1]", "overlaps tiers[0]"),
        ("pct: 25", "pct: 5", "credits[0].tiers[1].pct", "a lower availability earns less"),
        (
            '"0", below',
            '"0.5", below',
            "credits[0].tiers[2].at_or_above",
            "nothing is said about what lies below",
        ),
        (
            'below: "0.995"',
            'below: "0.994"',
            "credits[0].tiers",
            "nothing is said about 0.994 to the target",
        ),
        ('below: "0.995"', 'below: "0.999"', "credits[0].tiers", "a row reaches above the target"),
        (
            'below: "0.995"',
            'below: "0.995", at_or_below: "0.994"',
            "credits[0].tiers[0]",
            "give either below or at_or_below",
        ),
        (
            "objective: node-a",
            "objective: node-b",
            "credits[0].objective",
            "`node-b` is not an objective",
        ),
        ("kind: tiers", "kind: tier", "credits[0]", "must be one of"),
        ("    kind: tiers\n", "", "credits[0]", "must be one of"),
        (
            "pricing: [{unit: node_month",
            "pricing: [{unit: P_month",
            "pricing[0].unit",
            "P without a capacity",
        ),
        (
            'pricing: [{unit: node_month, price: "9000"}]\n',
            "",
            "credits[0].base",
            "there is no amount",
        ),
        ('price: "9000"', "price: 9e3", "pricing[0].price", "must be an amount such as 12.50"),
        ('price: "9000"', "price: 9000, per: month", "pricing[0].per", "is not a known key"),
        (
            "kind: tiers",
            "kind: tiers\n    claim: {required: true}",
            "credits[0].claim",
            "needs one deadline",
        ),
    ],
)
def test_each_fault_of_a_credit_is_named(old: str, new: str, path: str, reason: str) -> None:
    load(MINIMAL + CREDIT)
    problems = refused(MINIMAL + CREDIT.replace(old, new, 1))
    assert [(problem.path, reason in problem.reason) for problem in problems] == [(path, True)]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        (
            "maintenance: {min_notice_s: 0, windows: [{from_minute: 0, to_minute: 60, zone: PST}]}",
            "maintenance.windows[0].zone",
        ),
        (
            "maintenance: {min_notice_s: 0, windows: [{from_minute: 60, to_minute: 60, zone: UTC}]}",
            "maintenance.windows[0].to_minute",
        ),
        ("exclusions: {downtime_excluded: true}", "exclusions.downtime_excluded"),
        ("links: {children: [K2]}", "links.children"),
        ("stacking: {cap: {pct: 25}}", "stacking.base_amount"),
        ("capacity_floor: {}", "capacity_floor"),
        ("exit_rights: [{objective: node-a, missed: 7, of_periods: 6}]", "exit_rights[0].missed"),
        ("exit_rights: [{objective: x, missed: 3, of_periods: 6}]", "exit_rights[0].objective"),
        (
            "performance: [{id: p, probe: gemm, op: '>=', missing: bad, target: 0.9}]",
            "performance[0].threshold",
        ),
        ("repair: [{id: r, objective_s: 60}]", "repair[0].clock_from"),
        ("supersedes: 1", "supersedes"),
    ],
)
def test_each_part_of_the_model_refuses_what_makes_no_sense(more: str, path: str) -> None:
    assert [problem.path for problem in refused(MINIMAL + more + "\n")] == [path]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (
            "nodes: 16",
            "nodes: 16\n    capacity: {per_gpu: 0.9894}",
            "resources[0].capacity.precision",
        ),
        (
            "nodes: 16",
            "nodes: 16\n    virtualization: mig\n    capacity: {precision: fp16, per_gpu: 0.9894}",
            "resources[0].capacity",
        ),
        (
            "nodes: 16",
            "nodes: 16\n    exclusivity: {max_owners: 2}",
            "resources[0].exclusivity.max_owners",
        ),
        (
            "nodes: 16",
            "nodes: 16\n    slots: [{id: a, uuid: G}, {id: b, uuid: G}]",
            "resources[0].slots[1].uuid",
        ),
        (
            "nodes: 16",
            "nodes: 16\n    delivery: [{id: a, nodes: 4, due: 2026-06-01, value: 1}]",
            "resources[0].delivery",
        ),
        ('target: "0.995"', 'target: "0.995", scope: k_of_n, k: 17', "availability[0].k"),
        ('target: "0.995"', 'target: "0.995", scope: k_of_n', "availability[0].k"),
        ('target: "0.995"', 'target: "0.995", period: rolling', "availability[0].window_s"),
        ('target: "0.995"', 'target: "0.995", resource: a100', "availability[0].resource"),
    ],
)
def test_each_part_of_a_resource_or_objective_must_fit_the_rest(
    old: str, new: str, path: str
) -> None:
    assert [problem.path for problem in refused(MINIMAL.replace(old, new, 1))] == [path]


def test_a_child_that_is_stricter_than_its_parent_is_told_apart() -> None:
    parent = load(MINIMAL)
    assert list(mismatches(parent, load(MINIMAL))) == []
    stricter = MINIMAL.replace('"0.995"', '"0.999"').replace("Asia/Shanghai", "UTC")
    stricter = stricter.replace("policy: hold", "policy: down")
    assert list(mismatches(parent, load(stricter))) == [
        "time_zone: UTC against Asia/Shanghai",
        "unknown.policy: down against hold",
        "node-a: higher target",
    ]
    lenient = MINIMAL.replace(
        'target: "0.995"',
        "target: 0.995, counting: {merge_gap_s: 0, min_outage: {seconds: 60, op: '>'}}",
    )
    assert list(mismatches(load(lenient), parent)) == ["node-a: shorter outages count"]


@given(st.text(max_size=200))
def test_any_text_is_a_contract_or_gets_reasons(text: str) -> None:
    with pytest.raises(ContractError):
        load(text)


@given(st.text(alphabet="{}[]:,- \n\"'&*!?|>#%@`a0.", max_size=60), st.integers(0, len(MINIMAL)))
def test_any_damage_to_a_contract_is_read_or_refused_with_lines(damage: str, at: int) -> None:
    text = MINIMAL[:at] + damage + MINIMAL[at:]
    problems: tuple[ContractProblem, ...] = ()
    try:
        load(text)
    except ContractError as error:
        problems = error.problems
    assert all(1 <= problem.line <= text.count("\n") + 1 and problem.reason for problem in problems)


def test_a_target_finer_than_the_sampling_can_see_is_refused() -> None:
    fine = MINIMAL.replace('"0.995"', '"0.99999"') + "sampling: {interval_s: 60}\n"
    assert [problem.path for problem in refused(fine)] == ["availability[0].target"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "- 1",
        "{",
        "a: [" * 400,
        "a: b: c",
        "\x00",
        "%YAML 1.1\n---\na: b",
        "a: 1\n---\nb: 2",
        "? [a]\n: b",
    ],
)
def test_text_that_is_no_contract_gets_reasons_and_nothing_else(text: str) -> None:
    assert refused(text)


def test_a_loaded_contract_cannot_be_changed() -> None:
    contract: Contract = load(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        contract.__setattr__("version", 2)


def test_the_reference_page_is_made_from_the_model() -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    assert page.read_text("utf-8") == reference()


def test_every_clause_of_the_model_says_what_it_means() -> None:
    assert "| None |" not in reference()
    assert "[object]" not in reference()


PEERS = """\
    challenges: [{tiles: "20", memory_passes: "10", memory_samples: "32", peer_tiles: "16", peer_passes: "7",
      peer_samples: "32", ceiling_flops_per_second: "2000000000000000", device_memory_bytes: "85899345920",
      at_least_peer_bytes_per_second: "300000000000", program: "%s"}]
    floors:"""


KEPT = 'tiles: "20", memory_passes: "10", memory_samples: "32"'
UNTABLED = MINIMAL.replace("H100-SXM-80GB", "any")


def numbers(terms: str) -> str:
    """A resource with one proof of compute by these terms."""
    return f"    challenges: [{{{terms}}}]\n    floors:"


def with_challenge(terms: str, text: str = MINIMAL) -> str:
    return text.replace("    floors:", terms, 1)


def test_a_contracts_numbers_of_a_challenge_are_those_of_its_policy() -> None:
    program = "0123456789abcdef" * 4
    (policy,) = load(with_challenge(PEERS % program)).resources[0].challenge_policies()
    assert policy.phases(8) == ("chain", "fill", "memory", "peer")
    assert (policy.peer_tiles, policy.peer_passes, policy.peer_samples) == (16, 7, 32)
    assert policy.required_peer_bytes_per_second == 300_000_000_000
    assert policy.device_memory_bytes == 80 << 30
    assert policy.program == program


def test_rounds_take_as_long_as_the_contract_says_at_the_rate_that_it_asks_for() -> None:
    rate, work_s = 700 * 10**12, 30
    terms = numbers(f'at_least_flops_per_second: "{rate}", work_s: "{work_s}"')
    (policy,) = load(with_challenge(terms)).resources[0].challenge_policies()
    work = 2 * policy.size**3 * policy.rounds
    assert rate * work_s <= work < rate * work_s + 2 * policy.size**3
    assert policy.stall_allowance_ms == 1500
    assert policy.helper_cards == 7


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_the_longest_run_of_each_card_ends_in_time_at_two_thirds_of_its_data_sheet(
    profile: Literal["f16", "i8"],
) -> None:
    """Where nothing is asked for, rounds are those of the ceiling, and honest programs are far below it."""
    terms = ChallengeTerms(profile=profile)
    for card in skus().values():
        rate = card.dense_f16_teraops if profile == "f16" else card.dense_i8_teraops
        if rate is None or ceiling_flops_per_second(card, profile) is None:
            continue
        policy = terms.policy(card, 8)
        most = 2 * policy.size**3 * policy.rounds * terms.longest_times
        assert 3 * most <= 2 * rate * 10**12 * policy.deadline_ms // 1000, card.name


def test_a_third_of_the_rate_asked_for_is_measured_and_not_cut_off() -> None:
    rate = 600 * 10**12
    terms = ChallengeTerms(at_least_flops_per_second=rate)
    policy = terms.policy(None, 8)
    most = 2 * policy.size**3 * policy.rounds * terms.longest_times
    assert 3 * most <= rate * policy.deadline_ms // 1000


@pytest.mark.parametrize(("interval_s", "warned"), [("8", False), ("10", True)])
def test_a_run_that_no_sample_need_see_is_warned_of(interval_s: str, warned: bool) -> None:
    """Who chooses its own samples could leave it out, and with it a card that idles meanwhile."""
    terms = numbers('at_least_flops_per_second: "700000000000000", work_s: "10"')
    text = with_challenge(terms) + f"sampling: {{interval_s: {interval_s}}}\n"
    found = [one for one in cautions(load(text)) if "resources.h100.challenges[0]" in one]
    assert bool(found) is warned


def test_two_proofs_of_one_line_item_have_numbers_of_their_own() -> None:
    both = "    challenges: [{profile: f16}, {profile: i8}]\n    floors:"
    f16, i8 = load(with_challenge(both)).resources[0].challenge_policies()
    assert (f16.profile, i8.profile) == ("f16", "i8")
    assert f16.ceiling_flops_per_second < i8.ceiling_flops_per_second


@pytest.mark.parametrize(
    ("terms", "text", "reason"),
    [
        (PEERS % "x", MINIMAL, "program"),
        (PEERS % ("ab" * 32), MINIMAL.replace("per_node: 8", "per_node: 1"), "no peer"),
        (PEERS % ("ab" * 32), MINIMAL.replace("per_node: 8", "per_node: 2"), "unread tiles"),
        (numbers('at_least_memory_bytes: "1"'), MINIMAL, "no pass"),
        (numbers('check: freivalds, samples: "256"'), MINIMAL, "fewer samples"),
        (numbers('links: "3"'), MINIMAL, "links 3: one of 0, 2, 4, 8"),
        (numbers('rounds: "64"'), MINIMAL, "10000 ms are needed"),
        (numbers('deadline_s: "40"'), MINIMAL, "deadline_ms 40000: 400"),
        (numbers('allowance_share: "0.5"'), MINIMAL, "3 times the allowance of 10000 ms"),
        (numbers('ceiling_flops_per_second: "989000000000000"'), MINIMAL, "the card can reach"),
        (numbers(""), UNTABLED, "rounds: needed where"),
        (numbers(KEPT + ', rounds: "20"'), UNTABLED, "ceiling_flops_per_second: without it"),
        (numbers(KEPT + ', at_least_memory_bytes: "1"'), MINIMAL, "made anew"),
    ],
)
def test_a_challenge_that_no_node_of_the_line_item_could_answer_is_no_contract(
    terms: str, text: str, reason: str
) -> None:
    (problem,) = refused(with_challenge(terms, text))
    assert problem.path == "resources[0].challenges[0]"
    assert reason in problem.reason


ASKED_RATE = 'at_least_flops_per_second: "700000000000000"'
LOW_CEILING = 'ceiling_flops_per_second: "989000000000000"'


@pytest.mark.parametrize(
    "terms",
    [
        f"{ASKED_RATE}, {LOW_CEILING}",
        LOW_CEILING,
        'rounds: "64"',
        f'deadline_s: "40", {KEPT}',
        'tiles: "20"',
    ],
)
def test_what_was_agreed_on_is_a_contract_under_a_later_table_of_cards_too(terms: str) -> None:
    """It is refused to whoever would agree on it now; the log's contract holds, and what it names."""
    text = with_challenge(numbers(terms))
    refused(text)
    item = loaded(text).resources[0]
    assert item.proof(Policy("f16", 16384, 64, 128)) is None
    if terms.endswith(LOW_CEILING):
        (policy,) = item.challenge_policies()
        assert policy.ceiling_flops_per_second == 989 * 10**12
        assert item.proof(policy) == 0


def under(terms: ChallengeTerms, f16: int) -> Policy:
    """The numbers under a table of cards that says so many teraFLOP/s of this one."""
    card = skus()["H100-SXM-80GB"]
    return terms.policy(replace(card, dense_f16_teraops=f16, dense_i8_teraops=2 * f16), 8)


@pytest.mark.parametrize("rounds", [None, 3000])
@pytest.mark.parametrize("rate", [0, 700 * 10**12])
def test_a_challenge_is_asked_as_the_contract_says_under_whichever_table(
    rounds: int | None, rate: int
) -> None:
    """Rounds and deadline follow from the ceiling where no rate is named: they are compared at the ceiling asked by."""
    terms = ChallengeTerms(at_least_flops_per_second=rate, rounds=rounds)
    earlier, now = under(terms, 900), under(terms, 1000)
    assert (earlier.rounds == now.rounds) is (rounds is not None or rate > 0)
    for asked in (earlier, now):
        drawn = {asked.rounds - 1: False, asked.rounds: True}
        drawn |= {2 * asked.rounds: True, 2 * asked.rounds + 1: False}
        found = {count: terms.asks(replace(asked, rounds=count), 8) for count in drawn}
        assert found == drawn
        assert not terms.asks(replace(asked, deadline_ms=asked.deadline_ms + 1), 8)
    named = terms.model_copy(update={"ceiling_flops_per_second": now.ceiling_flops_per_second})
    assert (named.asks(now, 8), named.asks(earlier, 8)) == (True, False)


TWO_CREDITS = """\
pricing: [{unit: node_month, price: "100"}]
claim: {required: true, deadline_days: 14}
credits:
  - {id: month, objective: node-a, kind: linear_shortfall}
  - {id: hours, objective: OBJECTIVE, kind: clock_hour, threshold_s: 360, hour_price: 55.04, claim: {required: false}}
"""


def test_credits_of_one_unit_may_be_claimed_in_different_ways() -> None:
    pooled = ', {id: all, scope: pooled, target: "0.99"}]'
    text = MINIMAL.replace(
        'availability:\n  - {id: node-a, unit: node, target: "0.995"}',
        'availability: [{id: node-a, unit: node, target: "0.995"}' + pooled,
    )
    for objective in ("node-a", "all"):
        ways = [
            one.claim for one in load(text + TWO_CREDITS.replace("OBJECTIVE", objective)).credits
        ]
        assert ways[0] != ways[1]


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ({"driver_at_least": "535", "driver_below": "580.95.05"}, ""),
        ({"driver_at_least": "R535"}, "driver_at_least `R535` is no version"),
        ({"driver_below": "latest"}, "driver_below `latest` is no version"),
        ({"driver_at_least": "580", "driver_below": "580.0"}, "no driver keeps both"),
        ({"driver_at_least": "580", "driver_below": "580.1"}, ""),
    ],
)
def test_drivers_that_nobody_can_compare_are_warned_of(host: dict[str, str], warned: str) -> None:
    found = [one for one in cautions(of_item({"host": host})) if ": host." in one]
    assert [warned in one for one in found] == ([True] if warned else [])
