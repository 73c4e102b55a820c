"""The stores that can be opened, by the scheme of their URL. Another one is a row here."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from collector.storage import embedded
from collector.storage.frozen import FrozenLog
from collector.storage.store import (
    EvidenceLog,
    JudgedStore,
    StorageError,
    Store,
    StoreHeld,
    StoreInfo,
)
from weighbridge.wire.signing import Signer

ASKED_SECONDS = 1.0
"""A store that another collector holds is asked for so often."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """How the stores of one scheme are opened. Each is given what the rest of the URL names."""

    create: Callable[[str, StoreInfo, Signer], None]
    open: Callable[[str], Store]
    info: Callable[[str], StoreInfo]
    log: Callable[[str], EvidenceLog]
    judged: Callable[[str], AbstractContextManager[JudgedStore]]


def _embedded() -> StoreKind:
    return StoreKind(
        lambda directory, *of: embedded.create_store(Path(directory), *of),
        lambda directory: embedded.open_embedded(Path(directory)),
        lambda directory: embedded.read_info(Path(directory)),
        lambda directory: FrozenLog(Path(directory) / "evidence" / "segments"),
        lambda directory: embedded.judged_store(Path(directory)),
    )


def _postgres() -> StoreKind:
    try:
        from collector.storage.postgres import opening, reading
    except ModuleNotFoundError as error:
        raise StorageError(
            f"{error.name} is missing: install the extra postgres (requirements/postgres.txt)"
        ) from error
    return StoreKind(
        lambda server, *of: opening.create_postgres(f"postgresql:{server}", *of),
        lambda server: opening.open_postgres(f"postgresql:{server}"),
        lambda server: reading.read_info(f"postgresql:{server}"),
        lambda server: reading.ReadingLog(f"postgresql:{server}"),
        lambda server: reading.judged_store(f"postgresql:{server}"),
    )


STORES: Mapping[str, Callable[[], StoreKind]] = {"embedded": _embedded, "postgresql": _postgres}
"""By scheme."""


def create_store(url: str, info: StoreInfo, signer: Signer) -> None:
    """A new, empty store, of which the head over no entries is handed out. Raises StorageError where there is one."""
    kind, location = _found(url)
    kind.create(location, info, signer)


def open_store(url: str) -> Store:
    """Open the store at `embedded:DIRECTORY` or `postgresql://…` for writing, repaired after a crash.

    Raises StorageError: WrongVersion, StoreInUse, CorruptStore.
    """
    kind, location = _found(url)
    return kind.open(location)


async def opened_when_free(url: str, waiting: Callable[[str], None] | None) -> Store:
    """The same; where another collector holds it, `waiting` is told why, each second, until that one has ended.

    Raises StorageError: as above, and StoreHeld where there is no `waiting`.
    """
    while True:
        try:
            return open_store(url)
        except StoreHeld as held:
            if waiting is None:
                raise
            waiting(str(held))
        await asyncio.sleep(ASKED_SECONDS)


def store_info(url: str) -> StoreInfo:
    """What the store says of itself, without opening it. Raises StorageError."""
    kind, location = _found(url)
    return kind.info(location)


def read_log(url: str) -> EvidenceLog:
    """The log as it is now, only read, beside whoever writes it. Raises StorageError."""
    kind, location = _found(url)
    return kind.log(location)


def judged_store(url: str) -> AbstractContextManager[JudgedStore]:
    """The ledger beside the process that has the store open, as far as that was written. Raises StorageError."""
    kind, location = _found(url)
    return kind.judged(location)


def move(directory: Path, url: str, progress: Callable[[int], None]) -> int:
    """An embedded store that nobody has open, into PostgreSQL: how many entries. Raises StorageError."""
    if not url.startswith("postgresql:"):
        raise StorageError(f"{url!r} is not an address of PostgreSQL: expected postgresql://…")
    _postgres()
    from collector.storage.postgres.migrating import migrate

    return migrate(directory, url, progress)


def _found(url: str) -> tuple[StoreKind, str]:
    scheme, _, location = url.partition(":")
    if scheme not in STORES or not location:
        raise StorageError(f"{url!r} is not a store: expected embedded:DIRECTORY or postgresql://…")
    return STORES[scheme](), location
