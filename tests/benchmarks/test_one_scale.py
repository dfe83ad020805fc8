from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from impasto.images import save_image
from runner import HERE, stylize


@pytest.mark.parametrize(
    ("program", "scales"), [([HERE / "one_scale.py"], ["128"]), (["-m", "impasto"], ["64", "128"])]
)
def test_all_steps_at_the_full_size(
    program: list[str | Path], scales: list[str], tmp_path: Path, pair: tuple[Tensor, Tensor]
) -> None:
    for name, image in zip(("photo.png", "painting.png"), pair, strict=True):
        save_image(tmp_path / name, image)
    record = stylize(
        tmp_path / "photo.png",
        tmp_path / "painting.png",
        tmp_path / "out.png",
        size=128,
        threads=1,
        extractor="compact",
        options=["--steps", "2"],
        program=program,
    )
    assert list(record["scales"]) == scales
    assert record["steps"] == 2
    assert 0 < record["picture_seconds"] <= record["seconds"]
