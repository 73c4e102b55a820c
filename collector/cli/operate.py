"""`init`, `serve`, `invite`, `release` and `key`: running a collector, and who may report to it.

What only one of them needs is imported by that one, so that the others start at once.
"""

import asyncio
import gc
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from collector.background import beside
from collector.cli.asking import Server, asks, config_option, stated
from collector.config import CollectorConfig, load_config
from collector.memory import give_back_early
from collector.storage.store import StoreInfo
from collector.tls import create_authority
from weighbridge.contract.scalars import instant_text
from weighbridge.log.checkpoint import SIMULATED
from weighbridge.process.files import write_new_file
from weighbridge.process.logs import log_to_standard_error
from weighbridge.process.service_manager import ServiceManager
from weighbridge.process.settings import ConfigError
from weighbridge.wire.signing import Signer, generate_private_key

SELDOM = (10_000, 2, 40_000)
YOUNG_S = 0.1
GENERATIONS = (0, 1)

NEW_CONFIG = """\
# The collector's configuration. Every key, its default and its meaning: docs/operations.md.
# The environment (WEIGHBRIDGE_LISTEN and the like) and flags go before this file.

listen = "{listen}"
{store}{url}{loopback}"""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--simulation", is_flag=True, help="A store with a logical clock, never served as real."
)
@click.option(
    "--listen", default="127.0.0.1:8470", show_default=True, help="ADDRESS:PORT or unix:PATH."
)
@click.option("--url", help="How agents reach the collector, if not by the listen address.")
@click.option(
    "--store",
    help="postgresql://…: the log goes there, and the keys into DIRECTORY. Default: DIRECTORY.",
)
@click.option(
    "--open-on-loopback",
    is_flag=True,
    help="Whoever connects from this machine reads all without a token: not where a proxy or other users are.",
)
@stated
def init(
    directory: Path,
    simulation: bool,
    listen: str,
    url: str | None,
    store: str | None,
    open_on_loopback: bool,
) -> None:
    """Make a new store in DIRECTORY with its keys, CA and configuration."""
    from collector.storage.stores import create_store

    keys, config_file = directory / "keys", directory / "config.toml"
    for held in (keys, config_file) if store is not None else ():
        if held.exists():
            raise ConfigError(f"{held} exists already: it is another store's")
    key = generate_private_key()
    origin = f"{SIMULATED if simulation else 'weighbridge/'}{os.urandom(8).hex()}"
    create_store(store or f"embedded:{directory}", StoreInfo(origin), Signer(key))
    keys.mkdir(mode=0o700, parents=True)
    write_new_file(keys / "log.key", key.hex().encode())
    create_authority(keys, origin, datetime.now(UTC))  # noqa: TID251
    store_line = "" if store is None else f'store = "{store}"\n'
    url_line = "" if url is None else f'url = "{url}"\n'
    loopback = "open_on_loopback = true\n" if open_on_loopback else ""
    config_file.write_text(
        NEW_CONFIG.format(listen=listen, store=store_line, url=url_line, loopback=loopback),
        encoding="utf-8",
    )
    config = load_config(config_file, {})
    click.echo(f"store   {config.directory} ({'simulation' if simulation else 'real'})")
    click.echo(f"log     {origin}")
    flag = " --simulation" if simulation else ""
    click.echo(f"start   weighbridge serve{flag} --config {config_file}")


@click.command()
@config_option
@click.option("--listen", help="ADDRESS:PORT or unix:PATH.")
@click.option(
    "--simulation", is_flag=True, help="Serve a simulation store, whose clock is logical."
)
@stated
def serve(config_file: Path, listen: str | None, simulation: bool) -> None:
    """Run the collector until SIGTERM or SIGINT, then drain."""
    log_to_standard_error("info")
    config = load_config(config_file, os.environ, {"listen": listen})
    manager = ServiceManager(os.environ)
    asyncio.run(_serve(config, manager, simulation))


async def _serve(config: CollectorConfig, manager: ServiceManager, simulation: bool) -> None:
    from collector import app

    give_back_early()
    collect_seldom()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waiting = partial(_waits, manager, stop, itertools.count())
    async with app.running(config, True, simulation, waiting) as collector:
        collector.committer.on_beat(manager.alive)
        click.echo(f"listening on {collector.url}")
        if simulation:
            click.echo("SIMULATED: the clock is logical, and nothing here was measured")
        if config.open_on_loopback and config.listen.host is not None:
            click.echo("reading is open to this machine without a token (open_on_loopback)")
        sys.stdout.flush()
        gc.freeze()
        manager.ready(f"listening on {collector.url}")
        async with beside(collect_young(), "cycles of objects are freed late"):
            await _first(stop.wait(), collector.committing)
        manager.stopping()
    leave_readers()


def _waits(manager: ServiceManager, stop: asyncio.Event, times: Iterator[int], why: str) -> None:
    """A spare that takes over when the other collector ends is up and well. Ends the process where it was told to."""
    if not next(times):
        click.echo(f"waiting: {why}")
        sys.stdout.flush()
    manager.ready(f"waiting: {why}")
    manager.alive()
    if stop.is_set():
        raise SystemExit(0)


