"""People log in by a token: what a login reaches, how it ends, and that nobody else's page can use it."""

import re
from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from collector.api import sessions as kept
from collector.api.access import GATE, Bearer, Gate, Session, granted, token_hash
from collector.api.forms import FORM, MOST_FORM_BYTES
from collector.api.guesses import MOST_ADDRESSES, MOST_GUESSES, SECONDS_EACH, Guesses
from collector.api.sessions import IDLE_SECONDS, LIFE_SECONDS, MOST_OF_ONE, Sessions
from collector.web.login import own_path
from tests.collector.building import CONTRACT, Answered, Serving, make_store, serving, set_config

ROLES = {"a-token": "admin", "o-token": "ops", "l-token": "lessee:L/lease"}
TOKENS = ", ".join(
    f'{{sha256 = "{token_hash(token)}", role = "{role}", name = "{role[0]}. <Name>"}}'
    for token, role in ROLES.items()
)
BROWSER = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = make_store(tmp_path_factory.mktemp("login") / "store", contract=CONTRACT)
    set_config(
        directory, open_on_loopback="false", tokens=f"[{TOKENS}]", trusted_proxies='["127.0.0.1"]'
    )
    with serving(directory) as running:
        yield running


def post(server: Serving, path: str, fields: dict[str, str], **headers: str) -> Answered:
    content = urlencode(fields).encode()
    return server.request("POST", path, content, Content_Type=FORM, **BROWSER, **headers)


