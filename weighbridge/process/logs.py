"""What a program has to say while it runs: on standard error, one line for each message."""

import logging

from weighbridge.wire.visible import visible


class OneLine(logging.Formatter):
    """What others sent and a message names begins no line of its own, and steers no terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return visible(super().formatMessage(record))


def log_to_standard_error(level: str) -> None:
    """From this level on, in place of what was set up before."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
