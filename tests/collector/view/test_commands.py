"""The commands about contracts, each as a person runs it, on a store of its own."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.__main__ import main
from collector.cli import status
from weighbridge.contract import load

CONTRACT = """\
contract_id: {name}
effective: 2020-09-01T00:00:00Z
time_zone: UTC
currency: USD
parties: [{{id: P, name: "[b]Prov[/b]", role: provider}}, {{id: L, name: Lessee, role: lessee}}]
term: {{from: 2020-09-01T00:00:00Z, to: 2126-09-01T00:00:00Z}}
resources: [{{id: cards, accelerator: {{sku: H100-SXM-80GB}}, per_node: 8, nodes: 2}}]
availability: [{{id: nodes-up, unit: node, target: "0.995"}}]
unknown: {{policy: hold}}
sampling: {{first_report_within_s: 4000000000}}
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's environment sets, `WEIGHBRIDGE_WRITE_GOLDEN` included, is no setting of the commands."""
    for name in [name for name in os.environ if name.startswith("WEIGHBRIDGE_")]:
        monkeypatch.delenv(name)


def weighbridge(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    made = weighbridge("init", tmp_path / "store")
    assert made.exit_code == 0, made.output
    return tmp_path / "store" / "config.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.yaml"
    path.write_text(CONTRACT.format(name="alpha"), encoding="utf-8")
    return path


def test_a_sound_contract_is_said_to_be_sound(file: Path) -> None:
    checked = weighbridge("contract", "check", file)
    assert (checked.exit_code, "alpha, version 1, is sound" in checked.output) == (0, True)


def test_every_problem_is_named_with_its_line(file: Path) -> None:
    text = file.read_text().replace("nodes: 2", "nodes: -2").replace("USD", "USD\nfoo: 1")
    file.write_text(text)
    checked = weighbridge("contract", "check", file)
    assert checked.exit_code == 2
    assert f"{file}: line 5: foo: is not a known key\n" in checked.output
    assert "line 8: resources[0].nodes" in checked.output


def test_all_that_is_wrong_and_all_to_beware_of_is_said_at_once(file: Path) -> None:
    """A key that is not known, a currency that nobody has, parts that do not fit each other, and a card of no table."""
    text = file.read_text().replace("currency: USD", "curency: USD\ncurrency: RMB")
    text = text.replace("nodes: 2", "nods: 2, nodes: 2").replace("H100-SXM-80GB", "H100-SXM-80G")
    file.write_text(text + "pricing: [{price: 1, unit: gpu_hour, resource: other}]\n")
    checked = weighbridge("contract", "check", file)
    assert checked.exit_code == 2
    for said in (
        "curency: is not a known key; did you mean currency?",
        "resources[0].nods: is not a known key; did you mean nodes?",
        "currency: `RMB` is no code of ISO 4217",
        "pricing[0].resource: ",
        "warning: resources.cards: accelerator.sku `H100-SXM-80G` is not in the SKU table",
    ):
        assert said in checked.output, checked.output


def test_a_word_that_is_nearly_one_of_those_allowed_is_told(file: Path) -> None:
    file.write_text(file.read_text().replace("policy: ", "policy: x"))
    assert "did you mean " in weighbridge("contract", "check", file).output


def test_a_contract_that_was_added_by_mistake_is_withdrawn_and_added_right(
    store: Path, file: Path
) -> None:
    config = ("--config", store)
    assert weighbridge("contract", "add", file, *config).exit_code == 0
    gone = weighbridge("contract", "withdraw", "alpha", "--reason", "another draft", *config)
    assert (gone.exit_code, "alpha is withdrawn by entry" in gone.output) == (0, True), gone.output
    assert "alpha" not in weighbridge("contract", "list", *config).output
    again = weighbridge("contract", "withdraw", "alpha", "--reason", "again", *config)
    assert again.exit_code == 2
    assert weighbridge("contract", "add", file, *config).exit_code == 0


def test_a_lease_that_promises_more_than_the_one_it_draws_on_is_told(file: Path) -> None:
    upstream = file.with_name("upstream.yaml")
    upstream.write_text(file.read_text())
    assert weighbridge("contract", "check", file, "--against", upstream).exit_code == 0
    file.write_text(file.read_text().replace("time_zone: UTC", "time_zone: Asia/Shanghai"))
    checked = weighbridge("contract", "check", file, "--against", upstream)
    assert checked.exit_code == 2
    assert f"stricter than {upstream}: time_zone: Asia/Shanghai against UTC" in checked.output


def test_a_file_that_is_no_text_is_a_problem_and_no_crash(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    checked = weighbridge("contract", "check", file)
    assert (checked.exit_code, "not UTF-8 text" in checked.output) == (2, True)


def test_a_contract_is_added_listed_and_shown_with_every_default(store: Path, file: Path) -> None:
    added = weighbridge("contract", "add", file, "--config", store)
    assert added.exit_code == 0, added.output
    assert "; judged from 20" in added.output
    assert "judged from 2020-09-01" not in added.output, "the time before it was added is not"
    listed = weighbridge("contract", "list", "--config", store).output
    assert "alpha" in listed
    assert "[b]Prov[/b]" in "".join(listed.split())
    shown = weighbridge("contract", "show", "alpha", "--config", store)
    assert load(shown.output) == load(file.read_text())


def test_the_same_version_twice_is_refused(store: Path, file: Path) -> None:
    assert weighbridge("contract", "add", file, "--config", store).exit_code == 0
    again = weighbridge("contract", "add", file, "--config", store)
    assert (again.exit_code, "must supersede" in again.output) == (2, True)


def test_a_contract_that_is_not_there_is_a_usage_error(store: Path) -> None:
    for command in (("contract", "show"), ("status",)):
        shown = weighbridge(*command, "nope/../x", "--config", store)
        assert (shown.exit_code, "no such contract" in shown.output) == (2, True)


def test_status_is_unknown_where_nothing_reports_and_says_so_by_its_exit_code(
    store: Path, file: Path
) -> None:
    assert weighbridge("status", "--config", store).exit_code == 0
    weighbridge("contract", "add", file, "--config", store)
    for arguments in ((), ("alpha",)):
        told = weighbridge("status", *arguments, "--config", store)
        assert told.exit_code == 4, told.output
        assert "UNKNOWN" in told.output
        assert "99.500 %" in told.output


def test_what_status_finds_fits_80_columns_and_breaks_no_name(
    store: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = "GPU-0dc3e3cd-a3a1-11f1-9c5e-0242ac110002"
    library = "the driver's library, libnvidia-ml.so.1, is not found"
    found = {
        "code": "gpu_missing",
        "severity": "error",
        "verdict": "breached",
        "node": "node-1",
        "gpu": gpu,
        "expected": "8 GPUs",
        "observed": "0 GPUs (library_not_found)",
        "reason": {"en": library},
        "since_us": 1_795_950_715_845_189,
    }
    weighbridge("contract", "add", file, "--config", store)
    monkeypatch.setattr(status, "_findings", lambda *_: [found])
    monkeypatch.setenv("COLUMNS", "80")
    told = weighbridge("status", "--config", store).output
    assert max(map(len, told.splitlines())) <= 80
    for name in ("gpu_missing", f"node-1 {gpu}", "(library_not_found):", "libnvidia-ml.so.1"):
        assert name in told


def test_what_is_the_same_of_several_gpus_of_a_node_is_said_once(
    store: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(number: int, node: str = "node-1", observed: str = "lost") -> dict[str, Any]:
        said = {"code": "gpu_lost", "severity": "error", "verdict": "breached", "node": node}
        told = {"expected": "answers", "observed": observed, "since_us": 1_795_950_715_845_189}
        return said | told | {"gpu": f"GPU-{number}"}

    every = [*map(found, range(5)), found(5, "node-2"), found(6, observed="reset")]
    weighbridge("contract", "add", file, "--config", store)
    monkeypatch.setattr(status, "_findings", lambda *_: every)
    lines = [one.strip() for one in weighbridge("status", "--config", store).output.splitlines()]
    told = [one for one in lines if one.startswith(("at ", "GPU-", "and "))]
    assert told == [
        *("at 5 GPUs of node-1", "GPU-0", "GPU-1", "GPU-2", "GPU-3", "and 1 more"),
        *("at node-2 GPU-5", "at node-1 GPU-6"),
    ]


def test_dashboards_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    built = weighbridge("dashboards", "build", tmp_path / "out")
    assert built.exit_code == 0, built.output
    assert (tmp_path / "out" / "prometheus" / "weighbridge.rules.yaml").exists()


def test_a_card_that_the_table_does_not_have_is_a_warning_with_the_nearest_key(file: Path) -> None:
    file.write_text(file.read_text().replace("H100-SXM-80GB", "h100-sxm-80gb"))
    checked = weighbridge("contract", "check", file)
    assert (checked.exit_code, "is sound" in checked.output) == (0, True)
    assert "warning: resources.cards: accelerator.sku `h100-sxm-80gb`" in checked.output
    assert "did you mean H100-SXM-80GB?" in checked.output


def test_adding_a_contract_warns_of_an_unknown_card_too(file: Path, store: Path) -> None:
    file.write_text(file.read_text().replace("H100-SXM-80GB", "X"))
    added = weighbridge("contract", "add", file, "--config", store)
    assert (added.exit_code, "warning: " in added.output, "did you" in added.output) == (
        0,
        True,
        False,
    )


def test_a_bound_on_no_reading_is_an_error_with_its_line(file: Path) -> None:
    bound = "nodes: 2, bounds: [{reading: sm_clock_megaherz, at_least: 1}]"
    file.write_text(file.read_text().replace("nodes: 2", bound))
    checked = weighbridge("contract", "check", file)
    assert checked.exit_code == 2
    assert "line 7" in checked.output
    assert "did you mean sm_clock_megahertz?" in checked.output


@pytest.mark.parametrize("command", [("status",), ("contract", "show")])
def test_a_contract_that_is_not_there_is_named(store: Path, command: tuple[str, ...]) -> None:
    said = weighbridge(*command, "lease-9", "--config", store)
    assert (said.exit_code, "weighbridge: lease-9: no such contract" in said.output) == (2, True)


def test_a_configuration_that_is_not_there_can_be_named(tmp_path: Path) -> None:
    said = weighbridge("status", "--config", tmp_path / "config.toml")
    assert said.exit_code == 2
    assert "No such file; name the configuration with --config or WEIGHBRIDGE_CONFIG" in said.output


def test_serving_on_a_port_that_is_taken_names_listen(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = weighbridge("serve", "--listen", f"127.0.0.1:{port}", "--config", store)
    assert (said.exit_code, "weighbridge: listen: " in said.output) == (2, True)
    assert str(port) in said.output
