"""`scrub`: reads everything that a store holds, and mends what follows from something else."""

import os
import sys
from pathlib import Path

import click

from collector.cli.asking import config_option, stated
from collector.config import CollectorConfig, load_config
from collector.judging.refolding import other_judge, unlike_log
from collector.log.own_keys import own_keys, public_keys
from collector.storage.embedded import lock_store, read_info, rebuild_derived
from collector.storage.handed_out import replace_head
from collector.storage.scrub import Findings, Part, scrub
from collector.storage.store import StoreInUse
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import wall_us
from weighbridge.process.terminal import progress
from weighbridge.verdict import EXIT_CODES, Verdict


@click.command("scrub", short_help="Read all evidence, and mend what follows from it.")
@click.option("--read-only", is_flag=True, help="Mend nothing.")
@click.option(
    "--sign",
    is_flag=True,
    help="Where the newest head is lost: sign one over what the segments hold now.",
)
@click.option(
    "--ledger/--no-ledger",
    default=True,
    help="Fold the log again and compare what the ledger says with it.",
)
@config_option
@stated
def scrub_store(read_only: bool, sign: bool, ledger: bool, config_file: Path) -> None:
    """Read every row of the log and compare it with its CRC, the tree, the newest head that was handed out, the index,
    and the ledger with what the log gives.

    Tree, index and ledger are made again where they are wrong and the log is not. While a collector has the store open,
    nothing is mended, what the newest head covers is read, and the ledger is not compared.

    Exit code 0: all is sound, or was mended; 3: something is not; 4: something could not be compared.
    """
    config = load_config(config_file, os.environ)
    read_info(config.embedded)
    lock = _lock(config)
    mends = lock is not None and not read_only
    if sign and not mends:
        raise ConfigError("--sign needs a store that nobody has open, and to be let write")
    try:
        keys = public_keys(config.keys)
        with progress("reading every entry") as count:
            found = scrub(config.embedded, keys, lock is not None, count)
        if ledger and lock is not None:
            with progress("folding the log again"):
                _compare_ledger(config, found)
        signed = sign and _signed(config, found)
    finally:
        if lock is not None:
            os.close(lock)
    _tell(found)
    if signed:
        click.echo(
            f"signed a head over {found.entries} entries: whether there were more nobody here knows"
        )
    if mends and found.sound_log and found.counts:
        rebuild_derived(config.embedded)
        click.echo(
            "made again from the segments: tree and index; the ledger when the collector starts"
        )
        found.counts.clear()
    sys.exit(EXIT_CODES[_verdict(found)])


def _lock(config: CollectorConfig) -> int | None:
    try:
        return lock_store(config.embedded)
    except StoreInUse:
        click.echo("a collector has the store open: it is only read, up to its newest head")
        return None


def _compare_ledger(config: CollectorConfig, found: Findings) -> None:
    """Where the log is sound and the ledger's file can be read: else it is told already, and mended as a whole."""
    if not found.sound_log or Part.INDEX in found.counts or not found.folded:
        return
    directory = config.embedded
    if found.removed:
        click.echo("the ledger is not compared: reports have left, and nobody can fold them again")
    elif (judge := other_judge(directory / "index.sqlite")) is not None:
        found.unseen.append(
            f"the ledger: another judge wrote to it ({judge}); --no-ledger leaves it out"
        )
    else:
        for fault in unlike_log(directory, read_info(directory), found.folded):
            found.add(Part.LEDGER, fault)


def _signed(config: CollectorConfig, found: Findings) -> bool:
    """A head in place of one that is lost: of no log that has one, is damaged itself, or holds nothing."""
    lost = found.head is None and not found.counts.get(Part.SEGMENTS)
    if not lost or found.root is None or not found.entries:
        return False
    origin = read_info(config.embedded).origin
    own = own_keys(config.keys, found.keys.leaves)
    head = own.sign_head(origin, found.entries, found.root, wall_us())
    replace_head(config.embedded / "evidence" / "head", head)
    found.counts.pop(Part.HEAD, None)
    found.unseen.clear()
    return True


def _tell(found: Findings) -> None:
    for part, faults in found.faults.items():
        for fault in faults:
            click.echo(f"{part}: {fault}", err=True)
        more = found.counts.get(part, 0) - len(faults)
        if more > 0:
            click.echo(f"{part}: and {more} more", err=True)
    for unseen in found.unseen:
        click.echo(f"not compared: {unseen}", err=True)
    if found.torn:
        click.echo(
            f"{found.torn}: a torn row of which nobody was told; it is cut when the store is opened"
        )
    head = "no head" if found.head is None else f"the head over {found.head.size}"
    left = f", {found.removed} of them reports that have left" if found.removed else ""
    click.echo(f"{found.entries} entries{left}, {head}")


def _verdict(found: Findings) -> Verdict:
    if found.counts:
        return Verdict.BREACHED
    return Verdict.UNKNOWN if found.unseen else Verdict.MET
