from __future__ import annotations

from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.instant import models
from impasto.instant.models import TorchPainter, find_model, load_painter
from impasto.recipe import Input


def test_a_file(model: Path) -> None:
    found = find_model(str(model))
    assert found.path == model
    assert found.input == Input(str(model), file_sha256(model))


def test_the_packages_own_has_no_name() -> None:
    shipped = models.shipped_path()
    assert find_model(None).path == shipped
    assert find_model(None).input == Input("", file_sha256(shipped))


def test_none_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "shipped_path", lambda: tmp_path / "autoencoder.safetensors")
    with pytest.raises(ImpastoError, match=r"^model: no network comes with this installation; name a file"):
        find_model(None)
    with pytest.raises(ImpastoError, match=r"gone: cannot be read .*; check the name"):
        find_model(str(tmp_path / "gone"))
    with pytest.raises(ImpastoError, match=r"is a folder; name a file in it"):
        find_model(str(tmp_path))


def test_what_cannot_be(model: Path, tmp_path: Path) -> None:
    exported = tmp_path / "a.onnx"
    exported.write_bytes(b"")
    with pytest.raises(ImpastoError, match=r"a\.onnx is an ONNX file; add runtime='onnx'$"):
        load_painter(find_model(str(exported)))
    with pytest.raises(
        ImpastoError, match=r"^device: runtime='onnx' computes on the CPU, not on cuda; leave one of the two out$"
    ):
        load_painter(find_model(str(model)), "onnx", "cuda")


def test_torch_on_the_cpu(model: Path) -> None:
    painter, device = load_painter(find_model(str(model)), "torch", "cpu")
    assert isinstance(painter, TorchPainter)
    assert device == "cpu"
