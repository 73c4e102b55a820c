"""From an invite to a key, over real HTTP and TLS."""

import base64
import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.enrolment import EnrolmentError, enrol, load, read_invite
from agent.report.transport import Packed, Transport, TransportError
from weighbridge.wire.report import canonical


async def test_enrolling_twice_gives_the_same_identity(collector: Any, tmp_path: Path) -> None:
    invite = collector.invite()
    first = await enrol(invite, tmp_path / "state")
    second = await enrol(invite, tmp_path / "state")
    assert first.signer.key_id == second.signer.key_id
    assert first.salt == second.salt
    assert len(collector.keys) == 1
    assert load(tmp_path / "state").node == "node-1"


async def test_secrets_are_for_the_owner_alone(collector: Any, tmp_path: Path) -> None:
    await enrol(collector.invite(), tmp_path / "state")
    modes = {path.name: path.stat().st_mode & 0o777 for path in listed(tmp_path / "state")}
    assert modes == {"key": 0o600, "salt": 0o600, "enrolment.json": 0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert "secret-of" not in (tmp_path / "state" / "enrolment.json").read_text()


def listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def test_a_refusal_is_said_in_the_collectors_words(collector: Any, tmp_path: Path) -> None:
    invite = collector.invite()
    await enrol(invite, tmp_path / "one")
    with pytest.raises(EnrolmentError, match="invite_used"):
        await enrol(invite, tmp_path / "two")
    with pytest.raises(EnrolmentError, match="not enrolled"):
        load(tmp_path / "two")


async def test_a_revoked_key_is_replaced_by_the_next_invite(collector: Any, tmp_path: Path) -> None:
    old = await enrol(collector.invite(), tmp_path / "state")
    collector.revoked.add(old.signer.key_id)
    new = await enrol(collector.invite(), tmp_path / "state")
    assert new.signer.key_id != old.signer.key_id
    assert load(tmp_path / "state").signer.key_id == new.signer.key_id


async def test_a_log_key_other_than_the_invites_is_refused(collector: Any, tmp_path: Path) -> None:
    encoded = collector.invite().rpartition(":")[2]
    fields = base64.urlsafe_b64decode(encoded + "==").replace(
        collector.signer.public_key.hex().encode(), b"0" * 64
    )
    forged = "weighbridge-invite:1:" + base64.urlsafe_b64encode(fields).decode().rstrip("=")
    with pytest.raises(EnrolmentError, match="another key"):
        await enrol(forged, tmp_path / "state")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "weighbridge-invite:2:e30",
        "weighbridge-invite:1:e30",
        "weighbridge-invite:1:%%",
    ],
)
def test_damaged_invites_are_refused(line: str) -> None:
    with pytest.raises(EnrolmentError, match="not an invite"):
        read_invite(line)


@pytest.mark.parametrize(
    "url", ["http://collector.example", "http://10.0.0.1:8470", "ftp://localhost", "https://", "x"]
)
def test_evidence_is_never_sent_in_the_clear(collector: Any, url: str) -> None:
    with pytest.raises(TransportError, match="only https"):
        read_invite(collector.invite(url=url))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://c.example", "unix:/s"],
)
def test_loopback_unix_and_tls_are_ways_to_go(collector: Any, url: str) -> None:
    assert read_invite(collector.invite(url=url)).url == url


async def test_a_unix_socket_is_a_way_to_enrol(collector: Any, tmp_path: Path) -> None:
    runner = web.AppRunner(collector.app(), auto_decompress=False)
    await runner.setup()
    await web.UnixSite(runner, tmp_path / "socket").start()
    identity = await enrol(collector.invite(url=f"unix:{tmp_path}/socket"), tmp_path / "state")
    assert identity.node == "node-1"
    await runner.cleanup()


class Authority:
    """A certificate authority and a server certificate for 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue("test authority", self.key.public_key(), ca=True)
        server_key = ec.generate_private_key(ec.SECP256R1())
        server = self._issue("127.0.0.1", server_key.public_key(), ca=False)
        pem, key = directory / "server.pem", directory / "server.key"
        pem.write_bytes(server.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem, key)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def _issue(self, name: str, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self.key, hashes.SHA256())


async def serve_tls(collector: Any, authority: Authority, shown: str) -> tuple[web.AppRunner, str]:
    app = collector.app()

    async def ca(_: web.Request) -> web.Response:
        return web.Response(text=shown)

    app.router.add_get("/v1/ca", ca)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context).start()
    return runner, f"https://127.0.0.1:{runner.addresses[0][1]}"


async def test_the_ca_of_the_invite_is_fetched_checked_and_the_only_one_trusted(
    collector: Any, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    runner, url = await serve_tls(collector, authority, authority.pem)
    invite = collector.invite(ca=authority.fingerprint, url=url)
    identity = await enrol(invite, tmp_path / "state")
    assert isinstance(identity.trust, ssl.SSLContext)
    assert [cert["subject"] for cert in identity.trust.get_ca_certs()] == [
        ((("commonName", "test authority"),),)
    ]
    await runner.cleanup()


async def test_a_server_of_another_ca_is_not_believed(collector: Any, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path)
    runner, url = await serve_tls(collector, stranger, authority.pem)
    invite = collector.invite(ca=authority.fingerprint, url=url)
    with pytest.raises(OSError, match="certificate"):
        await enrol(invite, tmp_path / "state")
    await runner.cleanup()


async def test_a_ca_that_does_not_match_the_invite_is_refused(
    collector: Any, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    runner, url = await serve_tls(collector, authority, authority.pem)
    with pytest.raises(EnrolmentError, match="not the one in the invite"):
        await enrol(collector.invite(ca="0" * 64, url=url), tmp_path / "state")
    assert collector.keys == {}
    await runner.cleanup()


async def test_without_a_pinned_ca_a_private_one_is_not_trusted(
    collector: Any, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    runner, url = await serve_tls(collector, authority, authority.pem)
    with pytest.raises(OSError, match="certificate"):
        await enrol(collector.invite(url=url), tmp_path / "state")
    await runner.cleanup()


async def test_https_goes_through_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import asyncio

    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "")
    transport = Transport("https://collector.example:8470")
    with pytest.raises(OSError, match="403"):
        await transport.post_reports(Packed(b""))
    await transport.close()
    server.close()
    assert asked == [b"CONNECT collector.example:8470 HTTP/1.1\r\n"]


def test_a_damaged_enrolment_is_said(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00" * 32)
    (tmp_path / "enrolment.json").write_bytes(canonical({"url": "x"}))
    with pytest.raises(EnrolmentError, match="damaged"):
        load(tmp_path)
