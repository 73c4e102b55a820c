"""The service manager's notification protocol (sd_notify(3)): one datagram per message, silent where nobody asked."""

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Speaks to the socket that the environment names, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_us = _watchdog_us(environment)

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for people."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """A sign of life."""
        if self._watchdog_us:
            self._send("WATCHDOG=1")

    def between_signs_s(self, longest_s: float) -> float:
        """How far apart signs of life may be: a third of what the service manager waits, and at most `longest_s`."""
        return min(longest_s, self._watchdog_us / 3e6) if self._watchdog_us else longest_s

    def stopping(self) -> None:
        """Shutting down."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        """A manager that does not listen is no reason to stop, nor to wait."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.setblocking(False)
            try:
                notify.sendto(message.encode(), self._address)
            except OSError:
                return


def _watchdog_us(environment: Mapping[str, str]) -> int:
    """How long the service manager waits for a sign of life from this process; 0 where it expects none."""
    waits = environment.get("WATCHDOG_USEC", "")
    ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(waits) if waits.isdecimal() and ours else 0
