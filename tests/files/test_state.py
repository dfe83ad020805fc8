from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.files.state import write_state


def test_there_and_back(tmp_path: Path) -> None:
    write_state(tmp_path / "run", {"step": 3, "w": torch.arange(3.0)})
    state = torch.load(tmp_path / "run", weights_only=True)
    assert state["step"] == 3
    assert torch.equal(state["w"], torch.arange(3.0))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="cannot be written"):
        write_state(tmp_path / "gone" / "run", {"step": 3})
