"""In which form the next batch travels: in parts where the collector offers to take them, else as envelopes.

A collector offers it with each answer, and names what it keeps of this key to compress the next report against. One
that does not offer it is an older one. What is refused in parts is sent again as envelopes before it is believed, and
parts are tried again later and later: something between the two may know the older form alone.
"""

from collections.abc import Sequence

from agent.compression import compress, compress_against
from agent.report.transport import HttpAnswer, Packed
from weighbridge.wire.parts import Parts, name_of, offered, shared_dictionary, texts_of
from weighbridge.wire.signing import Envelope, open_envelope

MOST_WITHOUT = 512
"""Batches that are sent as envelopes before parts are tried again, at most."""


class Parting:
    """What one collector offered last. For one thread at a time."""

    def __init__(self) -> None:
        self._offered = False
        self._base = b""
        self._without = self._wait = 0

    def packed(self, batch: Sequence[bytes]) -> Packed:
        """The envelopes as a body."""
        if not batch or not self._offered or self._wait:
            return self._whole(batch)
        envelopes = [open_envelope(one) for one in batch]
        if len({one.key_id for one in envelopes}) > 1:
            return self._whole(batch)
        return self._parted(envelopes)

    def _whole(self, batch: Sequence[bytes]) -> Packed:
        newest = open_envelope(batch[-1]).payload if batch else b""
        return Packed(compress(b"".join(one + b"\n" for one in batch)), newest=newest)

    def _parted(self, envelopes: Sequence[Envelope]) -> Packed:
        frame = compress_against(texts_of(envelopes, self._base), shared_dictionary() + self._base)
        base = name_of(self._base) if self._base else b""
        signatures = [one.signature for one in envelopes]
        parts = Parts(envelopes[0].key_id, base, signatures, frame)
        return Packed(parts.joined(), True, envelopes[-1].payload)

    def believed(self, packed: Packed, answer: HttpAnswer) -> bool:
        """Whether an answer is about the reports; else they are to be sent again, which now goes in the other form."""
        if answer.status == 200:
            self._take(packed, offered(answer.parts))
            return True
        refused = packed.in_parts and 400 <= answer.status < 500 and answer.status != 429
        if refused:
            self._wait = self._without = min(2 * self._without + 1, MOST_WITHOUT)
        return not refused

    def _take(self, packed: Packed, base: bytes | None) -> None:
        """The collector took a batch, and offers this."""
        self._wait = max(0, self._wait - 1)
        if packed.in_parts:
            self._without = 0
        self._offered = base is not None
        if base and base == name_of(packed.newest):
            self._base = packed.newest
        elif not base or base != name_of(self._base):
            self._base = b""
