"""Every term of a contract is judged by a check, acted by in a part of the program, or says that it only describes.

What the model says of a field's reader is proven: a check answers otherwise once the value is another; a part is seen
to read the value while it works, or its module is named; and what only describes is read by no part at work.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.weighbridge import everything
from tests.weighbridge.judged import DEVICE, answers, contract, view
from tests.weighbridge.scripted import ScriptedNode
from tests.weighbridge.test_judge import standing
from weighbridge.contract import Contract, loading
from weighbridge.contract.coherence import incoherences
from weighbridge.contract.reference import parts
from weighbridge.contract.terms import Reader, Terms, reader_of
from weighbridge.judge.checks import CHECKS
from weighbridge.judge.checks.check import HourSeries
from weighbridge.judge.latest_readings import LatestReadings
from weighbridge.verdict import Verdict

ROOT = Path(__file__).parents[2]
GIB = 1 << 30


def fields() -> Iterator[tuple[str, Reader]]:
    """Each field once, by the part that declares it."""
    for terms in parts():
        for name in terms.model_fields:
            yield f"{declared_by(terms, name).__name__}.{name}", reader_of(terms, name)


def declared_by(terms: type[Terms], name: str) -> type[Terms]:
    return next(
        one for one in reversed(terms.__mro__) if name in vars(one).get("__annotations__", {})
    )


READERS = dict(fields())


def of_kind(kind: str) -> dict[str, tuple[str, ...]]:
    return {name: reader.words for name, reader in READERS.items() if reader.kind == kind}


# What checks judge.


@dataclass(frozen=True)
class Proof:
    """Terms that a node keeps, and the same ones with another value of the field, which it does not."""

    code: str
    kept: Mapping[str, Any]
    broken: Mapping[str, Any]
    seen: LatestReadings = field(default_factory=view)

    def verdicts(self, code: str) -> tuple[Verdict | None, ...]:
        found = (answers(terms, self.seen).get(code) for terms in (self.kept, self.broken))
        return tuple(None if answer is None else answer.verdict for answer in found)


def of(part: str, kept: Mapping[str, Any], broken: Mapping[str, Any]) -> tuple[Any, Any]:
    return {part: dict(kept)}, {part: dict(broken)}


def card(**terms: str) -> dict[str, str]:
    return {"sku": "H100-SXM-80GB"} | terms


PORT = {
    f"infiniband.a.1.{name}": value for name, value in (("state_code", 4), ("rate_gigabits", 400))
}
JOINED = view(ports={**PORT, "infiniband.a.1.link_layer": "InfiniBand", "rdma_ports_count": 1})
SHOWN = view(
    {
        "nvlink_active_links": 17,
        "nvlink_version_code": 6,
        "p2p_nvlink_peers_count": 3,
        "sm_clock_max_megahertz": 1980,
        "memory_clock_max_megahertz": 2619,
        "pcie_link_max_generation": 5,
        "pcie_link_generation": 5,
        "cuda_compute_capability": "9.0",
    },
    driver={"driver_version": "580.95.05"},
    host={"cpu_model": "AMD EPYC 9654", "memory_total_bytes": 64 * GIB, "nvme_bytes": 1000},
)
OFF = view({"ecc_mode_code": 0, "mig_mode_code": 1})
TWO = view(owners=("a", "b"))

PROOFS: Mapping[str, Proof] = {
    "Accelerator.sku": Proof("sku_mismatch", *of("accelerator", card(), {"sku": "A100-SXM4-80GB"})),
    "Accelerator.form_factor": Proof(
        "sku_mismatch", *of("accelerator", card(form_factor="SXM"), card(form_factor="PCIe"))
    ),
    "Accelerator.memory_bytes": Proof(
        "memory_short",
        *of("accelerator", card(memory_bytes=f"{79 * GIB}"), card(memory_bytes=f"{80 * GIB}")),
    ),
    "Accelerator.vendor": Proof("sku_mismatch", *of("accelerator", card(), card(vendor="AMD"))),
    "Accelerator.compute_capability": Proof(
        "sku_mismatch",
        *of("accelerator", card(compute_capability="9.0"), card(compute_capability="9.1")),
        SHOWN,
    ),
    "Interconnect.nvlink_version": Proof(
        "nvlink_old", *of("interconnect", {"nvlink_version": "4"}, {"nvlink_version": "5"}), SHOWN
    ),
    "Interconnect.nvlink_links": Proof(
        "nvlink_down", *of("interconnect", {"nvlink_links": "17"}, {"nvlink_links": "18"}), SHOWN
    ),
    "Interconnect.nvlink_domain": Proof(
        "nvlink_apart",
        {"per_node": "8", "interconnect": {"nvlink_domain": "4"}},
        {"per_node": "8", "interconnect": {"nvlink_domain": "5"}},
        SHOWN,
    ),
    "Interconnect.fabric": Proof(
        "fabric_ports_down",
        *of("interconnect", {"fabric": "infiniband"}, {"fabric": "roce"}),
        JOINED,
    ),
    "Interconnect.ports": Proof(
        "fabric_ports_down", *of("interconnect", {"ports": "1"}, {"ports": "2"}), JOINED
    ),
    "Interconnect.port_gigabits": Proof(
        "fabric_ports_down",
        *of("interconnect", {"port_gigabits": "400"}, {"port_gigabits": "401"}),
        JOINED,
    ),
    "Host.cpu": Proof(
        "cpu_mismatch", *of("host", {"cpu": "EPYC 9654"}, {"cpu": "EPYC 9654P"}), SHOWN
    ),
    "Host.memory_bytes": Proof(
        "host_memory_short",
        *of("host", {"memory_bytes": f"{64 * GIB}"}, {"memory_bytes": f"{80 * GIB}"}),
        SHOWN,
    ),
    "Host.nvme_bytes": Proof(
        "nvme_short", *of("host", {"nvme_bytes": "1000"}, {"nvme_bytes": "1001"}), SHOWN
    ),
    "Host.driver_at_least": Proof(
        "driver_not_allowed",
        *of("host", {"driver_at_least": "580"}, {"driver_at_least": "590"}),
        SHOWN,
    ),
    "Host.driver_below": Proof(
        "driver_not_allowed", *of("host", {"driver_below": "590"}, {"driver_below": "580"}), SHOWN
    ),
    "Floors.power_limit_milliwatts": Proof(
        "power_capped",
        *of("floors", {"power_limit_milliwatts": "700000"}, {"power_limit_milliwatts": "700001"}),
    ),
    "Floors.sm_clock_max_megahertz": Proof(
        "clock_capped",
        *of("floors", {"sm_clock_max_megahertz": "1980"}, {"sm_clock_max_megahertz": "1981"}),
        SHOWN,
    ),
    "Floors.memory_clock_max_megahertz": Proof(
        "memory_clock_capped",
        *of(
            "floors", {"memory_clock_max_megahertz": "2619"}, {"memory_clock_max_megahertz": "2620"}
        ),
        SHOWN,
    ),
    "Floors.pcie_generation": Proof(
        "pcie_slow", *of("floors", {"pcie_generation": "5"}, {"pcie_generation": "6"}), SHOWN
    ),
    "Floors.pcie_width": Proof(
        "pcie_narrow",
        *of("floors", {"pcie_width": "16"}, {"pcie_width": "32"}),
        view({"pcie_link_width_max_lanes": 16}),
    ),
    "Floors.ecc": Proof("ecc_off", *of("floors", {}, {"ecc": "on"}), OFF),
    "Floors.mig": Proof("mig_on", *of("floors", {}, {"mig": "off"}), OFF),
    "Exclusivity.mode": Proof(
        "foreign_process", *of("exclusivity", {"mode": "shared"}, {"mode": "exclusive"}), TWO
    ),
    "Exclusivity.max_owners": Proof(
        "foreign_process",
        *of(
            "exclusivity",
            {"mode": "shared", "max_owners": "3"},
            {"mode": "shared", "max_owners": "2"},
        ),
        view(owners=("a", "b", "c")),
    ),
    "Exclusivity.owners": Proof(
        "foreign_process",
        *of("exclusivity", {"owners": ["a"]}, {"owners": ["b"]}),
        view(owners=("a",)),
    ),
    "Resource.virtualization": Proof(
        "virtualization_mismatch", {"virtualization": "bare_metal"}, {"virtualization": "vgpu"}
    ),
}
"""By field; those that are judged over an hour are below."""

KEPT_BOUND = {"reading": "sm_clock_megahertz", "at_least": "1980", "at_most": "1980"}
BROKEN_BOUNDS: Mapping[str, dict[str, str]] = {
    "Bound.reading": {"reading": "temperature_gpu_celsius"},
    "Bound.at_least": {"at_least": "1981", "at_most": "1982"},
    "Bound.at_most": {"at_most": "1979", "at_least": "1"},
}
"""What breaks a bound that is kept, each by its one field."""


@pytest.mark.parametrize("name", PROOFS)
def test_a_check_answers_otherwise_once_the_value_is_another(name: str) -> None:
    proof = PROOFS[name]
    assert proof.code in READERS[name].words
    kept, broken = proof.verdicts(proof.code)
    assert kept in (Verdict.MET, None)
    assert broken is Verdict.BREACHED


def hour_of(bound: Mapping[str, str]) -> Verdict | None:
    """What was found of an hour in which a GPU ran at 1,980 MHz under load, and at 1,000 without."""
    written = ", ".join(f'{key}: "{value}"' for key, value in bound.items())
    log, node = standing(bounds=f"[{{{written}}}]", per_node=1), ScriptedNode(gpus=1)
    idle = {"utilization_gpu_percent": 10, "sm_clock_megahertz": 1000}
    for second in (0, 10, 3600):
        log.tick(second)
        log.report(node.report([second], {10: {node.devices[0]: idle}} if second == 10 else {}))
    found = log.open().get(("bound_broken", node.devices[0]))
    return None if found is None else found.verdict


def test_a_bound_is_kept_or_broken_by_each_of_its_terms() -> None:
    kept = KEPT_BOUND | {"while": "busy"}
    assert hour_of(kept) is None
    for change in BROKEN_BOUNDS.values():
        assert hour_of(kept | change) is Verdict.BREACHED
    assert hour_of(kept | {"while": "always"}) is Verdict.BREACHED
    assert hour_of(kept | {"while": "always", "for_share": "0.5"}) is None


def test_an_hour_of_throttling_is_judged_by_the_share_that_is_promised() -> None:
    series = HourSeries(samples=360, watched_us=3_600_000_000, throttled_us=360_000_000)

    def verdict(share: str) -> Verdict:
        terms = {"floors": {"throttling_share_max": share}}
        return answers(terms, view(), series={DEVICE: series})["throttled"].verdict

    assert (verdict("0.1"), verdict("0.09")) == (Verdict.MET, Verdict.BREACHED)


def test_every_promise_that_a_check_judges_is_proven_above() -> None:
    over_an_hour = {
        *BROKEN_BOUNDS,
        "Bound.while_",
        "Bound.for_share",
        "Floors.throttling_share_max",
    }
    assert of_kind("check").keys() == PROOFS.keys() | over_an_hour
    codes = {code for words in of_kind("check").values() for code in words}
    assert codes <= {check.code for check in CHECKS}


# What parts of the program act by.

ELSEWHERE: Mapping[str, str] = {
    "Contract.supersedes": "weighbridge/judge/assignments.py",
    "Contract.signatures": "weighbridge/contract/coherence.py",
    "Contract.confirmation": "weighbridge/notices/confirming.py",
    "Confirmation.silence_days": "weighbridge/notices/confirming.py",
    "Confirmation.day_count": "weighbridge/notices/confirming.py",
    "Resource.attestation": "collector/attestation/schedule.py",
    "FilledSlot.id": "weighbridge/handover/delivery.py",
    "FilledSlot.uuid": "weighbridge/handover/delivery.py",
    "FilledSlot.serial": "weighbridge/handover/delivery.py",
    "ChallengeTerms.mean_interval_s": "collector/challenges/schedule.py",
    "ChallengeTerms.unassessed_in_a_row": "weighbridge/settlement/proofs.py",
    "ChallengeTerms.unassessed": "weighbridge/settlement/proofs.py",
    "ChallengeTerms.group": "collector/challenges/schedule.py",
    "ChallengeTerms.subsets": "collector/challenges/schedule.py",
    "AttestationTerms.required": "collector/attestation/questions.py",
    "AttestationTerms.valid_s": "collector/attestation/schedule.py",
    "Exclusions.downtime_excluded": "weighbridge/contract/exclusions.py",
    "Performance.probe": "weighbridge/settlement/proofs.py",
    "Performance.quantile": "weighbridge/settlement/probes.py",
    "Performance.of_reference": "weighbridge/settlement/proofs.py",
    "Tiers.on_gap": "weighbridge/contract/coherence.py",
    "TierRow.at_or_below": "weighbridge/contract/money.py",
    "RoundShare.decimals": "weighbridge/settlement/credits.py",
    "RoundShare.mode": "weighbridge/settlement/credits.py",
    "LongerService.day_count": "weighbridge/settlement/damages.py",
    "LiquidatedDamages.base_amount": "weighbridge/settlement/damage_bases.py",
    "Limit.base_amount": "weighbridge/settlement/limits.py",
    "Stacking.base_amount": "weighbridge/settlement/stacking.py",
    "EvidenceTerms.retention_days": "collector/log/retaining.py",
    "EvidenceTerms.below_coverage": "weighbridge/settlement/coverage.py",
    "EvidenceTerms.agents": "weighbridge/audit/entities.py",
    "Contract.links": "weighbridge/audit/chain.py",
    "Links.parent": "weighbridge/audit/portfolio.py",
    "Links.children": "weighbridge/audit/portfolio.py",
    "Links.sublease_allowed": "weighbridge/audit/chain.py",
    "Links.related_party": "weighbridge/audit/chain.py",
    "Links.counter_purchases": "weighbridge/audit/chain.py",
    "CounterPurchase.seller": "weighbridge/audit/chain.py",
    "CounterPurchase.buyer": "weighbridge/audit/chain.py",
    "CounterPurchase.subject": "weighbridge/audit/chain.py",
    "CounterPurchase.amount": "weighbridge/audit/chain.py",
    "CounterPurchase.on": "weighbridge/audit/chain.py",
}
"""Where a term is read that no document of `everything` needs."""

LOADING = ("weighbridge.contract.coherence", "weighbridge.contract.loading")


@cache
def read_at_work() -> frozenset[str]:
    """The fields that are read while every kind of statement and handover document is made, and challenges are asked
    for: not those that loading looks at."""
    seen: set[str] = set()
    loading_now = [0]
    plain = Terms.__getattribute__

    def told(self: Terms, name: str) -> Any:
        if (
            not loading_now[0]
            and not name.startswith("_")
            and name in type(self).__pydantic_fields__
        ):
            reader = sys._getframe(1).f_globals.get("__name__", "")
            if reader.startswith(("weighbridge", "collector")) and reader not in LOADING:
                seen.add(f"{declared_by(type(self), name).__name__}.{name}")
        return plain(self, name)

    def aside(loads: Callable[..., Any]) -> Callable[..., Any]:
        def quietly(*given: Any) -> Any:
            loading_now[0] += 1
            try:
                found = loads(*given)
                return found if isinstance(found, Contract) else list(found)
            finally:
                loading_now[0] -= 1

        return quietly

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Terms, "__getattribute__", told, raising=False)
        patch.setattr(Contract, "model_validate", aside(Contract.model_validate))
        patch.setattr(loading, "incoherences", aside(incoherences))
        for make in (*everything.STATEMENTS.values(), *everything.DOCUMENTS.values()):
            make()
        everything.replayed()
        contract({"challenges": [{}]}).resources[0].challenge_policies()
    return frozenset(seen)


@cache
def attributes(module: str) -> frozenset[str]:
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    return frozenset(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))


@pytest.mark.parametrize("name", of_kind("part"))
def test_a_term_that_a_part_acts_by_is_read_by_it(name: str) -> None:
    if name in ELSEWHERE:
        assert name.partition(".")[2] in attributes(ELSEWHERE[name])
    else:
        assert name in read_at_work()


def test_no_term_is_said_to_be_read_elsewhere_that_is_read_here() -> None:
    assert ELSEWHERE.keys() <= of_kind("part").keys()
    assert not ELSEWHERE.keys() & read_at_work()


def test_what_only_describes_is_read_by_nobody_at_work_and_says_why() -> None:
    describing = of_kind("describes")
    assert describing.keys() & read_at_work() == set()
    assert all(reason for (reason,) in describing.values())
