"""What the prober gets out of a real GPU, beside a plain product and a plain copy in the same run.

    python -m benchmarks.probe [--gpu UUID] [--sizes 16384 32768] [--samples N] [--seconds S] [--json FILE]
                               [--transcript FILE]

Needs an NVIDIA GPU that nobody uses, and the extra [probe]; without one it says so and measures nothing. "Plain" is
cuBLAS on operands of the same shape, types and distribution, over and over, in a process of its own right before the
challenge; "bound" is what the challenge's verifier beside the prober can vouch for at a doubt of 10^-3. `--transcript`
writes one short attempt as it would be stored.
"""

import argparse
import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from weighbridge.challenge.policy import Policy
from weighbridge.challenge.verdict import ChallengeVerdict, GpuResult

SIZES = (16384, 32768)
GOAL_SHARE = {16384: 0.85, 32768: 0.93}
GOAL_FILL, GOAL_BANDWIDTH = 0.95, 0.80
FILL_SIZE, FILL_PASSES, FILL_SAMPLES, FILL_SHARE = 16384, 40, 512, 0.955
CEILING_FLOPS = 2 * 10**15
"""Above what an H200 multiplies in int8, its fastest exact path."""
PLAIN_SECONDS = 3.0


def gpus() -> list[str]:
    """UUIDs; empty without a GPU, a driver or the extra."""
    if importlib.util.find_spec("cuda") is None:
        return []
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.probe", "--list"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.split() if done.returncode == 0 else []


def listed() -> list[str]:
    from cuda.core import Device

    return [f"GPU-{device.uuid.removeprefix('GPU-')}" for device in Device.get_all_devices()]


