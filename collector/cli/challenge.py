"""`challenge`: ask nodes to prove their compute now; `recheck`: compute results anew from exported entries."""

import json
import sys
import time
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.cli.asking import Server, asks, fail, stated
from collector.client import CollectorError

if TYPE_CHECKING:
    from weighbridge.log.entries import Entry
    from weighbridge.log.succession import LogKeys

EXIT = {"met": 0, "failed": 3, "not assessed": 4, "void": 4, "unknown": 4}
LOOK_SECONDS = 0.25
KEY_BYTES = 32


BY_HAND = {"profile": "f16", "size": 16384, "rounds": 64, "samples": 128, "links": 4}
"""What holds where numbers are given, and not these."""


def policy_of(
    file: Path | None, calibrated: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any] | None:
    """The policy asked for: a calibration's, over it a file, and over both what was given; None: the contract's."""
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen = ({} if file is None else _read_policy(file)) | chosen
    return BY_HAND | calibrated | chosen if calibrated or chosen else None


def _read_policy(file: Path) -> dict[str, Any]:
    """What a file of a policy says. Ends as usage errors do where it is none."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        fail(f"{file}: not JSON: {error}")
    if not isinstance(read, dict):
        fail(f"{file}: a policy is a JSON object")
    return read


def required(calibration: Path, share: str) -> dict[str, Any]:
    """The policy of a calibration with its thresholds. Ends as usage errors do where the file is none."""
    from weighbridge.challenge.calibration import demanding, read_calibration

    try:
        read = read_calibration(calibration.read_bytes().strip())
        return asdict(demanding(read, Fraction(share)))
    except (ValueError, ZeroDivisionError) as error:
        fail(f"{calibration}: {error}")


@click.command()
@click.argument("nodes", nargs=-1, required=True)
@click.option("--contract", help="Under which contract, where several hold the node.")
@click.option(
    "--policy",
    "file",
    type=click.Path(path_type=Path, exists=True),
    help="JSON: whatever a policy has, requirements and the ceiling of the class among it.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True),
    help="Of a known-good class: its policy, and requirements from what it reached.",
)
@click.option("--share", default="0.95", show_default=True, help="Of the least it reached.")
@click.option("--profile", type=click.Choice(["f16", "i8"]), help="Operands of the products.")
@click.option("--size", type=int, help="Rows and columns of each matrix.")
@click.option("--rounds", type=int, help="Products, one after the other.")
@click.option("--samples", type=int, help="Rows of each GPU that are recomputed.")
@click.option("--links", type=int, help="Windows of a row that take bytes of the product before.")
@click.option("--attempts", "attempts_allowed", type=int, help="A failure is repeated so often.")
@click.option("--deadline-ms", type=int, help="Longest time of each step.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer.")
@asks
def challenge(
    nodes: tuple[str, ...],
    contract: str | None,
    file: Path | None,
    calibration: Path | None,
    share: str,
    as_json: bool,
    server: Server,
    **numbers: Any,
) -> None:
    """Challenge NODES at the same moment and print what each GPU proved.

    Without numbers those of the contract hold; with some, those of the calibration, or else 64 rounds of 16384 rows.
    What asks for a rate needs rounds of 10 s at it. Exit code: 0 met, 3 failed, 4 not assessed, void or unknown.
    """
    calibrated = {} if calibration is None else required(calibration, share)
    policy = policy_of(file, calibrated, numbers)
    wanted = {"nodes": list(nodes), "contract": contract, "policy": policy}
    ended = _conduct(server, wanted)
    for one in ended:
        click.echo(json.dumps(one, indent=1) if as_json else described(one))
    sys.exit(max(EXIT[verdict_of(one)] for one in ended))


def _conduct(server: Server, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    if not server.serves:
        raise CollectorError("no collector serves this store: a challenge needs one")
    begun = server.ask("POST", "/v1/challenges", wanted)
    return [_ended(server, one["id"]) for one in begun["challenges"]]


def _ended(server: Server, series: str) -> dict[str, Any]:
    while True:
        shown: dict[str, Any] = server.ask("GET", f"/v1/challenges/{series}")
        if shown["state"] == "ended":
            return shown
        time.sleep(LOOK_SECONDS)


def verdict_of(shown: dict[str, Any]) -> str:
    """Of the whole series."""
    return str(shown["attempts"][-1]["series_verdict"]) if shown["attempts"] else "void"


def described(shown: dict[str, Any]) -> str:
    """For people: the verdict, and each GPU's verified lower bound."""
    lines = [f"{shown['node']}: {verdict_of(shown)}  (challenge {shown['id']})"]
    for attempt in shown["attempts"]:
        times = " + ".join(f"{elapsed / 1e9:.3f} s" for elapsed in attempt["elapsed_ns"]) or "-"
        lines.append(f"  {attempt['challenge']}  {_said(attempt)}  {times}")
        lines += _foreign(shown["program_asked"], attempt["program"])
        lines += [f"    {gpu['gpu']}  {_said(gpu)}  {_bounds(gpu)}" for gpu in attempt["gpus"]]
    return "\n".join(lines)


