"""Logging in by OpenID Connect: against a certified provider, and what one that errs or lies gets nobody into."""

import asyncio
import contextlib
import html
import re
import shutil
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from collector.api import openid
from collector.api.access import Grant, Role, token_hash
from collector.api.openid import (
    ASKED_AT_ONCE,
    DISCOVERED_SECONDS,
    LEEWAY_SECONDS,
    MOST_WAITING,
    ON_THE_WAY_SECONDS,
    SILENT_SECONDS,
    OpenId,
    Provider,
    ProviderSilentError,
    RefusedLoginError,
    Rule,
)
from tests.collector.building import CONTRACT, Serving, make_store, serving, set_config

HERE = Path(__file__).parent / "openid"
NOW_S = 1_800_000_000
NO_ALGORITHM = b'{"alg":"none"}'
LESSEE = frozenset({Grant(Role.LESSEE, "L", "lease")})
RULES = (
    Rule("email", "li@lessee.example", LESSEE),
    Rule("groups", "keepers", frozenset({Grant(Role.ADMIN)})),
)


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Scripted:
    """A provider that signs whatever `claims` says, with `key`, and publishes `keys`."""

    def __init__(self) -> None:
        self.key: RSAKey | ECKey | OctKey = RSAKey.generate_key(2048, {"kid": "1"})
        self.keys: list[RSAKey | ECKey | OctKey] = [self.key]
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "1"}
        self.claims: dict[str, Any] = {}
        self.told: dict[str, Any] = {"sub": "7", "email": "li@lessee.example"}
        self.told["email_verified"] = True
        self.unsigned = False
        self.token_status = 200
        self.sent: Mapping[str, Any] = {}
        self.issuer = ""
        self.more: dict[str, Any] = {}
        """What else it publishes of itself."""
        self.published_keys: Any = None
        self.discovered = 0
        self.asked: Callable[[None], Awaitable[None]] | None = None
        self.speaks = asyncio.Event()
        self.speaks.set()

    async def discovery(self, request: web.Request) -> web.Response:
        del request
        self.discovered += 1
        await self.speaks.wait()
        places = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
        places["userinfo_endpoint"] = "me"
        found = {name: f"{self.issuer}/{place}" for name, place in places.items()}
        return web.json_response({"issuer": self.issuer} | found | self.more)

    async def token(self, request: web.Request) -> web.Response:
        self.sent = dict(await request.post())
        if self.asked is not None:
            await self.asked(None)
        await self.speaks.wait()
        signed = jwt.encode(self.header, self.claims, self.key, [self.header["alg"]])
        if self.unsigned:
            claims = signed.split(".")[1]
            signed = f"{b64(NO_ALGORITHM)}.{claims}."
        answer = {"id_token": signed, "access_token": "a"}
        return web.json_response(answer, status=self.token_status)

    async def published(self, request: web.Request) -> web.Response:
        del request
        if self.published_keys is not None:
            return web.json_response(self.published_keys)
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def me(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.told)


class Way:
    """One login at a scripted provider, from its beginning to the provider's answer."""

    provider: Provider

    def __init__(self, config: OpenId, scripted: Scripted, there: str) -> None:
        asked = {name: value for name, (value,) in parse_qs(urlsplit(there).query).items()}
        self.config = config
        self.scripted = scripted
        self.asked = asked
        self.cookie = ""
        self.answer = {"code": "c", "state": asked["state"], "iss": scripted.issuer}

    def says(self, **claims: Any) -> None:
        """The claims of the ID token, with changes; None: without."""
        sound = {"iss": self.scripted.issuer, "aud": "weighbridge", "sub": "7"}
        timed = {"iat": NOW_S, "exp": NOW_S + 300, "nonce": self.asked["nonce"]}
        changed = sound | timed | claims
        self.scripted.claims = {name: it for name, it in changed.items() if it is not None}

    async def end(self) -> tuple[Any, str]:
        begun = self.provider.answered(self.answer, self.cookie)
        arrival = await self.provider.finish(begun, self.answer["code"])
        return arrival.bearer, arrival.goal


