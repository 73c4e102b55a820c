"""The service manager's notification protocol (sd_notify(3)): one datagram per message, silent where nobody asked."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks to the socket that the environment names, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watched(environment)
        """Whether the service manager expects signs of life."""

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for people."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """A sign of life."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Shutting down."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            try:
                notify.connect(self._address)
                notify.sendall(message.encode())
            except OSError:
                return


def _watched(environment: Mapping[str, str]) -> bool:
    if not environment.get("WATCHDOG_USEC", "").isdecimal():
        return False
    return environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
