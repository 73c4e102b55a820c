"""The delivery note and the acceptance certificate over HTTP and by command: from what agents sent, and repeatable."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.api.access import token_hash
from collector.documents.handover import MOST_WAITING, Handover, filled
from collector.documents.handover_process import HandoverError, Task, made_apart
from collector.judging.live import LiveFleet
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.log.commits import CommitBatch
from collector.log.keys import load_keys
from collector.storage.received import first_tick_after, tick_before_us
from tests.collector.building import (
    INTERVAL_US,
    SECOND_US,
    Agent,
    Serving,
    log_signer,
    make_store,
    opened,
    serving,
    set_config,
    wait_for,
    weighbridge,
)
from tests.collector.living import Here
from weighbridge.handover.inputs import HandoverInputs
from weighbridge.judge.ledger import BY_DEVICE, Row, State
from weighbridge.log.entries import Assignment, EntryKind
from weighbridge.wire.report import canonical

HOUR = 3600
START = (int(time.time()) // HOUR - 4) * HOUR
"""A full hour, four to five hours ago."""

AN_HOUR = HOUR * SECOND_US // INTERVAL_US
"""Samples."""

WORK = {"power_draw_milliwatts": 640_000, "utilization_gpu_percent": 97}
REST = {"power_draw_milliwatts": 90_000, "utilization_gpu_percent": 0}


def at(seconds: int) -> str:
    """So many seconds after START."""
    return datetime.fromtimestamp(START + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TERMS = f"""\
contract_id: lease
effective: {at(-30 * 24 * HOUR)}
time_zone: UTC
currency: EUR
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}, {{id: O, role: operator}}]
term: {{from: {at(-30 * 24 * HOUR)}, to: {at(24 * 800 * HOUR)}}}
resources:
  - {{id: h100, accelerator: {{sku: H100-SXM-80GB}}, per_node: 2, nodes: 2}}
availability:
  - {{id: gpus, unit: gpu, target: "0.99"}}
unknown: {{policy: hold}}
sampling: {{interval_s: 10, max_gap_s: 30}}
acceptance:
  tests:
    - {{probe: allreduce, version: v2, threshold: "400", duration_s: 1800}}
