"""What people look at first on a device: some readings in words and units; the rest is the catalogue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.documents.words import Language
from collector.web.page_words import name, say
from collector.web.quantities import quantity
from weighbridge.catalogue.findings import reason_said
from weighbridge.catalogue.readings import READING
from weighbridge.catalogue.spoken import limiters, recovery_action

Values = Mapping[str, int | str]

GLANCE: tuple[tuple[str, str], ...] = (
    ("power_draw_milliwatts", "power_limit_enforced_milliwatts"),
    ("utilization_gpu_percent", ""),
    ("memory_used_bytes", "memory_total_bytes"),
    ("temperature_gpu_celsius", "temperature_slowdown_celsius"),
    ("temperature_memory_celsius", "temperature_memory_max_celsius"),
    ("sm_clock_megahertz", "sm_clock_max_megahertz"),
    ("memory_clock_megahertz", "memory_clock_max_megahertz"),
    ("clocks_event_reasons_flags", ""),
    ("recovery_action_code", ""),
    ("ecc_mode_code", ""),
    ("ecc_total_uncorrected_volatile_count", ""),
    ("ecc_total_corrected_volatile_count", ""),
    ("remapped_uncorrectable_rows", ""),
    ("remap_failure_code", ""),
    ("pcie_link_generation", "pcie_link_max_generation"),
    ("pcie_link_width_lanes", "pcie_link_width_max_lanes"),
    ("nvlink_active_links", "nvlink_links"),
    ("energy_millijoules", ""),
    ("fan_speed_percent", ""),
    ("serial", ""),
    ("pci_bus_id", ""),
    ("vbios_version", ""),
)
"""Each reading with the one that it is told against: its limit, or all that there is."""

BRIEF = GLANCE[:4]
"""What a list of devices says of each."""

SWITCHES = frozenset({"ecc_mode_code"})
QUESTIONS = frozenset({"remap_failure_code"})


@dataclass(frozen=True, slots=True)
class GlanceLine:
    """`value` as people write it, or empty with the `reason` why there is none."""

    reading: str
    title: str
    value: str
    reason: str


def glance(
    readings: Values,
    unavailable: Mapping[str, str],
    language: Language,
    chosen: tuple[tuple[str, str], ...] = GLANCE,
) -> Iterator[GlanceLine]:
    """Of those that a device speaks of."""
    for reading, against in chosen:
        title = say(f"reading.{reading}", language)
        if reading in readings:
            told = written(reading, readings[reading], language)
            if against in readings:
                told = say("of_most", language, told, written(against, readings[against], language))
            yield GlanceLine(reading, title, told, "")
        elif reading in unavailable:
            yield GlanceLine(reading, title, "", reason(unavailable[reading], language))


def written(reading: str, value: int | str, language: Language) -> str:
    """A value in words or in the unit that people use; of a reading of another version as it is."""
    if isinstance(value, str):
        return value
    if reading == "clocks_event_reasons_flags":
        return ", ".join(name("limiter", one, language) for one in limiters(value).split(", "))
    if reading == "recovery_action_code":
        return name("recovery", recovery_action(value), language)
    if reading in SWITCHES:
        return say("switched_on" if value else "switched_off", language)
    if reading in QUESTIONS:
        return say("answer_yes" if value else "answer_no", language)
    return quantity(value, READING[reading].unit if reading in READING else "")


def reason(code: str, language: Language) -> str:
    """Why there is no value, in words."""
    said = reason_said(code)
    if said is not None:
        return said.en if language == "en" else said.zh
    return name("reason", code, language)
