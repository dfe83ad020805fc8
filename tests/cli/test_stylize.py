from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.instant.passes import one_pass
from impasto.recipe import Input, Recipe
from impasto.settings import Settings

from .conftest import Run, painted, sha256

BASIC = ("stylize", "photo.png", "painting.png", "-o", "out.png")
#: The real thing, in a moment.
SMALL = ("--size", 40, "--steps", 3, "--extractor", "compact", "--threads", 1)
AUTO = ("--size", 40, "--steps", 2, "--threads", 1)


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_paints(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, "--depth", 16)
    assert result.code == 0, result.err
    assert re.fullmatch(r"The painting is in out\.png \(40 x 30 pixels, \d+ s\)\.\n", result.out)
    recipe = Recipe.from_file("out.png")
    assert recipe.content == Input("photo.png", sha256("photo.png"))
    assert recipe.settings["steps"] == 3
    assert recipe.threads == 1
    assert Path("out.png").read_bytes()[24] == 16
    photo = np.asarray(Image.open("photo.png").resize((40, 30)), dtype=float)
    assert np.abs(np.asarray(Image.open("out.png").convert("RGB"), dtype=float) - photo).mean() > 1


def test_without_a_terminal_a_line_now_and_then(run: Run, folder: Path) -> None:
    losses = r"40 px  content \S+  style \S+"
    first, last = run(*BASIC, *SMALL).err.splitlines()
    assert re.fullmatch(f"step 1/3  {losses}", first)
    assert re.fullmatch(f"step 3/3  {losses}  0 s left", last)


def test_leaves_torch_as_it_was(run: Run, folder: Path) -> None:
    torch.set_num_threads(2)
    assert run(*BASIC, *SMALL).code == 0
    assert Recipe.from_file("out.png").threads == 1
    assert torch.get_num_threads() == 2


def test_defaults_are_the_librarys(run: Run, folder: Path) -> None:
    """But for what was typed, the recipe has the defaults of the settings, resolved."""
    assert run(*BASIC, *AUTO).code == 0
    defaults = Settings.check({"size": 40, "steps": 2}).as_json()
    settings = Recipe.from_file("out.png").settings
    resolved = {"extractor", "style_weights", "content_layers", "style_layers", "device", "precision", "detail"}
    assert settings.keys() == defaults.keys()
    assert {name for name in defaults if settings[name] != defaults[name]} <= resolved


