from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from impasto.errors import ImpastoError
from impasto.lessons import drawn
from impasto.lessons.celeba import ATTRIBUTES, read_celeba
from impasto.lessons.drawn import DRAWN, draw_face, draw_faces

HAIR = {"Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"}


def forced(has: set[str], seed: int = 3, side: int = 64) -> np.ndarray:
    """A face that has just these; all that is drawn at random comes out alike for the same seed."""
    return np.asarray(draw_face(np.random.default_rng(seed), side, has)[0], np.int16)


def test_the_same_seed_draws_the_same_files(tmp_path: Path) -> None:
    one, two = (draw_faces(tmp_path / name, 5, 7, side=32) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 6
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_the_first_of_many_are_those_of_few(tmp_path: Path) -> None:
    few, many = draw_faces(tmp_path / "few", 2, 7, side=32), draw_faces(tmp_path / "many", 4, 7, side=32)
    for name in ("000001.jpg", "000002.jpg"):
        path = Path("img_align_celeba") / name
        assert (few / path).read_bytes() == (many / path).read_bytes()


def test_another_seed_draws_other_faces(tmp_path: Path) -> None:
    one, two = (read_celeba(draw_faces(tmp_path / str(seed), 6, seed, side=32)) for seed in (1, 2))
    assert not (one.load(32) == two.load(32)).all()
    assert not (one.labels == two.labels).all()


def test_the_format_is_celebas(tmp_path: Path) -> None:
    celeba = read_celeba(draw_faces(tmp_path / "data", 3, 0))
    assert celeba.attributes == ATTRIBUTES
    assert celeba.image(0).shape == (3, 218, 178)
    header, first, *_ = (tmp_path / "data" / "list_attr_celeba.csv").read_text().splitlines()
    assert header.startswith("image_id,5_o_Clock_Shadow,Arched_Eyebrows,Attractive,")
    assert set(first.split(",")[1:]) == {"1", "-1"}


def test_shares_and_what_excludes_what() -> None:
    faces = [drawn._choose(np.random.default_rng([0, number])) for number in range(2000)]
    assert set().union(*faces) == set(DRAWN) <= set(ATTRIBUTES)
    for has in faces:
        assert len(has & HAIR) <= 1
        assert not (has & {"Bald", "Wearing_Hat"} and "Bangs" in has)
        assert not ("Bald" in has and has & HAIR)
    for name in ("Smiling", "Eyeglasses", "Wearing_Hat", "No_Beard"):
        share = sum(name in has for has in faces) / len(faces)
        assert share == pytest.approx(DRAWN[name], abs=0.04), name


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_every_label_can_be_seen_and_changes_nothing_else(name: str) -> None:
    with_it, without = (forced(has) for has in ({"Smiling"} ^ {name}, {"Smiling"}))
    assert with_it.shape == without.shape == (78, 64, 3)
    differs = np.abs(with_it - without).max(axis=2)
    inside = differs[7:71]  # the central square of 78 rows, all that is learned from
    assert (inside > 20).sum() >= 12, "far more than the noise, whose deviation is 5"
    assert (differs == 0).mean() > 0.5, "chance fell alike: the background is the same, noise and all"


def test_hair_is_of_the_color_it_is_called() -> None:
    def crown(name: str) -> np.ndarray:
        """The color above the forehead, the median of several faces."""
        faces = [forced({name, "No_Beard"}, seed) for seed in range(15)]
        return np.median([face[13:16, 28:36].mean(axis=(0, 1)) for face in faces], axis=0)

    black, blond, gray = crown("Black_Hair"), crown("Blond_Hair"), crown("Gray_Hair")
    assert black.mean() < 60 < gray.mean()
    assert blond[0] - blond[2] > 60, "yellow: much red, little blue"
    assert np.ptp(gray) < 32, "gray, but for the jitter of 16 a channel"


@pytest.mark.parametrize(
    ("count", "seed", "side", "message"),
    [(0, 0, 32, "count: 0 is below 1"), (1, -1, 32, "seed: -1 is below 0"), (1, 0, 15, "side: 15 is below 16")],
)
def test_numbers_out_of_range(tmp_path: Path, count: int, seed: int, side: int, message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        draw_faces(tmp_path / "data", count, seed, side=side)
    assert not (tmp_path / "data").exists()


def test_a_data_set_is_never_drawn_over(tmp_path: Path) -> None:
    draw_faces(tmp_path, 1, 0, side=32)
    with pytest.raises(ImpastoError, match="holds a data set already; name another folder"):
        draw_faces(tmp_path, 1, 0, side=32)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImpastoError, match="cannot be made"):
        draw_faces(tmp_path / "file" / "data", 1, 0, side=32)
