from __future__ import annotations

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.machine import has_fast_bf16, keep_freed_memory, resolve_device, resolve_precision


def test_auto_finds_a_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto") == expected
    assert resolve_device("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ImpastoError, match="--device cuda: not on this machine; there is cpu"):
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


def test_keeping_memory_changes_no_result() -> None:
    before = torch.arange(1_000_000.0).sum()
    keep_freed_memory()
    assert torch.equal(torch.arange(1_000_000.0).sum(), before)
