"""Notices on pages: what is previewed is what the statement says once it is entered, whoever says what."""

import html
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.api.access import token_hash
from collector.web.page_words import PAGE
from tests.collector.building import (
    Agent,
    Answered,
    Serving,
    admit,
    serving,
    set_config,
    weighbridge,
)
from weighbridge.notices.fields import SAID as NO_EVENTS
from weighbridge.notices.fields import fields_of
from weighbridge.notices.rules import EVENTS, REASONS, EventRule
from weighbridge.settlement.statement import changes, path_text

START = datetime(2026, 10, 1, tzinfo=UTC) - timedelta(hours=8)
"""The first of October in Shanghai."""

NOW = START + timedelta(days=40)
START_US, SECOND = int(START.timestamp()) * 1_000_000, 1_000_000
MONTH, RUNNING = "2026-10", "2026-11"
TERMS = f"""\
contract_id: lease
effective: {START:%Y-%m-%dT%H:%M:%SZ}
time_zone: Asia/Shanghai
currency: CNY
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}, {{id: X, role: auditor}}]
term: {{from: {START:%Y-%m-%dT%H:%M:%SZ}, to: 2027-09-30T16:00:00Z}}
resources:
  - id: h100
    accelerator: {{sku: H100-SXM-80GB}}
    per_node: 2
    nodes: 1
    delivery: [{{id: first, nodes: 1, due: 2026-10-01, value: "1000.00"}}]
pricing: [{{unit: node_month, price: "7440.00"}}]
availability: [{{id: gpus, unit: gpu, target: "0.99"}}]
repair: [{{id: mend, objective_s: 3600, clock_from: report, unit: gpu}}]
response: [{{id: react, objective_s: 600, clock_from: report}}]
credits:
  - id: voucher
    objective: gpus
    kind: tiers
    base: {{proration: days}}
    tiers: [{{at_or_above: "0", below: "0.99", pct: 10}}]
  - {{id: lost, kind: lost_work, event: crash, cap_s: 86400, hour_price: "1.98"}}
liquidated_damages:
  - {{id: late, trigger: late_delivery, side: provider, daily_rate: 5/10000}}
exclusions: {{causes: [{{code: lessee_fault}}]}}
maintenance: {{min_notice_s: 3600, emergency: excluded}}
claim: {{required: true, deadline_days: 60}}
payment: {{due_days: 5}}
deposit: {{amount: "100.00", return_days: 30}}
unknown: {{policy: down}}
evidence: {{correction_window_s: 3153600}}
"""
ROLES = {
    "admin": "admin",
    "auditor": "auditor",
    "provider": "provider:P/lease",
    "lessee": "lessee:L/lease",
    "other": "lessee:L/another",
}
TOKENS = ", ".join(
    f'{{sha256 = "{token_hash(name)}", role = "{role}"}}' for name, role in ROLES.items()
)
FORM = "application/x-www-form-urlencoded"
BROWSER = {"Accept": "text/html,*/*"}
NOTICES = "/contracts/lease/notices"


def clocks(days: int, hours: int = 0) -> str:
    """What clocks in Shanghai show so long after the month began."""
    return (datetime(2026, 10, 1) + timedelta(days=days, hours=hours)).isoformat()  # noqa: DTZ001


