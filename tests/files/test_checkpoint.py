from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from impasto.errors import ImpastoError
from impasto.files.checkpoint import read_checkpoint, write_checkpoint, write_sealed

MADE_OF = {"settings": {"steps": 3, "widths": (4, 8)}, "faces": "f00d"}


def parts() -> dict[str, Any]:
    network = nn.Linear(2, 2)
    return {"network": network, "optimizer": torch.optim.Adam(network.parameters(), 0.1)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "run", MADE_OF, parts(), {"step": 3})
    return tmp_path / "run"


def test_there_and_back(tmp_path: Path) -> None:
    written, read = parts(), parts()
    written["network"](torch.ones(1, 2)).sum().backward()
    written["optimizer"].step()
    write_checkpoint(tmp_path / "run", MADE_OF, written, {"step": 3, "best": {"w": torch.arange(3.0)}})
    notes = read_checkpoint(tmp_path / "run", MADE_OF, read)
    assert notes["step"] == 3
    assert torch.equal(notes["best"]["w"], torch.arange(3.0))
    assert torch.equal(read["network"].weight, written["network"].weight)
    one, two = (part["optimizer"].state_dict()["state"][0]["exp_avg"] for part in (read, written))
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"settings": {"steps": 4, "widths": (4, 8)}}, "settings"),
        ({"faces": "beef"}, "faces"),
        ({"settings": {}, "faces": ""}, "settings and faces"),
    ],
)
def test_another_training(path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ImpastoError, match=f"run: made with other {told}; remove it or train with the same"):
        read_checkpoint(path, {**MADE_OF, **changed}, parts())


@pytest.mark.parametrize("content", [b"", b"cut short", 300, [1], {"step": 3}, {"made_of": MADE_OF, "parts": {}}])
def test_damaged(path: Path, content: object) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    else:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_sealed(path, [buffer.getvalue()])
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        read_checkpoint(path, MADE_OF, parts())


def test_parts_of_another_shape(path: Path) -> None:
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint"):
        read_checkpoint(path, MADE_OF, {**parts(), "network": nn.Linear(3, 3)})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="gone does not exist; make it first"):
        write_checkpoint(tmp_path / "gone" / "run", MADE_OF, parts(), {})


def test_every_bit_counts(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), 97):
        whole[place] ^= 1 << place % 8
        path.write_bytes(whole)
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
            read_checkpoint(path, MADE_OF, parts())
        whole[place] ^= 1 << place % 8
    path.write_bytes(whole)
    assert read_checkpoint(path, MADE_OF, parts()) == {"step": 3}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run")
    with pytest.raises(ImpastoError, match="run: is a device or a pipe; name a file"):
        read_checkpoint(tmp_path / "run", MADE_OF, parts())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_one_that_may_not_be_read(path: Path) -> None:
    """It is whole: nobody is to remove it."""
    path.chmod(0)
    with pytest.raises(ImpastoError, match=r"run: cannot be read \(Permission denied\); check the name"):
        read_checkpoint(path, MADE_OF, parts())
