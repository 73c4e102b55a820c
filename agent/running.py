"""The agent that runs on this node, as commands ask it: one JSON line over its control socket, and one back.

It imports little, so that they answer at once.
"""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weighbridge.process.settings import setting

DEFAULT_FILE = Path("/etc/weighbridge/agent.toml")
RUNTIME_DIRECTORY = "/run/weighbridge-agent"
CONTROL_SOCKET = "control.sock"
PATIENCE_S = 60.0
LATE_INTERVALS = 3
LEAST_LATE_MS = 15_000
"""What is younger is not called old, whatever the intervals are."""

Told = dict[str, Any]


class AgentControlError(Exception):
    """The agent cannot be reached, or it refused. The message says which."""


def runtime_directory(file: Path | None) -> Path:
    """Where a configuration puts the control socket; no file named means the default one, if it is there.

    Raises ConfigError.
    """
    default = DEFAULT_FILE if DEFAULT_FILE.exists() else None
    return Path(setting(file or default, os.environ, "runtime_directory", RUNTIME_DIRECTORY))


def ask(path: Path, request: Told) -> Told:
    """The running agent's answer. Raises AgentControlError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            said = f"no agent answers at {path}: {error.strerror}"
            raise AgentControlError(
                f"{said}; `weighbridge-agent run` is one, --runtime-directory names another's place"
            ) from error
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise AgentControlError(f"the agent at {path} did not answer") from error
    if not isinstance(answer, dict) or "error" in answer or not answer:
        raise AgentControlError(str(answer.get("error", "the agent did not answer")))
    return answer


def remarks(told: Told) -> Iterator[str]:
    """What is wrong with a picture: of an agent that is paused, samples no more, or is heard by no collector.

    An agent of the version before tells no ages: nothing is said of them.
    """
    if told["paused"]:
        yield "PAUSED: nothing is sampled, and the time is unknown"
    elif _late(told, "sampled_milliseconds_ago", told.get("interval_milliseconds", 0)):
        yield f"OLD: the newest sample was taken {_seconds(told, 'sampled_milliseconds_ago')} ago"
    if _late(told, "acknowledged_milliseconds_ago", told.get("report_milliseconds", 0)):
        ago = _seconds(told, "acknowledged_milliseconds_ago")
        yield f"NOT HEARD: the collector took the last report {ago} ago; {told['status']}"
    elif told["status"] != "reporting":
        yield str(told["status"])


def _late(told: Told, name: str, interval_ms: int) -> bool:
    ago_ms = told.get(name)
    return ago_ms is not None and ago_ms > max(LATE_INTERVALS * interval_ms, LEAST_LATE_MS)


def _seconds(told: Told, name: str) -> str:
    return f"{told[name] // 1000} s"


def picture(told: Told) -> str:
    """For people: what is wrong, then each fact."""
    width = max(map(len, told))
    facts = (f"{name:{width}}  {value}" for name, value in told.items())
    return "\n".join((*remarks(told), *facts))
