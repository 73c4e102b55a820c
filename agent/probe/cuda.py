"""The GPU back end: our kernels through NVRTC, products by cuBLAS, on one device, in a worker process of its own.

Needs the extra [probe] and a CUDA toolkit's cuBLAS and NVRTC somewhere that cuda-pathfinder looks (a torch install will
do). Importing this module imports CUDA; nothing else in the agent does.
"""

import ctypes
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cuda.bindings import driver
from cuda.core import Device, LaunchConfig, Program, ProgramOptions, launch
from cuda.pathfinder import load_nvidia_dynamic_lib

from agent.probe.cublas import Cublas
from agent.probe.kernels import NAMES, SOURCE, TOGETHER, source_hash
from weighbridge.challenge.derivation import digest_key
from weighbridge.challenge.links import source_rows, window_key, window_maps
from weighbridge.challenge.messages import HostFact
from weighbridge.challenge.policy import FREIVALDS, Policy
from weighbridge.challenge.profiles import F16
from weighbridge.challenge.prover import Interrupted
from weighbridge.challenge.rowhash import CHUNK_BYTES, CHUNK_TAG, ROW_TAG

THREADS = 256
WINDOW_THREADS = 64
WARM_UP_NS = 1_000_000_000
RESERVE_BYTES = 512 << 20
"""Left free beside our own allocations, for cuBLAS's workspace and whoever else is on the device."""
TENANT_BYTES = 256 << 20
"""When so much more of the free memory has gone than we took, somebody else needs the device."""


class CudaError(RuntimeError):
    """A driver call that did not succeed. The text names the error."""


def checked(answer: tuple[Any, ...]) -> Any:
    """The value of a driver call. Raises CudaError."""
    status, *values = answer
    if int(status) != 0:
        raise CudaError(str(status))
    return values[0] if len(values) == 1 else tuple(values)


def device_of(gpu: str) -> Device:
    """The device with this UUID, with or without NVML's prefix. Raises CudaError."""
    wanted = gpu.removeprefix("GPU-").removeprefix("MIG-").lower()
    for device in Device.get_all_devices():
        if device.uuid.removeprefix("GPU-").removeprefix("MIG-").lower() == wanted:
            return device
    raise CudaError(f"no device {gpu}")


