"""A lessee's laptop: no store, but a URL, a token in a file, and the collector's own CA."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from tests.e2e.stage import (
    ADMIN,
    COLLECTOR,
    Collector,
    Stage,
    command,
    environment,
    lease,
    wait_for,
)
from weighbridge.wire.report import digest

TOKEN = "the token of a lessee"
JUNE = "2026-06"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[Collector]:
    """It speaks TLS, and nobody reads without a token."""
    stage = Stage(tmp_path_factory.mktemp("laptop"), library)
    role = f'[[tokens]]\nsha256 = "{digest(TOKEN.encode())}"\nrole = "lessee:lessee/lease"'
    made = stage.collector(settings=["tls = true", role], scheme="https")
    made.config.write_text(made.config.read_text().replace("open_on_loopback = true\n", ""))
    try:
        made.start()
        for name in ("lease", "another"):
            made.post("/v1/contracts", lease(name, start_s=1_780_000_000).encode())
        asked = f"/v1/contracts/another/statement?period={JUNE}"
        wait_for(lambda: made.request("GET", asked, token=ADMIN).status == 200, "a second to pass")
        yield made
    finally:
        stage.close()


@pytest.fixture
def laptop(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lessee works: the environment says all that is needed."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    monkeypatch.chdir(tmp_path)
    for name, value in settings(collector, token).items():
        monkeypatch.setenv(name, value)
    for name in ("HTTPS_PROXY", "https_proxy", "WEIGHBRIDGE_CONFIG", "WEIGHBRIDGE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def settings(collector: Collector, token: Path) -> dict[str, str]:
    return {
        "WEIGHBRIDGE_URL": f"https://127.0.0.1:{collector.port}",
        "WEIGHBRIDGE_TOKEN_FILE": str(token),
        "WEIGHBRIDGE_CA": str(collector.directory / "keys" / "ca.pem"),
    }


def weighbridge(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def refused(*words: str) -> str:
    """What a command says that is not obeyed: one line, and exit code 2."""
    done = weighbridge(*words)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    return line.removeprefix("weighbridge: ")


WINDOW = ("--from", "2026-06-01T00:00:00Z", "--until", "2026-06-02T00:00:00Z")
READS = {
    "contract show lease": "contract_id: lease",
    "contract openslo lease": "openslo/v1",
    f"statement lease --period {JUNE}": "The lessee",
    "claims": "nothing can be claimed",
    "delivery lease": "Delivery note",
    "audit": "Audit",
}


@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize("words", READS)
def test_what_is_the_lessees_is_read_from_the_laptop(words: str) -> None:
    done = weighbridge(*words.split())
    assert (done.exit_code, READS[words] in done.stdout) == (0, True), done.output


def test_the_program_itself_asks_with_nothing_but_its_environment(
    laptop: Path, collector: Collector
) -> None:
    done = command([COLLECTOR, "status"], environment(**settings(collector, laptop / "token")))
    assert (done.returncode, done.stderr) == (4, "")
    assert "lease" in done.stdout
    assert "another" not in done.stdout, "it is no contract of this lessee's"


def test_a_claim_is_written_and_filed_from_the_laptop(laptop: Path) -> None:
    written = weighbridge("claim", "lease", "--period", JUNE, "-o", "claim")
    assert written.exit_code == 0, written.output
    assert len(list((laptop / "claim").iterdir())) == 3
    filed = weighbridge("notice", "claim", "lease", "--period", JUNE, "--party", "lessee")
    assert filed.exit_code == 0, filed.output
    entry = filed.stdout.removeprefix("entry ").strip()
    assert f"`weighbridge notice show lease {entry}`" in filed.stderr
    assert "attested" in weighbridge("notice", "show", "lease", entry).stdout


def test_flags_go_before_the_environment(
    laptop: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = settings(collector, laptop / "token")
    for name in told:
        monkeypatch.setenv(name, str(laptop / "token") if "URL" not in name else "https://[::1]:1")
    words = ("--url", told["WEIGHBRIDGE_URL"], "--ca", told["WEIGHBRIDGE_CA"])
    (laptop / "admin").write_text(ADMIN)
    listed = weighbridge("contract", "list", *words, "--token-file", "admin")
    assert (listed.exit_code, "another" in listed.stdout) == (0, True), listed.output


def test_a_configuration_that_is_named_is_a_store_beside_the_command(
    laptop: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a collector may say how agents reach it, which its own commands do not follow."""
    (laptop / "token").write_text("another token")
    assert "refuses the token" in refused("contract", "list")
    config = str(collector.config)
    assert "another" in weighbridge("contract", "list", "--config", config).stdout
    assert "--config is a store" in refused(
        "audit", "--config", config, "--url", "https://a.example"
    )
    monkeypatch.setenv("WEIGHBRIDGE_CONFIG", config)
    assert "another" in weighbridge("contract", "list").stdout


def test_a_token_may_stand_in_the_environment(
    laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIGHBRIDGE_TOKEN_FILE")
    monkeypatch.setenv("WEIGHBRIDGE_TOKEN", TOKEN)
    assert "lease" in weighbridge("contract", "list").stdout
    (laptop / "other").write_text("another")
    assert "refuses the token" in refused("contract", "list", "--token-file", "other")


def test_who_shows_no_token_or_a_wrong_one_is_told_so(
    laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not reach this: not for role lessee" in refused("key", "list")
    assert "no such contract" in refused("contract", "show", "another")
    assert "ask as of a later instant" in refused("acceptance", "lease", *WINDOW)
    (laptop / "token").write_text("a\nb")
    assert "no token: one line" in refused("audit")
    monkeypatch.setenv("WEIGHBRIDGE_TOKEN_FILE", str(laptop / "none"))
    assert refused("audit") == f"{laptop / 'none'}: No such file or directory"
    monkeypatch.delenv("WEIGHBRIDGE_TOKEN_FILE")
    assert "asks for a token: name its file with --token-file or" in refused("audit")


def test_a_certificate_of_nobody_that_is_trusted_ends_the_command(
    laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIGHBRIDGE_CA")
    assert "its certificate is not trusted: " in (said := refused("audit"))
    assert "--ca or WEIGHBRIDGE_CA" in said
    assert "no certificate as PEM" in refused("audit", "--ca", str(laptop / "token"))


@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://127.0.0.1:1", "it cannot be reached: Connection refused"),
        ("https://collector.invalid", "its name is not known"),
        ("unix:/nowhere/socket", "it cannot be reached: No such file"),
        ("http://collector.example", "only https, http to a loopback address, or unix:PATH"),
        ("https://localhost:port", "Port could not be cast"),
        ("collector.example:8470", "only https"),
    ],
)
def test_a_collector_that_is_not_there_is_said_to_be_so(url: str, said: str) -> None:
    assert said in refused("audit", "--url", url)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Another server, which says the same to everybody."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"detail": "Not Found", "code": "not_found"}', "it is older than this program"),
        (200, b'{"flags": 1}', "of another version: what it answers is not read here"),
        (200, b"<html>hello", "what answers is no collector (status 200)"),
        (302, b"", "what answers is no collector (status 302)"),
        (502, b"Bad Gateway", "what answers is no collector (status 502)"),
    ],
)
def test_an_older_collector_and_another_server_are_told_apart(
    status: int, body: bytes, said: str
) -> None:
    with answering(status, body) as url:
        assert said in refused("audit", "--url", url)


@pytest.mark.usefixtures("laptop")
def test_no_token_stands_on_a_command_line() -> None:
    """Every process of the machine can read that."""
    assert "No such option" in weighbridge("audit", "--token", TOKEN).output
