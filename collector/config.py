"""The collector's configuration: a TOML file, then `WEIGHBRIDGE_*` in the environment, then flags.

A key that is not known is an error, wherever it stands. Paths are relative to the file's directory.
"""

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from collector import control
from collector.api.access import Bearer, granted
from collector.api.openid import ANSWER_PATH, OpenId, Rule
from collector.attestation.verification import Verifier
from collector.log.budgets import HOURLY, Costs
from collector.log.ingest import Limits
from collector.sending.receivers import Receiver
from collector.witnessing.rounds import Witness
from collector.witnessing.stamping import Authority
from weighbridge.log.note import KeyKind, read_vkey
from weighbridge.process.settings import CONFIG_VARIABLE, URL_VARIABLE, ConfigError, load_settings
from weighbridge.wire.report import Count, Hash, Model, Text
from weighbridge.wire.signing import SignatureError

DEFAULTS = Limits()
LAST_PORT = 65535
MOST_WITNESSES = 32
SLOWEST_TICK_MS = 2500
"""Well below what judgement takes for the collector's own stall: with slower ticks no node would ever be silent."""


class TokenSettings(Model):
    """A token. `role`: one or several, as `access.parse_role` takes each; `name`: whose it is, for pages."""

    sha256: Hash
    role: Text | list[Text]
    name: Text = ""


class WitnessSettings(Model):
    """Whose cosignature of a head counts: a verifier key, and where its tlog-witness answers, if it is to be asked."""

    vkey: Annotated[str, Field(max_length=4096)]
    url: Text | None = None


class GrantSettings(Model):
    """Whoever has `value` in this claim (the whole, or one of a list) has these roles."""

    claim: Text
    value: Text
    role: Text | list[Text]


class OpenIdSettings(Model):
    """A provider of OpenID Connect. `secret_file`: of the client, beside this file; `ca`: the provider's, if its own.

    `url`: where people open the pages, if elsewhere than agents reach the collector.
    """

    issuer: Text
    client_id: Text
    secret_file: Text | None = None
    url: Text | None = None
    name: Text | None = None
    scopes: list[Text] = Field(default_factory=lambda: ["openid", "profile", "email"])
    ca: Text | None = None
    grants: list[GrantSettings] = Field(min_length=1)


class LimitSettings(Model):
    """What one request may bring, what may wait, and what one key may cost in an hour."""

    body_bytes: Count = DEFAULTS.body_bytes
    decompressed_bytes: Count = DEFAULTS.decompressed_bytes
    report_bytes: Count = DEFAULTS.report_bytes
    reports: Count = DEFAULTS.reports
    queue_bytes: Count = 64 << 20
    reading_bytes: Count = DEFAULTS.reading_bytes
    reading_seconds: int = Field(DEFAULTS.reading_seconds, ge=1, strict=True)
    hourly_bytes: int = Field(HOURLY.bytes, ge=1, strict=True)
    hourly_reports: int = Field(HOURLY.reports, ge=1, strict=True)
    hourly_chains: int = Field(HOURLY.chains, ge=1, strict=True)
    hourly_findings: int = Field(HOURLY.findings, ge=1, strict=True)
    stranger_seconds: int = Field(DEFAULTS.stranger_seconds, ge=1, strict=True)


class TimestampSettings(Model):
    """An RFC 3161 authority: where it answers, the file of its certificates as PEM, and how often it is asked."""

    url: Text
    authority: Text
    seconds: int = Field(86400, ge=1, le=366 * 86400, strict=True)


class RemoteWriteSettings(Model):
    """A receiver of Prometheus' remote write. `labels` say who sends; files lie beside the configuration."""

    url: Text
    seconds: int = Field(15, ge=1, le=3600, strict=True)
    token: Text | None = None
    authority: Text | None = None
    labels: dict[str, Text] = Field(default_factory=lambda: {"job": "weighbridge"})
    queue_bytes: Count = 1 << 30


class OtlpSettings(Model):
    """A receiver of OTLP over HTTP: its whole address, such as https://otel.example:4318/v1/metrics."""

    url: Text
    seconds: int = Field(60, ge=1, le=3600, strict=True)
    token: Text | None = None
    authority: Text | None = None
    labels: dict[str, Text] = Field(default_factory=dict)
    queue_bytes: Count = 1 << 30


class AttestationSettings(Model):
    """A Python that has NVIDIA's `nv-local-gpu-verifier`, an environment of its own.

    `online`: it may fetch revocation and reference measurements from NVIDIA.
    """

    python: Text
    online: bool = False
    seconds: int = Field(60, ge=1, le=600, strict=True)


