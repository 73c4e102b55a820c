"""What checking a compute challenge costs the verifier: CPU seconds, peak memory, and bytes that the prover uploads.

    python -m benchmarks.challenge [--sizes 8192 16384 32768] [--samples 64 256] [--links 0 4] [--json FILE]

Each case runs in a process of its own, so that its peak memory is its own. The openings are of full size and under real
roots; the products in them are random, since a whole chain of this size is work for a GPU. The check does the same
arithmetic for a wrong answer as for a right one. Of linked rounds no compressed size is given: all rows of a round here
have the same windows, and what a GPU sends has none alike.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from collector.challenges.verification import ONE_THREAD

SIZES = (8192, 16384, 32768)
SAMPLES = (64, 256)
REFERENCE = {
    (8192, 64): (0.44, 0.20),
    (8192, 256): (0.79, 0.79),
    (16384, 64): (1.5, 0.33),
    (16384, 256): (3.0, 1.3),
    (32768, 64): (6.2, 0.59),
    (32768, 256): (13.4, 2.4),
}
"""Earlier prototype on two cores: wall seconds of recomputing f16 rows, and megabytes of openings."""
ROUNDS = {8192: 2000, 16384: 400, 32768: 56}
MEMORY_LIMIT_MB = 256


def measure(size: int, samples: int, profile: str, check: str, links: int) -> dict[str, Any]:
    """One case, in this process."""
    from weighbridge.challenge.bound import RECOMPUTED_MISS, wrong_cells_bound
    from weighbridge.challenge.messages import Openings, encode_message
    from weighbridge.challenge.policy import Policy
    from weighbridge.challenge.samples import samples_of
    from weighbridge.challenge.verifier import sample_verdicts

    policy = Policy(profile, size, ROUNDS.get(size, 64), samples, check, links=links)
    committed, blob = _synthetic(policy)
    message = encode_message(Openings("benchmark", ((blob,),)))
    wall, cpu = time.perf_counter(), time.process_time()
    found = samples_of(committed, [(blob,)])
    sample_verdicts(committed, found)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    opened = sum(sample.leaf is not None for sample in found)
    if opened != samples:
        raise RuntimeError(f"only {opened} of {samples} openings hold")
    wrong = wrong_cells_bound(policy.cells, samples, policy.doubt, RECOMPUTED_MISS)
    return {
        "size": size,
        "samples": samples,
        "profile": profile,
        "check": check,
        "links": links,
        "rounds": policy.rounds,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "peak_memory_megabytes": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1
        ),
        "openings_bytes": len(blob),
        "roots_bytes": 32 * policy.rounds,
        "upload_bytes_zstd": _compressed(message) + 32 * policy.rounds if links == 0 else None,
        "skipped_share_bound": round(wrong / policy.cells, 4),
    }


def _compressed(message: bytes) -> int:
    import zstandard

    return len(bytes(zstandard.compress(message, 3)))


def _synthetic(policy: Any) -> tuple[Any, bytes]:
    """Roots over leaves of full size, and the openings of the cells that these roots choose."""
    from weighbridge.challenge.commitment import commit
    from weighbridge.challenge.derivation import NO_ROOT, round_key
    from weighbridge.challenge.samples import Committed, phase_shape

    shape = phase_shape(policy, "chain")
    drawn = ("benchmark", bytes(32), ("GPU-benchmark",), policy, (bytes(32),), bytes(32))
    seed = Committed(*drawn, roots=()).seed(0, 0)
    roots, root = [], NO_ROOT
    for index in range(policy.rounds):
        leaves = _leaves(policy, round_key(seed, index, root), _row(policy, index))
        root = commit(leaves, shape.width, shape.group)
        roots.append(root)
    committed = Committed(*drawn, roots=((b"".join(roots),),))
    keys = committed.round_keys(0)
    cells = [divmod(cell, policy.size) for cell in committed.cells(0, 0)]
    return committed, b"".join(_opened(policy, shape, keys, *cell) for cell in cells)


def _opened(policy: Any, shape: Any, keys: Any, step: int, index: int) -> bytes:
    """What is opened of one cell."""
    import numpy as np

    from weighbridge.challenge.commitment import open_leaf
    from weighbridge.challenge.links import source_rows, window_maps

    row = _row(policy, step)
    parts = [open_leaf(_leaves(policy, keys[step], row), shape.width, index, shape.group)]
    parts.append(row[: shape.row_bytes])
    if policy.links > 0 and step > 0:
        row = _row(policy, step - 1)
        parts.append(np.frombuffer(row, dtype="<i4").astype(np.uint8).tobytes())
        before = _leaves(policy, keys[step - 1], row)
        maps = window_maps(keys[step], policy.size, policy.links)
        sources = source_rows(maps, policy.size, index)
        parts += [open_leaf(before, shape.width, source, shape.group) for source in sources]
    return b"".join(parts)


def _row(policy: Any, step: int) -> bytes:
    """The one row that all leaves of a round commit to, and of which all that is taken comes."""
    import numpy as np

    random = np.random.default_rng(step)
    return bytes(random.integers(-(1 << 21), 1 << 21, policy.size).astype("<i4"))


def _leaves(policy: Any, key: bytes, row: bytes) -> bytes:
    """Of one round: digests that are none, or the row's hash, and the window digests that its row has under the key."""
    import numpy as np

    from weighbridge.challenge.rowhash import row_hash
    from weighbridge.challenge.siphash import window_digests

    random = np.random.default_rng(int.from_bytes(key[:8], "little"))
    low = np.frombuffer(row, dtype="<i4").astype(np.uint8)
    windows = window_digests([key], [low], policy.links)[0] if policy.links > 0 else b""
    head = row_hash(row) if policy.check == "freivalds" else b""
    heads = [head or random.bytes(8) for _ in range(policy.size)]
    return b"".join(one + windows for one in heads)


