"""Commands that write, each killed over a store of its own, and what must hold behind it."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from cryptography import x509

from collector.storage import backup as backups
from collector.storage.embedded import open_embedded
from collector.storage.handed_out import newest_head
from collector.tls import ServerCertificate
from tests.collector.building import (
    CONTRACT,
    Agent,
    hand_out,
    leaves_of,
    log_signer,
    make_store,
    serving,
    wait_for,
    weighbridge,
)
from tests.collector.killing import killed_without_end
from weighbridge.log.entries import EntryKind, Tick, entry, payload_type, stored_hash
from weighbridge.log.merkle import leaf_hash
from weighbridge.wire.report import encode

REPORTS = 12
BATCH_BYTES = SEGMENT_BYTES = 4_000
ENDED, KEPT_S = "2036-01-01T00:00:00+00:00", 1096 * 86_400


@dataclass(frozen=True)
class House:
    """Directories to copy from: `store` with acknowledged reports, `over` when nobody keeps them any longer, `backup`,
    `begun`, a backup of the beginning, and `seen`, the newest head that was handed out."""

    directory: Path
    leaves: Sequence[bytes]
    month: str

    def copy(self, places: Iterator[Path]) -> Path:
        return shutil.copytree(self.directory, next(places))


def make_house(directory: Path) -> House:
    directory.mkdir()
    agent = Agent("n1", gpus=1)
    store = make_store(directory / "store", [agent], CONTRACT)
    with serving(store) as server:
        first = agent.next(inventory=agent.inventory())
        server.report(first, *(agent.next() for _ in range(REPORTS - 1)))
        command(store, "backup", str(directory / "begun"))
        answer = server.report(*(agent.next() for _ in range(REPORTS)))
        size = answer.json["receipts"][-1]["index"] + 1
        wait_for(lambda: server.get("/v1/log/head").json["size"] > size + 2, "a second that passed")
        assert server.stop() == 0
    command(store, "backup", str(directory / "backup"))
    head = newest_head(store / "evidence" / "head")
    assert head is not None
    (directory / "seen").write_text(head.note)
    leaves = leaves_of(store)
    _end(shutil.copytree(store, directory / "over"))
    return House(directory, leaves, f"{datetime.fromtimestamp(agent.start_us / 1e6, UTC):%Y-%m}")


def _end(store: Path) -> None:
    """The log goes on, in a new segment, a second after the contract's records need be kept."""
    wall_us = int((datetime.fromisoformat(ENDED).timestamp() + KEPT_S + 1) * 1_000_000)
    append(store, [Tick(wall_us=wall_us)])


def append(store: Path, ticks: Sequence[Tick], told: Callable[[int], object] = str) -> None:
    """Each in a commit of its own, in short segments; `told` its index when it is acknowledged."""
    signer, opened = log_signer(store), open_embedded(store, segment_bytes=SEGMENT_BYTES)
    for tick in ticks:
        opened.log.append([signer.seal(payload_type(EntryKind.TICK), encode(tick))])
        hand_out(store, opened)
        told(opened.log.size)
    opened.close()


def command(store: Path, *words: str) -> int:
    return weighbridge(*words, "--config", store / "config.toml", check=False).returncode


def assert_sound(store: Path, leaves: Sequence[bytes]) -> None:
    """Log, tree, index and head are sound, the ledger is the log folded anew, and what was acknowledged is there."""
    assert command(store, "scrub") == 0
    held = leaves_of(store)[: len(leaves)]
    assert [stored_hash(leaf) for leaf in held] == [leaf_hash(leaf) for leaf in leaves]


@dataclass(frozen=True)
class Killed:
    """`act` is killed in a copy of the house, `prepare` before it is not, and `check` says what holds afterwards."""

    act: Callable[[Path, House], object]
    check: Callable[[Path, House], None]
    prepare: Callable[[Path], object] = lambda place: place


def back_up(place: Path, house: House) -> int:
    del house
    backups.BATCH_BYTES = BATCH_BYTES
    return command(place / "store", "backup", str(place / "begun"))


def is_gone_on_with(place: Path, house: House) -> None:
    assert command(place / "store", "backup", str(place / "begun")) == 0
    weighbridge("restore", place / "begun", place / "new", "--head", place / "seen")
    assert leaves_of(place / "new")[:-2] == house.leaves
    assert_sound(place / "store", house.leaves)


def restore(place: Path, house: House) -> None:
    del house
    backups.BATCH_BYTES = BATCH_BYTES
    weighbridge("restore", place / "backup", place / "new", "--head", place / "seen")


def is_restored(place: Path, house: House) -> None:
    if not (place / "new" / "store.json").exists():
        restore(place, house)
    assert leaves_of(place / "new")[:-2] == house.leaves
    assert_sound(place / "new", house.leaves)
    assert {file.name for file in (place / "new" / "keys").iterdir()} >= {
        "log.key",
        "ca.key",
        "ca.pem",
    }


def retain(place: Path, house: House) -> int:
    del house
    return command(place / "over", "retain")


