from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """contents/ smooth and dull, styles/ striped and colored, 21 each, so that one of each is held out."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name in ("contents", "styles"):
        (folder / name).mkdir()
        for index in range(21):
            if name == "contents":
                coarse = generator.integers(60, 200, (5, 5, 1), dtype=np.uint8).repeat(3, 2)
            else:
                coarse = generator.integers(0, 256, (24, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21 smooth pictures in many colors."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for index in range(21):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    return folder
