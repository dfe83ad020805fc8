from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import objective
from impasto.layers import STYLE_LAYERS, VGG19_CHANNELS
from impasto.losses import content_loss, gram_matrix, style_loss
from runner import CONTENT, STYLE


@pytest.fixture
def options() -> dict[str, str]:
    """For a picture of 67 × 43 px: 8 × 5 positions at relu4_2."""
    words = objective.objective_options(67, 43)
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_peers_content_loss(options: dict[str, str]) -> None:
    output, content = torch.rand(2, 1, 512, 5, 8, dtype=torch.float64)
    ours = float(options["--content-weight"]) * content_loss(output, content, "gatys")
    assert float(ours) == pytest.approx(5 * float((output - content).square().mean()))
    assert options["--content-layers"] == "relu4_2=1"


def test_the_peers_style_loss(options: dict[str, str]) -> None:
    weights = {
        name: float(weight) for name, _, weight in (w.partition("=") for w in options["--style-layers"].split(","))
    }
    assert tuple(weights) == STYLE_LAYERS
    for layer in ("relu1_1", "relu5_1"):
        output, style = torch.rand(2, 1, VGG19_CHANNELS[layer], 3, 5, dtype=torch.float64)
        ours = weights[layer] * style_loss(gram_matrix(output), gram_matrix(style), "gatys")
        # Its Gram matrices are F Fᵀ / (C H W), and the loss is their mean squared difference.
        theirs = [torch.einsum("bchw,bdhw->cd", maps, maps) / maps.numel() for maps in (output, style)]
        assert float(ours) == pytest.approx(100 * float((theirs[0] - theirs[1]).square().mean()))


def test_sides_that_are_not_whole_are_cut_off(tmp_path: Path) -> None:
    Image.new("RGB", (100, 59)).save(tmp_path / "photo.png")
    with Image.open(objective.as_peer_reads(tmp_path / "photo.png", 50, tmp_path / "out")) as copy:
        assert copy.size == (50, 29)


def test_a_table() -> None:
    peer = {"package": "neural-style 0.5.7", "steps": 500, "loss": 883_000.0, "seconds": 1542.4}
    assert objective.report(peer, {"steps": 443, "loss": 881_000.0, "seconds": 477.0}).splitlines()[2:] == [
        "| neural-style 0.5.7 | 500 | 8.83e+05 | 1542 |",
        "| impasto, VGG-19 | 443 | 8.81e+05 | 477 |",
    ]


@pytest.mark.skipif(not CONTENT.exists(), reason="needs the folder shared")
def test_a_record_of_other_pictures(tmp_path: Path) -> None:
    record = tmp_path / "peer.json"
    record.write_text('{"content_sha256": "a", "size": 64, "picture": "peer.png"}')
    with pytest.raises(SystemExit, match="another content_sha256: a, and not"):
        objective.main([str(record), "--content", str(CONTENT), "--style", str(STYLE)])
