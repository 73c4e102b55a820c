"""What a window counts: every instant once, and what nobody saw as unknown."""

from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.catalogue.tables import sku
from weighbridge.handover.meter import SHOWN, Band, Limit, LoadMeter, band_of, under_load

EDGE = 40
IDLE_TOP = Band(120_000, 120_000)
HALF = Band(None, 200_000)
NOBODY_KNOWS = Band()
pairs = st.lists(
    st.tuples(st.integers(0, EDGE - 1), st.integers(1, EDGE)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=12,
)
LIMIT = Limit("sm_clock_megahertz", Fraction(1500), inclusive=True)


def instants(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {instant for start, end in spans for instant in range(start, end)}


def values(
    power: int | None, percent: int | None, clock: int | None = 1980
) -> dict[str, int | None]:
    told = dict.fromkeys(SHOWN, None)
    return {
        **told,
        "power_draw_milliwatts": power,
        "utilization_gpu_percent": percent,
        "sm_clock_megahertz": clock,
    }


@given(pairs)
def test_an_instant_is_covered_once_in_whichever_order_its_samples_come(
    spans: list[tuple[int, int]],
) -> None:
    meter, seen = LoadMeter(), set[int]()
    for start, end in spans:
        fresh = instants([(start, end)]) - seen
        assert meter.cover_us(start, end) == len(fresh)
        seen |= fresh
    assert instants(meter.covered) == seen
    assert meter.covered == sorted(meter.covered)
    assert all(
        left[1] < right[0] for left, right in zip(meter.covered, meter.covered[1:], strict=False)
    )


samples = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.one_of(st.none(), st.integers(60_000, 700_000)),
        st.one_of(st.none(), st.integers(0, 100)),
    ),
    max_size=20,
)


def metered(told: Iterable[tuple[int, int | None, int | None]]) -> LoadMeter:
    meter, now = LoadMeter(), 0
    for length, power, percent in told:
        meter.add(now, now + length, values(power, percent), IDLE_TOP, [LIMIT])
        now += length
    return meter


@given(samples)
def test_load_its_absence_and_the_unknown_make_up_the_time(
    told: list[tuple[int, int | None, int | None]],
) -> None:
    meter = metered(told)
    expected = {True: 0, False: 0, None: 0}
    for length, power, percent in told:
        expected[under_load(power, percent, IDLE_TOP)] += length
    assert (meter.loaded_us, meter.idle_us) == (expected[True], expected[False])
    assert sum(end - start for start, end in meter.covered) == sum(expected.values())


@given(samples)
def test_a_mean_is_weighted_by_time_and_exact(
    told: list[tuple[int, int | None, int | None]],
) -> None:
    known = [(length, power) for length, power, _ in told if power is not None]
    stat = metered(told).stats.get("power_draw_milliwatts")
    if not known:
        assert stat is None
        return
    assert stat is not None
    spread = [power for length, power in known for _ in range(length)]
    assert stat.mean == Fraction(sum(spread), len(spread))
    assert (stat.least, stat.most) == (min(spread), max(spread))


@given(samples, st.integers(0, 8))
def test_a_sample_in_two_pieces_counts_as_in_one(
    told: list[tuple[int, int | None, int | None]], cut: int
) -> None:
    pieces = [
        (part, power, percent)
        for length, power, percent in told
        for part in ((min(cut, length), length - min(cut, length)) if cut else (length,))
        if part
    ]
    assert metered(pieces) == metered(told)


@pytest.mark.parametrize(
    ("power", "percent", "band", "loaded"),
    [
        (600_000, 95, IDLE_TOP, True),
        (120_001, 50, IDLE_TOP, True),
        (120_000, 95, IDLE_TOP, False),
        (600_000, 49, IDLE_TOP, False),
        (None, 95, IDLE_TOP, None),
        (600_000, None, IDLE_TOP, None),
        (600_000, 95, NOBODY_KNOWS, None),
        (200_001, 95, HALF, True),
        (200_000, 95, HALF, None),
        (600_000, 10, HALF, False),
        (None, 0, NOBODY_KNOWS, False),
        (0, None, IDLE_TOP, False),
        (None, None, IDLE_TOP, None),
    ],
)
def test_load_needs_power_and_utilization_and_one_of_them_denies_it(
    power: int | None, percent: int | None, band: Band, loaded: bool | None
) -> None:
    assert under_load(power, percent, band) is loaded


def test_energy_is_what_a_counter_rose_by_and_a_counter_that_fell_says_nothing() -> None:
    meter = LoadMeter()
    for before, after in ((10, 25), (None, 40), (50, None), (90, 5), (5, 5)):
        meter.add_energy(before, after, 10)
    assert (meter.energy_millijoules, meter.energy_us) == (15, 20)


def test_a_card_works_above_its_idle_band_or_above_half_of_what_it_is_made_for() -> None:
    assert band_of(sku("H100-SXM-80GB"), 1) == Band(120_000, 120_000)
    assert band_of(sku("A100-SXM4-80GB"), 1) == Band(None, 200_000)
    assert band_of(sku("H20-SXM-96GB"), 500_000) == Band(None, 250_000)
    assert band_of(sku("H20-SXM-96GB"), None) == Band()
    assert band_of(None, 0) == Band(None, 0)
