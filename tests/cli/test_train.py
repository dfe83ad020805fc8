from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.configs import AttributesConfig, AutoencoderConfig, ExtractorConfig, FacesConfig
from impasto.lessons.attributes import AttributeNet
from impasto.lessons.generator import FaceGenerator
from impasto.settings import described

from .conftest import COMMANDS, Run

CONFIGS = {
    "attributes": AttributesConfig,
    "faces": FacesConfig,
    "autoencoder": AutoencoderConfig,
    "extractor": ExtractorConfig,
}


def test_alone_it_tells_what_there_is(run: Run) -> None:
    result = run("train")
    assert result.code == 0
    assert all(name in result.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_the_librarys(run: Run, trained: list[dict[str, Any]], name: str) -> None:
    assert run(*COMMANDS[name]).code == 0
    # But for the arithmetic, which fits the machine.
    defaults = {"precision": "auto"} if hasattr(CONFIGS[name], "precision") else {}
    assert trained[0]["config"] == CONFIGS[name](**defaults)
    assert trained[0]["course"].path == Path("new.safetensors.checkpoint")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "attributes",
            "--epochs 5 --batch 7 --side 48 --width 9 --learning-rate 0.01 --weight-decay 0 --patience 2 --seed 3",
            AttributesConfig(5, 7, 48, 9, 0.01, 0.0, 2, 3),
        ),
        (
            "faces",
            "--steps 5 --batch 7 --side 128 --width 9 --learning-rate 0.01 --penalty 3 --no-augment --sample-every 2 "
            "--seed 3",
            FacesConfig(5, 7, 128, 9, 0.01, 3.0, False, 2, 3),
        ),
        (
            "autoencoder",
            "--residual --adversarial --content-weight 0.002 --adversarial-weight 0.5 --steps 5 --batch 4 --side 64 "
            "--learning-rate 0.01 --seed 9 --precision bf16",
            AutoencoderConfig(True, True, 0.002, 0.5, 5, 4, 64, 0.01, 9, "bf16"),
        ),
        (
            "extractor",
            "--steps 5 --batch 4 --side 64 --memory 20 --learning-rate 0.01 --weight-decay 0 --gram-weight 2 "
            "--gap-weight 3 --gradient-weight 0.5 --painted 1 --paint-every 7 --seed 9 --precision fp32",
            ExtractorConfig(5, 4, 64, 20, 0.01, 0.0, 2.0, 3.0, 0.5, 1, 7, 9, "fp32"),
        ),
    ],
)
def test_every_setting_arrives(
    run: Run, trained: list[dict[str, Any]], name: str, options: str, expected: object
) -> None:
    result = run(*COMMANDS[name], *options.split())
    assert result.code == 0, result.err
    assert trained[0]["config"] == expected
    asked = {item.name for item, _, _ in described(type(expected))}
    assert len(asked) == sum(word.startswith("--") for word in options.split()), "none is left out here"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attributes", "--data gone", "--data: gone is no folder"),
        ("attributes", "--out there.safetensors", "--out: there.png exists; name another file or add --force"),
        ("attributes", "--side 60", "--side: 60 is no multiple of 16; give 48"),
        ("attributes", "--epochs 0", "--epochs: 0 is out of range; give a whole number from 1 to 100000000"),
        ("attributes", "--data .", ".: neither img_align_celeba/*.jpg nor img_align_celeba.zip is in it"),
        ("faces", "--data gone", "--data: gone is not there; name a folder with faces in it"),
        ("faces", "--data photo.png", "photo.png: cut short, or no zip"),
        ("faces", "--data photos", "photos: 0 JPEG or PNG files; 10 are the least"),
        ("faces", "--side 60", "--side: 60 pixels; give one of 16, 32, 64, 128"),
        ("faces", "--samples photo.png", "--samples: photo.png is a file; name a folder"),
        ("autoencoder", "--content gone", "--content: gone is no folder"),
        ("autoencoder", "--style photo.png", "--style: photo.png is no folder"),
        ("autoencoder", "--extractor vgg16", "--extractor: 'vgg16' is neither a file nor one of compact, vgg19"),
        ("autoencoder", "--judge vgg16", "--judge: 'vgg16' is neither a file nor one of auto, vgg19, compact"),
        ("autoencoder", "--side 100", "--side: 100 is no multiple of 16; give 96"),
        ("autoencoder", "--side 16", "--side: 16 is out of range; give a whole number from 32 to 1024"),
        ("autoencoder", "--devices 3", "--batch: 8 cannot be shared by 3 devices; give a multiple"),
        ("autoencoder", "--adversarial-weight 0.1", "--adversarial-weight: weighs a critic, and there is none; add"),
        (
            "autoencoder",
            "--content-weight -1",
            "--content-weight: -1.0 is out of range; give a number from 0 to",
        ),
        ("autoencoder", "--start-from gone.pt", "--start-from: there is no gone.pt"),
        ("autoencoder", "--journal photo.png", "--journal: photo.png is a file; name a folder"),
        ("extractor", "--data gone", "--data: gone is no folder"),
        ("extractor", "--teacher vgg16", "--teacher: 'vgg16' is neither a file nor one of vgg19"),
        ("extractor", "--painted 6", "--painted: 6 of 10 crops, with their styles; give at most half of --batch"),
        ("extractor", "--devices 3", "--batch: 10 cannot be shared by 3 devices; give a multiple"),
        (
            "extractor",
            "--batch 1 --painted 0 --gradient-weight 1",
            "--gradient-weight: compares pictures of a batch; give --batch two for each device",
        ),
        ("extractor", "--start-from gone.pt", "--start-from: there is no gone.pt"),
    ],
)
def test_mistakes(run: Run, trained: list[dict[str, Any]], name: str, options: str, message: str) -> None:
    Path("there.png").write_bytes(b"")
    result = run(*COMMANDS[name], *options.split())
    assert result.code == 2
    assert message in result.error
    assert trained == []


