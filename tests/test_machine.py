from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from impasto import machine
from impasto.errors import ImpastoError
from impasto.machine import (
    freed_memory_kept,
    give_memory_back,
    has_fast_bf16,
    machine_memory,
    resident_memory,
    resolve_device,
    resolve_precision,
    whose_openmp,
)


def test_auto_finds_a_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto") == expected
    assert resolve_device("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ImpastoError, match=r"^device: cuda is not on this machine; there is cpu$"):
        resolve_device("cuda")


def test_bf16_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("impasto.machine.has_fast_bf16", lambda device, fast=fast: fast)
        assert resolve_precision("auto", "cpu") == expected
    assert resolve_precision("fp32", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == "bf16"


def test_asking_the_processor_gives_an_answer() -> None:
    assert has_fast_bf16("cpu") in (True, False)
    assert has_fast_bf16("mps") is False


def test_torch_says_as_well_whether_it_has_openmp() -> None:
    assert (whose_openmp() is not None) == torch.backends.openmp.is_available()


def test_whose_openmp_it_is() -> None:
    """Of the builds of torch that bring one along, by its file."""
    makers = {"libgomp": "GNU OpenMP", "libomp": "LLVM's or Intel's OpenMP", "libiomp5": "LLVM's or Intel's OpenMP"}
    files = [file.name.split(".")[0].split("-")[0] for file in (Path(torch.__file__).parent / "lib").iterdir()]
    bundled = [maker for file, maker in makers.items() if file in files]
    if not bundled:
        pytest.skip("this build of torch brings none along")
    assert whose_openmp() == bundled[0]


def _held_after_large_blocks() -> int:
    """Bytes that the process holds of twelve blocks of 40 MB, after it has let them go."""
    give_memory_back()
    before = resident_memory()
    blocks = [torch.ones(10 * 2**20) for _ in range(12)]
    assert sum(block.sum() for block in blocks) == 120 * 2**20
    del blocks
    return resident_memory() - before


def _held_within_and_after() -> tuple[int, int]:
    with freed_memory_kept():
        within = _held_after_large_blocks()
    return within, _held_after_large_blocks()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell")
def test_freed_memory_is_kept_for_that_long() -> None:
    """In a process of its own: what other tests have left in use may lie above the blocks, and hold them fast."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        within, after = process.submit(_held_within_and_after).result()
    assert within > 400 * 2**20
    assert after < 80 * 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell")
def test_memory_that_is_in_use() -> None:
    give_memory_back()
    before = resident_memory()
    taken = torch.ones(64, 2**20, dtype=torch.uint8)
    during = resident_memory() - before
    assert 60 * 2**20 < during < 80 * 2**20
    del taken
    give_memory_back()
    assert resident_memory() - before < 20 * 2**20


def test_memory_of_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    assert resident_memory() == 0


def test_memory_of_the_machine_and_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CONTAINER_LIMITS", (tmp_path / "new", tmp_path / "old"))
    physical = machine_memory()
    assert physical is not None
    assert physical > 2**28
    (tmp_path / "new").write_text("max\n")
    assert machine_memory() == physical
    (tmp_path / "old").write_text("300000000\n")
    assert machine_memory() == 300_000_000
    monkeypatch.delattr(os, "sysconf")
    assert machine_memory() is None
