from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files.plain import read_rgb, to_tensor


def test_files_and_streams(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", BytesIO((tmp_path / "a.png").read_bytes())):
        picture = read_rgb(source, "a")
        assert np.array_equal(np.asarray(picture), pixels)
        assert np.array_equal(to_tensor(picture).permute(1, 2, 0).numpy(), pixels)


def test_large_ones_are_reduced(tmp_path: Path) -> None:
    Image.new("L", (300, 150), 9).save(tmp_path / "a.jpg")
    assert read_rgb(tmp_path / "a.jpg", "a", longest=100).size == (100, 50)
    assert read_rgb(tmp_path / "a.jpg", "a", longest=300).size == (300, 150)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.jpg: damaged or no image; remove it or get it again"),
        (b"no image", "a.jpg: damaged or no image"),
        # Pillow would hand it to Ghostscript, whatever its name.
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "a.jpg: damaged or no image"),
        (None, "a.jpg: damaged or no image"),
    ],
    ids=["empty", "text", "postscript", "gone"],
)
def test_what_is_no_image(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImpastoError, match=message):
        read_rgb(tmp_path / "a.jpg", "a.jpg")


def test_one_cut_short(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    with pytest.raises(ImpastoError, match=r"a\.png: damaged or no image"):
        read_rgb(tmp_path / "a.png", "a.png")


def test_one_that_would_fill_the_memory(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "a.png")
    with pytest.raises(ImpastoError, match=r"a\.png: 9000 x 9000 pixels are too many; remove it"):
        read_rgb(tmp_path / "a.png", "a.png")


def test_many_threads(tmp_path: Path) -> None:
    for number in range(8):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"{number}.png")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: read_rgb(tmp_path / f"{number}.png", "a"), range(8)))
    assert [picture.getpixel((0, 0))[0] for picture in found] == list(range(8))  # type: ignore[index]