def make(directory: Path, agent: Agent) -> Path:
    weighbridge("init", directory, "--simulation", "--listen", "127.0.0.1:0")
    admit(directory, [agent], TERMS, heard=True)
    set_config(directory, open_on_loopback="false", tokens=f"[{TOKENS}]")
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Of a month that is over a minute was seen, and another six days later."""
    agent = Agent("n1", gpus=2)
    agent.start_us = START_US
    store = make(tmp_path_factory.mktemp("notices") / "store", agent)
    with serving(store, arguments=["--simulation"]) as running:
        for hours, samples in ((2, 6), (144, 6)):
            moved_to(running, START + timedelta(hours=hours))
            agent.sampled = hours * 360 - samples
            sent = agent.next(samples, inventory=agent.inventory() if hours == 2 else None)
            assert running.report(sent).status == 200
        moved_to(running, NOW)
        yield running


def moved_to(server: Serving, when: datetime) -> None:
    wall_us = int(when.timestamp()) * SECOND
    content = json.dumps({"wall_us": wall_us}).encode()
    answer = server.request("POST", "/v1/simulation/clock", content)
    assert answer.status == 200, answer.body


def later(server: Serving) -> None:
    """A second passes, so that what was heard is known at its end."""
    now_us = server.get("/v1/simulation/clock").json["wall_us"]
    moved_to(server, datetime.fromtimestamp(now_us // SECOND + 2, UTC))


def token(name: str) -> dict[str, str]:
    return BROWSER | {"Authorization": f"Bearer {name}"}


def post(server: Serving, kind: str, fields: Mapping[str, str], who: str, **more: str) -> Answered:
    content, headers = urlencode(fields).encode(), token(who) | more
    return server.request("POST", f"{NOTICES}/new/{kind}", content, Content_Type=FORM, **headers)


def statement(server: Serving, period: str = MONTH) -> dict[str, Any]:
    path = f"/v1/contracts/lease/statement?period={period}"
    found: dict[str, Any] = server.get(path, **token("auditor")).json
    return found


def previewed(page: str, period: str = MONTH) -> set[tuple[str, str, str]]:
    """Every difference that the page shows of a period's statement."""
    _, _, card = page.partition(f">Statement of {period} <small>")
    card = card.partition("<h2 ")[0]
    rows = re.findall(
        r"<tr><td><code>([^<]*)</code></td><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td></tr>", card
    )
    return {(path, html.unescape(old), html.unescape(new)) for path, old, new in rows}


def spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def told(before: dict[str, Any], after: dict[str, Any]) -> set[tuple[str, str, str]]:
    """The same of two statements, as the program itself compares them."""
    bare = [{**one, "notes": []} for one in (before, after)]
    found = set()
    for one in changes(*bare):
        path = one.arguments["path"]
        assert isinstance(path, tuple)
        old, new = (
            spelled(one.arguments[key]) if key in one.arguments else "absent"
            for key in ("before", "after")
        )
        found.add((path_text(path), old, new))
    return found


