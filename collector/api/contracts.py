"""The JSON of contracts, nodes, findings, timelines and GPUs; metrics; service discovery. Read from the live fleet.

A viewer sees the contracts that are theirs, and of a node only what is assigned to those contracts: anything else is as
if it were not there.
"""

import asyncio
import heapq
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.api.administration import parse
from collector.api.bodies import read_body
from collector.api.exposition import CONTENT_TYPE, Exposition
from collector.api.routes import Access, ListPage, Route, page, page_of, whole_number
from collector.judging.follower import LogFollower
from collector.judging.live import Fleet, LiveFleet
from collector.log.commits import CommitBatch, overloaded
from collector.storage.store import FindingPage, Ledger
from weighbridge.contract import Contract, ContractError, load
from weighbridge.judge.assignments import AssignmentError
from weighbridge.judge.ledger import Finding, Row
from weighbridge.log.entries import ContractAdded, EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Model, Text, encode

DAY_US = 86_400_000_000
MAX_CONTRACT_BYTES = 256 * 1024
HISTORY_PLACE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15}){2}|[0-9]{1,15}")


class ContractAddition:
    """The plan that enters a contract or its next version, checked against what is in force then.

    Its outcome is the entry's index, and from when the contract is judged: no earlier than the tick before it.
    """

    closes = True

    def __init__(self, added: ContractAdded, fleet: LiveFleet, judging: LogFollower) -> None:
        self.size_bytes = len(encode(added))
        self._added = added
        self._fleet = fleet
        self._judging = judging

    def enter(self, batch: CommitBatch) -> tuple[int, int]:
        """Raises Problem: what is not judged yet may be a contract that this one contradicts."""
        if self._judging.behind:
            raise overloaded("judgement is behind the log, and contracts are checked against it")
        try:
            self._fleet.check_contract(self._added)
        except (ContractError, AssignmentError) as error:
            raise Problem("conflict", str(error)) from error
        from_us = max(self._added.from_us, batch.tick_us)
        added = self._added.model_copy(update={"from_us": from_us})
        return batch.add_record(EntryKind.CONTRACT, added), from_us


class ContractWithdrawal:
    """The plan that takes a contract out which was added by mistake. Its outcome is the entry's index."""

    closes = True

    def __init__(self, contract: str, reason: str, fleet: LiveFleet, judging: LogFollower) -> None:
        self.size_bytes = MAX_CONTRACT_BYTES
        self._said = contract, reason
        self._fleet = fleet
        self._judging = judging

    def enter(self, batch: CommitBatch) -> int:
        """Raises Problem: what is not judged yet may be a node that was assigned to it."""
        if self._judging.behind:
            raise overloaded("judgement is behind the log, and contracts are checked against it")
        try:
            return batch.add_record(EntryKind.CONTRACT, self._fleet.withdrawal(*self._said))
        except AssignmentError as error:
            raise Problem("conflict", str(error)) from error


class Withdrawal(Model):
    """Why a contract is taken out; it goes into the log."""

    reason: Text


