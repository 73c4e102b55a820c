"""Statements over HTTP and by command: exact, repeatable, the same after a restart."""

import hashlib
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from collector.documents import words
from collector.judging.live import LiveFleet
from collector.judging.replay import Replay
from collector.judging.writer import JUDGES, SEAL, LedgerWriter, Seal
from collector.log.commits import CommitBatch
from collector.storage.store import Store, StoreInfo
from tests.collector.building import (
    Agent,
    Serving,
    log_signer,
    make_store,
    opened,
    serving,
    wait_for,
    weighbridge,
)
from weighbridge.catalogue.tables import digest
from weighbridge.codes import Note
from weighbridge.judge.fleet import WATCH, FleetFold
from weighbridge.judge.node import JUDGE
from weighbridge.judge.snapshot import dump
from weighbridge.log.entries import EntryKind, Issued, JudgedBy, VersionSince
from weighbridge.settlement.judge_versions import Judges, Office
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import digest as sha256_hex
from weighbridge.wire.signing import generate_private_key

HOUR = 3600
NOW = datetime.fromtimestamp(time.time(), UTC)
NEXT = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
START = (NEXT - timedelta(days=1)).replace(day=1)
MONTH = f"{START:%Y-%m}"
"""The month that ended last."""
MONTH_SECONDS = (NEXT - START) // timedelta(seconds=1)
START_US = int(START.timestamp()) * 1_000_000


def at(hours: int) -> str:
    """So many hours after the month began."""
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


TERMS = f"""\
contract_id: lease
effective: {at(0)}
time_zone: UTC
currency: EUR
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: {at(0)}, to: {at(24 * 800)}}}
resources:
  - {{id: h100, accelerator: {{sku: H100-SXM-80GB}}, per_node: 2, nodes: 1}}
pricing: [{{unit: node_month, price: "7440.00"}}]
availability:
  - {{id: gpus, unit: gpu, target: "0.99"}}
credits:
  - id: voucher
    objective: gpus
    kind: tiers
    base: {{proration: days}}
    tiers: [{{at_or_above: "0", below: "0.99", pct: 10}}]
exclusions: {{causes: [{{code: lessee_fault}}]}}
maintenance: {{min_notice_s: 3600}}
claim: {{required: true, deadline_days: 36500}}
unknown: {{policy: down}}
evidence: {{correction_window_s: 3153600000}}
"""
WATCHED = json.dumps({"now_us": START_US, "awake_us": START_US, "looked_us": 0}).encode()
"""The last tick that a fold saw was at the start of the month."""

PATH = f"/v1/contracts/lease/statement?period={MONTH}"
CONFIG = "config.toml"


@pytest.fixture
def agent() -> Agent:
    agent = Agent("n1", gpus=2)
    agent.start_us = START_US
    return agent


@pytest.fixture
def store(tmp_path: Path, agent: Agent) -> Path:
    return make_store(tmp_path / "store", [agent], TERMS, heard=True)


@pytest.fixture
def server(store: Path, agent: Agent) -> Iterator[Serving]:
    """A collector that has evidence of the first two hours of October and of nothing more."""
    with serving(store) as running:
        first = agent.next(360, inventory=agent.inventory())
        assert running.report(first, agent.next(360), agent.next()).status == 200
        yield running


def settled(server: Serving, path: str = PATH) -> dict[str, Any]:
    """The statement once it holds both hours."""

    def found() -> dict[str, Any] | None:
        statement: dict[str, Any] = server.get(path).json
        part = statement["parts"][0]
        return statement if part["delivery"][0]["healthy_gpu_seconds"] == 4 * HOUR else None

    found_statement = wait_for(found, "both hours in the statement")
    assert isinstance(found_statement, dict)
    return found_statement


def test_a_statement_counts_what_was_seen_to_the_second(server: Serving) -> None:
    statement = settled(server)
    assert statement["currency"] == "EUR"
    assert statement["simulated"] is False
    assert statement["final"] is False
    units = statement["parts"][0]["units"]
    share = Fraction(2 * HOUR, MONTH_SECONDS)
    up = f"{share.numerator}/{share.denominator}"
    assert [unit["unit"] for unit in units] == ["n1.0", "n1.1"]
    for unit in units:
        assert unit["seconds"]["unknown"] == MONTH_SECONDS - 2 * HOUR
        assert unit["availability_fraction"] == [up, up]
        assert unit["credits"][0]["highest"] == "372.00"