def of_deposit(told: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    return {row for row in told if row[0].startswith("deposit.")}


def unlike(told: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Without what only the log gives: the entry of an answer, and when it was received."""
    only = re.compile(
        r"answers\[\d+\]\.(entry|at)|parts\[\d+\]\.maintenance\[\d+\]\.notice_received"
    )
    return {row for row in told if not only.fullmatch(row[0])}


SAID: list[tuple[str, str, dict[str, str]]] = [
    (
        "maintenance",
        "provider",
        {"id": "M1", "from": clocks(2), "until": clocks(2, 4), "units": "n1"},
    ),
    ("maintenance", "provider", {"id": "M2", "from": clocks(3), "until": clocks(3, 4)}),
    ("maintenance_withdrawn", "provider", {"id": "M2", "at": clocks(40)}),
    ("cause", "provider", {"code": "lessee_fault", "from": clocks(5), "until": clocks(6)}),
    (
        "cause",
        "lessee",
        {"code": "lessee_fault", "from": clocks(5), "until": clocks(5, 7), "unit": "n1.0"},
    ),
    ("delivered", "provider", {"unit": "first", "at": clocks(1)}),
    ("acceptance_signed", "lessee", {"at": clocks(1, 2)}),
    ("batch_accepted", "lessee", {"unit": "first", "at": clocks(1, 2)}),
    ("test_result", "provider", {"unit": "n1", "at": clocks(1), "probe": "gemm", "value": "600"}),
    ("answered", "provider", {"unit": "n1.0", "at": clocks(7, 2)}),
    ("restored", "provider", {"unit": "n1.0", "at": clocks(8)}),
    ("fault_reported", "lessee", {"unit": "n1.0", "at": clocks(7), "severity": "high"}),
    ("answered", "provider", {"unit": "n1.0", "at": clocks(7, 1)}),
    ("restored", "provider", {"unit": "n1.0", "at": clocks(7, 9)}),
    ("gpu_replaced", "provider", {"unit": "n1.0", "at": clocks(8), "new": "GPU-n1-9"}),
    ("crash", "lessee", {"since": clocks(9), "at": clocks(9, 5)}),
    ("crash", "provider", {"since": clocks(9), "at": clocks(9, 5)}),
    ("claim", "lessee", {"period": MONTH, "unit": "n1.0"}),
    ("claim", "lessee", {"period": MONTH}),
    ("claim_accepted", "provider", {"period": MONTH, "at": clocks(40), "amount": "12.50"}),
    (
        "claim_refused",
        "provider",
        {"period": MONTH, "at": clocks(40), "unit": "n1.1", "reason": "<b>why</b>"},
    ),
    ("credit_paid", "provider", {"period": MONTH, "at": clocks(40), "amount": "3.20"}),
    ("credit_set_off", "provider", {"period": MONTH, "at": clocks(40), "amount": "1"}),
    (
        "fee_paid",
        "lessee",
        {"period": MONTH, "at": clocks(33), "amount": "100", "reference": "r 1"},
    ),
    ("statement_objected", "lessee", {"period": MONTH, "at": clocks(40), "reason": "it was down"}),
]
CHANGES_NOTHING = {
    "cause provider",
    "delivered provider",
    "maintenance_withdrawn provider",
    "statement_objected lessee",
    "test_result provider",
}
"""What waits for the other side, what this contract has no use for, and what comes too late."""


def test_the_deposit_is_previewed_in_the_period_that_is_under_way(server: Serving) -> None:
    """There time changes other things, too."""
    fields = {"at": clocks(2), "amount": "100.00", "reference": "r 2"}
    before = statement(server, RUNNING)
    page = post(server, "deposit_paid", fields, "provider").body.decode()
    post(server, "deposit_paid", {**fields, "do": "attest"}, "provider")
    later(server)
    shown = of_deposit(previewed(page, RUNNING))
    assert ("deposit.held[0]", "0.00", "100.00") in shown
    assert shown == of_deposit(told(before, statement(server, RUNNING)))


def test_what_is_previewed_is_what_the_statement_says_once_it_is_entered(server: Serving) -> None:
    """One after the other, over every kind; the month is over, so that time alone changes nothing in it."""
    seen: dict[str, bool] = {}
    for kind, who, fields in SAID:
        before = statement(server)
        page = post(server, kind, {**fields, "do": "preview"}, who)
        assert page.status == 200, (kind, page.body.decode())
        shown = previewed(page.body.decode())
        assert statement(server)["inputs_digest"] == before["inputs_digest"], kind
        entered = post(server, kind, {**fields, "do": "attest"}, who)
        assert entered.status == 303, (kind, entered.body)
        later(server)
        assert unlike(shown) == unlike(told(before, statement(server))), kind
        seen[f"{kind} {who}"] = seen.get(f"{kind} {who}", False) or bool(shown)
    assert {name for name, changed in seen.items() if not changed} == CHANGES_NOTHING


CAUSE = {"code": "lessee_fault", "from": clocks(20), "until": clocks(20, 1)}
KNOWN = {**EVENTS, "crash": EventRule(open=True, lasts=True)}
KINDS = [*NO_EVENTS, *EVENTS, "crash"]


def count(server: Serving) -> int:
    items = server.get("/v1/contracts/lease/notices?limit=1000", **token("admin")).json["items"]
    return len(items)


@pytest.mark.parametrize(
    ("who", "seen", "form", "said"),
    [
        ("admin", 200, 200, 200),
        ("provider", 200, 404, 404),
        ("lessee", 200, 200, 200),
        ("auditor", 200, 403, 403),
        ("other", 404, 404, 404),
        ("nobody", 401, 401, 401),
    ],
)
def test_who_reads_notices_and_who_claims(
    server: Serving, who: str, seen: int, form: int, said: int
) -> None:
    before = count(server)
    asked = {"period": MONTH, "party": "L"}
    assert server.get(NOTICES, **token(who)).status == seen
    assert server.get(f"{NOTICES}/new/claim", **token(who)).status == form
    assert post(server, "claim", asked, who).status == said
    assert count(server) == before


def test_a_login_speaks_for_its_own_party_alone(server: Serving) -> None:
    before = count(server)
    fields = {**CAUSE, "do": "attest"}
    assert post(server, "cause", {**fields, "party": "P"}, "lessee").status == 403
    assert post(server, "cause", {**fields, "party": "X"}, "provider").status == 403
    assert post(server, "cause", {**fields, "party": "nobody"}, "admin").status == 400
    assert count(server) == before


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(server: Serving) -> None:
    before = count(server)
    fields = {"id": "a <window>", "from": "tomorrow", "until": clocks(2), "units": "n1 n7"}
    for do in ("preview", "attest", "download"):
        answer = post(server, "maintenance", {**fields, "do": do}, "provider")
        assert answer.status == 400
        page = answer.body.decode()
        for name in ("id", "from"):
            [field] = re.findall(rf'<(?:input|textarea|select) id="f-{name}"[^>]*>', page)
            assert 'aria-invalid="true"' in field
            assert f"e-{name}" in field
            assert f'<strong id="e-{name}" class="breached">' in page
        assert 'id="e-until"' not in page
        assert 'value="a &lt;window&gt;"' in page
        assert 'type="text" value="tomorrow"' in page
        assert f'type="datetime-local" step="1" value="{clocks(2)}"' in page
        assert ">n1 n7</textarea>" in page
    assert count(server) == before


def in_other_language(page: str) -> tuple[str, dict[str, str]]:
    """What the link to the other language of a page that answers a form asks, and sends."""
    head = page.partition("<header>")[2].partition("</header>")[0]
    action, inside = re.findall(r'<form method="post" action="(\?[^"]*)">(.*?)</form>', head)[0]
    sent = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', inside))
    return html.unescape(action), {key: html.unescape(value) for key, value in sent.items()}


@pytest.mark.parametrize(
    ("changed", "do", "status", "again"),
    [
        ({}, "preview", 200, "preview"),
        ({}, "change", 200, "change"),
        ({"until": "tomorrow"}, "attest", 400, "preview"),
    ],
)
def test_the_other_language_of_a_form_keeps_what_was_entered_and_says_nothing(
    server: Serving, changed: dict[str, str], do: str, status: int, again: str
) -> None:
    fields = {"id": "M:7", "from": clocks(50), "until": clocks(51), "units": "n1.0", **changed}
    before = count(server)
    page = post(server, "maintenance", {**fields, "do": do}, "provider").body.decode()
    query, sent = in_other_language(page)
    assert (query, sent) == ("?lang=zh", {"party": "P", **fields, "do": again})
    path = f"{NOTICES}/new/maintenance{query}"
    content = urlencode(sent).encode()
    answer = server.request("POST", path, content, Content_Type=FORM, **token("provider"))
    chinese = answer.body.decode()
    assert (answer.status, '<html lang="zh-Hans">' in chinese) == (status, True)
    assert [value for value in fields.values() if value not in chinese] == []
    query, back = in_other_language(chinese)
    assert (query, back) == ("?lang=en", sent)
    assert count(server) == before


def test_a_time_is_on_the_contracts_clocks_and_the_form_says_whose(server: Serving) -> None:
    page = server.get(f"{NOTICES}/new/cause", **token("lessee")).body.decode()
    assert "On the clocks of Asia/Shanghai" in page
    answer = post(server, "cause", {**CAUSE, "do": "attest"}, "lessee")
    entry = int(answer.headers["Location"].partition("said=")[2])
    after = f"?limit=1&after=%5B{entry - 1}%5D"
    [item] = server.get(f"/v1/contracts/lease/notices{after}", **token("lessee")).json["items"]
    assert item["said"]["from_us"] == START_US + 20 * 86_400 * SECOND
    assert (item["party"], item["attested_for"]) == ("L", "lessee")


def test_a_form_that_is_sent_twice_says_its_thing_once(server: Serving) -> None:
    fields = {**CAUSE, "until": clocks(20, 2), "do": "attest"}
    before = count(server)
    with ThreadPoolExecutor(4) as several:
        sent = [several.submit(post, server, "cause", fields, "lessee") for _ in range(4)]
    places = {one.result().headers["Location"] for one in sent}
    assert len(places) == 1
    assert count(server) == before + 1
    again = post(server, "cause", {**fields, "do": "preview"}, "lessee").body.decode()
    assert f"The same was said before, in entry {places.pop().partition('said=')[2]}" in again


def test_a_browser_says_it_only_with_what_our_form_carries(server: Serving) -> None:
    login = server.request("POST", "/login", b"token=lessee", Content_Type=FORM, **BROWSER)
    cookie = {"Cookie": login.headers["Set-Cookie"].partition(";")[0]}
    fields = {**CAUSE, "until": clocks(20, 3), "do": "attest"}
    before = count(server)

    def sent(**more: str) -> Answered:
        content = urlencode({**fields, **more}).encode()
        return server.request(
            "POST", f"{NOTICES}/new/cause", content, Content_Type=FORM, **BROWSER, **cookie
        )

    assert sent().status == 403
    assert sent(csrf="guessed").status == 403
    assert count(server) == before
    page = server.get(f"{NOTICES}/new/cause", **BROWSER, **cookie).body.decode()
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    assert sent(csrf=found[1]).status == 303
    assert count(server) == before + 1


def test_every_kind_has_a_form_in_both_languages(server: Serving) -> None:
    for kind, language in product(KINDS, ("en", "zh")):
        page = server.get(f"{NOTICES}/new/{kind}?lang={language}", **token("admin"))
        assert page.status == 200, (kind, language)
        names = set(re.findall(r'<(?:input|textarea|select) id="f-([a-z]+)"', page.body.decode()))
        assert names == {"party", *(field.name for field in fields_of(kind, KNOWN))}
    assert server.get(f"{NOTICES}/new/moon", **token("admin")).status == 404


def test_every_reason_is_told_in_both_languages() -> None:
    values: defaultdict[str, str] = defaultdict(str)
    for code, reason in REASONS.items():
        word = PAGE[f"notice_error.{code}"]
        for text in word:
            assert text.format_map(values)
            assert {name for _, name, *_ in Formatter().parse(text) if name} <= {
                name.partition("!")[0] for _, name, *_ in Formatter().parse(reason) if name
            }


def test_a_form_is_downloaded_signed_with_a_key_and_said(server: Serving, tmp_path: Path) -> None:
    fields = {"id": "M9", "from": clocks(45), "until": clocks(46), "units": "n1.0, n1.1"}
    answer = post(server, "maintenance", {**fields, "do": "download"}, "provider")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="notice-maintenance.json"'
    assert answer.json["said"]["units"] == ["n1.0", "n1.1"]
    file, key = tmp_path / "notice.json", tmp_path / "p.key"
    file.write_bytes(answer.body)
    config = ("--config", server.directory / "config.toml")
    public = weighbridge("party", "key", key).stdout.strip()
    weighbridge("party", "add", "lease", "P", public, *config)
    entry = weighbridge("notice", "sign", file, "--key", key, *config).stdout.split()[1]
    later(server)
    shown = row(server, entry, "lessee")
    assert "maintenance" in shown
    assert "signed" in shown
    assert "excluded" in shown
    assert f"{NOTICES}/new/maintenance_withdrawn?id=M9" in row(server, entry, "provider")
    letter = server.get(f"{NOTICES}/{entry}?lang=zh", **token("lessee"))
    assert "维护通知书" in letter.body.decode()
    assert server.get(f"{NOTICES}/{entry}?format=pdf", **token("lessee")).body[:4] == b"%PDF"
    assert server.get(f"{NOTICES}/0", **token("lessee")).status == 404


def row(server: Serving, entry: str, who: str) -> str:
    """An entry as the list of notices shows it."""
    page = server.get(f"{NOTICES}?lang=en", **token(who)).body.decode()
    return page.partition(f'<tr id="entry-{entry}">')[2].partition("</tr>")[0]


def test_what_is_said_is_listed_with_what_became_of_it(server: Serving) -> None:
    window = {**CAUSE, "from": clocks(25), "until": clocks(26), "do": "attest"}

    def became() -> str:
        return row(server, entry, "auditor")

    entry = post(server, "cause", window, "provider").headers["Location"].partition("said=")[2]
    assert "does not count until the lessee says the same" in became()
    assert "2026-10-26 00:00:00" in became()
    assert "Answer: " not in became()
    offered = re.findall(r'href="([^"]+)">Answer: cause of lost time', row(server, entry, "lessee"))
    form = server.get(html.unescape(offered[0]), **token("lessee")).body.decode()
    for name, value in (("from", window["from"]), ("until", window["until"])):
        assert re.search(rf'id="f-{name}"[^>]* value="{value}"', form)
    assert '<option value="lessee_fault" selected>' in form
    assert "Answer: " not in row(server, entry, "provider")
    shared = {**window, "until": clocks(25, 1)}
    other = post(server, "cause", shared, "lessee").headers["Location"].partition("said=")[2]
    assert f'the other side said the same <a href="#entry-{other}">' in became()


def test_what_comes_too_late_is_said_before_it_is_said(server: Serving) -> None:
    """The last of the module: time goes on to where nothing can change the month any more."""
    moved_to(server, START + timedelta(days=31 + 37))
    page = post(server, "cause", CAUSE | {"until": clocks(22)}, "lessee").body.decode()
    assert "This statement is final: what is said now of its time comes too late." in page
    assert "This changes nothing in the statements shown." in page
    claim = {"period": RUNNING, "unit": "n1.1"}
    moved_to(server, START + timedelta(days=61 + 60) - timedelta(seconds=1))
    in_time = post(server, "claim", claim, "lessee").body.decode()
    assert "claimed in time" in in_time
    assert "lapsed, not claimed" not in in_time
    moved_to(server, START + timedelta(days=61 + 60, seconds=2))
    late = post(server, "claim", claim, "lessee").body.decode()
    assert "lapsed, not claimed" in late
    coming = {"id": "M20", "from": "2027-02-01T00:00:00", "until": "2027-02-02T00:00:00"}
    page = post(server, "maintenance", coming, "provider").body.decode()
    assert "By itself the contract rules on this window: excluded; 1 d of it" in page
    assert "Nothing can be stated yet of 2027-02: it has not begun." in page


def test_a_period_is_closed_by_the_second_side_that_agrees(server: Serving) -> None:
    """After the last: the form offers the digest of the statement that was issued."""
    moved_to(server, START + timedelta(days=125))
    path = f"/v1/contracts/lease/statement?period={RUNNING}"
    assert server.request("POST", path, b"", **token("admin")).status == 200
    later(server)
    form = server.get(f"{NOTICES}/new/period_agreed", **token("lessee")).body.decode()
    [digest] = re.findall(r'<option value="([0-9a-f]{64})">', form)
    fields = {"period": RUNNING, "digest": digest, "at": clocks(125)}
    waits = "one alone changes nothing"
    first = post(server, "period_agreed", fields, "lessee").body.decode()
    assert waits in first
    assert "This changes nothing in the statements shown." in first
    post(server, "period_agreed", {**fields, "do": "attest"}, "lessee")
    later(server)
    before = statement(server, RUNNING)
    second = post(server, "period_agreed", fields, "provider").body.decode()
    assert waits not in second
    post(server, "period_agreed", {**fields, "do": "attest"}, "provider")
    later(server)
    after = statement(server, RUNNING)
    assert "period_agreed" in after["flags"]
    assert unlike(previewed(second, RUNNING)) == unlike(told(before, after))
    closed = post(server, "claim", {"period": RUNNING}, "lessee").body.decode()
    assert "This statement is closed: nothing that is said now changes it." in closed
