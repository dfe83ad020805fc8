from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.features import weights
from impasto.images import MAX_PIXELS
from impasto.instant.tiles import paint
from impasto.recipe import Input, Recipe
from impasto.settings import Settings

from .conftest import FakeStylize, Run, sha256

BASIC = ("stylize", "photo.png", "painting.png", "-o", "out.png")
#: The real thing, in a moment.
SMALL = ("--size", 40, "--steps", 3, "--extractor", "compact", "--threads", 1)


def stop_at(step: int) -> Callable[[int], None]:
    def at_step(now: int) -> None:
        if now == step:
            raise KeyboardInterrupt

    return at_step


def test_says_where_the_picture_lies(run: Run, fake: FakeStylize) -> None:
    result = run(*BASIC)
    assert result.code == 0
    assert result.out == "The painting is in out.png (32 x 24 pixels, 3 s).\n"
    assert Image.open("out.png").size == (32, 24)
    assert Recipe.from_file("out.png").content == Input("photo.png", sha256("photo.png"))


def test_without_a_terminal_a_line_now_and_then(run: Run, fake: FakeStylize) -> None:
    lines = run(*BASIC, "--extractor", "compact").err.splitlines()
    assert lines == [
        "step 1/3  32 px  content 0.5  style 0.1  2 s left",
        "step 3/3  32 px  content 0.1667  style 0.03333  0 s left",
    ]


def test_defaults_are_the_librarys(run: Run, fake: FakeStylize) -> None:
    run(*BASIC)
    assert fake.calls == [
        {
            "content": "photo.png",
            "styles": ["painting.png"],
            "checkpoint": Path("out.png.checkpoint"),
            "resume": False,
            "max_pixels": MAX_PIXELS,
            **{item.name: item.default for item in fields(Settings)},
        }
    ]


def test_every_option_arrives(run: Run, fake: FakeStylize) -> None:
    Path("start.png").write_bytes(Path("photo.png").read_bytes())
    Path("my.safetensors").write_bytes(b"")
    options = (
        "--size 96 --content-weight 0.01 --style-weights 0.7,0.3 --tv-weight 2 --steps 9 --optimizer lbfgs "
        "--init start.png --seed 3 --extractor my.safetensors --preserve-color histogram --device cpu "
        "--precision fp32 --normalization gatys --content-layers relu3_1 --style-layers relu1_1=1,relu2_1=0.5 "
        "--pooling avg --detail 0.25 --max-memory 1.5G --max-pixels 1000 --threads 1"
    )
    result = run("stylize", "photo.png", "painting.png", "photo.png", "-o", "out.png", *options.split())
    assert result.code == 0
    assert torch.get_num_threads() == 1
    assert fake.calls == [
        {
            "content": "photo.png",
            "styles": ["painting.png", "photo.png"],
            "checkpoint": Path("out.png.checkpoint"),
            "resume": False,
            "max_pixels": 1000,
            "size": 96,
            "content_weight": 0.01,
            "style_weights": (0.7, 0.3),
            "tv_weight": 2.0,
            "steps": 9,
            "optimizer": "lbfgs",
            "init": "start.png",
            "seed": 3,
            "extractor": "my.safetensors",
            "preserve_color": "histogram",
            "device": "cpu",
            "precision": "fp32",
            "normalization": "gatys",
            "content_layers": {"relu3_1": 1.0},
            "style_layers": {"relu1_1": 1.0, "relu2_1": 0.5},
            "pooling": "avg",
            "detail": 0.25,
            "max_memory": "1.5G",
        }
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "-1"), r"'--size': -1 is not a number from 0 up"),
        (("--size", "big"), r"'--size'"),
        (("--steps", "0"), r"'--steps': 0 is not a number from 1 up"),
        (("--content-weight", "-0.1"), r"'--content-weight': -0.1 is not a number from 0 up"),
        (("--content-weight", "nan"), r"'--content-weight': nan is not a number from 0 up"),
        (("--tv-weight", "inf"), r"'--tv-weight': inf is not a number from 0 up"),
        (("--threads", "0"), r"'--threads': 0 is not a number from 1 up"),
        (("--preview-every", "0"), r"'--preview-every'"),
        (("--optimizer", "sgd"), r"'--optimizer': 'sgd' is not one of 'lbfgs', 'adam'"),
        (("--device", "tpu"), r"'--device': 'tpu' is not one of"),
        (("--depth", "12"), r"'--depth': '12' is not one of '8', '16'"),
        (("--init", "nosie"), r"--init: 'nosie' is neither a file nor one of content, noise, style"),
        (("--extractor", "vgg16"), r"--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19"),
        (("--style-weights", "1;2"), r"--style-weights: '1;2' is not a number"),
        (("--style-layers", "conv1"), r"--style-layers: 'conv1' is no layer"),
        (("--quiet", "--json"), r"--quiet and --json"),
        (("-o", "out.bmp"), r"out\.bmp"),
        (("-o", "nowhere/out.png"), r"nowhere"),
        (("-o", "out.jpg", "--depth", "16"), r"out\.jpg"),
        (("--preview", "photo.png"), r"--preview: photo\.png is a file; name a folder"),
        (("missing.png",), r"^impasto: error: missing\.png is not there; check the name$"),
        ((".",), r"^impasto: error: \. is a folder; name a file in it$"),
    ],
)
def test_a_mistake_is_told_before_any_work(run: Run, fake: FakeStylize, options: tuple[str, ...], message: str) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*BASIC, *options)
    assert result.code == 2
    assert re.search(message, result.error), result.error
    assert fake.calls == []
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--style-weights", "0.7,0.3"), "--style-weights: 2 weights for 1"),
        (("--style-weights", "-1"), "--style-weights: -1"),
        (("--style-weights", "0"), "--style-weights: all are 0"),
        (("--style-layers", "relu1_1=-1"), "--style-layers: -1"),
        (("--content-layers", "relu3_4"), "relu3_4"),
        (("--max-pixels", "700"), "--max-pixels"),
        (("--size", "3"), "--size"),
        (("--size", "1000000"), "size: 1000000 makes 1000000 x 750000 pixels, more than the limit of 64000000; give a"),
        (("--size", "16384", "-o", "out.webp"), "out.webp: webp has at most 16383 pixels a side; save it as .png or"),
        (("--max-memory", "2 gigs"), "--max-memory: '2 gigs' is no amount of memory; write for example 2G, 1.5G or"),
        (("--max-memory", "0"), "--max-memory: '0' is no amount"),
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


