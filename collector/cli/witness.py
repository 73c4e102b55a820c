"""`witness`: a party's own witness of a log."""

import asyncio
import contextlib
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import click
from aiohttp import web

from collector.cli.asking import fail, stated
from collector.config import parse_listen
from collector.witnessing.party import (
    TIMEOUT_SECONDS,
    LogAddress,
    LogCaughtError,
    LogSilentError,
    PartyWitness,
)
from weighbridge.log.cosignature import Cosigner, read_secret
from weighbridge.log.note import KeyKind, read_vkey
from weighbridge.process.files import write_new_file
from weighbridge.process.logs import log_to_standard_error
from weighbridge.wire.signing import SignatureError, generate_private_key

NANOSECONDS = 1_000_000_000
CAUGHT = 1
SILENT = 3


@click.group()
def witness() -> None:
    """Watch a log that somebody else keeps, and cosign it while it stands by what it signed."""


@witness.command("key")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--ed25519", is_flag=True, help="For verifiers that know no ML-DSA-44.")
@stated
def witness_key(name: str, file: Path, ed25519: bool) -> None:
    """Write a new private key to FILE, and print its public key under NAME, such as witness.example.com/lessee."""
    kind = KeyKind.COSIGNER_ED25519 if ed25519 else KeyKind.COSIGNER_ML_DSA_44
    try:
        cosigner = Cosigner(name, kind, generate_private_key())
        write_new_file(file, f"{cosigner.secret}\n".encode())
    except SignatureError as error:
        fail(error)
    click.echo(cosigner.key)


@witness.command("run")
@click.option("--log", "vkey", required=True, help="The log's public key, a vkey.")
@click.option("--url", help="Where the log answers. Without it heads are only brought.")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The witness's private key, a file that `witness key` made.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A directory for the newest head and the evidence; made where there is none.",
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option(
    "--every", "every_s", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds."
)
@click.option(
    "--listen", help="ADDRESS:PORT or unix:PATH for heads that are brought (tlog-witness)."
)
@click.option("--token-file", type=click.Path(path_type=Path, exists=True), help="For the log.")
@click.option("--ca", type=click.Path(path_type=Path, exists=True), help="The only CA to trust.")
@stated
def witness_run(
    vkey: str,
    url: str | None,
    key_file: Path,
    state: Path,
    once: bool,
    every_s: int,
    listen: str | None,
    token_file: Path | None,
    ca: Path | None,
) -> None:
    """Ask the log for the head to cosign, check that it follows from the newest one kept, cosign, and hand it in.

    Exit code of --once: 0, cosigned; 1, the log forked or shrank; 3, it did not answer, or took no cosignature.
    """
    log_to_standard_error("info")
    if url is None and (once or listen is None):
        fail("name --url, to ask the log, or --listen, to be asked")
    token = None if token_file is None else token_file.read_text("utf-8").strip()
    address = None if url is None else LogAddress(url.rstrip("/"), token)
    trust = ssl.create_default_context(cafile=ca) if ca is not None else True
    try:
        log, cosigner = read_vkey(vkey), read_secret(key_file.read_text("utf-8"))
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        party = PartyWitness(log, cosigner, state, lambda: time.time_ns() // NANOSECONDS)
    except (SignatureError, BlockingIOError) as error:
        fail(error if isinstance(error, SignatureError) else f"{state}: another witness uses it")
    with contextlib.closing(party):
        sys.exit(asyncio.run(_run(party, address, trust, once, every_s, listen)))


async def _run(
    party: PartyWitness,
    address: LogAddress | None,
    trust: ssl.SSLContext | bool,
    once: bool,
    every_s: int,
    listen: str | None,
) -> int:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
        _listening(party, listen),
    ):
        if once and address is not None:
            return await _look(party, session, address)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        while not stop.is_set():
            if address is not None:
                await _look(party, session, address)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stop.wait()
    return 0


async def _look(party: PartyWitness, session: aiohttp.ClientSession, address: LogAddress) -> int:
    try:
        head = await party.watch(session, address)
    except LogCaughtError as error:
        click.echo(f"weighbridge: {error}", err=True)
        return CAUGHT
    except LogSilentError as error:
        click.echo(f"weighbridge: {error}", err=True)
        return SILENT
    click.echo(f"cosigned {head.size} entries")
    return 0


@contextlib.asynccontextmanager
async def _listening(party: PartyWitness, listen: str | None) -> AsyncIterator[None]:
    if listen is None:
        yield
        return
    place = parse_listen(Path("--listen"), listen)
    runner = web.AppRunner(party.application(), access_log=None)
    await runner.setup()
    if place.path is not None:
        await web.UnixSite(runner, Path(listen.removeprefix("unix:"))).start()
    else:
        await web.TCPSite(runner, place.host, place.port).start()
        click.echo(f"listening on http://{place.host}:{runner.addresses[0][1]}")
        sys.stdout.flush()
    try:
        yield
    finally:
        await runner.cleanup()
