"""The configuration: file, then environment, then flags; a key that is not known is an error that names it."""

from pathlib import Path

import pytest

from agent.config import AgentConfig
from collector.config import SLOWEST_TICK_MS, load_config
from tests.collector.building import weighbridge
from weighbridge.judge.fleet import STALL_US
from weighbridge.process.settings import ConfigError


def openid(role: str = "admin", issuer: str = "https://id.example", **more: str) -> str:
    keys = {"issuer": issuer, "client_id": "weighbridge"} | more
    lines = [f'{name} = "{value}"' for name, value in keys.items()]
    grants = f'grants = [{{claim = "sub", value = "7", role = "{role}"}}]'
    return "\n".join(["[openid]", *lines, grants])


@pytest.mark.parametrize("held", ["keys", "config.toml"])
def test_a_new_store_in_a_server_takes_nothing_of_another_ones(tmp_path: Path, held: str) -> None:
    (tmp_path / held).mkdir()
    said = weighbridge("init", tmp_path, "--store", "postgresql://127.0.0.1:1/none", check=False)
    assert (said.returncode, list(tmp_path.iterdir())) == (2, [tmp_path / held])
    assert said.stderr == f"weighbridge: {tmp_path / held} exists already: it is another store's\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('listen = "127.0.0.1:1"\n[limits]\nreports = 5\n')
    return path


def test_flags_go_before_the_environment_and_that_before_the_file(file: Path) -> None:
    assert load_config(file, {}).listen.port == 1
    environment = {"WEIGHBRIDGE_LISTEN": "127.0.0.1:2", "WEIGHBRIDGE_LIMITS__REPORTS": "7"}
    config = load_config(file, environment)
    assert (config.listen.port, config.limits.reports) == (2, 7)
    assert load_config(file, environment, {"listen": "127.0.0.1:3"}).listen.port == 3
    assert load_config(file, environment, {"listen": None}).listen.port == 2


def test_defaults_are_closed(file: Path) -> None:
    config = load_config(file, {})
    assert not config.open_on_loopback
    assert not config.tls
    assert config.directory == file.parent
    assert load_config(file, {"WEIGHBRIDGE_LISTEN": "10.0.0.1:8470"}).tls


def test_people_come_back_from_their_provider_to_where_they_open_the_pages(file: Path) -> None:
    file.write_text(f'url = "https://agents.example:8470/"\n{openid()}')
    config = load_config(file, {}).openid
    assert config is not None
    assert config.redirect == "https://agents.example:8470/login/openid/answer"
    assert (config.label, config.secret, config.trust) == ("id.example", None, True)
    file.write_text(openid(url="https://pages.example", name="Example"))
    config = load_config(file, {}).openid
    assert config is not None
    assert config.redirect == "https://pages.example/login/openid/answer"
    assert config.label == "Example"


def test_the_slowest_tick_is_no_stall() -> None:
    assert 2 * SLOWEST_TICK_MS * 1000 <= STALL_US


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("surprise = 1", "surprise: no such key"),
        ("[limits]\nsurprise = 1", "limits.surprise: no such key"),
        ('listne = "x"', "listne: no such key; did you mean listen?"),
        ("[limits]\nreport = 1", "limits.report: no such key; did you mean limits.reports?"),
        (
            '[[tokens]]\nsha = "x"',
            "tokens.0.sha256: is missing; tokens.0.role: is missing; "
            "tokens.0.sha: no such key; did you mean tokens.0.sha256?",
        ),
        (
            '[[tokens]]\nsha256 = "x"\nrole = "admin"',
            "tokens.0.sha256: must be a SHA-256: 64 hexadecimal digits in lower case",
        ),
        ("[limits]\nreports = -1", "limits.reports"),
        ("[limits]\nreading_seconds = 0", "limits.reading_seconds"),
        ("tick_ms = 0", "tick_ms"),
        ("tick_ms = 5000", "tick_ms"),
        ('[limits]\nreports = "5"', "limits.reports"),
        ('open_on_loopback = "yes"', "open_on_loopback"),
        ('[[tokens]]\nrole = "admin"', "tokens.0.sha256"),
        (f'[[tokens]]\nsha256 = "{"0" * 64}"\nrole = "king"', "tokens.0.role"),
        ('listen = "somewhere"', "listen"),
        ('[remote_write]\nurl = "ftp://a/"', "remote_write.url: http or https"),
        ('[remote_write]\nurl = "http://a/"\ntoken = "none"', "remote_write.token: .* is no file"),
        ('[remote_write]\nurl = "http://a/"\nseconds = 0', "remote_write.seconds"),
        ('[otlp]\nurl = "http://a/"\nauthority = "none"', "otlp.authority: .* is no file"),
        ('[otlp]\nurl = "http://a/"\nqueue_bytes = -1', "otlp.queue_bytes"),
        ('listen = "example.com:80"', "listen"),
        ('listen = "127.0.0.1:99999"', "listen"),
        ('listen = "127.0.0.1:-1"', "listen"),
        ('trusted_proxies = ["proxy"]', "trusted_proxies"),
        ("listen = ", "config.toml"),
        (openid(), "openid.url: say where people open the pages"),
        (openid(url="https://c.example", issuer="http://id.example"), "openid.issuer: https"),
        (openid(url="https://c.example", secret_file="none"), "openid.secret_file: "),
        (openid(url="https://c.example", ca="none.pem"), "openid.ca: "),
        (openid(url="https://c.example", ca="config.toml"), "openid.ca: "),
        (openid(url="https://c.example", role="king"), "openid.grants.0.role: "),
        (openid(url="https://c.example", role="lessee"), "openid.grants.0.role: "),
        ('[openid]\nissuer = "https://id.example"\nclient_id = "c"\ngrants = []', "openid.grants"),
    ],
)
def test_an_error_names_the_key(file: Path, text: str, named: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_config(file, {})


@pytest.mark.parametrize(
    "variable", ["WEIGHBRIDGE_LISTENS", "WEIGHBRIDGE_LIMITS__X", "WEIGHBRIDGE_TICKMS"]
)
def test_a_variable_that_is_nearly_known_is_an_error(file: Path, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"environment: {variable}: no such key"):
        load_config(file, {variable: "1"})


def test_other_variables_are_not_ours(file: Path) -> None:
    agents = {f"WEIGHBRIDGE_{name.upper()}": "x" for name in AgentConfig.model_fields}
    surroundings = agents | {"WEIGHBRIDGE_CONFIG": "x", "HOME": "/", "WEIGHBRIDGE_A__B": "1"}
    assert load_config(file, surroundings) == load_config(file, {})


def test_a_missing_file_is_an_error_that_names_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*`weighbridge init DIRECTORY` makes"):
        load_config(tmp_path / "none.toml", {})
    elsewhere = {"WEIGHBRIDGE_URL": "https://c.example"}
    with pytest.raises(ConfigError, match="this command asks no collector at WEIGHBRIDGE_URL"):
        load_config(tmp_path / "none.toml", elsewhere)
