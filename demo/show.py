"""What the demonstration prints: events as they come, a table of the contracts, and the summary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.documents.spelling import percent
from demo.verdicts import Outcome

Json = Mapping[str, Any]
STYLES = {"met": "green", "breached": "bold red", "unknown": "yellow"}


class Screen:
    """Prints to one console; `elapsed` gives the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, elapsed: float, word: str, what: str, style: str = "") -> None:
        """One event."""
        line = Text(f"{elapsed:6.1f} s  ")
        line.append(f"{word:<8}", style=style).append(f"  {what}")
        self._console.print(line, soft_wrap=True)

    def note(self, what: str) -> None:
        """Something that is no event."""
        self._console.print(Text(what), soft_wrap=True)

    def table(self, elapsed: float, rows: Iterable[Json]) -> None:
        """How every contract stands."""
        self._console.print(
            contracts(f"after {elapsed:.0f} s, with the unit that stands worst", rows)
        )

    def summary(self, outcomes: Sequence[Outcome], honest: Sequence[Json]) -> None:
        """Every fault, and whether it was found."""
        table = Table(title="planted and found", title_justify="left", show_lines=False)
        for heading in ("fault", "planted", "found as"):
            table.add_column(heading, overflow="fold")
        for outcome in outcomes:
            table.add_row(outcome.fault.name, outcome.fault.told, _found(outcome))
        self._console.print(table)
        for finding in honest:
            self._console.print(Text(f"AGAINST THE HONEST CONTRACT: {told(finding)}", style="red"))


def contracts(title: str, rows: Iterable[Json]) -> Table:
    """Delivered against contracted."""
    table = Table(title=title, title_justify="left")
    table.add_column("contract")
    for count in ("contracted", "reporting", "healthy", "in use"):
        table.add_column(count, justify="right")
    for bound in ("at least", "at most"):
        table.add_column(bound, justify="right")
    table.add_column("verdict")
    for row in rows:
        counts = [
            str(row["gpus"][name]) for name in ("contracted", "reporting", "healthy", "in_use")
        ]
        verdict = Text(row["verdict"], style=STYLES[row["verdict"]])
        table.add_row(row["contract"], *counts, *_bounds(row["objectives"]), verdict)
    return table


def _bounds(objectives: Sequence[Json]) -> list[str]:
    """Of the unit that stands worst: with all that nobody saw counted against the provider, and for them."""
    if not objectives:
        return ["", ""]
    return [percent(objectives[0][end]) for end in ("low", "high")]


def _found(outcome: Outcome) -> Text:
    text = Text()
    if outcome.fault.scenario and outcome.planted is None:
        text.append("it was never planted\n", style="bold red")
    for expected, finding in zip(outcome.fault.expected, outcome.found, strict=True):
        if finding is None:
            text.append(f"NOT FOUND: {expected.code}\n", style="bold red")
        else:
            text.append(f"{expected.code}", style="green").append(f": {finding['observed']}\n")
    text.rstrip()
    return text


def told(finding: Json) -> str:
    """A finding in one line."""
    subject = " ".join(
        part for part in (finding["contract"], finding["node"], finding["gpu"]) if part
    )
    expected, observed = finding["expected"], finding["observed"]
    return f"{finding['code']} on {subject}: expected {expected}, observed {observed}"
