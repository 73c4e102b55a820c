"""What an agent keeps of a challenge proves a log wrong that tells of it otherwise, to anybody who has both files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.__main__ import main as agent
from agent.challenge_receipts import NAME, KeptReceipts
from collector.__main__ import main
from tests.weighbridge.challenge.test_record import LOG, Said
from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.judgement import judge
from weighbridge.challenge.messages import PAYLOAD_TYPE, Receipt, Release, Reveal, encode_message
from weighbridge.challenge.record import seal_record, times_of, transcript_hash, weighing_of
from weighbridge.challenge.transcript import Transcript
from weighbridge.wire.signing import Signer

SECOND = 1_000_000_000
ANSWERS = {"ready": 1, "roots": 3, "openings": 5}
"""Where the log holds them: the commitment is entry 0, and each word of the verifier's stands between two."""


class Kept:
    """An exchange, the log of it, and what its agent kept."""

    def __init__(self, bench: Any, directory: Path) -> None:
        self.said = Said(bench, "GPU-0")
        self.directory = directory
        self.leaves = list(self.said.leaves)
        self.agent = KeptReceipts(directory / NAME)
        plan, transcript = self.said.challenger.plan, self.said.challenger.transcript()
        self.transcript = transcript
        (phase,) = transcript.phases
        self.words: list[Any] = [
            Challenger(plan, committed_at=0).next_message(1),
            self.receipt("ready", 1, 2),
            encode_message(Release("c.1", "chain", plan.nonces[0])),
            self.receipt("roots", phase.released_ns, phase.received_ns),
            encode_message(Reveal("c.1", plan.secret)),
            self.receipt("openings", 7, 8),
        ]

    def receipt(self, step: str, said_ns: Any, received_ns: Any) -> bytes:
        place = ANSWERS[step]
        answer = hashlib.sha256(self.leaves[place]).digest()
        return encode_message(Receipt("c.1", step, answer, said_ns, received_ns, place, 1))

    def keep(self, signer: Signer = LOG) -> None:
        for word in self.words:
            self.agent.keep(signer.seal(PAYLOAD_TYPE, word))

    def recheck(self, *more: str) -> Any:
        rows = [{"index": at, "envelope": leaf.decode()} for at, leaf in enumerate(self.leaves)]
        file = self.directory / "entries.json"
        file.write_text(json.dumps(rows))
        words = ["recheck", str(file), "--log-key", LOG.public_key.hex(), *more]
        return CliRunner().invoke(main, words)

    def compared(self) -> tuple[int, str]:
        self.keep()
        done = self.recheck("--receipts", str(self.agent.path))
        return done.exit_code, done.output

    def tell(self, transcript: Transcript, leaves: Sequence[bytes]) -> None:
        """The log says that this was said and timed; it agrees with itself."""
        result = judge(transcript)
        told = replace(
            self.said.outcome,
            weighing=weighing_of(result),
            series_verdict=result.verdict.value,
            series_reason=None if result.reason is None else result.reason.value,
            times=times_of(transcript),
            transcript=transcript_hash(transcript),
        )
        self.leaves = [*leaves, seal_record(LOG, told)[1]]
        assert self.recheck().exit_code == 0, "nobody sees it from the log alone"


@pytest.fixture
def kept(bench: Any, tmp_path: Path) -> Kept:
    return Kept(bench, tmp_path)


def test_an_honest_log_says_what_its_agents_were_told(kept: Kept) -> None:
    code, output = kept.compared()
    assert (code, "c.1: as its agent was told, 3 receipts" in output) == (0, True), output


def test_a_collector_that_adds_a_second_is_proven_to_have_by_the_agents_file(kept: Kept) -> None:
    (phase,) = kept.transcript.phases
    assert phase.received_ns is not None
    slower = replace(phase, received_ns=phase.received_ns + SECOND)
    kept.tell(replace(kept.transcript, phases=(slower,)), kept.leaves[:-1])
    code, output = kept.compared()
    assert (code, "the answer +1000000000 ns off" in output) == (3, True), output


def test_a_collector_that_omits_an_answer_is_proven_to_have_by_the_agents_file(kept: Kept) -> None:
    kept.tell(replace(kept.transcript, openings=None), kept.leaves[:-2])
    code, output = kept.compared()
    assert code == 3
    assert "reveal: entry 5 is not the answer that has the receipt" in output