def test_a_running_collector_shows_it_on_pages_and_hands_out_the_letter(server: Serving) -> None:
    statement = settled(server)
    answer = server.get(f"{PATH.replace('statement', 'letter')}&format=text")
    head = server.get("/v1/log/head").json["head"].splitlines()[0]
    assert answer.status == 200
    assert head in answer.body.decode()
    for path in ("", "/statement", "/letter"):
        answer = server.get(f"/contracts/lease{path}?period={MONTH}")
        assert answer.status == 200, path
    assert [due["earned"] for due in statement["parts"][0]["dues"]] == ["372.00", "372.00"]
    assert words.money("744.00", "EUR", "en") in answer.body.decode(), "the letter's total"
    assert "delivery" in server.get("/contracts/lease/delivery").body.decode().lower()
    assert server.get("/contracts/lease/outage").status == 404


def test_as_of_an_earlier_instant_it_says_what_was_known_then(server: Serving) -> None:
    settled(server)
    answer = server.get(f"{PATH}&as_of={at(0)}").json
    assert answer["parts"][0]["delivery"][0]["healthy_gpu_seconds"] == 0


@pytest.mark.slow
def test_a_statement_is_the_same_after_a_restart_and_from_a_rebuilt_ledger(
    server: Serving, store: Path
) -> None:
    as_of = settled(server)["as_of"]
    before = server.get(f"{PATH}&as_of={as_of}").body
    server.stop()
    with serving(store) as again:
        assert again.get(f"{PATH}&as_of={as_of}").body == before
        again.stop()
    (store / "index.sqlite").unlink()
    with serving(store) as rebuilt:
        assert rebuilt.get(f"{PATH}&as_of={as_of}").body == before


def test_what_cannot_be_settled_is_refused_with_a_reason(server: Serving) -> None:
    for query, said in (
        ("period=2026-13", "no period such as 2026-10"),
        ("period=october", "is no period"),
        (f"period={MONTH}&as_of=2999-01-01T00:00:00Z", "not over yet"),
        (f"period={MONTH}&as_of=yesterday", "not an instant"),
        (f"period={MONTH}&format=docx", "format must be one of"),
        ("", "period is missing"),
    ):
        answer = server.get(f"/v1/contracts/lease/statement?{query}")
        assert answer.status == 400
        assert said in answer.json["detail"]
    assert server.get(f"/v1/contracts/other/statement?period={MONTH}").status == 404


