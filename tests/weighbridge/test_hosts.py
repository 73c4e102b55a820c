"""What the cards sit in, the driver, and the network between nodes: against what was promised."""

import json
from typing import Any

import pytest

from tests.weighbridge.judged import Value, answers, view
from tests.weighbridge.scripted import ScriptedNode
from tests.weighbridge.test_judge import standing
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Reason

GIB = 1 << 30


def host(terms: dict[str, str], told: dict[str, Value]) -> Any:
    (found,) = (
        answer
        for code, answer in answers({"host": terms}, view(host=told)).items()
        if code in ("cpu_mismatch", "host_memory_short", "nvme_short")
    )
    return found


@pytest.mark.parametrize(
    ("promised", "shown", "verdict"),
    [
        ("AMD EPYC 9654", "AMD EPYC 9654 96-Core Processor", "met"),
        ("Xeon Platinum 8480+", "Intel(R) Xeon(R) Platinum 8480+", "met"),
        ("Intel Xeon E5-2680 v4", "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "met"),
        ("AMD EPYC 9654", "AMD EPYC 9454 48-Core Processor", "breached"),
        ("Xeon Platinum 8480+", "Intel(R) Xeon(R) Platinum 8480", "breached"),
        ("NVIDIA Grace", "0xd4f", "unknown"),
        ("AMD EPYC 9654", "unknown", "unknown"),
    ],
)
def test_a_processor_is_known_by_every_word_of_its_name(
    promised: str, shown: str, verdict: str
) -> None:
    found = host({"cpu": promised}, {"cpu_model": shown})
    assert (found.device, found.verdict, found.observed) == ("", verdict, shown)


def test_a_hypervisor_names_the_processor_of_its_guests_as_it_likes() -> None:
    told: dict[str, Value] = {"cpu_model": "Intel Xeon Processor (SapphireRapids)"}
    terms = {"cpu": "Xeon Platinum 8480+"}
    assert host(terms, told | {"hypervisor_code": 1}).verdict is Verdict.UNKNOWN
    assert host(terms, told | {"hypervisor_code": 0}).verdict is Verdict.BREACHED


@pytest.mark.parametrize(
    ("promised", "shown", "verdict"),
    [
        (100 * GIB, 95 * GIB, "met"),
        (100 * GIB, 95 * GIB - 1, "breached"),
        (2048 * GIB, 31 * 64 * GIB * 984 // 1000, "breached"),
        (2048 * GIB, 2048 * GIB * 980 // 1000, "met"),
        (1850 * GIB, 1_909_409_116 * 1024, "met"),
    ],
)
def test_memory_may_lack_what_firmware_and_kernel_keep_and_no_module(
    promised: int, shown: int, verdict: str
) -> None:
    assert host({"memory_bytes": str(promised)}, {"memory_total_bytes": shown}).verdict == verdict


@pytest.mark.parametrize(("bytes_", "verdict"), [(1000, "met"), (999, "breached")])
def test_storage_is_what_was_promised(bytes_: int, verdict: str) -> None:
    assert host({"nvme_bytes": "1000"}, {"nvme_bytes": bytes_}).verdict == verdict


@pytest.mark.parametrize("terms", [{"cpu": "EPYC"}, {"memory_bytes": "1"}, {"nvme_bytes": "1"}])
def test_what_a_host_does_not_tell_is_unknown(terms: dict[str, str]) -> None:
    assert host(terms, {}).observed == "not_reported"
    names = {"cpu": "cpu_model", "memory_bytes": "memory_total_bytes", "nvme_bytes": "nvme_bytes"}
    (name,) = (names[one] for one in terms)
    found = host(terms, {name: Reason.NO_PERMISSION})
    assert (found.verdict, found.observed) == (Verdict.UNKNOWN, "no_permission")


@pytest.mark.parametrize(
    ("terms", "shown", "verdict"),
    [
        ({"driver_at_least": "580"}, "580.95.05", "met"),
        ({"driver_at_least": "580.95.05"}, "580.95.05", "met"),
        ({"driver_at_least": "580.95.06"}, "580.95.05", "breached"),
        ({"driver_at_least": "580.100"}, "580.95.05", "breached"),
        ({"driver_below": "580.95.05"}, "580.95.05", "breached"),
        ({"driver_below": "580.95.06"}, "580.95.05", "met"),
        ({"driver_at_least": "535", "driver_below": "580"}, "570.1", "met"),
        ({"driver_at_least": "535", "driver_below": "580"}, "580.0", "breached"),
        ({"driver_at_least": "R580"}, "580.95.05", "unknown"),
        ({"driver_below": "600"}, "developer build", "unknown"),
    ],
)
def test_a_driver_is_compared_number_by_number(
    terms: dict[str, str], shown: str, verdict: str
) -> None:
    found = answers({"host": terms}, view(driver={"driver_version": shown}))
    assert found["driver_not_allowed"].verdict == verdict


def test_a_driver_whose_library_does_not_answer_is_known_by_its_module() -> None:
    told: dict[str, Value] = {
        "driver_version": Reason.DRIVER_NOT_LOADED,
        "kernel_module_version": "470.1",
    }
    terms = {"host": {"driver_at_least": "535"}}
    assert answers(terms, view(driver=told))["driver_not_allowed"].verdict is Verdict.BREACHED
    del told["kernel_module_version"]
    found = answers(terms, view(driver=told))["driver_not_allowed"]
    assert (found.verdict, found.observed) == (Verdict.UNKNOWN, "driver_not_loaded")


def rdma(port: str = "mlx5_0", /, **other: Value) -> dict[str, Value]:
    told: dict[str, Value] = {
        "state_code": 4,
        "physical_state_code": 5,
        "rate_gigabits": 400,
        "generation": "4X NDR",
        "link_layer": "InfiniBand",
        "link_downed_count": 0,
    }
    return {f"infiniband.{port}.1.{key}": value for key, value in (told | other).items()}


def ethernet(name: str = "eth0", **other: Value) -> dict[str, Value]:
    told: dict[str, Value] = {"operational_state_code": 6, "rate_gigabits": 100}
    return {f"ethernet.{name}.{key}": value for key, value in (told | other).items()}


def joined(terms: dict[str, str], *ports: dict[str, Value]) -> Any:
    told: dict[str, Value] = {"rdma_ports_count": 9, "ethernet_ports_count": 9}
    for port in ports:
        told |= port
    return answers({"interconnect": terms}, view(ports=told)).get("fabric_ports_down")


TWO = {"fabric": "infiniband", "ports": "2", "port_gigabits": "400"}


@pytest.mark.parametrize(
    ("second", "verdict", "observed"),
    [
        (rdma("mlx5_1"), "met", "2 ports"),
        (rdma("mlx5_1", state_code=1), "breached", "1 ports; mlx5_1.1 down"),
        (rdma("mlx5_1", state_code=4, physical_state_code=2), "breached", "1 ports; mlx5_1.1 down"),
        (rdma("mlx5_1", rate_gigabits=399), "breached", "1 ports; mlx5_1.1 at 399 Gbit/s"),
        (rdma("mlx5_1", rate_gigabits=200, generation="4X HDR"), "breached", "1 ports; mlx5_1.1 at 200 Gbit/s"),
        (rdma("mlx5_1", rate_gigabits=10, generation="4X SDR"), "unknown", "not_reported"),
        (rdma("mlx5_1", rate_gigabits=Reason.ERROR), "unknown", "not_reported"),
        (rdma("mlx5_1", state_code=Reason.NO_PERMISSION), "unknown", "not_reported"),
        (rdma("mlx5_1", link_layer="Ethernet"), "breached", "1 ports"),
        (ethernet(), "breached", "1 ports"),
    ],
)  # fmt: skip
def test_ports_of_the_promised_kind_and_rate_are_counted(
    second: dict[str, Value], verdict: str, observed: str
) -> None:
    found = joined(TWO, rdma(), second)
    assert (found.verdict, found.observed) == (verdict, observed)


def test_each_kind_of_network_has_ports_of_its_own() -> None:
    roce = rdma(link_layer="Ethernet")
    assert joined({"fabric": "roce"}, roce).verdict is Verdict.MET
    assert joined({"fabric": "roce"}, rdma()).verdict is Verdict.BREACHED
    assert joined({"fabric": "ethernet"}, ethernet()).verdict is Verdict.MET
    assert joined({"fabric": "ethernet"}, roce).verdict is Verdict.BREACHED
    assert joined({"ports": "1"}, roce).verdict is Verdict.MET
    assert joined({"ports": "1"}, ethernet()).verdict is Verdict.MET
    gone = ethernet(operational_state_code=0)
    assert joined({"fabric": "ethernet"}, gone).verdict is Verdict.UNKNOWN
    assert joined({"nvlink_links": "18"}, roce) is None


def test_ports_of_an_older_agent_or_that_nobody_may_read_are_unknown() -> None:
    told = rdma()
    del told["infiniband.mlx5_0.1.link_layer"]
    found = answers({"interconnect": {"fabric": "infiniband"}}, view(ports=told))
    assert found["fabric_ports_down"].verdict is Verdict.UNKNOWN
    unread: dict[str, Value] = {"rdma_ports_count": Reason.NO_PERMISSION}
    found = answers({"interconnect": TWO}, view(ports=unread))
    assert found["fabric_ports_down"].observed == "no_permission"
    found = answers({"interconnect": TWO}, view())
    assert found["fabric_ports_down"].observed == "not_reported"


def test_ports_are_judged_as_reports_tell_of_them_and_what_falls_is_counted_by_the_hour() -> None:
    log, node = (
        standing(more=f"    interconnect: {json.dumps(TWO | {'ports': '1'})}\n"),
        ScriptedNode(),
    )
    told: dict[int, dict[str, Value]] = {
        0: {},
        10: {"state_code": 1},
        20: {},
        3600: {},
        3610: {"link_downed_count": 3},
        7200: {"link_downed_count": 3},
        10800: {"link_downed_count": 3},
    }
    for second, port in told.items():
        log.tick(second)
        facts = rdma("mlx5_0", **port) | {"rdma_ports_count": 1}
        log.report(node.report([second], host={"readings": facts, "unavailable": {}}))
    downs = log.findings("fabric_ports_down")
    assert [one.until_us is not None for one in downs] == [False, True]
    assert {row.cause for row in log.rows() if row.state == "degraded"} == {"fabric_ports_down"}
    fell, over = log.findings("fabric_port_flapped")
    assert (fell.observed, fell.severity) == ("mlx5_0.1 3 times", "warning")
    assert over.until_us == fell.since_us + 3_600_000_000


@pytest.mark.parametrize(
    ("accelerator", "shown", "verdict", "observed"),
    [
        ({}, {}, "met", "H100-SXM-80GB"),
        ({"vendor": "nvidia"}, {}, "met", "H100-SXM-80GB"),
        ({"vendor": "AMD"}, {}, "breached", "H100-SXM-80GB"),
        ({"vendor": "Somebody"}, {}, "unknown", "10de:2330"),
        ({"compute_capability": "9.0"}, {"cuda_compute_capability": "9.0"}, "met", "H100-SXM-80GB"),
        ({"compute_capability": "9.0"}, {"cuda_compute_capability": "8.0"}, "breached", "8.0"),
        ({"compute_capability": "9.0"}, {}, "unknown", "not_reported"),
        ({"sku": "unheard of", "compute_capability": "9.0"}, {"cuda_compute_capability": "8.0"}, "breached", "8.0"),
    ],
)  # fmt: skip
def test_the_maker_and_the_compute_capability_are_part_of_the_card(
    accelerator: dict[str, str], shown: dict[str, Value], verdict: str, observed: str
) -> None:
    terms = {"accelerator": {"sku": "H100-SXM-80GB"} | accelerator}
    found = answers(terms, view(shown))["sku_mismatch"]
    assert (found.verdict, found.observed) == (verdict, observed)