"""
DELIVERY, CONFIG = "/v1/contracts/lease/delivery", "config.toml"
HOUR_ONE = {"from": at(0), "until": at(HOUR)}


class Worker(Agent):
    """An agent whose GPUs show what they are told to, by their place."""

    shown: tuple[dict[str, int], ...] = (WORK, WORK)

    def payload(self, samples: int = 1, **changes: Any) -> bytes:
        report = json.loads(super().payload(samples, **changes))
        for block in report["blocks"]:
            for name in WORK:
                block["readings"][name] = [[one[name] for one in self.shown]] * samples
        return canonical(report)


@pytest.fixture
def agent() -> Worker:
    agent = Worker("n1", gpus=2)
    agent.start_us = START * SECOND_US
    return agent


@pytest.fixture
def store(tmp_path: Path, agent: Worker) -> Path:
    return make_store(tmp_path / "store", [agent], TERMS, heard=True)


@pytest.fixture
def server(store: Path, agent: Worker) -> Iterator[Serving]:
    """A collector that heard two hours: both GPUs at work, then one of them at rest."""
    with serving(store) as running:
        first = agent.next(AN_HOUR, inventory=agent.inventory())
        agent.shown = (WORK, REST)
        second = agent.next(AN_HOUR)
        assert running.report(first, second, agent.next()).status == 200
        yield running


def acceptance(**query: str) -> str:
    return f"/v1/contracts/lease/acceptance?{urlencode(query)}"


def known(server: Serving, path: str) -> dict[str, Any]:
    """A document once what was sent is in it: the second in which it came is over."""

    def found() -> dict[str, Any] | None:
        answer: dict[str, Any] = server.get(path).json
        return answer if answer["source"]["reports"] >= 2 else None

    made = wait_for(found, "the reports in the document")
    assert isinstance(made, dict)
    return made


def loads(certificate: dict[str, Any]) -> dict[str, tuple[str, int, int, int]]:
    return {
        line["unit"]: (
            line["verdict"],
            *(line[name] // SECOND_US for name in ("loaded_us", "idle_us", "unknown_us")),
        )
        for line in certificate["gpus"]
    }


def test_the_note_lists_what_came_and_what_did_not(server: Serving, agent: Worker) -> None:
    note = known(server, DELIVERY)
    assert [(one["unit"], one["uuid"], one["first_seen"]) for one in note["slots"]] == [
        ("n1.0", agent.devices[0], at(0)),
        ("n1.1", agent.devices[1], at(0)),
    ]
    assert [(one["node"], one["nodes"], one["gpus"]) for one in note["missing"]] == [(None, 1, 2)]
    assert note["standing"] == "incomplete"
    assert note["source"]["simulated"] is False
    assert {one["role"] for one in note["source"]["parties"]} == {"provider", "lessee", "operator"}


def test_load_is_shown_where_it_ran_and_flagged_where_it_did_not(server: Serving) -> None:
    first = known(server, acceptance(**HOUR_ONE))
    assert loads(first) == {"n1.0": ("MET", 3600, 0, 0), "n1.1": ("MET", 3600, 0, 0)}
    assert first["flags"] == ["certificate_without_evidence"]
    second = known(server, acceptance(**{"from": at(HOUR), "until": at(2 * HOUR)}))
    assert loads(second) == {"n1.0": ("MET", 3600, 0, 0), "n1.1": ("BREACHED", 0, 3600, 0)}
    assert second["flags"] == ["certificate_without_evidence", "certificate_without_load"]
    third = server.get(acceptance(**{"from": at(-HOUR), "until": at(0)})).json
    assert {line["verdict"] for line in third["gpus"]} == {"UNKNOWN"}
    assert third["flags"] == ["certificate_without_evidence"]


def test_a_result_that_a_party_told_is_judged(server: Serving, store: Path) -> None:
    words = ("notice", "event", "lease", "test_result", "--at", at(1800), "--unit", "n1")
    told = ("--detail", "probe=allreduce", "--detail", "value=412.5", "--party", "P")
    weighbridge(*words, *told, "--config", store / CONFIG)

    def judged() -> bool:
        (trial,) = server.get(acceptance(**HOUR_ONE)).json["trials"]
        return bool(trial["verdict"] == "MET" and trial["lines"][0]["value"] == "412.5")

    wait_for(judged, "the result in the certificate")


def test_what_cannot_be_made_is_refused_with_a_reason(server: Serving) -> None:
    for query, said in (
        ({"from": at(0)}, "from and until are needed"),
        ({"from": at(0), "until": at(0)}, "ends after it begins"),
        ({"from": at(-40 * 24 * HOUR), "until": at(0)}, "within 31 days"),
        ({"from": at(0), "until": at(24 * HOUR)}, "not over yet"),
        ({**HOUR_ONE, "as_of": at(HOUR - 1)}, "nothing can be certified"),
        ({**HOUR_ONE, "as_of": "2999-01-01T00:00:00Z"}, "not over yet"),
        ({"from": "noon", "until": at(0)}, "not an instant"),
        ({**HOUR_ONE, "format": "docx"}, "format must be one of"),
        ({**HOUR_ONE, "lang": "fr"}, "lang must be one of"),
    ):
        answer = server.get(acceptance(**query))
        assert (answer.status, said in answer.json["detail"]) == (400, True), query
    assert server.get(f"{DELIVERY}?as_of=yesterday").status == 400
    for path in ("delivery", f"acceptance?{urlencode(HOUR_ONE)}"):
        assert server.get(f"/v1/contracts/other/{path}").status == 404


def test_a_node_that_was_released_is_delivered_no_more_and_keeps_its_certificate(
    server: Serving, store: Path
) -> None:
    known(server, DELIVERY)
    weighbridge("release", "lease", "--node", "n1", "--config", store / CONFIG)

    def released() -> bool:
        note = server.get(DELIVERY).json
        return note["slots"] == [] and [one["gpus"] for one in note["missing"]] == [4]

    wait_for(released, "a note without the node")
    made = server.get(acceptance(**HOUR_ONE)).json
    assert {line["verdict"] for line in made["gpus"]} == {"MET"}


def test_whoever_gave_a_node_back_sees_nothing_of_what_it_does_since(
    store: Path, agent: Worker
) -> None:
    """A window may reach past the release: that time is the next tenant's."""
    with opened(store) as log:
        batch = CommitBatch(log, log_signer(store), (START + HOUR // 2) * SECOND_US)
        batch.add_record(EntryKind.ASSIGNMENT, Assignment(contract="lease", node="n1", devices=[]))
        log.log.append(batch.leaves)
        log.index.record(batch.indexed)
    with serving(store) as running:
        first = agent.next(AN_HOUR, inventory=agent.inventory())
        assert running.report(first, agent.next()).status == 200
        made = known(running, acceptance(**HOUR_ONE))
    told = {(line["loaded_us"], line["idle_us"], line["unknown_us"]) for line in made["gpus"]}
    assert told == {(HOUR // 2 * SECOND_US, 0, HOUR // 2 * SECOND_US)}


def test_only_who_may_read_the_contract_gets_its_documents(store: Path) -> None:
    roles = {"mine": "lessee:L/lease", "others": "lessee:L/other", "audit": "auditor"}
    tokens = ", ".join(
        f'{{sha256 = "{token_hash(token)}", role = "{role}"}}' for token, role in roles.items()
    )
    set_config(store, open_on_loopback="false", tokens=f"[{tokens}]")
    with serving(store) as running:

        def status(path: str, token: str) -> int:
            return running.get(path, Authorization=f"Bearer {token}").status

        wait_for(lambda: status(DELIVERY, "mine") == 200, "the first second of the collector")
        for path in (DELIVERY, acceptance(**HOUR_ONE)):
            found = [status(path, token) for token in (*roles, "nobody's")]
            assert found == [200, 404, 200, 401]


@pytest.mark.slow
def test_a_document_is_served_and_printed_alike_in_its_formats_and_languages(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    as_of = known(server, acceptance(**HOUR_ONE))["source"]["as_of"]
    window = ("--from", at(0), "--until", at(HOUR), "--as-of", as_of)
    for path, words, titles in (
        (
            f"{DELIVERY}?as_of={as_of}",
            ("delivery", "lease", "--as-of", as_of),
            {"text": "Delivery note", "csv": "交付确认单"},
        ),
        (
            acceptance(**HOUR_ONE, as_of=as_of),
            ("acceptance", "lease", *window),
            {"csv": "Acceptance certificate", "html": "验收报告"},
        ),
    ):
        for (name, title), language in zip(titles.items(), ("en", "zh"), strict=True):
            answer = server.get(f"{path}&format={name}&lang={language}")
            assert title in answer.body.decode()
            file = tmp_path / f"{words[0]}.{name}"
            said = (*words, "--format", name, "--lang", language, "-o", file)
            weighbridge(*said, "--config", store / CONFIG)
            assert file.read_bytes() == answer.body


@pytest.mark.slow
def test_as_of_an_instant_it_is_the_same_after_a_restart_and_whatever_came_since(
    server: Serving, store: Path, agent: Worker
) -> None:
    path = acceptance(**HOUR_ONE)
    as_of = known(server, path)["source"]["as_of"]
    documents = (f"{path}&as_of={as_of}", f"{DELIVERY}?as_of={as_of}")
    before = [server.get(one).body for one in documents]
    assert server.report(agent.next(10)).status == 200
    assert [server.get(one).body for one in documents] == before
    server.stop()
    (store / "index.sqlite").unlink()
    with serving(store) as again:
        assert [again.get(one).body for one in documents] == before


@pytest.mark.slow
def test_a_command_without_a_collector_makes_the_same_document(
    server: Serving, store: Path
) -> None:
    as_of = known(server, DELIVERY)["source"]["as_of"]
    served = server.get(f"{DELIVERY}?as_of={as_of}").body
    server.stop()
    words = ("delivery", "lease", "--as-of", as_of, "--format", "json", "--config", store / CONFIG)
    assert weighbridge(*words).stdout.encode() == served


def test_a_document_that_cannot_be_made_apart_is_an_error_of_the_collector(tmp_path: Path) -> None:
    nothing = HandoverInputs("K1", (), (), {}, (), 0, 1, 0, simulated=False, tables_digest="")
    with pytest.raises(HandoverError, match="messages say why"):
        asyncio.run(made_apart(Task(f"embedded:{tmp_path}", nothing)))


def test_the_first_tick_after_an_instant_is_found_wherever_it_lies(
    store: Path, server: Serving
) -> None:
    known(server, DELIVERY)
    server.stop()
    with opened(store) as kept:
        log = kept.log
        times = [tick_before_us(log, place + 1) for place in range(log.size)]
        for us in {0, *times, *(time - 1 for time in times), times[-1] + 1}:
            later = [place for place, time in enumerate(times) if time > us]
            assert first_tick_after(log, us) == (later[0] if later else log.size)


def test_documents_wait_for_their_turn_and_too_many_are_refused(
    store: Path, server: Serving
) -> None:
    known(server, DELIVERY)
    server.stop()
    made: list[Task] = []

    async def never(task: Task) -> bytes:
        made.append(task)
        await asyncio.Event().wait()
        return b""

    async def ask(handover: Handover) -> None:
        waiting = [
            asyncio.create_task(handover.delivery("lease", None)) for _ in range(MOST_WAITING + 1)
        ]
        (refused, *_), others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert isinstance(refused.exception(), HandoverError)
        assert (len(others), len(made)) == (MOST_WAITING, 1)
        for one in others:
            one.cancel()
        await asyncio.wait(others)

    with opened(store) as kept:
        writer, ring = LedgerWriter(kept), load_keys(kept.log, kept.index)
        while writer.catch_up():
            pass
        fleet = LiveFleet(writer.judgement)
        statements = Statements(fleet, load_book(kept.log, kept.index))
        asyncio.run(
            ask(Handover(kept, f"embedded:{store}", statements, Here(kept), fleet, ring, never))
        )


def row(slot: int, device: str, start: int, end: int) -> Row:
    return Row("lease", "n1", slot, device, "c", start, end, State.UP, "", end)


def test_who_sits_where_is_what_the_rows_of_the_window_name_or_the_last_before() -> None:
    rows = [
        row(0, "A", 0, 50), row(0, "B", 50, 100), row(0, "B", 100, 150), row(0, "C", 150, 200),
        row(2, "D", 0, 60), row(2, "E", 60, 90), row(BY_DEVICE, "X", 0, 200), row(1, "", 0, 200),
    ]  # fmt: skip
    assert filled(rows, 100) == {"n1": (("B", "C"), (), ("E",))}
    assert filled([], 100) == {}


def test_a_replaced_gpu_stands_beside_its_successor_in_the_slot_that_statements_name(
    server: Serving, agent: Worker
) -> None:
    old, new = agent.devices[0], "GPU-n1-new"
    agent.devices = [agent.devices[1], new]
    moved = agent.next(AN_HOUR, inventory=agent.inventory())
    assert server.report(moved, agent.next(AN_HOUR)).status == 200

    def placed() -> bool:
        window = {"from": at(HOUR), "until": at(3 * HOUR)}
        found = server.get(acceptance(**window)).json["gpus"]
        return [(one["unit"], one["uuid"]) for one in found] == [
            ("n1.0", old), ("n1.0", new), ("n1.1", agent.devices[0]),
        ]  # fmt: skip

    wait_for(placed, "both devices in slot 0")
