"""`dashboards build DIR`: what Grafana, Prometheus and Alertmanager need."""

from pathlib import Path

import click

from collector.cli.asking import fail, stated


@click.group()
def dashboards() -> None:
    """Grafana dashboards, provisioning, Prometheus rules and an example for Alertmanager."""


@dashboards.command("build", short_help="Write all of them below a directory.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--collector",
    metavar="URL",
    default="http://127.0.0.1:8470",
    show_default=True,
    help="Where people and Prometheus reach the collector.",
)
@stated
def dashboards_build(directory: Path, collector: str) -> None:
    """Write all of them below DIRECTORY; two builds are equal byte for byte."""
    try:
        from dashboards.build import build
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: install the extra dashboards (requirements/runtime.txt)")
    for path in build(directory, collector.rstrip("/")):
        click.echo(path)
