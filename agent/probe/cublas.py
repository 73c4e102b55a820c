"""cuBLAS by ctypes: the one call that the prober needs. The library is the one that cuda-pathfinder finds."""

import ctypes

OP_N, OP_T = 0, 1
REAL_16F, REAL_32F, REAL_8I, REAL_32I = 2, 0, 3, 10
COMPUTE_32F, COMPUTE_32I = 68, 72
GEMM_DEFAULT = -1
DISALLOW_REDUCED_PRECISION_REDUCTION = 16
"""Partial sums of a split K stay in float32 (cublasMath_t, cublas_api.h)."""


class CublasError(RuntimeError):
    """A call that did not succeed. The text has its name and status."""


class Cublas:
    """One handle on the current CUDA context, on one stream."""

    def __init__(self, path: str, stream: int) -> None:
        self._library = ctypes.CDLL(path)
        self._handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream))
        mode = ctypes.c_int(DISALLOW_REDUCED_PRECISION_REDUCTION)
        self._call("cublasSetMathMode", self._handle, mode)

    def multiply(self, size: int, a: int, b_transposed: int, c: int, integers: bool) -> None:
        """C = A·B, all square and row-major at these device addresses, B transposed.

        fp16 times fp16 into float32, or int8 times int8 into int32. Read column-major, the three are Aᵀ, B and Cᵀ, and
        Cᵀ = (B)ᵀ·Aᵀ has its first operand transposed and its second not: the layout for which int8 kernels exist.
        """
        operand = REAL_8I if integers else REAL_16F
        result = REAL_32I if integers else REAL_32F
        scalar: type[ctypes.c_int] | type[ctypes.c_float] = (
            ctypes.c_int if integers else ctypes.c_float
        )
        n = ctypes.c_int(size)
        self._call(
            "cublasGemmEx",
            self._handle,
            ctypes.c_int(OP_T),
            ctypes.c_int(OP_N),
            *(n, n, n),
            ctypes.byref(scalar(1)),
            *(ctypes.c_void_p(b_transposed), ctypes.c_int(operand), n),
            *(ctypes.c_void_p(a), ctypes.c_int(operand), n),
            ctypes.byref(scalar(0)),
            *(ctypes.c_void_p(c), ctypes.c_int(result), n),
            ctypes.c_int(COMPUTE_32I if integers else COMPUTE_32F),
            ctypes.c_int(GEMM_DEFAULT),
        )

    def version(self) -> int:
        """As cuBLAS counts: 130100 is 13.1."""
        value = ctypes.c_int()
        self._call("cublasGetVersion_v2", self._handle, ctypes.byref(value))
        return value.value

    def close(self) -> None:
        """Frees the handle and its workspace."""
        self._call("cublasDestroy_v2", self._handle)

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise CublasError(f"{name}: status {status}")
