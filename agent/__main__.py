"""`weighbridge-agent`: the daemon and the commands around it. Subcommands are imported only when they run."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.options import ANY_PATH, PATH, UsageFailure, configuration, runtime, state
from agent.simulate import simulate
from weighbridge import __version__
from weighbridge.process.completion import completion
from weighbridge.process.settings import ConfigError
from weighbridge.verdict import EXIT_CODES, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import AgentConfig
    from agent.nvml.client import NvmlSource
    from agent.report.source import DeviceSource

EVERY_S = 2.0
"""Between two pictures."""


def _config(file: Path | None, flags: Mapping[str, Any] | None = None) -> "AgentConfig":
    from agent.config import load_config

    try:
        return load_config(file, os.environ, flags)
    except ConfigError as error:
        raise UsageFailure(str(error)) from error


def _source() -> "NvmlSource":
    from agent.clock import SystemClock
    from agent.nvml.client import NvmlSource

    return NvmlSource(SystemClock().boottime_us, os.environ)


@click.group()
@click.version_option(__version__, prog_name="weighbridge-agent")
def main() -> None:
    """Weighs this node's GPUs and reports what it finds, signed."""


@main.command()
@configuration
@state
@runtime
@click.option("--interval-ms", type=int, help="Between two samples.")
def run(
    file: Path | None,
    state_directory: Path | None,
    interval_ms: int | None,
    runtime_directory: Path | None,
) -> None:
    """The daemon."""
    flags = {
        "state_directory": state_directory,
        "interval_ms": interval_ms,
        "runtime_directory": runtime_directory,
    }
    _serve(file, flags, _source)


@main.command(short_help="Be a witness: whether nodes are reached from here.")
@configuration
@state
@runtime
@click.option("--interval-ms", type=int, help="Between two attempts at each.")
@click.argument("targets", nargs=-1, required=True, metavar="NODE=URL...")
def watch(
    file: Path | None,
    state_directory: Path | None,
    interval_ms: int | None,
    runtime_directory: Path | None,
    targets: tuple[str, ...],
) -> None:
    """Try to reach each NODE at tcp://HOST:PORT, tls://HOST:PORT or icmp://HOST, and report it, signed, as a witness.

    With ?proxy=HOST:PORT the way to a port goes through that HTTP proxy. It needs no GPU; enrol it by an invite of side
    witness.
    """
    from agent.clock import SystemClock
    from agent.watch.source import TargetSource
    from agent.watch.targets import TargetError, read_targets

    flags = {
        "state_directory": state_directory,
        "interval_ms": interval_ms,
        "runtime_directory": runtime_directory,
        "kernel_log": "off",
        "probe": "off",
    }
    try:
        wanted = read_targets(targets)
    except TargetError as error:
        raise UsageFailure(str(error)) from error
    _serve(file, flags, lambda: TargetSource(wanted, SystemClock().boottime_us))


def _serve(
    file: Path | None, flags: Mapping[str, Any], source: "Callable[[], DeviceSource]"
) -> None:
    """Run the daemon over these devices until it is told to stop."""
    import asyncio

    from agent.alone import AnotherAgentError
    from agent.app import Daemon
    from agent.config import load_config
    from agent.enrolment import EnrolmentError
    from weighbridge.process.logs import log_to_standard_error

    config = _config(file, flags)
    log_to_standard_error(config.log_level)
    try:
        daemon = Daemon(
            config, lambda: load_config(file, os.environ, flags), source(), dict(os.environ)
        )
        asyncio.run(daemon.run())
    except EnrolmentError as error:
        raise UsageFailure(str(error)) from error
    except AnotherAgentError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@configuration
@state
@click.argument("invite")
def enroll(file: Path | None, state_directory: Path | None, invite: str) -> None:
    """Make a key, trust the collector that INVITE names, register. INVITE may be `-` or a file."""
    import asyncio

    from agent.enrolment import EnrolmentError, enrol
    from agent.report.transport import TransportError

    config = _config(file, {"state_directory": state_directory})
    line = _read_invite(invite)
    try:
        identity = asyncio.run(enrol(line, config.state_directory))
    except (EnrolmentError, TransportError) as error:
        raise UsageFailure(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"not enrolled: {error}") from error
    click.echo(f"{identity.node} reports to {identity.url} with key {identity.signer.key_id}")


def _read_invite(invite: str) -> str:
    from weighbridge.wire.enrolment import INVITE_PREFIX

    if invite == "-":
        if sys.stdin.isatty():
            click.echo("the line that `weighbridge invite` printed:", err=True)
        return sys.stdin.readline()
    if invite.strip().startswith(INVITE_PREFIX):
        return invite
    try:
        return Path(invite).read_text()
    except FileNotFoundError as error:
        raise UsageFailure(f"{invite}: neither an invite nor a file") from error
    except OSError as error:
        raise UsageFailure(f"{invite}: {error.strerror}") from error


