"""What this machine can do, and torch as the library needs it."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

import torch

from impasto.errors import ImpastoError
from impasto.forks import forked

#: Where Linux tells how much memory a container may take: cgroups in version 2 and 1.
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]


@contextmanager
def own_torch(threads: int | None = None) -> Iterator[None]:
    """Torch as the library needs it, whatever the caller has set; afterwards all is as it was.

    Gradients are on, inference mode and autocast are off, tensors are float32 on the CPU unless said otherwise, and the
    global random numbers do not advance.

    Args:
        threads: CPU threads to take; None for what torch is set to. It is one in the child of a fork, where torch's
            threads are gone and work given to them never ends.
    """
    dtype, count = torch.get_default_dtype(), torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, dtype)
        stack.callback(torch.set_num_threads, count)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # A default device slows down every call of torch.
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.set_default_dtype(torch.float32)
        wanted = 1 if forked() else threads
        if wanted is not None:
            torch.set_num_threads(wanted)
        yield


def resolve_device(name: str) -> Device:
    """``auto`` becomes ``cuda`` or ``mps`` where there is one, ``cpu`` otherwise.

    Raises:
        ImpastoError: the device asked for is not on this machine.
    """
    there: list[Device] = ["cpu"]
    if torch.backends.mps.is_available():
        there.append("mps")
    if torch.cuda.is_available():
        there.append("cuda")
    if name == "auto":
        return there[-1]
    for device in there:
        if device == name:
            return device
    raise ImpastoError(f"{name} is not on this machine; there is {', '.join(there)}", setting="device")


def has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 on ``device``; processors without instructions for it emulate it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def resolve_precision(name: Precision, device: str) -> Precision:
    """``auto`` becomes ``bf16`` where the device is fast at it, ``fp32`` otherwise."""
    if name != "auto":
        return name
    return "bf16" if has_fast_bf16(device) else "fp32"


def whose_openmp() -> str | None:
    """Whose OpenMP torch computes with: GNU's, or LLVM's or Intel's, which are of one make; None without any."""
    folder = Path(torch.__file__).parent / "lib"
    # What is loaded for the whole process comes first, as it does for torch. Windows looks into one file at a time.
    for file in (None, folder / "libtorch_cpu.so", folder / "libtorch_cpu.dylib", folder / "libiomp5md.dll"):
        with suppress(OSError, TypeError):
            library = ctypes.CDLL(None if file is None else str(file))
            if hasattr(library, "omp_get_max_threads"):
                return "LLVM's or Intel's OpenMP" if hasattr(library, "kmp_get_blocktime") else "GNU OpenMP"
    return None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """While this lasts the C library keeps large blocks that were freed, for the next step.

    Every step takes and frees the same hundreds of megabytes. By default glibc hands them back to the system, which has
    to map and clear them again, page by page: some 10 to 15 % of a step's time. Afterwards glibc does so again, with
    the thresholds that it arrives at by itself where blocks of 32 MiB are freed, and all that is free is handed back.
    """
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
        _call_glibc("mallopt", option, value)
    try:
        yield
    finally:
        for option, value in ((M_MMAP_MAX, 65536), (M_MMAP_THRESHOLD, 2**25), (M_TRIM_THRESHOLD, 2**26)):
            _call_glibc("mallopt", option, value)
        give_memory_back()


def give_memory_back() -> None:
    """Hand free memory that the C library still holds back to the system.

    Work in tiles of many sizes leaves holes between blocks in use: hundreds of megabytes after some tiles.
    """
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *values: int) -> None:
    if sys.platform.startswith("linux"):
        with suppress(AttributeError):  # Another C library.
            getattr(ctypes.CDLL(None), name)(*values)


def machine_memory() -> int | None:
    """Bytes of memory that this machine has, or the container allows; None where the system does not tell."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):
        return None
    for limit in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # "max" stands for none.
            found.append(int(limit.read_text()))
    return min(found)


def resident_memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * mmap.PAGESIZE
