"""The stores that can be opened, by the scheme of their URL. Another one is a row here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from collector.storage.embedded import open_embedded
from collector.storage.store import StorageError, Store


def _postgres(server: str) -> Store:
    try:
        from collector.storage.postgres.opening import open_postgres
    except ModuleNotFoundError as error:
        raise StorageError(
            f"{error.name} is missing: pip install 'weighbridge[postgres]'"
        ) from error
    return open_postgres(f"postgresql:{server}")


STORES: Mapping[str, Callable[[str], Store]] = {
    "embedded": lambda directory: open_embedded(Path(directory)),
    "postgresql": _postgres,
}
"""By scheme: opens what the rest of the URL names."""


def open_store(url: str) -> Store:
    """Open the store at `embedded:DIRECTORY` or `postgresql://…` for writing, repaired after a crash.

    Raises StorageError: WrongVersion, StoreInUse, CorruptStore.
    """
    scheme, _, location = url.partition(":")
    if scheme not in STORES or not location:
        raise StorageError(f"{url!r} is not a store: expected embedded:DIRECTORY or postgresql://…")
    return STORES[scheme](location)
