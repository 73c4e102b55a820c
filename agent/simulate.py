"""The command `simulate`. What it runs is imported when it runs."""

from pathlib import Path
from typing import Any

import click

from agent.options import PATH, UsageFailure

SCHEDULE = ("interval_ms", "identity_interval_ms", "samples_per_report")


@click.command(short_help="A fleet of real agents over simulated devices.")
@click.option(
    "--nodes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="So many, each with an agent of its own.",
)
@click.option("--gpus", type=click.IntRange(0), default=8, show_default=True, help="Per node.")
@click.option("--scenario", type=PATH, help="Which faults to plant when; none by default.")
@click.option("--collector", help="Its URL, if another than the invites name.")
@click.option("--invites", type=PATH, required=True, help="A file of invites, or a directory.")
@click.option("--state-directory", type=PATH, help="Kept after the end; else it is temporary.")
@click.option(
    "--interval-ms",
    type=click.IntRange(10),
    default=1000,
    show_default=True,
    help="Between two samples.",
)
@click.option(
    "--identity-interval-ms",
    type=click.IntRange(10),
    default=2000,
    show_default=True,
    help="Between two looks at which GPUs there are.",
)
@click.option(
    "--samples-per-report",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many one report holds.",
)
@click.option(
    "--spool-bytes",
    type=click.IntRange(64 << 10),
    default=4 << 20,
    show_default=True,
    help="Of each node.",
)
@click.option("--seconds", type=float, help="End by itself after that time.")
@click.option("--probe", is_flag=True, help="Take challenges, on the CPU back end.")
@click.option("--from", "start", help="Simulated time from this instant: 2026-10-01T00:00:00Z.")
@click.option("--until", "end", help="Where simulated time ends.")
@click.option("--then", help="Where the collector's clock is put after the end.")
def simulate(
    scenario: Path | None,
    invites: Path,
    state_directory: Path | None,
    seconds: float | None,
    start: str | None,
    end: str | None,
    then: str | None,
    **fleet: Any,
) -> None:
    """A fleet of real agents over simulated devices; a JSON line per fault when it is planted.

    With --from and --until it moves the clock of a collector that serves a simulation, as fast as all keep up.
    """
    import asyncio
    import tempfile

    from agent.enrolment import EnrolmentError
    from agent.report.transport import TransportError
    from agent.simulation.fleet import SimulatedFleet, read_invites, scenario_of, schedule_of
    from agent.simulation.fleet import simulate as run_fleet
    from agent.simulation.scenario import ScenarioError
    from weighbridge.process.logs import log_to_standard_error

    log_to_standard_error("warning")
    with tempfile.TemporaryDirectory(prefix="weighbridge-") as temporary:
        try:
            course = _course(start, end, then, fleet["interval_ms"])
            directory = state_directory or Path(temporary)
            schedule = schedule_of(*(fleet.pop(name) for name in SCHEDULE))
            made = SimulatedFleet(
                scenario=scenario_of(scenario),
                invites=read_invites(invites),
                directory=directory,
                schedule=schedule,
                course=course,
                **fleet,
            )
            asyncio.run(run_fleet(made, seconds))
        except (EnrolmentError, ScenarioError, TransportError) as error:
            raise UsageFailure(str(error)) from error
        except OSError as error:
            raise click.ClickException(str(error)) from error


def _course(start: str | None, end: str | None, then: str | None, step_ms: int) -> Any:
    from agent.simulation.clock import TimeCourse
    from weighbridge.contract.scalars import read_instant_us

    if start is None and end is None and then is None:
        return None
    if start is None or end is None:
        raise UsageFailure("simulated time needs --from and --until")
    try:
        then_us = None if then is None else read_instant_us(then)
        return TimeCourse(read_instant_us(start), read_instant_us(end), step_ms * 1000, then_us)
    except ValueError as error:
        raise UsageFailure(f"instants are written 2026-10-01T00:00:00Z: {error}") from error
