"""The agent's own state as Prometheus text, and how a page of text is served."""

import asyncio
import re
from collections.abc import Callable, Mapping

from weighbridge.catalogue.readings import UNITS
from weighbridge.wire.driver_words import COUNTED, uncounted
from weighbridge.wire.report import Facts

_PREFIX = "weighbridge_agent_"
_COUNTERS = frozenset(
    {
        "agent_cpu_microseconds",
        "agent_crashes_count",
        "agent_failed_readings_count",
        "agent_lost_drafts_count",
        "spool_dropped_count",
    }
)
_PATIENCE_S = 10.0


def render(facts: Mapping[str, int], driver: Facts) -> str:
    """Facts named with their units, in base units and by name; the GPUs that NVML counts, or why it counts none."""
    told = "".join(_family(name, value) for name, value in sorted(facts.items()))
    reason, count = uncounted(driver), driver.readings.get(COUNTED)
    if reason is not None:
        return told + _sample(
            "gpus_uncounted", f'{{reason="{reason}"}} 1', "1; why NVML does not count the GPUs."
        )
    return told if count is None else told + _sample("gpus", f" {count}", "GPUs that NVML counts.")


def _sample(name: str, value: str, text: str) -> str:
    return f"# HELP {_PREFIX}{name} {text}\n# TYPE {_PREFIX}{name} gauge\n{_PREFIX}{name}{value}\n"


def _family(fact: str, value: int) -> str:
    stem, _, suffix = fact.removeprefix("agent_").rpartition("_")
    unit = UNITS[suffix]
    kind = "counter" if fact in _COUNTERS else "gauge"
    name = _PREFIX + "_".join(
        part for part in (stem, unit.base, "total" if kind == "counter" else "") if part
    )
    text = f"{stem.replace('_', ' ').capitalize()}."
    scaled = (
        value * unit.multiplier if unit.divisor == 1 else value * unit.multiplier / unit.divisor
    )
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {scaled}\n"


async def serve(listen: str, page: Callable[[], str]) -> asyncio.Server:
    """Answer `GET /metrics` with the page until the server is closed."""
    host, _, port = listen.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, page))
                await writer.drain()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host.strip("[]"), int(port), limit=8192)


def _response(head: bytes, page: Callable[[], str]) -> bytes:
    if re.match(rb"GET /metrics[ ?]", head):
        status, body = "200 OK", page().encode()
    else:
        status, body = "404 Not Found", b"only /metrics\n"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
