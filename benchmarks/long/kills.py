"""Everything is killed by SIGKILL a thousand times, and nothing that was acknowledged is lost.

    python -m benchmarks.long.kills [--kills 1000] [--minutes M] [--seed 1] [--json FILE]

Commands are killed over stores of their own, once in each of their writes and then at instants by chance; programs in
one house that goes on: a collector under load, agents over a fake driver, their NVML children, witnesses. After each
kill all that was acknowledged is looked for, and the newest head that was handed out is proven to be a beginning of
the log; at the end each agent's chain is whole, and the ledger is the log folded and replayed anew. It ends at the
first fault.
"""

import argparse
import itertools
import json
import math
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.ingest import machine
from tests.agent.fake_nvml.fixture import build
from tests.collector.building import CONTRACT, Agent, Serving, admit, log_signer, weighbridge
from tests.collector.killed_commands import COMMANDS, kills, make_house
from tests.collector.load import Load
from tests.e2e.stage import (
    AGENT,
    COLLECTOR,
    Node,
    Program,
    Stage,
    assert_kept,
    assert_unbroken,
    environment,
    lease,
    wait_for,
)
from weighbridge.log.checkpoint import open_head
from weighbridge.log.merkle import leaf_hash, verify_consistency

THREADS, AGENTS_EACH, NODES = 3, 3, 3
ENOUGH = 30
"""Reports that are acknowledged before the collector is killed."""
WITNESSED = "evidence: {witnesses: [berlin]}\n"