def test_a_broad_photograph_is_painted_small_by_other_methods_too(run: Run, fake: FakeStylize) -> None:
    """The size that was not typed is the default one, and not the photograph's."""
    Image.new("RGB", (16400, 20)).save("broad.png")
    result = run("stylize", "broad.png", "painting.png", "-o", "out.webp", "--method", "hybrid")
    assert result.code == 0, result.err


def test_an_existing_file_is_kept(run: Run, fake: FakeStylize) -> None:
    Path("out.png").write_text("precious")
    result = run(*BASIC)
    assert result.code == 2
    assert "out.png" in result.error
    assert "--force" in result.error
    assert Path("out.png").read_text() == "precious"
    assert run(*BASIC, "--force").code == 0
    assert Image.open("out.png").size == (32, 24)


def test_quiet(run: Run, fake: FakeStylize) -> None:
    fake.notices = ("photo.png: the first frame is taken",)
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json(run: Run, fake: FakeStylize) -> None:
    fake.notices = ("photo.png: the first frame is taken",)
    result = run(*BASIC, "--json", "--extractor", "compact")
    *steps, last = (json.loads(line) for line in result.out.splitlines())
    assert [step["step"] for step in steps] == [1, 2, 3]
    assert steps[1] == {
        "step": 2,
        "steps": 3,
        "scale": 32,
        "content_loss": 0.25,
        "style_loss": 0.05,
        "total_loss": 0.1,
        "seconds": 2.0,
    }
    assert last["output"] == "out.png"
    assert (last["width"], last["height"]) == (32, 24)
    assert last["content_loss"] == 0.5 / 3
    assert last["settings"] == {"size": 32, "seed": 5}
    assert last["notices"] == ["photo.png: the first frame is taken"]
    assert result.err == "impasto: photo.png: the first frame is taken\n"


class TestCompactNotice:
    LINE = (
        "impasto: VGG-19's weights are not on this machine, so the compact extractor paints; "
        "`impasto weights get vgg19` gets them"
    )

    def test_one_line_says_so(self, run: Run, fake: FakeStylize) -> None:
        assert run(*BASIC).err.splitlines().count(self.LINE) == 1

    def test_not_where_they_are(self, run: Run, fake: FakeStylize, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weights, "find_vgg19", lambda: Path("vgg19.safetensors"))
        assert self.LINE not in run(*BASIC).err

    @pytest.mark.parametrize("options", [("--extractor", "compact"), ("--quiet",)])
    def test_not_where_it_was_asked_for(self, run: Run, fake: FakeStylize, options: tuple[str, ...]) -> None:
        assert self.LINE not in run(*BASIC, *options).err


class TestPreview:
    def test_every_so_many_steps(self, run: Run, fake: FakeStylize) -> None:
        assert run(*BASIC, "--preview", "on/the/way", "--preview-every", 2).code == 0
        assert [path.name for path in Path("on/the/way").iterdir()] == ["step-00002.png"]
        assert Image.open("on/the/way/step-00002.png").size == (32, 24)

    def test_another_runs_are_kept(self, run: Run, fake: FakeStylize) -> None:
        Path("previews").mkdir()
        Path("previews/step-00025.png").write_text("precious")
        result = run(*BASIC, "--preview", "previews")
        assert result.code == 2
        assert result.error.startswith("impasto: error: --preview: previews holds the previews of another run")
        assert run(*BASIC, "--preview", "previews", "--force").code == 0


