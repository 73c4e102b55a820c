"""`status`: what is delivered against what was contracted, of which instant that is, and what to do.

It imports little, so that it answers at once.
"""

import io
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.cli.asking import Server, asks
from collector.client import CollectorError, UnreachableError
from collector.documents.alike import GPUS_NAMED, alike
from collector.documents.spelling import percent, span, utc
from weighbridge.process.terminal import watch
from weighbridge.verdict import EXIT_CODES, Verdict, worst

Json = dict[str, Any]
STYLES = {
    "met": "bold green",
    "breached": "bold red",
    "unknown": "bold yellow",
    "error": "red",
    "warning": "yellow",
    "info": "dim",
}
PAGE = 1000
WHOLE = frozenset({"", "severity", "finding"})
"""Columns that are not broken over lines."""

OLD_US = 15_000_000
"""A picture that is further behind the log's newest tick is old: six of the slowest ticks."""

EVERY_S = 2.0
STATUS_PATH = "/v1/status"


@click.command()
@click.argument("contract_id", required=False)
@click.option("--watch", "watching", is_flag=True, help="Draw it anew every two seconds, until ^C.")
@asks
def status(contract_id: str | None, watching: bool, server: Server) -> None:
    """Delivered against contracted, of CONTRACT_ID or of all, with what is found and of which instant it is.

    Exit codes: 0 all met, 3 something breached, 4 nothing breached but something unknown, as is all of which the
    picture is old. --watch ends with 0.
    """
    if watching:
        watch(Watched(server, contract_id).picture, EVERY_S)
        return
    picture = Picture(server, contract_id)
    picture.print(Console())
    sys.exit(EXIT_CODES[picture.verdict])


class Picture:
    """What a collector shows now. Raises CollectorError."""

    def __init__(self, server: Server, contract_id: str | None) -> None:
        self._of = freshness(server)
        one = contract_id
        below = "/status?limit=1"
        self._rows = (
            list(contracts_of(server)) if one is None else [contract_of(server, one, below)]
        )
        names = [row["contract"] for row in self._rows]
        self._found = {name: list(_findings(server, name)) for name in names}

    @property
    def verdict(self) -> Verdict:
        """Of now: an old picture does not show that a promise is kept."""
        verdicts = [Verdict(row["verdict"]) for row in self._rows]
        old = [Verdict.UNKNOWN] if verdicts and is_old(self._of) else []
        return worst([*verdicts, *old], empty=Verdict.MET)

    def print(self, console: Console) -> None:
        for said, style in _dated(self._of):
            console.print(Text(said, style))
        console.print(_summary(self._rows))
        if any(row["objectives"] for row in self._rows):
            console.print(_availability(self._rows))
        for name, found in self._found.items():
            if found:
                console.print(_found(name, found))
                console.print(_next(found))


class Watched:
    """The newest picture that came, and since when none does."""

    def __init__(self, server: Server, contract_id: str | None) -> None:
        self._server, self._contract_id = server, contract_id
        self._picture: Picture | None = None
        self._seen_s = time.monotonic()

    def picture(self) -> str:
        """Raises CollectorError for what a later look would not mend either."""
        said = ""
        try:
            if not self._server.serves:
                raise UnreachableError(ALONE)
            self._picture, self._seen_s = Picture(self._server, self._contract_id), time.monotonic()
        except (UnreachableError, OSError) as error:
            passed = span(int((time.monotonic() - self._seen_s) * 1_000_000))
            said = f"NO ANSWER for {passed}: {error}"
        out = io.StringIO()
        console = Console(file=out, force_terminal=sys.stdout.isatty())
        if said:
            console.print(Text(said, STYLES["breached"]))
        if self._picture is not None:
            self._picture.print(console)
        return out.getvalue()


ALONE = "no collector serves this store: nothing comes in"


def freshness(server: Server) -> Json:
    """What the collector says of the instant that it shows; where none runs, or an older one, that nobody says."""
    if not server.serves:
        return {"stopped": ALONE}
    try:
        told: Json = server.ask("GET", STATUS_PATH)
    except UnreachableError:
        raise
    except CollectorError as error:
        return {"remarks": [f"of which instant this is nobody says: {error}"]}
    return told


def is_old(of: Json) -> bool:
    """Whether what is shown is behind the log. Of a store that nobody serves all that it holds is shown."""
    behind = of.get("newest_us", 0) - of.get("judged_us", 0) > OLD_US
    return behind or ("judged_us" in of and of["stopped"] is not None)


