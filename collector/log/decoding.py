"""Bodies as they were before they were compressed, under a hard limit of bytes."""

import io

import zstandard

from weighbridge.wire.problems import Problem

WINDOW_BYTES = 8 << 20


class Decoder:
    """One decompressor serves all: to make one costs more than to use it."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)

    def decoded(self, body: bytes, encoding: str | None, most_bytes: int) -> bytes:
        """What a body with this Content-Encoding says, in at most so many bytes. Raises Problem."""
        if encoding in (None, "", "identity"):
            return body
        if encoding == "zstd":
            return self._decompress(body, most_bytes)
        raise Problem(
            "malformed", f"Content-Encoding {str(encoding)[:64]!r} is not taken, only zstd"
        )

    def _decompress(self, body: bytes, most_bytes: int) -> bytes:
        """One zstd frame: never more than the limit is held, whatever the frame claims or hides."""
        too_large = Problem("too_large", f"over {most_bytes} bytes when decompressed")
        try:
            claimed = zstandard.frame_content_size(body)
            if claimed > most_bytes:
                raise too_large
            if claimed >= 0:
                return self._decompressor.decompress(body, allow_extra_data=False)
            with self._decompressor.stream_reader(io.BytesIO(body)) as reader:
                data = reader.read(most_bytes + 1)
        except zstandard.ZstdError as error:
            raise Problem("malformed", f"not a zstd frame: {error}") from error
        if len(data) > most_bytes:
            raise too_large
        return data