class Settings(Model):
    """Every key of the file, with its default."""

    store: Text = "."
    directory: Text = "."
    listen: Text = "127.0.0.1:8470"
    url: Text | None = None
    tls: bool | None = None
    open_on_loopback: bool = False
    trusted_proxies: list[Text] = Field(default_factory=list)
    tick_ms: int = Field(1000, ge=10, le=SLOWEST_TICK_MS, strict=True)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    tokens: list[TokenSettings] = Field(default_factory=list)
    witnesses: list[WitnessSettings] = Field(default_factory=list, max_length=MOST_WITNESSES)
    witness_seconds: int = Field(300, ge=1, le=86400, strict=True)
    timestamps: TimestampSettings | None = None
    remote_write: RemoteWriteSettings | None = None
    otlp: OtlpSettings | None = None
    attestation: AttestationSettings | None = None
    openid: OpenIdSettings | None = None


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: a host and a port, or a Unix socket. One of `path` and (`host`, `port`) is set."""

    host: str | None
    port: int | None
    path: Path | None

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        if self.host is None:
            return True
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def wildcard(self) -> bool:
        """Whether it listens on every address, and so names none that others could connect to."""
        if self.host in (None, "localhost"):
            return False
        return ipaddress.ip_address(self.host).is_unspecified


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A checked configuration.

    `file`: where it was read. `store`: where it is, as `open_store` takes it. `directory`: what this machine keeps
    beside it, keys and all; an embedded store is there too.
    """

    file: Path
    directory: Path
    store: str
    listen: Listen
    url: str | None
    tls: bool
    open_on_loopback: bool
    trusted_proxies: tuple[str, ...]
    tick_seconds: float
    limits: Limits
    queue_bytes: int
    tokens: Mapping[str, Bearer]
    witnesses: tuple[Witness, ...]
    witness_seconds: int
    timestamps: Authority | None
    receivers: Mapping[str, Receiver]
    attestation: Verifier | None
    openid: OpenId | None

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def in_server(self) -> bool:
        """Whether the store is elsewhere than in `directory`."""
        return control.in_server(self.store)

    @property
    def embedded(self) -> Path:
        """The directory of an embedded store. Raises ConfigError where the store is another."""
        if not self.in_server:
            return self.directory
        raise ConfigError(
            "this is for an embedded store: PostgreSQL's own means back up, check and mend one that is in a server"
        )


