from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.training.memory import Memory


def test_what_was_written_is_read(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (5, 3, 32, 32), generator=generator).byte()
    maps = {"relu4_1": torch.rand(5, 512, 4, 4, generator=generator), "relu5_1": 9 * torch.ones(5, 512, 2, 2)}
    memory = Memory(tmp_path / "memory", 8, 32, maps)
    assert not memory.found
    memory.write(0, images[:2], {layer: part[:2] for layer, part in maps.items()})
    memory.write(2, images[2:], {layer: part[2:] for layer, part in maps.items()})
    again = Memory(tmp_path / "memory", 8, 32, maps)
    assert again.found
    for one in (memory, again):
        read, targets = one.read([4, 0, 4])
        assert torch.equal(read, images[[4, 0, 4]].float() / 255)
        assert targets.keys() == maps.keys()
        for layer, part in maps.items():
            assert torch.equal(targets[layer], part[[4, 0, 4]].half().float()), layer


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"memory: needs 1437696000.0 GB of disk; make room or lower memory"):
        Memory(tmp_path / "memory", 10**12, 192, ["relu4_1", "relu4_2", "relu5_1"])
    assert not list((tmp_path / "memory").iterdir())
