from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS
from impasto.settings import METHODS, About, Settings, about, read_size, size_text

NAMES = tuple(item.name for item in fields(Settings))
NUMBERS_OUT_OF_BOUNDS = {
    "size": (-1, 100_001),
    "content_weight": (-1e-9, float("inf"), float("nan")),
    "strength": (-0.1, 1.1, float("nan")),
    "tv_weight": (-1.0, float("nan")),
    "detail": (-0.1, 1.1),
    "steps": (0, -3, 1_000_001),
    "seed": (-1, 2**63, 10**400),
    "threads": (0, 1025),
    "max_pixels": (0, -1),
}
WRONG_TYPES = {
    "size": ("512", 3.5, True, None, [3]),
    "content_weight": ("1e-3", True, None, (1,)),
    "strength": ("1", None),
    "tv_weight": ("0", None),
    "detail": ("0.5", True),
    "steps": (12.5, "12", False),
    "seed": (1.0, "0", None),
    "threads": (2.5, "2"),
    "max_pixels": (1e6, "1", None),
    "method": (1, None, "Refine"),
    "preserve_color": (True, "hue"),
    "optimizer": (0, "sgd"),
    "style_loss": (0, "texture"),
    "normalization": (None, "mse"),
    "pooling": (2, "mean"),
    "runtime": (1, "jax"),
    "device": (0, "tpu"),
    "precision": (16, "fp16"),
    "init": (3, None, b"noise"),
    "extractor": (3, None, ["vgg19"]),
    "model": (3, ["a"]),
    "max_memory": (1.5, True, [1]),
    "style_weights": ("0.7,0.3", [1, "2"], [[1.0]], {"a": 1}, [-1.0], [float("nan")], -1.0),
    "content_layers": ("relu4_2", ["relu4_2"], {"relu4_2": "1"}, {"relu4_2": -1}, {4: 1.0}, 3, {"relu9_1": 1.0}),
    "style_layers": ("relu4_2", [1], {"relu1_1": None}, {"relu1_1": float("inf")}, {None: 1.0}, {"pixels": 1.0}),
}


def method_of(name: str) -> str:
    """A method that knows the setting."""
    return next(method for method in METHODS if method in about(Settings)[name].methods)


def checked(name: str, value: Any) -> Settings:
    return Settings.check({"method": method_of(name), name: value})


