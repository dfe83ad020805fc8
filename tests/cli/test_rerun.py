from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import impasto
from impasto.files.shipped import shipped
from impasto.images import save_image
from impasto.networks.autoencoder import AutoEncoder
from impasto.recipe import Input, Recipe

from .conftest import Run, painted, sha256

SMALL = ("--size", 40, "--steps", 1, "--extractor", "compact", "--threads", 1)
AGAIN = ("rerun", "out.png", "-o", "again.png")


@pytest.fixture
def recipe(run: Run, folder: Path) -> Recipe:
    """Of out.png, painted from photo.png and painting.png."""
    assert run("stylize", "photo.png", "painting.png", "-o", "out.png", *SMALL, "--seed", 5).code == 0
    return Recipe.from_file("out.png")


def write(recipe: Recipe, depth: int = 8, name: str = "out.png") -> None:
    """Another picture with this recipe."""
    save_image(name, torch.full((1, 3, 30, 40), 0.5), recipe=recipe.to_json(), depth=depth, force=True)


def test_same_inputs_same_settings(run: Run, recipe: Recipe) -> None:
    result = run(*AGAIN)
    assert result.code == 0
    assert result.out.startswith("The painting is in again.png (40 x 30 pixels, ")
    assert all(line.startswith("step") for line in result.err.splitlines())
    again = Recipe.from_file("again.png")
    assert again == recipe
    assert (again.settings["seed"], again.threads) == (5, 1)
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_files_that_moved_keep_their_names_in_the_recipe(run: Run, recipe: Recipe) -> None:
    Path("moved").mkdir()
    Path("photo.png").rename("moved/cat.png")
    Path("painting.png").rename("moved/sea.png")
    result = run(*AGAIN)
    assert result.error == "impasto: error: photo.png is not there: say where it lies now with --content"
    result = run(*AGAIN, "--content", "moved/cat.png", "--style", "moved/sea.png")
    assert result.code == 0
    again = Recipe.from_file("again.png")
    assert (again.content, again.styles) == (recipe.content, recipe.styles)
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_the_picture_to_begin_with_is_found_too(run: Run, recipe: Recipe) -> None:
    Image.new("RGB", (32, 24)).save("start.png")
    begin = Input("start.png", sha256("start.png"))
    command = ("stylize", "photo.png", "painting.png", "-o", "out.png", *SMALL, "--init", "start.png", "--force")
    assert run(*command).code == 0
    Path("start.png").rename("begin.png")
    result = run(*AGAIN)
    assert result.code == 2
    assert result.error == "impasto: error: start.png is not there: say where it lies now with --init"
    assert run(*AGAIN, "--init", "begin.png").code == 0
    again = Recipe.from_file("again.png")
    assert (again.init_image, again.settings["init"]) == (begin, "start.png")
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_a_changed_input_is_refused(run: Run, recipe: Recipe) -> None:
    Image.new("RGB", (32, 24)).save("painting.png")
    result = run(*AGAIN)
    assert result.code == 2
    assert "painting.png is not the file the picture was made from" in result.error
    assert "--style" in result.error
    assert not Path("again.png").exists()


def test_other_weights_are_refused(run: Run, recipe: Recipe) -> None:
    write(replace(recipe, extractor_sha256="f" * 64))
    result = run(*AGAIN)
    assert result.code == 2
    assert result.error.startswith("impasto: error: --extractor: compact has other weights than those that made")
    assert not Path("again.png").exists()


def test_as_many_styles_as_there_were(run: Run, recipe: Recipe) -> None:
    result = run(*AGAIN, "--style", "painting.png", "--style", "photo.png")
    assert result.code == 2
    assert result.error == "impasto: error: --style: given 2 times, but out.png was made with 1; give each, in order"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"torch": "2.0.0"}, f"impasto: made with torch 2.0.0, this is {torch.__version__}: the picture may differ"),
        ({"version": "0.0.9"}, f"impasto: made with impasto 0.0.9, this is {impasto.__version__}: the picture may"),
    ],
)
def test_what_may_differ_is_one_line(run: Run, recipe: Recipe, change: dict[str, str], line: str) -> None:
    write(replace(recipe, **change))  # type: ignore[arg-type]
    result = run(*AGAIN)
    assert result.code == 0
    lines = result.err.splitlines()
    assert lines[0].startswith(line)
    assert all(line.startswith("step") for line in lines[1:])


def test_threads_are_the_recipes(run: Run, recipe: Recipe) -> None:
    torch.set_num_threads(2)
    result = run(*AGAIN)
    assert result.code == 0
    assert "threads" not in result.err
    assert Recipe.from_file("again.png").threads == recipe.threads == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("name", "depth"), [("out.png", 8), ("out.png", 16), ("out.tif", 8), ("out.tif", 16)])
