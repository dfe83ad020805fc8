from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .conftest import Run

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def test_the_file_paints(run: Run, network: Path) -> None:
    result = run("export", "onnx", network, "net.onnx")
    assert result.code == 0, result.err
    assert result.out == f"The network is in net.onnx ({Path('net.onnx').stat().st_size / 1e6:.1f} MB).\n"
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    content, style = (np.full((1, 3, *size), 0.5, np.float32) for size in ((21, 34), (40, 13)))
    (output,) = session.run(None, {"content": content, "style": style, "strength": np.ones(1, np.float32)})
    assert output.shape == content.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.safetensors", "net.onnx"), "gone.safetensors is not there; check the name"),
        (("net.safetensors", "net.pb"), "net.pb has to end in .onnx"),
        (("net.safetensors", "nowhere/net.onnx"), "there is no folder nowhere; make it first"),
        (("net.safetensors", "taken.onnx"), "taken.onnx exists; name another file or add --force"),
        (("photo.png", "net.onnx"), "photo.png: cannot be read as an auto-encoder; give an intact file"),
    ],
)
def test_mistakes(run: Run, network: Path, arguments: tuple[str, ...], message: str) -> None:
    Path("taken.onnx").write_text("precious")
    before = sorted(Path().rglob("*"))
    result = run("export", "onnx", *arguments)
    assert result.code == 2
    assert message in result.error
    assert sorted(Path().rglob("*")) == before
    assert Path("taken.onnx").read_text() == "precious"


def test_force_and_quiet(run: Run, network: Path) -> None:
    Path("net.onnx").write_text("old")
    result = run("export", "onnx", network, "net.onnx", "--force", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert Path("net.onnx").stat().st_size > 1000


def test_help_without_a_format(run: Run) -> None:
    assert "onnx" in run("export").out
