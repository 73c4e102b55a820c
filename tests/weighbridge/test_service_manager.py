"""What the service manager is told, and how often."""

import os
import socket
from pathlib import Path

import pytest

from weighbridge.process.service_manager import ServiceManager


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 5.0),
        ({"WATCHDOG_USEC": "60000000"}, 5.0),
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)}, 5.0),
        ({"WATCHDOG_USEC": "0"}, 5.0),
        ({"WATCHDOG_USEC": "soon"}, 5.0),
    ],
)
def test_signs_of_life_are_due_within_a_third_of_what_the_service_manager_waits(
    environment: dict[str, str], seconds: float
) -> None:
    assert ServiceManager(environment).between_signs_s(5.0) == seconds


@pytest.mark.parametrize(("waits_us", "said"), [("", []), ("1000000", [b"WATCHDOG=1"])])
def test_a_sign_of_life_is_given_only_to_one_who_waits_for_it(
    tmp_path: Path, waits_us: str, said: list[bytes]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        told = ServiceManager(
            {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": waits_us}
        )
        told.alive()
        told.stopping()
        assert [manager.recv(100) for _ in range(len(said) + 1)] == [*said, b"STOPPING=1"]