class TestAttributes:
    def test_from_faces_to_an_answer(self, run: Run, drawn: Path) -> None:
        """The whole way, on drawn faces."""
        small = ("--epochs", "2", "--batch", "4", "--side", "16", "--width", "2")
        result = run(*COMMANDS["attributes"], *small)
        assert result.code == 0, result.err
        assert all(Path(f"new{ending}").stat().st_size for ending in (".safetensors", ".json", ".txt", ".png"))
        assert AttributeNet.from_file("new.safetensors").side == 16
        table = json.loads(Path("new.json").read_text())
        assert table["faces"] == 6
        assert set(table["means"]) == {"network", "linear", "majority"}
        assert result.out == Path("new.txt").read_text() + (
            "The network is in new.safetensors, this table and a chart beside it (new.json, new.txt, new.png).\n"
        )
        told = run("predict", "attributes", "drawn/img_align_celeba/000001.jpg", "--model", "new.safetensors")
        assert len(told.out.splitlines()) == 40

    def test_a_wrong_label_names_file_and_row(self, run: Run, drawn: Path) -> None:
        table = drawn / "list_attr_celeba.csv"
        lines = table.read_text().splitlines()
        lines[3] = lines[3].replace("-1", "0", 1)
        table.write_text("\n".join(lines))
        result = run(*COMMANDS["attributes"])
        assert result.code == 2
        assert f"{table}, line 4: 5_o_Clock_Shadow of 000003.jpg is '0'; labels are -1 or 1" in result.error

    def test_json(self, run: Run, trained: list[dict[str, Any]]) -> None:
        last = json.loads(run(*COMMANDS["attributes"], "--json").out.splitlines()[-1])
        assert last["rows"]["Smiling"]["network"]["f1"] == 0.5


class TestFaces:
    def test_from_faces_to_a_sheet(self, run: Run, drawn: Path) -> None:
        """The whole way, on drawn faces."""
        small = ("--steps", "3", "--batch", "4", "--side", "16", "--width", "2", "--sample-every", "2")
        result = run(*COMMANDS["faces"], *small)
        assert result.code == 0, result.err
        assert FaceGenerator.from_file("new.safetensors").side == 16
        sheets = sorted(file.name for file in Path("new-samples").iterdir())
        assert sheets == [f"{name}-00000{step}.png" for name in ("sheet", "strip") for step in (2, 3)]
        with Image.open("new-samples/sheet-000003.png") as picture:
            assert picture.size == (8 * 18 - 2, 8 * 18 - 2)
        assert result.out.startswith("The generator is in new.safetensors, sheets in new-samples. Its faces are ")
        assert run("generate", "faces", "--model", "new.safetensors", "-o", "sheet.png").code == 0

    def test_results(self, run: Run, trained: list[dict[str, Any]]) -> None:
        result = run(*COMMANDS["faces"])
        told = "Its faces are 0.250 from real ones (untrained: 4.000, real ones from one another: 0.000).\n"
        assert result.out.endswith(told)
        last = json.loads(run(*COMMANDS["faces"], "--force", "--samples", "there", "--json").out.splitlines()[-1])
        assert last == {"output": "new.safetensors", "samples": "there", "distance": 0.25, "before": 4.0, "floor": 0.0}
        assert [call["samples"] for call in trained] == [Path("new-samples"), Path("there")]


class TestAutoencoder:
    def test_results(self, run: Run, trained: list[dict[str, Any]]) -> None:
        assert run(*COMMANDS["autoencoder"]).out == (
            "The auto-encoder is in new.safetensors (style share 0.188, content error 0.625; judge: judge), "
            "curves and sheets in new-journal.\n"
        )
        critical = (*COMMANDS["autoencoder"], "--adversarial", "--force")
        assert "content error 0.625, the critic right about 62%; judge" in run(*critical).out
        assert json.loads(run(*critical, "--json").out.splitlines()[-1]) == {
            "output": "new.safetensors",
            "journal": "new-journal",
            "judge": "judge",
            "style_share": 0.1875,
            "content_error": 0.625,
            "critic": {"real": 0.5, "painted": 0.75, "total": 0.625},
        }

    def test_what_is_no_setting_arrives_too(self, run: Run, trained: list[dict[str, Any]]) -> None:
        Path("old.safetensors").write_bytes(b"")
        options = "--judge compact --start-from old.safetensors --journal curves --devices 2"
        assert run(*COMMANDS["autoencoder"], *options.split()).code == 0
        (call,) = trained
        assert [folder.name for folder in call["arguments"][:2]] == ["photos", "paintings"]
        assert (call["arguments"][2].name, call["judge"].name, call["devices"]) == ("compact", "compact", 2)
        assert (call["start_from"], call["journal"]) == (Path("old.safetensors"), Path("curves"))


class TestExtractor:
    def test_results(self, run: Run, trained: list[dict[str, Any]]) -> None:
        assert run(*COMMANDS["extractor"]).out == "The extractor is in new.safetensors (relu1_1 0.125).\n"
        last = json.loads(run(*COMMANDS["extractor"], "--force", "--json").out.splitlines()[-1])
        assert last == {"output": "new.safetensors", "errors": {"relu1_1": 0.125}}
        assert trained[0]["arguments"][0] == Path("photos")
        assert (trained[0]["devices"], trained[0]["start_from"]) == (1, None)
