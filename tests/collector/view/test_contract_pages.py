"""What the pages of a contract say of money, against a real store: the same as its statements, in both languages."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from collector.api.statements import SettlementApi
from collector.documents.speaker import Speaker
from collector.documents.spelling import offsets
from collector.judging.claimable import Accounts
from collector.judging.settled import Settled
from collector.judging.settler import Job, Made, Settler
from collector.web import contract_time
from collector.web.contract_summary import contract_path
from collector.web.device_plots import DevicePlots
from collector.web.plots import Point
from collector.web.readings import Shown
from tests.collector.living import DAY, SECOND, Lease, event, lease
from tests.collector.statements.handovers import certificate, note
from tests.collector.test_statements_from_the_ledger import Asked, issued
from tests.collector.view.conftest import ScriptedPapers, Submitted, served
from tests.collector.view.test_web import read
from tests.weighbridge.scripted import START_US
from weighbridge.catalogue.findings import meanings
from weighbridge.catalogue.readings import Tier
from weighbridge.handover.documents import Certificate
from weighbridge.judge.slot_history import Times
from weighbridge.log.entries import EntryKind
from weighbridge.wire.problems import Problem

Client = TestClient[web.Request, web.Application]
PAGE = "/contracts/K1"
HEAD = ("weighbridge/test\n1\nhead\n", "00" * 32)
SHANGHAI = "Asia/Shanghai"


class NoHandover:
    """`collector.documents.handover.Handover` that is too busy."""

    async def delivery(self, *_: object) -> None:
        raise Problem("overloaded", "busy")

    acceptance = delivery


class NotOver(ScriptedPapers):
    """Papers of a window that is not over."""

    async def certificate_of(self, _: web.Request) -> Certificate:
        raise Problem("malformed", "the window is not over yet")


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Lease]:
    with lease(tmp_path / "store", zone=SHANGHAI) as made:
        yield made


class Recorded:
    """`collector.web.readings.Readings` with a value a minute, which keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def times(self, node: str, contracts: Collection[str]) -> Times:
        assert (node, list(contracts)) == ("n1", ["K1"])
        return ((START_US + 30 * SECOND, 2**62),)

    def over(self, *asked: Any) -> Shown:
        node, devices, _, start_us, end_us, times = asked
        self.asked.append((node, devices, start_us, end_us, times))
        points = [Point(at_us, 1, 2) for at_us in range(start_us, end_us, 60 * SECOND)]
        told = {(device, "power_draw_milliwatts"): points for device in devices}
        return Shown(told, {Tier.FAST: 60 * SECOND, Tier.SLOW: 60 * SECOND}, len(points), 0)


class Endless:
    """A settler that is at it still."""

    async def made(self, _: Job[Made]) -> Made:
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def pages_of(
    leased: Lease, readings: Any = None, settler: Settler | None = None
) -> AsyncIterator[Client]:
    statements, fleet = leased.statements, leased.fleet
    patience_s = 600 if settler is None else 0
    settled = Settled(statements, settler or leased.settler, patience_s=patience_s)
    accounts = Accounts(statements, leased.settler, lambda: fleet.contracts)
    nothing: Any = None
    handover: Any = NoHandover()
    papers: Any = SettlementApi(
        statements, leased.settler, accounts, handover, nothing, nothing, lambda: HEAD
    )
    submitted: Submitted = []
    ledger = leased.store.ledger
    plots = DevicePlots(readings or Recorded(), fleet, ledger)
    async with served(
        fleet, ledger, submitted, settled=settled, papers=papers, plots=plots
    ) as client:
        yield client
    settled.close()


@pytest.fixture
async def client(leased: Lease) -> AsyncIterator[Client]:
    async with pages_of(leased) as made:
        yield made


def amounts(leased: Lease, label: str, language: Any = "en") -> tuple[Any, Speaker]:
    statement = leased.statements.ask("K1", label).statement(leased.store)
    return statement, Speaker(language, statement.currency, statement.time_zone)


