"""Where a net runs: choosing a device, saying what it is, and a context in which torch is seeded, single-threaded and deterministic."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import torch
from torch.utils import deterministic

from tradewind.core.settings import require

__all__ = ["DEVICES", "DeviceReport", "choose_device", "report_device", "reproducible", "supports_bfloat16"]

DEVICES: Final = ("auto", "cpu", "cuda")


@final
@dataclass(frozen=True)
class DeviceReport:
    """What a net was trained on. `fallback` says why it was the CPU although another device was asked for; empty when it was not."""

    device: str
    name: str
    threads: int
    bfloat16: bool
    fallback: str = ""

    def values(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def choose_device(wanted: str) -> tuple[torch.device, str]:
    """The device for `auto`, `cpu` or `cuda`, and why it is the CPU when `cuda` was asked for and is not there."""
    require(wanted in DEVICES, f"device {wanted!r} is none of {', '.join(DEVICES)}")
    if wanted == "cpu":
        return torch.device("cpu"), ""
    if torch.cuda.is_available():
        return torch.device("cuda"), ""
    return torch.device("cpu"), "CUDA is not available here" if wanted == "cuda" else ""


def supports_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; elsewhere it is emulated and slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = _cpu()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


def report_device(device: torch.device, threads: int, bfloat16: bool, fallback: str) -> DeviceReport:
    """What is known of `device`."""
    if device.type == "cuda":
        return DeviceReport("cuda", torch.cuda.get_device_name(device), threads, bfloat16, fallback)
    return DeviceReport("cpu", str(_cpu().get("cpu_name") or platform.machine()), threads, bfloat16, fallback)


@contextmanager
def reproducible(seed: int | None, threads: int = 1) -> Iterator[None]:
    """Torch seeded (not when None), with `threads` threads and deterministic kernels where it has them; the caller's ways are restored."""
    was_threads, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    was_warning, was_filling = torch.is_deterministic_algorithms_warn_only_enabled(), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(range(torch.cuda.device_count()), enabled=seed is not None):
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=True)
            deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            if seed is not None:
                torch.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(was_threads)
            torch.use_deterministic_algorithms(was_deterministic, warn_only=was_warning)
            deterministic.fill_uninitialized_memory = was_filling  # type: ignore[attr-defined]


def _cpu() -> dict[str, Any]:
    # Older torch does not tell what the processor can do; then nothing is assumed.
    ask = getattr(torch.cpu, "get_capabilities", None)
    return dict(ask()) if ask is not None else {}