def machine() -> dict[str, Any]:
    """The CPU's name and what this process may use of it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _in_own_process(
    size: int, samples: int, profile: str, check: str, links: int
) -> dict[str, Any]:
    case = [str(size), str(samples), profile, check, str(links)]
    command = [sys.executable, "-m", "benchmarks.challenge", "--case", *case]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
        env={**ONE_THREAD, **os.environ},
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _line(row: dict[str, Any]) -> str:
    seconds, megabytes = REFERENCE.get((row["size"], row["samples"]), (None, None))
    before = (
        ""
        if seconds is None or row["check"] != "recompute" or row["links"] > 0
        else f"{seconds:>9} s {megabytes:>6} MB"
    )
    upload = row["upload_bytes_zstd"]
    compressed = "-" if upload is None else f"{upload / 1e6:.2f}"
    return (
        f"{row['size']:>6} {row['samples']:>5} {row['profile']:>4} {row['check']:>10} {row['links']:>5}"
        f" {row['cpu_seconds']:>8.2f} {row['wall_seconds']:>8.2f} {row['peak_memory_megabytes']:>8.0f}"
        f" {row['openings_bytes'] / 1e6:>9.2f} {compressed:>9}"
        f" {row['skipped_share_bound']:>8.3f} {before}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--profiles", nargs="+", default=["f16"], choices=["f16", "i8"])
    parser.add_argument(
        "--checks", nargs="+", default=["recompute"], choices=["recompute", "freivalds"]
    )
    parser.add_argument("--links", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Prints the table; exit code 1 if a case exceeds the memory limit."""
    chosen = _arguments()
    if chosen.case is not None:
        size, samples, profile, check, links = chosen.case
        print(json.dumps(measure(int(size), int(samples), profile, check, int(links))))
        return 0
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}")
    print(
        "     n     k prof      check links    CPU s   wall s  peak MB  openings MB zstd MB  phi 1e-3    before"
    )
    rows = []
    axes = (chosen.sizes, chosen.samples, chosen.profiles, chosen.checks, chosen.links)
    for size, samples, profile, check, links in itertools.product(*axes):
        print(f"... n={size} k={samples} {profile} {check} links={links}", file=sys.stderr)
        rows.append(_in_own_process(size, samples, profile, check, links))
        print(_line(rows[-1]), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    return int(any(row["peak_memory_megabytes"] > MEMORY_LIMIT_MB for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