async def test_the_first_screen_says_what_came_what_it_is_worth_and_until_when(
    leased: Lease, client: Client
) -> None:
    statement, speak = amounts(leased, "2026-10")
    (due,) = (one for one in statement.parts[0].dues if one.earned)
    text, reader = await read(client, f"{PAGE}?period=2026-10")
    assert "nodes: promised 99.000 % of each node; came: 0.0" in text
    assert f"can still be claimed {speak.amounts(due.earned, due.earned).text}" in text
    assert f"owed now {speak.amounts('0.00', '0.00').text}" in text
    assert f"Claim {speak.amounts(due.earned, due.earned).text} for 2026-10" in text
    assert "before 2026-11-21 00:00:00 Asia/Shanghai (2026-11-20 16:00:00 UTC)" in text
    assert "provider P" in text
    links = {value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")}
    assert f"{PAGE}/notices/new/claim?period=2026-10" in links
    assert f"{PAGE}/letter?period=2026-10" in links
    assert f"{PAGE}/statement?period=2026-10" in links
    assert {f"{PAGE}?period=2026-11", f"{PAGE}?period=2026-10"} <= links
    titles = ("Promised, and what came", "What it is worth", "To do now", "Who is answerable")
    places = [text.index(one) for one in (*titles, "Open findings")]
    assert places == sorted(places)


async def test_the_same_in_chinese(leased: Lease, client: Client) -> None:
    statement, speak = amounts(leased, "2026-10", "zh")
    (due,) = (one for one in statement.parts[0].dues if one.earned)
    text, _ = await read(client, f"{PAGE}?period=2026-10&lang=zh")
    amount = speak.amounts(due.earned, due.earned).text
    assert f"就 2026-10 申请 {amount}" in text
    assert f"尚可申请 {amount}" in text
    assert "截止 2026-11-21 00:00:00 Asia/Shanghai" in text


async def test_while_periods_are_settled_nobody_is_told_that_nothing_is_to_be_done(
    leased: Lease,
) -> None:
    outage = f"{PAGE}/outage?period=2026-10&objective=x&unit=y&start=2026-10-02T00:00:00Z"
    async with pages_of(leased, settler=Endless()) as client:
        text, _ = await read(client, PAGE)
        assert text.count("Periods are being settled") == 2
        assert "Nothing was earned" not in text
        assert "Nothing: " not in text
    async with pages_of(leased, settler=Endless()) as client:
        answer = await client.get(outage, headers={"Accept": "text/html"})
        assert (answer.status, "is being settled" in await answer.text()) == (503, True)
    async with pages_of(leased) as client:
        assert "Periods are being settled" not in (await read(client, PAGE))[0]
        answer = await client.get(outage, headers={"Accept": "text/html"})
        assert (answer.status, "no such outage" in await answer.text()) == (404, True)


async def test_without_a_period_the_one_under_way_is_shown(client: Client) -> None:
    text, _ = await read(client, PAGE)
    assert "Period 2026-11" in text
    assert "under way" in text
    assert "Claim " in text, "what is to be done is of all periods"


async def test_every_period_is_listed_with_what_was_promised_came_and_was_earned(
    leased: Lease, client: Client
) -> None:
    text, _ = await read(client, PAGE)
    for label in ("2026-10", "2026-11"):
        statement, speak = amounts(leased, label)
        lines = [credit for unit in statement.parts[0].units for credit in unit.credits]
        (line,) = lines
        assert speak.amounts(line.lowest, line.highest).text in text


async def test_a_claim_and_its_answer_are_told_at_once(leased: Lease) -> None:
    async with pages_of(leased) as client:
        await read(client, PAGE)
        leased.says("L", kind="claim", period="2026-10", objective=None, unit=None)
        leased.log.tick(33 * DAY + 1)
        leased.go_on()
        text, _ = await read(client, PAGE)
        assert "Claim USD" not in text
        assert "Answer the claim of" in text
        leased.says("P", **event("credit_paid", 33 * DAY, period="2026-10", amount="100.00"))
        leased.log.tick(33 * DAY + 2)
        leased.go_on()
        text, _ = await read(client, f"{PAGE}?period=2026-10")
        statement, speak = amounts(leased, "2026-10")
        left = speak.amounts(*statement.outstanding).text
        assert f"paid or set off {speak.amounts('100.00', '100.00').text}" in text
        assert f"Pay or set off {left} for 2026-10" in text
        assert "Answer the claim of" not in text
        assert "paid 100.00" in text
        assert left in text[text.index("still owed") :]


SILENCE = "confirmation: {silence_days: 3}\n"


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ("", "Agree on the statement of 2026-10, or object to it"),
        (SILENCE, "before 2026-11-07 00:00:00 UTC"),
    ],
)
async def test_a_statement_that_was_handed_out_is_to_be_agreed_on_or_objected_to(
    tmp_path: Path, terms: str, told: str
) -> None:
    with lease(tmp_path / "store", terms) as leased:
        asked = leased.statements.ask("K1", "2026-10")
        leased.log.add(
            EntryKind.STATEMENT, issued(Asked(asked, leased.store), asked.statement(leased.store))
        )
        leased.log.tick(33 * DAY + 60)
        leased.go_on()
        async with pages_of(leased) as client:
            text, reader = await read(client, PAGE)
            assert told in text
            links = [str(value) for tag, name, value in reader.attributes if name == "href"]
            digest = asked.statement(leased.store).digest
            assert any("/notices/new/" in one and f"digest={digest}" in one for one in links)
            for party in ("P", "L"):
                leased.says(
                    party, **event("period_agreed", 33 * DAY, period="2026-10", digest=digest)
                )
            leased.log.tick(33 * DAY + 120)
            leased.go_on()
            text, _ = await read(client, PAGE)
            assert told not in text


