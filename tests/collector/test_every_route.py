"""Every route for everybody: who reaches it, by a token and by a login. A new route fails here until it has its row.

docs/protocol.md lists them as the program describes them: WEIGHBRIDGE_WRITE_GOLDEN=1 writes its table anew.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from collector.api.access import token_hash
from tests.collector.building import (
    CONTRACT,
    Agent,
    Answered,
    Serving,
    make_store,
    serving,
    set_config,
    wait_for,
)

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
HEAD = "| route | who | what |\n|---|---|---|\n"
ELSEWHERE = {"/add-checkpoint", "/v1/simulation/clock"}
"""What the page tells of and no real collector serves: a witness's, and a simulation's clock."""

ROLES = {
    "ops": "ops",
    "auditor": "auditor",
    "provider": "provider:P/lease",
    "lessee": "lessee:L/lease",
    "other": "lessee:L/elsewhere",
    "admin": "admin",
}
EVERYBODY = ("nobody", "wrong", *ROLES)
"""Who asks, in the order of a row's letters."""

LETTERS = {401: "-", 403: "x", 404: "0"}
"""Must say who they are; may not; finds nothing. `!`: is answered, be it that what was sent is malformed."""

NAMES = {
    "contract": "lease",
    "node": "n1",
    "gpu": "GPU-n1-0",
    "number": "0",
    "level": "0",
    "tile": "000",
    "file": "style.css",
    "key_id": "0" * 16,
    "id": "none",
    "alert": "WeighbridgeNodeSilent",
    "kind": "claim",
    "entry": "999",
    "index": "1",
}
AS_OF_NO_INSTANT = {"GET /v1/contracts/{contract}/delivery", "GET /contracts/{contract}/delivery"}
"""Asked in a way that is refused to whoever is let in: a process of its own would make each document."""