def _dated(of: Json) -> Iterator[tuple[str, str]]:
    """Of which instant the picture is, and how old, in lines with their styles."""
    if "judged_us" in of:
        age = of["newest_us"] - of["judged_us"]
        old = f"OLD, {span(age)} behind the collector's clock: " if is_old(of) else ""
        yield f"{old}as of {utc(of['judged_us'])} UTC", STYLES["breached" if old else "info"]
    if of.get("stopped") is not None:
        yield f"STOPPED: {of['stopped']}", STYLES["breached"]
    for remark in of.get("remarks", ()):
        yield remark, STYLES["warning"]


def contract_of(server: Server, contract_id: str, below: str = "") -> Json:
    """What the collector says of one contract."""
    answer: Json = server.ask("GET", f"/v1/contracts/{quote(contract_id, safe='')}{below}")
    return answer


def contracts_of(server: Server) -> Iterator[Json]:
    return every(server, "/v1/contracts")


def _findings(server: Server, name: str) -> Iterator[Json]:
    return every(server, f"/v1/contracts/{quote(name, safe='')}/findings")


def every(server: Server, path: str) -> Iterator[Json]:
    """The items of all pages of a list."""
    query: Json = {"limit": PAGE}
    while True:
        answer = server.ask("GET", f"{path}?{urlencode(query)}")
        yield from answer["items"]
        if answer["after"] is None:
            return
        query["after"] = answer["after"]


def table(*columns: str, title: str | None = None) -> Table:
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    return made


def _summary(rows: list[Json]) -> Table:
    counts = ("contracted", "reporting", "healthy", "in use")
    made = table("", "contract", *counts, "findings")
    for row in rows:
        gpus = row["gpus"]
        whole = gpus["contracted"]
        cells = [_count(gpus[state], whole) for state in ("reporting", "healthy")]
        made.add_row(
            Text(row["verdict"].upper(), STYLES[row["verdict"]]),
            Text(row["contract"]),
            Text(str(whole)),
            *cells,
            Text(str(gpus["in_use"])),
            _severities(row["findings"]),
        )
    return made


def _count(number: int, whole: int) -> Text:
    return Text(str(number), "green" if number >= whole else "bold red")


def _severities(counted: Json) -> Text:
    parts = [Text(f"{count} {word}", STYLES[word]) for word, count in counted.items() if count]
    return Text(", ").join(parts) if parts else Text("none", "green")


def _availability(rows: list[Json]) -> Table:
    made = table("", "contract", "objective", "promised", "at least", "at most")
    for row in rows:
        for goal in row["objectives"]:
            shares = (percent(goal[name]) for name in ("target", "low", "high"))
            verdict = Text(goal["verdict"].upper(), STYLES[goal["verdict"]])
            made.add_row(verdict, *map(Text, (row["contract"], goal["objective"], *shares)))
    return made


def _worst_first(found: list[Json]) -> list[Json]:
    order = list(STYLES)
    return sorted(found, key=lambda row: (order.index(row["severity"]), row["since_us"]))


def _next(found: list[Json]) -> Table:
    """What to do, once for each code: a collector of another version may not say it."""
    made = table("finding", "means", "what to do, in order")
    told = {(row["code"], row["verdict"]): row for row in _worst_first(found) if row.get("steps")}
    for row in told.values():
        steps = (f"{number}. {step['en']}" for number, step in enumerate(row["steps"], start=1))
        made.add_row(*map(Text, (row["code"], row["means"]["en"], "\n".join(steps))))
    return made


def _found(name: str, found: list[Json]) -> Table:
    """Each finding in lines of its own: a UUID and what was observed want the width.

    What is the same of several GPUs of a node is said once.
    """
    made = table("severity", "what is found", title=name)
    for rows in alike(_worst_first(found)):
        severity = rows[0]["severity"]
        made.add_row(Text(severity, STYLES[severity]), Text("\n".join(_told(rows))))
    return made


def _told(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is found, where and since when first, what was promised and what is seen."""
    row, gpus = rows[0], [one["gpu"] for one in rows if one["gpu"]]
    where = " ".join(part for part in (row["node"], row["gpu"]) if part) or "the contract"
    reason = row.get("reason")
    yield f"{row['code']}, since {utc(row['since_us'])}"
    if len(gpus) < 2:
        yield f"  at {where}"
    else:
        yield f"  at {len(gpus)} GPUs of {row['node']}"
        yield from (f"    {uuid}" for uuid in gpus[:GPUS_NAMED])
        if len(gpus) > GPUS_NAMED:
            yield f"    and {len(gpus) - GPUS_NAMED} more"
    yield f"  expected {row['expected']}"
    yield f"  observed {row['observed']}" + ("" if reason is None else f": {reason['en']}")