def refusal(given: dict[str, Any]) -> ImpastoError:
    with pytest.raises(ImpastoError) as caught:
        Settings.check(given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return caught.value


class TestDefaults:
    def test_nothing_given(self) -> None:
        assert Settings.check({}) == Settings()
        assert Settings().given() == {}

    @pytest.mark.parametrize("name", NAMES)
    def test_each_default_is_in_order(self, name: str) -> None:
        if getattr(Settings, name) is not None and name != "method":
            assert getattr(checked(name, getattr(Settings, name)), name) == getattr(Settings, name)

    @pytest.mark.parametrize("name", NAMES)
    def test_each_is_described(self, name: str) -> None:
        facts = about(Settings)[name]
        assert isinstance(facts, About)
        assert facts.help.endswith((".", ")."))
        assert not facts.help.startswith("Of ")
        assert facts.methods <= set(METHODS)
        assert "\n" not in facts.help

    def test_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Settings().size = 3  # type: ignore[misc]
        assert replace(Settings(), size=3).size == 3


class TestMistakes:
    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in NUMBERS_OUT_OF_BOUNDS.items() for value in values]
    )
    def test_out_of_bounds(self, name: str, value: float) -> None:
        error = refusal({"method": method_of(name), name: value})
        assert error.setting == name
        assert "is out of range; give a" in str(error)
        assert str(error).startswith(f"{name}: ")

    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in WRONG_TYPES.items() for value in values]
    )
    def test_wrong_type(self, name: str, value: Any) -> None:
        error = refusal({"method": method_of(name), name: value})
        assert error.setting == name
        assert str(error).startswith(f"{name}: ")

    def test_every_setting_has_a_wrong_type_above(self) -> None:
        assert set(WRONG_TYPES) == set(NAMES)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"size": -1}, "size: -1 is out of range; give a whole number from 0 to 100000"),
            ({"size": 1.5}, "size: 1.5 is out of range; give a whole number from 0 to 100000"),
            ({"seed": -1}, "seed: -1 is out of range; give a whole number from 0 to 9223372036854775807"),
            ({"content_weight": -1}, "content_weight: -1 is out of range; give a number from 0 up"),
            ({"detail": 2}, "detail: 2 is out of range; give a number from 0 to 1"),
            ({"style_loss": "texture"}, "style_loss: 'texture' is unknown; give gram"),
            ({"optimizer": "sgd"}, "optimizer: 'sgd' is unknown; give lbfgs or adam"),
            ({"method": "magic"}, "method: 'magic' is unknown; give refine, instant or hybrid"),
            ({"init": 3}, "init: 3 cannot be used; give text"),
            ({"style_weights": "1"}, "style_weights: '1' cannot be used; give numbers from 0 up"),
            (
                {"style_layers": {"relu1_1": -1}},
                "style_layers: {'relu1_1': -1} cannot be used; give layers and their weights, from 0 up",
            ),
            (
                {"style_layers": {"relu9_1": 1}},
                "style_layers: 'relu9_1' is no layer; write for example relu4_2",
            ),
            ({"max_memory": "2X"}, "max_memory: '2X' is no amount of memory; write for example 2G, 1.5G or 500M"),
            ({"max_memory": 0}, "max_memory: '0' is no amount of memory; write for example 2G, 1.5G or 500M"),
        ],
    )
    def test_words(self, given: dict[str, Any], message: str) -> None:
        assert str(refusal(given)) == message

    def test_an_unknown_name(self) -> None:
        error = refusal({"colour": "red"})
        assert str(error).startswith("colour: no such setting; there are content_layers, content_weight, detail, ")
        for name in NAMES:
            assert name in str(error)

    @pytest.mark.parametrize("name", ["a\nb", "", "--size", "x" * 100_000])
    def test_an_unknown_name_is_one_short_line(self, name: str) -> None:
        assert "no such setting" in str(refusal({name: 1}))

    def test_a_long_value_is_cut(self) -> None:
        error = refusal({"optimizer": "x" * 10_000})
        assert len(str(error)) < 100

    def test_a_number_longer_than_python_writes(self) -> None:
        error = refusal({"seed": 10**5000})
        assert str(error) == "seed: a int is out of range; give a whole number from 0 to 9223372036854775807"

    def test_each_face_spells_it_its_own_way(self) -> None:
        error = refusal({"method": "instant", "content_weight": 1.0})
        assert str(error) == (
            "content_weight: means nothing with method='instant'; leave it out, "
            "or take method='refine' or method='hybrid'"
        )

        def option(name: str, value: str | None) -> str:
            return f"--{name.replace('_', '-')}" + ("" if value is None else f" {value}")

        assert error.spelled(option) == (
            "--content-weight: means nothing with --method instant; leave it out, "
            "or take --method refine or --method hybrid"
        )

    def test_numbers_stand_without_quotes(self) -> None:
        assert str(ImpastoError("lower `size=64` or `precision=fp32` or `size`")) == (
            "lower size=64 or precision='fp32' or size"
        )


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["relu1_1", "auto", "2G"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(["relu1_1"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def attempt(given: dict[str, Any]) -> Settings | ImpastoError:
    """Settings, or a plain line: any other exception comes through."""
    try:
        return Settings.check(given)
    except ImpastoError as error:
        return error


class TestAnyValue:
    """Settings or a plain line, never another exception."""

    @settings(max_examples=300)
    @given(name=st.sampled_from(NAMES), value=json_like)
    @example(name="max_memory", value="9" * 400)
    @example(name="max_memory", value=10**400)
    @example(name="max_memory", value=10**5000)
    @example(name="seed", value=10**5000)
    @example(name="style_layers", value={"x" * 1000: 1.0})
    @example(name="style_weights", value=10**5000)
    @example(name="style_weights", value=10**400)
    @example(name="content_weight", value=10**400)
    @example(name="style_weights", value=True)
    def test_alone(self, name: str, value: Any) -> None:
        found = attempt({"method": method_of(name), name: value})
        if isinstance(found, ImpastoError):
            assert found.setting == name
            assert "\n" not in str(found)
            assert len(str(found)) < 300
        else:
            assert Settings.check({"method": method_of(name), name: getattr(found, name)}) == found

    @settings(max_examples=100)
    @given(st.dictionaries(st.sampled_from(NAMES) | st.text(), json_like, max_size=6))
    def test_several(self, given: dict[str, Any]) -> None:
        found = attempt(given)
        if isinstance(found, ImpastoError):
            assert "\n" not in str(found)


class TestOtherPeoplesValues:
    @pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, lambda number: torch.tensor(number), np.array])
    def test_whole_numbers(self, kind: Any) -> None:
        found = Settings.check({"size": kind(64)}).size
        assert (found, type(found)) == (64, int)

    @pytest.mark.parametrize("kind", [np.float64, np.float32, torch.tensor, np.array, int])
    def test_numbers(self, kind: Any) -> None:
        found = Settings.check({"content_weight": kind(1.0)}).content_weight
        assert (found, type(found)) == (1.0, float)

    @pytest.mark.parametrize(
        "weights",
        [[7, 3], (7.0, 3.0), np.array([7.0, 3.0]), torch.tensor([7.0, 3.0]), [np.float32(7), torch.tensor(3)]],
    )
    def test_weights(self, weights: Any) -> None:
        found = Settings.check({"style_weights": weights})
        assert found.style_weights == (7.0, 3.0)
        assert found.shares(2) == (0.7, 0.3)

    @pytest.mark.parametrize("alone", [2, 0.5, np.float64(3), torch.tensor(0.1)])
    def test_a_plain_weight(self, alone: Any) -> None:
        assert Settings.check({"style_weights": alone}).shares(1) == (1.0,)

    def test_layers(self) -> None:
        weights = {"relu1_1": np.float64(0.5), "relu2_1": torch.tensor(2), "relu3_1": 1}
        assert Settings.check({"style_layers": weights}).style_layers == {"relu1_1": 0.5, "relu2_1": 2, "relu3_1": 1}

    @pytest.mark.parametrize("name", ["init", "extractor"])
    def test_paths(self, name: str) -> None:
        assert getattr(Settings.check({name: Path("a") / "b.png"}), name) == str(Path("a/b.png"))
        assert Settings.check({"method": "instant", "model": Path("net.safetensors")}).model == "net.safetensors"

    def test_bools_are_no_numbers(self) -> None:
        for value in (True, np.True_, torch.tensor(True)):
            assert refusal({"size": value}).setting == "size"

    def test_what_was_given_is_left_alone(self) -> None:
        given = {"style_weights": 2.0, "style_layers": {"relu1_1": 1}}
        Settings.check(given)
        assert given == {"style_weights": 2.0, "style_layers": {"relu1_1": 1}}


class TestMethods:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("name", [name for name in NAMES if name != "method"])
    def test_refuse_what_they_do_not_know(self, method: str, name: str) -> None:
        value = {"style_layers": {"relu1_1": 1.0}, "content_layers": {"relu4_2": 1.0}}.get(
            name, getattr(Settings, name)
        )
        if value is None:
            value = {"style_weights": [1.0], "detail": 0.5, "model": "a", "max_memory": "2G"}.get(name, 1)
        given = {"method": method, name: value}
        if method in about(Settings)[name].methods:
            Settings.check(given)
        else:
            assert str(refusal(given)).startswith(
                f"{name}: means nothing with method={method!r}; leave it out, or take"
            )

    def test_what_is_known_to_each(self) -> None:
        unknown = {
            method: {name for name, facts in about(Settings).items() if method not in facts.methods}
            for method in METHODS
        }
        assert unknown["refine"] == {"strength", "model", "runtime"}
        assert unknown["hybrid"] == {"init"}
        assert unknown["instant"] == {
            "content_weight", "tv_weight", "detail", "steps", "optimizer", "init", "extractor", "normalization",
            "content_layers", "style_layers", "pooling", "precision", "max_memory", "style_loss",
        }  # fmt: skip

    def test_as_json(self) -> None:
        keys = {method: set(Settings.check({"method": method}).as_json()) for method in METHODS}
        assert keys["instant"] == {
            "method", "size", "style_weights", "strength", "preserve_color", "seed", "model", "runtime", "device",
        }  # fmt: skip
        assert keys["refine"] == {
            "size", "content_weight", "style_weights", "tv_weight", "preserve_color", "detail", "steps", "optimizer",
            "init", "seed", "extractor", "normalization", "content_layers", "style_layers", "pooling", "device",
            "precision",
        }  # fmt: skip
        assert keys["hybrid"] == (keys["refine"] - {"init"}) | {"method", "strength", "model", "runtime"}

    def test_as_json_keeps_what_determines_the_picture(self) -> None:
        full = Settings.check({"max_memory": "1G", "threads": 2, "max_pixels": 10**6, "steps": 7})
        values = full.as_json()
        assert values["max_memory"] == 2**30
        assert values["steps"] == 7
        assert not {"threads", "max_pixels", "method"} & set(values)

    @pytest.mark.parametrize("method", METHODS)
    def test_as_json_is_taken_again(self, method: str) -> None:
        chosen = Settings.check({"method": method, "size": 99, "style_weights": [1, 2]})
        assert Settings.check(chosen.as_json()) == chosen

    @pytest.mark.parametrize("method", METHODS)
    def test_given_is_what_differs(self, method: str) -> None:
        chosen = Settings.check({"method": method, "size": 99, "seed": 0})
        wanted = {"method": method, "size": 99} if method != "refine" else {"size": 99}
        assert chosen.given() == wanted
        assert Settings.check(chosen.given()) == chosen


class TestShares:
    def test_equal_without_weights(self) -> None:
        assert Settings().shares(4) == (0.25,) * 4

    @pytest.mark.parametrize(
        ("weights", "styles", "message"),
        [
            (None, 0, "styles: there is none; give at least one painting"),
            ((1.0, 2.0), 1, "style_weights: 2 weights for 1 paintings; give one for each"),
            ((0.0, 0.0), 2, "style_weights: all are 0; give at least one above 0"),
        ],
    )
    def test_mistakes(self, weights: Any, styles: int, message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            Settings(style_weights=weights).shares(styles)
        assert str(caught.value) == message

    @given(st.lists(st.floats(0, 1e300), min_size=1, max_size=5))
    def test_add_up_to_one(self, weights: list[float]) -> None:
        try:
            shares = Settings.check({"style_weights": weights}).shares(len(weights))
        except ImpastoError:
            assert sum(weights) == 0
            return
        assert sum(shares) == pytest.approx(1)


class TestWhatFollows:
    def test_layers(self) -> None:
        assert Settings().layers_of_content == {CONTENT_LAYER: 1.0}
        assert Settings().layers_of_style == dict.fromkeys(STYLE_LAYERS, 0.2)
        chosen = Settings.check({"content_layers": {"relu3_1": 2}, "style_layers": {"relu5_4": 1}})
        assert (chosen.layers_of_content, chosen.layers_of_style) == ({"relu3_1": 2.0}, {"relu5_4": 1.0})
        for layer in VGG19_CHANNELS:
            Settings.check({"style_layers": {layer: 1.0}})

    def test_words_or_files(self, tmp_path: Path) -> None:
        there = tmp_path / "there.png"
        there.touch()
        for name in ("init", "extractor"):
            for word in (*about(Settings)[name].words, str(there)):
                Settings.check({name: word}).check_files()
            with pytest.raises(ImpastoError, match=rf"^{name}: 'nowhere' is neither a file nor one of "):
                Settings.check({name: "nowhere"}).check_files()


class TestSizes:
    @pytest.mark.parametrize(
        ("value", "size"),
        [
            ("2G", 2 * 2**30),
            ("1.5G", 3 * 2**29),
            ("500M", 500 * 2**20),
            ("500m", 500 * 2**20),
            ("4 GiB", 4 * 2**30),
            ("64KB", 64 * 2**10),
            ("1T", 2**40),
            ("1000000", 1_000_000),
            (123, 123),
        ],
    )
    def test_sizes(self, value: object, size: int) -> None:
        assert read_size(value) == size
        assert Settings.check({"max_memory": value}).max_memory == size

    @pytest.mark.parametrize("value", ["", "G", "2X", "two", "-1G", "0", "0.0M", "1e9", "2G!", "2,5G", 0, -5, True])
    def test_no_sizes(self, value: object) -> None:
        with pytest.raises(
            ImpastoError, match=r"^max_memory: '.*' is no amount of memory; write for example 2G, 1.5G or 500M$"
        ):
            read_size(value)

    @given(st.integers(1, 2**45))
    def test_a_size_in_words_is_that_size(self, size: int) -> None:
        assert read_size(size_text(size)) == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize(
    "code", ["import impasto", "import impasto.settings", "import impasto.job", "import impasto.errors"]
)
def test_nothing_slow_is_loaded(code: str) -> None:
    shown = f"import sys\n{code}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    slow = {"torch", "numpy", "pydantic", "PIL", "kornia", "typer", "rich", "safetensors"}
    assert not slow & set(loaded)


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys\nfrom impasto.settings import Settings\nfrom impasto.job import Job\n"
        "Job.check('a.jpg', ['b.jpg'], 'c.png', {'size': 64, 'style_weights': 2})\nprint(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pydantic" in loaded
    assert not {"torch", "numpy", "PIL"} & set(loaded)
