from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.training.journal import GAP, Journal, sheet


class Brighter(nn.Module):
    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return (content + 0.5).clamp(0, 1)


PAIRS = [
    (torch.zeros(1, 3, 20, 30), torch.full((1, 3, 24, 10), 0.25)),
    (torch.full((1, 3, 16, 16), 0.4), torch.full((1, 3, 16, 16), 0.75)),
]


def test_a_row_of_the_sheet_is_content_style_and_output() -> None:
    picture = sheet(Brighter(), PAIRS)
    height, width = 24 + GAP, 30 + GAP
    assert picture.shape == (1, 3, 2 * height, 3 * width)
    assert [picture[0, 0, 0, column * width].item() for column in range(3)] == pytest.approx([0, 0.25, 0.5])
    assert [picture[0, 0, height, column * width].item() for column in range(3)] == pytest.approx([0.4, 0.75, 0.9])
    assert picture[0, 0, height - 1, 0] == 1, "paper between the pictures"


def test_curves_and_sheets(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    journal = Journal(tmp_path / "new" / "folder", PAIRS, every=2)
    for step in (1, 2, 3):
        journal.write(step, {"style": 1 / step}, Brighter())
    journal.close(Brighter())
    for name in ("sheet-000002.png", "sheet-000003.png"):
        with Image.open(tmp_path / "new" / "folder" / name) as picture:
            assert picture.size == (3 * (30 + GAP), 2 * (24 + GAP))
    assert not (tmp_path / "new" / "folder" / "sheet-000001.png").exists()
    accumulator = events.EventAccumulator(str(tmp_path / "new" / "folder")).Reload()
    assert [(point.step, point.value) for point in accumulator.Scalars("style")] == [
        (1, 1.0),
        (2, 0.5),
        (3, pytest.approx(1 / 3)),
    ]


def test_what_a_resumed_run_does_again_is_dropped(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, value in ((0, 9.0), (1, 1.0)):
        journal = Journal(tmp_path, PAIRS, first=first)
        for step in range(first + 1, 4):
            journal.write(step, {"style": value}, Brighter())
        journal.close(Brighter())
    accumulator = events.EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in accumulator.Scalars("style")] == [(1, 9.0), (2, 1.0), (3, 1.0)]


def test_without_a_folder_nothing_is_written() -> None:
    journal = Journal(None, PAIRS, every=1)
    journal.write(1, {"style": 1.0}, nn.Identity())
    journal.close(nn.Identity())
    assert journal.folder is None
