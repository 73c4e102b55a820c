"""What commands share: which collector they ask, how they ask it, and how they say what somebody can mend.

Nothing is imported here that a command which only asks does not need: such a command starts at once.
"""

import errno
import os
import sys
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, Protocol, TypeVar

import click
from click.core import ParameterSource

from collector import control
from collector.client import SECONDS, Body, CollectorError, RemoteCollector
from collector.stated import StatedError
from weighbridge.process.settings import CONFIG_VARIABLE, URL_VARIABLE, ConfigError, setting

USAGE = 2
NOT_BOUND = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
TOKEN_VARIABLE = "WEIGHBRIDGE_TOKEN"  # noqa: S105
TOKEN_FILE_VARIABLE = "WEIGHBRIDGE_TOKEN_FILE"  # noqa: S105
Parameters = ParamSpec("Parameters")
Document = TypeVar("Document")
EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config.toml"),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    show_default=True,
    help="The collector's configuration.",
)
REACHING = (
    config_option,
    click.option("--url", help=f"A collector elsewhere. Also: {URL_VARIABLE}."),
    click.option(
        "--token-file",
        type=EXISTING,
        help=f"Holds the token for it. Also: {TOKEN_FILE_VARIABLE}, or the token in {TOKEN_VARIABLE}.",
    ),
    click.option(
        "--ca",
        type=EXISTING,
        envvar="WEIGHBRIDGE_CA",
        show_envvar=True,
        help="The only CA to trust there: its own.",
    ),
)


class Server(Protocol):
    """A collector that is asked."""

    @property
    def serves(self) -> bool:
        """Whether a collector runs, as far as can be said without asking it."""

    def ask(self, method: str, path: str, body: Body = None, seconds: float = SECONDS) -> Any:
        """Its JSON answer. Raises CollectorError, ConfigError, StorageError."""


class StoreServer:
    """The collector that serves a store, or, where none runs, one that lives for each question."""

    def __init__(self, config_file: Path) -> None:
        self._file = config_file

    @cached_property
    def _directory(self) -> Path:
        if not self._file.exists():
            raise ConfigError(
                f"{self._file}: No such file; name the configuration with --config or {CONFIG_VARIABLE},"
                f" or a collector elsewhere with --url or {URL_VARIABLE};"
                " `weighbridge init DIRECTORY` makes a store with one"
            )
        named = (setting(self._file, os.environ, name, ".") for name in ("store", "directory"))
        return control.directory_of(self._file, *named)

    @property
    def serves(self) -> bool:
        return control.answers(self._directory)

    def ask(self, method: str, path: str, body: Body = None, seconds: float = SECONDS) -> Any:
        asked = (self._directory, method, path, body, seconds)
        if self.serves:
            return control.request(*asked)
        import asyncio

        return asyncio.run(self._ask(asked))

    async def _ask(self, asked: tuple[Path, str, str, Body, float]) -> Any:
        import asyncio

        from collector import app
        from collector.config import load_config

        async with app.running(load_config(self._file, os.environ), public=False):
            return await asyncio.to_thread(control.request, *asked)


class RemoteServer:
    """A collector at its URL."""

    serves = True

    def __init__(self, collector: RemoteCollector) -> None:
        self.ask = collector.ask


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a `server`: that of a store beside it, or one elsewhere. What can be mended is stated."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        reaching = {name: options.pop(name) for name in ("config_file", "url", "token_file", "ca")}
        command(*arguments, server=_chosen(**reaching), **options)

    asking: Callable[..., None] = stated(run)
    for option in reversed(REACHING):
        asking = option(asking)
    return asking


def _chosen(config_file: Path, url: str | None, token_file: Path | None, ca: Path | None) -> Server:
    """What was said on the command line goes before the environment, and both before the file of this directory."""
    source = click.get_current_context().get_parameter_source("config_file")
    if url is not None and source is ParameterSource.COMMANDLINE:
        raise ConfigError("--config is a store beside this command, --url a collector elsewhere")
    if source is ParameterSource.DEFAULT:
        url = url or os.environ.get(URL_VARIABLE)
    if url is not None:
        return RemoteServer(RemoteCollector(url.rstrip("/"), _token(token_file), ca))
    if token_file is not None:
        raise ConfigError(
            f"--token-file is for a collector elsewhere: name it with --url or {URL_VARIABLE}"
        )
    return StoreServer(config_file)


def _token(file: Path | None) -> str | None:
    """Of a file that was named, else of the environment. Never of the command line, which every process can read."""
    token, named = os.environ.get(TOKEN_VARIABLE), os.environ.get(TOKEN_FILE_VARIABLE)
    place: Path | str = TOKEN_VARIABLE
    if file is not None or (token is None and named):
        place = file or Path(named or "")
        token = place.read_text("utf-8", "replace")
    if token is None:
        return None
    token = token.strip()
    if not (token and token.isascii() and token.isprintable()):
        raise ConfigError(f"{place}: no token: one line of printable ASCII")
    return token


def understood(kind: type[Document], answer: Any) -> Document:
    """What a collector answered, as this version reads it. Raises CollectorError."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CollectorError(
            f"the collector is of another version: what it answers is not read here ({place}: {first['msg']})"
        ) from error


def fail(message: object) -> NoReturn:
    """End as usage and configuration errors do."""
    click.echo(f"weighbridge: {message}", err=True)
    sys.exit(USAGE)


def stated(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Errors that an operator can mend are one line, and exit code 2; that nobody reads on is for click to end."""

    @wraps(command)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        try:
            command(*arguments, **options)
        except (ConfigError, StatedError) as error:
            fail(error)
        except BrokenPipeError:
            raise
        except OSError as error:
            place = "listen" if error.errno in NOT_BOUND else error.filename or "network"
            fail(f"{place}: {error.strerror}")

    return run