class Clock:
    def __init__(self) -> None:
        self.now = NOW_S

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def way(clock: Clock) -> AsyncIterator[Way]:
    scripted = Scripted()
    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", scripted.discovery)
    application.router.add_post("/token", scripted.token)
    application.router.add_get("/keys", scripted.published)
    application.router.add_get("/me", scripted.me)
    async with TestServer(application) as server:
        scripted.issuer = str(server.make_url("")).rstrip("/")
        config = OpenId(
            scripted.issuer,
            "weighbridge",
            None,
            "https://collector.example/login/openid/answer",
            "Example",
            ("openid", "email"),
            RULES,
        )
        provider = Provider(config, clock, time.monotonic)
        there, cookie = await provider.begin("/contracts/lease")
        made = Way(config, scripted, there)
        made.provider, made.cookie = provider, cookie
        made.says()
        yield made


async def test_who_comes_back_is_who_the_provider_says(way: Way) -> None:
    bearer, goal = await way.end()
    assert (bearer.grants, goal) == (LESSEE, "/contracts/lease")
    assert way.scripted.sent["code"] == "c"
    assert way.asked["code_challenge_method"] == "S256"
    assert len(way.scripted.sent["code_verifier"]) == 43


Change = Callable[[Way], None]


def other_key(way: Way) -> None:
    way.scripted.key = RSAKey.generate_key(2048, {"kid": "1"})


def unknown_key(way: Way) -> None:
    way.scripted.header = {"alg": "RS256", "kid": "2"}


def shared_secret(way: Way) -> None:
    """A secret in place of a key that the provider alone has."""
    way.scripted.key = OctKey.generate_key(256)
    way.scripted.header = {"alg": "HS256", "kid": "1"}


def unsigned(way: Way) -> None:
    way.scripted.unsigned = True


def someone_else(way: Way) -> None:
    way.scripted.told["sub"] = "8"


def nobody(way: Way) -> None:
    way.scripted.told["email_verified"] = False


def no_code(way: Way) -> None:
    way.scripted.token_status = 400


