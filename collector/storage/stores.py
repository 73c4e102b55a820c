"""The stores that can be opened, by the scheme of their URL. Another one is a row here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from collector.storage.embedded import open_embedded
from collector.storage.store import StorageError, Store

STORES: Mapping[str, Callable[[str], Store]] = {
    "embedded": lambda directory: open_embedded(Path(directory)),
}
"""By scheme: opens what the rest of the URL names."""


def open_store(url: str) -> Store:
    """Open the store at `embedded:DIRECTORY` for writing, repaired after a crash.

    Raises StorageError: WrongVersion, StoreInUse, CorruptStore.
    """
    scheme, _, location = url.partition(":")
    if scheme not in STORES or not location:
        schemes = " or ".join(f"{known}:DIRECTORY" for known in STORES)
        raise StorageError(f"{url!r} is not a store: expected {schemes}")
    return STORES[scheme](location)
