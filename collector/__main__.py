"""`weighbridge`: a group whose subcommands are imported only when they run.

So that `weighbridge verify` needs the extra `verify` alone, and `--help` imports nothing.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from weighbridge import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OPERATE = "collector.cli.operate"
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": (f"{OPERATE}:init", "Make a new store with its keys and CA."),
    "serve": (f"{OPERATE}:serve", "Run the collector."),
    "invite": (f"{OPERATE}:invite", "One line to paste on a node: one use, expires."),
    "release": (f"{OPERATE}:release", "Take a node from a contract."),
    "key": (f"{OPERATE}:key", "List, revoke and rotate the keys of agents."),
    "contract": ("collector.cli.contracts:contract", "Check, add, list and show contracts."),
    "status": ("collector.cli.status:status", "Delivered against contracted, now."),
    "challenge": ("collector.cli.challenge:challenge", "Ask nodes to prove their compute."),
    "attest": ("collector.cli.attest:attest", "Ask a node's GPUs to show who they are."),
    "recheck": ("collector.cli.challenge:recheck", "Compute challenges anew, offline."),
    "statement": (
        "collector.cli.statement:statement",
        "What a period delivered, exactly, and what is owed for it.",
    ),
    "delivery": (
        "collector.cli.handover:delivery",
        "The delivery note: what was first seen in each slot.",
    ),
    "acceptance": (
        "collector.cli.handover:acceptance",
        "The acceptance certificate: tests, telemetry, and whether load ran.",
    ),
    "audit": ("collector.cli.audit:audit", "Red flags over all contracts."),
    "claims": ("collector.cli.claims:claims", "What can be claimed, and until when."),
    "claim": ("collector.cli.claims:claim", "The letter that claims it, and its evidence."),
    "replay": ("collector.cli.replay:replay", "Settle again from raw evidence, and compare."),
    "clock": ("collector.cli.clock:clock", "Whether the system's clock is followed."),
    "scrub": (
        "collector.cli.scrub:scrub_store",
        "Read all evidence, and mend what follows from it.",
    ),
    "store": ("collector.cli.store:store", "Move an embedded store into PostgreSQL."),
    "ca": ("collector.cli.authority:ca", "Put another CA in the place of the collector's own."),
    "log": ("collector.cli.log:log", "Put another key in the place of the log's own."),
    "retain": (
        "collector.cli.retain:retain",
        "Let reports leave that no contract keeps any longer.",
    ),
    "bundle": ("collector.cli.bundle:bundle", "A period's evidence as one file."),
    "verify": ("collector.cli.verify:verify", "Verify a bundle, offline."),
    "backup": (
        "collector.cli.backup:backup",
        "Copy what is new into a backup, beside a running collector.",
    ),
    "restore": ("collector.cli.backup:restore", "A store from a backup, proven entry by entry."),
    "notice": (
        "collector.cli.notice:notice",
        "Announce maintenance, name a cause or an event, file a claim.",
    ),
    "witness": ("collector.cli.witness:witness", "Watch another's log, and cosign its heads."),
    "party": ("collector.cli.notice:party", "Keys that the parties of a contract sign with."),
    "completion": (
        "weighbridge.process.completion:completion",
        "The script by which a shell completes all this.",
    ),
    "dashboards": (
        "collector.cli.dashboards:dashboards",
        "Grafana dashboards, provisioning and Prometheus rules.",
    ),
}
"""Subcommand -> (where it is, what it does)."""


class LazyGroup(click.Group):
    """A group that knows its commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """By their names alone: who types need not wait until all of them are imported."""
        from click.shell_completion import CompletionItem

        begun = {name: said for name, (_, said) in COMMANDS.items() if name.startswith(incomplete)}
        items = [CompletionItem(name, help=said) for name, said in begun.items()]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])


@click.command(cls=LazyGroup)
@click.version_option(__version__, prog_name="weighbridge")
def main() -> None:
    """Weighs leased GPU compute: what was contracted against what was delivered."""


if __name__ == "__main__":
    main(prog_name="weighbridge")