ROWS = {
    "POST /v1/reports": "!!!!!!!!",
    "POST /v1/enroll": "!!!!!!!!",
    "GET /v1/ca": "!!!!!!!!",
    "GET /v1/ca/next": "00000000",
    "GET /v1/log/head": "--x!!!!!",
    "GET /v1/log/keys": "!!!!!!!!",
    "GET /v1/log/entries": "--x!xxx!",
    "GET /v1/log/proof": "--x!!!!!",
    "GET /healthz": "!!!!!!!!",
    "GET /readyz": "!!!!!!!!",
    "GET /checkpoint": "--x!!!!!",
    "GET /v1/log/cosigning": "--x!!!!!",
    "POST /v1/log/cosignatures": "!!!!!!!!",
    "GET /v1/log/timestamps": "--x!!!!!",
    "GET /tile/entries/{tile}": "--x0xxx0",
    "GET /tile/{level}/{tile}": "--x00000",
    "POST /v1/invites": "--xxxxx!",
    "POST /v1/claims/release": "--xxxxx!",
    "GET /v1/keys": "--xxxxx!",
    "POST /v1/keys/{key_id}/revoke": "--xxxxx0",
    "POST /v1/keys/{key_id}/rotate": "--xxxxx0",
    "POST /v1/retention": "--xxxxx!",
    "GET /v1/clock": "--x!!!!!",
    "POST /v1/clock": "--xxxxx!",
    "GET /v1/contracts": "--x!!!!!",
    "POST /v1/contracts": "--xxxxx!",
    "GET /v1/contracts/{contract}": "--x!!!0!",
    "GET /v1/contracts/{contract}/status": "--x!!!0!",
    "GET /v1/contracts/{contract}/findings": "--x!!!0!",
    "GET /v1/contracts/{contract}/history": "--x!!!0!",
    "GET /v1/contracts/{contract}/timeline": "--x!!!0!",
    "GET /v1/nodes": "--x!!!!!",
    "GET /v1/nodes/{node}": "--x!!!0!",
    "GET /v1/gpus/{gpu}": "--x!!!0!",
    "GET /metrics": "--!!xxx!",
    "GET /metrics/gpus/{number}": "--!!xxx!",
    "GET /v1/sd/prometheus": "--!!xxx!",
    "GET /v1/contracts/{contract}/statement": "--x!!!0!",
    "POST /v1/contracts/{contract}/statement": "--xxxxx!",
    "GET /v1/contracts/{contract}/delivery": "--x!!!0!",
    "GET /v1/contracts/{contract}/acceptance": "--x!!!0!",
    "GET /v1/contracts/{contract}/contested": "--x!!!0!",
    "GET /v1/audit": "--x!!!!!",
    "GET /v1/contracts/{contract}/claims": "--x!!!0!",
    "POST /v1/notices": "--xx!!!!",
    "GET /v1/contracts/{contract}/notices": "--x!!!0!",
    "GET /v1/contracts/{contract}/parties": "--x!!!0!",
    "POST /v1/contracts/{contract}/parties": "--xxxxx!",
    "GET /v1/agent/commands": "!!!!!!!!",
    "POST /v1/challenges/{id}/ready": "!!!!!!!!",
    "POST /v1/challenges/{id}/roots": "!!!!!!!!",
    "POST /v1/challenges/{id}/openings": "!!!!!!!!",
    "POST /v1/challenges": "--xxxxx!",
    "GET /v1/challenges/{id}": "--x00000",
    "POST /v1/attestations/{id}/evidence": "!!!!!!!!",
    "POST /v1/attestations": "--xxxxx!",
    "GET /v1/attestations/{id}": "--x00000",
    "GET /": "--x!!!!!",
    "GET /contracts/{contract}": "--x!!!0!",
    "GET /audit": "--x!!!!!",
    "GET /nodes/{node}": "--x!!!0!",
    "GET /static/{file}": "!!!!!!!!",
    "GET /login": "!!!!!!!!",
    "POST /login": "--------",
    "GET /login/openid": "00000000",
    "GET /login/openid/answer": "00000000",
    "POST /logout": "--!!!!!!",
    "GET /v1/openapi.json": "!!!!!!!!",
    "GET /v1/status": "--x!!!!!",
    "GET /v1/contracts/{contract}/letter": "--x!!!0!",
    "GET /v1/contracts/{contract}/bundle": "--x!!!0!",
    "POST /v1/contracts/{contract}/withdraw": "--xxxxx!",
    "GET /contracts/{contract}/statement": "--x!!!0!",
    "GET /contracts/{contract}/letter": "--x!!!0!",
    "GET /contracts/{contract}/delivery": "--x!!!0!",
    "GET /contracts/{contract}/acceptance": "--x!!!0!",
    "GET /contracts/{contract}/outage": "--x00000",
    "GET /contracts/{contract}/notices": "--x!!!0!",
    "GET /contracts/{contract}/notices/{entry}": "--x00000",
    "GET /contracts/{contract}/notices/new/{kind}": "--xx0!0!",
    "POST /contracts/{contract}/notices/new/{kind}": "--xx0!0!",
    "GET /nodes/{node}/gpus/{gpu}": "--x!!!0!",
    "GET /log": "--x!!!!!",
    "GET /log/entries/{index}": "--x!!!x!",
    "GET /log/entries/{index}/proof": "--x!!!!!",
    "GET /runbooks/{alert}": "!!!!!!!!",
}
OPEN = [row for row, letters in ROWS.items() if len(set(letters)) == 1]


