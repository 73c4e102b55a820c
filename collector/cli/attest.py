"""`attest`: ask the GPUs of a node now to show who they are, and say what came of it."""

import json
import sys
import time
from typing import Any

import click

from collector.cli.asking import Server, asks
from collector.client import CollectorError
from weighbridge.verdict import EXIT_CODES, Verdict, worst

VERDICTS = {"met": Verdict.MET, "refused": Verdict.BREACHED, "not_assessed": Verdict.UNKNOWN}
LOOK_SECONDS = 0.25


@click.command()
@click.argument("node")
@click.option("--contract", help="Under which contract, where several hold the node.")
@click.option("--gpu", "gpus", multiple=True, help="By its UUID; all that fill places by default.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer.")
@asks
def attest(
    node: str, contract: str | None, gpus: tuple[str, ...], as_json: bool, server: Server
) -> None:
    """Ask the GPUs of NODE for evidence of their chips (level E3).

    Exit code: 0 all attested, 3 one was refused, 4 one was not assessed.
    """
    wanted = {"node": node, "contract": contract, "gpus": list(gpus) or None}
    ended = _conduct(server, wanted)
    click.echo(json.dumps(ended, indent=1) if as_json else described(ended))
    verdicts = [VERDICTS[one["verdict"]] for one in ended["gpus"]]
    sys.exit(EXIT_CODES[worst(verdicts, empty=Verdict.UNKNOWN)])


def _conduct(server: Server, wanted: dict[str, Any]) -> dict[str, Any]:
    if not server.serves:
        raise CollectorError("no collector serves this store: it alone can ask")
    shown: dict[str, Any] = server.ask("POST", "/v1/attestations", wanted)
    while shown["state"] != "ended":
        time.sleep(LOOK_SECONDS)
        shown = server.ask("GET", f"/v1/attestations/{shown['id']}")
    return shown


def described(shown: dict[str, Any]) -> str:
    """For people: each GPU, and by what it is known."""
    lines = [f"{shown['node']}  (attestation {shown['id']})"]
    for one in shown["gpus"]:
        why = f": {one['reason']}" if one["reason"] else ""
        lines.append(f"  {one['gpu']}  {one['verdict'].replace('_', ' ')}{why}")
        if one["verifier"]:
            looked = "revocation and measurements looked up" if one["online"] else "offline"
            lines.append(f"    by {one['verifier']}, {looked}")
        if one["chip"]:
            lines.append(f"    chip {one['chip']}")
        lines += [f"    {name}: {value}" for name, value in one["claims"].items()]
    return "\n".join(lines)