def test_every_option_arrives(run: Run, folder: Path) -> None:
    Path("start.png").write_bytes(Path("photo.png").read_bytes())
    options = (
        "--size 96 --content-weight 0.01 --style-weights 0.7,0.3 --tv-weight 2 --steps 2 --optimizer adam "
        "--init start.png --seed 3 --extractor compact --preserve-color histogram --device cpu "
        "--precision bf16 --normalization gatys --content-layers relu3_1 --style-layers relu1_1=1,relu2_1=0.5 "
        "--pooling avg --detail 0.25 --max-pixels 10000 --threads 1 --method refine"
    )
    result = run("stylize", "photo.png", "painting.png", "photo.png", "-o", "out.png", *options.split())
    assert result.code == 0, result.err
    recipe = Recipe.from_file("out.png")
    assert [style.name for style in recipe.styles] == ["painting.png", "photo.png"]
    assert recipe.init_image == Input("start.png", sha256("start.png"))
    assert recipe.threads == 1
    assert recipe.settings == {
        "size": 96,
        "content_weight": 0.01,
        "style_weights": pytest.approx([0.7, 0.3]),
        "tv_weight": 2.0,
        "steps": 2,
        "optimizer": "adam",
        "init": "start.png",
        "seed": 3,
        "extractor": "compact",
        "preserve_color": "histogram",
        "device": "cpu",
        "precision": "bf16",
        "normalization": "gatys",
        "content_layers": {"relu3_1": 1.0},
        "style_layers": {"relu1_1": 1.0, "relu2_1": 0.5},
        "pooling": "avg",
        "detail": 0.0,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "-1"), r"--size: -1 is out of range; give a whole number from 0 to 100000$"),
        (("--size", "big"), r"^impasto: error: --size: 'big' is out of range; give a whole number from 0 to 100000$"),
        (("--steps", "0"), r"--steps: 0 is out of range; give a whole number from 1 to 1000000$"),
        (("--content-weight", "-0.1"), r"--content-weight: -0\.1 is out of range; give a number from 0 up$"),
        (("--content-weight", "nan"), r"--content-weight: nan is out of range; give a number from 0 up$"),
        (("--tv-weight", "inf"), r"--tv-weight: inf is out of range; give a number from 0 up$"),
        (("--threads", "0"), r"--threads: 0 is out of range; give a whole number from 1 to 1024$"),
        (("--preview-every", "0"), r"--preview-every: 0 is out of range; give a whole number from 1 up$"),
        (("--optimizer", "sgd"), r"'--optimizer': 'sgd' is not one of 'lbfgs', 'adam'"),
        (("--device", "tpu"), r"'--device': 'tpu' is not one of"),
        (("--depth", "12"), r"'--depth': '12' is not one of '8', '16'"),
        (("--init", "nosie"), r"--init: 'nosie' is neither a file nor one of content, noise, style"),
        (("--extractor", "vgg16"), r"--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19"),
        (("--style-weights", "1;2"), r"--style-weights: '1;2' is not a number"),
        (("--style-weights", "0.7,0.3"), r"--style-weights: 2 weights for 1"),
        (("--style-weights", "-1"), r"--style-weights: \(-1\.0,\) cannot be used; give numbers from 0 up"),
        (("--style-weights", "0"), r"--style-weights: all are 0"),
        (("--style-layers", "conv1"), r"--style-layers: 'conv1' is no layer"),
        (
            ("--style-layers", "relu1_1=-1"),
            r"--style-layers: {'relu1_1': -1\.0} cannot be used; give layers and their w",
        ),
        (("--max-memory", "2 gigs"), r"--max-memory: '?2 gigs'? is no amount of memory; write for example 2G, 1.5G or"),
        (("--max-memory", "0"), r"--max-memory: '?0'? is no amount"),
        (("--quiet", "--json"), r"--quiet and --json"),
        (("-o", "out.bmp"), r"out\.bmp"),
        (("-o", "nowhere/out.png"), r"nowhere"),
        (("-o", "out.jpg", "--depth", "16"), r"out\.jpg"),
        (("--preview", "photo.png"), r"--preview: photo\.png is a file; name a folder"),
        (("missing.png",), r"^impasto: error: missing\.png is not there; check the name$"),
        ((".",), r"^impasto: error: \. is a folder; name a file in it$"),
        (
            ("--size", "16384", "-o", "out.webp"),
            r"out\.webp: webp has at most 16383 pixels a side; save it as \.png or",
        ),
    ],
)
def test_a_mistake_is_told_before_any_work(run: Run, folder: Path, options: tuple[str, ...], message: str) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*BASIC, *options)
    assert result.code == 2
    # No step was taken: the line that names the extractor would be the first of a run.
    assert re.search(message, result.error), result.error
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--content-layers", "relu3_4"), "relu3_4"),
        (("--max-pixels", "700"), "--max-pixels"),
        (("--size", "3"), "--size"),
        (("--size", "100000"), "--size: 100000 makes 100000 x 75000 pixels, more than the limit of 64000000; give a"),
        (("--max-memory", "10M"), "--max-memory: 10M is too little for 512 × 384 px; give "),
    ],
)
def test_what_only_the_library_finds_is_one_line_too(
    run: Run, folder: Path, options: tuple[str, ...], message: str
) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*BASIC, "--extractor", "compact", *options)
    assert result.code == 2
    assert message in result.error
    assert sorted(Path().rglob("*")) == before


def test_a_broad_photograph_is_painted_small(run: Run, network: Path) -> None:
    """The size that was not typed is the default one, and not the photograph's."""
    Image.new("RGB", (16400, 400)).save("broad.png")
    how = ("--method", "instant", "--model", network)
    result = run("stylize", "broad.png", "painting.png", "-o", "out.webp", *how)
    assert result.code == 0, result.err
    with Image.open("out.webp") as picture:
        assert picture.size == (512, 12)
    result = run("stylize", "broad.png", "painting.png", "-o", "again.webp", *how, "--size", 0)
    assert "again.webp: webp has at most 16383 pixels a side" in result.error


def test_an_existing_file_is_kept(run: Run, folder: Path) -> None:
    Path("out.png").write_text("precious")
    result = run(*BASIC, *SMALL)
    assert result.code == 2
    assert "out.png" in result.error
    assert "--force" in result.error
    assert Path("out.png").read_text() == "precious"
    assert run(*BASIC, *SMALL, "--force").code == 0
    assert painted()


def test_quiet(run: Run, animation: str) -> None:
    result = run("stylize", animation, *BASIC[2:], *AUTO, "--quiet")
    assert (result.code, result.out, result.err, painted()) == (0, "", "", True)