REFUSED: list[tuple[Change, str]] = [
    (lambda way: way.says(nonce="other"), "nonce"),
    (lambda way: way.says(nonce=None), "nonce"),
    (lambda way: way.says(aud="another"), "aud"),
    (lambda way: way.says(aud=["another"]), "aud"),
    (lambda way: way.says(aud=["weighbridge", "another"], azp="another"), "azp"),
    (lambda way: way.says(iss="https://elsewhere.example"), "iss"),
    (lambda way: way.says(sub=None), "sub"),
    (lambda way: way.says(exp=NOW_S - LEEWAY_SECONDS), "exp"),
    (lambda way: way.says(exp=None), "exp"),
    (lambda way: way.says(iat=NOW_S + LEEWAY_SECONDS + 1), "in the future"),
    (lambda way: way.says(nbf=NOW_S + LEEWAY_SECONDS + 1), "not yet valid"),
    (other_key, "does not hold"),
    (unknown_key, "No key for kid"),
    (shared_secret, "does not hold"),
    (unsigned, "does not hold"),
    (someone_else, "two people"),
    (nobody, "nothing here is granted"),
    (no_code, "answers 400"),
    (lambda way: way.answer.update(state="other"), "not one to this login"),
    (lambda way: way.answer.update(iss="https://elsewhere.example"), "another provider"),
    (lambda way: way.answer.update(error="access_denied"), "access_denied"),
    (lambda way: way.answer.update(state="\ud800"), "not one to this login"),
    (lambda way: setattr(way, "cookie", "another"), "not begun here"),
    (lambda way: setattr(way, "cookie", "合同\udcff"), "not begun here"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=range(len(REFUSED)))
async def test_a_word_that_is_not_this_providers_for_this_login_logs_nobody_in(
    way: Way, change: Change, said: str
) -> None:
    change(way)
    with pytest.raises(RefusedLoginError, match=said):
        await way.end()


async def test_a_clock_that_is_a_minute_off_keeps_nobody_out(way: Way) -> None:
    way.says(exp=NOW_S - LEEWAY_SECONDS + 1)
    assert (await way.end())[0].grants == LESSEE
    way.says(iat=NOW_S + LEEWAY_SECONDS, nbf=NOW_S + LEEWAY_SECONDS)
    assert (await way.end())[0].grants == LESSEE


async def test_who_takes_ten_minutes_at_the_provider_comes_back_and_who_takes_longer_begins_anew(
    way: Way, clock: Clock
) -> None:
    clock.now += ON_THE_WAY_SECONDS
    way.says(iat=clock.now, exp=clock.now + 300)
    await way.end()
    clock.now += 1
    with pytest.raises(RefusedLoginError, match="too long ago"):
        await way.end()


async def test_the_key_of_today_counts_and_that_of_yesterday_no_more(way: Way) -> None:
    await way.end()
    former = way.scripted.key
    way.scripted.key = ECKey.generate_key("P-256", {"kid": "2"})
    way.scripted.keys, way.scripted.header = [way.scripted.key], {"alg": "ES256", "kid": "2"}
    await way.end()
    way.scripted.key, way.scripted.header = former, {"alg": "RS256", "kid": "1"}
    with pytest.raises(RefusedLoginError):
        await way.end()


async def test_each_rule_that_fits_grants_and_a_claim_may_be_a_list(way: Way) -> None:
    way.says(groups=["staff", "keepers"])
    bearer, _ = await way.end()
    assert bearer.roles == {Role.LESSEE, Role.ADMIN}
    way.says(groups="keepers of cats")
    bearer, _ = await way.end()
    assert bearer.roles == {Role.LESSEE}


@pytest.mark.parametrize("keys", [{}, {"keys": 1}, {"keys": "x"}, {"keys": [1]}, {"keys": [{}]}])
async def test_keys_that_are_none_verify_nothing(way: Way, keys: Any) -> None:
    way.scripted.published_keys = keys
    with pytest.raises(RefusedLoginError, match="does not hold"):
        await way.end()


async def test_what_is_told_of_a_person_is_asked_for_as_guarded_as_all_else(way: Way) -> None:
    way.scripted.more = {"userinfo_endpoint": "ftp://elsewhere.example/me"}
    provider = Provider(way.config, lambda: NOW_S, time.monotonic)
    with pytest.raises(ProviderSilentError, match="names no userinfo_endpoint"):
        await provider.begin("/")


async def test_a_name_is_short_and_reads_as_it_is(way: Way) -> None:
    way.says(name="Li\u202e" + 200 * "i")
    bearer, _ = await way.end()
    assert bearer.person == "Li\\u202e" + 125 * "i"


async def test_strangers_who_begin_logins_ask_a_slow_provider_once(way: Way) -> None:
    """Each would hold a connection of ours else, until none is left for anybody."""
    way.scripted.speaks.clear()
    provider = Provider(way.config, lambda: NOW_S, time.monotonic)
    before = way.scripted.discovered
    begun = [asyncio.create_task(provider.begin("/")) for _ in range(MOST_WAITING + 100)]
    refused, waiting = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    while len(waiting) > MOST_WAITING:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        refused |= more
    assert {str(one.exception()) for one in refused} == {"too many logins wait for the provider"}
    way.scripted.speaks.set()
    await asyncio.gather(*waiting)
    assert way.scripted.discovered - before == 1
    await provider.begin("/")


async def test_what_a_provider_says_of_itself_is_asked_for_again_after_a_while(way: Way) -> None:
    """And of one that names nothing of use sooner; whoever asks within that is told the same."""
    now = [0.0]
    provider = Provider(way.config, lambda: NOW_S, lambda: now[0])

    async def asked_at(at_s: float, error: str | None = None) -> int:
        now[0], before = at_s, way.scripted.discovered
        with (
            contextlib.nullcontext()
            if error is None
            else pytest.raises(ProviderSilentError, match=error)
        ):
            await provider.begin("/")
        return way.scripted.discovered - before

    way.scripted.more = {"issuer": "another"}
    found = [await asked_at(at_s, "another") for at_s in (0, 0.9 * SILENT_SECONDS)]
    way.scripted.more = {}
    end_s = SILENT_SECONDS + DISCOVERED_SECONDS
    found += [await asked_at(at_s) for at_s in (SILENT_SECONDS, end_s - 0.1, end_s)]
    assert found == [1, 0, 1, 0, 1]


async def test_so_many_questions_are_under_way_at_a_time(way: Way) -> None:
    asked, begun = asyncio.Queue[None](), way.provider.answered(way.answer, way.cookie)
    way.scripted.asked = asked.put
    way.scripted.speaks.clear()
    ends = [asyncio.create_task(way.provider.finish(begun, "c")) for _ in range(ASKED_AT_ONCE + 1)]
    for _ in range(ASKED_AT_ONCE):
        await asked.get()
    async with aiohttp.ClientSession() as later, later.get(f"{way.scripted.issuer}/keys") as keys:
        assert keys.status == 200
    assert asked.empty(), "one more would have come before what was asked later"
    way.scripted.speaks.set()
    assert [one.bearer.grants for one in await asyncio.gather(*ends)] == [LESSEE] * len(ends)


async def test_a_provider_that_fails_is_silent(way: Way) -> None:
    way.scripted.token_status = 500
    with pytest.raises(ProviderSilentError, match="answers 500"):
        await way.end()


HOME = "client_id=weighbridge&post_logout_redirect_uri=https%3A%2F%2Fcollector.example%2Flogin"


@pytest.mark.parametrize(
    ("endpoint", "hint", "there"),
    [
        ("https://id.example/end", "a.b.c", f"https://id.example/end?{HOME}&id_token_hint=a.b.c"),
        ("https://id.example/end?a=b", "", f"https://id.example/end?a=b&{HOME}"),
        (None, "a.b.c", None),
        ("ftp://id.example/end", "a.b.c", None),
        ("javascript:alert(1)", "a.b.c", None),
        ("https://id.example/\r\nSet-Cookie: a=b", "a.b.c", None),
    ],
)
async def test_who_logs_out_is_led_to_where_the_provider_ends_its_session(
    way: Way, clock: Clock, endpoint: str | None, hint: str, there: str | None
) -> None:
    way.scripted.more = {"end_session_endpoint": endpoint}
    assert await Provider(way.config, clock, time.monotonic).ending(hint) == there


async def test_an_id_token_that_no_address_could_carry_is_not_kept(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hint() -> str:
        begun = way.provider.answered(way.answer, way.cookie)
        return (await way.provider.finish(begun, way.answer["code"])).hint

    token = await hint()
    assert token.count(".") == 2
    monkeypatch.setattr(openid, "MOST_HINT", len(token))
    assert await hint() == token
    monkeypatch.setattr(openid, "MOST_HINT", len(token) - 1)
    assert await hint() == ""


TOKENS = f'[{{sha256 = "{token_hash("a-token")}", role = "admin"}}]'


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The provider's program, with its packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm (Debian: nodejs, npm) are not installed")
    directory = tmp_path_factory.mktemp("npm")
    for file in HERE.iterdir():
        shutil.copy(file, directory)
    command = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot get oidc-provider: {done.stderr[-200:]}")
    return directory


@contextmanager
def providing(packages: Path, port: int, *redirects: str) -> Iterator[str]:
    """The provider as a process. Yields its issuer."""
    command = ["node", "provider.mjs", str(port), *redirects]
    with subprocess.Popen(command, cwd=packages, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(one for one in process.stdout if one.startswith("listening on "))
            yield line.removeprefix("listening on ").strip()
        finally:
            process.kill()


class Browser:
    """Follows redirects, keeps cookies, and fills in the provider's forms."""

    def __init__(self, server: Serving) -> None:
        self._server = server
        jar = aiohttp.CookieJar(unsafe=True)
        self._client = aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "text/html"})

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(self, path: str) -> tuple[int, str, str]:
        """The status, the address where it ended, and the page."""
        async with self._client.get(self._server.url + path) as answer:
            return answer.status, str(answer.url), await answer.text()

    async def log_out(self) -> tuple[str, str, str]:
        """Here, and where that leads: our answer's header, where it ended, and whether that asked to be sure."""
        _, _, page = await self.get("/contracts/lease")
        (shown,) = re.findall(
            r'action="/logout"><input type="hidden" name="csrf" value="([^"]+)"', page
        )
        async with self._client.post(f"{self._server.url}/logout", data={"csrf": shown}) as left:
            leading, page = left.headers["Refresh"], await left.text()
        (there,) = re.findall(r'<p><a href="([^"]+)"', page)
        async with self._client.get(html.unescape(there)) as asked:
            sure, page = str(asked.url), await asked.text()
        action, fields = (
            re.findall(r'action="([^"]+)"', page)[0],
            re.findall(r'name="(\w+)" value="([^"]*)"', page),
        )
        filled = {**dict(fields), "logout": "yes"}
        async with self._client.post(urljoin(sure, action), data=filled) as home:
            return leading, sure, str(home.url)

    async def post(self, path: str, fields: dict[str, str]) -> int:
        async with self._client.post(self._server.url + path, data=fields) as answer:
            return answer.status

    async def log_in(self, path: str, name: str) -> tuple[int, str, str]:
        """By the provider, from the page of this path, as somebody."""
        _, _, page = await self.get(path)
        (link,) = re.findall(r'href="(/login/openid[^"]*)"', page)
        status, url, page = await self.get(link.replace("&amp;", "&"))
        for _ in range(2):
            (action,) = re.findall(r'action="([^"]+)"', page)
            (prompt,) = re.findall(r'name="prompt" value="(\w+)"', page)
            filled = {"prompt": prompt, "login": name, "password": "any"}
            async with self._client.post(urljoin(url, action), data=filled) as answer:
                status, url, page = answer.status, str(answer.url), await answer.text()
        return status, url, page


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[Serving, int]]:
    """A collector that knows a provider on a port, where nobody listens yet."""
    directory = make_store(tmp_path / "store", contract=CONTRACT)
    own, other = free_port(), free_port()
    (directory / "openid-secret").write_text("a secret: +/&\n")
    grants = (
        '{claim = "email", value = "li@lessee.example", role = "lessee:L/lease"}',
        '{claim = "groups", value = "keepers", role = ["admin"]}',
    )
    keys = f'issuer = "http://127.0.0.1:{other}", client_id = "weighbridge", name = "Example"'
    more = 'secret_file = "openid-secret", scopes = ["openid", "profile", "email", "groups"]'
    openid = f"{{{keys}, {more}, grants = [{', '.join(grants)}]}}"
    url = f'"http://127.0.0.1:{own}"'
    listen = f'"127.0.0.1:{own}"'
    set_config(
        directory, tokens=TOKENS, openid=openid, listen=listen, url=url, open_on_loopback="false"
    )
    with serving(directory) as server:
        yield server, other


