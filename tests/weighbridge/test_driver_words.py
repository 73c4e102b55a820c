"""Why NVML counts no GPUs is said in words, and codes of the driver have their names."""

import pytest

from weighbridge.catalogue.readings import UNREADABLE_GPU
from weighbridge.catalogue.spoken import (
    LIMITERS,
    RECOVERY_ACTIONS,
    limiters,
    recovery_action,
    spoken,
)
from weighbridge.wire.driver_words import COUNTED, driver_line, uncounted, uncounted_in_words
from weighbridge.wire.report import Facts, Reason


def without(reason: Reason, **readings: int | str) -> Facts:
    """A driver that counted no GPUs."""
    return Facts(readings=dict(readings), unavailable={COUNTED: reason})


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_of_its_own(reason: Reason) -> None:
    words = uncounted_in_words(without(reason))
    assert words is not None
    assert "_" not in words
    others = {uncounted_in_words(without(other)) for other in Reason if other is not reason}
    assert words not in others
    assert driver_line(without(reason)) == f"NVML: {words}"


@pytest.mark.parametrize(
    ("readings", "tail"),
    [
        ({}, "versions"),
        ({"kernel_module_version": "575.57.08"}, "versions (kernel module 575.57.08)"),
        (
            {
                "nvml_library_path": "/usr/lib/libnvidia-ml.so.580.95.05",
                "kernel_module_version": "575.57.08",
            },
            "versions (library 580.95.05, kernel module 575.57.08)",
        ),
        ({"nvml_library_path": "/usr/lib/libnvidia-ml.so.1"}, "versions"),
    ],
)
def test_versions_that_differ_are_named_as_far_as_they_are_known(
    readings: dict[str, str], tail: str
) -> None:
    words = uncounted_in_words(without(Reason.VERSIONS_DIFFER, **readings))
    assert words is not None
    assert words.endswith(tail)


@pytest.mark.parametrize(
    ("readings", "line"),
    [
        ({}, "NVML was not asked yet"),
        ({COUNTED: 0, "driver_version": "580.95.05"}, "0 GPUs, driver 580.95.05"),
        ({COUNTED: 8}, "8 GPUs, driver of unknown version"),
    ],
)
def test_a_driver_that_counts_says_how_many(readings: dict[str, int | str], line: str) -> None:
    driver = Facts(readings=readings, unavailable={})
    assert (uncounted(driver), uncounted_in_words(driver)) == (None, None)
    assert driver_line(driver) == line


def test_gpus_that_do_not_say_who_they_are_are_told_of_with_their_reasons() -> None:
    driver = Facts(
        readings={COUNTED: 8, "driver_version": "470.256.02", "gpus_unreadable_count": 3},
        unavailable={
            f"{UNREADABLE_GPU}2": Reason.GPU_IS_LOST,
            f"{UNREADABLE_GPU}5": Reason.NO_PERMISSION,
            f"{UNREADABLE_GPU}7": Reason.GPU_IS_LOST,
        },
    )
    line = driver_line(driver)
    assert line.startswith(
        "8 GPUs, driver 470.256.02; 3 cannot be read: the GPU fell off the bus; "
    )
    assert line.count(";") == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (0, "none"),
        (0x1, "idle"),
        (0x44, "sw_power_cap, hw_thermal"),
        (0x600, "board_limit, reliability"),
        (0x800, "bit 0x800"),
        (0x8000_0000_0004, "sw_power_cap, bit 0x800000000000"),
    ],
)
def test_what_holds_clocks_down_is_named_and_an_unknown_bit_has_its_value(
    flags: int, words: str
) -> None:
    assert limiters(flags) == words
    assert len(LIMITERS) == 11


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "none"),
        (5, "recover_imex_domain"),
        (6, "bus_reset"),
        (7, "system_reboot"),
        (8, "action 8"),
        (-1, "action -1"),
    ],
)
def test_a_recovery_action_is_named_and_an_unknown_one_has_its_number(
    code: int, words: str
) -> None:
    assert recovery_action(code) == words
    assert len(RECOVERY_ACTIONS) == 8


def test_a_page_shows_the_number_and_its_name() -> None:
    assert spoken("recovery_action_code", 7) == "7 (system reboot)"
    assert spoken("clocks_event_reasons_flags", 0x404) == "1028 (sw power cap, reliability)"
    assert spoken("power_draw_milliwatts", 7) == "7"
    assert spoken("name", "NVIDIA H200") == "NVIDIA H200"
