from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import classics
from runner import WEIGHTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs and three paintings."""
    for name in ("contents/lion", "contents/boat", "styles/wave", "styles/udnie", "styles/scream"):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 12), "teal").save(path)
    return tmp_path


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Options of impasto, which answers at once: content error falls along λ, style share rises; but for the boat."""
    asked: list[list[str]] = []

    def weight(options: list[str]) -> float:
        return float(options[options.index("--content-weight") + 1]) if "--content-weight" in options else 1e-3

    def stylize(content: Path, style: Path, output: Path, **how: Any) -> dict[str, Any]:
        asked.append(list(how["options"]))
        output.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), "navy").save(output)
        told = {"seconds": 2.0 if "compact" in how["options"] else 8.0, "peak_mb": 900.0}
        return {"picture": str(output), "size": how["size"], "options": list(how["options"]), **told}

    def judge(outputs: list[Path], content: Path, style: Path, **how: Any) -> list[dict[str, float]]:
        share = 0.02 if content.stem == "boat" else weight(asked[-1])
        worse = 1.5 if "compact" in asked[-1] else 1.0
        return [{"style_share": share * worse, "content_error": 1 - weight(asked[-1])}]

    monkeypatch.setattr(classics, "stylize", stylize)
    monkeypatch.setattr(classics, "judge", judge)
    return asked


def run(folder: Path, *options: str) -> dict[str, Any]:
    classics.main(["--classics", str(folder), "--out", str(folder / "out"), "--threads", "1", *options])
    return json.loads((folder / "out" / "summary.json").read_text())


class TestChoose:
    def test_all_of_them(self, folder: Path) -> None:
        pairs = [classics.name_of(pair) for pair in classics.choose(folder, "all")]
        assert len(set(pairs)) == 6
        assert pairs[:2] == ["boat-scream", "boat-udnie"]

    def test_a_number_has_every_picture_as_often(self, folder: Path) -> None:
        pairs = classics.choose(folder, "4")
        assert len(set(pairs)) == 4
        assert set(Counter(content for content, _ in pairs).values()) == {2}
        assert max(Counter(style for _, style in pairs).values()) <= 2

    def test_by_name(self, folder: Path) -> None:
        pairs = classics.choose(folder, "lion:wave,boat:udnie")
        assert [classics.name_of(pair) for pair in pairs] == ["lion-wave", "boat-udnie"]
        with pytest.raises(SystemExit, match=r"has no lion:monet, lion:$"):
            classics.choose(folder, "lion:wave,lion:monet,lion")


class TestOptions:
    def test_vgg19_unless_another_is_named(self) -> None:
        assert classics.read_options("--steps 3") == ["--extractor", str(WEIGHTS), "--steps", "3"]
        assert classics.read_options("--extractor compact") == ["--extractor", "compact"]

    def test_one_pass_has_none(self) -> None:
        assert classics.read_options("--method instant") == ["--method", "instant"]


RECORDS = {
    name: dict.fromkeys(classics.FIGURES, value) for name, value in (("a", 4.0), ("b", 1.0), ("c", 2.0), ("d", 3.0))
}


def test_median_best_and_worst() -> None:
    found = classics.summarize(RECORDS)["style_share"]
    assert found == {"median": 2.5, "best": 1.0, "worst": 4.0, "worst_pairs": ["a", "d", "c"]}


def test_ratios() -> None:
    doubled = {name: dict.fromkeys(classics.FIGURES, 2.0) for name in RECORDS}
    assert classics.compare(doubled, RECORDS)["seconds"] == {"median": (2 / 3 + 1) / 2, "largest": 2.0, "pair": "b"}


@pytest.mark.parametrize(
    ("shares", "errors", "strictly"),
    [((1, 2, 3), (3, 2, 1), True), ((1, 2, 2), (3, 2, 1), False), ((1, 2, 3), (3, 1, 2), False)],
)
def test_strictly(shares: tuple[float, ...], errors: tuple[float, ...], strictly: bool) -> None:
    records = [{"style_share": s, "content_error": e} for s, e in zip(shares, errors, strict=True)]
    assert classics.falls_and_rises(records) is strictly


def test_one_sheet_of_all_pairs_and_nothing_painted_twice(folder: Path, asked: list[list[str]]) -> None:
    for _ in range(2):
        found = run(folder, "--options=--steps 3", "--cell", "24")
    assert found["pairs"] == len(asked) == 6
    with Image.open(folder / "out" / "sheet.webp") as sheet:
        assert sheet.width == 4 * (24 + 8) + 8
    run(folder, "--options=--steps 3", "--fresh")
    assert len(asked) == 12
    with pytest.raises(SystemExit, match="name another --out or add --fresh"):
        run(folder, "--options=--steps 4")


def test_variants_beside_the_first(folder: Path, asked: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    found = run(folder, "--variant", "vgg19=", "--variant", "compact=--extractor compact")
    assert list(found["variants"]) == ["vgg19", "compact"]
    lines = capsys.readouterr().out.splitlines()
    assert "| compact over vgg19 | seconds | 0.25 | 0.25 | boat-scream |" in lines
    assert "| compact over vgg19 | style share | 1.50 | 1.50 | boat-scream |" in lines
    assert sorted(path.name for path in (folder / "out").glob("*.webp")) == ["sheet-1.webp", "sheet-2.webp"]


def test_along_lambda(folder: Path, asked: list[list[str]]) -> None:
    run(folder, "--pairs", "lion:wave,lion:udnie", "--lambdas", "1e-5,1e-4,1e-3")
    assert [options[-2:] for options in asked[:2]] == [["--content-weight", "1e-5"], ["--content-weight", "1e-4"]]
    with pytest.raises(SystemExit, match=r"style share not rise: boat-wave$"):
        run(folder, "--pairs", "lion:wave,boat:wave", "--lambdas", "1e-5,1e-4,1e-3")
