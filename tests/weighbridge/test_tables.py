"""The tables of cards and XIDs: what they know, and that they say so when they do not."""

import re
import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from weighbridge.catalogue.tables import (
    MEBIBYTE,
    Fault,
    Sku,
    XidAction,
    of_board,
    severity_of,
    sku,
    sku_by_pci,
    skus,
    xid,
    xids,
)

each_sku = pytest.mark.parametrize("row", skus().values(), ids=lambda row: row.key)


@each_sku
def test_every_card_is_found_by_its_key_and_by_each_of_its_pci_ids_and_its_memory(row: Sku) -> None:
    assert sku(row.key) is row
    memory = None if row.memory_bytes is None else row.memory_bytes.low
    for device in row.pci_device_ids:
        assert sku_by_pci(device, None, memory) is row
        for subsystem in row.pci_subsystem_ids:
            assert sku_by_pci(device, subsystem, memory) is row


def test_no_two_cards_of_one_device_id_and_board_have_one_memory() -> None:
    for row in skus().values():
        for device in row.pci_device_ids:
            others = [one for one in of_board(device, None) if one is not row]
            assert all(_apart(row, one) for one in others)


def _apart(row: Sku, other: Sku) -> bool:
    assert row.memory_bytes is not None
    assert other.memory_bytes is not None
    return row.memory_bytes.high < other.memory_bytes.low or (
        other.memory_bytes.high < row.memory_bytes.low
    )


@pytest.mark.parametrize(
    ("mebibytes", "key"),
    [
        (24_072, None),
        (24_073, "RTX4090-24GB"),
        (24_810, "RTX4090-24GB"),
        (24_811, None),
        (48_156, None),
        (48_157, "RTX4090-48GB"),
        (49_140, "RTX4090-48GB"),
        (49_632, None),
    ],
)
def test_a_board_that_was_rebuilt_to_more_memory_is_another_card(
    mebibytes: int, key: str | None
) -> None:
    found = sku_by_pci("10de:2684", "1043:889d", mebibytes * MEBIBYTE)
    assert (None if found is None else found.key) == key


def test_a_device_id_of_several_cards_is_none_of_them_without_memory_or_subsystem() -> None:
    assert sku_by_pci("10de:2684", None) is None
    assert sku_by_pci("10de:2bb3", None) is None
    assert sku_by_pci("10de:2bb3", "17aa:227a") is sku("RTXPRO5000-72GB")


def test_memory_unmakes_no_card_that_has_a_device_id_of_its_own() -> None:
    assert sku_by_pci("10de:2330", "10de:16c1", 10 * 1024 * MEBIBYTE) is sku("H100-SXM-80GB")


@pytest.mark.parametrize(
    ("device", "subsystem", "key"),
    [
        ("2b85", "1458:416f", "RTX5090-32GB"),
        ("2b87", "1043:89e3", "RTX5090D-32GB"),
        ("2b8c", None, "RTX5090Dv2-24GB"),
        ("2bb5", "10de:204e", "RTXPRO6000-Server-96GB"),
        ("2bb5", "10de:220b", "RTXPRO6000-Server-96GB"),
        ("2bb1", "10de:204b", "RTXPRO6000-Workstation-96GB"),
        ("2bb4", "10de:204c", "RTXPRO6000-MaxQ-96GB"),
        ("26b1", "10de:16a1", "RTX6000Ada-48GB"),
        ("2230", "10de:1459", "RTXA6000-48GB"),
        ("2204", None, "RTX3090-24GB"),
        ("26b5", "10de:169d", "L40-48GB"),
        ("26ba", "10de:1957", "L20-48GB"),
        ("27b8", "10de:16ca", "L4-24GB"),
        ("27b6", "10de:1933", "L2-24GB"),
        ("2235", "10de:145a", "A40-48GB"),
        ("2236", "10de:1482", "A10-24GB"),
        ("20b7", "10de:1532", "A30-24GB"),
        ("1db1", "10de:1212", "V100-SXM2-16GB"),
        ("1eb8", "10de:12a2", "T4-16GB"),
        ("2941", "10de:2046", "GB200-186GB"),
        ("3182", "10de:20e6", "B300-SXM-270GB"),
        ("31c2", "10de:21f1", "GB300-279GB"),
        ("2237", "10de:152f", None),
        ("31c3", "10de:22f8", None),
    ],
)
def test_a_rented_card_is_known_by_its_ids_and_one_beside_it_is_not(
    device: str, subsystem: str | None, key: str | None
) -> None:
    found = sku_by_pci(f"10de:{device}", subsystem)
    assert (None if found is None else found.key) == key


@each_sku
def test_every_card_names_its_source_and_spells_its_ids_as_the_readings_do(row: Sku) -> None:
    assert row.source
    assert row.version >= 1
    for identity in (*row.pci_device_ids, *row.pci_subsystem_ids):
        assert re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", identity)


