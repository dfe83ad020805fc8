from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import tradeoff
from impasto.networks.autoencoder import AutoEncoder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(
    name: str, *, residual: bool, weight: float, share: float, critic: float | None = None, judge: str = "vgg19"
) -> str:
    """A file as training leaves it."""
    config = {
        "residual": residual,
        "content_weight": weight,
        "adversarial": critic is not None,
        "adversarial_weight": critic or 0.0,
    }
    scores = {"judge": judge, "style_share": share, "content_error": 1 - share}
    network = AutoEncoder(residual, widths=(4, 4, 4, 4, 4), shared=4, hints=4)
    network.to_file(name, {"config": config, "scores": scores})
    return name


def run(*files: str) -> None:
    tradeoff.main([*files, "--out", "out"])


def test_table_and_plot(folder: Path) -> None:
    run(
        trained("a", residual=True, weight=1e-3, share=0.25),
        trained("b", residual=False, weight=1e-3, share=0.5),
        trained("c", residual=True, weight=1e-4, share=0.2),
        trained("d", residual=True, weight=1e-3, share=0.3, critic=1e-2),
        trained("e", residual=True, weight=1e-2, share=0.4, critic=0.0),
    )
    assert (folder / "out/table.md").read_text().splitlines()[2:] == [
        "| plain | 0.001 | 0.500 | 0.50 |",
        "| residual | 0.0001 | 0.200 | 0.80 |",
        "| residual | 0.001 | 0.250 | 0.75 |",
        "| residual | 0.01 | 0.400 | 0.60 |",
        "| residual, with a critic | 0.001 | 0.300 | 0.70 |",
    ]
    with Image.open(folder / "out/plot.webp") as plot:
        assert plot.width > 400


def test_what_cannot_be_compared(folder: Path) -> None:
    one = trained("a", residual=True, weight=1e-3, share=0.25)
    other = trained("b", residual=True, weight=1e-3, share=0.25, judge="compact")
    with pytest.raises(SystemExit, match="judged by different extractors; train them with the same --judge"):
        run(one, other)
    Path("c").write_bytes(b"no network")
    with pytest.raises(SystemExit, match="c: no auto-encoder with its scores; give files of impasto train autoencoder"):
        run("c")
