"""Plots of readings: what was not seen is not drawn, and what is drawn is what was read."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from collector.web.glance import reason
from collector.web.page_words import say
from collector.web.plots import COLUMNS, HEIGHT, WIDTH, Band, Plot, Point, Series, plot
from collector.web.quantities import quantity
from collector.web.shell import environment

HOUR_US = 3_600_000_000
START_US = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000


def points(*values: int | None, reason: str = "gpu_is_lost") -> list[Point]:
    """One an hour."""
    return [
        Point(START_US + hour * HOUR_US, value, value, reason if value is None else "")
        for hour, value in enumerate(values)
    ]


def drawn(
    seen: Sequence[Point],
    unit: str = "milliwatts",
    hours: int | None = None,
    joined_us: int = HOUR_US,
    zone: str = "UTC",
) -> Plot:
    end_us = START_US + (len(seen) if hours is None else hours) * HOUR_US
    return plot([Series("power", seen, joined_us)], START_US, end_us, zone, unit)


def places(path: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]  # type: ignore[misc]


def test_a_line_lies_where_its_values_do() -> None:
    made = drawn(points(0, 500_000, 1_000_000, 0))
    (line,) = made.lines
    assert made.unit == "W"
    assert [tick.label for tick in made.across] == ["0", "200", "400", "600", "800", "1,000"]
    assert [tick.place for tick in made.across][::5] == [HEIGHT, 0]
    assert places(line.paths[0]) == [(0, 100), (250, 50), (500, 0), (750, 100)]
    assert (line.least, line.most) == ("0 W", "1,000 W")
    assert made.gaps == []


def test_two_points_are_joined_up_to_the_longest_distance_and_no_further() -> None:
    apart = [Point(START_US, 5, 5), Point(START_US + HOUR_US, 5, 5)]
    assert len(drawn(apart, joined_us=HOUR_US).lines[0].paths) == 1
    made = drawn(apart, joined_us=HOUR_US - 1)
    assert len(made.lines[0].paths) == 2, "two dots"
    assert [(gap.x, gap.width) for gap in made.gaps] == [(0, 500), (500, 500)]


def test_where_nothing_was_seen_is_a_gap_and_says_why() -> None:
    made = drawn(points(5, None, 5, 5))
    assert len(made.lines[0].paths) == 2
    (gap,) = made.gaps
    assert (gap.x, gap.width, list(gap.reasons)) == (0, 500, ["gpu_is_lost"])
    assert gap.title == "2026-11-01 00:00:00 – 2026-11-01 02:00:00"


def test_what_another_line_saw_is_no_gap() -> None:
    both = [Series("one", points(1, 1), HOUR_US), Series("two", points(None, 1), HOUR_US)]
    assert plot(both, START_US, START_US + 2 * HOUR_US, "UTC", "count").gaps == []


def test_a_window_of_which_nothing_is_known_is_empty_with_its_reason() -> None:
    made = drawn(points(None, None, reason="no_permission"))
    assert made.empty
    assert [list(gap.reasons) for gap in made.gaps] == [["no_permission"]]
    assert drawn([], hours=3).empty


def test_what_is_outside_the_window_is_not_drawn() -> None:
    made = drawn(points(1, 2, 3, 4), hours=2, unit="count")
    assert made.lines[0].most == "2"


def test_many_points_are_drawn_as_least_and_most_and_none_is_lost() -> None:
    second = HOUR_US // 3600
    seen = [Point(START_US + n * second, n % 100, n % 100) for n in range(3600)]
    seen[1801] = Point(seen[1801].at_us, 9_999, 9_999)
    made = drawn(seen, "count", hours=1, joined_us=10 * second)
    (line,) = made.lines
    assert len(line.paths) == 1
    assert len(places(line.paths[0])) <= 2 * COLUMNS
    assert (line.least, line.most) == ("0", "9,999")
    assert min(y for _, y in places(line.paths[0])) == pytest.approx(0.01)


def test_a_range_is_an_area_between_least_and_most() -> None:
    made = drawn([Point(START_US, 0, 100), Point(START_US + HOUR_US, 50, 100)], "percent")
    assert places(made.lines[0].paths[0]) == [(0, 0), (500, 0), (500, 50), (0, 100)]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 10, 11, 999, 10**6, 10**12])
@pytest.mark.parametrize("unit", ["count", "bytes", "milliwatts", "celsius", "percent"])
def test_an_axis_has_few_marks_and_all_values_between_them(most: int, unit: str) -> None:
    made = drawn(points(0, most), unit)
    assert 2 <= len(made.across) <= 6
    assert all(0 <= y <= HEIGHT for _, y in places(made.lines[0].paths[0]))
    labels = [tick.label for tick in made.across]
    assert len(set(labels)) == len(labels)


def test_what_is_below_nothing_lies_below_it() -> None:
    made = drawn(points(-20, 60), "celsius")
    assert [tick.label for tick in made.across] == ["-20", "0", "20", "40", "60"]


def test_a_share_is_drawn_against_all_of_it() -> None:
    assert drawn(points(3), "percent").across[-1].label == "100"
    assert drawn(points(300), "permyriad").across[-1].label == "100"


def along(start: datetime, hours: int, zone: str) -> list[str]:
    start_us = int(start.timestamp()) * 1_000_000
    made = plot([], start_us, start_us + hours * HOUR_US, zone, "count")
    assert [tick.place for tick in made.along] == sorted(tick.place for tick in made.along)
    assert all(0 <= tick.place <= WIDTH for tick in made.along)
    return [tick.label for tick in made.along]


def test_marks_of_time_are_full_hours_and_dates_of_the_zone() -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert along(noon, 24, "UTC") == ["12:00", "18:00", "11-02", "06:00"]
    assert along(noon, 24, "Asia/Shanghai") == ["11-02", "06:00", "12:00", "18:00"]
    assert along(noon, 24, "Asia/Kolkata") == ["18:00", "11-02", "06:00", "12:00"]
    assert along(datetime(2026, 11, 1, tzinfo=UTC), 720, "UTC") == [
        "11-02",
        "11-09",
        "11-16",
        "11-23",
        "11-30",
    ]


def test_the_hour_that_a_clock_leaps_over_has_no_mark() -> None:
    before = datetime(2026, 3, 29, 0, tzinfo=UTC)
    assert along(before, 3, "Europe/Berlin") == [
        "01:00",
        "01:30",
        "03:00",
        "03:30",
        "04:00",
        "04:30",
    ]


def test_a_band_is_cut_to_the_window_and_one_outside_is_not_drawn() -> None:
    bands = [
        Band(START_US - HOUR_US, START_US + HOUR_US, "down", "outage"),
        Band(START_US + 9 * HOUR_US, START_US + 10 * HOUR_US, "maintenance", "later"),
    ]
    made = plot([], START_US, START_US + 2 * HOUR_US, "UTC", "count", bands)
    assert [(one.kind, one.x, one.width) for one in made.bands] == [("down", 0, 500)]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (3, "milliwatts", "0.003 W"),
        (699_500, "milliwatts", "699.5 W"),
        (80 * 2**30, "bytes", "80 GiB"),
        (4 * 2**20, "bytes", "4 MiB"),
        (1980, "megahertz", "1,980 MHz"),
        (9_950, "permyriad", "99.5 %"),
        (1_500, "microseconds", "1.5 ms"),
        (3_600_000_000, "millijoules", "1 kWh"),
        (0, "bytes", "0 B"),
        (-3, "celsius", "-3 °C"),
        (3, "", "3"),
        (7, "of_another_version", "7"),
    ],
)
def test_a_value_is_written_in_the_unit_that_people_use(value: int, unit: str, said: str) -> None:
    assert quantity(value, unit) == said


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name == "style" or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_plot_tells_a_reader_who_does_not_see_it_what_it_shows(language: str) -> None:
    template = environment().from_string(
        '{% from "plots.html" import plot with context %}{{ plot("<Power>", drawn) }}'
    )
    reader = Texts()
    reader.feed(template.render(drawn=drawn(points(5_000, None, 9_000)), language=language))
    text = " ".join(reader.words)
    assert {"svg", "title", "desc", "path", "rect"} <= set(reader.tags)
    assert say("plot_line", language, "power", "5 W", "9 W") in text  # type: ignore[arg-type]
    why = reason("gpu_is_lost", language)  # type: ignore[arg-type]
    assert why in text
    assert "line0 open" in template.render(drawn=drawn(points(5, 6)), language=language)
    reader = Texts()
    reader.feed(template.render(drawn=drawn(points(None)), language=language))
    assert "svg" not in reader.tags
    assert why in " ".join(reader.words)
