from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.recipe import LARGEST, Input, Recipe, locate

HASH = "0123456789abcdef" * 4

RECIPE = Recipe(
    version="0.1.0",
    content=Input("photo.jpg", HASH),
    styles=(Input("night.png", "a" * 64), Input("wave.png", "b" * 64)),
    settings={"size": 512, "content_weight": 1e-3, "style_weights": (0.7, 0.3), "style_layers": {"relu1_1": 1.0}},
    extractor="vgg19",
    extractor_sha256="c" * 64,
    torch="2.6.0",
    threads=2,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
inputs = st.builds(Input, name=st.text(), sha256=hashes)
recipes = st.builds(
    Recipe,
    version=st.text(),
    content=inputs,
    styles=st.lists(inputs, min_size=1, max_size=3).map(tuple),
    settings=st.dictionaries(st.text(), scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars), max_size=5),
    extractor=st.text(),
    extractor_sha256=hashes,
    torch=st.text(),
    threads=st.integers(1, 1024),
    init_image=st.none() | inputs,
)


#: Pictures that a network painted, and that nothing looked at.
instant = st.builds(
    lambda recipe, model: replace(recipe, model=model, extractor=None, extractor_sha256=None), recipes, inputs
)
hybrid = st.builds(lambda recipe, model: replace(recipe, model=model), recipes, inputs)


def test_without_folders() -> None:
    names = {
        "/home/Jane Doe/private/p.jpg": "p.jpg",
        "C:\\Users\\J\\p.jpg": "p.jpg",
        "gallery:wave": "gallery:wave",
        "": "",
    }
    for typed, bare in names.items():
        given = Input(typed, HASH)
        settings = {**RECIPE.settings, "init": typed, "extractor": typed, "model": None}
        recipe = replace(RECIPE, content=given, styles=(given,), init_image=given, model=given, settings=settings)
        found = recipe.without_folders()
        assert "private" not in found.to_json()
        wanted = Input(bare, HASH)
        assert (found.content, found.styles, found.init_image, found.model) == (wanted, (wanted,), wanted, wanted)
        assert found.settings == {**settings, "init": bare, "extractor": bare, "style_weights": [0.7, 0.3]}
    assert RECIPE.without_folders() == RECIPE


@given(recipes | instant | hybrid)
def test_what_is_written_is_read(recipe: Recipe) -> None:
    text = recipe.to_json()
    assert Recipe.from_json(text) == recipe
    assert Recipe.from_json(text).to_json() == text
    assert text.isascii()
    assert "\n" not in text


def test_text_is_stable() -> None:
    shuffled = replace(RECIPE, settings=dict(reversed(RECIPE.settings.items())))
    assert shuffled.to_json() == RECIPE.to_json()
    assert RECIPE.to_json() == (
        '{"content":{"name":"photo.jpg","sha256":"'
        + HASH
        + '"},"extractor":"vgg19","extractor_sha256":"'
        + "c" * 64
        + '",'
        '"init_image":null,"settings":{"content_weight":0.001,"size":512,"style_layers":{"relu1_1":1.0},'
        '"style_weights":[0.7,0.3]},"styles":[{"name":"night.png","sha256":"' + "a" * 64 + '"},'
        '{"name":"wave.png","sha256":"' + "b" * 64 + '"}],"threads":2,"torch":"2.6.0","version":"0.1.0"}'
    )


def test_a_file_name_that_is_not_utf8_survives() -> None:
    recipe = replace(RECIPE, content=Input("caf\udce9.jpg", HASH))
    assert Recipe.from_json(recipe.to_json()).content.name == "caf\udce9.jpg"


@pytest.mark.parametrize("text", ["", "painted by hand", "{", "[" * 100_000, "NaN", '{"a":Infinity}'])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ImpastoError, match=r"^the recipe is damaged: it is not JSON$"):
        Recipe.from_json(text)


def mangled(**changes: object) -> str:
    return json.dumps({**json.loads(RECIPE.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it has to be an object"),
        ("{}", "it lacks content, extractor"),
        (mangled(mood="blue"), "it has unknown parts (mood)"),
        (mangled(styles=[]), "styles has to be a list of at least one image"),
        (mangled(styles={"name": "a", "sha256": HASH}), "styles has to be a list"),
        (mangled(styles=["night.png"]), "styles has to be an object"),
        (mangled(content={"name": "photo.jpg"}), "content lacks sha256"),
        (mangled(content={"name": 3, "sha256": HASH}), "name has to be text"),
        (mangled(content={"name": "photo.jpg", "sha256": HASH.upper()}), "sha256 has to be 64 hexadecimal digits"),
        (mangled(extractor_sha256="abc"), "extractor_sha256 has to be 64 hexadecimal digits"),
        (mangled(settings=[1]), "settings has to be an object"),
        (mangled(threads=0), "threads has to be a number from 1 up"),
        (mangled(threads=True), "threads has to be a number from 1 up"),
        (mangled(threads="2"), "threads has to be a number from 1 up"),
        (mangled(version=None), "version has to be text"),
        (mangled(init_image="noise.png"), "init_image has to be an object"),
        (mangled(extractor=None, extractor_sha256=None), "extractor has to be text"),
        (mangled(model=None), "model has to be an object"),
        (mangled(model={"name": "", "sha256": HASH}, extractor=None), "extractor has to be text"),
    ],
)
def test_a_mangled_recipe_is_refused_and_the_part_named(text: str, message: str) -> None:
    with pytest.raises(ImpastoError, match=re.escape(f"the recipe is damaged: {message}")):
        Recipe.from_json(text)


@given(
    st.text() | st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(json.dumps)
)
def test_no_other_text_breaks_it(text: str) -> None:
    with pytest.raises(ImpastoError):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("settings", "without", "name"),
    [
        ({"init": "/any/picture.png"}, {}, "init"),
        ({"init": 5}, {}, "init"),
        ({"model": "/any/network.safetensors"}, {}, "model"),
        ({"extractor": "/any/weights.pth"}, {"extractor": None, "extractor_sha256": None}, "extractor"),
    ],
)
def test_a_file_without_its_hash(settings: dict[str, object], without: dict[str, None], name: str) -> None:
    """It might be anybody's."""
    parts = json.loads(RECIPE.to_json())
    if without:
        parts["model"] = {"name": "", "sha256": HASH}
    text = json.dumps({**parts, **without, "settings": settings})
    with pytest.raises(ImpastoError, match=f"its settings name a file for {name}, and it has no hash of it"):
        Recipe.from_json(text)
    assert Recipe.from_json(json.dumps({**parts, "settings": {"init": "noise", "extractor": "vgg19"}}))