def _foreign(asked: str | None, program: str | None) -> list[str]:
    """Where another program answered than the requirements were measured with."""
    if asked is None or program in (None, asked):
        return []
    return [f"    another program answered: {program}; the requirements are of {asked}"]


def _said(one: dict[str, Any]) -> str:
    return str(one["verdict"]) + (f": {one['reason']}" if one["reason"] is not None else "")


def _bounds(gpu: dict[str, Any]) -> str:
    units = (
        ("flops_per_second", 10**12, "TFLOP/s of exact products"),
        ("memory_bytes", 1 << 30, "GiB held"),
        ("memory_bytes_per_second", 10**9, "GB/s"),
        ("peer_bytes_per_second", 10**9, "GB/s between GPUs"),
    )
    known = [(gpu[name], size, unit) for name, size, unit in units if gpu[name] is not None]
    return ", ".join(f"at least {value / size:.6g} {unit}" for value, size, unit in known)


@click.command()
@click.argument("entries", type=click.Path(path_type=Path, exists=True))
@click.argument("challenge_id", metavar="[CHALLENGE]", required=False)
@click.option("--log-key", required=True, help="The log's public key, in hexadecimal.")
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, exists=True),
    help="An agent's challenges.jsonl: what it was told is compared with what the log says.",
)
@stated
def recheck(entries: Path, challenge_id: str | None, log_key: str, receipts: Path | None) -> None:
    """Compute results anew from ENTRIES, a file as /v1/log/entries answers. Needs no collector and no network.

    Without CHALLENGE every one that the file holds from its beginning to its end. Exit code: 0 as logged, and as the
    receipts say, 3 otherwise.
    """
    from weighbridge.challenge.record import challenges_in
    from weighbridge.log.entries import EntryKind
    from weighbridge.log.succession import LogKeys
    from weighbridge.wire.signing import encode_envelope

    read, keys = _exported(entries), LogKeys(_public_key(log_key))
    announced = (one.envelope for one in read if one.kind is EntryKind.SUCCESSION)
    keys = keys.followed(map(encode_envelope, announced))
    names = challenges_in(read) if challenge_id is None else [challenge_id]
    if not names and receipts is None:
        fail(f"{entries}: holds no challenge from its beginning to its end")
    code = 0
    for name in names:
        code = max(code, _rechecked(read, name, keys))
    if receipts is not None:
        code = max(code, _compared(read, receipts, keys, challenge_id))
    sys.exit(code)


def _rechecked(read: "list[Entry]", name: str, keys: "LogKeys") -> int:
    """Says how one challenge ended, computed anew. The exit code."""
    from weighbridge.challenge.record import RecordError, recheck
    from weighbridge.challenge.telemetry import recheck_telemetry

    try:
        record, weighing = recheck(read, name, keys)
        shown = recheck_telemetry(read, record.outcome, keys)
    except RecordError as error:
        click.echo(f"{name}: {error}")
        return 3
    said = {"verdict": weighing.verdict, "reason": weighing.reason}
    click.echo(f"{name}: {record.commitment.node} {_said(said)}, as logged")
    for card in shown or ():
        click.echo(f"  {card.gpu}: its telemetry shows {card.shown}: {card.reason}")
    return 0


def _compared(read: "list[Entry]", file: Path, keys: "LogKeys", only: str | None) -> int:
    """Says where what an agent kept differs from the log. The exit code."""
    from weighbridge.challenge.receipts import (
        NotKept,
        differences,
        exported,
        kept_challenges,
        kept_envelopes,
        kept_word,
    )

    words, code = [], 0
    for number, envelope in enumerate(kept_envelopes(file.read_bytes()), 1):
        try:
            words.append(kept_word(envelope, keys.every))
        except NotKept as error:
            click.echo(f"{file}, line {number}: {error}")
            code = 3
    log = exported(read)
    for kept in kept_challenges(words):
        if only not in (None, kept.name):
            continue
        found = list(differences(kept, log))
        for one in found:
            click.echo(f"{kept.name}: {one}")
        receipts = sum(step.receipt is not None for step in kept.steps)
        if not found and kept.name in log.ended:
            click.echo(f"{kept.name}: as its agent was told, {receipts} receipts")
        elif not found:
            click.echo(f"{kept.name}: {receipts} receipts, and no end of it in the entries")
        code = 3 if found else code
    return code


def _exported(file: Path) -> "list[Entry]":
    """The entries in a file. Ends as usage errors do where it holds none."""
    from weighbridge.log.entries import entry

    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [entry(row["index"], row["envelope"].encode()) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        fail(f"{file}: no entries as /v1/log/entries answers: {error}")


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        fail("--log-key: 64 hexadecimal digits, as log_key in what /v1/log/head answers")
    return key