FEES = """\
pricing: [{unit: gpu_hour, price: "1.00"}]
payment: {due_days: 10}
"""


async def test_fees_are_to_be_paid_until_their_day(tmp_path: Path) -> None:
    with lease(tmp_path / "store", FEES) as leased:
        statement, speak = amounts(leased, "2026-10")
        left = speak.amounts(*statement.payments.left).text
        async with pages_of(leased) as client:
            text, _ = await read(client, f"{PAGE}?period=2026-10")
    assert f"Pay the fees of 2026-10: {left}" in text
    assert "before 2026-11-11 00:00:00 UTC" in text
    assert f"fees still to be paid by the lessee {left}" in text


@pytest.mark.parametrize(("until_s", "due"), [(41 * DAY - 1, ""), (41 * DAY, "overdue: ")])
async def test_fees_are_overdue_from_the_first_instant_that_is_too_late(
    tmp_path: Path, until_s: int, due: str
) -> None:
    with lease(tmp_path / "store", FEES, until_s=until_s) as leased:
        async with pages_of(leased) as client:
            text, _ = await read(client, f"{PAGE}?period=2026-10")
    (said,) = re.findall(r"Pay the fees of 2026-10: \S+ \S+ (.*?)before 2026-11-11 00:00:00", text)
    assert said == due


async def test_what_lapsed_is_to_be_claimed_no_more(leased: Lease) -> None:
    leased.log.tick(60 * DAY)
    leased.go_on()
    async with pages_of(leased) as client:
        text, _ = await read(client, f"{PAGE}?period=2026-10")
    assert "lapsed, not claimed" in text
    assert "for 2026-10" not in text


