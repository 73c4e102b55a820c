"""`dashboards build DIR`: what Grafana and Prometheus need."""

from pathlib import Path

import click

from collector.cli.operate import fail, stated


@click.group()
def dashboards() -> None:
    """Grafana dashboards, provisioning and Prometheus rules."""


@dashboards.command("build", short_help="Write all of them below a directory.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@stated
def dashboards_build(directory: Path) -> None:
    """Write all of them below DIRECTORY; two builds are equal byte for byte."""
    try:
        from dashboards.build import build
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: install weighbridge[dashboards]")
    for path in build(directory):
        click.echo(path)
