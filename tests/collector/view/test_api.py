"""The JSON: what is there, who sees it, how it is paged and refused."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.collector.view.conftest import finding
from weighbridge.catalogue.findings import meanings, steps
from weighbridge.contract import explain, load
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.node_state import Proof
from weighbridge.verdict import Verdict
from weighbridge.wire.driver_words import COUNTED
from weighbridge.wire.report import Facts, Reason

Client = TestClient[web.Request, web.Application]
NOW_US = 1_790_000_000_000_000


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def got(client: Client, path: str, token: str | None = None) -> Any:
    async with client.get(path, headers=bearing(token) if token else {}) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def refused(client: Client, path: str, token: str | None = None) -> tuple[int, str]:
    async with client.get(path, headers=bearing(token) if token else {}) as response:
        assert response.content_type == "application/problem+json"
        problem = await response.json()
        assert problem["status"] == response.status
        return response.status, problem["code"]


async def test_a_contract_shows_delivered_against_contracted(client: Client) -> None:
    alpha, beta = (await got(client, "/v1/contracts"))["items"]
    assert alpha["gpus"] == {"contracted": 6, "reporting": 2, "healthy": 1, "in_use": 1}
    assert alpha["findings"] == {"error": 2, "warning": 0, "info": 1}
    assert alpha["cards"] == ["2 × 3 H100-SXM-80GB"]
    assert (alpha["verdict"], beta["verdict"]) == ("breached", "breached")
    (goal,) = alpha["objectives"]
    assert (goal["low"], goal["high"], goal["target"]) == ("1/2", "719/720", "199/200")


@pytest.mark.parametrize(
    ("objective", "reporting", "verdict"),
    [
        ("MET", 6, "met"),
        ("UNKNOWN", 6, "unknown"),
        ("BREACHED", 6, "breached"),
        ("BREACHED", 5, "breached"),
        ("MET", 5, "unknown"),
    ],
)
async def test_the_verdict_of_a_contract_is_three_valued(
    client: Client, fleet: Any, objective: str, reporting: int, verdict: str
) -> None:
    fleet.found = []
    fleet.verdicts["alpha"] = objective
    fleet.counted["alpha"] = type(fleet.counted["alpha"])(6, reporting, reporting, 0)
    (alpha, _) = (await got(client, "/v1/contracts"))["items"]
    assert alpha["verdict"] == verdict


@pytest.mark.parametrize(
    ("said", "severity", "verdict"),
    [
        (Verdict.UNKNOWN, Severity.INFO, "unknown"),
        (Verdict.BREACHED, Severity.INFO, "met"),
        (Verdict.BREACHED, Severity.ERROR, "breached"),
    ],
)
async def test_what_a_check_could_not_see_is_not_met(
    client: Client, fleet: Any, said: Verdict, severity: Severity, verdict: str
) -> None:
    fleet.found = [replace(found, verdict=said, severity=severity) for found in fleet.found[:1]]
    fleet.verdicts["alpha"] = "MET"
    fleet.counted["alpha"] = type(fleet.counted["alpha"])(6, 6, 6, 0)
    (alpha, _) = (await got(client, "/v1/contracts"))["items"]
    assert alpha["verdict"] == verdict


async def test_the_whole_document_comes_back_with_every_default(client: Client, fleet: Any) -> None:
    shown = await got(client, "/v1/contracts/alpha")
    assert load(shown["text"]) == fleet.contracts["alpha"]
    assert shown["terms"]["sampling"]["max_gap_s"] == "30"


async def test_status_names_every_gpu_that_should_be_there(client: Client) -> None:
    shown = await got(client, "/v1/contracts/alpha/status")
    states = {
        (node["node"], gpu["gpu"]): gpu["state"] for node in shown["nodes"] for gpu in node["gpus"]
    }
    assert states == {
        ("a1", "GPU-1"): "ok",
        ("a1", "GPU-2"): "lost",
        ("a1", ""): "missing",
        ("a2", "GPU-3"): "unknown",
        ("a2", "GPU-4"): "missing",
        ("a2", ""): "missing",
    }


async def test_a_list_is_paged_without_loss_or_repetition(client: Client, fleet: Any) -> None:
    fleet.assigned["alpha"] |= {f"b{number}": frozenset() for number in range(7)}
    seen, after = [], ""
    while after is not None:
        page = await got(client, f"/v1/nodes?limit=2&after={after}")
        assert len(page["items"]) <= 2
        seen += [item["node"] for item in page["items"]]
        after = page["after"]
    assert seen == sorted(seen) == ["a1", "a2", *(f"b{number}" for number in range(7))]


async def test_a_page_that_ends_the_list_leads_nowhere(client: Client) -> None:
    page = await got(client, "/v1/nodes?limit=2")
    assert ([item["node"] for item in page["items"]], page["after"]) == (["a1", "a2"], None)


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1" * 5000, "٣", ""])
async def test_a_limit_that_is_none_is_refused(client: Client, limit: str) -> None:
    assert await refused(client, f"/v1/contracts?limit={limit}") == (400, "malformed")


async def test_findings_say_expected_observed_since_and_answerable(client: Client) -> None:
    found = (await got(client, "/v1/contracts/alpha/findings"))["items"]
    lost = next(row for row in found if row["code"] == "gpu_lost")
    assert lost["observed"] == "<b>lost</b>"
    assert (lost["node"], lost["gpu"], lost["answerable"]) == ("a1", "GPU-2", "provider")
    assert lost["since_us"] == NOW_US - 3_600_000_000
    assert len(found) == 3


async def test_findings_say_what_they_mean_and_what_to_do_in_order(client: Client) -> None:
    found = (await got(client, "/v1/contracts/alpha/findings"))["items"]
    lost = next(row for row in found if row["code"] == "gpu_lost")
    row = meanings()["gpu_lost"]
    assert lost["means"] == {"en": row.means.en, "zh": row.means.zh}
    assert lost["cannot_see"]["en"] == row.cannot_see.en
    assert [step["code"] for step in lost["steps"]] == [step.code for step in row.steps]
    assert lost["steps"][0] == {"code": "drain", **steps()["drain"].says._asdict()}


async def test_a_finding_that_is_unknown_says_how_to_see_and_one_of_another_version_nothing(
    client: Client, fleet: Any
) -> None:
    fleet.found = [
        finding("alpha", "a1", "GPU-2", "gpu_lost", verdict="unknown"),
        finding("alpha", "a1", "GPU-3", "from_another_version"),
    ]
    found = (await got(client, "/v1/contracts/alpha/findings"))["items"]
    unseen, other = sorted(found, key=lambda row: str(row["gpu"]))
    assert unseen["steps"][0]["code"] == "check_driver_access"
    assert unseen["means"]["en"].startswith("nobody could see whether ")
    assert unseen["means"]["zh"].startswith("无法确认是否")
    assert (other["means"], other["innocent"], other["steps"]) == (None, None, [])


async def test_findings_that_closed_are_told_too_and_the_newest_word_comes_last(
    client: Client, fleet: Any, ledger: Any
) -> None:
    lost = fleet.found[0]
    ledger.told = [replace(lost, until_us=NOW_US - place) for place in range(5)]
    fleet.late = [replace(lost, observed="the newest word")]
    path, seen, after = "/v1/contracts/alpha/history?limit=2", [], "0"
    while after is not None:
        page = await got(client, f"{path}&after={after}")
        seen += page["items"]
        after = page["after"]
    assert [row["until_us"] for row in seen] == [*(NOW_US - place for place in range(5)), None]
    assert seen[-1]["observed"] == "the newest word"


async def test_of_findings_that_are_not_written_yet_a_page_holds_no_more_than_of_others(
    client: Client, fleet: Any, ledger: Any
) -> None:
    """And what is written between two pages is told twice rather than not at all."""
    lost = fleet.found[0]
    ledger.told = [replace(lost, since_us=place) for place in range(5)]
    fleet.late = [replace(lost, since_us=place) for place in range(5, 12)]
    path = "/v1/contracts/alpha/history?limit=2"
    for written_after in (9, 3, 4):
        seen, after = [], "0"
        while after is not None:
            page = await got(client, f"{path}&after={after}")
            assert len(page["items"]) <= 2
            seen += [row["since_us"] for row in page["items"]]
            after = page["after"]
            if len(seen) == 2 * written_after:
                ledger.told, fleet.late = [*ledger.told, *fleet.late[:3]], fleet.late[3:]
        assert sorted(set(seen)) == list(range(12))
        assert len(seen) <= 12 + 3
    for other in ("1.2", "1.2.3.4", "a", "-1", "1.2.x", "9" * 16):
        assert await refused(client, f"{path}&after={other}") == (400, "malformed")


async def test_a_finding_that_is_written_while_the_ledger_is_read_is_not_left_out(
    client: Client, fleet: Any, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, read = fleet.found[0], ledger.findings
    ledger.told, fleet.late = [lost], [replace(lost, since_us=1), replace(lost, since_us=2)]

    def written_meanwhile(*asked: Any) -> Any:
        page = read(*asked)
        ledger.told, fleet.late = [*ledger.told, *fleet.late[:1]], fleet.late[1:]
        return page

    monkeypatch.setattr(ledger, "findings", written_meanwhile)
    told = (await got(client, "/v1/contracts/alpha/history"))["items"]
    assert [row["since_us"] for row in told] == [lost.since_us, 1, 2]


async def test_a_list_of_findings_goes_on_from_the_key_that_it_gave_and_from_nothing_else(
    client: Client,
) -> None:
    path = "/v1/contracts/alpha/findings"
    whole = (await got(client, path))["items"]
    first = await got(client, f"{path}?limit=1")
    rest = await got(client, f"{path}?{urlencode({'after': first['after']})}")
    assert len(whole) > 1
    assert first["items"] + rest["items"] == whole
    for other in ("n1|code|device|0", "[1]", '["a", "b", "c", "d"]', "{}"):
        assert await refused(client, f"{path}?{urlencode({'after': other})}") == (400, "malformed")


async def test_a_timeline_is_cut_by_window_node_and_page(client: Client) -> None:
    path = "/v1/contracts/alpha/timeline"
    whole = (await got(client, path))["items"]
    assert len(whole) == 4
    assert (await got(client, f"{path}?node=a2"))["items"] == []
    late = await got(client, f"{path}?start_us={NOW_US - 60_000_000}")
    assert {row["device"] for row in late["items"]} == {"GPU-1", "GPU-2"}
    first = await got(client, f"{path}?limit=3")
    rest = await got(client, f"{path}?limit=3&after={first['after']}")
    assert first["items"] + rest["items"] == whole
    assert rest["after"] is None
    backwards = f"{path}?start_us={NOW_US}&end_us={NOW_US - 1}"
    assert await refused(client, backwards) == (400, "malformed")


async def test_a_timeline_ends_with_what_is_not_written_yet(client: Client, fleet: Any) -> None:
    path = "/v1/contracts/alpha/timeline"
    written = (await got(client, path))["items"]
    live = Row("alpha", "a1", 0, "GPU-1", "later", NOW_US - 9, NOW_US, State.UP, "", NOW_US)
    fleet.rows = [live, replace(live, contract="beta")]
    whole = (await got(client, path))["items"]
    added = [line for line in whole if line not in written]
    assert [(line["device"], line["end_us"]) for line in added] == [("GPU-1", NOW_US)]
    assert len(whole) == len(written) + 1
    assert added[0] not in (await got(client, f"{path}?as_of_us={NOW_US - 1}"))["items"]
    assert added[0] not in (await got(client, f"{path}?node=a2"))["items"]


async def test_a_node_shows_its_last_readings_and_why_others_are_not_there(client: Client) -> None:
    shown = await got(client, "/v1/nodes/a1")
    first, second = (gpu for gpu in shown["gpus"])
    assert first["readings"]["power_draw_milliwatts"] == 699_500
    assert first["readings"]["memory_used_bytes"] == 0
    assert second["unavailable"]["power_draw_milliwatts"] == "gpu_is_lost"
    assert second["xids"] == {"79": 1}


async def test_a_gpu_shows_what_challenges_said_of_it_and_who_asked(
    client: Client, fleet: Any
) -> None:
    """In the API and on the page, its rate by what it is."""
    told = ("alpha", "failed", "wrong answer", NOW_US, 800 * 10**12, None, None, None, NOW_US)
    fleet.nodes["a1"].proofs["GPU-1"] = Proof(*told, "schedule")
    shown = {gpu["gpu"]: gpu["proof"] for gpu in (await got(client, "/v1/nodes/a1"))["gpus"]}
    proof = shown.pop("GPU-1")
    assert (proof["cause"], proof["verdict"]) == ("schedule", "failed")
    assert proof["flops_per_second"] == 800 * 10**12
    assert set(shown.values()) == {None}
    (place,) = (await got(client, "/v1/gpus/GPU-1"))["places"]
    assert place["proof"] == proof
    async with client.get("/nodes/a1") as response:
        page = " ".join((await response.text()).split())
    assert "by the contract's schedule: failed (wrong answer)." in page
    assert "Rate of exact products when one was last met: 800 TFLOP/s." in page
    async with client.get("/nodes/a1?lang=zh") as response:
        assert "按合同计划；结果：未达标（答案错误）。" in await response.text()


async def test_a_node_says_its_driver_or_why_nvml_counts_no_gpus(
    client: Client, fleet: Any
) -> None:
    assert (await got(client, "/v1/nodes/a1"))["driver"] is None
    view = fleet.nodes["a1"].view
    view.enumerated = True
    view.driver = Facts(readings={COUNTED: 8, "driver_version": "580.95.05"}, unavailable={})
    driver = (await got(client, "/v1/nodes/a1"))["driver"]
    assert driver == {"version": "580.95.05", "reason": None, "says": None}
    view.driver = Facts(readings={}, unavailable={COUNTED: Reason.NO_PERMISSION})
    driver = (await got(client, "/v1/nodes/a1"))["driver"]
    assert (driver["version"], driver["reason"]) == (None, "no_permission")
    assert driver["says"].startswith("the agent may not ask")


async def test_a_silent_node_shows_no_old_reading_as_news(client: Client) -> None:
    shown = await got(client, "/v1/nodes/a2")
    assert shown["silent"] is True
    assert [gpu["readings"].get("power_draw_milliwatts") for gpu in shown["gpus"]] == [None, None]


async def test_a_gpu_is_found_wherever_it_was_shown(client: Client, fleet: Any) -> None:
    fleet.nodes["a2"].view.devices["GPU-1"] = fleet.nodes["a1"].view.devices["GPU-1"]
    shown = await got(client, "/v1/gpus/GPU-1")
    assert [place["node"] for place in shown["places"]] == ["a1", "a2"]
    assert await refused(client, "/v1/gpus/GPU-none") == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/contracts/alpha",
        "/v1/contracts/alpha/status",
        "/v1/contracts/alpha/findings",
        "/v1/contracts/alpha/timeline",
        "/v1/nodes/a1",
        "/v1/gpus/GPU-1",
        "/contracts/alpha",
        "/nodes/a1",
    ],
)
async def test_one_tenant_never_sees_what_is_anothers(client: Client, path: str) -> None:
    async with client.get(path, headers=bearing("alphas")) as response:
        assert response.status == 200
    assert await refused(client, path, "betas") == (404, "not_found")


async def test_who_has_several_contracts_sees_each_of_them_and_no_other(
    client: Client, fleet: Any
) -> None:
    fleet.contracts["gamma"] = fleet.contracts["beta"]
    seen = (await got(client, "/v1/contracts", "brokers"))["items"]
    assert [row["contract"] for row in seen] == ["alpha", "beta"]
    assert await refused(client, "/v1/contracts/gamma", "brokers") == (404, "not_found")


async def test_lists_and_shared_nodes_show_a_tenant_their_part_alone(
    client: Client, fleet: Any
) -> None:
    fleet.assigned["beta"] = {"a1": frozenset({"GPU-2"})}
    assert [row["contract"] for row in (await got(client, "/v1/contracts", "betas"))["items"]] == [
        "beta"
    ]
    assert [row["node"] for row in (await got(client, "/v1/nodes", "betas"))["items"]] == ["a1"]
    shown = await got(client, "/v1/nodes/a1", "betas")
    assert [gpu["gpu"] for gpu in shown["gpus"]] == ["GPU-2"]
    assert (shown["contracts"], shown["findings"]) == (["beta"], [])
    assert await refused(client, "/v1/gpus/GPU-1", "betas") == (404, "not_found")
    for path in ("/", "/nodes/a1", "/audit"):
        async with client.get(path, headers=bearing("betas")) as response:
            assert "alpha" not in await response.text()
    async with client.get("/audit", headers=bearing("root")) as response:
        assert "alpha" in await response.text()


async def test_what_is_found_on_a_node_under_no_contract_is_for_who_sees_all(
    client: Client, fleet: Any
) -> None:
    fleet.found = [replace(fleet.found[0], contract="", code="clock_stepped")]
    for path in ("/v1/nodes/a1", "/"):
        for token, told in (("alphas", False), ("root", True)):
            async with client.get(path, headers=bearing(token)) as response:
                assert ("stepped" in await response.text()) is told
    async with client.get("/metrics") as response:
        assert 'check="clock_stepped"' in await response.text()


async def test_metrics_are_for_operations_and_contracts_are_not(client: Client) -> None:
    assert await refused(client, "/metrics", "alphas") == (403, "forbidden")
    assert await refused(client, "/v1/contracts", "prometheus") == (403, "forbidden")
    async with client.get("/metrics", headers=bearing("prometheus")) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "weighbridge_contract_gpus" in await response.text()


async def test_service_discovery_lists_pages_that_are_there(client: Client) -> None:
    targets = await got(client, "/v1/sd/prometheus", "prometheus")
    paths = [target["labels"]["__metrics_path__"] for target in targets]
    assert paths == ["/metrics", "/metrics/gpus/0"]
    assert len({target["labels"]["shard"] for target in targets}) == 2
    for path in paths:
        async with client.get(path) as response:
            assert response.status == 200
    for path in ("/metrics/gpus/1", "/metrics/gpus/x", "/metrics/gpus/" + "9" * 5000):
        assert await refused(client, path) == (404, "not_found")


async def post(client: Client, body: str | bytes, token: str = "root") -> tuple[int, Any]:
    async with client.post("/v1/contracts", data=body, headers=bearing(token)) as response:
        return response.status, await response.json()


async def test_a_contract_is_added_as_it_was_written(
    client: Client, fleet: Any, submitted: Any
) -> None:
    text = explain(fleet.contracts["alpha"]).replace("contract_id: alpha", "contract_id: gamma")
    status, answer = await post(client, text)
    assert (status, answer["contract"], answer["index"]) == (200, "gamma", 7)
    (entry,) = submitted
    assert (entry.text, entry.from_us) == (text, fleet.contracts["alpha"].effective_us)


async def test_what_is_no_contract_is_refused_with_every_line(
    client: Client, submitted: Any
) -> None:
    status, answer = await post(client, "contract_id: x\nfoo: 1\n")
    assert (status, answer["code"]) == (400, "malformed")
    assert {"line": 2, "path": "foo", "reason": "is not a known key"} in answer["problems"]
    assert (await post(client, b"\xff"))[0] == 400
    assert (await post(client, b"x" * (256 * 1024 + 1)))[0] == 413
    assert submitted == []


async def test_only_an_admin_adds_a_contract(client: Client, submitted: Any) -> None:
    assert (await post(client, "", "alphas"))[0] == 403
    async with client.post("/v1/contracts", data="") as response:
        assert response.status == 403
    assert submitted == []


async def test_the_description_names_every_route_its_parameters_and_its_readers(
    client: Client,
) -> None:
    described = await got(client, "/v1/openapi.json")
    served = {
        (route.method.lower(), resource.canonical)
        for resource in client.app.router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    told = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert told == served
    one = described["paths"]["/v1/contracts/{contract}/timeline"]["get"]
    assert {parameter["name"] for parameter in one["parameters"]} >= {"contract", "start_us"}
    assert one["x-access"] == "read"