async def test_an_outage_has_its_cause_and_the_entries_that_hold_its_evidence(
    leased: Lease, client: Client
) -> None:
    statement, speak = amounts(leased, "2026-10")
    every = [(one, unit) for unit in statement.parts[0].units for one in unit.outages]
    text, reader = await read(client, f"{PAGE}?period=2026-10")
    assert f"Outages 1 to {len(every)} of {len(every)}, the longest first" in text
    links = {value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")}
    for outage, unit in every:
        assert speak.listed(speak.cause(cause, unit.unit) for cause in outage.causes) in text
        assert {f"/log/entries/{entry}" for entry in outage.entries or ()} <= links
    assert "2026-10-01 08:00:20" in text, "the first one, on the contract's clocks"


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_an_outage_has_a_page_that_says_what_it_came_from_and_what_to_do(
    leased: Lease, client: Client, lang: str
) -> None:
    statement, _ = amounts(leased, "2026-10")
    (unit, outage) = next(
        (unit, one)
        for unit in statement.parts[0].units
        for one in unit.outages
        if one.causes[0].cause == "power_capped"
    )
    path = contract_path(
        "K1",
        "outage",
        period="2026-10",
        objective=unit.objective,
        unit=unit.unit,
        start=outage.start,
    )
    _, reader = await read(client, f"{PAGE}?period=2026-10")
    assert ("a", "href", path) in reader.attributes
    text, reader = await read(client, f"{path}&lang={lang}")
    assert "2026-10-01 08:00:20 Asia/Shanghai (2026-10-01 00:00:20 UTC)" in text
    row = meanings()["power_capped"]
    for said in (row.means, *(step.says for step in row.steps)):
        assert getattr(said, lang) in text
    links = {value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")}
    assert {f"/log/entries/{entry}" for entry in outage.entries or ()} <= links
    assert "/nodes/n1" in links


async def test_readings_around_an_outage_are_drawn_of_its_devices_alone(leased: Lease) -> None:
    """Half an hour on each side, or a quarter of its length if that is longer; nothing of what another tenant ran."""
    statement, _ = amounts(leased, "2026-10")
    recorded = Recorded()
    async with pages_of(leased, recorded) as client:
        for unit, number in (("n1.0", 0), ("n1.0", -1), ("n1", 0)):
            line = next(one for one in statement.parts[0].units if one.unit == unit)
            outage = line.outages[number]
            named = {"objective": line.objective, "unit": unit, "start": outage.start}
            path = contract_path("K1", "outage", period="2026-10", **named)
            text, reader = await read(client, path)
            assert "Readings around it" in text
            assert ("rect", "class", f"band {outage.causes[0].state}") in reader.attributes
    (short, long, node) = recorded.asked
    times = ((START_US + 30 * SECOND, 2**62),)
    half_us, start_us = 1800 * SECOND, START_US + 20 * SECOND
    end_us = START_US + 40 * SECOND + half_us
    assert short == ("n1", ("GPU-n1-0",), start_us - half_us, end_us, times)
    assert node == ("n1", ("GPU-n1-0", "GPU-n1-1"), start_us - half_us, end_us, times)
    begin_us, over_us = START_US + 610 * SECOND, START_US + 31 * DAY * SECOND - 8 * 3600 * SECOND
    assert long[2] == begin_us - (over_us - begin_us) // 4
    assert long[3] == leased.fleet.now_us, "no later than now"


async def test_an_outage_that_the_statement_does_not_have_is_not_there(client: Client) -> None:
    query = "period=2026-10&objective=gpus&unit=n1.0&start=2026-10-01T00:00:21Z"
    async with client.get(f"{PAGE}/outage?{query}") as response:
        assert response.status == 404


async def test_the_month_of_every_unit_is_drawn_with_maintenance_and_the_hour_under_way(
    leased: Lease,
) -> None:
    start_us, hour_us = START_US + 40 * DAY * SECOND, 3600 * SECOND
    window = {"from_us": start_us, "until_us": start_us + hour_us, "units": []}
    leased.says("P", kind="maintenance", id="m1", **window)
    leased.log.tick(33 * DAY + 1800)
    leased.go_on()
    async with pages_of(leased) as client:
        text, reader = await read(client, PAGE)
    classes = [value for tag, name, value in reader.attributes if (tag, name) == ("rect", "class")]
    assert classes.count("underway") == 1 + 4, (
        "a legend, and each lane: two GPUs, a node, maintenance"
    )
    assert classes.count("maintenance") == 2
    assert "Units 1 to 3 of 3, the worst first." in text
    assert "(2026-11-03T00:00:00Z – 2026-11-03T00:29:59Z)" in text
    assert "m1: " in text


async def test_long_lists_are_shown_a_part_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract_time, "LANES_SHOWN", 2)
    monkeypatch.setattr(contract_time, "OUTAGES_SHOWN", 1)
    text, reader = await read(client, f"{PAGE}?period=2026-10&lane=2&outage=1")
    assert "Units 3 to 3 of 3" in text
    assert "Outages 2 to 2 of " in text
    links = {value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")}
    assert "?period=2026-10&lane=0#time" in links
    assert {"?period=2026-10&outage=0#outages", "?period=2026-10&outage=2#outages"} <= links
    text, _ = await read(client, f"{PAGE}?period=2026-10&lane=99")
    assert "Units 3 to 3 of 3" in text, "beyond the end the last ones"


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (0, (1, 2, None, 2)),
        (1, (1, 2, None, 2)),
        (2, (3, 4, 0, 4)),
        (4, (5, 5, 2, None)),
        (5, (5, 5, 2, None)),
    ],
)
def test_a_piece_of_a_list_of_five_by_twos(first: int, told: tuple[Any, ...]) -> None:
    found = contract_time.piece(first, 5, 2)
    assert (found.first, found.last, found.before, found.after) == told


def test_a_piece_of_nothing_is_nothing() -> None:
    found = contract_time.piece(3, 0, 2)
    assert (found.first, found.last, found.before, found.after) == (0, 0, None, None)


