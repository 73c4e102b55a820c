"""OpenID Connect: who a provider says that somebody is, by an authorization code with PKCE.

What a login on its way needs (state, nonce, verifier, where to go) lies encrypted in the browser's cookie: strangers
who begin logins take no memory here. Keys are asked for at each login, so one that was rotated is known at once.
"""

import asyncio
import contextlib
import json
import re
import secrets
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

import aiohttp
from cryptography.fernet import Fernet, InvalidToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from collector.api.access import Bearer, Grant
from collector.witnessing.asking import read_text
from weighbridge.wire.signing import SignatureError
from weighbridge.wire.visible import visible

ALGORITHMS = ("RS256", "PS256", "ES256")
LEEWAY_SECONDS = 60
"""What the provider's clock may differ from ours."""
ON_THE_WAY_SECONDS = 600
"""How long somebody may take at the provider."""
DISCOVERED_SECONDS = 10.0
ANSWER_SECONDS = 10.0
MOST_BYTES = 1 << 20
SILENT_SECONDS = 0.5
"""How long a provider that did not answer is not asked for its description again."""

ASKED_AT_ONCE, MOST_WAITING = 8, 64
"""Questions to the provider that are under way, and logins that wait for theirs: strangers begin logins, and each
would hold a connection of ours for as long as the provider takes."""

MOST_NAME = 128
SECRET_BYTES = 32
TOLD = "userinfo_endpoint"
LOGIN_PATH = "/login/openid"
ANSWER_PATH = f"{LOGIN_PATH}/answer"
HOME_PATH = "/login"
"""Where a provider sends those back who logged out there."""
MOST_HINT = 4096
ADDRESS = re.compile(r"[!-~]+")


class ProviderSilentError(Exception):
    """The provider does not answer, or not as one. The message says how."""


class RefusedLoginError(Exception):
    """The provider answered, and nobody is logged in by it. The message says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who has `value` in their claim (the whole of it, or one of a list) has these grants."""

    claim: str
    value: str
    grants: frozenset[Grant]


@dataclass(frozen=True, slots=True)
class OpenId:
    """A provider as the configuration names it. `redirect`: where it sends people back; `trust`: whose certificates."""

    issuer: str
    client: str
    secret: str | None
    redirect: str
    label: str
    scopes: tuple[str, ...]
    rules: tuple[Rule, ...]
    trust: ssl.SSLContext | bool = True

    def bearer(self, claims: Mapping[str, Any]) -> Bearer:
        """Who has these claims. Raises RefusedLoginError where nothing is granted to them."""
        grants = [grant for rule in self.rules if _has(claims, rule) for grant in rule.grants]
        told = next((claims[one] for one in NAMES if isinstance(claims.get(one), str)), "")
        name = visible(told[:MOST_NAME])
        if not grants:
            raise RefusedLoginError(f"nothing here is granted to {name}")
        return Bearer.of(*grants, person=name)


NAMES = ("name", "preferred_username", "email", "sub")


def _has(claims: Mapping[str, Any], rule: Rule) -> bool:
    """An address counts only where the provider says that it is theirs."""
    if rule.claim == "email" and claims.get("email_verified") is not True:
        return False
    shown = claims.get(rule.claim)
    return rule.value in shown if isinstance(shown, list) else shown == rule.value


class Arrival(NamedTuple):
    """Who came back, where they wanted to go, and the ID token that names their session at the provider; one that no
    address could carry is left out."""

    bearer: Bearer
    goal: str
    hint: str


@dataclass(frozen=True, slots=True)
class Way:
    """A login on its way."""

    state: str
    nonce: str
    verifier: str
    goal: str


Discovered = tuple[float, Mapping[str, Any] | str]
"""What a provider says of itself, or why it does not, and until when that is not asked again."""