def is_let_go(place: Path, house: House) -> None:
    assert_sound(place / "over", house.leaves)
    assert command(place / "over", "retain") == 0
    assert_sound(place / "over", house.leaves)
    kinds = [entry(index, leaf).kind for index, leaf in enumerate(leaves_of(place / "over"))]
    assert kinds.count(EntryKind.REMOVED) == 2 * REPORTS - 1
    assert EntryKind.REPORT in kinds, "the newest of the chain"


def rotate_ca(place: Path, house: House) -> int:
    del house
    return command(place / "store", "ca", "rotate")


def finish_ca(place: Path, house: House) -> int:
    del house
    return command(place / "store", "ca", "finish")


def has_rotated(place: Path, house: House) -> None:
    """A next CA is there whole, or made once more; and until it is there, it cannot be finished."""
    keys = place / "store" / "keys"
    made = (keys / "ca-next.pem").exists()
    assert (rotate_ca(place, house) == 0) is not made
    assert issues(keys)
    assert finish_ca(place, house) == 0
    assert issues(keys)
    assert_sound(place / "store", house.leaves)


def has_finished(place: Path, house: House) -> None:
    if (place / "store" / "keys" / "ca-next.pem").exists():
        assert finish_ca(place, house) == 0
    assert issues(place / "store" / "keys")
    assert_sound(place / "store", house.leaves)


def issues(keys: Path) -> bool:
    """Whether the CA makes a certificate for the server that its own certificate vouches for."""
    (keys / "server.pem").unlink(missing_ok=True)
    ServerCertificate(keys, [], lambda: datetime.now(UTC))
    authority, server = (
        x509.load_pem_x509_certificate((keys / name).read_bytes())
        for name in ("ca.pem", "server.pem")
    )
    server.verify_directly_issued_by(authority)
    return True


def rotate_log(place: Path, house: House) -> int:
    del house
    return command(place / "store", "log", "rotate")


def has_announced(place: Path, house: House) -> None:
    """The former key signs, or the next one; and the command goes on with the key that was made."""
    assert_sound(place / "store", house.leaves)
    assert rotate_log(place, house) == 0
    assert_sound(place / "store", house.leaves)


def lose_what_is_derived(place: Path) -> None:
    (place / "store" / "evidence" / "tree").unlink()
    for file in (place / "store").glob("index.sqlite*"):
        file.unlink()


def scrub(place: Path, house: House) -> int:
    del house
    return command(place / "store", "scrub")


def is_sound(place: Path, house: House) -> None:
    assert_sound(place / "store", house.leaves)


def seal_segments(place: Path, house: House) -> None:
    del house
    file = os.open(place / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    wall_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    ticks = [Tick(wall_us=wall_us + number) for number in range(24)]
    append(place / "store", ticks, lambda size: os.write(file, f"{size}\n".encode()))


def holds_what_it_told(place: Path, house: House) -> None:
    told = (place / "told").read_text().split() if (place / "told").exists() else []
    append(place / "store", [Tick(wall_us=2**51)])
    assert len(leaves_of(place / "store")) > max(map(int, told), default=len(house.leaves))
    assert_sound(place / "store", house.leaves)


def bundle(place: Path, house: House) -> int:
    words = ("bundle", "lease", "--period", house.month, "-o", str(place / "bundle"))
    return command(place / "store", *words)


def is_bundled(place: Path, house: House) -> None:
    if (place / "bundle").exists():
        assert is_verified(place / "bundle")
    (place / "bundle").unlink(missing_ok=True)
    assert bundle(place, house) == 0
    assert is_verified(place / "bundle")
    assert_sound(place / "store", house.leaves)


def is_verified(file: Path) -> bool:
    return weighbridge("verify", file, check=False).returncode in (0, 4)


COMMANDS = {
    "backup": Killed(back_up, is_gone_on_with),
    "restore": Killed(restore, is_restored),
    "retain": Killed(retain, is_let_go),
    "ca rotate": Killed(rotate_ca, has_rotated),
    "ca finish": Killed(
        finish_ca, has_finished, lambda place: command(place / "store", "ca", "rotate")
    ),
    "log rotate": Killed(rotate_log, has_announced),
    "scrub": Killed(scrub, is_sound, lose_what_is_derived),
    "sealing of segments": Killed(seal_segments, holds_what_it_told),
    "bundle": Killed(bundle, is_bundled),
}
"""By the names that the long run reports; what writes to a store or to a backup has its row here."""


def kills(name: str, house: House, scratch: Path, chance: Random) -> Iterator[None]:
    """Kill the command without end; after each kill everything is checked."""
    killed = COMMANDS[name]
    places = (scratch / f"{name}-{number}" for number in itertools.count())

    def made() -> Path:
        place = house.copy(places)
        killed.prepare(place)
        return place

    for place in killed_without_end(lambda place: killed.act(place, house), made, chance):
        killed.check(place, house)
        shutil.rmtree(place)
        yield