async def test_a_period_that_is_none_is_not_there(client: Client) -> None:
    for label in ("2026-09", "2026-12", "x"):
        async with client.get(f"{PAGE}?period={label}") as response:
            assert response.status == 404, label


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_a_statement_is_read_in_the_browser_and_its_files_are_of_the_same_instant(
    leased: Lease, client: Client, lang: str
) -> None:
    statement, _ = amounts(leased, "2026-10")
    text, reader = await read(client, f"{PAGE}/statement?period=2026-10&lang={lang}")
    assert statement.digest in text
    assert statement.parts[0].text_digest in text
    files = {
        value
        for tag, name, value in reader.attributes
        if (tag, name) == ("a", "href") and "/v1/" in str(value)
    }
    assert {re.search(r"format=(\w+)", str(one))[1] for one in files if "format" in str(one)} == {  # type: ignore[index]
        "text",
        "json",
        "csv",
        "html",
        "pdf",
    }
    as_of = statement.as_of.replace(":", "%3A")
    assert all(f"as_of={as_of}" in str(one) for one in files if "format" in str(one))


async def test_the_letter_is_read_there_too(client: Client) -> None:
    text, _ = await read(client, f"{PAGE}/letter?period=2026-10")
    assert "weighbridge/test" in text, "the log's head"


async def test_a_delivery_note_and_a_certificate_are_read_there(leased: Lease) -> None:
    async with served(leased.fleet, leased.store.ledger, []) as client:
        text, _ = await read(client, f"{PAGE}/delivery")
        assert note().digest in text
        window = "from=2026-10-01T00:00:00Z&until=2026-10-01T00:16:40Z"
        text, reader = await read(client, f"{PAGE}/acceptance?{window}")
        assert certificate().digest in text
    files = [value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")]
    assert any(
        "/v1/contracts/K1/acceptance?from=2026-10-01T00%3A00%3A00Z&until=" in str(one)
        for one in files
    )


async def asked(client: Client, query: str) -> tuple[int, str, str]:
    """Of the acceptance of that window the status, where it is sent, and the page."""
    path = f"{PAGE}/acceptance{query}"
    async with client.get(path, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", ""), await response.text()


async def test_the_window_of_a_certificate_is_asked_for_on_the_contracts_clocks(
    client: Client,
) -> None:
    status, _, page = await asked(client, "")
    assert (status, page.count("On the clocks of Asia/Shanghai (UTC+08:00)")) == (200, 2)
    assert page.count('type="datetime-local" step="1" value=""') == 2
    assert 'role="alert"' not in page
    status, there, _ = await asked(
        client, "?from=2026-10-01T08:00&until=2026-10-01T08:16:40&lang=zh"
    )
    instants = {"from": "2026-10-01T00:00:00Z", "until": "2026-10-01T00:16:40Z", "lang": "zh"}
    assert (status, dict(URL(there).query)) == (303, instants)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?from=&until=2026-10-01T08:16", "必填。"),
        ("?from=2026-10-01T08:00", "必填。"),
        ("?from=now&until=2026-10-01T08:16", "now 不是有效时间"),
    ],
)
async def test_a_window_that_is_none_is_asked_for_again_with_what_was_typed(
    client: Client, query: str, said: str
) -> None:
    status, _, page = await asked(client, f"{query}&lang=zh")
    assert (status, said in page) == (400, True)
    assert [one for (one,) in parse_qs(query[1:]).values() if f'value="{one}"' not in page] == []


async def test_a_window_of_which_nothing_can_be_certified_is_asked_for_again(
    leased: Lease,
) -> None:
    window, papers = "from=2026-10-01T00:00:00Z&until=2026-10-01T00:16:40Z", NotOver()
    async with served(leased.fleet, leased.store.ledger, [], papers=papers) as client:
        status, _, page = await asked(client, f"?{window}&lang=zh")
    assert (status, '<p role="alert" class="breached">该时间段尚未结束</p>' in page) == (400, True)
    assert 'value="2026-10-01T00:16:40Z"' in page


def test_clocks_that_are_put_forward_are_told_with_both_offsets() -> None:
    assert offsets("Europe/Berlin", START_US // SECOND) == "UTC+01:00, UTC+02:00"
    assert offsets("Asia/Shanghai", START_US // SECOND) == "UTC+08:00"


@pytest.mark.parametrize(
    "page", ["", "/statement", "/letter", "/delivery", "/acceptance", "/outage"]
)
async def test_a_reader_sees_only_their_own(client: Client, page: str) -> None:
    query = "period=2026-10&from=2026-10-01T00:00:00Z&until=2026-10-01T01:00:00Z"
    for token, status in (("betas", 404), ("prometheus", 403), ("nobody", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        async with client.get(f"{PAGE}{page}?{query}", headers=headers) as response:
            assert response.status == status, token
