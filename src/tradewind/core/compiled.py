"""The one place where numba is configured: `kernel` compiles a function once, caches it on disk and releases the GIL.

Kernels call only kernels of their own file: numba's cache notices a change in a kernel's own file, not in its callees'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

__all__ = ["inline_kernel", "kernel", "parallel_kernel"]

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` for one thread; IEEE arithmetic (no fast-math), so batch and stream agree to the bit."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inline_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` into its callers: for the small steps that kernels of the same file share."""
    return cast(Callable[P, R], numba.njit(inline="always", error_model="numpy")(function))


def parallel_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with `numba.prange` spread over the threads numba is given."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, parallel=True, error_model="numpy")(function))
