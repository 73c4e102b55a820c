"""`backup` and `restore`: the log, its keys and its configuration in another directory or a bucket, and back."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from collector.cli.asking import config_option, stated
from collector.config import load_config
from collector.log.own_keys import OwnKeys, keys_of, own_keys, public_keys
from collector.storage.backup import Restore, back_up, finished, restored
from collector.storage.handed_out import newest_head
from collector.storage.locations import Directory, Location
from collector.storage.received import next_tick_us, tick_before_us
from collector.storage.store import CorruptStore, StorageError
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import EntryKind, Restored, Tick, entry, payload_type
from weighbridge.log.merkle import root_at
from weighbridge.log.succession import announces, open_by_any
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import wall_us
from weighbridge.process.terminal import progress
from weighbridge.wire.report import Model, WirePart, encode
from weighbridge.wire.signing import SignatureError, Signer

TEXT_BYTES = 64 << 10


class LocationType(click.Path):
    """A directory, or the URL of a bucket as it was given."""

    def convert(self, value: Any, *more: Any) -> Any:
        if isinstance(value, str) and value.startswith("s3:"):
            return value
        return super().convert(value, *more)


def bucket_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of commands with a place that may be `s3://BUCKET/PREFIX`."""
    plain = click.option(
        "--plain-http", is_flag=True, help="Also without TLS, beyond this machine, to a bucket."
    )
    endpoint = click.option(
        "--endpoint",
        metavar="URL",
        help="The S3 server of a bucket, where it is not the one that the environment or the AWS configuration says.",
    )
    return endpoint(plain(command))


@contextmanager
def opened_location(
    target: Path | str, endpoint: str | None, *, plain_http: bool
) -> Iterator[Location]:
    """Raises StorageError."""
    if isinstance(target, Path):
        yield Directory(target)
        return
    try:
        from collector.storage.bucket import opened_bucket
    except ModuleNotFoundError as error:
        raise StorageError(
            f"{target}: {error.name} is missing: install the extra s3 (requirements/s3.txt)"
        ) from error
    with opened_bucket(target, endpoint, plain_http=plain_http) as bucket:
        yield bucket


@click.command(short_help="Copy what is new into a backup, beside a running collector.")
@click.argument("target", type=LocationType(path_type=Path, file_okay=False))
@bucket_options
@config_option
@stated
def backup(target: Path | str, endpoint: str | None, plain_http: bool, config_file: Path) -> None:
    """Bring the backup in TARGET up to the newest head of the log: a directory of its own, or s3://BUCKET/PREFIX.

    Only what TARGET lacks is read and written, and only once it comes to that head's root. A backup that was broken off
    is gone on with. TARGET holds the private keys of the log and of the CA.
    """
    config = load_config(config_file, os.environ)
    with (
        opened_location(target, endpoint, plain_http=plain_http) as location,
        progress(f"bringing {target} up to the log"),
    ):
        done = back_up(config.embedded, config_file, location, public_keys(config.keys))
    click.echo(f"{target}: {done.head.size} entries, {done.new} of them new")
    click.echo(f"root    {done.head.root.hex()}")


@click.command(short_help="A store from a backup, each entry and the root proven.")
@click.argument("target", type=LocationType(path_type=Path, file_okay=False, exists=True))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--head",
    "head_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A head of the log that somebody saw: a checkpoint, or the file `evidence/head` of the store that was lost;"
    " repeat.",
)
@bucket_options
@stated
def restore(
    target: Path | str,
    directory: Path,
    head_files: tuple[Path, ...],
    endpoint: str | None,
    plain_http: bool,
) -> None:
    """Make a store in DIRECTORY, which is empty, from the backup in TARGET, a directory or s3://BUCKET/PREFIX.

    What a head of --head covers and the backup does not is lost: the log says so, and agents are asked for it.
    """
    with opened_location(target, endpoint, plain_http=plain_http) as location:
        finished(location)
        keys = keys_of(lambda name: location.read(f"keys/{name}"), location.at("keys"))
        seen = [read_head_file(file, keys) for file in head_files]
        with progress("proving every entry"), restored(location, directory, keys) as begun:
            lost = _lost(begun, seen)
            leaves = [leaf for leaf in begun.log.leaves(0, begun.log.size) if announces(leaf)]
            _enter(begun, lost, own_keys(directory / "keys", leaves))
    click.echo(f"{directory}: {begun.head.size} entries, proven by the backup's head")
    click.echo(_told(begun.head, lost, asked=bool(seen)))
    own = load_config(directory / "config.toml", {}).directory
    if own != directory.resolve():
        click.echo(f"{directory / 'config.toml'} names another store: {own}", err=True)


def read_head_file(path: Path, keys: Sequence[bytes]) -> Head:
    """The head in a file that somebody kept, signed by this log. Raises ConfigError."""
    data = path.read_bytes()[:TEXT_BYTES]
    try:
        if b"\0" not in data:
            return open_by_any(data.decode(), keys)
        head = newest_head(path)
        if head is None:
            raise ConfigError(f"{path}: no head was handed out")
        return open_by_any(head.note, keys)
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


def _enter(begun: Restore, lost: Head | None, own: OwnKeys) -> None:
    """The log's own word that it goes on from a backup, received at a tick of its own, and the head over it."""
    log, held, signer = begun.log, begun.head, own.signer
    if log.size == held.size:
        now_us = next_tick_us(log, begun.info, wall_us())
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
    now_us = tick_before_us(log, log.size)
    log.hand_out(own.sign_head(begun.info.origin, log.size, log.root(), now_us))


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
