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
@click.option(
    "--token-file",
    default="",
    help="Where Prometheus, on its machine, finds a token of role `ops`. Default: none is asked for.",
)
@click.option(
    "--ca", default="", help="Where it finds the collector's `keys/ca.pem`, the same way."
)
@stated
def dashboards_build(directory: Path, collector: str, token_file: str, ca: str) -> None:
    """Write all of them below DIRECTORY; two builds are equal byte for byte."""
    try:
        from dashboards.build import Access, build
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: install the extra dashboards (requirements/runtime.txt)")
    for path in build(directory, collector.rstrip("/"), Access(token_file, ca)):
        click.echo(path)
