"""Where the configuration comes from, and what is wrong with it."""

import re
from pathlib import Path

import pytest

from agent.config import load_config
from collector.config import Settings
from weighbridge.process.settings import ConfigError


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("interval_ms = 1000\nspool_bytes = 70000\nsamples_per_report = 2\n")
    environment = {"WEIGHBRIDGE_SPOOL_BYTES": "80000", "WEIGHBRIDGE_SAMPLES_PER_REPORT": "3"}
    config = load_config(file, environment, {"samples_per_report": 4, "log_level": None})
    assert (config.interval_ms, config.spool_bytes, config.samples_per_report) == (1000, 80000, 4)
    assert config.log_level == "info"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("intervall_ms = 1", "intervall_ms: no such key; did you mean interval_ms?"),
        ("interval_ms = 'soon'", "interval_ms: "),
        ("interval_ms = 0", "interval_ms: "),
        ("metrics_listen = '0.0.0.0:9470'", "metrics_listen: must be 127.0.0.1:PORT"),
        ("dcgm_listen = 'anywhere'", "dcgm_listen: must be ADDRESS:PORT"),
        ("dcgm_host_label = 'host'", "dcgm_host_label: "),
        ("[agent]\ninterval_ms = 1000", "agent: no such key"),
        ("interval_ms = ", "agent.toml"),
    ],
)
def test_an_error_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(file, {})


def test_a_variable_that_is_nearly_known_is_an_error_that_names_the_key() -> None:
    meant = "WEIGHBRIDGE_INTERVALL_MS: no such key; did you mean WEIGHBRIDGE_INTERVAL_MS?"
    with pytest.raises(ConfigError, match=re.escape(meant)):
        load_config(None, {"WEIGHBRIDGE_INTERVALL_MS": "1", "PATH": "/bin"})


def test_variables_of_other_programs_are_not_the_agents() -> None:
    """The collector's, the path of a Slurm prolog, and what Kubernetes makes of a service's name."""
    others = {"CONFIG", "AGENT", "SERVICE_HOST", "PORT", "PORT_8470_TCP", "COLLECTOR_SERVICE_PORT"}
    tables = {"attestation", "timestamps", "limits"}
    collectors = {name.upper() for name in Settings.model_fields.keys() - tables}
    collectors |= {"LIMITS__REPORTS", "ATTESTATION__PYTHON"}
    environment = {f"WEIGHBRIDGE_{name}": "tcp://10.0.0.1:8470" for name in others | collectors}
    assert load_config(None, environment) == load_config(None, {})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "agent.toml", {})
