from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto import gallery
from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.gallery import Card
from impasto.images import load_image
from impasto.recipe import Input, locate

every_picture = pytest.mark.parametrize("name", gallery.names())


def test_a_dozen_paintings_and_two_photographs() -> None:
    assert len(gallery.names("painting")) == 12
    assert gallery.names("photograph") == ("astronaut", "coffee")
    assert gallery.names() == gallery.names("painting") + gallery.names("photograph") == tuple(gallery.cards())


def test_a_picture_for_every_card_and_a_card_for_every_picture() -> None:
    folder = Path(gallery.__file__).parent
    assert {path.stem for path in folder.glob("*.webp")} == set(gallery.names())


def test_together_they_stay_small() -> None:
    assert sum(gallery.path(name).stat().st_size for name in gallery.names()) <= 2_000_000


@every_picture
def test_every_picture_decodes(name: str) -> None:
    with Image.open(gallery.path(name)) as image:
        assert (image.format, image.mode) == ("WEBP", "RGB")
        assert 300 <= min(image.size) <= max(image.size) <= 1080
    picture = load_image(gallery.path(name))
    assert picture.alpha is None
    assert picture.notices == ()
    assert picture.tensor.std() > 0.05


@every_picture
def test_every_card_is_complete(name: str) -> None:
    card = gallery.cards()[name]
    assert card.name == name
    assert name == name.lower()
    texts = [getattr(card, field.name) for field in fields(Card) if field.name != "died"]
    assert all(text and text == text.strip() for text in texts)
    assert any(character.isdigit() for character in card.year)


@pytest.mark.parametrize("name", gallery.names("painting"))
def test_the_painters_died_before_1954(name: str) -> None:
    card = gallery.cards()[name]
    assert card.died is not None
    assert card.died < 1954
    assert "public domain" in card.rights


@pytest.mark.parametrize("name", gallery.names("photograph"))
def test_the_photographs_are_free(name: str) -> None:
    card = gallery.cards()[name]
    assert card.died is None
    assert "public domain" in card.rights or "CC0" in card.rights


def test_cards_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        gallery.cards()["wave"] = gallery.cards()["udnie"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("stary_night", r"did you mean starry_night\?"),
        ("Starry_Night", r"did you mean starry_night\?"),
        ("photo.jpg", "`impasto gallery` lists them"),
        ("", "`impasto gallery` lists them"),
        ("../gallery/wave", "gallery"),
    ],
)
def test_an_unknown_name_is_told(name: str, mend: str) -> None:
    for find in (gallery.path, lambda name: gallery.resolve(f"gallery:{name}"), lambda n: load_image(f"gallery:{n}")):
        with pytest.raises(ImpastoError, match=rf"^gallery:{name} is not in the gallery; .*{mend}"):
            find(name)


def test_only_the_prefix_means_the_gallery() -> None:
    assert gallery.resolve("gallery:wave") == gallery.resolve(Path("gallery:wave")) == gallery.path("wave")
    for other in ("wave", "wave.jpg", "./gallery:wave", "folder/gallery:wave"):
        assert gallery.resolve(other) == Path(other)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_name_is_read_as_a_picture(kind: type) -> None:
    picture = load_image(kind("gallery:starry_night"))
    assert picture.name == "gallery:starry_night"
    assert picture.sha256 == file_sha256(gallery.path("starry_night"))
    assert torch.equal(picture.tensor, load_image(gallery.path("starry_night")).tensor)


class TestLocate:
    def test_by_name(self, tmp_path: Path) -> None:
        there = gallery.path("wave")
        assert locate(Input("gallery:wave", file_sha256(there)), beside=tmp_path) == there

    def test_in_place_of_a_file(self, tmp_path: Path) -> None:
        there = gallery.path("wave")
        assert locate(Input("wave.webp", file_sha256(there)), beside=tmp_path, override="gallery:wave") == there

    def test_another_version_of_the_picture(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"is not the file the picture was made from .* with `--style`"):
            locate(Input("gallery:wave", "0" * 64), beside=tmp_path, option="--style")

    def test_a_picture_that_was_removed(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"^gallery:mona_lisa is not in the gallery"):
            locate(Input("gallery:mona_lisa", "0" * 64), beside=tmp_path)


def test_names_and_cards_load_nothing_heavy() -> None:
    code = "import sys; from impasto import gallery; gallery.cards(); gallery.path('wave'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "PIL", "typer"} & set(loaded)