class Provider:
    """The provider. `wall_s` is the time of day; `clock`, in seconds, never goes back."""

    def __init__(
        self, config: OpenId, wall_s: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self.label = config.label
        self._config = config
        self._wall_s = wall_s
        self._clock = clock
        self._seal = Fernet(Fernet.generate_key())
        self._discovered: Discovered | None = None
        self._discovering = asyncio.Lock()
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)
        self._logins = 0

    async def begin(self, goal: str) -> tuple[str, str]:
        """Where a browser goes to log in, and the cookie for its way back. Raises ProviderSilentError."""
        async with self._waiting():
            endpoint = (await self._discover())["authorization_endpoint"]
        state, nonce, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        way = Way(state, nonce, verifier, goal)
        challenge = urlsafe_b64encode(sha256(way.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._config.client,
            "redirect_uri": self._config.redirect,
            "scope": " ".join(self._config.scopes),
            "state": way.state,
            "nonce": way.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        sealed = self._seal.encrypt_at_time(json.dumps(asdict(way)).encode(), self._wall_s())
        return _asking(endpoint, asked), sealed.decode()

    async def ending(self, hint: str) -> str | None:
        """Where a browser ends the session that the provider keeps, and is sent to our login from; None where the
        provider has no such place, or does not answer."""
        with contextlib.suppress(ProviderSilentError, RefusedLoginError):
            async with self._waiting():
                endpoint = str((await self._discover()).get("end_session_endpoint"))
            if self._is_an_address(endpoint):
                home = self._config.redirect.removesuffix(ANSWER_PATH) + HOME_PATH
                asked = {"client_id": self._config.client, "post_logout_redirect_uri": home}
                return _asking(endpoint, asked | ({"id_token_hint": hint} if hint else {}))
        return None

    def answered(self, answer: Mapping[str, str], cookie: str) -> Way:
        """The login that this answers. Nobody is asked. Raises RefusedLoginError."""
        way = self._opened(cookie)
        if not compare_digest(answer.get("state", "").encode(errors="replace"), way.state.encode()):
            raise RefusedLoginError("the answer is not one to this login")
        if "error" in answer:
            raise RefusedLoginError(f"the provider says {visible(answer['error'][:100])}")
        if answer.get("iss", self._config.issuer) != self._config.issuer:
            raise RefusedLoginError("the answer is another provider's")
        return way

    async def finish(self, way: Way, code: str) -> Arrival:
        """Who came back with this code. Raises RefusedLoginError, ProviderSilentError."""
        async with self._waiting():
            found = await self._discover()
            tokens = await self._exchange(found, code, way.verifier)
            keys = await self._json("GET", found["jwks_uri"])
            token = str(tokens.get("id_token"))
            claims = self._identity(token, keys, way.nonce)
            bearer = self._config.bearer(await self._complete(found, tokens, claims))
            return Arrival(bearer, way.goal, token if len(token) <= MOST_HINT else "")

    def _opened(self, cookie: str) -> Way:
        try:
            shown = self._seal.decrypt_at_time(
                cookie.encode(errors="replace"), ON_THE_WAY_SECONDS, self._wall_s()
            )
        except InvalidToken as error:
            raise RefusedLoginError("this login was not begun here, or too long ago") from error
        return Way(**json.loads(shown))

    async def _exchange(
        self, found: Mapping[str, Any], code: str, verifier: str
    ) -> Mapping[str, Any]:
        config = self._config
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": config.redirect,
            "code_verifier": verifier,
        }
        headers = {}
        if config.secret is None:
            sent["client_id"] = config.client
        elif _secret_in_body(found):
            sent |= {"client_id": config.client, "client_secret": config.secret}
        else:
            named = aiohttp.BasicAuth(quote_plus(config.client), quote_plus(config.secret))
            headers["Authorization"] = named.encode()
        return await self._json("POST", found["token_endpoint"], data=sent, headers=headers)

    def _identity(self, token: str, keys: Any, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is this provider's, for us, for this login, and of now."""
        needed = jwt.JWTClaimsRegistry(
            now=self._wall_s(),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._config.issuer},
            aud={"essential": True, "value": self._config.client},
            azp={"value": self._config.client},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            decoded = jwt.decode(token, KeySet.import_key_set(keys), ALGORITHMS)
            needed.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RefusedLoginError(f"the provider's word does not hold: {error}") from error
        return dict(decoded.claims)

    async def _complete(
        self, found: Mapping[str, Any], tokens: Mapping[str, Any], claims: dict[str, Any]
    ) -> Mapping[str, Any]:
        """With what the provider tells of the same person only when it is asked; what is signed goes before."""
        if TOLD not in found:
            return claims
        headers = {"Authorization": f"Bearer {tokens.get('access_token')}"}
        told = await self._json("GET", found[TOLD], headers=headers)
        if told.get("sub") != claims["sub"]:
            raise RefusedLoginError("the provider speaks of two people")
        return {**told, **claims}

    async def _discover(self) -> Mapping[str, Any]:
        """What the provider says of itself, asked for by one login for all that want it. Raises ProviderSilentError."""
        async with self._discovering:
            if self._discovered is None or self._clock() >= self._discovered[0]:
                self._discovered = await self._discover_anew()
            _, found = self._discovered
        if isinstance(found, str):
            raise ProviderSilentError(found)
        return found

    async def _discover_anew(self) -> Discovered:
        try:
            found = await self._described()
        except (ProviderSilentError, RefusedLoginError) as error:
            return self._clock() + SILENT_SECONDS, str(error)
        return self._clock() + DISCOVERED_SECONDS, found

    async def _described(self) -> Mapping[str, Any]:
        issuer = self._config.issuer
        found = await self._json("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ProviderSilentError(f"{issuer} calls itself {found.get('issuer')}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", TOLD):
            given = name in found or name != TOLD
            if given and not self._is_an_address(str(found.get(name))):
                raise ProviderSilentError(f"{issuer} names no {name}")
        return found

    def _is_an_address(self, text: str) -> bool:
        """One of the issuer's scheme or better, with nothing that would not stand in a header."""
        scheme = self._config.issuer.partition(":")[0]
        return text.startswith(("https://", f"{scheme}://")) and ADDRESS.fullmatch(text) is not None

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[None]:
        """For an answer of the provider. Raises ProviderSilentError where too many do."""
        if self._logins >= MOST_WAITING:
            raise ProviderSilentError("too many logins wait for the provider")
        self._logins += 1
        try:
            yield
        finally:
            self._logins -= 1

    async def _json(self, method: str, url: str, **sent: Any) -> dict[str, Any]:
        """What the provider answers. Raises RefusedLoginError where it refuses, ProviderSilentError for all else."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with (
                self._places,
                aiohttp.ClientSession(timeout=timeout) as client,
                client.request(
                    method, url, ssl=self._config.trust, allow_redirects=False, **sent
                ) as answer,
            ):
                text = await read_text(answer, MOST_BYTES)
            said = json.loads(text) if answer.ok else {}
        except (
            aiohttp.ClientError,
            TimeoutError,
            SignatureError,
            ValueError,
            RecursionError,
        ) as error:
            raise ProviderSilentError(f"{url}: {str(error) or 'no answer in time'}") from error
        if 400 <= answer.status < 500:
            raise RefusedLoginError(f"{url} answers {answer.status}")
        if answer.status != 200 or not isinstance(said, dict):
            raise ProviderSilentError(f"{url} answers {answer.status}")
        return said


def _asking(endpoint: str, asked: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def _secret_in_body(found: Mapping[str, Any]) -> bool:
    """Whether the provider takes a secret only there; a header is what all take that say nothing."""
    taken = found.get("token_endpoint_auth_methods_supported")
    return isinstance(taken, list) and "client_secret_basic" not in taken
