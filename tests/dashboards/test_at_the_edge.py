"""Exactly at the edge of Grafana's 24 columns, and one beside it; and a line as high as its highest panel."""

import json

import pytest

from dashboards import panels
from dashboards.panels import Look, Page, Placed, Query


def number(width: int) -> Placed:
    """Four high."""
    return panels.number("n", [Query("up")], "", Look("none"), width)


def graph(width: int) -> Placed:
    """Eight high."""
    return panels.graph("g", [Query("up")], "", Look("none"), width)


def places(*placed: Placed) -> list[tuple[int, int]]:
    """Left and top of each panel."""
    shown = json.loads(panels.dashboard(Page("u", "t", ""), [], placed, {}, ""))["panels"]
    return [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown]


@pytest.mark.parametrize(("width", "second"), [(11, (12, 0)), (12, (12, 0)), (13, (0, 8))])
def test_a_panel_that_fits_exactly_stays_on_its_line(width: int, second: tuple[int, int]) -> None:
    assert places(graph(12), graph(width)) == [(0, 0), second]


@pytest.mark.parametrize("line", [(graph(12), number(12)), (number(12), graph(12)), (graph(24),)])
def test_a_line_is_as_high_as_the_highest_panel_on_it(line: tuple[Placed, ...]) -> None:
    assert places(*line, number(6))[-1] == (0, 8)
    assert places(number(24), *line, number(6))[-1] == (0, 12)
