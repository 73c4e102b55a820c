"""Why readings have no value, sample by sample."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.judge.latest_readings import Reasons
from weighbridge.wire.report import Block, Reason, UnavailableSpan

SAMPLES = 8
NAMES = [(device, reading) for device in ("a", "b") for reading in ("p", "q")]


def told(nulls: dict[tuple[str, str], list[bool]]) -> Block:
    """Each null by a span of its own, or with its neighbours."""
    spans = []
    for (device, reading), missing in nulls.items():
        start = 0
        while start < SAMPLES:
            end = start + 1
            while end < SAMPLES and missing[start] and missing[end] and (end - start) % 3:
                end += 1
            if missing[start]:
                why = Reason.TIMEOUT if start % 2 else Reason.NOT_SUPPORTED
                spans.append(
                    UnavailableSpan(device=device, from_=start, reading=reading, reason=why, to=end)
                )
            start = end
    return block(spans, nulls)


def block(spans: list[UnavailableSpan], nulls: dict[tuple[str, str], list[bool]]) -> Block:
    readings = {
        reading: [
            [None if nulls[device, reading][sample] else 1 for device in ("a", "b")]
            for sample in range(SAMPLES)
        ]
        for reading in ("p", "q")
    }
    return Block(
        boottime_us=list(range(1, SAMPLES + 1)),
        devices=["a", "b"],
        readings=readings,
        tier="fast",
        unavailable=spans,
    )


def over(block: Block, sample: int) -> dict[str, dict[str, Reason]]:
    found: dict[str, dict[str, Reason]] = {}
    for span in block.unavailable:
        if span.from_ <= sample < span.to:
            found.setdefault(span.reading, {})[span.device] = span.reason
    return found


each = st.lists(st.booleans(), min_size=SAMPLES, max_size=SAMPLES)


@given(
    st.fixed_dictionaries(dict.fromkeys(NAMES, each)),
    st.sets(st.integers(0, SAMPLES - 1)),
)
def test_each_sample_has_the_reasons_of_the_spans_over_it(
    nulls: dict[tuple[str, str], list[bool]], asked: set[int]
) -> None:
    reasons, one = Reasons(), told(nulls)
    for sample in sorted(asked):
        assert reasons.at(one, sample) == over(one, sample)


class Counted(list[UnavailableSpan]):
    read = 0

    def __iter__(self) -> Iterator[UnavailableSpan]:
        for span in super().__iter__():
            Counted.read += 1
            yield span


def test_spans_are_gone_through_once_however_many_samples_there_are() -> None:
    nulls = {name: [sample % 2 == 0 for sample in range(SAMPLES)] for name in NAMES}
    spans = Counted(told(nulls).unavailable)
    reasons, one = Reasons(), block(spans, nulls)
    Counted.read = 0
    for sample in range(SAMPLES):
        assert bool(reasons.at(one, sample)) is (sample % 2 == 0)
    assert Counted.read <= len(spans)
