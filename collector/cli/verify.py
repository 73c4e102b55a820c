"""`verify`: a bundle, offline, by the extra `verify` alone."""

import sys
from pathlib import Path

import click

from collector.bundling.verifying import Verification, verify_bundle
from collector.documents.words import told
from weighbridge.log.policy import PolicyError, read_policy
from weighbridge.process.terminal import progress
from weighbridge.verdict import Verdict

EXIT_CODES = {Verdict.MET: 0, Verdict.BREACHED: 3, Verdict.UNKNOWN: 4}
USAGE = 2
COLOURS = {Verdict.MET: "green", Verdict.UNKNOWN: "yellow", Verdict.BREACHED: "red"}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--timestamp-authority",
    "authority",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificates, as PEM, of who put RFC 3161 timestamps on heads; needs the program openssl.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Whose signatures make a head good enough: a file as c2sp.org/tlog-policy has it.",
)
def verify(bundle: Path, authority: Path | None, policy_file: Path | None) -> None:
    """Verify BUNDLE: signatures, chains, proofs, and the statement settled anew from its entries.

    Exit code: 0 all holds and the statement is equal to the byte, 3 something is wrong, 4 something cannot be known.
    """
    try:
        policy = None if policy_file is None else read_policy(policy_file.read_bytes())
    except PolicyError as error:
        click.echo(f"weighbridge: {policy_file}: {error}", err=True)
        sys.exit(USAGE)
    with bundle.open("rb") as file, progress("verifying", bundle.stat().st_size, file.tell):
        done = verify_bundle(file, policy, authority)
    show(done)
    sys.exit(EXIT_CODES[done.verdict])


def show(done: Verification) -> None:
    """One line for each thing that was looked at, and the differences."""
    for one in done.findings:
        mark = click.style(f"{one.verdict:9}", fg=COLOURS[one.verdict])
        click.echo(f"{mark}{one.about:14}{one.said}")
    for line in done.versions:
        click.echo(told(line, "en"))
    for line in done.differences:
        click.echo(told(line, "en"))
    click.echo(f"overall: {done.verdict}")