def load_config(
    file: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> CollectorConfig:
    """The configuration in force. A flag that is None was not given. Raises ConfigError."""
    if not file.exists():
        elsewhere = URL_VARIABLE in environment
        asks_none = f" (this command asks no collector at {URL_VARIABLE})" if elsewhere else ""
        raise ConfigError(
            f"{file}: No such file; name the configuration with --config or {CONFIG_VARIABLE}{asks_none};"
            " `weighbridge init DIRECTORY` makes a store with one"
        )
    return _check(file, load_settings(Settings, file, environment, flags, named=file))


def _check(file: Path, settings: Settings) -> CollectorConfig:
    listen = parse_listen(file, settings.listen)
    tls = not listen.local if settings.tls is None else settings.tls
    if not tls and not listen.local:
        raise ConfigError(
            f"{file}: tls: plain HTTP is refused except on loopback and a Unix socket, and"
            f" {settings.listen} is neither"
        )
    directory = control.directory_of(file, settings.store, settings.directory)
    return CollectorConfig(
        file=file.absolute(),
        directory=directory,
        store=settings.store if control.in_server(settings.store) else f"embedded:{directory}",
        listen=listen,
        url=settings.url,
        tls=tls,
        open_on_loopback=settings.open_on_loopback,
        trusted_proxies=_proxies(file, settings.trusted_proxies),
        tick_seconds=settings.tick_ms / 1000,
        limits=_limits(settings.limits),
        queue_bytes=settings.limits.queue_bytes,
        tokens=_tokens(file, settings.tokens),
        witnesses=_witnesses(file, settings.witnesses),
        witness_seconds=settings.witness_seconds,
        timestamps=_authority(file, settings.timestamps),
        receivers=dict(_receivers(file, settings)),
        attestation=_verifier(file, settings.attestation),
        openid=_openid(file, settings.openid, settings.url),
    )


def _limits(told: LimitSettings) -> Limits:
    return Limits(
        told.body_bytes,
        told.decompressed_bytes,
        told.report_bytes,
        told.reports,
        told.reading_bytes,
        told.reading_seconds,
        Costs(told.hourly_bytes, told.hourly_reports, told.hourly_chains, told.hourly_findings),
        told.stranger_seconds,
    )


def parse_listen(file: Path, text: str) -> Listen:
    """`HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raises ConfigError."""
    if text.startswith("unix:"):
        return Listen(None, None, file.parent / text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if host != "localhost":
            ipaddress.ip_address(host)
        if not (port.isascii() and port.isdigit() and int(port) <= LAST_PORT):
            raise ValueError(f"{port} is no port")
        return Listen(host, int(port), None)
    except ValueError as error:
        raise ConfigError(
            f"{file}: listen: {text!r} is not ADDRESS:PORT and not unix:PATH"
        ) from error


def _proxies(file: Path, proxies: list[str]) -> tuple[str, ...]:
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise ConfigError(f"{file}: trusted_proxies: {error}") from error
    return tuple(proxies)


def _witnesses(file: Path, witnesses: list[WitnessSettings]) -> tuple[Witness, ...]:
    found: list[Witness] = []
    for number, witness in enumerate(witnesses):
        place = f"{file}: witnesses.{number}"
        try:
            key = read_vkey(witness.vkey)
        except SignatureError as error:
            raise ConfigError(f"{place}.vkey: {error}") from error
        if key.kind is KeyKind.ED25519:
            raise ConfigError(f"{place}.vkey: this key signs notes, not cosignatures")
        if any(other.key.public_key == key.public_key for other in found):
            raise ConfigError(f"{place}.vkey: the same key a second time")
        if witness.url is not None and urlsplit(witness.url).scheme not in ("http", "https"):
            raise ConfigError(f"{place}.url: http or https")
        found.append(Witness(key, witness.url))
    return tuple(found)


def _authority(file: Path, settings: TimestampSettings | None) -> Authority | None:
    if settings is None:
        return None
    if urlsplit(settings.url).scheme not in ("http", "https"):
        raise ConfigError(f"{file}: timestamps.url: http or https")
    certificates = file.parent / settings.authority
    if not certificates.is_file():
        raise ConfigError(f"{file}: timestamps.authority: {certificates} is no file")
    return Authority(settings.url, certificates, settings.seconds)


def _receivers(file: Path, settings: Settings) -> Iterator[tuple[str, Receiver]]:
    for key, told in (("remote_write", settings.remote_write), ("otlp", settings.otlp)):
        if told is not None:
            yield key, _receiver(file, key, told)


def _receiver(file: Path, key: str, settings: RemoteWriteSettings | OtlpSettings) -> Receiver:
    if urlsplit(settings.url).scheme not in ("http", "https"):
        raise ConfigError(f"{file}: {key}.url: http or https")
    return Receiver(
        settings.url,
        settings.seconds,
        _beside(file, f"{key}.token", settings.token),
        _beside(file, f"{key}.authority", settings.authority),
        tuple(settings.labels.items()),
        settings.queue_bytes,
    )


def _beside(file: Path, key: str, named: str | None) -> Path | None:
    if named is None:
        return None
    path = file.parent / named
    if not path.is_file():
        raise ConfigError(f"{file}: {key}: {path} is no file")
    return path


def _verifier(file: Path, settings: AttestationSettings | None) -> Verifier | None:
    if settings is None:
        return None
    python = file.parent / settings.python
    if not python.is_file():
        raise ConfigError(f"{file}: attestation.python: {python} is no file")
    return Verifier(python, settings.online, settings.seconds)


def _tokens(file: Path, tokens: list[TokenSettings]) -> dict[str, Bearer]:
    bearers = {}
    for number, token in enumerate(tokens):
        try:
            bearers[token.sha256] = granted(_several(token.role), token.name)
        except ValueError as error:
            raise ConfigError(f"{file}: tokens.{number}.role: {error}") from error
    return bearers


def _several(role: str | list[str]) -> list[str]:
    return [role] if isinstance(role, str) else role


def _openid(file: Path, settings: OpenIdSettings | None, url: str | None) -> OpenId | None:
    if settings is None:
        return None
    url = settings.url or url
    if url is None:
        raise ConfigError(f"{file}: openid.url: say where people open the pages, or set url")
    if not _is_guarded(settings.issuer):
        raise ConfigError(f"{file}: openid.issuer: https, or http on loopback")
    return OpenId(
        settings.issuer,
        settings.client_id,
        None if settings.secret_file is None else _secret(file, settings.secret_file),
        url.rstrip("/") + ANSWER_PATH,
        settings.name or urlsplit(settings.issuer).hostname or settings.issuer,
        tuple(settings.scopes),
        tuple(_rule(file, number, grant) for number, grant in enumerate(settings.grants)),
        True if settings.ca is None else _trust(file, settings.ca),
    )


def _trust(file: Path, name: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file.parent / name)
    except OSError as error:
        raise ConfigError(f"{file}: openid.ca: {error}") from error


def _is_guarded(url: str) -> bool:
    parts = urlsplit(url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return parts.scheme == "https" or (parts.scheme == "http" and loopback)


def _secret(file: Path, name: str) -> str:
    try:
        return (file.parent / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: openid.secret_file: {error}") from error


def _rule(file: Path, number: int, grant: GrantSettings) -> Rule:
    try:
        grants = granted(_several(grant.role)).grants
    except ValueError as error:
        raise ConfigError(f"{file}: openid.grants.{number}.role: {error}") from error
    return Rule(grant.claim, grant.value, grants)
