"""The audit over HTTP, by command and as a page: what it says of a month that was hardly seen, from a store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.documents.formats import FORMATS
from collector.documents.words import LANGUAGES, WORDS
from tests.collector.building import Agent, Serving, make_store, serving, wait_for, weighbridge
from tests.collector.test_statement import CONFIG, HOUR, MONTH, START_US, TERMS, at
from tests.weighbridge.audit.deals import KEYS, market
from tests.weighbridge.audit.market import at as day
from tests.weighbridge.audit.market import portfolio
from weighbridge.audit.auditing import audit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A collector that has evidence of the first two hours of a month, and of nothing more."""
    agent = Agent("n1", gpus=2)
    agent.start_us = START_US
    store = make_store(tmp_path_factory.mktemp("audit") / "store", [agent], TERMS, heard=True)
    with serving(store) as running:
        first = agent.next(360, inventory=agent.inventory())
        assert running.report(first, agent.next(360), agent.next()).status == 200
        yield running


@pytest.fixture(scope="module")
def found(server: Serving) -> dict[str, Any]:
    def heard() -> dict[str, Any] | None:
        made: dict[str, Any] = server.get("/v1/audit").json
        (lease,) = made["contracts"]
        month = [one for one in made["accounts"] if one["month"] == MONTH]
        return made if lease["seen_gpus"] == 2 and month[0]["healthy_hours"] == "4.0000" else None

    made = wait_for(heard, "both hours in the audit")
    assert isinstance(made, dict)
    return made


def test_a_month_that_was_hardly_seen_is_flagged_with_its_figures_and_entries(
    found: dict[str, Any],
) -> None:
    flags = {one["code"]: one for one in found["flags"]}
    short = flags["contracted_not_reporting"]
    assert short["contracts"] == ["lease"]
    assert dict(short["figures"])["month"] == MONTH
    assert dict(short["figures"])["gpus_reporting"] == "0"
    assert short["entries"]
    assert flags["early_death"]["since"] == at(2)
    assert dict(flags["early_death"]["figures"])["gpus_gone"] == "2"


def test_what_was_recognised_stands_beside_what_was_delivered(found: dict[str, Any]) -> None:
    everybody, provider = (
        next(one for one in found["accounts"] if (one["role"], one["month"]) == (role, MONTH))
        for role in ("", "provider")
    )
    assert everybody | {"company": "p", "role": "provider"} == provider
    assert provider["recognised"] == "7440.00"
    assert 0 < float(provider["delivered"]) < 7440 * 2 * HOUR / (28 * 24 * HOUR) + 0.01
    sums = float(provider["delivered"]) + float(provider["unproven"])
    assert sums == pytest.approx(7440)


def test_as_of_an_instant_it_is_the_same_for_ever_and_before_the_evidence_it_says_so(
    server: Serving, found: dict[str, Any]
) -> None:
    again = server.get(f"/v1/audit?as_of={found['as_of']}").json
    assert again["flags"] == found["flags"]
    assert again["accounts"] == found["accounts"]
    before = server.get(f"/v1/audit?as_of={at(1)}").json
    assert [one["code"] for one in before["flags"]] == []
    assert server.get("/v1/audit?as_of=2999-01-01T00:00:00Z").status == 400
    assert server.get("/v1/audit?as_of=yesterday").status == 400


def test_the_command_prints_what_is_served_in_every_format(
    server: Serving, found: dict[str, Any], tmp_path: Path
) -> None:
    config = ("--config", server.directory / CONFIG)
    shown = weighbridge("audit", "--as-of", found["as_of"], *config).stdout
    assert "contracted_not_reporting" in shown
    for name in ("json", "csv", "html"):
        file = tmp_path / name
        words = ("audit", "--as-of", found["as_of"], "--format", name, "--lang", "zh", "-o", file)
        weighbridge(*words, *config)
        path = f"/v1/audit?as_of={found['as_of']}&format={name}&lang=zh"
        assert file.read_bytes() == server.get(path).body
    assert json.loads((tmp_path / "json").read_bytes())["engine"] == "audit/1"


@pytest.mark.parametrize(("language", "title"), [("en", "Red flags"), ("zh", "红旗标记")])
def test_the_page_shows_flags_with_innocent_explanations_in_both_languages(
    server: Serving, found: dict[str, Any], language: str, title: str
) -> None:
    page = server.get(f"/audit?as_of={found['as_of']}&lang={language}").body.decode()
    assert title in page
    assert "contracted_not_reporting" in page
    assert ("未安装代理" if language == "zh" else "a firewall keeps it") in page


def test_every_figure_that_a_flag_of_the_market_has_is_worded_and_every_format_shows_it() -> None:
    as_of_us = day("2025-08-06", 23)
    made = audit(portfolio(market(), as_of_us, KEYS), simulated=True)
    names = {f"figure.{name}" for flag in made.flags for name, _ in flag.figures}
    assert names <= WORDS.keys()
    for name in ("text", "csv", "html"):
        for language in LANGUAGES:
            assert "edited_history" in FORMATS[name].render(made, language).decode()