class Clients:
    """Everybody who asks one collector: by a token, or by a login, which lasts until it is asked to end."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        self._connection = server.connect()
        self._logins: dict[str, dict[str, str]] = {}

    def ask(self, row: str, headers: Mapping[str, str]) -> str:
        method, path = row.split()
        filled = re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path)
        filled += "?as_of=never" if row in AS_OF_NO_INSTANT else ""
        body = b"{}" if method == "POST" else None
        self._connection.request(method, filled, body, dict(headers))
        answer = self._connection.getresponse()
        answer.read()
        return LETTERS.get(answer.status, "!")

    def whole(self, path: str, headers: Mapping[str, str]) -> Answered:
        """The answer to a question for a path as it is."""
        self._connection.request("GET", path, headers=dict(headers))
        return Answered(self._connection.getresponse())

    def token(self, who: str) -> dict[str, str]:
        return {} if who == "nobody" else {"Authorization": f"Bearer {who}"}

    def login(self, who: str) -> dict[str, str]:
        """The cookie of a login, and what its pages know."""
        if who not in self._logins:
            sent, form = urlencode({"token": who}).encode(), "application/x-www-form-urlencoded"
            answer = self.server.request("POST", "/login", sent, Content_Type=form)
            (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
            known = {"Cookie": f"{cookie.key}={cookie.value}"}
            page = self.server.get("/login", **known).body.decode()
            found = re.search(r'name="csrf" value="([^"]+)"', page)
            assert found is not None
            self._logins[who] = known | {"X-CSRF-Token": found[1]}
        return self._logins[who]

    def close(self) -> None:
        self._connection.close()

    def forget_logins(self) -> None:
        self._logins.clear()


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    directory = tmp_path_factory.mktemp("routes") / "store"
    agent = Agent("n1", gpus=1)
    make_store(directory, [agent], CONTRACT, heard=True)
    tokens = (f'{{sha256 = "{token_hash(who)}", role = "{role}"}}' for who, role in ROLES.items())
    set_config(directory, open_on_loopback="false", tokens=f"[{', '.join(tokens)}]")
    with serving(directory) as running:
        assert running.report(agent.next(inventory=agent.inventory())).status == 200
        made = Clients(running)
        wait_for(lambda: made.ask("GET /v1/gpus/{gpu}", made.token("admin")) == "!", "GPU")
        yield made
        made.close()


@pytest.fixture(scope="module")
def described(clients: Clients) -> dict[str, dict[str, Any]]:
    """What the program says of each of its routes."""
    paths = clients.server.get("/v1/openapi.json").json["paths"]
    told = [(way, path, says) for path, ways in paths.items() for way, says in ways.items()]
    return {f"{way.upper()} {path}": says for way, path, says in told}


def line(route: str, says: dict[str, Any]) -> str:
    """A route as the page lists it."""
    query = "&".join(f"{one['name']}=" for one in says["parameters"] if one["in"] == "query")
    return f"| `{route}{'?' if query else ''}{query}` | {says['x-access']} | {says['summary']} |\n"


def test_every_route_has_its_row(described: dict[str, dict[str, Any]]) -> None:
    assert described.keys() == ROWS.keys()


def test_the_page_of_the_protocol_lists_every_route(described: dict[str, dict[str, Any]]) -> None:
    made = "".join(line(route, described[route]) for route in sorted(described, key=by_path))
    before, _, listed = PROTOCOL.read_text().partition(HEAD)
    if "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ:
        PROTOCOL.write_text(f"{before}{HEAD}{made}")
        listed = made
    assert listed == made


def by_path(route: str) -> tuple[str, str]:
    method, path = route.split()
    return path, method


def test_the_page_of_the_protocol_tells_of_no_other_route(
    described: dict[str, dict[str, Any]],
) -> None:
    before, _, _ = PROTOCOL.read_text().partition(HEAD)
    told = set(re.findall(r"(GET|POST) (/[^\s`?\[]*)", before))
    served = [re.sub(r"{\w+}", "[^/]+", route) for route in described]
    assert [
        f"{method} {path}"
        for method, path in sorted(told)
        if path not in ELSEWHERE
        and not any(re.fullmatch(one, f"{method} {path}") for one in served)
    ] == []


@pytest.mark.parametrize("row", ROWS)
def test_who_reaches_a_route_by_a_token(clients: Clients, row: str) -> None:
    assert "".join(clients.ask(row, clients.token(who)) for who in EVERYBODY) == ROWS[row]


@pytest.mark.parametrize("row", ROWS)
def test_a_login_reaches_what_its_token_reaches(clients: Clients, row: str) -> None:
    shown = "".join(clients.ask(row, clients.login(who)) for who in ROLES)
    if row == "POST /logout":
        clients.forget_logins()
    assert shown == ROWS[row][-len(ROLES) :]


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("POST")])
def test_no_page_of_anybody_else_changes_anything_by_a_login(clients: Clients, row: str) -> None:
    """What is open to all takes no notice of who asks, but for logins themselves."""
    for who in ROLES:
        known = {"Cookie": clients.login(who)["Cookie"]}
        assert clients.ask(row, known) == (ROWS[row][0] if row in OPEN else "x")


ODD = (
    "0001-01",
    "0001-Q1",
    "٢٠٢٦-10",
    "9999-12",
    f"{0:017}99999",
    5000 * "9",
    3000 * "[",
    "0001-01-01T00:00:00Z",
    "\x00\u2028'\"<",
)
"""What no part of an address is meant to be."""

SAID = {"kind": "claim", "period": "2026-01", "unit": None, "objective": None}


def odd_paths(path: str, query: Sequence[str]) -> Iterator[str]:
    """The path of a route with each of its parts in turn as none is meant to be."""
    sound = re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path)
    needed = {name: "2026-01" for name in query if name == "period"}
    for odd in ODD:
        for part in re.findall(r"{(\w+)}", path):
            others = {**NAMES, part: quote(odd, safe="[")}
            yield re.sub(r"{(\w+)}", lambda name, filled=others: filled[name[1]], path)  # type: ignore[misc]
        for name in query:
            yield f"{sound}?{urlencode({**needed, name: odd}, safe='[')}"


def test_no_address_is_so_odd_that_a_route_fails(clients: Clients) -> None:
    """Each is answered, and as what it is: a refusal that says what is wrong."""
    notice = json.dumps({"contract": "lease", "party": "L", "said": SAID}).encode()
    said = clients.server.request("POST", "/v1/notices", notice, Authorization="Bearer lessee")
    assert said.status == 200, said.body
    failed = []
    for path, ways in clients.server.get("/v1/openapi.json").json["paths"].items():
        named = [one for one in ways.get("get", {}).get("parameters", ()) if one["in"] == "query"]
        query = [one["name"] for one in named if one["name"] not in ("lang", "format")]
        for asked in odd_paths(path, query) if "get" in ways else ():
            answer = clients.whole(asked, clients.token("admin"))
            failed += [(asked, answer.status)] if answer.status >= 500 else []
    assert failed == []


@pytest.mark.parametrize("period", ["0001-01", "0001-Q1", "٢٠٢٦-10", "9999-12"])
def test_a_period_outside_the_calendar_is_said_of_nothing(clients: Clients, period: str) -> None:
    details = {"period": period, "amount": "1", "reason": "r"}
    event = {"kind": "event", "event": "credit_paid", "at_us": 1, "since_us": None, "unit": ""}
    for who, party, said in (
        ("lessee", "L", {**SAID, "period": period}),
        ("provider", "P", {**event, "details": details}),
    ):
        notice = json.dumps({"contract": "lease", "party": party, "said": said}).encode()
        answer = clients.server.request(
            "POST", "/v1/notices", notice, Authorization=f"Bearer {who}"
        )
        assert answer.status == 400, answer.body


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/", "no-store"),
        ("/v1/contracts/lease", "no-store"),
        ("/v1/contracts/lease/statement?period=2026-01&format=html", "no-store"),
        ("/v1/contracts/lease/statement?period=2026-01&format=csv", "no-store"),
        ("/v1/contracts/elsewhere", "no-store"),
        ("/static/style.css", "max-age=86400"),
    ],
)
def test_a_browser_shows_an_answer_as_what_it_is_and_runs_nothing_of_it(
    clients: Clients, path: str, kept: str
) -> None:
    answer = clients.whole(path, clients.token("lessee"))
    guards = [answer.headers[name] for name in ("X-Content-Type-Options", "Cache-Control")]
    assert guards == ["nosniff", kept]
    loads = answer.headers["Content-Security-Policy"] or ""
    assert loads.startswith("default-src 'none'") == answer.body.startswith(b"<!doctype html>")