def test_where_a_run_was_stopped() -> None:
    stopped = replace(RECIPE, stopped=7)
    assert json.loads(stopped.to_json())["stopped"] == 7
    assert "stopped" not in json.loads(RECIPE.to_json())
    assert Recipe.from_json(stopped.to_json()) == stopped
    for wrong in (0, -1, 1.5, True, "7", None):
        text = json.dumps({**json.loads(RECIPE.to_json()), "stopped": wrong})
        with pytest.raises(ImpastoError, match="stopped has to be a number from 1 up"):
            Recipe.from_json(text)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "9" * 5000])
def test_numbers_that_no_setting_can_have(number: str) -> None:
    text = RECIPE.to_json().replace('"size":512', f'"size":{number}')
    assert number in text
    with pytest.raises(ImpastoError, match="the recipe is damaged: it is not JSON"):
        Recipe.from_json(text)


def test_settings_have_to_be_plain_numbers() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        replace(RECIPE, settings={"content_weight": float("nan")})


class TestLocate:
    @staticmethod
    def write(path: Path, data: bytes = b"pixels") -> Input:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Input(str(path), hashlib.sha256(data).hexdigest())

    @pytest.mark.parametrize("name", ["a.jpg", "photos/a.jpg", "/photos/a.jpg", "../a.jpg"])
    def test_beside_the_picture(self, tmp_path: Path, name: str) -> None:
        there = tmp_path / "a.jpg"
        found = replace(self.write(there), name=name)
        assert locate(found, beside=tmp_path / "out.png") == there
        assert locate(found, beside=tmp_path) == there

    def test_nowhere_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A recipe comes from anybody: what it names is not opened, not even to look at its hash."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "made").mkdir()
        for name in ("a.jpg", "made/deeper/a.jpg"):
            found = self.write(tmp_path / name)
            for written in (found.name, name, f"../{name}"):
                with pytest.raises(ImpastoError, match=r"made/a\.jpg is not there"):
                    locate(replace(found, name=written), beside="made/out.png")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
    def test_only_files(self, tmp_path: Path) -> None:
        """Of a pipe nobody would ever see the end."""
        os.mkfifo(tmp_path / "a.jpg")
        (tmp_path / "zeros").symlink_to("/dev/zero")
        for name in ("a.jpg", "zeros"):
            with pytest.raises(ImpastoError, match="is not there"):
                locate(Input(name, HASH), beside=tmp_path)

    def test_larger_than_any_input(self, tmp_path: Path) -> None:
        with (tmp_path / "a.jpg").open("wb") as file:
            file.truncate(LARGEST + 1)
        with pytest.raises(ImpastoError, match="is not the file the picture was made from"):
            locate(Input("a.jpg", HASH), beside=tmp_path)

    def test_where_the_user_says(self, tmp_path: Path) -> None:
        moved = replace(self.write(tmp_path / "moved.jpg"), name="gone.jpg")
        assert locate(moved, beside=tmp_path, override=tmp_path / "moved.jpg") == tmp_path / "moved.jpg"

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"gone\.jpg is not there: say where it lies now with style$"):
            locate(Input("gone.jpg", HASH), beside=tmp_path, option="style")

    def test_changed(self, tmp_path: Path) -> None:
        there = tmp_path / "a.jpg"
        self.write(there)
        with pytest.raises(ImpastoError, match=rf"^{re.escape(str(there))} is not the file .* with content$"):
            locate(Input(str(there), HASH), beside=tmp_path)
        with pytest.raises(ImpastoError, match="is not the file"):
            locate(Input("gone.jpg", HASH), beside=tmp_path, override=there)

    def test_the_users_word_is_not_second_guessed(self, tmp_path: Path) -> None:
        """With --content given, a matching file elsewhere is not taken silently."""
        matching = self.write(tmp_path / "a.jpg")
        self.write(tmp_path / "b.jpg", b"another picture")
        with pytest.raises(ImpastoError, match=r"b\.jpg is not the file"):
            locate(matching, beside=tmp_path, override=tmp_path / "b.jpg")

    def test_an_image_from_python_has_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"impasto\.stylize"):
            locate(Input("", HASH), beside=tmp_path)
