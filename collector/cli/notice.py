"""`notice` and `party`: what a party of a contract says, and the keys that it signs with.

Without a key of the party the collector attests that an administrator said so; the statement shows which.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from collector.cli.asking import Server, asks, fail, stated
from collector.cli.statement import (
    format_option,
    language_option,
    output_option,
    print_document,
)
from collector.documents.notice_letter import notice_letter
from collector.documents.words import Language
from collector.judging.statements import StatementError, instant
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.checkpoint import is_simulated
from weighbridge.log.entries import EntryKind, Notice, payload_type
from weighbridge.notices.rules import EVENTS
from weighbridge.process.files import write_new_file
from weighbridge.process.settings import ConfigError
from weighbridge.wire.report import canonical
from weighbridge.wire.signing import Signer, generate_private_key

Command = Callable[..., None]


def said_options(command: Command) -> Command:
    """Who says it, how it is signed, and where it goes."""
    options = (
        click.option("--party", required=True, help="Who says it: a party's id in the contract."),
        click.option(
            "--key",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="The party's key, to sign with.",
        ),
        click.option(
            "--output",
            "-o",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write the signed notice to a file, to be posted from elsewhere.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def notice() -> None:
    """Say something as a party of a contract. Instants are written 2026-10-05T08:00:00Z."""


@notice.command()
@click.argument("contract_id")
@click.option("--id", "name", required=True, help="Name of the window.")
@click.option("--from", "start", required=True, help="When it begins.")
@click.option("--until", "end", required=True, help="When it ends.")
@click.option("--unit", "units", multiple=True, help="A node or a unit; repeat. Default: all.")
@said_options
@asks
def maintenance(
    contract_id: str, name: str, start: str, end: str, units: tuple[str, ...], **where: Any
) -> None:
    """Announce maintenance. It counts from when the collector receives it."""
    said = {"kind": "maintenance", "id": name, "units": list(units)}
    _say(contract_id, said | {"from_us": _us(start), "until_us": _us(end)}, **where)


@notice.command()
@click.argument("contract_id")
@click.option("--code", required=True, help="A cause that the contract excludes.")
@click.option("--from", "start", required=True, help="When it begins.")
@click.option("--until", "end", required=True, help="When it ends.")
@click.option("--unit", default="", help="A node or a slot. Default: all.")
@said_options
@asks
def cause(contract_id: str, code: str, start: str, end: str, unit: str, **where: Any) -> None:
    """Say why time was lost. It excludes time once the lessee says so too."""
    said = {"kind": "cause", "code": code, "unit": unit}
    _say(contract_id, said | {"from_us": _us(start), "until_us": _us(end)}, **where)


def events_help() -> str:
    """Each event with who says it, and the details that it needs or may have: from the table by which it is judged."""
    lines = []
    for name, rule in EVENTS.items():
        details = [*rule.needs, *(f"[{one}]" for one in rule.may)]
        who = "" if rule.speakers is None else f" ({', '.join(sorted(rule.speakers))})"
        lines.append(f"  {name}{who}{': ' if details else ''}{' '.join(details)}")
    return "\b\nEvents, who says them, and their details:\n" + "\n".join(lines)


@notice.command(short_help="Say that something happened.", epilog=events_help())
@click.argument("contract_id")
@click.argument("event")
@click.option("--at", required=True, help="When it happened.")
@click.option("--since", help="From when on it lasted until then.")
@click.option("--unit", default="", help="A node or a slot. Default: the whole.")
@click.option("--detail", "details", multiple=True, help="NAME=TEXT; repeat.")
@said_options
@asks
def event(
    contract_id: str,
    event: str,
    at: str,
    since: str | None,
    unit: str,
    details: tuple[str, ...],
    **where: Any,
) -> None:
    """Say that EVENT happened.

    docs/contract.md says what each means; a contract may know more, and refuses others with those that it knows.
    """
    said = {
        "kind": "event",
        "event": event,
        "at_us": _us(at),
        "since_us": None if since is None else _us(since),
        "unit": unit,
        "details": dict(_pair(detail) for detail in details),
    }
    _say(contract_id, said, **where)


@notice.command()
@click.argument("contract_id")
@click.option("--period", required=True, help="For example 2026-10.")
@click.option("--unit", help="Default: all.")
@said_options
@asks
def claim(contract_id: str, period: str, unit: str | None, **where: Any) -> None:
    """File the claim for the credits of a period."""
    said = {"kind": "claim", "period": period, "unit": unit, "objective": None}
    _say(contract_id, said, **where)


@notice.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The party's key, to sign with.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the signed notice to a file, to be posted from elsewhere.",
)
@asks
def sign(file: Path, key: Path, output: Path | None, server: Server) -> None:
    """Sign the notice in FILE, as a page of the collector made it, and say it."""
    try:
        content = Notice.model_validate({**json.loads(file.read_bytes()), "attested_for": None})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file}: not a notice as a page makes it") from error
    body = _sealed(content.model_dump(mode="json"), key)
    _hand_over(body, output, server, content.contract)


@notice.command("show")
@click.argument("contract_id")
@click.argument("entry", type=int)
@format_option
@language_option
@output_option
@asks
def show(
    contract_id: str,
    entry: int,
    name: str,
    language: Language,
    output: Path | None,
    server: Server,
) -> None:
    """Print the notice of CONTRACT_ID that is ENTRY of the log, as a letter with its receipt."""
    path = f"/v1/contracts/{quote(contract_id, safe='')}"
    after = quote(json.dumps([entry - 1]))
    found = server.ask("GET", f"{path}/notices?limit=1&after={after}")["items"]
    if not found or found[0]["index"] != entry:
        fail(f"entry {entry} is no notice of {contract_id}")
    origin = server.ask("GET", "/v1/log/head")["head"]
    text = server.ask("GET", path)["text"]
    print_document(notice_letter(found[0], text, is_simulated(origin)), name, language, output)


@click.group()
def party() -> None:
    """Keys that the parties of a contract sign notices with."""


@party.command("key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@stated
def party_key(file: Path) -> None:
    """Make a private key in FILE, and print its public half."""
    key = generate_private_key()
    write_new_file(file, key.hex().encode())
    click.echo(Signer(key).public_key.hex())


@party.command("add")
@click.argument("contract_id")
@click.argument("party_id")
@click.argument("public_key")
@asks
def party_add(contract_id: str, party_id: str, public_key: str, server: Server) -> None:
    """Let PUBLIC_KEY speak for PARTY_ID of CONTRACT_ID."""
    _change(server, contract_id, party_id, public_key, "enrolled")


@party.command("revoke")
@click.argument("contract_id")
@click.argument("party_id")
@click.argument("public_key")
@asks
def party_revoke(contract_id: str, party_id: str, public_key: str, server: Server) -> None:
    """Let PUBLIC_KEY speak no more; what it said stays said."""
    _change(server, contract_id, party_id, public_key, "revoked")


def _change(server: Server, contract: str, party: str, public_key: str, action: str) -> None:
    path = f"/v1/contracts/{quote(contract, safe='')}/parties"
    wanted = {"action": action, "party": party, "public_key": public_key}
    answer = server.ask("POST", path, wanted)
    click.echo(f"key {answer['key_id'][:16]} of {party} is {action} by entry {answer['index']}")


def _say(
    contract: str,
    said: dict[str, Any],
    party: str,
    key: Path | None,
    output: Path | None,
    server: Server,
) -> None:
    content = {"contract": contract, "party": party, "said": said}
    body = canonical(content) if key is None else _sealed(content, key)
    if output is not None and key is None:
        raise ConfigError("--output is for signed notices: give --key")
    _hand_over(body, output, server, contract)


def _hand_over(body: bytes, output: Path | None, server: Server, contract: str) -> None:
    """The entry on standard output; beside it what to do next."""
    if output is not None:
        output.write_bytes(body)
        click.echo(f"{output}: post it to /v1/notices of the collector", err=True)
        return
    index = server.ask("POST", "/v1/notices", body)["index"]
    click.echo(f"entry {index}")
    shown = f"weighbridge notice show {contract} {index}"
    click.echo(f"`{shown}` prints it as a letter with its receipt", err=True)


def _sealed(content: dict[str, Any], key: Path) -> bytes:
    try:
        signer = Signer(bytes.fromhex(key.read_text("ascii")))
    except ValueError as error:
        raise ConfigError(f"{key}: not a party's key") from error
    payload = canonical(content | {"attested_for": None})
    return signer.seal(payload_type(EntryKind.NOTICE), payload)


def _us(text: str) -> int:
    try:
        return instant(text) * MICROSECONDS
    except StatementError as error:
        raise ConfigError(str(error)) from error


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"--detail {text!r} is not NAME=TEXT")
    return name, value