class Api:
    """The handlers over one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        exposition: Exposition,
        add_contract: Callable[[ContractAdded], Awaitable[tuple[int, int]]],
        withdraw_contract: Callable[[str, str], Awaitable[int]],
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._exposition = exposition
        self._add_contract = add_contract
        self._withdraw_contract = withdraw_contract

    def routes(self) -> tuple[Route, ...]:
        """Everything that this module serves."""
        pages = ("after", "limit")
        read = Access.READ
        one = "/v1/contracts/{contract}"
        return (
            Route("GET", "/v1/contracts", self.contracts, read, "Contracts, by name.", pages),
            Route("POST", "/v1/contracts", self.add, Access.ADMIN, "Add a contract or a version."),
            Route("GET", one, self.contract, read, "A contract with all defaults."),
            Route(
                "POST",
                f"{one}/withdraw",
                self.withdraw,
                Access.ADMIN,
                "Take out one that was added by mistake.",
            ),
            Route("GET", f"{one}/status", self.status, read, "Delivered against contracted."),
            Route("GET", f"{one}/findings", self.findings, read, "Open findings.", pages),
            Route(
                "GET", f"{one}/history", self.history, read, "Findings ever, open or not.", pages
            ),
            Route("GET", f"{one}/timeline", self.timeline, read, "States over time.", _TIMELINE),
            Route("GET", "/v1/nodes", self.nodes, read, "Nodes, by name.", pages),
            Route("GET", "/v1/nodes/{node}", self.node, read, "A node and its GPUs."),
            Route("GET", "/v1/gpus/{gpu}", self.gpu, read, "A GPU, wherever it was shown."),
            *self._metrics_routes(),
        )

    def _metrics_routes(self) -> tuple[Route, ...]:
        seen = Access.METRICS
        shard = "/metrics/gpus/{number}"
        text = "text/plain"
        return (
            Route("GET", "/metrics", self.metrics, seen, "Contracts, and the collector.", (), text),
            Route("GET", shard, self.shard, seen, "One shard of the nodes and GPUs.", (), text),
            Route("GET", "/v1/sd/prometheus", self.discovery, seen, "HTTP service discovery."),
        )

    async def contracts(self, request: web.Request) -> web.Response:
        part = page(request, self._visible(request))
        return _list([one async for one in self._contracts(part.items)], part)

    async def _contracts(self, names: Sequence[str]) -> AsyncIterator[status.Json]:
        """Those that are there when their turn comes; everything else gets its turn in between."""
        for name in names:
            if name in self._fleet.contracts:
                yield status.contract(self._fleet, name)
            await asyncio.sleep(0)

    async def contract(self, request: web.Request) -> web.Response:
        return web.json_response(status.document(self._fleet.contracts[self._named(request)]))

    async def status(self, request: web.Request) -> web.Response:
        name = self._named(request)
        part = page(request, sorted(self._fleet.assignments(name)))
        nodes = await status.assigned_nodes(self._fleet, name, part.items)
        summary = status.contract(self._fleet, name)
        told = summary | {"nodes": nodes, "after": part.after}
        return await asyncio.to_thread(web.json_response, told)

    async def findings(self, request: web.Request) -> web.Response:
        found = status.by_place(self._fleet.findings(self._named(request)))
        part = page_of(request, sorted(found))
        told = [found[place] for place in part.items]
        return await asyncio.to_thread(_findings, told, part.after)

    async def history(self, request: web.Request) -> web.Response:
        """Findings as they were first written, and then those not yet written; the newest word on one wins. What is
        written while it is asked for may be told twice."""
        name, (after, written, first) = self._named(request), _place_in_history(request)
        limit = whole_number(request, "limit", 1000, 1, 1000)
        found, unwritten = await self._history(name, after, limit)
        if found.after is not None:
            return await asyncio.to_thread(_findings, found.findings, str(found.after))
        if len(found.findings) != written:
            first = min(written, len(found.findings))
        told, end = (*found.findings, *unwritten), first + limit
        following = f"{after}.{len(found.findings)}.{end}" if end < len(told) else None
        return await asyncio.to_thread(_findings, told[first:end], following)

    async def _history(
        self, name: str, after: int, limit: int
    ) -> tuple[FindingPage, Sequence[Finding]]:
        """A page of what is written, and what is not: as of one moment, so that nothing is in neither."""
        while True:
            before = self._fleet.unwritten(name)
            found = await asyncio.to_thread(self._ledger.findings, name, False, after, limit)
            unwritten = self._fleet.unwritten(name)
            if not before or (unwritten and unwritten[0] is before[0]):
                return found, unwritten

    async def timeline(self, request: web.Request) -> web.Response:
        """Rows that reach into a window of at most 31 days, as known at `as_of_us`, by place and start."""
        name, now = self._named(request), self._fleet.now_us
        end = whole_number(request, "end_us", now, 0, 2**53)
        start = whole_number(request, "start_us", max(end - DAY_US, 0), 0, 2**53)
        if not start < end <= start + 31 * DAY_US:
            raise Problem("malformed", "start_us to end_us must be above 0 and at most 31 days")
        as_of = whole_number(request, "as_of_us", 2**53, 0, 2**53)
        node = request.query.get("node")
        live = [
            row
            for row in self._fleet.open_rows(name, node)
            if row.start_us < end and row.end_us > start and row.recorded_us <= as_of
        ]
        offset = whole_number(request, "after", 0, 0, 2**53)
        limit = whole_number(request, "limit", 1000, 1, 10_000)
        wanted = (name, start, end, as_of, node)
        return await asyncio.to_thread(self._told, wanted, live, (offset, offset + limit))

    async def nodes(self, request: web.Request) -> web.Response:
        part = page(request, status.visible_nodes(self._fleet, viewer(request)))
        return _list([status.node(self._fleet, name) for name in part.items], part)

    async def node(self, request: web.Request) -> web.Response:
        name = request.match_info["node"]
        shown = await status.visible_node(self._fleet, viewer(request), name)
        if shown is None:
            raise Problem("not_found", "no such node")
        return await asyncio.to_thread(web.json_response, shown)

    async def gpu(self, request: web.Request) -> web.Response:
        shown = status.visible_gpu(self._fleet, viewer(request), request.match_info["gpu"])
        if not shown:
            raise Problem("not_found", "no such GPU")
        return web.json_response({"gpu": request.match_info["gpu"], "places": shown})

    async def add(self, request: web.Request) -> web.Response:
        """The body is the contract's YAML. Answers with the log index of its entry, and from when it is judged."""
        text = await _body(request)
        contract = _loaded(text)
        entry = ContractAdded(
            contract=contract.contract_id,
            version=contract.version,
            text=text,
            from_us=contract.effective_us,
        )
        index, from_us = await self._add_contract(entry)
        told = {"contract": entry.contract, "version": entry.version, "from_us": from_us}
        return web.json_response(told | {"index": index})

    async def withdraw(self, request: web.Request) -> web.Response:
        """Of a contract that was added by mistake and served nobody. Answers with the log index of its entry."""
        said = parse(Withdrawal, await read_body(request))
        index = await self._withdraw_contract(self._named(request), said.reason)
        return web.json_response({"index": index})

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        return _text(await self._exposition.contracts())

    async def shard(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        known = number.isascii() and number.isdigit() and len(number) < 8
        text = await self._exposition.shard(int(number)) if known else None
        if text is None:
            raise Problem("not_found", "no such shard")
        return _text(text)

    async def discovery(self, request: web.Request) -> web.Response:
        """Each path is a target of its own; `shard` tells their `up` series apart."""
        labels = [
            {
                "__scheme__": request.scheme,
                "__metrics_path__": path,
                "shard": path.rpartition("/")[2],
            }
            for path in await self._exposition.paths()
        ]
        return web.json_response(
            [{"targets": [request.host], "labels": labelled} for labelled in labels]
        )

    def _told(
        self,
        wanted: tuple[str, int, int, int, str | None],
        live: Sequence[Row],
        part: tuple[int, int],
    ) -> web.Response:
        """What the ledger holds, and its live end; a row that is being written may be in both."""
        every = heapq.merge(self._ledger.rows(*wanted), sorted(live, key=_place), key=_place)
        rows = (
            row for _, there in itertools.groupby(every, key=_place) for row in dict.fromkeys(there)
        )
        first, end = part
        shown = list(itertools.islice(rows, first, end + 1))
        after = str(end) if len(shown) > end - first else None
        return _answer([asdict(row) for row in shown[: end - first]], after)

    def _visible(self, request: web.Request) -> list[str]:
        mine = viewer(request)
        return sorted(name for name in self._fleet.contracts if mine.sees(name))

    def _named(self, request: web.Request) -> str:
        name = request.match_info["contract"]
        if name not in self._fleet.contracts or not viewer(request).sees(name):
            raise Problem("not_found", f"{name}: no such contract")
        return name


def _place(row: Row) -> tuple[str, int, str, str, int]:
    return row.node, row.slot, row.device, row.chain, row.start_us


_TIMELINE = ("start_us", "end_us", "as_of_us", "node", "after", "limit")


def _list(items: Sequence[status.Json], part: ListPage) -> web.Response:
    return _answer(items, part.after)


def _place_in_history(request: web.Request) -> tuple[int, int, int]:
    """After which finding that is written a page begins; and on the last such page how many were written when it was
    begun, and how many of it and of those not yet written were told."""
    text = request.query.get("after", "0")
    if not HISTORY_PLACE.fullmatch(text):
        raise Problem("malformed", "after must be what the page before said")
    after, written, told = (*map(int, text.split(".")), 0, 0)[:3]
    return after, written, told


def _findings(told: Sequence[Finding], after: str | None) -> web.Response:
    return _answer([status.finding(one) for one in told], after)


def _answer(items: Sequence[status.Json], after: str | None) -> web.Response:
    return web.json_response({"items": items, "after": after})


def _text(body: str) -> web.Response:
    return web.Response(body=body.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _body(request: web.Request) -> str:
    try:
        return (await read_body(request, MAX_CONTRACT_BYTES)).decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", "a contract is UTF-8 text") from error


def _loaded(text: str) -> Contract:
    try:
        return load(text)
    except ContractError as error:
        problems = [asdict(problem) for problem in error.problems]
        raise Problem("malformed", str(error), {"problems": problems}) from error