def test_as_many_bits_as_before(run: Run, recipe: Recipe, name: str, depth: int) -> None:
    write(recipe, depth, name)
    assert run("rerun", name, "-o", "again.png").code == 0
    assert Path("again.png").read_bytes()[24] == depth
    assert run("rerun", name, "-o", "eight.png", "--depth", "8").code == 0
    assert Path("eight.png").read_bytes()[24] == 8


@pytest.mark.parametrize(
    ("picture", "message"),
    [("photo.png", "photo.png carries no recipe"), ("gone.png", "gone.png is not there"), ("bad.png", "is damaged")],
)
def test_no_recipe(run: Run, folder: Path, picture: str, message: str) -> None:
    save_image("bad.png", torch.full((1, 3, 24, 32), 0.5), recipe="{}")
    result = run("rerun", picture, "-o", "again.png")
    assert result.code == 2
    assert message in result.error


def test_an_existing_file_is_kept(run: Run, recipe: Recipe) -> None:
    Path("again.png").write_text("precious")
    result = run(*AGAIN)
    assert result.code == 2
    assert "again.png" in result.error
    assert "--force" in result.error
    assert Path("again.png").read_text() == "precious"
    assert run(*AGAIN, "--force").code == 0
    assert painted("again.png")


def test_stopped_and_resumed(run: Run, folder: Path) -> None:
    command = ("stylize", "photo.png", "painting.png", "-o", "out.png", *SMALL, "--steps", 3)
    assert run(*command).code == 0
    result = run(*AGAIN, "--json", stop_after='"step": 1,')
    assert result.code == 130
    assert result.err == "impasto: stopped; the same command with --resume goes on from again.png.checkpoint\n"
    assert run(*AGAIN, "--resume").code == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_max_pixels(run: Run, recipe: Recipe) -> None:
    result = run(*AGAIN, "--max-pixels", 700)
    assert result.code == 2
    assert "--max-pixels" in result.error


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_for_real_the_same_bytes(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Also from another folder and after the inputs moved along with the picture."""
    output = f"made/out{ending}"
    Path("made").mkdir()
    for name in ("photo.png", "painting.png"):
        Path(name).rename(f"made/{name}")
    options = ("--size", 40, "--steps", 2, "--extractor", "compact", "--init", "noise", "--threads", 1, "--quiet")
    assert run("stylize", "made/photo.png", "made/painting.png", "-o", output, *options).code == 0
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    result = run("rerun", f"../{output}", "-o", f"again{ending}", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert Path(f"again{ending}").read_bytes() == Path(f"../{output}").read_bytes()


class TestNetworks:
    """Pictures that a network had part in."""

    BASIC = ("stylize", "photo.png", "painting.png", "-o", "out.png", "--quiet", "--threads", 1, "--size", 40)
    HOW = pytest.mark.parametrize(
        "how",
        [("instant",), ("instant", "--strength", 0.5), ("hybrid", "--steps", 2, "--extractor", "compact")],
        ids=["instant", "strength", "hybrid"],
    )

    @HOW
    def test_for_real_the_same_bytes(self, run: Run, network: Path, how: tuple) -> None:
        result = run(*self.BASIC, "--model", network, "--method", *how)
        assert result.code == 0, result.err
        assert run("rerun", "out.png", "-o", "again.png", "--quiet").code == 0
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
        Path("moved").mkdir()
        network.rename("moved/other.safetensors")
        result = run("rerun", "out.png", "-o", "more.png", "--quiet")
        assert result.error.endswith("net.safetensors is not there: say where it lies now with --model")
        assert run("rerun", "out.png", "-o", "more.png", "--quiet", "--model", "moved/other.safetensors").code == 0
        assert Path("more.png").read_bytes() == Path("out.png").read_bytes()

    def test_the_packages_own(self, run: Run, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("impasto.instant.models.shipped_path", lambda: network)
        assert run(*self.BASIC, "--method", "instant").code == 0
        assert Recipe.from_file("out.png").model == Input("", sha256(network))
        assert run("rerun", "out.png", "-o", "again.png", "--quiet").code == 0
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
        network.rename("old.safetensors")
        AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8).to_file(network)
        result = run("rerun", "out.png", "-o", "more.png", "--quiet")
        assert "comes with another network than the one that made the picture" in result.error
        assert run("rerun", "out.png", "-o", "more.png", "--quiet", "--model", "old.safetensors").code == 0
        assert Path("more.png").read_bytes() == Path("out.png").read_bytes()

    def test_onnx(self, run: Run, network: Path) -> None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        assert run("export", "onnx", network, "net.onnx", "--quiet").code == 0
        how = ("--method", "instant", "--runtime", "onnx", "--model", "net.onnx")
        assert run(*self.BASIC, *how).code == 0
        assert run("rerun", "out.png", "-o", "again.png", "--quiet").code == 0
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (("--extractor", "net.safetensors"), "here, out.png was made by --method instant; leave it out"),
            (("--resume",), "with --method instant, which takes no steps; leave it out"),
        ],
    )
    def test_what_means_nothing_is_refused(
        self, run: Run, network: Path, option: tuple[str, ...], message: str
    ) -> None:
        assert run(*self.BASIC, "--method", "instant", "--model", network).code == 0
        result = run(*AGAIN, *option)
        assert result.code == 2
        assert result.error == f"impasto: error: {option[0]}: means nothing {message}"

    def test_a_network_for_a_picture_without(self, run: Run, recipe: Recipe, network: Path) -> None:
        result = run(*AGAIN, "--model", network)
        assert result.code == 2
        assert result.error.endswith("--model: means nothing here, out.png was made without a network; leave it out")


class TestStrangers:
    """A picture with a recipe comes from anybody."""

    @pytest.mark.parametrize("name", ["init", "model", "extractor"])
    def test_no_file_without_its_hash(self, run: Run, recipe: Recipe, name: str) -> None:
        changes = {name: "start.png", **({"method": "hybrid"} if name == "model" else {})}
        parts = json.loads(recipe.to_json())
        parts["settings"] |= changes
        if name == "extractor":
            parts |= {"extractor": None, "extractor_sha256": None, "model": {"name": "", "sha256": "0" * 64}}
        save_image("out.png", torch.full((1, 3, 30, 40), 0.5), recipe=json.dumps(parts), force=True)
        Image.new("RGB", (32, 24)).save("start.png")
        result = run(*AGAIN)
        assert result.code == 2
        assert f"its settings name a file for {name}, and it has no hash of it" in result.error

    def test_an_extractor_lies_beside_the_picture(self, run: Run, recipe: Recipe, tiny_file: str) -> None:
        """And its hash is looked at before it is used."""
        named = {**recipe.settings, "extractor": tiny_file}
        write(replace(recipe, settings=named, extractor_sha256=sha256(tiny_file)))
        assert run(*AGAIN).error.endswith("tiny.safetensors is not there; check the name")
        assert run(*AGAIN, "--extractor", tiny_file).code == 0
        Path("tiny.safetensors").write_bytes(Path(tiny_file).read_bytes())
        assert run(*AGAIN, "--force").code == 0
        Path("tiny.safetensors").write_bytes(shipped("compact").read_bytes())
        assert "has other weights than those that made the picture" in run(*AGAIN, "--force").error

    def test_what_it_says_does_not_steer_the_terminal(self, run: Run, recipe: Recipe) -> None:
        write(replace(recipe, version="\x1b[2J0.1"))
        result = run(*AGAIN)
        assert result.err.startswith("impasto: made with impasto \\x1b[2J0.1, this is")

    def test_numbers_have_bounds(self, run: Run, recipe: Recipe) -> None:
        for name, number in (("threads", 2**31), ("threads", 2000), ("steps", 3 * 10**8), ("seed", 10**400)):
            parts = json.loads(recipe.to_json())
            (parts if name == "threads" else parts["settings"])[name] = number
            save_image("out.png", torch.full((1, 3, 30, 40), 0.5), recipe=json.dumps(parts), force=True)
            result = run(*AGAIN)
            assert result.code == 2
            assert f"--{name}: " in result.error
            assert "is out of range; give a whole number from" in result.error


def test_a_run_that_was_stopped(run: Run, folder: Path) -> None:
    """It is made again as far as it went."""
    small = {"size": 40, "steps": 6, "extractor": "compact", "threads": 1}
    made = impasto.stylize("photo.png", "painting.png", **small, callback=lambda record: record.step == 2)
    made.save("out.png")
    assert run(*AGAIN).code == 0
    assert Recipe.from_file("again.png").stopped == 2
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


@pytest.mark.parametrize("options", [[], ["--model", "base"]])
def test_which_of_the_packages_networks_it_was(run: Run, folder: Path, options: list[str]) -> None:
    """A painting of the gallery has one of its own, and the base paints it too."""
    paint = ["stylize", "photo.png", "gallery:wave", "-o", "out.png", "--method", "instant", "--size", "64"]
    assert run(*paint, *options).code == 0
    again = run("rerun", "out.png", "-o", "again.png")
    assert again.code == 0, again.err
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