class TestStopped:
    def test_says_how_to_go_on(self, run: Run, fake: FakeStylize) -> None:
        def at_step(step: int) -> None:
            if step == 2:
                Path("out.png.checkpoint").write_bytes(b"state")
                raise KeyboardInterrupt

        fake.at_step = at_step
        result = run(*BASIC, "--quiet")
        assert result.code == 130
        assert result.error == "impasto: stopped; the same command with --resume goes on from out.png.checkpoint"
        assert not Path("out.png").exists()

    def test_before_there_is_a_checkpoint(self, run: Run, fake: FakeStylize) -> None:
        fake.at_step = stop_at(1)
        result = run(*BASIC, "--quiet")
        assert result.code == 130
        assert result.error == "impasto: stopped"

    def test_resume_takes_the_checkpoint_and_drops_it_at_the_end(self, run: Run, fake: FakeStylize) -> None:
        Path("out.png.checkpoint").write_bytes(b"state")
        assert run(*BASIC, "--resume").code == 0
        assert fake.calls[0]["resume"] is True
        assert not Path("out.png.checkpoint").exists()

    def test_what_was_stopped_is_not_thrown_away(self, run: Run, fake: FakeStylize) -> None:
        Path("out.png.checkpoint").write_bytes(b"minutes")
        result = run(*BASIC)
        assert (result.code, fake.calls) == (2, [])
        assert result.error == (
            "impasto: error: out.png.checkpoint is there from a run cut short; "
            "add --resume to go on, --force to begin anew"
        )
        assert Path("out.png.checkpoint").read_bytes() == b"minutes"
        assert run(*BASIC, "--force").code == 0
        assert not Path("out.png.checkpoint").exists()

    def test_nothing_to_resume(self, run: Run, fake: FakeStylize) -> None:
        result = run(*BASIC, "--resume")
        assert result.code == 0
        assert "impasto: --resume: there is no out.png.checkpoint to go on from; beginning anew" in result.err


class TestForReal:
    def test_paints(self, run: Run, folder: Path) -> None:
        result = run(*BASIC, *SMALL, "--depth", "16")
        assert result.code == 0, result.err
        assert re.fullmatch(r"The painting is in out\.png \(40 x 30 pixels, \d+ s\)\.\n", result.out)
        recipe = Recipe.from_file("out.png")
        assert recipe.settings["steps"] == 3
        assert recipe.threads == 1
        assert Path("out.png").read_bytes()[24] == 16
        photo = np.asarray(Image.open("photo.png").resize((40, 30)), dtype=float)
        assert np.abs(np.asarray(Image.open("out.png").convert("RGB"), dtype=float) - photo).mean() > 1

    def test_ctrl_c_and_resume_end_in_the_same_bytes(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run(*BASIC, *SMALL).code == 0
        undisturbed = Path("out.png").read_bytes()
        Path("out.png").unlink()
        with monkeypatch.context() as patch:
            patch.setattr("impasto.cli.report.Lines.step", lambda self, record: stop_at(2)(record.step))
            result = run(*BASIC, *SMALL)
        assert result.code == 130
        assert "--resume goes on from out.png.checkpoint" in result.err
        assert run(*BASIC, *SMALL, "--resume").code == 0
        assert Path("out.png").read_bytes() == undisturbed
        assert not Path("out.png.checkpoint").exists()

    def test_in_little_memory_and_again(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("impasto.refine.budget.BASE", 0)
        monkeypatch.setattr("impasto.refine.budget.LARGEST", 64)
        assert run(*BASIC, *SMALL, "--size", 160, "--max-memory", "70M").code == 0
        assert Recipe.from_file("out.png").settings["max_memory"] == 70 * 2**20
        result = run("rerun", "out.png", "-o", "again.png")
        assert result.code == 0, result.err
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()

    def test_a_checkpoint_of_another_run_is_refused(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("impasto.cli.report.Lines.step", lambda self, record: stop_at(2)(record.step))
            run(*BASIC, *SMALL)
        result = run(*BASIC, *SMALL, "--seed", 7, "--resume")
        assert result.code == 2
        assert "out.png.checkpoint" in result.error
        assert not Path("out.png").exists()


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
        (last,) = (json.loads(line) for line in run(*self.INSTANT, "--json").out.splitlines())
        assert last["settings"]["method"] == "instant"
        assert last["output"] == "out.png"
        assert not any("loss" in name for name in last)

    def test_large_pictures_say_how_far_they_are(
        self, run: Run, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("impasto.cli.run.TILE_SECONDS", 0.0)
        monkeypatch.setattr("impasto.instant.tiles.paint.__kwdefaults__", {**paint.__kwdefaults__, "tile": 64})
        result = run(*self.INSTANT, "--size", 512)
        assert result.code == 0
        tiles = 8 * 6
        assert result.err.splitlines()[0] == f"impasto: tile 1 of {tiles}"
        assert f"tile {tiles} of" not in result.err

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
            (("--preview", "on"), "--preview: means nothing with --method instant, which takes no steps; leave it out"),
            (("--preview-every", "2"), "--preview-every: means nothing with --method instant"),
            (("--resume",), "--resume: means nothing with --method instant"),
            (("--strength", "1.5"), "--strength: 1.5 is out of range; give a number from 0 to 1"),
            (("--strength", "-1"), "'--strength': -1.0 is not a number from 0 up"),
            (("--model", "gone"), "gone is not there; check the name"),
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