def test_the_command_prints_the_statement_and_writes_it_to_a_file(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    as_of = settled(server)["as_of"]
    words = ("statement", "lease", "--period", MONTH, "--as-of", as_of)
    config = ("--config", store / "config.toml")
    shown = weighbridge(*words, *config).stdout
    assert f"Statement of service · lease · {MONTH} · provisional" in shown
    assert "SIMULATED" not in shown
    file = tmp_path / "statement.json"
    weighbridge(*words, *config, "--format", "json", "-o", file)
    assert file.read_bytes() == server.get(f"{PATH}&as_of={as_of}").body
    assert json.loads(file.read_bytes())["contract"] == "lease"


def test_every_format_is_served_and_printed_in_both_languages(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    as_of = settled(server)["as_of"]
    for name, kind, begins in (
        ("text", "text/plain", "服务结算单"),
        ("csv", "text/csv", "\ufeffsection,"),
        ("html", "text/html", "<!doctype html>"),
    ):
        answer = server.get(f"{PATH}&as_of={as_of}&format={name}&lang=zh")
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.body.decode().startswith(begins)
        file = tmp_path / name
        words = ("statement", "lease", "--period", MONTH, "--as-of", as_of, "--format", name)
        weighbridge(*words, "--lang", "zh", "-o", file, "--config", store / CONFIG)
        assert file.read_bytes() == answer.body
    assert server.get(f"{PATH}&lang=fr").status == 400


def say(store: Path, *words: str | Path) -> int:
    """The entry that `weighbridge notice` made."""
    shown = weighbridge("notice", *words, "--config", store / CONFIG).stdout
    return int(shown.removeprefix("entry "))


def in_words(statement: dict[str, Any]) -> list[str]:
    """Its notes, as a page tells them."""
    notes = TypeAdapter(list[Note]).validate_python(statement["notes"])
    return [words.told(note, "en") for note in notes]


def heard_by(server: Serving, entries: int) -> dict[str, Any]:
    """The statement once it names so many notices."""

    def found() -> dict[str, Any] | None:
        statement: dict[str, Any] = server.get(PATH).json
        said = [note for note in statement["notes"] if note["code"] == "notice"]
        return statement if len(said) == entries else None

    found_statement = wait_for(found, "the notices in the statement")
    assert isinstance(found_statement, dict)
    return found_statement


def test_a_claim_makes_the_credits_due_and_the_statement_shows_who_filed_it(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    assert settled(server)["highest"] == "0.00"
    key = tmp_path / "lessee.key"
    public = weighbridge("party", "key", key).stdout.strip()
    filing = ("claim", "lease", "--period", MONTH, "--party", "L")
    words = ("notice", *filing, "--key", key, "--config", store / CONFIG)
    refused = weighbridge(*words, check=False)
    assert refused.returncode == 2
    assert "speaks for no party" in refused.stderr
    weighbridge("party", "add", "lease", "L", public, "--config", store / CONFIG)
    entry = say(store, *filing, "--key", key)
    assert say(store, *filing, "--key", key) == entry
    shown = weighbridge(
        "notice", "show", "lease", str(entry), "--lang", "zh", "--config", store / CONFIG
    )
    assert f"索赔通知书 · lease · 日志第 {entry} 条" in shown.stdout
    other = ("notice", "show", "lease", str(entry + 1), "--config", store / CONFIG)
    absent = weighbridge(*other, check=False)
    assert absent.returncode == 2
    assert "is no notice of lease" in absent.stderr
    statement = heard_by(server, 1)
    assert statement["highest"] == "744.00"
    told = statement["notes"][-1]["arguments"]
    assert told["said"] == {"code": "claim", "arguments": {"period": MONTH}}
    assert (told["party"], told["authority"]["code"]) == ("L", "signed")
    assert {due["standing"] for due in statement["parts"][0]["dues"]} == {"filed"}
    posted = tmp_path / "posted"
    weighbridge(*words, "-o", posted)
    answer = server.request("POST", "/v1/notices", posted.read_bytes())
    assert answer.json == {"index": entry}
    forged = posted.read_bytes().replace(b'"sig":"', b'"sig":"AAAA', 1)
    assert server.request("POST", "/v1/notices", forged).status == 400


def test_what_an_administrator_enters_is_attested_and_says_so(server: Serving, store: Path) -> None:
    settled(server)
    window = ("--from", at(24), "--until", at(25))
    say(store, "maintenance", "lease", "--id", "M1", *window, "--party", "P")
    statement = heard_by(server, 1)
    assert in_words(statement)[-1].startswith(
        "maintenance M1: said by P, attested by the collector for admin, entry "
    )
    (line,) = statement["parts"][0]["maintenance"]
    assert (line["id"], line["ruling"]) == ("M1", "late_notice")
    listed = server.get("/v1/contracts/lease/notices?limit=1").json
    attested = {"code": "attested", "arguments": {"by": "admin"}}
    assert [one["authority"] for one in listed["items"]] == [attested]
    assert server.request("POST", "/v1/notices", b'{"contract":"lease"}').status == 403


def test_only_the_lessee_can_take_time_off_the_providers_account(
    server: Serving, store: Path
) -> None:
    settled(server)
    hour = ("--from", at(0), "--until", at(1))
    said = ("cause", "lease", "--code", "lessee_fault", *hour)
    say(store, *said, "--party", "P")
    statement = heard_by(server, 1)
    assert statement["parts"][0]["units"][0]["excluded_seconds"] == 0
    refused = weighbridge(
        "notice", "cause", "lease", "--code", "rain", *hour, "--party", "L",
        "--config", store / CONFIG, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "no cause of the contract" in refused.stderr


def test_a_later_statement_says_what_it_says_otherwise_than_the_one_issued(
    server: Serving, store: Path
) -> None:
    as_of = settled(server)["as_of"]
    words = ("statement", "lease", "--period", MONTH, "--config", store / CONFIG)
    issued = weighbridge(*words, "--as-of", as_of, "--issue", "--format", "json").stdout
    say(store, "claim", "lease", "--period", MONTH, "--party", "L")
    notes = in_words(heard_by(server, 1))
    digest = hashlib.sha256(issued.encode()).hexdigest()
    assert f"Issued before: as of {as_of}, {digest}." in notes
    assert "highest: 0.00 -> 744.00" in notes


def test_what_was_issued_by_other_versions_is_shown_with_the_difference_and_its_digest(
    store: Path,
) -> None:
    issued = Issued(
        contract="lease",
        period=MONTH,
        as_of_us=START_US,
        engine="settlement/0",
        judged=JudgedBy((VersionSince("judge/0"),), (VersionSince("0" * 64),)),
        lowest="1.00",
        highest="2.00",
        digest="f" * 64,
    )
    with opened(store) as opened_store:
        batch = CommitBatch(opened_store, log_signer(store), START_US + 1_000_000)
        batch.add_record(EntryKind.STATEMENT, issued)
        opened_store.log.append(batch.leaves)
        opened_store.index.record(batch.indexed)
    with serving(store) as running:
        statement = wait_for(
            lambda: shown if len((shown := running.get(PATH).json)["notes"]) > 1 else None,
            "a tick after the entry",
        )
        told = "\n".join([*in_words(statement), ""])
        assert f"Issued before: as of {at(0)}, {'f' * 64}.\n" in told
        assert f"Other versions since: engine settlement/0 -> {statement['engine']}.\n" in told
        judged = statement["judged"]
        ((judge,), (tables,)) = judged["judge"], judged["tables"]
        assert f"Other versions since: judge judge/0 -> {judge['version']}.\n" in told
        assert f"Other versions since: tables {'0' * 64} -> {tables['version']}.\n" in told
        assert "0.00 owed instead of 1.00 to 2.00. What was issued is not restated." in told


def fleet(kept: Store) -> LiveFleet:
    return LiveFleet(LedgerWriter(kept).judgement)


def test_a_ledger_that_two_judges_wrote_names_both_from_when_each_judged(store: Path) -> None:
    with opened(store) as opened_store:
        size = opened_store.log.size
        first = Judges([Office(0, "judge/0", "tables")])
        kept = FleetFold().snapshots() | {JUDGES: dump(first), WATCH: WATCHED}
        hashes = sorted((name, sha256_hex(state)) for name, state in kept.items())
        last = opened_store.log.node(0, size - 1).hex()
        kept |= {SEAL: dump(Seal(size, last, sha256_hex(dump(hashes))))}
        opened_store.ledger.write((), (), size, kept)
        found = fleet(opened_store).judged(START_US - 1, START_US + 5_000_000)
        assert found.judge == (VersionSince("judge/0"), VersionSince(JUDGE, at(0)))
        assert found.tables == (VersionSince("tables"), VersionSince(digest(), at(0)))
        alone = fleet(opened_store).judged(0, START_US - 1)
        assert alone.judge == (VersionSince("judge/0"),)
        alone = fleet(opened_store).judged(START_US, START_US + 1)
        assert alone.judge == (VersionSince(JUDGE),)


def test_tables_that_change_under_one_judge_do_not_name_it_again() -> None:
    held = [Office(0, "judge/0", "a"), Office(START_US, "judge/0", "b")]
    found = Judges(held).of(0, START_US)
    assert found.judge == (VersionSince("judge/0"),)
    assert found.tables == (VersionSince("a"), VersionSince("b", at(0)))


def replayed(store: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return weighbridge(
        "replay", "lease", "--period", MONTH, *words, "--config", store / CONFIG, check=False
    )


@pytest.mark.slow
def test_replay_is_equal_to_the_ledger_beside_the_collector_and_without_it(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    settled(server)
    say(store, "claim", "lease", "--period", MONTH, "--party", "L")
    as_of = heard_by(server, 1)["as_of"]
    done = replayed(store, "--as-of", as_of, "--state", tmp_path / "state")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"equal to the byte: lease, {MONTH}, as of {as_of}\n"
    server.stop()
    assert weighbridge("scrub", "--config", store / CONFIG).stderr == ""
    assert replayed(store, "--as-of", as_of, "--state", tmp_path / "state").returncode == 0
    assert replayed(store, "--as-of", as_of, "--workers", "2").returncode == 0


@pytest.mark.slow
def test_replay_shows_a_ledger_that_was_changed(server: Serving, store: Path) -> None:
    as_of = settled(server)["as_of"]
    server.stop()
    with sqlite3.connect(store / "index.sqlite") as ledger:
        ledger.execute("UPDATE rows SET state = 'down' WHERE slot = 1 AND state = 'up'")
    ledger.close()
    done = replayed(store, "--as-of", as_of)
    assert done.returncode == 1
    assert f"parts[0].delivery[0].healthy_gpu_seconds: {2 * HOUR} -> {4 * HOUR}" in done.stderr


@pytest.mark.slow
def test_replay_names_findings_that_the_ledger_lacks(server: Serving, store: Path) -> None:
    as_of = settled(server)["as_of"]
    server.stop()
    with sqlite3.connect(store / "index.sqlite") as ledger:
        ((code,), *_) = ledger.execute(
            "DELETE FROM findings WHERE contract = 'lease' RETURNING code"
        ).fetchall()
    ledger.close()
    done = replayed(store, "--as-of", as_of)
    assert done.returncode == 1
    assert f"the ledger lacks the finding {code} of lease" in done.stderr


@pytest.mark.slow
def test_replay_refuses_an_entry_that_was_not_signed_by_who_may(
    server: Serving, store: Path
) -> None:
    as_of = settled(server)["as_of"]
    server.stop()
    (store / "keys" / "log.key").write_text(generate_private_key().hex())
    done = replayed(store, "--as-of", as_of)
    assert done.returncode == 2
    assert "log.key: this log was begun with another key" in done.stderr


@pytest.mark.slow
def test_what_can_be_claimed_is_listed_until_when_and_written_as_a_letter(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    as_of = settled(server)["as_of"]
    rows = server.get("/v1/contracts/lease/claims").json["items"]
    october = [row for row in rows if row["period"] == MONTH]
    assert [(row["unit"], row["amount"], row["standing"]) for row in october] == [
        ("n1.0", "372.00", "open"),
        ("n1.1", "372.00", "open"),
    ]
    deadline = int(datetime.fromisoformat(october[0]["deadline"]).timestamp())
    assert deadline == START_US // 1_000_000 + MONTH_SECONDS + 36500 * 24 * HOUR
    words = ("claim", "lease", "--period", MONTH, "--as-of", as_of, "-o", tmp_path / "claim")
    shown = weighbridge(*words, "--config", store / CONFIG).stdout.split()
    letter, evidence, statement = (Path(line).read_text() for line in shown)
    assert re.search(r"^To +P\nClaimant +L$", letter, re.MULTILINE)
    assert "Amount claimed: EUR 744.00\nTo be claimed before " in letter
    digest = hashlib.sha256(statement.encode()).hexdigest()
    assert digest in letter
    assert json.loads(evidence)["statement"]["sha256"] == digest
    chinese = weighbridge(*words, "--lang", "zh", "--format", "html", "--config", store / CONFIG)
    page = Path(chinese.stdout.split()[0])
    assert (page.suffix, "索赔函" in page.read_text()) == (".html", True)
    listed = weighbridge("claims", "lease", "--config", store / CONFIG).stdout
    assert MONTH in listed
    assert re.search(r"^total +744\.00 +EUR", listed, re.MULTILINE)
    assert "UTC+" in listed or " UTC" in listed, "a deadline is on the contract's clocks"


@pytest.mark.slow
def test_metrics_tell_of_the_deadline_and_of_the_running_month(
    server: Serving, store: Path
) -> None:
    settled(server)
    server.stop()
    with serving(store) as again:

        def told() -> str | None:
            text = again.get("/metrics").body.decode()
            return text if "weighbridge_contract_claim_deadline" in text else None

        text = str(wait_for(told, "the deadline on /metrics"))
        now = datetime.fromtimestamp(time.time(), UTC)
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    deadline = lines['weighbridge_contract_claim_deadline_timestamp_seconds{contract="lease"}']
    assert int(deadline) == START_US // 1_000_000 + MONTH_SECONDS + 36500 * 24 * HOUR
    contracted = int(lines['weighbridge_contract_contracted_gpu_seconds{contract="lease"}'])
    assert contracted in {2 * days * 24 * HOUR for days in (28, 29, 30, 31)}
    delivered = int(lines['weighbridge_contract_delivered_gpu_seconds{contract="lease"}'])
    gone = now.day * 24 * HOUR
    assert 0 <= delivered <= 2 * gone
    credit = 'weighbridge_contract_credit_due{contract="lease",currency="EUR",bound="high"}'
    assert float(lines[credit]) in (0.0, 744.0)


class Interrupted(Exception):
    """Stops a replay on its way."""


@pytest.mark.slow
def test_a_replay_that_was_stopped_goes_on_to_the_same_statement(
    server: Serving, store: Path, tmp_path: Path
) -> None:
    statement = settled(server)
    as_of_s = int(datetime.fromisoformat(statement["as_of"]).timestamp())
    server.stop()
    come: list[int] = []

    def stop_at(folded: int) -> None:
        come.append(folded)
        if folded >= 6:
            raise Interrupted

    def replay() -> Replay:
        key = log_signer(store).public_key
        return Replay(f"embedded:{store}", StoreInfo("x"), key, tmp_path / "state", as_of_s)

    first = replay()
    with pytest.raises(Interrupted):
        first.run(stop_at, slice_entries=2, slices_per_write=1)
    first.close()
    second = replay()
    second.run(come.append, slice_entries=2)
    assert come[3] == come[2] + 2
    assert second.statement("lease", MONTH).json() == server_json(statement)
    second.close()


def server_json(statement: dict[str, Any]) -> str:
    return TypeAdapter(Statement).validate_python(statement).json()