def test_a_challenge_that_the_log_leaves_out_is_proven_to_have_been(kept: Kept) -> None:
    kept.leaves = [LOG.seal(PAYLOAD_TYPE, b'{"type":"other"}') for _ in kept.leaves]
    code, output = kept.compared()
    assert (code, "entry 0 is not its commitment" in output) == (3, True), output


@pytest.mark.parametrize(
    ("place", "word", "told"),
    [
        (2, Release("c.1", "chain", bytes(32)), "another nonce was released"),
        (4, Reveal("c.1", bytes(32)), "another secret was revealed"),
    ],
)
def test_draws_that_are_opened_otherwise_than_they_were_let_out_are_found(
    kept: Kept, place: int, word: Any, told: str
) -> None:
    kept.words[place] = encode_message(word)
    code, output = kept.compared()
    assert (code, told in output) == (3, True), output


def test_another_commitment_than_the_agent_was_asked_under_is_found(kept: Kept) -> None:
    plan = replace(kept.said.challenger.plan, secret=bytes(range(32)))
    kept.words[0] = Challenger(plan, committed_at=0).next_message(1)
    code, output = kept.compared()
    assert (code, "another pre-commitment than the log's" in output) == (3, True), output


def test_what_no_key_of_the_log_signed_proves_nothing(kept: Kept) -> None:
    kept.keep(Signer(bytes(32)))
    done = kept.recheck("--receipts", str(kept.agent.path))
    assert done.exit_code == 3
    assert done.output.count("no key of the log signed it") == len(kept.words)


def test_a_word_that_was_handed_out_again_and_a_line_that_was_cut_change_nothing(
    kept: Kept,
) -> None:
    kept.words.insert(2, kept.words[2])
    kept.keep()
    with kept.agent.path.open("ab") as file:
        file.write(b'{"said": "{')
    done = kept.recheck("--receipts", str(kept.agent.path))
    assert (done.exit_code, "3 receipts" in done.output) == (0, True), done.output


def test_a_line_that_was_cut_costs_no_line_that_comes_after_it(kept: Kept) -> None:
    kept.agent.path.write_bytes(b'{"said": "{')
    kept.keep()
    assert len(list(kept.agent.envelopes())) == len(kept.words)


def test_no_order_of_its_lines_makes_an_honest_log_a_liar(bench: Any, tmp_path: Path) -> None:
    """A node that cuts its file shows the receipt of a later phase behind the release of an earlier one."""
    kept = Kept.__new__(Kept)
    policy = bench.passes_policy(peer_tiles=0, peer_passes=0, peer_samples=0)
    kept.said, kept.directory = Said(bench, "GPU-0", policy=policy), tmp_path
    kept.leaves, kept.agent = list(kept.said.leaves), KeptReceipts(tmp_path / NAME)
    plan, (_, memory) = kept.said.challenger.plan, kept.said.challenger.transcript().phases
    said_ns, received_ns = memory.released_ns, memory.received_ns
    assert said_ns is not None
    assert received_ns is not None
    answer = hashlib.sha256(kept.leaves[5]).digest()
    kept.words = [
        Challenger(plan, committed_at=0).next_message(1),
        encode_message(Release("c.1", "chain", plan.nonces[0])),
        encode_message(Receipt("c.1", "roots", answer, said_ns, received_ns, 5, 1)),
    ]
    code, output = kept.compared()
    assert (code, "as its agent was told, 1 receipt" in output) == (0, True), output


def test_the_agent_lists_what_it_keeps(kept: Kept) -> None:
    """With the verifier's time of each step, and whether its receipt is there."""
    identity = {"url": "https://127.0.0.1:1", "node": "n1", "origin": "weighbridge/x", "ca": None}
    record = identity | {"log_key": LOG.public_key.hex()}
    (kept.directory / "enrolment.json").write_text(json.dumps(record))
    (kept.directory / "key").write_text(bytes(range(32)).hex())
    kept.words[-1:] = []
    kept.keep()
    words = ["challenges", "--state-directory", str(kept.directory)]
    done = CliRunner().invoke(agent, [*words, "--json"])
    (challenge,) = json.loads(done.output)
    assert (challenge["contract"], challenge["gpus"]) == ("lease", ["GPU-0"])
    steps = {step["step"]: step for step in challenge["steps"]}
    (phase,) = kept.transcript.phases
    assert steps["chain"]["elapsed_ns"] == phase.elapsed_ns
    assert [step["receipt"] for step in challenge["steps"]] == [True, True, False]
    assert "reveal  no receipt" in CliRunner().invoke(agent, words).output
