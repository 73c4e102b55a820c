"""What checking a compute challenge costs the verifier: CPU seconds, peak memory, and bytes that the prover uploads.

    python -m benchmarks.challenge [--sizes 8192 16384 32768] [--samples 64 256] [--json FILE]

Each case runs in a process of its own, so that its peak memory is its own. The openings are of full size and under real
roots; the products in them are random, since a whole chain of this size is work for a GPU. The check does the same
arithmetic for a wrong answer as for a right one.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def measure(size: int, samples: int, profile: str, check: str) -> dict[str, Any]:
    """One case, in this process."""
    import zstandard

    from weighbridge.challenge.bound import RECOMPUTED_MISS, wrong_cells_bound
    from weighbridge.challenge.messages import Openings, encode_message
    from weighbridge.challenge.policy import Policy
    from weighbridge.challenge.samples import samples_of
    from weighbridge.challenge.verifier import sample_verdicts

    policy = Policy(profile, size, ROUNDS.get(size, 64), samples, check)
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
        "rounds": policy.rounds,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "peak_memory_megabytes": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1
        ),
        "openings_bytes": len(blob),
        "roots_bytes": 32 * policy.rounds,
        "upload_bytes_zstd": len(zstandard.compress(message, 3)) + 32 * policy.rounds,
        "skipped_share_bound": round(wrong / policy.cells, 4),
    }


def _synthetic(policy: Any) -> tuple[Any, bytes]:
    """Roots over leaves of full size, and the openings of the cells that these roots choose."""
    from weighbridge.challenge.commitment import commit, open_leaf
    from weighbridge.challenge.samples import Committed

    width = policy.leaf_bytes
    roots = [commit(_round(policy, index)[0], width) for index in range(policy.rounds)]
    committed = Committed(
        contract="benchmark",
        agent_key=bytes(32),
        gpus=("GPU-benchmark",),
        policy=policy,
        nonces=(bytes(32),),
        secret=bytes(32),
        roots=((b"".join(roots),),),
    )
    parts = []
    for cell in committed.cells(0, 0):
        leaves, row = _round(policy, cell // policy.size)
        parts += [open_leaf(leaves, width, cell % policy.size), row]
    return committed, b"".join(parts)


def _round(policy: Any, index: int) -> tuple[bytes, bytes]:
    """The leaves of one round, and the row to open in it: nothing, or the one row that all its leaves commit to."""
    import numpy as np

    from weighbridge.challenge.rowhash import row_hash

    random = np.random.default_rng(index)
    if policy.leaf_bytes == 8:
        return random.bytes(8 * policy.size), b""
    row = random.integers(-(1 << 21), 1 << 21, policy.size).astype("<i4").tobytes()
    return row_hash(row) * policy.size, row


def machine() -> dict[str, Any]:
    """The CPU's name and what this process may use of it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _in_own_process(size: int, samples: int, profile: str, check: str) -> dict[str, Any]:
    case = [str(size), str(samples), profile, check]
    command = [sys.executable, "-m", "benchmarks.challenge", "--case", *case]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _line(row: dict[str, Any]) -> str:
    seconds, megabytes = REFERENCE.get((row["size"], row["samples"]), (None, None))
    before = (
        ""
        if seconds is None or row["check"] != "recompute"
        else f"{seconds:>9} s {megabytes:>6} MB"
    )
    return (
        f"{row['size']:>6} {row['samples']:>5} {row['profile']:>4} {row['check']:>10}"
        f" {row['cpu_seconds']:>8.2f} {row['wall_seconds']:>8.2f} {row['peak_memory_megabytes']:>8.0f}"
        f" {row['openings_bytes'] / 1e6:>9.2f} {row['upload_bytes_zstd'] / 1e6:>9.2f}"
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
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Prints the table; exit code 1 if a case exceeds the memory limit."""
    chosen = _arguments()
    if chosen.case is not None:
        size, samples, profile, check = chosen.case
        print(json.dumps(measure(int(size), int(samples), profile, check)))
        return 0
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}")
    print(
        "     n     k prof      check    CPU s   wall s  peak MB  openings MB zstd MB  phi 1e-3    before"
    )
    rows = []
    for size in chosen.sizes:
        for samples in chosen.samples:
            for profile in chosen.profiles:
                for check in chosen.checks:
                    print(f"... n={size} k={samples} {profile} {check}", file=sys.stderr)
                    rows.append(_in_own_process(size, samples, profile, check))
                    print(_line(rows[-1]), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    return int(any(row["peak_memory_megabytes"] > MEMORY_LIMIT_MB for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
