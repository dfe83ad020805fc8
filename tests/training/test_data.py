from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto.errors import ImpastoError
from impasto.training.data import augment, crops, list_images, read_images


def fill(folder: Path, count: int) -> None:
    for index in range(count):
        Image.new("RGB", (40 + index, 30), (index, 0, 0)).save(folder / f"{index:03}.png")


def test_every_twentieth_is_for_validation(tmp_path: Path) -> None:
    fill(tmp_path, 41)
    assert [path.name for path in list_images(tmp_path, "validation")] == ["000.png", "020.png", "040.png"]
    assert len(list_images(tmp_path, "train")) == 38


def test_the_manifest_decides(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (tmp_path / "manifest.csv").write_text("file,split\n002.png,train\n000.png,validation\n", encoding="utf-8")
    assert list_images(tmp_path, "train") == [tmp_path / "002.png"]
    assert list_images(tmp_path, "validation") == [tmp_path / "000.png"]


def test_mistakes(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ImpastoError, match=f"style: {folder} has no train images; name a folder with at least 20"):
            list_images(folder, "train", "style")
    (tmp_path / "manifest.csv").write_text("name,part\na.png,train\n", encoding="utf-8")
    with pytest.raises(ImpastoError, match=r"manifest\.csv: is no table with the columns file and split"):
        list_images(tmp_path)


def test_a_manifest_beside_the_folder_decides(tmp_path: Path) -> None:
    rows = ["file,split", "a/0.png,train", "a/1.png,validation", "b/2.png,train"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    assert list_images(tmp_path / "a", "train") == [tmp_path / "a" / "0.png"]
    assert list_images(tmp_path / "a", "validation") == [tmp_path / "a" / "1.png"]
    with pytest.raises(ImpastoError, match=r"data: .*b has no validation images"):
        list_images(tmp_path / "b", "validation")


@pytest.mark.parametrize("name", ["../a.png", "b/../../a.png", "/a.png"])
def test_a_manifest_names_only_what_lies_below_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"file,split\n{name},train\n", encoding="utf-8")
    with pytest.raises(ImpastoError, match=r"manifest\.csv: names a file outside its folder, '.*'; remove that row"):
        list_images(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipes(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    os.mkfifo(tmp_path / "0.png")
    assert tmp_path / "0.png" not in list_images(tmp_path, "train") + list_images(tmp_path, "validation")
    (tmp_path / "manifest.csv").write_text("file,split\n0.png,train\n", encoding="utf-8")
    with pytest.raises(ImpastoError, match=r"manifest\.csv: '0\.png' is no regular file; remove that row"):
        list_images(tmp_path)
    with pytest.raises(ImpastoError, match=r"0\.png: damaged or no image"):
        read_images([tmp_path / "0.png"])


def test_no_other_program_is_started(tmp_path: Path) -> None:
    (tmp_path / "005.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ImpastoError, match=r"005\.jpg: damaged or no image") as caught:
        read_images([tmp_path / "005.jpg"])
    assert "is a PostScript file, which impasto does not read" in str(caught.value.__cause__)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    (tmp_path / "001.png").write_bytes((tmp_path / "001.png").read_bytes()[:50])
    with pytest.raises(ImpastoError, match=r"001\.png: damaged or no image; remove it or get it again"):
        read_images(list_images(tmp_path, "train"))


def test_large_images_are_reduced(tmp_path: Path) -> None:
    Image.new("RGB", (300, 150), "red").save(tmp_path / "a.png")
    (image,) = read_images([tmp_path / "a.png"], longest=100)
    assert image.shape == (3, 50, 100)
    assert image.dtype == torch.uint8
    assert image[0].min() == 255


def test_crops_and_augmentation_follow_the_seed() -> None:
    images = [torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))]

    def batch(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return augment(crops(images, 16, 32, generator), generator)

    assert torch.equal(batch(1), batch(1))
    assert not torch.equal(batch(1), batch(2))
    assert batch(1).shape == (16, 3, 32, 32)
    assert batch(1).min() >= 0
    assert batch(1).max() <= 1


def test_some_rows_stay_as_they_are() -> None:
    plain = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    changed = augment(plain.clone(), torch.Generator().manual_seed(0))
    same = (changed == plain).flatten(1).all(1).sum()
    assert 5 < same < 40
