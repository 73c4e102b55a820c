from pathlib import Path

import pytest

from weighbridge.contract import Contract, ContractError, Problem, explain, load
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


def refused(text: str) -> tuple[Problem, ...]:
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
    assert text.count("virtualization: bare_metal") == 1
    assert "max_gap_s: '30'" in text


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
        ("nodes: 16", "nodes: [16]", 11, "must be a whole number"),
        ("ecc: on", "ecc: yes", 12, "must be one of 'on'"),
        ("role: lessee", "role: auditor", 5, "no party is the lessee"),
        (
            "Asia/Shanghai",
            "Etc/GMT-8",
            3,
            "Etc/GMT-8 is a fixed offset; name a place (Europe/Amsterdam) or UTC",
        ),
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
