"""Who may read: closed by default, opened by tokens, and on loopback where the configuration says so. TLS."""

import hashlib
import http.client
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from collector.api.access import Role, granted, parse_role, token_hash
from tests.collector.building import (
    CONTRACT,
    Agent,
    Serving,
    body,
    make_store,
    opened_invite,
    refused_serve,
    serving,
    set_config,
    weighbridge,
)

StoreOf = Callable[..., Path]
TOKENS = "[{}]".format(
    ", ".join(
        f'{{sha256 = "{token_hash(token)}", role = "{role}"}}'
        for token, role in (
            ("a-token", "admin"),
            ("u-token", "auditor"),
            ("o-token", "ops"),
            ("p-token", "provider:P/lease"),
        )
    )
)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = make_store(tmp_path_factory.mktemp("closed") / "store")
    set_config(directory, open_on_loopback="false", tokens=TOKENS)
    with serving(directory) as running:
        yield running


@pytest.mark.parametrize(
    ("token", "head", "metrics", "keys"),
    [
        ("a-token", 200, 200, 200),
        ("u-token", 200, 200, 403),
        ("o-token", 403, 200, 403),
        ("p-token", 200, 403, 403),
        ("wrong", 401, 401, 401),
        (None, 401, 401, 401),
    ],
)
def test_a_token_reaches_what_its_role_reaches(
    closed: Serving, token: str | None, head: int, metrics: int, keys: int
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    paths = ("/v1/log/head", "/metrics", "/v1/keys")
    assert [closed.get(path, **headers).status for path in paths] == [head, metrics, keys]
    assert closed.get("/healthz").status == 200
    assert closed.get("/readyz").status == 200
    assert closed.get("/v1/ca").body.startswith(b"-----BEGIN CERTIFICATE-----")


def test_a_token_that_is_no_text_is_not_known(server: Serving) -> None:
    assert server.get("/v1/log/head", Authorization="Bearer \xff\xfe").status == 401


def test_a_party_reads_no_entries_for_they_are_of_every_tenant(closed: Serving) -> None:
    party, auditor = ({"Authorization": f"Bearer {token}"} for token in ("p-token", "u-token"))
    assert closed.get("/v1/log/entries", **party).status == 403
    assert closed.get("/v1/log/entries", **auditor).status == 200
    assert closed.get("/v1/log/proof?from=1", **party).status == 200


def test_on_loopback_reading_is_open_and_changing_is_not(server: Serving) -> None:
    assert server.get("/v1/log/head").status == 200
    assert server.get("/v1/keys").status == 403
    assert server.request("POST", "/v1/invites", b"{}").status == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_forwarded_request_is_not_local(server: Serving, header: str) -> None:
    assert server.get("/v1/log/head", **{header: "127.0.0.1"}).status == 401


def test_a_foreign_name_for_this_machine_is_not_local(server: Serving) -> None:
    assert server.get("/v1/log/head", Host="rebound.example:8470").status == 401
    assert server.get("/v1/log/head", Host="localhost:1").status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/log/head", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ("GET", "/v1/log/head", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("GET", "/v1/log/head", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ("GET", "/v1/log/head", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_a_page_of_another_site_reads_nothing_through_a_browser_on_this_machine(
    server: Serving, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert server.request(method, path, None, **headers).status == status


FORMS: list[tuple[dict[str, str], int]] = [
    ({}, 400),
    ({"Origin": "https://elsewhere.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ({"Origin": "http://collector.example", "Host": "collector.example"}, 400),
]


def test_a_form_of_another_site_changes_nothing_even_with_a_token(closed: Serving) -> None:
    known = {"Authorization": "Bearer a-token"}
    answers = [closed.request("POST", "/v1/invites", b"{}", **known, **more) for more, _ in FORMS]
    assert [answer.status for answer in answers] == [status for _, status in FORMS]


def test_reading_from_this_machine_goes_by_the_control_socket_unless_it_was_opened(
    tmp_path: Path,
) -> None:
    """A proxy on this machine that adds no header looks like somebody on it."""
    weighbridge("init", tmp_path / "s", "--listen", "127.0.0.1:0")
    with serving(tmp_path / "s") as server:
        assert server.get("/v1/log/head").status == 401
        assert server.get("/").status == 401
        config = tmp_path / "s" / "config.toml"
        assert weighbridge("key", "list", "--config", config).returncode == 0


@pytest.mark.parametrize("text", ["admin:x/y", "provider", "provider:P", "lessee:/K", "agent", ""])
def test_a_role_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_role(text)


def test_a_party_sees_its_contract_alone() -> None:
    assert granted(["lessee:L/K-1"]).viewer.contracts == frozenset({"K-1"})
    assert granted(["ops"]).viewer.contracts == frozenset()
    assert granted(["auditor"]).viewer.contracts is None
    assert granted(["lessee:L/K-1"]).roles == {Role.LESSEE}


def test_somebody_with_several_contracts_speaks_in_each_for_whom_they_are_there() -> None:
    """Who leases on is a lessee in one contract and a provider in the next."""
    broker = granted(["lessee:L/up", "provider:P/down"], "Li Wei")
    assert broker.viewer.contracts == frozenset({"up", "down"})
    assert [broker.parties(one) for one in ("up", "down", "other")] == [("L",), ("P",), ()]
    assert broker.speaks_as("up", "L") is Role.LESSEE
    assert broker.speaks_as("down", "P") is Role.PROVIDER
    assert broker.speaks_as("down", "L") is None
    assert broker.speaks_as("other", "L") is None
    assert granted(["admin"]).speaks_as("other", "L") is Role.ADMIN


def test_tls_by_itself_with_the_ca_that_an_invite_pins(tmp_path: Path) -> None:
    agent = Agent("n1", gpus=1)
    directory = make_store(tmp_path / "store", [agent], CONTRACT)
    set_config(directory, tls="true", url='"https://localhost:8470"')
    with serving(directory) as server:
        assert server.url.startswith("https://")
        port = urlsplit(server.url).port
        untrusting = http.client.HTTPSConnection("localhost", port, timeout=20)
        with pytest.raises(ssl.SSLCertVerificationError):
            untrusting.request("GET", "/v1/ca")
        untrusting.close()
        context = ssl.create_default_context(cafile=str(directory / "keys" / "ca.pem"))
        trusting = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
        trusting.request("POST", "/v1/reports", body(agent.next()))
        response = trusting.getresponse()
        assert response.status == 200, response.read()
        response.read()
        trusting.request("GET", "/v1/ca")
        served = trusting.getresponse().read()
        trusting.close()
        options = ("--side", "lessee", "--node", "n1", "--config", directory / "config.toml")
        line = weighbridge("invite", "lease", *options).stdout
    authority = x509.load_pem_x509_certificate(served).public_bytes(Encoding.DER)
    assert opened_invite(line)["ca"] == hashlib.sha256(authority).hexdigest()


def test_a_unix_socket_serves_without_tls_and_is_never_local(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of()
    set_config(directory, listen='"unix:http.sock"')
    with serving(directory):
        path = directory / "http.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert _status(path, "/healthz") == 200
        assert _status(path, "/v1/log/head") == 401
        assert stat.S_IMODE((directory / "control.sock").stat().st_mode) == 0o600
    assert tmp_path in directory.parents


def _status(path: Path, target: str) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return int(client.recv(100).split()[1])


def test_plain_http_to_others_is_refused(store_of: StoreOf) -> None:
    directory = store_of()
    set_config(directory, listen='"0.0.0.0:0"', tls="false")
    served = refused_serve(directory)
    assert served.returncode == 2
    assert "tls: plain HTTP is refused except on loopback and a Unix socket" in served.stderr


def test_keys_are_for_their_owner_alone(store_of: StoreOf) -> None:
    directory = store_of()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("log.key", "ca.key"):
        assert stat.S_IMODE((directory / "keys" / name).stat().st_mode) == 0o600
