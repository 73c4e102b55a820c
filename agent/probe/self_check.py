"""What a prober looks at before it is ready: a small linked challenge on its device, against the arithmetic of numpy.

A device whose products or digests differ would fail every challenge by exact proof; it says so before one begins.
"""

from agent.probe.cpu import CpuEngine
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.prover import Engine

SIZE = 256
KEYS = (bytes(range(32)), bytes(range(32, 64)))
PASS_KEY = bytes(range(64, 96))


def difference(engine: Engine, policy: Policy) -> str | None:
    """What the engine gets wrong under a policy of this kind at a small size; None: nothing.

    It is prepared for the small one, and must be prepared again.
    """
    small = _small(policy)
    reference = CpuEngine()
    try:
        found, expected = _answers(engine, small), _answers(reference, small)
    finally:
        reference.close()
    differ = [name for name, answer in expected.items() if found[name] != answer]
    return f"this device differs from the reference in {', '.join(differ)}" if differ else None


def _small(policy: Policy) -> Policy:
    """The same arithmetic: two rounds, of which one is kept and read."""
    return Policy(
        policy.profile,
        SIZE,
        rounds=2,
        samples=1,
        check=policy.check,
        tiles=1,
        memory_passes=1,
        memory_samples=1,
        ceiling_flops_per_second=1,
        links=policy.links,
    )


def _answers(engine: Engine, policy: Policy) -> dict[str, bytes]:
    engine.prepare(policy)
    engine.load_b(KEYS[0])
    engine.unlink()
    first = engine.round(KEYS[0], 0)
    row = engine.row(KEYS[1], 1)
    taken = engine.taken(KEYS[1], 1) if policy.links > 0 else b""
    second = engine.round(KEYS[1], None)
    return {
        "the leaves of a product": first,
        "a row": row,
        "the bytes that a row takes": taken,
        "the leaves of a linked product": second,
        "the digests of memory": engine.scan(PASS_KEY, 0, 1, None),
    }