def leave_readers() -> NoReturn:
    """End the process now that all it writes is written and closed.

    A PDF is set, and reports that nobody keeps leave, in a thread that nothing interrupts, and Python's own end would
    wait for it: longer than a service manager waits for a process, and for a reader who is gone.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def collect_seldom() -> None:
    """Reports are freed when their last reader lets go; looking for cycles among them only costs time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)


async def collect_young() -> None:
    """Look for cycles among what is new, at short intervals.

    Python counts what was made less what was freed: where new state takes the place of old, the count stands still
    while what is new grows, and the search that comes at last holds the loop.
    """
    for generation in itertools.cycle(GENERATIONS):
        await asyncio.sleep(YOUNG_S)
        gc.collect(generation)


async def _first(stopped: Any, committing: "asyncio.Task[None]") -> None:
    """Until the signal, or until the commit loop fails: without it there is nothing to serve."""
    signalled = asyncio.ensure_future(stopped)
    await asyncio.wait({signalled, committing}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()


@click.command()
@click.argument("contract")
@click.option(
    "--side",
    type=click.Choice(["provider", "lessee", "witness"]),
    required=True,
    help="For whose agent.",
)
@click.option("--node", required=True, help="The node's name, or the witness's own.")
@click.option(
    "--device", "devices", multiple=True, help="UUID of a GPU; repeat. Default: all of them."
)
@click.option("--resource", help="The line item that the node serves, where there are several.")
@click.option(
    "--hours",
    type=click.IntRange(1, 366 * 24),
    default=72,
    show_default=True,
    help="How long the invite is good.",
)
@asks
def invite(
    contract: str,
    side: str,
    node: str,
    devices: tuple[str, ...],
    resource: str | None,
    hours: int,
    server: Server,
) -> None:
    """Print one line to paste on a node: it enrols the node's agent for CONTRACT, once."""
    wanted = {
        "contract": contract,
        "side": side,
        "node": node,
        "devices": list(devices) or None,
        "resource": resource,
        "life_seconds": hours * 3600,
    }
    click.echo(server.ask("POST", "/v1/invites", wanted)["invite"])


@click.command()
@click.argument("contract")
@click.option("--node", required=True, help="The node's name.")
@asks
def release(contract: str, node: str, server: Server) -> None:
    """Take a node from CONTRACT, from now on; the place is free for another."""
    answer = server.ask("POST", "/v1/claims/release", {"contract": contract, "node": node})
    click.echo(f"{contract} holds {node} no more, by entry {answer['index']}")


@click.group()
def key() -> None:
    """List, revoke and rotate the keys of agents."""


@key.command("list")
@asks
def key_list(server: Server) -> None:
    """Every key that was ever enrolled."""
    answer = server.ask("GET", "/v1/keys")
    for row in answer["keys"]:
        click.echo(
            f"{row['key_id'][:16]}  {row['side']:8}  {row['node']}  {row['contract']}  {_state(row)}"
        )


def _state(row: dict[str, Any]) -> str:
    """Whether the key speaks; of one that does not, by which entry and why, and since when its word does not count."""
    if row["revoked_index"] is None:
        return "speaks"
    since = row["from_us"]
    void = "" if since is None else f"; its word does not count since {instant_text(since)}"
    return f"revoked at {row['revoked_index']}: {row['reason']}{void}"


@key.command("revoke", short_help="Let a key speak no more, from now on.")
@click.argument("key_id")
@click.option("--reason", required=True, help="Goes into the log.")
@click.option(
    "--from",
    "since",
    help="An instant, such as 2026-11-08T00:00:00Z, since which the key was in other hands: what it said since then for"
    " its own side is unknown. Default: all that it said stays.",
)
@asks
def key_revoke(key_id: str, reason: str, since: str | None, server: Server) -> None:
    """Let KEY_ID (or the unique beginning of one) speak no more, from now on and for ever.

    Of a key that is revoked already, --from moves the instant earlier since which its word does not count.
    """
    wanted = {"reason": reason, "from_us": None if since is None else _instant_us(since)}
    answer = server.ask("POST", f"/v1/keys/{key_id}/revoke", wanted)
    click.echo(f"{answer['key_id']} is revoked by entry {answer['index']}")


def _instant_us(text: str) -> int:
    from weighbridge.contract.scalars import read_instant_us

    try:
        return read_instant_us(text)
    except ValueError as error:
        raise ConfigError(f"--from: {error}") from error


@key.command("rotate", short_help="An invite for the successor of a key.")
@click.argument("key_id")
@asks
def key_rotate(key_id: str, server: Server) -> None:
    """Print an invite for the successor of KEY_ID, which replaces it when it enrols."""
    click.echo(server.ask("POST", f"/v1/keys/{key_id}/rotate")["invite"])
