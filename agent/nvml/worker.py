"""The child process that holds NVML: answers its parent's requests in one thread, waits for events in another.

Started by `agent.nvml.client` as `python -I -m agent.nvml.worker SOCKET MARK` with two inherited descriptors. It ends
when the socket does, and is killed with its parent.
"""

import contextlib
import ctypes
import gc
import json
import signal
import sys
import threading
from typing import Any

from agent.frames import Closed, read_frame, write_frame
from agent.nvml.binding import Library, NvmlError
from agent.nvml.devices import Enumeration, enumerate_devices, node_facts, processes
from agent.nvml.event_watch import WAIT, WAIT_FOR_BITS, EventWatch
from agent.nvml.frames import (
    NODE,
    QUARANTINED,
    FrameKind,
    Mark,
    pack,
    rows,
    status_of,
    unpack,
)
from agent.nvml.sweeper import Sweeper, answers
from weighbridge.catalogue.readings import UNREADABLE_GPU, UNREADABLE_SLICES, Tier

PR_SET_PDEATHSIG = 1
TOLD = 64
"""Of so many GPUs that cannot be read it is told why not."""


class NvmlWorker:
    """One initialized library, or the code by which it would not be."""

    def __init__(self, end: int, mark: Mark) -> None:
        self._end = end
        self._mark = mark
        self._library = Library()
        self._writing = threading.Lock()
        self._watch: EventWatch | None = None
        self._code = 0

    def serve(self) -> None:
        """Answers requests until the parent closes the connection."""
        with contextlib.suppress(Closed):
            while True:
                kind, sequence, payload = unpack(read_frame(self._end))
                if kind is FrameKind.HELLO:
                    self._start(json.loads(payload))
                self.send(kind, sequence, self._answer(kind))

    def send(self, kind: FrameKind, sequence: int, payload: bytes) -> None:
        """Both threads write; each frame goes whole."""
        with self._writing:
            write_frame(self._end, pack(kind, sequence, payload))

    def _start(self, hello: dict[str, Any]) -> None:
        quarantine = ((device, call) for device, call in hello["quarantine"])
        self._sweeper = Sweeper(self._library, self._mark, quarantine, hello["probe_seconds"])
        allowed = self._sweeper.mark(NODE, "nvmlInit_v2")
        self._code = self._library.start() if allowed else QUARANTINED
        self._sweeper.idle()
        gc.collect()
        gc.freeze()

    def _answer(self, kind: FrameKind) -> bytes:
        match kind:
            case FrameKind.FAST:
                return self._sweep(Tier.FAST)
            case FrameKind.SLOW:
                return self._sweep(Tier.SLOW)
            case FrameKind.IDENTIFY:
                return _dump(self._identify())
            case FrameKind.PROCESSES:
                held, failed = processes(self._library, self._sweeper)
                return _dump({"held": held, "failed": failed})
            case FrameKind.RECORD:
                return _dump({"answers": list(self._record())})
            case FrameKind.HELLO | FrameKind.EVENT:
                return _dump({"code": status_of(self._code)})

    def _sweep(self, tier: Tier) -> bytes:
        tape = self._sweeper.sweep(tier)
        return bytes(tape.values) + tape.statuses

    def _identify(self) -> dict[str, Any]:
        code = self._code
        found = Enumeration()
        if not code:
            try:
                found = enumerate_devices(self._library, self._sweeper)
            except NvmlError as error:
                code = error.code
        self._sweeper.replace(found.handles)
        self._watch_events()
        values, statuses = node_facts(self._library, self._sweeper, self._code)
        self._sweeper.number_fields(str(values.get("driver_version", "")))
        counts = {
            "gpus_enumerated_count": found.count,
            "gpus_unreadable_count": len(found.unreadable),
        }
        if code:
            statuses |= dict.fromkeys(counts, status_of(code))
        else:
            values |= counts
            statuses |= dict(list(_why_hidden(found).items())[:TOLD])
        return {
            "code": status_of(code),
            "driver": [values, statuses],
            "hidden": {
                "count": found.count,
                "places": found.places,
                "unreadable": [(at, status_of(code)) for at, code in found.unreadable.items()],
                "uncut": {uuid: status_of(code) for uuid, code in found.uncut.items()},
            },
            "devices": list(self._devices()),
        }

    def _devices(self) -> Any:
        tape = self._sweeper.sweep(Tier.IDENTITY)
        names = [row.name for row in rows(Tier.IDENTITY)]
        for index, handle in enumerate(self._sweeper.handles):
            span = slice(index * len(names), (index + 1) * len(names))
            pairs = list(zip(names, tape.values[span], tape.statuses[span], strict=True))
            values = {name: value for name, value, status in pairs if status == 0}
            statuses = {name: status for name, _, status in pairs if status}
            yield {"uuid": handle.uuid, "parent": handle.parent, "readings": [values, statuses]}

    def _record(self) -> Any:
        for handle in self._sweeper.handles:
            for name, call, code, value, elapsed in answers(self._sweeper, self._library, handle):
                yield handle.uuid, name, call, code, value, elapsed

    def _watch_events(self) -> None:
        gpus = [handle for handle in self._sweeper.handles if handle.parent is None]
        if self._watch is not None:
            self._watch.follow(gpus)
        elif gpus:
            waits = self._sweeper.waits(WAIT, WAIT_FOR_BITS)
            self._watch = EventWatch(self._library, self._tell, self._mark.beside, waits)
            self._watch.follow(gpus)
            threading.Thread(target=self._watch.run, name="nvml-events", daemon=True).start()

    def _tell(self, told: dict[str, Any]) -> None:
        self.send(FrameKind.EVENT, 0, _dump(told))


def _why_hidden(found: Enumeration) -> dict[str, int]:
    """By the name of a fact, why a GPU would not tell who it is or how it is cut."""
    gpus = {f"{UNREADABLE_GPU}{index}": code for index, code in found.unreadable.items()}
    uncut = {f"{UNREADABLE_SLICES}{found.places[uuid]}": code for uuid, code in found.uncut.items()}
    return {name: status_of(code) for name, code in (gpus | uncut).items()}


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def main() -> None:
    """Serve on the inherited descriptors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    end, mark = (int(argument) for argument in sys.argv[1:3])
    NvmlWorker(end, Mark(mark)).serve()


if __name__ == "__main__":
    main()
