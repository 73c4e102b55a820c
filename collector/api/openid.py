"""OpenID Connect: who a provider says that somebody is, by an authorization code with PKCE.

What a login on its way needs (state, nonce, verifier, where to go) lies encrypted in the browser's cookie: strangers
who begin logins take no memory here. Keys are asked for at each login, so one that was rotated is known at once.
"""

import contextlib
import json
import re
import secrets
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
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

ALGORITHMS = ("RS256", "PS256", "ES256")
LEEWAY_SECONDS = 60
"""What the provider's clock may differ from ours."""
ON_THE_WAY_SECONDS = 600
"""How long somebody may take at the provider."""
DISCOVERED_SECONDS = 10.0
ANSWER_SECONDS = 10.0
MOST_BYTES = 1 << 20
SECRET_BYTES = 32
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
        name = next((claims[one] for one in NAMES if isinstance(claims.get(one), str)), "")
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
class _Way:
    """A login on its way."""

    state: str
    nonce: str
    verifier: str
    goal: str


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
        self._discovered: tuple[float, Mapping[str, Any]] | None = None

    async def begin(self, goal: str) -> tuple[str, str]:
        """Where a browser goes to log in, and the cookie for its way back. Raises ProviderSilentError."""
        endpoint = (await self._discover())["authorization_endpoint"]
        state, nonce, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        way = _Way(state, nonce, verifier, goal)
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
            endpoint = str((await self._discover()).get("end_session_endpoint"))
            if self._is_an_address(endpoint):
                home = self._config.redirect.removesuffix(ANSWER_PATH) + HOME_PATH
                asked = {"client_id": self._config.client, "post_logout_redirect_uri": home}
                return _asking(endpoint, asked | ({"id_token_hint": hint} if hint else {}))
        return None

    async def finish(self, answer: Mapping[str, str], cookie: str) -> Arrival:
        """Who came back with this answer. Raises RefusedLoginError, ProviderSilentError."""
        way = self._opened(cookie)
        if not compare_digest(answer.get("state", "").encode(errors="replace"), way.state.encode()):
            raise RefusedLoginError("the answer is not one to this login")
        if "error" in answer:
            raise RefusedLoginError(f"the provider says {answer['error'][:100]}")
        if answer.get("iss", self._config.issuer) != self._config.issuer:
            raise RefusedLoginError("the answer is another provider's")
        found = await self._discover()
        tokens = await self._exchange(found, answer.get("code", ""), way.verifier)
        keys = await self._json("GET", found["jwks_uri"])
        token = str(tokens.get("id_token"))
        claims = self._identity(token, keys, way.nonce)
        bearer = self._config.bearer(await self._complete(found, tokens, claims))
        return Arrival(bearer, way.goal, token if len(token) <= MOST_HINT else "")

    def _opened(self, cookie: str) -> _Way:
        try:
            shown = self._seal.decrypt_at_time(
                cookie.encode(errors="replace"), ON_THE_WAY_SECONDS, self._wall_s()
            )
        except InvalidToken as error:
            raise RefusedLoginError("this login was not begun here, or too long ago") from error
        return _Way(**json.loads(shown))

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
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise RefusedLoginError(f"the provider's word does not hold: {error}") from error
        return dict(decoded.claims)

    async def _complete(
        self, found: Mapping[str, Any], tokens: Mapping[str, Any], claims: dict[str, Any]
    ) -> Mapping[str, Any]:
        """With what the provider tells of the same person only when it is asked; what is signed goes before."""
        if "userinfo_endpoint" not in found:
            return claims
        headers = {"Authorization": f"Bearer {tokens.get('access_token')}"}
        told = await self._json("GET", found["userinfo_endpoint"], headers=headers)
        if told.get("sub") != claims["sub"]:
            raise RefusedLoginError("the provider speaks of two people")
        return {**told, **claims}

    async def _discover(self) -> Mapping[str, Any]:
        if self._discovered is not None and self._clock() < self._discovered[0]:
            return self._discovered[1]
        issuer = self._config.issuer
        found = await self._json("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ProviderSilentError(f"{issuer} calls itself {found.get('issuer')}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not self._is_an_address(str(found.get(name))):
                raise ProviderSilentError(f"{issuer} names no {name}")
        self._discovered = self._clock() + DISCOVERED_SECONDS, found
        return found

    def _is_an_address(self, text: str) -> bool:
        """One of the issuer's scheme or better, with nothing that would not stand in a header."""
        scheme = self._config.issuer.partition(":")[0]
        return text.startswith(("https://", f"{scheme}://")) and ADDRESS.fullmatch(text) is not None

    async def _json(self, method: str, url: str, **sent: Any) -> dict[str, Any]:
        """What the provider answers. Raises RefusedLoginError where it refuses, ProviderSilentError for all else."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with (
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
    taken = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return "client_secret_basic" not in taken
