"""The pages: what people read is there, escaped, and comes from nowhere else."""

import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from collector.api.routes import Access
from collector.documents.spelling import percent, span, utc
from collector.judging.claimable import Account
from collector.web import timeline
from collector.web.page_words import PAGE
from collector.web.page_words_access import ACCESS
from collector.web.page_words_contract import CONTRACT as CONTRACT_WORDS
from collector.web.page_words_fleet import FLEET
from collector.web.page_words_notices import NOTICES
from collector.web.page_words_refusals import REFUSALS
from collector.web.runbooks import Runbooks
from tests.collector.statements.examples import ordinary
from tests.collector.view.conftest import finding
from weighbridge.audit.auditing import FlagLine
from weighbridge.audit.flag import flag_rows
from weighbridge.catalogue.findings import meanings
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.worth import Claimable
from weighbridge.wire.driver_words import COUNTED
from weighbridge.wire.report import Facts, Reason

Client = TestClient[web.Request, web.Application]
GPU = "/nodes/a1/gpus/GPU-1"
PAGES = ("/", "/contracts/alpha", "/contracts/beta", "/nodes/a1", "/nodes/a2", GPU)
VOID = {"meta", "link", "br", "input"}
MINUTE_US = 60_000_000
NOW_US = 1_790_000_000_000_000

each_page = pytest.mark.parametrize("page", PAGES)