class CudaEngine:
    """An Engine on one GPU. Every buffer is allocated in `prepare`, and freed with the process at the latest."""

    def __init__(self, gpu: str) -> None:
        self._device = device_of(gpu)
        self._device.set_current()
        self._stream = self._device.create_stream()
        self._blas_path = str(load_nvidia_dynamic_lib("cublas").abs_path)
        self._blas = Cublas(self._blas_path, int(self._stream.handle))
        options = ProgramOptions(std="c++17", arch=f"sm_{self._device.arch}")
        compiled = Program(SOURCE, "c++", options=options).compile("cubin")
        self._kernels = {name: compiled.get_kernel(name) for name in NAMES}
        self._buffers: dict[str, int] = {}
        self._peers: list[int] = []
        self._opened: list[int] = []
        self._policy: Policy | None = None
        self._host = 0
        self._free_bytes = 0
        self._linked = False

    def program(self) -> bytes:
        """SHA-256 of the kernels' source."""
        return source_hash()

    def facts(self) -> tuple[HostFact, ...]:
        """The device's name for itself, and the libraries in use."""
        library = hashlib.sha256(Path(self._blas_path).read_bytes()).hexdigest()
        return (
            HostFact("backend", "cuda"),
            HostFact("device", self._device.name),
            HostFact("driver", _kernel_driver()),
            HostFact("cuda", str(checked(driver.cuDriverGetVersion()))),
            HostFact("cublas", str(self._blas.version())),
            HostFact("cublas_sha256", library),
        )

    def prepare(self, policy: Policy) -> None:
        """Allocates everything, in the place of what was allocated for another policy, then multiplies for a second,
        until clocks are up. Raises Interrupted."""
        self._free()
        self._policy = policy
        sizes = self._buffer_sizes(policy)
        free, _ = checked(driver.cuMemGetInfo())
        if free < sum(sizes.values()) + RESERVE_BYTES:
            raise Interrupted(
                f"{free} bytes are free, {sum(sizes.values())} and a reserve are needed"
            )
        for name, size in sizes.items():
            self._buffers[name] = int(checked(driver.cuMemAlloc(size)))
        self._host = int(checked(driver.cuMemAllocHost(_host_bytes(policy))))
        self._warm_up()
        self._free_bytes, _ = checked(driver.cuMemGetInfo())

    def _warm_up(self) -> None:
        self.load_b(bytes(32))
        end_ns = time.monotonic_ns() + WARM_UP_NS
        while time.monotonic_ns() < end_ns:
            self.round(bytes(32), None)

    def load_b(self, key: bytes) -> None:
        """Expands B, transposed."""
        policy = self._prepared()
        columns = 128 if policy.operands is F16 else 64
        grid = (-(-policy.size // 128), policy.size // columns)
        self._launch(
            "expand_b", grid, 128, *_key(key), self._buffers["b"], _u32(policy.size), self._half()
        )

    def unlink(self) -> None:
        """The next product takes nothing of the low bytes that lie here."""
        self._linked = False

    def round(self, key: bytes, keep: int | None) -> bytes:
        """One product on the device; only its leaves come to the host. Others are looked for while it multiplies."""
        policy = self._prepared()
        self._multiply(key)
        if keep is not None:
            self._keep(keep)
        if policy.check == FREIVALDS:
            self._keep_bytes()
            self._hash_rows()
        else:
            self._digest_rows(digest_key(key))
        if policy.links > 0:
            self._digest_windows(window_key(key))
            self._linked = True
        self._require_room()
        return self._to_host(self._buffers["leaves"], policy.leaf_bytes * policy.size)

    def taken(self, key: bytes, index: int) -> bytes:
        """A row's bytes of the product before, window by window."""
        size, links = self._prepared().size, self._prepared().links
        width, low = size // links, self._buffers["low"]
        sources = source_rows(window_maps(key, size, links), size, index)
        return b"".join(
            self._to_host(low + size * source + width * window, width)
            for window, source in enumerate(sources)
        )

    def row(self, key: bytes, index: int) -> bytes:
        """One row of a product that is multiplied once more."""
        size = self._prepared().size
        self._multiply(key)
        self._as_integers()
        return self._to_host(self._buffers["c"] + 4 * size * index, 4 * size)

    def scan(self, key: bytes, first: int, tiles: int, peer: int | None) -> bytes:
        """Digests of the blocks of some tiles, here or on a peer."""
        policy = self._prepared()
        source = self._buffers["tiles"] if peer is None else self._peers[peer]
        source += first * policy.tile_bytes
        words = policy.block_bytes // 8
        self._expand_keys(key, words)
        blocks = tiles * policy.tile_blocks
        self._clear(8 * blocks)
        arguments = (source, self._buffers["keys"], self._buffers["leaves"], _u32(words))
        self._launch("digest_blocks", blocks // TOGETHER, THREADS, *arguments)
        return self._to_host(self._buffers["leaves"], 8 * blocks)

    def address(self) -> bytes:
        """The interprocess handle of the tiles; empty without tiles."""
        if "tiles" not in self._buffers:
            return b""
        return bytes(checked(driver.cuIpcGetMemHandle(self._buffers["tiles"])).reserved)

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Opens every peer's tiles. A process cannot open its own handle; it has the address."""
        own = self.address()
        self._peers = [
            self._buffers["tiles"] if a == own else self._open(a) for a in addresses if a != b""
        ]

    def close(self) -> None:
        """Frees all memory, the own and the opened, and the handle."""
        self._free()
        self._blas.close()

    def _free(self) -> None:
        for pointer in self._opened:
            checked(driver.cuIpcCloseMemHandle(pointer))
        for pointer in self._buffers.values():
            checked(driver.cuMemFree(pointer))
        if self._host != 0:
            checked(driver.cuMemFreeHost(self._host))
            self._host = 0
        self._opened, self._peers, self._buffers = [], [], {}
        self._linked = False

    def _prepared(self) -> Policy:
        if self._policy is None:
            raise CudaError("prepare comes first")
        return self._policy

    def _buffer_sizes(self, policy: Policy) -> dict[str, int]:
        cells = policy.size * policy.size
        operand = 2 if policy.operands is F16 else 1
        sizes = {"a": operand * cells, "b": operand * cells, "c": 4 * cells}
        sizes["leaves"] = _leaves_bytes(policy)
        sizes["keys"] = max(8 * policy.size, policy.block_bytes)
        if policy.check == FREIVALDS:
            sizes["chunks"] = 32 * cells // (CHUNK_BYTES // 4)
        if policy.links > 0:
            sizes["low"] = cells
        if policy.tiles > 0:
            sizes["tiles"] = policy.tiles * policy.tile_bytes
        return sizes

    def _require_room(self) -> None:
        free, _ = checked(driver.cuMemGetInfo())
        if free + TENANT_BYTES < self._free_bytes:
            raise Interrupted("somebody else takes memory on this device")

    def _half(self) -> Any:
        return _u32(int(self._prepared().operands is F16))

    def _multiply(self, key: bytes) -> None:
        policy = self._prepared()
        blocks = policy.operands.a_row_bytes(policy.size) * policy.size // 64
        if self._linked:
            self._expand_linked(key, blocks)
        else:
            arguments = (*_key(key), self._buffers["a"], _u32(blocks), self._half())
            self._launch("expand_a", -(-blocks // THREADS), THREADS, *arguments)
        a, b, c = (self._buffers[name] for name in "abc")
        self._blas.multiply(policy.size, a, b, c, integers=policy.operands is not F16)

    def _expand_linked(self, key: bytes, blocks: int) -> None:
        policy = self._prepared()
        maps = _packed_maps(window_maps(key, policy.size, policy.links))
        numbers = (blocks, int(policy.operands is F16), policy.size, policy.size // policy.links)
        arguments = (*_key(key), *_key(maps), self._buffers["a"], self._buffers["low"])
        grid = -(-blocks // THREADS)
        self._launch("expand_linked", grid, THREADS, *arguments, *map(_u32, numbers))

    def _keep_bytes(self) -> None:
        policy = self._prepared()
        if policy.links > 0:
            fours = policy.size * policy.size // 4
            arguments = (self._buffers["c"], self._buffers["low"], np.uint64(fours), self._half())
            self._launch("keep_bytes", fours // THREADS, THREADS, *arguments)

    def _digest_windows(self, key: bytes) -> None:
        policy = self._prepared()
        windows, words = policy.size * policy.links, policy.size // policy.links // 8
        stride = policy.leaf_bytes // 8
        numbers = (windows, words, policy.links, stride - policy.links, stride)
        halves = (np.uint64(int.from_bytes(key[at : at + 8], "little")) for at in (0, 8))
        arguments = (self._buffers["low"], *halves, self._buffers["leaves"])
        grid = -(-windows // WINDOW_THREADS)
        self._launch("digest_windows", grid, WINDOW_THREADS, *arguments, *map(_u32, numbers))

    def _keep(self, tile: int) -> None:
        policy = self._prepared()
        eights = policy.size * policy.size // 8
        target = self._buffers["tiles"] + tile * policy.tile_bytes
        arguments = (self._buffers["c"], target, np.uint64(eights), self._half())
        self._launch("keep_low", eights // THREADS, THREADS, *arguments)

    def _expand_keys(self, key: bytes, words: int) -> None:
        blocks = words // 8
        arguments = (*_key(key), self._buffers["keys"], _u32(blocks), _u32(0))
        self._launch("expand_a", -(-blocks // THREADS), THREADS, *arguments)

    def _digest_rows(self, key: bytes) -> None:
        policy = self._prepared()
        self._expand_keys(key, policy.size)
        self._clear(policy.leaf_bytes * policy.size)
        buffers = (self._buffers[name] for name in ("c", "keys", "leaves"))
        low = self._buffers.get("low", 0)
        numbers = (_u32(policy.size), self._half(), _u32(policy.leaf_bytes // 8))
        self._launch("digest_rows", policy.size // TOGETHER, THREADS, *buffers, low, *numbers)

    def _hash_rows(self) -> None:
        size, stride = self._prepared().size, self._prepared().leaf_bytes // 4
        self._as_integers()
        per_row = 4 * size // CHUNK_BYTES
        c, chunks, leaves = (self._buffers[name] for name in ("c", "chunks", "leaves"))
        self._hash(c, chunks, size * per_row, CHUNK_BYTES // 4, CHUNK_TAG, 8)
        self._hash(chunks, leaves, size, 8 * per_row, ROW_TAG, stride)

    def _hash(
        self, data: int, out: int, messages: int, words: int, tag: bytes, stride: int
    ) -> None:
        grid = -(-messages // 128)
        tagged = int.from_bytes(tag, "big")
        numbers = (_u32(messages), _u32(words), _u32(tagged), _u32(stride))
        self._launch("hash_messages", grid, 128, data, out, *numbers)

    def _as_integers(self) -> None:
        policy = self._prepared()
        cells = policy.size * policy.size
        if policy.operands is F16:
            self._launch(
                "as_integers", cells // THREADS, THREADS, self._buffers["c"], np.uint64(cells)
            )

    def _launch(self, name: str, grid: int | tuple[int, int], block: int, *arguments: Any) -> None:
        launch(self._stream, LaunchConfig(grid=grid, block=block), self._kernels[name], *arguments)

    def _clear(self, length: int) -> None:
        checked(driver.cuMemsetD8Async(self._buffers["leaves"], 0, length, self._stream.handle))

    def _to_host(self, pointer: int, length: int) -> bytes:
        checked(driver.cuMemcpyDtoHAsync(self._host, pointer, length, self._stream.handle))
        self._stream.sync()
        return ctypes.string_at(self._host, length)

    def _open(self, address: bytes) -> int:
        handle = driver.CUipcMemHandle()
        handle.reserved = address
        flags = driver.CUipcMem_flags.CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS
        self._opened.append(int(checked(driver.cuIpcOpenMemHandle(handle, flags))))
        return self._opened[-1]


def _kernel_driver() -> str:
    """The version of the kernel module, as its own file says it."""
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return "unknown"


def _host_bytes(policy: Policy) -> int:
    """The most that comes back at once: the leaves of a step, or a row of C."""
    return max(_leaves_bytes(policy), 4 * policy.size)


def _leaves_bytes(policy: Policy) -> int:
    return max(policy.leaf_bytes * policy.size, 8 * policy.tiles * policy.tile_blocks)


def _packed_maps(maps: Sequence[tuple[int, int]]) -> bytes:
    """32 bytes: a and c of each window, two bytes each; both are below 2^15."""
    numbers = [number.to_bytes(2, "little") for one in maps for number in one]
    return b"".join(numbers).ljust(32, b"\0")


def _u32(value: int) -> Any:
    return np.uint32(value)


def _key(key: bytes) -> tuple[Any, ...]:
    return tuple(np.uint64(int.from_bytes(key[at : at + 8], "little")) for at in range(0, 32, 8))