def test_json_is_the_events(run: Run, animation: str) -> None:
    result = run("stylize", animation, *BASIC[2:], *SMALL, "--json")
    planned, *steps, saved = events(result.out)
    assert planned == {"event": "planned", "scales": [[40, 3]]}
    assert [(step["event"], step["step"], step["steps"], step["scale"]) for step in steps] == [
        ("progress", number, 3, 40) for number in (1, 2, 3)
    ]
    assert all(step.keys() == steps[0].keys() for step in steps)
    assert steps[0].keys() == {"event", "step", "steps", "scale", "losses", "total_loss", "seconds"}
    for step in steps:
        assert step["losses"].keys() == {"content", "style"}
        assert step["total_loss"] >= step["losses"]["style"] > 0
    assert saved["event"] == "saved"
    assert saved["output"] == "out.png"
    assert (saved["width"], saved["height"]) == (40, 30)
    assert saved["losses"] == {**steps[-1]["losses"], "total": steps[-1]["total_loss"]}
    assert saved["extractor"] == "compact"
    assert saved["settings"] == Recipe.from_file("out.png").settings
    (notice,) = saved["notices"]
    assert "moving.gif" in notice
    assert result.err == f"impasto: {notice}\n"


class TestCompactNotice:
    LINE = (
        "impasto: VGG-19's weights are not on this machine, so the compact extractor paints; "
        "'impasto weights get vgg19' gets them"
    )

    def test_one_line_says_so(self, run: Run, folder: Path) -> None:
        assert run(*BASIC, *AUTO).err.splitlines().count(self.LINE) == 1

    def test_not_where_they_are(self, run: Run, folder: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        weights = (shared / "weights" / "vgg19-caffe.safetensors").resolve()
        if not weights.is_file():
            pytest.skip("VGG-19's weights are not in the folder 'shared'")
        Path("home").mkdir()
        Path("home/vgg19.safetensors").symlink_to(weights)
        result = run(*BASIC, *AUTO)
        assert result.code == 0, result.err
        assert self.LINE not in result.err
        assert Recipe.from_file("out.png").extractor == "vgg19"

    @pytest.mark.parametrize("options", [("--extractor", "compact"), ("--quiet",)])
    def test_not_where_it_was_asked_for(self, run: Run, folder: Path, options: tuple[str, ...]) -> None:
        assert self.LINE not in run(*BASIC, *AUTO, *options).err


class TestPreview:
    def test_every_so_many_steps(self, run: Run, folder: Path) -> None:
        assert run(*BASIC, *SMALL, "--preview", "on/the/way", "--preview-every", 2).code == 0
        assert [path.name for path in Path("on/the/way").iterdir()] == ["step-00002.png"]
        assert Image.open("on/the/way/step-00002.png").size == (40, 30)

    def test_another_runs_are_kept(self, run: Run, folder: Path) -> None:
        Path("previews").mkdir()
        Path("previews/step-00025.png").write_text("precious")
        result = run(*BASIC, *SMALL, "--preview", "previews")
        assert result.code == 2
        assert result.error.startswith("impasto: error: --preview: previews holds the previews of another run")
        assert run(*BASIC, *SMALL, "--preview", "previews", "--force").code == 0


class TestStopped:
    GOES_ON = "impasto: stopped; the same command with --resume goes on from out.png.checkpoint"

    def test_ctrl_c_and_resume_end_in_the_same_bytes(self, run: Run, folder: Path) -> None:
        assert run(*BASIC, *SMALL).code == 0
        undisturbed = Path("out.png").read_bytes()
        Path("out.png").unlink()
        result = run(*BASIC, *SMALL, "--json", stop_after='"step": 1,')
        assert result.code == 130
        assert result.err == self.GOES_ON + "\n"
        assert not Path("out.png").exists()
        assert Path("out.png.checkpoint").stat().st_size > 0
        result = run(*BASIC, *SMALL, "--resume", "--json")
        assert (result.code, result.err) == (0, "")
        steps = [event["step"] for event in events(result.out) if event["event"] == "progress"]
        assert steps in ([2, 3], [3])
        assert Path("out.png").read_bytes() == undisturbed
        assert not Path("out.png.checkpoint").exists()

    def test_before_there_is_a_checkpoint(self, run: Run, folder: Path) -> None:
        result = run(*BASIC, *AUTO, stop_after="VGG-19")
        assert result.code == 130
        assert result.err.splitlines() == [TestCompactNotice.LINE, "impasto: stopped"]
        assert not Path("out.png").exists()

    def test_what_was_stopped_is_not_thrown_away(self, run: Run, folder: Path) -> None:
        Path("out.png.checkpoint").write_bytes(b"minutes")
        result = run(*BASIC, *SMALL)
        assert result.code == 2
        assert result.error == (
            "impasto: error: out.png.checkpoint is there from a run cut short; "
            "add --resume to go on, --force to begin anew"
        )
        assert Path("out.png.checkpoint").read_bytes() == b"minutes"
        assert not Path("out.png").exists()
        assert run(*BASIC, *SMALL, "--force").code == 0
        assert not Path("out.png.checkpoint").exists()

    def test_nothing_to_resume(self, run: Run, folder: Path) -> None:
        result = run(*BASIC, *SMALL, "--resume")
        assert result.code == 0
        assert result.err.splitlines()[0] == "impasto: there is no out.png.checkpoint to go on from; beginning anew"

    def test_a_checkpoint_of_another_run_is_refused(self, run: Run, folder: Path) -> None:
        assert run(*BASIC, *SMALL, "--json", stop_after='"step": 1,').code == 130
        result = run(*BASIC, *SMALL, "--seed", 7, "--resume")
        assert result.code == 2
        assert "out.png.checkpoint" in result.error
        assert not Path("out.png").exists()


def test_in_little_memory_and_again(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.refine.budget.BASE", 0)
    monkeypatch.setattr("impasto.refine.budget.LARGEST", 64)
    assert run(*BASIC, *SMALL, "--size", 160, "--max-memory", "70M").code == 0
    assert Recipe.from_file("out.png").settings["max_memory"] == 70 * 2**20
    result = run("rerun", "out.png", "-o", "again.png")
    assert result.code == 0, result.err
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


class TestMethods:
    """With a tiny network, for real."""

    INSTANT = (*BASIC, "--method", "instant", "--model", "net.safetensors", "--threads", 1)
    HYBRID = (*BASIC, "--method", "hybrid", "--model", "net.safetensors", *SMALL)

    def test_instant(self, run: Run, network: Path) -> None:
        result = run(*self.INSTANT, "--size", 40)
        assert (result.code, result.err) == (0, "")
        assert re.fullmatch(r"The painting is in out\.png \(40 x 30 pixels, \d+ s\)\.\n", result.out)
        recipe = Recipe.from_file("out.png")
        assert recipe.model == Input("net.safetensors", sha256("net.safetensors"))
        assert recipe.settings["method"] == "instant"
        assert recipe.extractor is None

    def test_the_checkpoint_of_another_run_stays(self, run: Run, network: Path) -> None:
        Path("out.png.checkpoint").write_bytes(b"hours")
        assert run(*self.INSTANT, "--size", 40).code == 0
        assert Path("out.png.checkpoint").read_bytes() == b"hours"

    def test_every_option_of_instant_arrives(self, run: Run, network: Path) -> None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        options = "--size 0 --strength 0.5 --seed 4 --style-weights 1,3 --preserve-color histogram --device cpu"
        again = ("stylize", "photo.png", "painting.png", "photo.png", "-o", "out.png", *self.INSTANT[5:])
        assert run(*again, *options.split(), "--runtime", "onnx").code == 0
        assert Recipe.from_file("out.png").settings == {
            "method": "instant",
            "size": 32,
            "strength": 0.5,
            "seed": 4,
            "style_weights": [0.25, 0.75],
            "preserve_color": "histogram",
            "model": "net.safetensors",
            "runtime": "onnx",
            "device": "cpu",
        }

    def test_json_has_no_losses_where_there_were_no_steps(self, run: Run, network: Path) -> None:
        planned, tile, saved = events(run(*self.INSTANT, "--json").out)
        assert planned == {"event": "planned", "scales": [[512, 1]]}
        assert (tile["event"], tile["step"], tile["steps"], tile["losses"]) == ("progress", 1, 1, {})
        assert saved["settings"]["method"] == "instant"
        assert saved["output"] == "out.png"
        assert (saved["losses"], saved["extractor"]) == ({}, None)

    def test_large_pictures_say_how_far_they_are(
        self, run: Run, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(one_pass, "__kwdefaults__", {**one_pass.__kwdefaults__, "tile": 64})
        result = run(*self.INSTANT, "--size", 512)
        assert result.code == 0
        first, *_, last = result.err.splitlines()
        assert first == f"tile 1/{8 * 6}  512 px"
        assert last == f"tile {8 * 6}/{8 * 6}  512 px  0 s left"

    def test_hybrid(self, run: Run, network: Path) -> None:
        result = run(*self.HYBRID, "--strength", 0.5)
        assert result.code == 0, result.err
        assert result.err.splitlines()[-1].startswith("step 3/3  40 px")
        recipe = Recipe.from_file("out.png")
        assert recipe.model == Input("net.safetensors", sha256("net.safetensors"))
        assert (recipe.extractor, recipe.settings["method"], recipe.settings["strength"]) == ("compact", "hybrid", 0.5)

    def test_hybrid_names_the_extractor_that_paints(self, run: Run, network: Path) -> None:
        hybrid = [option for option in self.HYBRID if option not in ("--extractor", "compact")]
        assert run(*hybrid).err.splitlines()[0] == TestCompactNotice.LINE

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--steps", "3"), "--steps: means nothing with --method instant; leave it out, or take --method refine"),
            (("--content-weight", "1e-3"), "--content-weight: means nothing with --method instant"),
            (("--init", "noise"), "--init: means nothing with --method instant; leave it out, or take --method refine"),
            (("--extractor", "auto"), "--extractor: means nothing with --method instant"),
            (("--max-memory", "2G"), "--max-memory: means nothing with --method instant; leave it out, or take"),
            (("--precision", "auto"), "--precision: means nothing with --method instant"),
            (("--preview", "on"), "--preview: means nothing with --method instant; leave it out, or take --method"),
            (("--preview-every", "2"), "--preview-every: means nothing with --method instant"),
            (("--resume",), "--resume: means nothing with --method instant"),
            (("--strength", "1.5"), "--strength: 1.5 is out of range; give a number from 0 to 1"),
            (("--strength", "-1"), "--strength: -1.0 is out of range; give a number from 0 to 1"),
            (("--model", "gone"), "--model: 'gone' is neither a file nor one of base"),
            (("--model", "photo.png"), "photo.png: cannot be read as an auto-encoder; give an intact file"),
            (("--method", "hybrid", "--init", "noise"), "--init: means nothing with --method hybrid"),
            (("--method", "refine"), "--model: means nothing with --method refine; leave it out, or take --method"),
            (("--method", "magic"), "'--method': 'magic' is not one of 'refine', 'instant', 'hybrid'"),
        ],
    )
    def test_what_means_nothing_is_refused(
        self, run: Run, network: Path, options: tuple[str, ...], message: str
    ) -> None:
        before = sorted(Path().rglob("*"))
        result = run(*self.INSTANT, *options)
        assert result.code == 2
        assert message in result.error
        assert sorted(Path().rglob("*")) == before

    def test_without_a_network(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("impasto.instant.models.shipped_path", lambda: Path("autoencoder.safetensors"))
        for method in ("instant", "hybrid"):
            result = run(*BASIC, "--method", method)
            assert result.code == 2
            assert "--model: no network comes with this installation; name a file" in result.err.splitlines()[-1]


def test_notices_of_one_pass_are_told_too(run: Run, animation: str, network: Path) -> None:
    how = ("--method", "instant", "--model", network, "--size", 32)
    result = run("stylize", animation, "painting.png", "-o", "out.png", *how)
    assert result.code == 0, result.err
    assert "moving.gif: is animated; the first frame is used" in result.err


def test_which_is_the_photograph(run: Run, folder: Path) -> None:
    line = "photo.png is the photograph, painting.png and photo.png the paintings"
    several = run("stylize", "photo.png", "painting.png", "photo.png", "-o", "out.png", "--size", "64", "--steps", "1")
    assert line in several.err
    alone = run(*BASIC, "--size", "64", "--steps", "1", "--force")
    assert alone.code == 0
    assert "the photograph" not in alone.err


def test_nothing_is_fetched(run: Run, folder: Path) -> None:
    result = run("stylize", "https://example.org/a.jpg", "painting.png", "-o", "out.png")
    assert result.code == 2
    wanted = "https://example.org/a.jpg is an address, and nothing is fetched; save the picture and name its file"
    assert result.error == f"impasto: error: {wanted}"


def test_a_picture_without_its_recipe(run: Run, folder: Path) -> None:
    assert run(*BASIC, "--size", "64", "--steps", "1", "--no-recipe", "--quality", "50", "-o", "bare.jpg").code == 0
    assert "carries no recipe" in run("rerun", "bare.jpg", "-o", "again.jpg").error
