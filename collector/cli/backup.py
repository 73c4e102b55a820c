"""`backup` and `restore`: the log, its keys and its configuration in another directory, and back."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from collector.app import load_signer, read_signer
from collector.cli.operate import config_option, stated
from collector.config import load_config
from collector.storage.backup import Restore, back_up, restored
from collector.storage.handed_out import newest_head
from collector.storage.received import tick_before_us
from collector.storage.store import CorruptStore, StorageError
from weighbridge.log.checkpoint import Head, open_head, sign_head
from weighbridge.log.entries import EntryKind, Restored, Tick, entry, payload_type
from weighbridge.log.merkle import root_at
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import wall_us
from weighbridge.wire.report import Model, WirePart, encode
from weighbridge.wire.signing import SignatureError, Signer

TEXT_BYTES = 64 << 10


@click.command(short_help="Copy what is new into a backup, beside a running collector.")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@config_option
@stated
def backup(target: Path, config_file: Path) -> None:
    """Bring the backup in TARGET, a directory of its own, up to the newest head of the log.

    Only what TARGET lacks is read and written, and only once it comes to that head's root. A backup that was broken off
    is gone on with. TARGET holds the private keys of the log and of the CA.
    """
    config = load_config(config_file, os.environ)
    signer = load_signer(config)
    done = back_up(config.directory, config_file, target, signer.public_key)
    click.echo(f"{target}: {done.head.size} entries, {done.new} of them new")
    click.echo(f"root    {done.head.root.hex()}")


@click.command(short_help="A store from a backup, each entry and the root proven.")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--head",
    "head_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A head of the log that somebody saw: a checkpoint, or the file `evidence/head` of the store that was lost;"
    " repeat.",
)
@stated
def restore(target: Path, directory: Path, head_files: tuple[Path, ...]) -> None:
    """Make a store in DIRECTORY, which is empty, from the backup in TARGET.

    What a head of --head covers and the backup does not is lost: the log says so, and agents are asked for it.
    """
    signer = read_signer(target / "keys" / "log.key")
    seen = [read_head_file(file, signer) for file in head_files]
    with restored(target, directory, signer.public_key) as begun:
        lost = _lost(begun, seen)
        _enter(begun, lost, signer)
    click.echo(f"{directory}: {begun.head.size} entries, proven by the backup's head")
    click.echo(_told(begun.head, lost, asked=bool(seen)))
    own = load_config(directory / "config.toml", {}).directory
    if own != directory.resolve():
        click.echo(f"{directory / 'config.toml'} names another store: {own}", err=True)


def read_head_file(path: Path, signer: Signer) -> Head:
    """The head in a file that somebody kept, signed by this log. Raises ConfigError."""
    data = path.read_bytes()[:TEXT_BYTES]
    try:
        if b"\0" not in data:
            return open_head(data.decode(), signer.public_key)
        head = newest_head(path)
        if head is None:
            raise ConfigError(f"{path}: no head was handed out")
        return open_head(head.note, signer.public_key)
    except (UnicodeDecodeError, SignatureError, CorruptStore) as error:
        raise ConfigError(f"{path}: {error}") from error


def _lost(begun: Restore, seen: Sequence[Head]) -> Head | None:
    """The newest head over more than the backup holds. Raises StorageError where a smaller one is of another log."""
    held = begun.head.size
    for head in seen:
        if head.size <= held and root_at(head.size, begun.log.node) != head.root:
            raise StorageError(
                f"a head over {head.size} entries is of another log than the backup: it forked"
            )
    return max(
        (head for head in seen if head.size > held), key=lambda head: head.size, default=None
    )


def _enter(begun: Restore, lost: Head | None, signer: Signer) -> None:
    """The log's own word that it goes on from a backup, received at a tick of its own, and the head over it."""
    log, held = begun.log, begun.head
    if log.size == held.size:
        before_us = tick_before_us(log, log.size)
        now_us = before_us if begun.info.simulation else max(before_us, wall_us())
        log.append([_sealed(signer, EntryKind.TICK, Tick(wall_us=now_us))])
    if log.size == held.size + 1:
        note = None if lost is None else lost.note
        said = Restored(size=held.size, root=held.root.hex(), lost=note)
        log.append([_sealed(signer, EntryKind.RESTORED, said)])
    (last,) = log.leaves(log.size - 1, 1)
    if entry(log.size - 1, last).kind is not EntryKind.RESTORED:
        raise StorageError(
            f"the log there holds {log.size} entries, more than the backup, and no restore was begun on it"
        )
    log.hand_out(sign_head(begun.info.origin, log.size, log.root(), signer))


def _sealed(signer: Signer, kind: EntryKind, record: Model | WirePart) -> bytes:
    return signer.seal(payload_type(kind), encode(record))


def _told(head: Head, lost: Head | None, *, asked: bool) -> str:
    if lost is not None:
        return (
            f"lost: entries {head.size} to {lost.size - 1}, which were handed out. Agents send again what their spools"
            " hold; whoever holds that head says log_shrank or log_forked"
        )
    if asked:
        return "nothing is lost of what the heads that were shown cover"
    return "whether entries were lost is not known: show with --head what agents or witnesses hold"