def test_what_answers_no_login_of_this_browser_keeps_nobody_out(
    ports: tuple[Serving, int],
) -> None:
    """A page of another site can make browsers of a whole office send that."""
    server, _ = ports
    answers = [server.get("/login/openid/answer?code=c&state=s").status for _ in range(12)]
    assert set(answers) == {403}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/login", b"token=a-token", **form).status == 303


@pytest.mark.slow
async def test_people_log_in_by_a_certified_provider(
    packages: Path, ports: tuple[Serving, int]
) -> None:
    """Its program has to be fetched, and two processes started."""
    server, port = ports
    back = f"{server.url}/login/openid/answer"
    async with Browser(server) as browser:
        status, _, page = await browser.get("/login/openid?next=/contracts/lease")
        assert (status, "Example does not answer now" in page) == (503, True)
        assert 'name="token"' in page
        assert await browser.post("/login", {"token": "a-token"}) == 200
    with providing(packages, port, back):
        async with Browser(server) as browser:
            status, url, page = await browser.log_in("/contracts/lease", "li")
            assert (status, url) == (200, f"{server.url}/contracts/lease")
            assert "<b>Li Wei</b> · lessee" in page
            assert (await browser.get("/v1/keys"))[0] == 403
            _, url, _ = await browser.get("/login/openid?next=/log")
            assert url == f"{server.url}/log", "the provider knows who has just logged in"
            leading, sure, home = await browser.log_out()
            assert leading.startswith(f"0; url=http://127.0.0.1:{port}/session/end?client_id=")
            assert sure.startswith(f"http://127.0.0.1:{port}/session/end?client_id=weighbridge&")
            assert home == f"{server.url}/login"
            assert (await browser.get("/contracts/lease"))[1].startswith(
                f"{server.url}/login?next="
            )
            _, url, _ = await browser.get("/login/openid?next=/log")
            assert url.startswith(f"http://127.0.0.1:{port}/interaction/"), "and knows them no more"
        for name, status_then, said in (
            ("eve", 403, "nothing here is granted to Eve"),
            ("root", 200, "<b>Root</b> · administrator"),
        ):
            async with Browser(server) as browser:
                status, _, page = await browser.log_in("/contracts/lease", name)
                assert (status, said in page) == (status_then, True), page
    with providing(packages, port, back):
        async with Browser(server) as browser:
            status, _, _ = await browser.log_in("/contracts/lease", "li")
            assert status == 200, "the provider has other keys since it was started anew"
