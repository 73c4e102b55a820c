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
    sku,
    sku_by_pci,
    skus,
    xid,
    xids,
)

each_sku = pytest.mark.parametrize("row", skus().values(), ids=lambda row: row.key)


@each_sku
def test_every_card_is_found_by_its_key_and_by_each_of_its_pci_ids(row: Sku) -> None:
    assert sku(row.key) is row
    for device in row.pci_device_ids:
        assert sku_by_pci(device, None) is row
        for subsystem in row.pci_subsystem_ids:
            assert sku_by_pci(device, subsystem) is row


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
        ("RTX4090-24GB", 24564),
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
    assert set(codes) == set(range(1, 174))


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
    assert {row.fault for row in applications} == {Fault.LESSEE}


def test_an_unknown_xid_is_degraded_and_its_cause_open() -> None:
    row = xid(9999)
    assert (row.known, row.severity, row.fault, row.code) == (
        False,
        XidAction.DEGRADED,
        Fault.OPEN,
        9999,
    )
