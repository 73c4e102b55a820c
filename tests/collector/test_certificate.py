"""The certificate that the collector issues to itself: whole at every instant, and renewed while it serves."""

import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from collector.tls import SERVER_LIFE, ServerCertificate, create_authority

START = datetime(2026, 10, 1, tzinfo=UTC)


class Crash(BaseException):
    """The process dies."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    create_authority(tmp_path, "test", START)
    return tmp_path


class Renewed:
    """A certificate under a clock that is moved by hand, and what a client sees of it."""

    def __init__(self, keys: Path) -> None:
        self.now = START
        self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client.check_hostname, self._client.verify_mode = False, ssl.CERT_NONE
        self.served = ServerCertificate(keys, ["localhost"], lambda: self.now)

    def serial(self) -> int:
        """Of the certificate that a new connection is shown."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            shaking = threading.Thread(target=self._serve, args=(theirs,))
            shaking.start()
            with self._client.wrap_socket(ours) as client:
                der = client.getpeercert(binary_form=True)
            shaking.join(timeout=20)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number

    def _serve(self, connection: socket.socket) -> None:
        self.served.context.wrap_socket(connection, server_side=True).close()


def test_it_is_renewed_before_it_expires_while_it_serves(keys: Path) -> None:
    server = Renewed(keys)
    first = server.serial()
    server.served.refresh()
    assert server.serial() == first
    server.now += SERVER_LIFE - timedelta(days=59)
    server.served.refresh()
    assert server.serial() != first


def test_one_that_was_put_in_its_place_is_taken_up_and_a_broken_one_is_not(keys: Path) -> None:
    server = Renewed(keys)
    first = server.serial()
    old = (keys / "server.pem").read_bytes()
    (keys / "server.pem").unlink()
    server.served.refresh()
    second = server.serial()
    assert second != first
    key, _, certificate = old.partition(b"-----BEGIN CERTIFICATE")
    other = (keys / "server.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    (keys / "server.pem").write_bytes(other + b"-----BEGIN CERTIFICATE" + certificate)
    with pytest.raises(ssl.SSLError):
        server.served.refresh()
    assert server.serial() == second
    (keys / "server.pem").write_bytes(key + b"-----BEGIN CERTIFICATE" + certificate)
    server.served.refresh()
    assert server.serial() == first


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_crash_in_a_renewal_leaves_a_key_and_its_own_certificate(
    keys: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Renewed(keys)
    first = server.serial()

    def die(*_: object, **__: object) -> None:
        raise Crash

    server.now += SERVER_LIFE
    with monkeypatch.context() as dying:
        dying.setattr(*((Path, "replace", die) if call == "replace" else (os, call, die)))
        with pytest.raises(Crash):
            server.served.refresh()
    again = Renewed(keys)
    assert again.serial() == first
    again.now = server.now
    again.served.refresh()
    assert again.serial() != first


def test_a_pair_of_two_files_is_made_one(keys: Path) -> None:
    Renewed(keys)
    pair = (keys / "server.pem").read_bytes()
    key, mark, certificate = pair.partition(b"-----BEGIN CERTIFICATE")
    (keys / "server.key").write_bytes(key)
    (keys / "server.pem").write_bytes(mark + certificate)
    Renewed(keys).serial()
    assert not (keys / "server.key").exists()
    assert (keys / "server.pem").stat().st_mode & 0o777 == 0o600