@main.command()
@configuration
@state
@click.option("--contract", type=ANY_PATH, help="The contract's file.")
@click.option("--resource", help="The line item of the contract; the first by default.")
@click.option("--json", "as_json", is_flag=True, help="For programs: see --schema.")
@click.option("--schema", "show_schema", is_flag=True, help="The JSON schema of --json; no more.")
def check(
    file: Path | None,
    state_directory: Path | None,
    contract: Path | None,
    resource: str | None,
    as_json: bool,
    show_schema: bool,
) -> None:
    """Read this node once and judge it against its contract.

    Exit codes: 0 all met, 3 something breached, 4 nothing breached but something unknown; 1 internal error, 2 usage.
    """
    import asyncio

    from agent.app import ROOT
    from agent.check import check_node, load_promise
    from agent.check_report import as_json as spelled
    from agent.check_report import schema
    from agent.check_text import lines

    if show_schema:
        click.echo(schema(), nl=False)
        return
    config = _config(file, {"state_directory": state_directory})
    path = contract or config.state_directory / "contract.yaml"
    try:
        promise = load_promise(path, resource)
    except FileNotFoundError as error:
        raise UsageFailure(f"{path}: no such file; name it with --contract") from error
    except UnicodeDecodeError as error:
        raise UsageFailure(f"{path}: cannot be read: not UTF-8 text") from error
    except OSError as error:
        raise UsageFailure(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageFailure(f"{path}: {error}") from error
    found = asyncio.run(check_node(promise, _source(), ROOT, config.state_directory))
    click.echo(spelled(found) if as_json else "\n".join(lines(found)))
    sys.exit(EXIT_CODES[Verdict(found.verdict)])


@main.command(short_help="Every reading once, and why one is missing.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def snapshot(as_json: bool) -> None:
    """Every reading once, why one is unavailable, and how long each call took."""
    import asyncio

    from agent.snapshot import show_snapshot, take_snapshot

    show_snapshot(asyncio.run(take_snapshot(_source())), as_json)


@main.command(short_help="Write every raw NVML answer to a file.")
@click.argument("target", type=PATH)
@click.option("--redact", is_flag=True, help="Leave out serial numbers, UUIDs and paths.")
def record(target: Path, redact: bool) -> None:
    """Write every raw NVML answer with its return code to TARGET, for bug reports and tests."""
    import asyncio

    from agent.snapshot import take_record

    capture = asyncio.run(take_record(_source(), redact))
    try:
        target.write_text(json.dumps(capture, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise UsageFailure(f"{target}: {error.strerror}") from error


@main.command(short_help="What the collector signed in challenges of this node.")
@configuration
@state
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def challenges(file: Path | None, state_directory: Path | None, as_json: bool) -> None:
    """Which challenges this node was in: contract, GPUs, each step with the collector's time, and its receipt.

    They are in challenges.jsonl in the state directory; `weighbridge recheck --receipts` compares it with the log.
    """
    from agent import challenge_receipts
    from agent.challenge_receipts import KeptReceipts, described, listed
    from agent.enrolment import EnrolmentError, load

    directory = _config(file, {"state_directory": state_directory}).state_directory
    try:
        keys = load(directory).log.keys.every
        found = listed(KeptReceipts(directory / challenge_receipts.NAME), keys)
    except EnrolmentError as error:
        raise UsageFailure(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(map(described, found)))


@main.command(short_help="Challenge these GPUs, and write what they reach.")
@click.option("--calibrate", "target", type=PATH, required=True, help="Write the distribution.")
@click.option("--gpu", "gpus", multiple=True, help="UUID; repeat. Default: all of this node.")
@click.option(
    "--backend",
    type=click.Choice(["cuda", "cpu"]),
    default="cuda",
    show_default=True,
    help="What computes.",
)
@click.option("--socket", type=PATH, help="Of weighbridge-probe.socket; else in this sandbox.")
@click.option("--runs", type=click.IntRange(1), default=20, show_default=True, help="How often.")
@click.option(
    "--profile",
    type=click.Choice(["f16", "i8"]),
    default="f16",
    show_default=True,
    help="Operands of the products.",
)
@click.option(
    "--size", type=int, default=16384, show_default=True, help="Rows and columns of each matrix."
)
@click.option("--rounds", type=int, help="Default: as many as take 20 s, by a short trial.")
@click.option(
    "--samples",
    type=int,
    default=128,
    show_default=True,
    help="Rows of each GPU that are recomputed.",
)
@click.option(
    "--links",
    type=int,
    default=4,
    show_default=True,
    help="Windows of a row that take bytes of the product before.",
)
@click.option("--policy", "policy_file", type=PATH, help="JSON, before the numbers above.")
def probe(
    target: Path,
    gpus: tuple[str, ...],
    backend: str,
    socket: Path | None,
    runs: int,
    policy_file: Path | None,
    **numbers: Any,
) -> None:
    """Challenge this node's GPUs, known to be good, again and again; write what they reach to a file."""
    import asyncio

    from agent.probe.calibration import TRIAL_ROUNDS, WORK_S, calibrate
    from agent.probe.client import NoProber, over, spawn
    from weighbridge.challenge.calibration import CalibrationError, lasting
    from weighbridge.challenge.codec import encode
    from weighbridge.challenge.policy import Policy

    opening = spawn if socket is None else over(socket)
    try:
        asked = numbers | ({} if policy_file is None else json.loads(policy_file.read_text()))
        policy = Policy(**(asked | {"rounds": asked["rounds"] or TRIAL_ROUNDS}))
        names = gpus or _gpus()
        if asked["rounds"] is None:
            trial = asyncio.run(calibrate(opening, backend, names, policy, 1))
            policy = lasting(trial, WORK_S)
        written = asyncio.run(calibrate(opening, backend, names, policy, runs))
        target.write_bytes(encode(written) + b"\n")
    except (CalibrationError, NoProber, ValueError, TypeError) as error:
        raise UsageFailure(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    rate = written.rate
    click.echo(f"{runs} runs on {len(names)} GPUs, program {written.program.hex()[:16]}")
    click.echo(f"verified FLOP/s: least {rate.least}, middle {rate.middle}, most {rate.most}")


def _gpus() -> tuple[str, ...]:
    """The UUIDs of this node's GPUs, MIG devices left out."""
    import asyncio

    from agent.report.source import IdentityTier

    async def identify() -> IdentityTier:
        source = _source()
        try:
            return await source.identify()
        finally:
            await source.close()

    found = asyncio.run(identify()).devices
    names = tuple(device.uuid for device in found if device.parent is None)
    if not names:
        raise UsageFailure("no GPU was found: name one with --gpu")
    return names


@main.command(short_help="Let go of the driver, for a GPU reset.")
@configuration
@runtime
@click.argument("reason")
def pause(file: Path | None, runtime_directory: Path | None, reason: str) -> None:
    """Let go of the driver, so that a GPU reset or a MIG change can go ahead. Paused time is unknown."""
    _ask(file, runtime_directory, {"command": "pause", "reason": reason})
    click.echo("paused; `weighbridge-agent resume` goes on")


@main.command()
@configuration
@runtime
def resume(file: Path | None, runtime_directory: Path | None) -> None:
    """Go on after a pause."""
    _ask(file, runtime_directory, {"command": "resume"})
    click.echo("resumed")


@main.command(short_help="What the running agent says of itself, as JSON.")
@configuration
@runtime
@click.option("--watch", "watching", is_flag=True, help="Draw it anew every two seconds, until ^C.")
def status(file: Path | None, runtime_directory: Path | None, watching: bool) -> None:
    """What the running agent says of itself, as JSON; on standard error, what is wrong with that picture.

    --watch shows both to people, and ends with 0.
    """
    from agent.running import picture, remarks

    def told() -> dict[str, Any]:
        return _ask(file, runtime_directory, {"command": "status"})

    if watching:
        from weighbridge.process.terminal import watch

        watch(lambda: _drawn(told, picture), EVERY_S)
        return
    said = told()
    click.echo(json.dumps(said, indent=1))
    for remark in remarks(said):
        click.echo(remark, err=True)


def _drawn(told: "Callable[[], dict[str, Any]]", picture: "Callable[[dict[str, Any]], str]") -> str:
    """An agent that does not answer may do so at the next look."""
    try:
        return picture(told())
    except click.ClickException as error:
        return f"NO ANSWER: {error.message}"


def _ask(file: Path | None, directory: Path | None, request: dict[str, Any]) -> dict[str, Any]:
    from agent.running import CONTROL_SOCKET, AgentControlError, ask, runtime_directory

    try:
        return ask((directory or runtime_directory(file)) / CONTROL_SOCKET, request)
    except ConfigError as error:
        raise UsageFailure(str(error)) from error
    except AgentControlError as error:
        raise click.ClickException(str(error)) from error


main.add_command(simulate)
main.add_command(completion)


if __name__ == "__main__":
    main(prog_name="weighbridge-agent")
