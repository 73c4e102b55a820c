"""`verify`: a bundle, offline, by the base install alone."""

import sys
from pathlib import Path

import click

from collector.bundling.verifying import Verification, verify_bundle
from collector.documents.words import told
from weighbridge.verdict import Verdict

EXIT_CODES = {Verdict.MET: 0, Verdict.BREACHED: 3, Verdict.UNKNOWN: 4}
COLOURS = {Verdict.MET: "green", Verdict.UNKNOWN: "yellow", Verdict.BREACHED: "red"}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def verify(bundle: Path) -> None:
    """Verify BUNDLE: signatures, chains, proofs, and the statement settled anew from its entries.

    Exit code: 0 all holds and the statement is equal to the byte, 3 something is wrong, 4 something cannot be known.
    """
    with bundle.open("rb") as file:
        done = verify_bundle(file)
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