@each_sku
def test_every_key_of_a_row_in_the_file_is_one_that_is_read(row: Sku) -> None:
    text = files("weighbridge").joinpath("data", "skus.toml").read_text("utf-8")
    raw = next(item for item in tomllib.loads(text)["sku"] if item["key"] == row.key)
    assert {key for key in raw if key != "memory_mebibytes"} <= set(Sku.__slots__)


@pytest.mark.parametrize(
    ("key", "mebibytes"),
    [
        ("H100-SXM-80GB", 81559),
        ("H200-SXM-141GB", 143771),
        ("L40S-48GB", 46068),
        ("L40S-48GB", 49140),
        ("RTX4090-24GB", 24564),
        ("RTX4090D-48GB", 49140),
        ("RTX5090-32GB", 32607),
        ("RTX5090Dv2-24GB", 24455),
        ("RTXPRO6000-Server-96GB", 97887),
        ("RTXPRO5000-48GB", 48935),
        ("RTXPRO5000-72GB", 73415),
        ("RTX6000Ada-48GB", 46068),
        ("RTXA6000-48GB", 45634),
        ("RTX3090-24GB", 24268),
        ("A10-24GB", 22731),
        ("V100-SXM2-16GB", 16160),
        ("V100-PCIe-32GB", 32768),
        ("T4-16GB", 15109),
        ("T4-16GB", 16384),
        ("GB200-186GB", 189471),
        ("B300-SXM-270GB", 275040),
        ("GB300-279GB", 284208),
    ],
)
def test_a_total_that_was_captured_lies_in_its_window(key: str, mebibytes: int) -> None:
    row = sku(key)
    assert row is not None
    assert row.memory_bytes is not None
    assert mebibytes * MEBIBYTE in row.memory_bytes


def test_the_80_gb_card_does_not_pass_for_the_94_gb_card() -> None:
    small, large = sku("H100-SXM-80GB"), sku("H100-NVL-94GB")
    assert small is not None
    assert large is not None
    assert small.memory_bytes is not None
    assert large.memory_bytes is not None
    assert small.memory_bytes.high < large.memory_bytes.low


def test_an_unknown_card_is_unknown() -> None:
    assert sku("H900") is None
    assert sku_by_pci("10de:ffff", None) is None


def test_a_known_chip_on_a_foreign_board_is_unknown() -> None:
    assert sku_by_pci("10de:2330", "10de:1658") is None


def test_no_xid_stands_in_two_rows() -> None:
    text = files("weighbridge").joinpath("data", "xids.toml").read_text("utf-8")
    codes = Counter(code for row in tomllib.loads(text)["xid"] for code in row["codes"])
    assert [code for code, count in codes.items() if count > 1] == []
    assert set(codes) == set(range(1, 177))


@pytest.mark.parametrize(
    ("code", "severity", "fault"),
    [
        (79, XidAction.RESET, Fault.PROVIDER),
        (48, XidAction.RESET, Fault.PROVIDER),
        (31, XidAction.APPLICATION, Fault.LESSEE),
        (45, XidAction.IGNORE, Fault.NOBODY),
        (64, XidAction.HARDWARE, Fault.PROVIDER),
    ],
)
def test_a_known_xid_has_its_severity_and_fault(
    code: int, severity: XidAction, fault: Fault
) -> None:
    row = xid(code)
    assert (row.known, row.severity, row.fault) == (True, severity, fault)


def test_a_fall_off_the_bus_that_returns_is_a_hardware_fault() -> None:
    assert xid(79).escalated is XidAction.HARDWARE


def test_an_application_error_never_counts_against_the_provider_by_itself() -> None:
    applications = [row for row in xids().values() if row.severity is XidAction.APPLICATION]
    assert applications
    assert {row.fault for row in applications} == {Fault.LESSEE, Fault.OPEN}


@pytest.mark.parametrize(
    ("code", "said", "action", "repeated", "severity"),
    [
        (145, None, None, False, XidAction.DEGRADED),
        (145, None, None, True, XidAction.HARDWARE),
        (145, "nonfatal", None, True, XidAction.DEGRADED),
        (145, "fatal", None, False, XidAction.RESET),
        (94, "contained", None, False, XidAction.DEGRADED),
        (94, "uncontained", None, False, XidAction.RESET),
        (95, None, None, False, XidAction.RESET),
        (154, None, 0, True, XidAction.IGNORE),
        (154, None, 1, False, XidAction.RESET),
        (154, None, 3, False, XidAction.DEGRADED),
        (154, None, 99, False, XidAction.DEGRADED),
        (79, "fatal", 0, False, XidAction.RESET),
        (31, None, None, True, XidAction.APPLICATION),
        (9999, "fatal", None, True, XidAction.DEGRADED),
    ],
)
def test_what_the_text_says_outranks_the_code_where_the_table_lists_it(
    code: int, said: str | None, action: int | None, repeated: bool, severity: XidAction
) -> None:
    assert severity_of(code, said, action, repeated=repeated) is severity


def test_an_unknown_xid_is_degraded_and_its_cause_open() -> None:
    row = xid(9999)
    assert (row.known, row.severity, row.fault, row.code) == (
        False,
        XidAction.DEGRADED,
        Fault.OPEN,
        9999,
    )
