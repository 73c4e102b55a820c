"""A driver that lies: readings that each are possible and together are not, and the honest cards that look alike.

What is found is a hint: unknown, of level E1, and it moves no money.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode, contract_text
from weighbridge.judge.ledger import State

GPU, OTHER = "GPU-n1-0", "GPU-n1-1"
HOUR = 3600
LIMITS: dict[str, int | str] = {
    "sm_clock_max_megahertz": 1980,
    "memory_clock_max_megahertz": 2619,
    "power_limit_default_milliwatts": 700_000,
    "power_limit_max_milliwatts": 700_000,
    "memory_bus_width_bits": 5120,
    "cuda_compute_capability": "9.0",
    "board_part_number": "692-2G520-0200-000",
    "board_number": 1,
}
Shown = Callable[[int, int], dict[str, int | str]]
"""Readings of a GPU at a second."""


def standing(**changes: Any) -> Log:
    log = Log()
    log.tick(0)
    log.contract(contract_text(**changes))
    log.assign("n1")
    log.introduce()
    return log


def noise(gpu: int, second: int) -> int:
    """Up to 20 W, of no pattern."""
    return (second * 7919 + gpu * 104_729) * 2_654_435_761 % 20_011


def working(gpu: int, second: int) -> dict[str, int | str]:
    """An H100 under load."""
    return {
        "power_draw_milliwatts": 640_000 + noise(gpu, second),
        "energy_millijoules": 90_000_000_000 + second * 650_000,
        "utilization_gpu_percent": 99,
        "temperature_gpu_celsius": 61,
        "sm_clock_megahertz": 1980,
    }


def idling(_: int, second: int) -> dict[str, int | str]:
    """One in persistence mode: nothing about it moves for minutes."""
    return {
        "power_draw_milliwatts": 69_800,
        "energy_millijoules": 90_000_000_000 + second * 69_800,
        "utilization_gpu_percent": 0,
        "temperature_gpu_celsius": 31,
        "sm_clock_megahertz": 1980,
    }


def told(
    shown: Shown,
    *,
    processes: Any = (),
    until: int = HOUR,
    other: Any = MappingProxyType({}),
    slow: Any = None,
    **identity: Any,
) -> Log:
    """What a contract's log holds of a node that shows this for an hour and a minute. `other`: the second GPU's own;
    `slow`: readings of the slow tier."""
    log = standing()
    own = LIMITS | identity
    node = ScriptedNode(identity={GPU: own, OTHER: own | other})
    for first in range(0, until + 60, 60):
        seconds = range(first, first + 60, 10)
        changes = {
            second: {uuid: shown(gpu, second) for gpu, uuid in enumerate((GPU, OTHER))}
            for second in seconds
        }
        once = (
            None
            if slow is None
            else {uuid: slow(gpu, first) for gpu, uuid in enumerate((GPU, OTHER))}
        )
        log.tick(first + 50)
        log.report(node.report(seconds, changes, once, processes=list(processes)))
    return log


def found(log: Log) -> dict[str, list[str]]:
    """Which codes are open, and of which GPUs."""
    codes: dict[str, list[str]] = {}
    for code, device in sorted(log.open()):
        codes.setdefault(code, []).append(device)
    return codes


def only_a_hint(log: Log, code: str, *devices: str) -> bool:
    """Nothing else is found, nobody is accused, and every second counts as it did."""
    odd = [log.open()[code, device] for device in devices]
    return (
        found(log) == {code: list(devices)}
        and {(one.verdict, one.level, one.answerable) for one in odd} == {("unknown", "E1", "open")}
        and {row.state for row in log.rows()} == {State.UP}
    )


@pytest.mark.parametrize(
    "field",
    [
        {"name": "NVIDIA L40S"},
        {"board_part_number": "900-2G133-0080-000"},
        {"cuda_compute_capability": "8.9"},
        {"memory_bus_width_bits": 384},
        {"power_limit_default_milliwatts": 350_000},
        {"power_limit_max_milliwatts": 350_000},
        {"sm_clock_max_megahertz": 2520},
        {"memory_clock_max_megahertz": 9001},
    ],
    ids=lambda field: next(iter(field)),
)
def test_an_h100_that_is_another_card_in_one_field_is_found(field: dict[str, int | str]) -> None:
    log = told(working, until=60, **field)
    assert only_a_hint(log, "card_inconsistent", GPU, OTHER)
    assert log.open()["card_inconsistent", GPU].observed == "; ".join(
        f"{name} {value}" for name, value in field.items()
    )


def test_more_memory_than_any_card_of_its_device_id_has_is_found_and_breaches_nothing() -> None:
    log = told(working, until=60, memory_total_bytes=141 << 30)
    odd = {code: log.open()[code, GPU] for code in ("card_inconsistent", "sku_mismatch")}
    assert found(log).keys() == odd.keys()
    assert {one.verdict for one in odd.values()} == {"unknown"}
    assert odd["card_inconsistent"].observed == f"memory_total_bytes {141 << 30}"
    assert odd["sku_mismatch"].observed == f"H100-SXM-80GB with {141 << 30} bytes"
    assert {row.state for row in log.rows()} == {State.UP}


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ({"pci_device_id": "10de:26b9", "pci_subsystem_id": "10de:1851"}, "sku_mismatch"),
        ({"gpu_cores": 18176}, "sku_mismatch"),
        ({"memory_total_bytes": 46_068 << 20}, "memory_short"),
    ],
)
def test_what_other_checks_compare_with_the_promise_breaches_it(
    field: dict[str, int | str], code: str
) -> None:
    assert (code, GPU) in told(working, until=60, **field).open()


@pytest.mark.parametrize(
    "field",
    [
        {"name": "H100 80GB HBM3"},
        {"name": "an engineering sample"},
        {"memory_bus_width_bits": 4992},
        {"power_limit_max_milliwatts": 750_000},
        {"sm_clock_max_megahertz": 1755},
        {"mig_mode_code": 0, "memory_total_bytes": 80_000 << 20},
        {"pci_subsystem_id": "1028:ffff", "name": "NVIDIA L40S"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_an_old_driver_another_board_and_a_channel_that_is_off_are_the_same_card(
    field: dict[str, int | str],
) -> None:
    assert "card_inconsistent" not in found(told(working, until=60, **field))


def test_a_share_of_a_card_has_a_name_and_limits_of_its_own() -> None:
    share = {"virtualization_mode_code": 2, "name": "NVIDIA L40S", "memory_bus_width_bits": 384}
    assert "card_inconsistent" not in found(told(working, until=60, **share))


@pytest.mark.parametrize("shared", [{"serial": "1654923013472"}, {"pdi": "0xa1b2"}])
def test_two_gpus_with_one_serial_or_chip_are_found(shared: dict[str, str]) -> None:
    assert only_a_hint(told(working, until=60, **shared), "identity_shared", GPU, OTHER)


@pytest.mark.parametrize(
    "shared",
    [
        {"serial": "0000000000000"},
        {"serial": "1654923013472", "pci_device_id": "10de:25b6", "pci_subsystem_id": "10de:14a9"},
    ],
    ids=["no serial", "a board of several GPUs"],
)
def test_a_board_of_several_gpus_and_one_without_a_serial_are_no_twins(
    shared: dict[str, str],
) -> None:
    assert "identity_shared" not in found(told(working, until=60, **shared))


def test_one_serial_of_two_boards_is_found_also_of_cards_that_no_table_knows() -> None:
    unknown = {"pci_device_id": "10de:25b6", "pci_subsystem_id": "10de:14a9"}
    log = told(working, until=60, other={"board_number": 2}, serial="1654923013472", **unknown)
    assert found(log)["identity_shared"] == [GPU, OTHER]


def frozen(gpu: int, second: int) -> dict[str, int | str]:
    return working(gpu, second) | {"power_draw_milliwatts": 650_000 + gpu}


def test_readings_that_never_move_under_load_are_found() -> None:
    assert only_a_hint(told(frozen), "readings_constant", GPU, OTHER)


@pytest.mark.parametrize("shown", [idling, working], ids=["persistence mode", "under load"])
def test_a_card_that_idles_without_a_motion_and_one_that_works_are_not_named(shown: Shown) -> None:
    assert found(told(shown)) == {}


def test_slices_whose_use_nobody_reads_are_not_named_for_a_power_that_stands() -> None:
    """With MIG the driver gives no utilization."""

    def sliced(gpu: int, second: int) -> dict[str, int | str]:
        return frozen(gpu, second) | {"utilization_gpu_percent": "not_supported"}

    assert found(told(sliced)) == {}


def test_a_hung_sensor_of_power_alone_is_no_constant_series() -> None:
    def warmer(gpu: int, second: int) -> dict[str, int | str]:
        return frozen(gpu, second) | {"temperature_gpu_celsius": 55 + second // 100 % 9}

    assert found(told(warmer)) == {}


def test_two_gpus_with_one_series_are_found() -> None:
    def same(_: int, second: int) -> dict[str, int | str]:
        return working(0, second)

    assert only_a_hint(told(same), "readings_copied", GPU, OTHER)


def test_two_idle_gpus_that_read_alike_are_no_copies() -> None:
    assert found(told(lambda _, second: idling(0, second))) == {}


def backwards(gpu: int, second: int) -> dict[str, int | str]:
    fallen = {"energy_millijoules": 80_000_000_000 + second * 650_000} if second > 1800 else {}
    return working(gpu, second) | fallen


@pytest.mark.parametrize("unknown", ["energy_millijoules", "power_draw_milliwatts"])
def test_a_driver_that_says_0_of_what_it_does_not_know_is_not_found(unknown: str) -> None:
    assert found(told(lambda gpu, second: working(gpu, second) | {unknown: 0})) == {}


def test_energy_that_runs_backwards_within_a_boot_is_found() -> None:
    log = told(backwards)
    assert only_a_hint(log, "energy_implausible", GPU, OTHER)
    assert "fell 1 times" in log.open()["energy_implausible", GPU].observed


def test_a_driver_that_was_loaded_anew_counts_from_nothing_and_is_not_named() -> None:
    def reset(gpu: int, second: int) -> dict[str, int | str]:
        anew = {"energy_millijoules": (second - 1800) * 650_000} if second > 1800 else {}
        return working(gpu, second) | anew

    assert found(told(reset)) == {}


@pytest.mark.parametrize("milliwatts", [0, 70_000, 2_000_000])
def test_energy_that_does_not_fit_power_and_time_is_found(milliwatts: int) -> None:
    def unfit(gpu: int, second: int) -> dict[str, int | str]:
        energy = 90_000_000_000 + second * milliwatts
        return working(gpu, second) | {"energy_millijoules": energy}

    log = told(unfit)
    assert only_a_hint(log, "energy_implausible", GPU, OTHER)
    assert f"{milliwatts} mW by energy" in log.open()["energy_implausible", GPU].observed


@pytest.mark.parametrize("period", [7, 13, 23, 47])
def test_bursts_that_the_samples_miss_fit_their_energy(period: int) -> None:
    """The driver's power is a mean of a second: a load in steps is sampled out of phase, and no hour misses all."""

    def bursts(gpu: int, second: int) -> dict[str, int | str]:
        on = second % period < period // 3
        power = 640_000 if on else 120_000
        whole, rest = divmod(second, period)
        busy = whole * (period // 3) + min(rest, period // 3)
        return working(gpu, second) | {
            "power_draw_milliwatts": power + noise(gpu, second),
            "energy_millijoules": 90_000_000_000 + busy * 650_000 + (second - busy) * 130_000,
            "utilization_gpu_percent": 100 if on else 0,
        }

    assert found(told(bursts)) == {}


@pytest.mark.parametrize("field", [{"sm_clock_megahertz": 2500}, {"memory_clock_megahertz": 9001}])
def test_clocks_beyond_the_cards_own_maximum_are_found(field: dict[str, int]) -> None:
    log = told(lambda gpu, second: working(gpu, second) | field)
    assert only_a_hint(log, "readings_beyond_maximum", GPU, OTHER)


def test_power_beyond_the_cards_own_maximum_is_found() -> None:
    def hot(gpu: int, second: int) -> dict[str, int | str]:
        return working(gpu, second) | {
            "power_draw_milliwatts": 1_200_000 + noise(gpu, second),
            "energy_millijoules": 90_000_000_000 + second * 1_210_000,
        }

    assert only_a_hint(told(hot), "readings_beyond_maximum", GPU, OTHER)


def test_peaks_above_a_limit_and_a_slip_of_the_driver_are_not_named() -> None:
    def peaks(gpu: int, second: int) -> dict[str, int | str]:
        slip = {"sm_clock_megahertz": 65_535} if second % 110 == 0 else {"sm_clock_megahertz": 2010}
        peak = {"power_draw_milliwatts": 780_000 + noise(gpu, second)} if second % 30 == 0 else {}
        return working(gpu, second) | slip | peak

    assert found(told(peaks)) == {}


def waits(gpu: int, second: int) -> dict[str, int | str]:
    return idling(gpu, second) | {
        "utilization_gpu_percent": 99,
        "temperature_gpu_celsius": 31 + second % 3,
    }


def loud(gpu: int, second: int) -> dict[str, int | str]:
    return working(gpu, second) | {"utilization_gpu_percent": 0}


@pytest.mark.parametrize("shown", [waits, loud])
def test_power_that_fits_no_use_is_found(shown: Shown) -> None:
    def noisy(gpu: int, second: int) -> dict[str, int | str]:
        told = shown(gpu, second)
        return told | {
            "power_draw_milliwatts": int(told["power_draw_milliwatts"]) + noise(gpu, second) // 4
        }

    log = told(noisy)
    assert only_a_hint(log, "readings_discordant", GPU, OTHER)
    assert "power that fits no use in 360 of 360" in log.open()["readings_discordant", GPU].observed


@pytest.mark.parametrize(
    ("percent", "milliwatts", "found_"),
    [
        (99, 120_000, True),
        (98, 120_000, False),
        (99, 120_001, False),
        (0, 350_001, True),
        (0, 350_000, False),
        (1, 350_001, False),
    ],
)
def test_use_and_power_are_weighed_at_the_edges_of_the_cards_own_figures(
    percent: int, milliwatts: int, found_: bool
) -> None:
    """Idle power ends at 120 W in the table, and half of the card's limit is 350 W."""

    def at(_: int, second: int) -> dict[str, int | str]:
        return {
            "power_draw_milliwatts": milliwatts,
            "utilization_gpu_percent": percent,
            "temperature_gpu_celsius": 31 + second % 3,
            "energy_millijoules": 90_000_000_000 + second * milliwatts // 1000 * 1000,
        }

    assert ("readings_discordant" in found(told(at))) is found_


@pytest.mark.parametrize(("samples", "found_"), [(180, True), (179, False)])
def test_power_that_fits_no_use_is_found_from_half_an_hour_on(samples: int, found_: bool) -> None:
    def part(gpu: int, second: int) -> dict[str, int | str]:
        return (loud if second < 10 * samples else working)(gpu, second)

    assert ("readings_discordant" in found(told(part))) is found_


def by_turns(rest_s: int, warm: bool) -> Shown:
    """At rest for so long, and then at work."""

    def shown(gpu: int, second: int) -> dict[str, int | str]:
        rests = second % HOUR < rest_s
        power = 69_800 if rests else 640_000
        energy = 69_800 * min(second, rest_s) + 640_000 * max(0, second - rest_s)
        return {
            "power_draw_milliwatts": power + noise(gpu, second) // 10,
            "energy_millijoules": 90_000_000_000 + energy,
            "utilization_gpu_percent": 0 if rests else 99,
            "temperature_gpu_celsius": 35 if rests or not warm else 61,
            "sm_clock_megahertz": 1980,
        }

    return shown


def test_heat_that_stands_while_power_doubles_for_minutes_is_found() -> None:
    log = told(by_turns(300, warm=False))
    assert only_a_hint(log, "readings_discordant", GPU, OTHER)
    assert "heat that stands" in log.open()["readings_discordant", GPU].observed


@pytest.mark.parametrize(
    "shown",
    [by_turns(290, warm=False), by_turns(HOUR - 290, warm=False)],
    ids=["29 samples at rest", "29 samples at work"],
)
def test_heat_that_stands_for_less_than_five_minutes_is_that_of_a_slow_sensor(shown: Shown) -> None:
    assert found(told(shown)) == {}


def test_heat_that_follows_once_and_heat_that_nobody_reads_are_not_named() -> None:
    def unread(gpu: int, second: int) -> dict[str, int | str]:
        return by_turns(300, warm=False)(gpu, second) | {"temperature_gpu_celsius": "not_supported"}

    def warmer(gpu: int, second: int) -> dict[str, int | str]:
        told = by_turns(300, warm=True)(gpu, second)
        return told | ({"temperature_gpu_celsius": 48} if 300 <= second < 320 else {})

    assert (found(told(warmer)), found(told(unread))) == ({}, {})


LIFE = "remapped_correctable_rows"
CLEARED = "ecc_total_corrected_aggregate_count"
HELD = "clocks_event_sw_power_cap_microseconds"
ENERGY = "energy_millijoules"


def falls(name: str, at: int = 1800, to: int = 3) -> Shown:
    """A counter that stands at 7, and at so much from then on."""
    return lambda _, second: {name: 7 if second < at else to}


def counted(slow: Shown, shown: Shown = working, **identity: Any) -> Log:
    return told(shown, slow=slow, **identity)


@pytest.mark.parametrize("name", [LIFE, CLEARED, "retired_uncorrected_pages"])
def test_a_counter_that_a_card_keeps_for_life_and_that_falls_is_found(name: str) -> None:
    log = counted(falls(name))
    assert only_a_hint(log, "counters_backwards", GPU, OTHER)
    assert log.open()["counters_backwards", GPU].observed == f"{name} fell 1 times"


def with_counter(name: str, at: int = 1800, shown: Shown = working) -> Shown:
    """Fast readings with a counter that begins anew at a second."""
    return lambda gpu, second: shown(gpu, second) | {name: (second % at) * 1000 + 1}


@pytest.mark.parametrize("name", [HELD, "pcie_replay_count"])
def test_a_counter_that_falls_while_the_driver_stays_loaded_is_found(name: str) -> None:
    shown = with_counter(name)
    log = counted(falls(LIFE, to=7), shown, persistence_mode_code=1)
    assert only_a_hint(log, "counters_backwards", GPU, OTHER)


@pytest.mark.parametrize("mode", [0, "not told"])
def test_a_driver_that_lets_a_card_go_which_nobody_uses_counts_anew(mode: int | str) -> None:
    kept = {} if mode == "not told" else {"persistence_mode_code": mode}
    assert found(counted(falls(LIFE, to=7), with_counter(HELD), **kept)) == {}


def test_counters_that_begin_anew_together_are_a_driver_that_was_loaded_anew() -> None:
    def anew(gpu: int, second: int) -> dict[str, int | str]:
        energy = second * 650_000 if second < 1800 else (second - 1800) * 650_000
        return with_counter(HELD)(gpu, second) | {ENERGY: energy}

    assert found(counted(falls(LIFE, to=7), anew, persistence_mode_code=1)) == {}


@pytest.mark.parametrize("to", [7, 8])
def test_a_counter_that_stands_or_rises_is_not_named(to: int) -> None:
    assert found(counted(falls(LIFE, to=to))) == {}


def test_a_counter_that_is_not_told_for_a_while_is_not_named() -> None:
    def away(_: int, second: int) -> dict[str, int | str]:
        return {LIFE: "timeout" if 600 <= second < 1200 else 7}

    assert found(counted(away)) == {}


def full(gpu: int, second: int) -> dict[str, int | str]:
    return idling(gpu, second) | {"memory_used_bytes": 80_000 << 20}


def holding(device: str) -> dict[str, Any]:
    return {
        "boottime_us": 1000 * SECOND,
        "class": "container",
        "device": device,
        "memory_bytes": 80_000 << 20,
        "owner": "a" * 16,
    }


def test_full_memory_that_nobody_holds_on_an_idle_card_is_found() -> None:
    assert only_a_hint(told(full), "memory_unaccounted", GPU, OTHER)


def test_full_memory_that_a_process_holds_or_that_works_is_not_named() -> None:
    held = told(full, processes=[holding(GPU), holding(OTHER)])
    works = told(lambda gpu, second: working(gpu, second) | {"memory_used_bytes": 80_000 << 20})
    assert (found(held), found(works)) == ({}, {})


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (frozen, "readings_constant"),
        (full, "memory_unaccounted"),
    ],
)
def test_a_hint_lasts_for_as_long_as_the_hours_show_it(shown: Shown, code: str) -> None:
    """It is of an hour that is over, and ends with the first that shows nothing of it."""
    log = told(
        lambda gpu, second: (shown if second < HOUR else working)(gpu, second), until=2 * HOUR
    )
    opened, closed = (one for one in log.findings(code) if one.device == GPU)
    assert opened.since_us == START_US + HOUR * SECOND
    assert closed.until_us == START_US + 2 * HOUR * SECOND