def handed_out(answer: Answered) -> Morsel[str]:
    (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return cookie


def logged_in(server: Serving, token: str, **headers: str) -> dict[str, str]:
    answer = post(server, "/login", {"token": token}, **headers)
    assert answer.status == 303, answer.body
    cookie = handed_out(answer)
    return BROWSER | {"Cookie": f"{cookie.key}={cookie.value}"}


def csrf(page: Answered) -> str:
    found = re.search(rb'name="csrf" value="([^"]+)"', page.body)
    assert found is not None, page.body
    return found[1].decode()


def test_who_is_not_known_logs_in_and_comes_back_to_where_they_were(closed: Serving) -> None:
    refused = closed.get("/contracts/lease?lang=zh", **BROWSER)
    to = "/login?next=%2Fcontracts%2Flease%3Flang%3Dzh"
    assert (refused.status, refused.headers["Location"]) == (303, to)
    page = closed.get(to, **BROWSER)
    assert b'name="next" value="/contracts/lease?lang=zh"' in page.body
    answer = post(closed, "/login", {"token": " l-token\n", "next": "/contracts/lease?lang=zh"})
    assert (answer.status, answer.headers["Location"]) == (303, "/contracts/lease?lang=zh")
    shown = closed.get("/contracts/lease", **logged_in(closed, "l-token"))
    assert shown.status == 200
    assert "<b>l. &lt;Name&gt;</b> · lessee" in shown.body.decode()


def test_a_program_is_told_that_it_needs_a_token_and_sent_nowhere(closed: Serving) -> None:
    assert closed.get("/contracts/lease").status == 401
    assert closed.get("/v1/log/head", **BROWSER).status == 401
    assert closed.get("/contracts/lease", Authorization="Bearer wrong", **BROWSER).status == 401


@pytest.mark.parametrize(
    ("asked", "goal"),
    [
        ("/", "/"),
        ("/nodes/a%2Fb?x=1#y", "/nodes/a%2Fb?x=1#y"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("/\t/elsewhere.example", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/合同", "/"),
        ("/%E5%90%88", "/%E5%90%88"),
        ("/x\\y", "/"),
        ("/" + 1000 * "x", "/" + 1000 * "x"),
        ("/" + 1001 * "x", "/"),
        ("https://elsewhere.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("login", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_to_addresses_of_ours_alone(asked: str, goal: str) -> None:
    assert own_path(asked) == goal


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"token=a-token&x=%ff", 400),
        (b"token=a-token" + 199 * b"&x", 303),
        (b"token=a-token" + 200 * b"&x", 400),
        (b"token=a-token&x=".ljust(MOST_FORM_BYTES, b"x"), 303),
        (b"token=a-token&x=".ljust(MOST_FORM_BYTES + 1, b"x"), 413),
    ],
    ids=range(5),
)
def test_a_form_is_read_within_bounds(closed: Serving, sent: bytes, status: int) -> None:
    assert closed.request("POST", "/login", sent, Content_Type=FORM).status == status


def test_a_wrong_token_begins_nothing(closed: Serving) -> None:
    answer = post(closed, "/login", {"token": "wrong"}, X_Forwarded_For="10.0.0.1")
    assert (answer.status, answer.headers["Set-Cookie"]) == (401, None)
    assert b"This token is not known" in answer.body
    answer = post(
        closed, "/login", {"token": "wrong", "next": "/log?a=b"}, X_Forwarded_For="10.0.0.1"
    )
    assert b'href="?next=/log?a%3Db&amp;lang=zh"' in answer.body, (
        "the other language leads there too"
    )
    assert b"wrong" not in answer.body


def test_whoever_guesses_waits_and_nobody_else_does(closed: Serving) -> None:
    def tried(token: str, address: str) -> Answered:
        return post(closed, "/login", {"token": token}, X_Forwarded_For=address)

    guesses = [tried("wrong", "10.0.0.2").status for _ in range(MOST_GUESSES + 1)]
    assert guesses == [401] * MOST_GUESSES + [429]
    waits = tried("a-token", "10.0.0.2")
    assert waits.status == 429
    assert 0 < int(waits.headers["Retry-After"]) <= SECONDS_EACH
    assert tried("a-token", "10.0.0.3").status == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(closed: Serving) -> None:
    plain = handed_out(post(closed, "/login", {"token": "a-token"}))
    assert (plain["httponly"], plain["samesite"], plain["path"]) == (True, "Lax", "/")
    assert (plain.key, plain["secure"]) == ("weighbridge-session", "")
    by_tls = handed_out(post(closed, "/login", {"token": "a-token"}, X_Forwarded_Proto="https"))
    assert (by_tls.key, by_tls["secure"]) == ("__Host-weighbridge-session", True)


def test_what_a_login_sends_carries_what_its_own_pages_know(closed: Serving) -> None:
    known, other = logged_in(closed, "a-token"), logged_in(closed, "a-token")
    own = csrf(closed.get("/", **known))
    bad = [None, "", "x", csrf(closed.get("/", **other))]
    for shown in bad:
        header = {} if shown is None else {"X-CSRF-Token": shown}
        assert closed.request("POST", "/v1/invites", b"{}", **known, **header).status == 403
        fields = {} if shown is None else {"csrf": shown}
        assert post(closed, "/logout", fields, Cookie=known["Cookie"]).status == 403
    taken = closed.request("POST", "/v1/invites", b"{}", **known, X_CSRF_Token=own)
    assert taken.status == 400
    assert (
        closed.request("POST", "/v1/invites", b"{}", Authorization="Bearer a-token").status == 400
    )


def test_a_notice_by_a_login_carries_it_too(closed: Serving) -> None:
    known, notice = logged_in(closed, "l-token"), b'{"contract":"lease","party":"L","said":{}}'
    assert closed.request("POST", "/v1/notices", notice, **known).status == 403
    own = csrf(closed.get("/", **known))
    assert closed.request("POST", "/v1/notices", notice, **known, X_CSRF_Token=own).status == 400


def test_who_logs_out_is_out(closed: Serving) -> None:
    known = logged_in(closed, "a-token")
    own = csrf(closed.get("/", **known))
    answer = post(closed, "/logout", {"csrf": own}, Cookie=known["Cookie"])
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert handed_out(answer).value == ""
    assert closed.get("/", Cookie=known["Cookie"]).status == 401


def test_a_login_begins_anew_whatever_the_browser_held(closed: Serving) -> None:
    known = logged_in(closed, "a-token")
    planted = BROWSER | {"Cookie": "weighbridge-session=planted"}
    assert logged_in(closed, "a-token", Cookie=planted["Cookie"]) != planted
    logged_in(closed, "l-token", Cookie=known["Cookie"])
    assert closed.get("/", Cookie=known["Cookie"]).status == 401


def test_a_form_of_another_site_logs_nobody_in(closed: Serving) -> None:
    foreign = post(closed, "/login", {"token": "a-token"}, Origin="https://elsewhere.example")
    assert foreign.status == 403


def test_who_reads_no_page_is_led_to_none(closed: Serving) -> None:
    answer = post(closed, "/login", {"token": "o-token"})
    assert answer.headers["Location"] == "/login"
    assert b"You are logged in" in closed.get("/login", **logged_in(closed, "o-token")).body


def test_a_token_that_is_taken_out_ends_its_logins_at_the_next_start(tmp_path: Path) -> None:
    directory = make_store(tmp_path / "store")
    set_config(directory, open_on_loopback="false", tokens=f"[{TOKENS}]")
    with serving(directory) as server:
        known = logged_in(server, "a-token")
        assert server.get("/", **known).status == 200
    set_config(directory, open_on_loopback="false", tokens="[]")
    with serving(directory) as server:
        assert server.get("/", Cookie=known["Cookie"]).status == 401


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


ADMIN, LESSEE = granted(["admin"]), granted(["lessee:L/K"])


def browser(session: Session) -> web.Request:
    application = web.Application()
    application[GATE] = Gate({}, open_on_loopback=False)
    headers = {"Cookie": f"weighbridge-session={session.key}"}
    return make_mocked_request("GET", "/", headers=headers, app=application)


def bearer_of(made: Sessions, session: Session) -> Bearer | None:
    found = made.of(browser(session))
    return None if found is None else found.bearer


def test_a_login_that_nobody_uses_ends_and_so_does_one_that_is_always_used() -> None:
    clock = Clock()
    made = Sessions(clock)
    idle, used = made.begin(ADMIN), made.begin(ADMIN)
    begun = clock.now
    clock.now = begun + IDLE_SECONDS - 1
    assert bearer_of(made, used) == ADMIN
    clock.now = begun + IDLE_SECONDS
    assert bearer_of(made, idle) is None
    while clock.now < begun + LIFE_SECONDS - IDLE_SECONDS:
        clock.now += IDLE_SECONDS / 2
        assert bearer_of(made, used) == ADMIN
    clock.now = begun + LIFE_SECONDS - 1
    assert bearer_of(made, used) == ADMIN
    clock.now = begun + LIFE_SECONDS
    assert bearer_of(made, used) is None


def test_one_person_takes_no_place_of_anothers_login() -> None:
    made = Sessions(Clock())
    other = made.begin(LESSEE)
    mine = [made.begin(ADMIN) for _ in range(MOST_OF_ONE)]
    assert bearer_of(made, mine[0]) == ADMIN
    made.begin(ADMIN)
    assert bearer_of(made, mine[1]) is None
    assert bearer_of(made, mine[0]) == ADMIN
    assert bearer_of(made, other) == LESSEE


def test_of_all_logins_the_one_that_was_used_longest_ago_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST_SESSIONS", 3)
    made = Sessions(Clock())
    people = [granted([f"lessee:L/K-{number}"]) for number in range(4)]
    logins = [made.begin(one) for one in people[:3]]
    assert bearer_of(made, logins[0]) == people[0]
    logins.append(made.begin(people[3]))
    assert [bearer_of(made, one) is not None for one in logins] == [True, False, True, True]


def test_a_guess_comes_back_after_its_time_and_not_before() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(MOST_GUESSES):
        assert guesses.wait_seconds("a") == 0
        guesses.wrong("a")
    assert guesses.wait_seconds("a") == SECONDS_EACH
    clock.now += SECONDS_EACH - 1
    assert guesses.wait_seconds("a") == 1
    clock.now += 1
    assert (guesses.wait_seconds("a"), guesses.wait_seconds("b")) == (0, 0)


def test_addresses_that_guess_are_remembered_up_to_a_number() -> None:
    guesses = Guesses(Clock())
    for _ in range(MOST_GUESSES):
        guesses.wrong("first")
    for number in range(MOST_ADDRESSES - 1):
        guesses.wrong(str(number))
    assert guesses.wait_seconds("first") > 0
    guesses.wrong("last")
    assert guesses.wait_seconds("first") == 0