class House:
    """A collector, what it is loaded with, and everybody around it; each `kill_…` kills once and looks."""

    def __init__(self, directory: Path, chance: Random, ends: ExitStack) -> None:
        self._chance, self._directory, self._ends = chance, directory, ends
        (directory / "nvml").mkdir()
        self.stage = Stage(directory, build(directory / "nvml"))
        ends.callback(self.stage.close)
        vkey = weighbridge("witness", "key", "lessee.example/w", directory / "key").stdout.strip()
        named = [f'witnesses = [{{vkey = "{vkey}"}}]', "witness_seconds = 1"]
        self.collector = self.stage.collector(settings=named)
        self.fleets = [
            [Agent(f"load-{thread}-{number}", gpus=1) for number in range(AGENTS_EACH)]
            for thread in range(THREADS)
        ]
        contract = CONTRACT.replace("nodes: 1", f"nodes: {THREADS * AGENTS_EACH}")
        admit(self.collector.directory, [*itertools.chain(*self.fleets)], contract)
        self.log_key = log_signer(self.collector.directory).public_key
        self.collector.start()
        self.collector.add(lease("live", nodes=NODES) + WITNESSED)
        self.nodes = [self._node(number) for number in range(NODES)]
        self.acknowledged: dict[int, str] = {}
        self._new: dict[int, str] = {}
        self._period_s = 1.0
        """A program is killed within so long after its start: twice what the collector took for its last one."""
        self._heads: list[str] = []
        self.watch, self.witness = self._watching(), self._witnessing()

    def _node(self, number: int) -> Node:
        node = self.stage.node(f"n{number}", self.collector)
        node.enroll(self.collector.invite(node.name, "live"))
        node.start()
        return node

    def _watching(self) -> "Daemon":
        state = str(self._directory / "berlin")
        invite = self.collector.invite("berlin", "live", side="witness")
        subprocess.run(
            [AGENT, "enroll", "--state-directory", state, invite],
            check=True,
            env=environment(),
            capture_output=True,
        )
        paths = ["--state-directory", state, "--runtime-directory", state, "--interval-ms", "500"]
        target = f"n0=tcp://127.0.0.1:{self.collector.port}"
        return self._daemon("berlin", AGENT, "watch", *paths, target)

    def _witnessing(self) -> "Daemon":
        vkey = self.collector.get("/v1/log/head")["vkey"]
        url = f"http://127.0.0.1:{self.collector.port}"
        self._look = [COLLECTOR, "witness", "run", "--log", str(vkey), "--url", url]
        self._look += ["--key", str(self._directory / "key")]
        self._look += ["--state", str(self._directory / "lessee")]
        return self._daemon("witness", *self._look, "--every", "1")

    def _daemon(self, name: str, *words: str) -> "Daemon":
        made = Daemon(self._directory / f"{name}.log", words)
        self._ends.callback(made.close)
        return made

    def kill_collector(self) -> None:
        """Under load, and started again."""
        serving = self._serving()
        loads = [Load(serving, fleet) for fleet in self.fleets]
        for load in loads:
            load.start()
        wait_for(lambda: sum(len(load.acknowledged) for load in loads) >= ENOUGH, "load")
        time.sleep(self._chance.uniform(0, 0.3))
        self.collector.kill()
        for load in loads:
            load.join(timeout=40)
            self._new |= load.acknowledged
            self._heads += [load.newest_head] if load.newest_head else []
        self._back()

    def kill_starting_collector(self) -> None:
        """Somewhere between its start and when it is ready, or a little later."""
        self.collector.kill()
        words = [COLLECTOR, "serve", "--config", str(self.collector.config)]
        self.collector.launch(words, environment())
        time.sleep(self._chance.uniform(0, self._period_s))
        self.collector.kill()
        self._back()

    def kill_agent(self) -> None:
        node = self._chance.choice(self.nodes)
        node.kill()
        node.start()
        time.sleep(self._chance.uniform(0, self._period_s))

    def nobody_ended_by_itself(self) -> None:
        for node in self.nodes:
            assert node.alive, f"{node.name} ended, and nobody killed it"

    def kill_nvml_child(self) -> None:
        node = self._chance.choice(self.nodes)
        child = wait_for(lambda: children(node.pid), "an NVML child", RENEWED_S)[0]
        subprocess.run(["kill", "-KILL", str(child)], check=True)
        another = "another NVML child"
        wait_for(lambda: set(children(node.pid)) - {child}, another, RENEWED_S)

    def kill_witness(self) -> None:
        self._kill(self.witness)
        assert not [*(self._directory / "lessee").glob("log_*")], "the log is caught"

    def kill_watch(self) -> None:
        self._kill(self.watch)

    def _kill(self, daemon: "Daemon") -> None:
        daemon.kill()
        daemon.start()
        time.sleep(self._chance.uniform(0, self._period_s))

    def kill_backup(self) -> None:
        """Beside the collector."""
        words = ["backup", str(self._directory / "copy"), "--config", str(self.collector.config)]
        copying = self._daemon("backup", COLLECTOR, *words)
        time.sleep(self._chance.uniform(0, self._period_s))
        copying.kill()

    def _serving(self) -> Serving:
        process = self.collector.process
        assert process is not None
        url = f"http://127.0.0.1:{self.collector.port}"
        return Serving(self.collector.directory, process, url)

    def _back(self) -> None:
        """All that was acknowledged since the last time is there, and the log goes on from what was handed out."""
        began = time.monotonic()
        self.collector.start()
        self._period_s = 2 * (time.monotonic() - began)
        now = self.collector.get("/v1/log/head")
        for note in self._heads:
            self._assert_beginning(note, now)
        held = dict(self._entries(min(self._new, default=now["size"]), max(self._new, default=0)))
        assert {index: held.get(index) for index in self._new} == self._new
        self.acknowledged |= self._new
        self._new, self._heads = {}, self._heads[-1:]

    def _assert_beginning(self, note: str, now: Mapping[str, Any]) -> None:
        head = open_head(note, self.log_key)
        assert head.size <= now["size"]
        path = self.collector.get(f"/v1/log/proof?from={head.size}&to={now['size']}")["hashes"]
        proof, root = [bytes.fromhex(one) for one in path], bytes.fromhex(now["root"])
        assert verify_consistency(head.size, now["size"], head.root, root, proof)

    def _entries(self, start: int, last: int) -> Iterator[tuple[int, str]]:
        while start <= last:
            for row in self.collector.get(f"/v1/log/entries?start={start}&limit=1000"):
                yield row["index"], leaf_hash(row["envelope"].encode()).hex()
                start = row["index"] + 1

    def end(self) -> dict[str, int]:
        """Everybody hands over what they hold; then the whole is looked at. What was counted."""
        for node in self.nodes:
            wait_for(lambda: node.alive and node.pending() == 0, "the spool to be empty")  # noqa: B023
            node.stop()
            assert_unbroken(self.collector.reports(node.name))
            assert_kept(node, self.collector)
        assert_unbroken(self.collector.reports("berlin"))
        held = dict(self._entries(0, max(self.acknowledged)))
        assert {index: held.get(index) for index in self.acknowledged} == self.acknowledged
        self._assert_backed_up()
        self.witness.kill()
        subprocess.run([*self._look, "--once"], check=True, env=environment())
        counted = {
            "log": self.collector.get("/v1/log/head")["size"],
            "acknowledged to the load": len(self.acknowledged),
            "acknowledged to agents": sum(len(node.receipts()) for node in self.nodes),
        }
        self.collector.stop()
        self._assert_replayed()
        return counted

    def _assert_backed_up(self) -> None:
        copy, again = self._directory / "copy", self._directory / "again"
        for words in (("backup", str(copy)), ("restore", str(copy), str(again))):
            done = self.collector.cli(*words)
            assert done.returncode == 0, done.stderr

    def _assert_replayed(self) -> None:
        config = ("--config", self.collector.config)
        assert weighbridge("scrub", *config, check=False).returncode == 0
        now = datetime.now(UTC)
        for contract in ("live", "lease"):
            words = ("replay", contract, "--period", f"{now:%Y-%m}", *config)
            done = weighbridge(*words, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


class Daemon(Program):
    """One that runs until it is killed."""

    def __init__(self, log: Path, words: Sequence[str]) -> None:
        super().__init__(log)
        self._words = words
        self.start()

    def start(self) -> None:
        self.launch(self._words, environment())

    def close(self) -> None:
        if self.alive:
            self.kill()


def children(process: int) -> list[int]:
    """Of all its threads."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


RENEWED_S = 75
"""Where children die one after the other, an agent lets a minute pass before it starts the next one."""

PROGRAMS: Mapping[str, tuple[int, Callable[[House], None]]] = {
    "collector under load": (200, House.kill_collector),
    "collector that starts": (60, House.kill_starting_collector),
    "agent": (100, House.kill_agent),
    "NVML child": (80, House.kill_nvml_child),
    "witness of the log": (40, House.kill_witness),
    "witness of nodes": (40, House.kill_watch),
    "backup beside the collector": (40, House.kill_backup),
}
OF_COMMANDS = 440
COMMANDS_SHARE = {
    name: len(range(place, OF_COMMANDS, len(COMMANDS))) for place, name in enumerate(COMMANDS)
}
WHOLE = 1000


def share(of: int, whole: int) -> int:
    return max(1, of * whole // WHOLE)


def kill_commands(whole: int, chance: Random, counted: Counter[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        house = make_house(Path(scratch) / "house")
        for name, of in COMMANDS_SHARE.items():
            one = kills(name, house, Path(scratch), chance)
            for _ in itertools.islice(one, share(of, whole)):
                counted[name] += 1
            tell(name, counted[name])


def kill_programs(
    whole: int, chance: Random, counted: Counter[str], end_s: float
) -> dict[str, int]:
    failed: list[str] = []
    threading.excepthook = lambda arguments: failed.append(repr(arguments.exc_value))
    turns = [name for name, (of, _) in PROGRAMS.items() for _ in range(share(of, whole))]
    chance.shuffle(turns)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as ends:
        house = House(Path(scratch), chance, ends)
        try:
            for number, name in enumerate(turns, 1):
                if time.monotonic() > end_s:
                    break
                PROGRAMS[name][1](house)
                house.nobody_ended_by_itself()
                assert not failed, failed
                counted[name] += 1
                if number % 50 == 0:
                    tell("programs so far", number)
            return house.end()
        except BaseException:
            print(house.stage.told()[-20_000:])
            raise


def tell(name: str, count: int) -> None:
    print(f"{count:>8} {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=WHOLE)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="at most; then what was killed is looked at"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chance, counted, began = Random(options.seed), Counter[str](), time.monotonic()
    kill_commands(options.kills, chance, counted)
    held = kill_programs(options.kills, chance, counted, began + 60 * options.minutes)
    for name, count in (counted | Counter(held)).items():
        tell(name, count)
    took_s = time.monotonic() - began
    print(f"{counted.total()} kills in {took_s:.0f} s: nothing that was acknowledged is lost")
    if options.json is not None:
        result = {"machine": machine(), "kills": counted, "held": held, "seconds": took_s}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
