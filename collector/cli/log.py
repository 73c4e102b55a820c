"""`log`: another key for the log, which the key before it announces."""

import os
from pathlib import Path

import click

from collector.cli.asking import config_option, stated
from collector.config import load_config
from collector.log.own_keys import OwnKeys, next_key, require_own_log
from collector.storage.received import next_tick_us
from collector.storage.store import Store
from collector.storage.stores import open_store
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.checkpoint import log_key, sign_head
from weighbridge.log.entries import EntryKind, Tick, payload_type
from weighbridge.log.succession import MOST_SUCCESSIONS, seal_succession
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import wall_us
from weighbridge.settlement.periods import instant_text
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer

DAY_US = 86_400 * MICROSECONDS
MOST_BESIDE = 8
"""Former keys that sign heads at one time: a head has room in its file, and in others' programs."""


@click.group()
def log() -> None:
    """Put another key in the place of the log's own, without inviting anybody again."""


@log.command("rotate")
@click.option(
    "--overlap-days",
    type=click.IntRange(0, 3650),
    default=30,
    show_default=True,
    help="How long the former key signs heads too, for those who did not hear of the new one.",
)
@config_option
@stated
def rotate(overlap_days: int, config_file: Path) -> None:
    """Make the log's next key, and announce it by an entry that both keys sign.

    The collector is stopped. From the next entry on the new key signs. Agents and witnesses follow by themselves,
    however long they were away.
    """
    config = load_config(config_file, os.environ)
    store = open_store(config.store)
    try:
        own = require_own_log(config.keys, store)
        now_us = next_tick_us(store.log, store.info, wall_us())
        _require_room(own, now_us)
        new = next_key(config.keys, own)
        until_us = now_us + overlap_days * DAY_US
        index = _announce(store, own, new, now_us, until_us)
    finally:
        store.close()
    click.echo(f"entry {index} announces {log_key(store.info.origin, new.public_key)}")
    click.echo(f"until {instant_text(until_us // MICROSECONDS)} the former key signs heads too")
    click.echo("back it up now: a log whose newest key is lost has to begin anew")


def _require_room(own: OwnKeys, now_us: int) -> None:
    if len(own.beside(now_us)) >= MOST_BESIDE:
        raise ConfigError(f"{MOST_BESIDE} former keys sign heads still: wait until one ceases to")
    if len(own.keys.successions) >= MOST_SUCCESSIONS:
        raise ConfigError(f"a log has had {MOST_SUCCESSIONS} successions: begin another")


def _announce(store: Store, own: OwnKeys, new: Signer, now_us: int, until_us: int) -> int:
    """The entry, behind a tick of its own, and a head over both that every key signs which still does."""
    log = store.log
    tick = own.signer.seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=now_us)))
    index = log.size + 1
    log.append([tick, seal_succession(index, until_us, own.signer, new)])
    signers = [*own.beside(now_us), own.signer, new]
    log.hand_out(sign_head(store.info.origin, log.size, log.root(), *signers))
    return index