class Reader(HTMLParser):
    """Collects a page's text, and refuses tags that do not pair."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()


async def read(client: Client, path: str) -> tuple[str, Reader]:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        text = await response.text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return " ".join(reader.words), reader


async def test_the_first_page_says_at_once_what_is_delivered(client: Client) -> None:
    text, _ = await read(client, "/")
    assert "2 of 2 contracts are not delivered as promised" in text
    assert "0 met, 2 breached, 0 unknown" in text
    assert "Of 14 contracted GPUs 2 report, 1 are healthy, 1 are in use" in text
    for count in ("6 contracted", "2 reporting", "1 healthy", "1 in use"):
        assert count in text
    assert "never reported" in text


async def test_what_nobody_can_tell_is_neither_good_nor_bad(client: Client, fleet: Any) -> None:
    fleet.found = []
    text, _ = await read(client, "/")
    assert "No contract is breached, but 2 of 2 cannot be judged yet" in text
    for name in ("alpha", "beta"):
        fleet.verdicts[name] = "MET"
        fleet.counted[name] = type(fleet.counted[name])(8, 8, 8, 8)
    text, _ = await read(client, "/")
    assert "All 2 contracts are delivered as promised" in text


async def test_the_worst_contract_comes_first(client: Client, fleet: Any) -> None:
    fleet.found = [row for row in fleet.found if row.contract == "beta"]
    fleet.verdicts["alpha"] = "MET"
    text, _ = await read(client, "/")
    assert text.index("beta Provider") < text.index("alpha <script>")


async def test_a_contract_shows_range_findings_gpus_and_the_picture(client: Client) -> None:
    text, reader = await read(client, "/contracts/alpha")
    assert "99.500 % 50.000 % 99.861 %" in text
    assert "expected observed since answerable" in text
    assert "gpu lost" in text
    assert "2026-09-21 13:13:20" in text
    assert "GPU-4" in text
    assert "never seen: 1 of them" in text
    assert "MISSING 3 ✓ OK 1 LOST 1 ? UNKNOWN 1" in text
    bars = [value for tag, name, value in reader.attributes if (tag, name) == ("rect", "class")]
    assert {"up", "down"} <= set(bars)


async def test_a_finding_says_what_it_means_and_what_to_do(client: Client, fleet: Any) -> None:
    fleet.found = [finding("alpha", "a1", "GPU-2", "card_inconsistent", verdict="unknown")]
    row = meanings()["card_inconsistent"]
    for page in ("/", "/contracts/alpha", "/nodes/a1"):
        text, _ = await read(client, f"{page}?lang=en")
        assert row.innocent is not None
        for said in (row.means.en, row.cannot_see.en, row.innocent.en):
            assert said in text
        places = [text.index(step.says.en) for step in row.steps]
        assert places == sorted(places)
        assert "card inconsistent" in text
        text, _ = await read(client, f"{page}?lang=zh")
        assert "card inconsistent" not in text, "a Chinese page names no finding in English"


async def test_what_is_the_same_of_several_gpus_of_a_node_is_one_row(
    client: Client, fleet: Any
) -> None:
    fleet.found = [finding("alpha", "a1", f"GPU-{number}", "gpu_lost") for number in range(6)]
    fleet.found.append(finding("alpha", "a2", "GPU-9", "gpu_lost"))
    text, _ = await read(client, "/contracts/alpha?lang=en")
    (found,) = re.findall(r"a1 6 GPUs((?: GPU-\d)+) and 2 more", text)
    assert found.split() == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
    assert text.count("what to do") == 2
    assert "a2 GPU-9" in text


async def test_a_finding_of_another_version_is_shown_without_advice(
    client: Client, fleet: Any
) -> None:
    fleet.found = [finding("alpha", "a1", "GPU-2", "from_another_version")]
    text, _ = await read(client, "/contracts/alpha")
    assert "from another version" in text
    assert "what to do" not in text


async def test_a_contract_without_nodes_says_what_that_means(client: Client) -> None:
    text, _ = await read(client, "/contracts/beta")
    assert "there is no evidence that what it promises exists" in text


async def test_a_node_shows_every_reading_and_why_one_is_not_there(client: Client) -> None:
    text, _ = await read(client, "/nodes/a1")
    assert "power_draw_milliwatts 699500" in text
    assert "power_draw_milliwatts gpu is lost" in text
    assert "XID 79 1" in text


async def test_a_node_lists_its_worst_gpu_first_in_words_and_units(client: Client) -> None:
    text, _ = await read(client, "/nodes/a1")
    assert "1 of 2 GPUs are healthy" in text
    assert text.index("LOST NVIDIA") < text.index("✓ OK NVIDIA")
    for said in ("Power 699.5 W", "Memory in use 0 B of 79.6 GiB", "the GPU fell off the bus"):
        assert said in text
    chinese, _ = await read(client, "/nodes/a1?lang=zh")
    assert "功耗 699.5 W" in chinese


async def test_a_gpu_has_a_page_with_its_day_and_month(client: Client) -> None:
    text, reader = await read(client, GPU)
    for said in (
        "NVIDIA H100",
        "Clock of the multiprocessors 1,980 MHz",
        "What holds the clocks down power limit",
        "The last day Drawn from 24 reports of the log, one in about 1 h",
        "The last 30 days Drawn from 720 reports",
        "Power: 100 W to 300 W",
        "the GPU fell off the bus",
    ):
        assert said in text, said
    assert "Temperature of the memory:" not in text, "a card without it has no plot of it"
    assert ("path", "class", "line0") in reader.attributes
    assert "DOWN" not in text
    text, _ = await read(client, "/nodes/a1/gpus/GPU-2")
    assert "DOWN (gpu lost) 2026-09-21 13:53:20" in text, "the outage is marked in the plot"


async def test_a_party_sees_a_gpu_only_while_it_was_its_own(client: Client) -> None:
    """Another tenant's load is none of its business: here the node was the contract's for 30 hours."""
    text, _ = await read(client, GPU)
    assert "Drawn from 720 reports" in text
    async with client.get(GPU, headers={"Authorization": "Bearer alphas"}) as response:
        assert "Drawn from 30 reports" in await response.text()
    async with client.get(GPU, headers={"Authorization": "Bearer betas"}) as response:
        assert response.status == 404


async def test_a_gpus_page_has_the_findings_of_its_node_behind_its_own(
    client: Client, fleet: Any
) -> None:
    fleet.found = [
        finding("alpha", "a1", "", "node_silent"),
        finding("alpha", "a1", "GPU-1", "ecc_off", severity="warning"),
        finding("alpha", "a1", "GPU-2", "gpu_lost"),
    ]
    text, _ = await read(client, GPU)
    assert text.index("ecc off") < text.index("node silent")
    assert "gpu lost" not in text.partition("At a glance")[0]


async def test_a_gpu_that_is_not_there_is_refused(client: Client) -> None:
    for page in ("/nodes/a1/gpus/GPU-9", "/nodes/a9/gpus/GPU-1", "/nodes/a2/gpus/GPU-1"):
        async with client.get(page) as response:
            assert response.status == 404, page


async def test_why_nvml_counts_no_gpus_stands_on_the_pages_in_words(
    client: Client, fleet: Any
) -> None:
    view = fleet.nodes["a1"].view
    view.enumerated, view.driver = (
        True,
        Facts(
            readings={"kernel_module_version": "575.57.08"},
            unavailable={COUNTED: Reason.VERSIONS_DIFFER},
        ),
    )
    words = "NVML: the driver's library and its kernel module are of different versions (kernel module 575.57.08)"
    for page in ("/nodes/a1", "/contracts/alpha"):
        text, _ = await read(client, page)
        assert words in text, page
    view.driver = Facts(readings={COUNTED: 8, "driver_version": "580.95.05"}, unavailable={})
    text, _ = await read(client, "/nodes/a1")
    assert "driver 580.95.05 agent" in text
    assert "NVML:" not in text


async def test_what_was_not_seen_has_its_reason_in_words(client: Client, fleet: Any) -> None:
    fleet.found = [
        finding("alpha", "a1", "", "gpu_missing", observed="0 GPUs (versions_differ)"),
        finding("alpha", "a1", "GPU-1", "ecc_off", observed="no_permission", verdict="unknown"),
        finding("alpha", "a1", "GPU-2", "sku_mismatch", observed="RTX (paused)"),
    ]
    text, _ = await read(client, "/nodes/a1")
    assert "0 GPUs (versions_differ) the driver's library and its kernel module are of" in text
    assert "no_permission the agent may not ask for it" in text
    assert "RTX (paused) 20" in text, "a name steers no words: the time comes next"


async def test_codes_of_the_driver_have_their_names_on_the_page(client: Client) -> None:
    text, _ = await read(client, "/nodes/a1")
    assert "clocks_event_reasons_flags 4 (sw power cap)" in text


async def test_a_silent_node_shows_no_reading_as_news(client: Client) -> None:
    text, _ = await read(client, "/nodes/a2")
    assert "SILENT" in text
    assert "70000" not in text


OWN_SCRIPT = re.compile(r'<script src="/static/live\.js\?[0-9a-f]{12}" defer></script>')


@each_page
async def test_whatever_a_party_wrote_is_text_and_never_markup(client: Client, page: str) -> None:
    async with client.get(page) as response:
        markup = await response.text()
    assert "<script" not in OWN_SCRIPT.sub("", markup, count=1)
    assert "<b>lost</b>" not in markup


@each_page
async def test_nothing_comes_from_elsewhere_and_nothing_runs(client: Client, page: str) -> None:
    async with client.get(page) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    _, reader = await read(client, page)
    links = [value for _, name, value in reader.attributes if name in ("href", "src")]
    assert links
    assert [link for link in links if not re.match(r"[/?#](?!/)", link or "")] == []
    assert [a for a in reader.attributes if a[1] == "style" or a[1].startswith("on")] == []


@each_page
async def test_every_link_leads_somewhere(client: Client, page: str) -> None:
    _, reader = await read(client, page)
    elsewhere = ("/log", f"{page}/notices")
    links = {value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")}
    for link in links - set(elsewhere):
        async with client.get(str(link)) as response:
            assert response.status == 200, link


async def test_a_name_with_a_slash_is_still_reached(client: Client, fleet: Any) -> None:
    fleet.contracts["a/b:c"] = fleet.contracts["alpha"]
    fleet.assigned["a/b:c"] = {"rack/7": None}
    fleet.nodes["rack/7"] = fleet.nodes["a1"]
    for kept in (fleet.counted, fleet.bounds, fleet.spent):
        kept["a/b:c"] = kept["alpha"]
    _, reader = await read(client, "/")
    assert ("a", "href", "/contracts/a%2Fb%3Ac") in reader.attributes
    _, reader = await read(client, "/contracts/a%2Fb%3Ac")
    assert ("a", "href", "/nodes/rack%2F7") in reader.attributes
    text, _ = await read(client, "/nodes/rack%2F7")
    assert "rack/7" in text


async def test_the_stylesheet_is_served_and_small(client: Client) -> None:
    async with client.get("/static/style.css") as response:
        style = await response.text()
        assert response.content_type == "text/css"
    assert len(style) < 24_000
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style


async def test_a_simulation_says_so_on_every_page(client: Client, simulated: Any) -> None:
    for page in PAGES:
        assert "SIMULATED" not in (await read(client, page))[0]
    async with simulated() as other:
        for page in PAGES:
            assert "SIMULATED" in (await read(other, page))[0]


async def test_a_judge_that_stopped_is_the_first_thing_on_the_first_page(
    client: Client, unjudged: Any
) -> None:
    assert "judged any more" not in (await read(client, "/"))[0]
    async with unjudged() as other:
        text, _ = await read(other, "/")
        assert "Nothing is judged any more" in text
        assert "judging stopped at entry 7: KeyError: <x>" in text
        assert "as promised</h1>" not in text


async def test_an_empty_collector_says_what_to_do_next(client: Client, fleet: Any) -> None:
    fleet.contracts.clear()
    text, _ = await read(client, "/")
    assert "No contract is loaded yet" in text
    assert "weighbridge contract add FILE" in text


async def test_many_contracts_are_paged_and_all_are_counted(client: Client, fleet: Any) -> None:
    for number in range(60):
        name = f"c{number:02d}"
        fleet.contracts[name] = fleet.contracts["beta"]
        for kept in (fleet.counted, fleet.bounds, fleet.spent):
            kept[name] = kept["beta"]
    text, reader = await read(client, "/")
    assert "2 of 62 contracts" in text
    assert ("a", "href", "?after=%5B1%2C+%22c47%22%5D") in reader.attributes
    text, _ = await read(client, "/?after=%5B1%2C+%22c47%22%5D")
    assert "c48" in text
    assert "c47 " not in text


def account(name: str, most: str, deadline: str | None) -> Account:
    """Of a running statement that earned from nothing to so much, and of 10.00 that can be claimed."""
    running = replace(ordinary(), contract=name, period="2026-09")
    bounds = {"low": Decimal(0), "high": Decimal(most)}
    claims = [Claimable(name, "2026-08", "n", "open", deadline, "10.00", running.currency)]
    return Account(running, bounds, claims, None, NOW_US // 1_000_000)


async def test_the_first_page_says_what_everything_is_worth_and_of_when(
    client: Client, fleet: Any
) -> None:
    assert "No money is worked out yet" in (await read(client, "/"))[0]
    fleet.worked["alpha"] = account("alpha", "1200.50", "2026-10-02T00:00:00Z")
    fleet.worked["beta"] = account("beta", "0.50", "2026-10-01T00:00:00Z")
    text, reader = await read(client, "/")
    assert "CNY CNY 0.00 – CNY 1,201.00 CNY 1,201.00 CNY 20.00 2026-10-01 00:00:00 UTC" in text
    assert "CNY 0.00 – CNY 0.50 earned so far in 2026-09" in text
    assert "CNY 10.00 of earlier periods can be claimed, the first until 2026-10-02" in text
    assert ("time", "datetime", "2026-09-21T14:13:20Z") in reader.attributes


async def test_contracts_are_searched_and_sorted_and_the_list_goes_on_so(
    client: Client, fleet: Any
) -> None:
    async def listed(query: str) -> list[str]:
        _, reader = await read(client, "/" + query)
        links = [value for tag, name, value in reader.attributes if (tag, name) == ("a", "href")]
        return [str(link) for link in dict.fromkeys(links) if str(link).startswith("/contracts/")]

    alpha, beta = "/contracts/alpha", "/contracts/beta"
    fleet.found = []
    assert await listed("?sort=gpus") == [beta, alpha]
    assert await listed("?sort=name") == [alpha, beta]
    assert await listed("?sort=unhealthy") == [beta, alpha]
    fleet.worked["beta"] = account("beta", "3", None)
    assert await listed("?sort=credit") == [beta, alpha]
    fleet.worked["alpha"] = account("alpha", "2", "2026-10-01T00:00:00Z")
    assert await listed("?sort=deadline") == [alpha, beta]
    assert await listed("?q=BET") == [beta]
    assert await listed("?q=a2") == [alpha], "by a node's name"
    assert await listed("?q=nothing") == []
    text, _ = await read(client, "/?q=BET")
    assert "1 of 2 contracts." in text
    _, reader = await read(client, "/?q=h100&sort=name&limit=1")
    assert ("a", "href", "?q=h100&sort=name&after=%5B%22alpha%22%5D") in reader.attributes
    assert await listed("?q=h100&sort=name&limit=1&after=%5B%22alpha%22%5D") == [beta]
    async with client.get("/?sort=luck") as response:
        assert response.status == 400


def flag(code: str, *contracts: str, level: str = "E0") -> FlagLine:
    figures = (("gpus_due", "8"), ("share_pct", "12.50"))
    since = "2026-09-20T00:00:00Z"
    return FlagLine(code, level, contracts, "n1 <b>", since, figures, (3, 7))


async def test_a_red_flag_has_its_innocent_explanations_its_level_and_its_entries(
    client: Client, fleet: Any
) -> None:
    fleet.flags += [
        flag("zero_delivery", "alpha", "elsewhere"),
        flag("prepay_asymmetry", "beta", level="terms"),
    ]
    row = flag_rows()["zero_delivery"]
    for language, said in (
        ("en", [row.means.en, *(one.en for one in row.innocent)]),
        ("zh", [row.means.zh, *(one.zh for one in row.innocent)]),
    ):
        text, reader = await read(client, f"/audit?lang={language}")
        places = [text.index(one) for one in said]
        assert places == sorted(places)
        assert "GPUs due 8" in text or "到期应交 GPU 数 8" in text
        for link in ("/contracts/alpha", "/log/entries/3", "/log/entries/7"):
            assert ("a", "href", link) in reader.attributes
        assert ("a", "href", "/contracts/elsewhere") not in reader.attributes
    text, _ = await read(client, "/audit?lang=en&contract=beta")
    assert "zero_delivery" not in text
    assert "the contract's own text" in text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_flag_and_level_has_its_words(
    client: Client, fleet: Any, language: str
) -> None:
    levels = {row.level for row in flag_rows().values()} | {"E0", "E1", "E2", "E3", "E4"}
    fleet.flags += [flag(code, "alpha") for code in flag_rows()]
    fleet.flags += [flag("zero_delivery", "alpha", level=level) for level in sorted(levels)]
    text, _ = await read(client, f"/audit?lang={language}")
    assert all(code in text for code in flag_rows())


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_a_person_is_refused_by_a_page_with_a_way_back(client: Client) -> None:
    for path in ("/contracts/none", "/nodes/none", "/nowhere"):
        async with client.get(path, headers=BROWSER) as response:
            assert (response.status, response.content_type) == (404, "text/html"), path
            text = await response.text()
        assert "There is nothing here" in text
        assert '<a href="/">' in text
    async with client.get("/v1/nodes/none", headers=BROWSER) as response:
        assert (await response.json())["code"] == "not_found", "programs' paths answer programs"


async def test_a_page_speaks_the_language_of_its_reader_and_keeps_to_it(client: Client) -> None:
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
    for page in PAGES:
        async with client.get(page, headers=chinese) as response:
            text = await response.text()
        assert '<html lang="zh-Hans">' in text, page
        assert "返回" in text or "合同" in text
    async with client.get("/?lang=en", headers=chinese) as response:
        assert '<html lang="en">' in await response.text()
    async with client.get("/", headers=chinese) as response:
        assert '<html lang="en">' in await response.text(), "the choice is kept"


async def test_a_contracts_times_are_of_its_zone_with_utc_beside(
    client: Client, fleet: Any
) -> None:
    fleet.contracts["alpha"] = fleet.contracts["alpha"].model_copy(
        update={"time_zone": "Asia/Shanghai"}
    )
    text, reader = await read(client, "/contracts/alpha")
    assert "2026-09-21 21:13:20" in text
    assert "All times are in Asia/Shanghai" in text
    assert ("time", "title", "2026-09-21 13:13:20 UTC") in reader.attributes


async def test_a_page_that_is_not_there_is_a_stated_refusal(client: Client) -> None:
    for page in ("/contracts/none", "/nodes/none"):
        async with client.get(page) as response:
            assert response.status == 404
            assert (await response.json())["code"] == "not_found"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ("1", "100.000 %"),
        ("199/200", "99.500 %"),
        ("99499999/100000000", "99.499 %"),
        ("0", "0.000 %"),
    ],
)
def test_a_share_is_rounded_down_so_that_a_miss_never_looks_met(share: str, said: str) -> None:
    assert percent(share) == said


def test_instants_and_durations_are_spelled_for_people() -> None:
    assert utc(1_790_000_000_999_999) == "2026-09-21 14:13:20"
    assert [span(us * 1_000_000, "zh") for us in (0, 90_061)] == ["0 秒", "1 天 1 小时"]
    assert [span(us * 1_000_000) for us in (0, 59, 3_600, 90_061)] == [
        "0 s",
        "59 s",
        "1 h",
        "1 d 1 h",
    ]


def row(slot: int, start: int, end: int, state: State) -> Row:
    start_us, end_us = NOW_US - start * MINUTE_US, NOW_US - end * MINUTE_US
    return Row("c", "n", slot, f"GPU-{slot}", "chain", start_us, end_us, state, "", end_us)


def bars(picture: dict[str, Any]) -> list[list[tuple[str, float, float]]]:
    return [[(bar.state, bar.x, bar.width) for bar in lane.bars] for lane in picture["lanes"]]


def test_a_node_is_drawn_as_its_worst_slot_and_a_gpu_as_itself() -> None:
    rows = [
        row(0, 10, 0, State.UP),
        row(1, 10, 5, State.UP),
        row(1, 5, 0, State.DOWN),
    ]
    half = (timeline.WIDTH - timeline.LEFT) / 2
    middle = timeline.LEFT + half
    assert bars(timeline.by_node(rows, ["n"], NOW_US)) == [
        [("up", timeline.LEFT, half), ("down", middle, half)]
    ]
    first, second = bars(timeline.by_device(rows, ["GPU-0", "GPU-1"], NOW_US))
    assert first == [("up", timeline.LEFT, 2 * half)]
    assert second == [("up", timeline.LEFT, half), ("down", middle, half)]


def test_what_nobody_saw_is_not_drawn() -> None:
    rows = [row(0, 10, 8, State.UP), row(0, 8, 4, State.UNKNOWN), row(0, 4, 2, State.UP)]
    (lane,) = bars(timeline.by_node(rows, ["n"], NOW_US))
    assert [state for state, _, _ in lane] == ["up", "up"]


def test_the_picture_is_as_long_as_what_is_known_and_at_most_a_day() -> None:
    assert timeline.by_node([row(0, 3, 0, State.UP)], ["n"], NOW_US)["span"] == "10 min"
    assert timeline.by_node([row(0, 59, 0, State.UP)], ["n"], NOW_US)["span"] == "1 h"
    assert timeline.by_node([row(0, 9000, 0, State.UP)], ["n"], NOW_US)["span"] == "24 h"


async def test_a_runbook_is_there_for_whoever_was_woken(client: Client) -> None:
    answer = await client.get("/runbooks/WeighbridgeNodeSilent")
    assert (answer.status, answer.content_type) == (200, "text/plain")
    assert (await answer.text()).startswith("# WeighbridgeNodeSilent\n")
    assert (await client.get("/runbooks/WeighbridgeNone")).status == 404
    (route,) = Runbooks().routes()
    assert route.access is Access.OPEN


async def test_a_finding_of_a_node_colours_the_gpus_that_it_makes_unhealthy(
    client: Client, fleet: Any
) -> None:
    """As the four counts have it: a device that another place shows too is healthy in neither."""
    text, _ = await read(client, "/nodes/a1")
    assert "✓ OK" in text
    fleet.found = [finding("alpha", "a1", "GPU-1", "duplicate_device")]
    for page in ("/nodes/a1", "/contracts/alpha"):
        text, _ = await read(client, page)
        assert "CONTESTED" in text, page
        assert "✓ OK" not in text, page
    fleet.found = []
    state = fleet.nodes["a1"]
    state.last_sample_us = fleet.now_us - state.patience_us
    assert "✓ OK" in (await read(client, "/nodes/a1"))[0], "seen within the longest gap"
    state.last_sample_us -= 1
    assert "✓ OK" not in (await read(client, "/nodes/a1"))[0]


def test_no_word_of_one_page_stands_in_for_that_of_another() -> None:
    tables = (ACCESS, CONTRACT_WORDS, FLEET, NOTICES, REFUSALS)
    assert [key for table in tables for key in table if PAGE[key] != table[key]] == []
    assert sum(map(len, tables)) == len({key for table in tables for key in table})