def plain(gpu: str, profile: str, size: int) -> dict[str, Any]:
    """Products by cuBLAS alone, rounds of the prober's engine, and copies, on an otherwise empty device."""
    from cuda.bindings import driver

    from agent.probe.cublas import Cublas
    from agent.probe.cuda import CudaEngine, checked, device_of
    from weighbridge.challenge.commitment import commit

    device = device_of(gpu)
    device.set_current()
    free, _ = checked(driver.cuMemGetInfo())
    copied = _copies(free // 3)
    engine = CudaEngine(gpu)
    engine.prepare(Policy(profile=profile, size=size, rounds=1, samples=1))
    facts = {fact.name: fact.value for fact in engine.facts()}
    key = bytes(range(32))
    round_s = _paced(lambda: engine.round(key, None))
    leaves = engine.round(key, None)
    commit_s = _paced(lambda: commit(leaves, 8), 0.2)
    engine.close()
    stream = device.create_stream()
    blas = Cublas(cublas_path(), int(stream.handle))
    a, b, c = _operands(profile, size)
    product_s = _paced(lambda: blas.multiply(size, a, b, c, profile == "i8"), sync=stream.sync)
    return {
        "facts": facts,
        "copy_bytes_per_second": copied,
        "product_seconds": product_s,
        "round_seconds": round_s,
        "commit_seconds": commit_s,
        "flops_per_second": 2 * size**3 / product_s,
    }


def cublas_path() -> str:
    """The cuBLAS that the prober finds."""
    from cuda.pathfinder import load_nvidia_dynamic_lib

    return str(load_nvidia_dynamic_lib("cublas").abs_path)


def _paced(call: Any, seconds: float = PLAIN_SECONDS, sync: Any = None) -> float:
    """Mean seconds of a call, over at least so long, after a third of that to warm up."""
    wait, mean = sync if sync is not None else lambda: None, 0.0
    for share in (seconds / 3, seconds):
        count, began = 0, time.perf_counter()
        while time.perf_counter() < began + share:
            for _ in range(8):
                call()
            wait()
            count += 8
        mean = (time.perf_counter() - began) / count
    return mean


def _operands(profile: str, size: int) -> tuple[int, int, int]:
    """Device addresses of A, B transposed and C; one drawn panel of each operand fills it."""
    import numpy as np
    from cuda.bindings import driver

    from agent.probe.cuda import checked

    random = np.random.default_rng(0)
    bounds = ((-2047, 2048), (-8, 8)) if profile == "f16" else ((-128, 128), (-128, 128))
    kind: Any = np.float16 if profile == "f16" else np.int8
    addresses = []
    for low, high in bounds:
        panel = random.integers(low, high, (512, size)).astype(kind)
        address = int(checked(driver.cuMemAlloc(panel.nbytes * size // 512)))
        for at in range(size // 512):
            checked(
                driver.cuMemcpyHtoD(address + at * panel.nbytes, panel.ctypes.data, panel.nbytes)
            )
        addresses.append(address)
    return addresses[0], addresses[1], int(checked(driver.cuMemAlloc(4 * size * size)))


def _copies(length: int) -> float:
    """Bytes read and written per second by a copy on the device."""
    from cuda.bindings import driver

    from agent.probe.cuda import checked

    pair = [int(checked(driver.cuMemAlloc(length))) for _ in range(2)]

    def copy() -> None:
        checked(driver.cuMemcpyDtoDAsync(pair[1], pair[0], length, 0))

    mean = _paced(copy, 1.0, lambda: checked(driver.cuCtxSynchronize()))
    for address in pair:
        checked(driver.cuMemFree(address))
    return 2 * length / mean


def challenged(gpu: str, policy: Policy) -> tuple[GpuResult, float, bytes]:
    """One exchange with a real prober: its result, the verifier's seconds, and the transcript."""
    from agent.probe.calibration import challenged as exchange
    from agent.probe.client import spawn

    challenger = asyncio.run(exchange(spawn, "cuda", (gpu,), policy))
    began = time.perf_counter()
    result = challenger.result()
    if result.verdict is not ChallengeVerdict.MET:
        raise RuntimeError(f"{result.verdict}: {result.reason}")
    return result.gpus[0], time.perf_counter() - began, challenger.transcript().encode()


def chain_case(gpu: str, profile: str, size: int, samples: int, seconds: float) -> dict[str, Any]:
    """The verified bound of a chain that takes about so long, beside plain products."""
    alone = _in_own_process(gpu, profile, size)
    rounds = max(8, round(seconds / alone["round_seconds"]))
    policy = Policy(profile, size, rounds, samples, attempts_allowed=1)
    found, verify_s, _ = challenged(gpu, policy)
    bound = found.measure.flops_per_second if found.measure is not None else 0
    return {
        **alone,
        "profile": profile,
        "size": size,
        "rounds": rounds,
        "samples": samples,
        "bound_flops_per_second": bound,
        "share": bound / alone["flops_per_second"],
        "goal_share": GOAL_SHARE.get(size),
        "verify_seconds": verify_s,
    }


def advertised_bytes(gpu: str) -> int:
    """The card's memory as NVML has it: some of it is the driver's own, and CUDA shows less."""
    command = [sys.executable, "-m", "agent", "snapshot", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wanted = (gpu, "memory_total_bytes")
    return next(int(row["value"]) for row in rows if (row["device"], row["reading"]) == wanted)


def memory_case(gpu: str, copy_bytes_per_second: float) -> dict[str, Any]:
    """Nearly all of the memory filled with products and read again and again."""
    tile, memory = 2 * FILL_SIZE * FILL_SIZE, advertised_bytes(gpu)
    tiles = int(FILL_SHARE * memory) // tile
    policy = Policy(
        "f16",
        FILL_SIZE,
        tiles,
        64,
        tiles=tiles,
        memory_passes=FILL_PASSES,
        memory_samples=FILL_SAMPLES,
        ceiling_flops_per_second=CEILING_FLOPS,
        attempts_allowed=1,
    )
    found, verify_s, _ = challenged(gpu, policy)
    measure = found.measure
    rate = 0 if measure is None else measure.memory_bytes_per_second or 0
    held = 0 if measure is None else measure.memory_bytes or 0
    return {
        "tiles": tiles,
        "passes": FILL_PASSES,
        "filled_bytes": tiles * tile,
        "filled_share": tiles * tile / memory,
        "bound_held_bytes": held,
        "bound_bytes_per_second": rate,
        "copy_bytes_per_second": copy_bytes_per_second,
        "share_of_copy": rate / copy_bytes_per_second,
        "verify_seconds": verify_s,
    }


def vector_policy() -> Policy:
    """A short attempt of full size, small enough to keep."""
    return Policy(
        "f16",
        16384,
        64,
        32,
        tiles=8,
        memory_passes=16,
        memory_samples=8,
        ceiling_flops_per_second=CEILING_FLOPS,
        attempts_allowed=1,
    )


def _in_own_process(gpu: str, profile: str, size: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.probe", "--plain", gpu, profile, str(size)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _chain_line(row: dict[str, Any]) -> str:
    goal = "" if row["goal_share"] is None else f"{row['goal_share']:.2f}"
    return (
        f"{row['profile']:>4} {row['size']:>6} {row['rounds']:>6} {row['samples']:>7}"
        f" {row['flops_per_second'] / 1e12:>8.1f} {row['bound_flops_per_second'] / 1e12:>8.1f}"
        f" {row['share']:>6.3f} {goal:>5} {row['product_seconds'] * 1e3:>8.2f}"
        f" {row['round_seconds'] * 1e3:>8.2f} {row['commit_seconds'] * 1e3:>7.2f} {row['verify_seconds']:>8.2f}"
    )


def _memory_lines(row: dict[str, Any]) -> str:
    return (
        f"memory: filled {row['filled_bytes'] / 1e9:.1f} GB = {row['filled_share']:.3f} of it (goal {GOAL_FILL}),"
        f" bound {row['bound_held_bytes'] / 1e9:.1f} GB\n"
        f"read back at {row['bound_bytes_per_second'] / 1e12:.2f} TB/s (bound) ="
        f" {row['share_of_copy']:.3f} of a copy's {row['copy_bytes_per_second'] / 1e12:.2f} TB/s read and written"
        f" (goal {GOAL_BANDWIDTH}); verified in {row['verify_seconds']:.1f} s"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--gpu")
    parser.add_argument("--profiles", nargs="+", default=["f16"], choices=["f16", "i8"])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a chain, about")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--transcript", type=Path)
    parser.add_argument("--list", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def report(chosen: argparse.Namespace, gpu: str) -> None:
    """Prints as it goes."""
    print(
        "prof      n rounds samples    plain    bound  share  goal  plain ms round ms hash ms verify s"
    )
    print("                           TFLOP/s  TFLOP/s")
    rows = []
    for size in chosen.sizes:
        for profile in chosen.profiles:
            rows.append(chain_case(gpu, profile, size, chosen.samples, chosen.seconds))
            print(_chain_line(rows[-1]), flush=True)
    memory = memory_case(gpu, rows[0]["copy_bytes_per_second"])
    print(_memory_lines(memory))
    print(" · ".join(f"{name}: {value}" for name, value in rows[0]["facts"].items()))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"chain": rows, "memory": memory}, indent=1) + "\n")
    if chosen.transcript is not None:
        chosen.transcript.write_bytes(challenged(gpu, vector_policy())[2])


def main() -> int:
    """Prints the table."""
    chosen = _arguments()
    if chosen.list:
        print("\n".join(listed()))
        return 0
    if chosen.plain is not None:
        gpu, profile, size = chosen.plain
        print(json.dumps(plain(gpu, profile, int(size))))
        return 0
    there = [chosen.gpu] if chosen.gpu is not None else gpus()
    if not there:
        print("no GPU, or not the extra [probe]: nothing was measured")
        return 0
    report(chosen, there[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
