"""Tells the service manager how the process fares (sd_notify), where there is one."""

import os
import socket


class ServiceManager:
    """`address` is what `NOTIFY_SOCKET` holds, empty without a service manager: then nothing is told."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, state: str) -> None:
        """One or more assignments, a line each. A manager that does not listen is no reason to stop."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            try:
                manager.sendto(state.encode(), self._address)
            except OSError:
                return

    def ready(self) -> None:
        self.tell(f"READY=1\nMAINPID={os.getpid()}")

    def alive(self) -> None:
        self.tell("WATCHDOG=1")

    def stopping(self) -> None:
        self.tell("STOPPING=1")
