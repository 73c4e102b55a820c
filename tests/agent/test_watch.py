"""What a witness reads of a target: over real sockets of this machine."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.watch.source import TargetSource
from agent.watch.targets import TargetError, read_target, read_targets
from tests.agent.conftest import boottime_us
from weighbridge.catalogue.readings import READINGS, Scope, Tier
from weighbridge.wire.report import Inventory, Reason, encode

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a connection and says nothing."""
    with contextlib.suppress(OSError):
        await reader.read()
    writer.close()


def proxying(status: str) -> Serve:
    """A proxy that answers each CONNECT so, and goes on to where it was asked to where that is 200."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, port = head.split()[1].decode().rsplit(":", 1)
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if status.startswith("200"):
            far, back = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pump(reader, back), pump(far, writer))
        writer.close()

    return serve


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 12):
            writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server."""
    served: list[asyncio.Task[None]] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.ensure_future(serve(reader, writer)))
        await asyncio.wait(served[-1:])
        writer.transport.abort()

    server = await asyncio.start_server(whole, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*served, return_exceptions=True)


async def read(*targets: str, within_s: float = 5.0) -> list[tuple[int | Reason, ...]]:
    """Of each target whether it was reached, and the times."""
    sweep = await TargetSource(read_targets(targets), boottime_us, within_s).sweep(Tier.FAST)
    assert set(sweep.readings) == named(Tier.FAST)
    return list(zip(*sweep.readings.values(), strict=True))


def named(tier: Tier) -> set[str]:
    return {row.name for row in READINGS if (row.scope, row.tier) == (Scope.TARGET, tier)}


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_a_port_that_listens_is_reached_and_one_that_does_not_is_refused() -> None:
    async with listening(quiet) as port:
        up, down = await read(f"n1=tcp://127.0.0.1:{port}", f"n1=tcp://127.0.0.1:{closed_port()}")
    assert up[0] == 1
    assert isinstance(up[1], int)
    assert up[1] >= 0
    assert up[2:] == (Reason.NOT_SUPPORTED,)
    assert down == (2, Reason.NOT_SUPPORTED, Reason.NOT_SUPPORTED)


async def test_a_handshake_comes_to_its_end_or_the_target_is_not_reached(
    server_tls: ssl.SSLContext,
) -> None:
    async with listening(quiet, server_tls) as port, listening(quiet) as mute:
        whole, none = await read(
            f"n1=tls://127.0.0.1:{port}", f"n2=tls://127.0.0.1:{mute}", within_s=2.0
        )
    assert whole[0] == 1
    assert all(type(value) is int for value in whole)
    assert none[0] == 0


async def test_a_way_through_a_proxy_is_that_ways_word(server_tls: ssl.SSLContext) -> None:
    async with (
        listening(quiet, server_tls) as port,
        listening(proxying("200 OK")) as way,
        listening(proxying("502 Bad Gateway")) as broken,
        listening(proxying("407 Who are you")) as shut,
    ):
        said = await read(
            *(f"n1=tls://127.0.0.1:{port}?proxy=127.0.0.1:{one}" for one in (way, broken, shut)),
            f"n1=tcp://127.0.0.1:{port}?proxy=127.0.0.1:{closed_port()}",
        )
    assert [one[0] for one in said] == [1, 0, Reason.NO_PERMISSION, Reason.NOT_READY]


async def test_an_echo_comes_back_or_this_machine_may_not_ask() -> None:
    (said,) = await read("n1=icmp://127.0.0.1")
    assert said[0] in {1, Reason.NO_PERMISSION}


async def test_a_name_that_nobody_knows_says_nothing_of_the_node() -> None:
    (said,) = await read("n1=tcp://nobody.invalid:22")
    assert said[0] is Reason.NOT_FOUND


async def test_while_paused_nothing_is_tried() -> None:
    source = TargetSource(read_targets(["n1=tcp://127.0.0.1:1"]), boottime_us)
    await source.pause()
    assert (await source.sweep(Tier.FAST)).readings["reached_code"] == (Reason.PAUSED,)


async def test_targets_stand_in_an_inventory_with_the_node_behind_each() -> None:
    texts = ["n1=tcp://10.0.0.1:22", "n1=icmp://[fe80::1]", "n2=tls://h:443?proxy=p:3128"]
    identity = await TargetSource(read_targets(texts), boottime_us).identify()
    told = [one.identity.readings for one in identity.devices]
    assert [one["target_node_name"] for one in told] == ["n1", "n1", "n2"]
    assert told[2]["target_address"] == "tls://h:443/via/p:3128"
    assert set(told[0]) == named(Tier.IDENTITY)
    encode(Inventory(devices=list(identity.devices), driver=identity.driver, host=identity.driver))


@pytest.mark.parametrize(
    "text",
    [
        "tcp://h:22",
        "n1=tcp://h",
        "n1=icmp://h:1",
        "n1=udp://h:1",
        "n1=tcp://h:22/path",
        "n1=tcp://user@h:22",
        "n1=tcp://h:22?other=1",
        "n1=tcp://h:22?proxy=p",
        "n1=icmp://h?proxy=p:1",
        "n1=tcp://h:99999",
        "n1=tcp://ä:22",
        "n 1=tcp://h:22",
        f"{'n' * 120}=tcp://h:22",
    ],
)
def test_what_is_no_target_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(TargetError):
        read_target(text)


def test_a_target_is_named_once() -> None:
    with pytest.raises(TargetError, match="twice"):
        read_targets(["n1=tcp://h:22", "n1=tcp://h:22"])


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a certificate that nobody vouches for."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("n1")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = tmp_path / "both.pem"
    both.write_bytes(key.private_bytes(*form) + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context
